//! How connections are made: times, known hosts, and who is told what is waited for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dmp_sdk::{Machine, Unreachable};

use crate::host_keys::fingerprint;
use crate::ssh_config::{Login, SshConfig};

/// Told what is waited for: the connection's key, and a line such as `waits for port 22: it refuses the connection`.
pub type Progress = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// Asked about a pinned host key, as `ssh-ed25519 AAAA…`, when a machine shows another one: since when it is pinned, such as
/// `pinned on 2026-03-01 by …`, where that is known.
pub type PinHistory = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// How machines are reached.
#[derive(Clone)]
pub struct Options {
    /// How long each part of one attempt may take: the port, the handshake, the login.
    pub connect_timeout: Duration,
    /// How long a machine that does not answer is waited for before a write, and by [`crate::Ssh::patient`] reads, where its
    /// connection says nothing of that.
    pub boot_wait: Duration,
    /// Hosts that the person has accepted before: files that may be there, looked into where the SSH configuration
    /// names none.
    pub known_hosts: Vec<PathBuf>,
    /// The same for everybody here.
    pub global_known_hosts: Vec<PathBuf>,
    /// How the person who runs dmp logs in to which machine.
    pub ssh_config: SshConfig,
    /// The socket of the SSH agent; `None` to ask no agent.
    pub agent: Option<PathBuf>,
    /// Told what is waited for.
    pub progress: Progress,
    /// Asked since when a key is pinned.
    pub pin_history: PinHistory,
}

impl Options {
    /// Ten seconds for an attempt, five minutes for a boot, no known hosts, no SSH configuration, no agent, nobody told.
    #[must_use]
    pub fn new() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            boot_wait: Duration::from_secs(300),
            known_hosts: Vec::new(),
            global_known_hosts: Vec::new(),
            ssh_config: SshConfig::none(),
            agent: None,
            progress: Arc::new(|_, _| ()),
            pin_history: Arc::new(|_| None),
        }
    }

    /// The same with the SSH configuration and the known hosts of the person, and the agent of `SSH_AUTH_SOCK`.
    #[must_use]
    pub fn from_environment() -> Self {
        let home = std::env::home_dir();
        Self {
            known_hosts: home
                .map(|home| both(&home.join(".ssh/known_hosts")))
                .unwrap_or_default(),
            global_known_hosts: both(Path::new("/etc/ssh/ssh_known_hosts")),
            ssh_config: SshConfig::from_environment(),
            agent: std::env::var_os("SSH_AUTH_SOCK")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            ..Self::new()
        }
    }

    /// How long this machine may take to boot.
    pub(crate) fn boot_wait(&self, machine: &Machine) -> Duration {
        let own = machine.boot_seconds.map(u64::from);
        own.map_or(self.boot_wait, Duration::from_secs)
    }

    /// How to log in to a machine.
    pub(crate) fn login(&self, machine: &Machine) -> Result<Login, Unreachable> {
        let alias = machine.alias.as_ref().unwrap_or(&machine.address);
        let login = self
            .ssh_config
            .login(alias, &machine.address, &machine.user, machine.port);
        login.map_err(|error| Unreachable::Misconfigured {
            machine: machine.key(),
            why: error.to_string(),
        })
    }

    /// The pinned keys by their fingerprints, each with since when it is pinned.
    pub(crate) fn pinned(&self, keys: &[String]) -> String {
        let words = |key: &String| {
            let fingerprint = fingerprint(key)?;
            Some(match (self.pin_history)(key) {
                Some(since) => format!("{fingerprint}, {since}"),
                None => fingerprint,
            })
        };
        let pins: Vec<String> = keys.iter().filter_map(words).collect();
        format!("the pinned one ({})", pins.join("; "))
    }

    pub(crate) fn tell(&self, machine: &Machine, line: &str) {
        (self.progress)(&machine.key(), line);
    }
}

/// OpenSSH looks into a file of known hosts and into a second one beside it.
fn both(file: &Path) -> Vec<PathBuf> {
    let second = format!("{}2", file.display());
    vec![file.to_owned(), PathBuf::from(second)]
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("connect_timeout", &self.connect_timeout)
            .field("boot_wait", &self.boot_wait)
            .field("known_hosts", &self.known_hosts)
            .field("ssh_config", &self.ssh_config)
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}
