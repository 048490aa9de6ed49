//! Logging in: which keys are tried, in which order. Never a password.
//!
//! A key that the stack names is the only one. Else the person's SSH configuration names files, then the agent is asked,
//! then the files that OpenSSH looks for by itself. Each key is tried with its certificate first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dmp_sdk::{Machine, Unreachable};
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use tokio::net::UnixStream;

use crate::host_keys::Client;
use crate::key_files::{self, Loaded};
use crate::options::Options;
use crate::ssh_config::Login;
use crate::stand_in::{self, Behind};

/// A key to try.
enum Candidate {
    /// One that dmp holds, and how it is called in messages.
    Held(Arc<PrivateKey>, String),
    /// One that only the agent can use: its file is encrypted, or not here.
    AgentOnly(PublicKey, String),
    /// Whatever else the agent holds.
    Agent,
}

/// All that is tried, in order.
pub(crate) struct Identity {
    candidates: Vec<Candidate>,
    certificates: Vec<Certificate>,
    agent: Option<PathBuf>,
    /// Files that were looked for in vain, for the message.
    missing: Vec<String>,
}

/// Why a login did not succeed.
pub(crate) enum LoginError {
    /// The server accepts none of the keys: in words, which.
    Denied(String),
    /// The connection broke.
    Broken(String),
}

impl Identity {
    /// Finds the keys of a machine before anything is connected, so a bad key file is not blamed on the server.
    pub(crate) async fn of(
        machine: &Machine,
        login: &Login,
        options: &Options,
    ) -> Result<Self, Unreachable> {
        let denied = |why| Unreachable::Denied {
            machine: machine.key(),
            why,
        };
        let agent = login.agent.clone().or_else(|| options.agent.clone());
        let mut identity = Self {
            candidates: Vec::new(),
            certificates: Vec::new(),
            agent: agent.filter(|path| !path.as_os_str().is_empty()),
            missing: Vec::new(),
        };
        for file in &login.certificate_files {
            identity.add_certificate(file).await;
        }
        if let Some(text) = &machine.private_key {
            let key =
                key_files::decode(text).map_err(|why| denied(format!("`private_key` {why}")))?;
            let name = "`private_key`".to_owned();
            identity
                .candidates
                .push(Candidate::Held(Arc::new(key), name));
            return Ok(identity);
        }
        if let Some(file) = &machine.key_file {
            let path = expand_home(file);
            match key_files::load(&path).await {
                Loaded::Key(key) => {
                    let name = format!("the key file `{file}`");
                    identity.candidates.push(Candidate::Held(key, name));
                }
                Loaded::Encrypted(Some(key)) if identity.agent.is_some() => {
                    let name = format!("the key of `{file}` in the SSH agent");
                    identity.candidates.push(Candidate::AgentOnly(key, name));
                }
                other => return Err(denied(format!("the key file `{file}` {}", other.why()))),
            }
            identity
                .add_certificate(&key_files::certificate_beside(&path))
                .await;
            return Ok(identity);
        }
        if login.names_files {
            identity.add_files(login).await;
        }
        if identity.agent.is_some() && !login.identities_only {
            identity.candidates.push(Candidate::Agent);
        }
        if !login.names_files {
            identity.add_files(login).await;
        }
        if identity.candidates.is_empty() {
            return Err(denied(identity.nothing_to_try()));
        }
        Ok(identity)
    }

    fn nothing_to_try(&self) -> String {
        let looked = match &self.missing[..] {
            [] => String::new(),
            files => format!("; there is no key in {}", files.join(", ")),
        };
        let agent = match &self.agent {
            None => "there is no SSH agent (SSH_AUTH_SOCK)",
            Some(_) => "the SSH agent is asked for those keys alone (IdentitiesOnly)",
        };
        format!("no `private_key` and no `key_file` is given, and {agent}{looked}")
    }

    async fn add_files(&mut self, login: &Login) {
        let login_names_files = login.names_files;
        for path in &login.identity_files {
            let name = path.display().to_string();
            match key_files::load(path).await {
                Loaded::Key(key) => {
                    self.candidates
                        .push(Candidate::Held(key, format!("the key file `{name}`")));
                }
                Loaded::Encrypted(Some(key)) | Loaded::PublicOnly(key) if self.agent.is_some() => {
                    let name = format!("the key of `{name}` in the SSH agent");
                    self.candidates.push(Candidate::AgentOnly(key, name));
                }
                // What OpenSSH would look for by itself is not missed.
                Loaded::Nothing(_) if !login_names_files => {}
                other => self.missing.push(format!("`{name}` ({})", other.why())),
            }
            self.add_certificate(&key_files::certificate_beside(path))
                .await;
        }
    }

