//! Logging in with keys: the text in the connection, a key file, or the agent. Never a password.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dmp_sdk::{Machine, Unreachable};
use russh::client::{AuthResult, Handle};
use russh::keys::agent::client::AgentClient;
use russh::keys::{self, HashAlg, PrivateKey, PrivateKeyWithHashAlg};

use crate::host_keys::Client;
use crate::options::Options;

/// Where the key comes from.
pub(crate) enum Identity {
    /// A key that dmp holds, and how it is called in messages.
    Key(Arc<PrivateKey>, String),
    /// The agent behind a socket.
    Agent(PathBuf),
}

/// Why a login did not succeed.
pub(crate) enum LoginError {
    /// The server accepts none of the keys: in words, which.
    Denied(String),
    /// The connection broke.
    Broken(String),
}

impl Identity {
    /// Finds the key of a machine before anything is connected, so a bad key file is not blamed on the server.
    pub(crate) async fn of(machine: &Machine, options: &Options) -> Result<Self, Unreachable> {
        let denied = |why| Unreachable::Denied {
            machine: machine.key(),
            why,
        };
        if let Some(text) = &machine.private_key {
            let key = decode(text).map_err(|why| denied(format!("`private_key` {why}")))?;
            return Ok(Self::Key(Arc::new(key), "`private_key`".into()));
        }
        if let Some(file) = &machine.key_file {
            let path = expand_home(file);
            let text = tokio::fs::read_to_string(&path)
                .await
                .map_err(|error| denied(format!("the key file `{file}` can't be read: {error}")))?;
            let key =
                decode(&text).map_err(|why| denied(format!("the key file `{file}` {why}")))?;
            return Ok(Self::Key(Arc::new(key), format!("the key file `{file}`")));
        }
        match &options.agent {
            Some(socket) => Ok(Self::Agent(socket.clone())),
            None => Err(denied(
                "no `private_key` and no `key_file` is given, and there is no SSH agent (SSH_AUTH_SOCK)".into(),
            )),
        }
    }

    /// Logs in.
    pub(crate) async fn log_in(
        &self,
        handle: &mut Handle<Client>,
        user: &str,
    ) -> Result<(), LoginError> {
        match self {
            Self::Key(key, name) => {
                let hash = rsa_hash(handle, key.algorithm().is_rsa()).await?;
                let with_hash = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
                let result = handle
                    .authenticate_publickey(user, with_hash)
                    .await
                    .map_err(broken)?;
                if result.success() {
                    return Ok(());
                }
                let fingerprint = key.fingerprint(HashAlg::Sha256);
                Err(LoginError::Denied(format!(
                    "{name} ({fingerprint}){}",
                    hint(&result)
                )))
            }
            Self::Agent(socket) => log_in_with_agent(handle, user, socket).await,
        }
    }
}

async fn log_in_with_agent(
    handle: &mut Handle<Client>,
    user: &str,
    socket: &Path,
) -> Result<(), LoginError> {
    let of_agent = |error| {
        LoginError::Denied(format!(
            "the SSH agent at `{}` does not answer: {error}",
            socket.display()
        ))
    };
    let mut agent = AgentClient::connect_uds(socket).await.map_err(of_agent)?;
    let identities = agent.request_identities().await.map_err(of_agent)?;
    let mut tried = Vec::new();
    for identity in identities {
        let key = identity.public_key().into_owned();
        let hash = rsa_hash(handle, key.algorithm().is_rsa()).await?;
        tried.push(key.fingerprint(HashAlg::Sha256).to_string());
        match handle
            .authenticate_publickey_with(user, key, hash, &mut agent)
            .await
        {
            Ok(AuthResult::Success) => return Ok(()),
            Ok(AuthResult::Failure { .. }) => {}
            Err(error) if handle.is_closed() => {
                let why = format!("{} keys of the SSH agent, then: {error}", tried.len());
                return Err(LoginError::Denied(why));
            }
            Err(_) => {}
        }
    }
    Err(LoginError::Denied(if tried.is_empty() {
        "the SSH agent holds no key".into()
    } else {
        format!("keys of the SSH agent: {}", tried.join(", "))
    }))
}

/// The hash for an RSA key: SHA-2, never the SHA-1 of old servers.
async fn rsa_hash(handle: &Handle<Client>, is_rsa: bool) -> Result<Option<HashAlg>, LoginError> {
    if !is_rsa {
        return Ok(None);
    }
    let best = handle.best_supported_rsa_hash().await.map_err(broken)?;
    Ok(Some(best.flatten().unwrap_or(HashAlg::Sha512)))
}

fn hint(result: &AuthResult) -> &'static str {
    match result {
        AuthResult::Failure {
            partial_success: true,
            ..
        } => "; it is accepted, but the server asks for a second factor",
        _ => "",
    }
}

fn broken(error: impl std::fmt::Display) -> LoginError {
    LoginError::Broken(error.to_string())
}

fn decode(text: &str) -> Result<PrivateKey, String> {
    // A text that lost its last newline on its way through a file function is still a key.
    let text = format!("{}\n", text.trim());
    keys::decode_secret_key(&text, None).map_err(|error| match error {
        keys::Error::KeyIsEncrypted => {
            "is encrypted: load it into an SSH agent, or use a key without a passphrase".into()
        }
        error => format!("is no private key that dmp can use: {error}"),
    })
}

fn expand_home(file: &str) -> PathBuf {
    match (file.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(file),
    }
}
