//! How this person logs in to a machine: keys, agent, certificates, host keys known, times. Called by `connect` for
//! each connection, and recorded nowhere: it is another one's business on another one's desk.

use std::path::PathBuf;
use std::time::Duration;

use super::SshConfig;
use super::expand::{self, Tokens};
use super::resolve::{Asked, ConfigError};
use super::settings::{Place, Strictness};

/// How to log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// Files of private keys, in the order in which they are tried. Those of OpenSSH's defaults where none is named.
    pub identity_files: Vec<PathBuf>,
    /// Whether the files are named in the configuration.
    pub names_files: bool,
    /// Files of certificates for those keys.
    pub certificate_files: Vec<PathBuf>,
    /// Whether the agent signs for these keys alone.
    pub identities_only: bool,
    /// The agent's socket; `None` where nothing is said, an empty path where there shall be none.
    pub agent: Option<PathBuf>,
    /// The person's files of known hosts, where the configuration names them.
    pub user_known_hosts: Option<Vec<PathBuf>>,
    /// Those of the machine here.
    pub global_known_hosts: Option<Vec<PathBuf>>,
    /// The name that the host has in those files and in certificates.
    pub host_key_alias: Option<String>,
    /// Whether a host key that is not known is refused.
    pub refuses_unknown: bool,
    /// How long a connection may take.
    pub connect_timeout: Option<Duration>,
    /// After how much silence the server is asked whether it is there; zero for never.
    pub alive_interval: Option<Duration>,
    /// How often it is asked in vain.
    pub alive_count_max: Option<u32>,
    /// The `Match exec` lines that were passed over.
    pub passed_over: Vec<Place>,
}

impl SshConfig {
    /// How to log in to a machine that the configuration may know by `alias`.
    ///
    /// # Errors
    /// As for [`SshConfig::look_up`]; also when a path has a token or a variable that means nothing.
    pub fn login(
        &self,
        alias: &str,
        address: &str,
        user: &str,
        port: u16,
    ) -> Result<Login, ConfigError> {
        let asked = Asked {
            host: alias.to_owned(),
            user: Some(user.to_owned()),
            port: Some(port),
        };
        let found = self.look_up(&asked)?;
        let settings = found.settings;
        let host_key_alias = settings.host_key_alias;
        let hops = settings.jump.iter().flatten().flatten();
        let tokens = Tokens {
            host: address.to_owned(),
            asked: alias.to_owned(),
            port,
            user: user.to_owned(),
            alias: host_key_alias.clone().unwrap_or_else(|| alias.to_owned()),
            jump: hops
                .map(|hop| hop.host.as_str())
                .collect::<Vec<_>>()
                .join(","),
        };
        let path = |keyword: &'static str, text: &str| {
            expand::path(text, &tokens, &self.person)
                .map(PathBuf::from)
                .map_err(|why| ConfigError {
                    place: format!("`{keyword}` of `{alias}`"),
                    why,
                })
        };
        let paths = |keyword, texts: &[String]| -> Result<Vec<PathBuf>, ConfigError> {
            let named = texts
                .iter()
                .filter(|text| !text.eq_ignore_ascii_case("none"));
            named.map(|text| path(keyword, text)).collect()
        };
        let known = |keyword, files: Option<Vec<String>>| {
            files.map(|files| paths(keyword, &files)).transpose()
        };
        let names_files = !settings.identity_files.is_empty();
        let identity_files = if names_files {
            paths("IdentityFile", &settings.identity_files)?
        } else {
            self.default_files()
        };
        let agent = match settings.identity_agent.as_deref() {
            None | Some("SSH_AUTH_SOCK") => None,
            Some("none") => Some(PathBuf::new()),
            Some(text) => match text.strip_prefix('$').filter(|name| is_variable(name)) {
                Some(name) => Some(PathBuf::from(
                    self.person.variables.get(name).cloned().unwrap_or_default(),
                )),
                None => Some(path("IdentityAgent", text)?),
            },
        };
        let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
        Ok(Login {
            identity_files,
            names_files,
            certificate_files: paths("CertificateFile", &settings.certificate_files)?,
            identities_only: settings.identities_only.unwrap_or(false),
            agent,
            user_known_hosts: known("UserKnownHostsFile", settings.user_known_hosts)?,
            global_known_hosts: known("GlobalKnownHostsFile", settings.global_known_hosts)?,
            host_key_alias,
            refuses_unknown: settings.strictness == Some(Strictness::Yes),
            connect_timeout: settings
                .connect_timeout
                .filter(|time| *time > 0)
                .map(seconds),
            alive_interval: settings.alive_interval.map(seconds),
            alive_count_max: settings.alive_count_max,
            passed_over: found.passed_over,
        })
    }

    /// The files that OpenSSH looks for, as far as dmp can use such keys.
    fn default_files(&self) -> Vec<PathBuf> {
        if self.is_none() {
            return Vec::new();
        }
        let folder = self.person.home.join(".ssh");
        let names = ["id_rsa", "id_ecdsa", "id_ed25519"];
        names.into_iter().map(|name| folder.join(name)).collect()
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || char == '_')
}