    /// Certificates that can't be read are passed over, as OpenSSH does: the key may do without.
    async fn add_certificate(&mut self, file: &Path) {
        if let Ok(text) = tokio::fs::read_to_string(file).await
            && let Ok(certificate) = Certificate::from_openssh(text.trim())
            && !self.certificates.contains(&certificate)
        {
            self.certificates.push(certificate);
        }
    }

    fn certificates_of(&self, key: &PublicKey) -> impl Iterator<Item = &Certificate> {
        let key = key.key_data().clone();
        self.certificates
            .iter()
            .filter(move |certificate| *certificate.public_key() == key)
    }

    /// Logs in.
    pub(crate) async fn log_in(
        &self,
        handle: &mut Handle<Client>,
        user: &str,
    ) -> Result<(), LoginError> {
        let mut attempt = Attempt {
            identity: self,
            handle,
            user,
            tried: Vec::new(),
            agent_keys: Vec::new(),
        };
        for candidate in &self.candidates {
            let is_in = match candidate {
                Candidate::Held(key, name) => attempt.held(key, name).await?,
                Candidate::AgentOnly(key, name) => attempt.agent_only(key, name).await?,
                Candidate::Agent => attempt.agent().await?,
            };
            if is_in {
                return Ok(());
            }
        }
        Err(attempt.denied(""))
    }
}

/// One login under way.
struct Attempt<'a> {
    identity: &'a Identity,
    handle: &'a mut Handle<Client>,
    user: &'a str,
    tried: Vec<String>,
    agent_keys: Vec<String>,
}

impl Attempt<'_> {
    async fn held(&mut self, key: &Arc<PrivateKey>, name: &str) -> Result<bool, LoginError> {
        let hash = self.rsa_hash(key.algorithm().is_rsa()).await?;
        let fingerprint = key.fingerprint(HashAlg::Sha256);
        for certificate in self.identity.certificates_of(key.public_key()) {
            let mut signer = stand_in::start(Behind::Key(Arc::clone(key))).map_err(broken)?;
            let certificate = certificate.clone();
            let name = format!("{name} with the certificate `{}`", certificate.key_id());
            let result = self
                .handle
                .authenticate_certificate_with(self.user, certificate, hash, &mut signer)
                .await;
            if self.judge(result.map_err(broken), format!("{name} ({fingerprint})"))? {
                return Ok(true);
            }
        }
        let with_hash = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
        let result = self.handle.authenticate_publickey(self.user, with_hash);
        let result = result.await.map_err(broken);
        self.judge(result, format!("{name} ({fingerprint})"))
    }

    /// A key that the agent has to sign with.
    async fn agent_only(&mut self, key: &PublicKey, name: &str) -> Result<bool, LoginError> {
        let Some((mut agent, held)) = self.connect_agent().await? else {
            return Ok(false);
        };
        let fingerprint = key.fingerprint(HashAlg::Sha256);
        let data = key.key_data();
        if !held.iter().any(|one| one.public_key().key_data() == data) {
            self.tried
                .push(format!("{name} ({fingerprint}), which it does not hold"));
            return Ok(false);
        }
        self.with_agent(
            &mut agent,
            &AgentIdentity::from(key.clone()),
            format!("{name} ({fingerprint})"),
        )
        .await
    }

    /// All keys of the agent.
    async fn agent(&mut self) -> Result<bool, LoginError> {
        let Some((mut agent, held)) = self.connect_agent().await? else {
            return Ok(false);
        };
        if held.is_empty() {
            self.tried.push("the SSH agent holds no key".into());
        }
        for one in held {
            let fingerprint = one.public_key().fingerprint(HashAlg::Sha256).to_string();
            let before = self.tried.len();
            if self.with_agent(&mut agent, &one, String::new()).await? {
                return Ok(true);
            }
            self.tried.truncate(before);
            self.agent_keys.push(fingerprint);
        }
        Ok(false)
    }

    async fn with_agent(
        &mut self,
        agent: &mut AgentClient<UnixStream>,
        one: &AgentIdentity,
        name: String,
    ) -> Result<bool, LoginError> {
        let key = one.public_key().into_owned();
        let hash = self.rsa_hash(key.algorithm().is_rsa()).await?;
        if let AgentIdentity::Certificate { certificate, .. } = one {
            let certificate = certificate.clone();
            let result = self
                .handle
                .authenticate_certificate_with(self.user, certificate, hash, agent)
                .await;
            return self.judge_agent(result, name);
        }
        let socket = self.identity.agent.clone().unwrap_or_default();
        for certificate in self.identity.certificates_of(&key) {
            let certificate = certificate.clone();
            let behind = Behind::Agent(socket.clone(), key.clone());
            let mut signer = stand_in::start(behind).map_err(broken)?;
            let result = self
                .handle
                .authenticate_certificate_with(self.user, certificate, hash, &mut signer)
                .await;
            if self.judge_agent(result, name.clone())? {
                return Ok(true);
            }
        }
        let result = self
            .handle
            .authenticate_publickey_with(self.user, key, hash, agent)
            .await;
        self.judge_agent(result, name)
    }

    /// The agent and what it holds; `None` where it does not answer, which is told if nothing else helps.
    async fn connect_agent(
        &mut self,
    ) -> Result<Option<(AgentClient<UnixStream>, Vec<AgentIdentity>)>, LoginError> {
        let Some(socket) = &self.identity.agent else {
            return Ok(None);
        };
        let asked = async {
            let mut agent = AgentClient::connect_uds(socket).await?;
            let held = agent.request_identities().await?;
            Ok::<_, russh::keys::Error>((agent, held))
        };
        match asked.await {
            Ok(both) => Ok(Some(both)),
            Err(error) => {
                let socket = socket.display();
                self.tried.push(format!(
                    "the SSH agent at `{socket}` does not answer: {error}"
                ));
                Ok(None)
            }
        }
    }

    fn judge_agent<E: std::fmt::Display>(
        &mut self,
        result: Result<AuthResult, E>,
        name: String,
    ) -> Result<bool, LoginError> {
        match result {
            Ok(result) => self.judge(Ok(result), name),
            Err(error) if self.handle.is_closed() => {
                Err(self.denied(&format!("; then the server closed the connection: {error}")))
            }
            // An agent that will not sign with one key may sign with the next.
            Err(_) => {
                self.tried
                    .push(format!("{name}, with which the SSH agent does not sign"));
                Ok(false)
            }
        }
    }

    fn judge(
        &mut self,
        result: Result<AuthResult, LoginError>,
        name: String,
    ) -> Result<bool, LoginError> {
        match result {
            Ok(AuthResult::Success) => Ok(true),
            Ok(AuthResult::Failure {
                partial_success: true,
                ..
            }) => {
                self.tried.push(name);
                Err(self.denied("; it is accepted, but the server asks for a second factor"))
            }
            Ok(AuthResult::Failure { .. }) => {
                self.tried.push(name);
                Ok(false)
            }
            Err(error) if self.tried.is_empty() => Err(error),
            // Servers close the connection after a number of keys.
            Err(LoginError::Broken(why)) => {
                Err(self.denied(&format!("; then the server closed the connection: {why}")))
            }
            Err(error) => Err(error),
        }
    }

    fn denied(&self, more: &str) -> LoginError {
        let mut tried = self.tried.clone();
        if !self.agent_keys.is_empty() {
            tried.push(format!(
                "keys of the SSH agent: {}",
                self.agent_keys.join(", ")
            ));
        }
        LoginError::Denied(format!("{}{more}", tried.join("; ")))
    }

    /// The hash for an RSA key: SHA-2, never the SHA-1 of old servers.
    async fn rsa_hash(&mut self, is_rsa: bool) -> Result<Option<HashAlg>, LoginError> {
        if !is_rsa {
            return Ok(None);
        }
        let best = self
            .handle
            .best_supported_rsa_hash()
            .await
            .map_err(broken)?;
        Ok(Some(best.flatten().unwrap_or(HashAlg::Sha512)))
    }
}

fn broken(error: impl std::fmt::Display) -> LoginError {
    LoginError::Broken(error.to_string())
}

fn expand_home(file: &str) -> PathBuf {
    match (file.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(file),
    }
}
