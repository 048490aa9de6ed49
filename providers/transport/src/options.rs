//! How connections are made: times, known hosts, and who is told what is waited for.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dmp_sdk::Machine;

/// Told what is waited for: the connection's key, and a line such as `waits for port 22: it refuses the connection`.
pub type Progress = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// How machines are reached.
#[derive(Clone)]
pub struct Options {
    /// How long each part of one attempt may take: the port, the handshake, the login.
    pub connect_timeout: Duration,
    /// How long a machine that does not answer is waited for before a write, and by [`crate::Ssh::patient`] reads.
    pub boot_wait: Duration,
    /// Hosts that a person has accepted before; `None` to look nowhere.
    pub known_hosts: Option<PathBuf>,
    /// The socket of the SSH agent; `None` to ask no agent.
    pub agent: Option<PathBuf>,
    /// Told what is waited for.
    pub progress: Progress,
}

impl Options {
    /// Ten seconds for an attempt, five minutes for a boot, no known hosts, no agent, nobody told.
    #[must_use]
    pub fn new() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            boot_wait: Duration::from_secs(300),
            known_hosts: None,
            agent: None,
            progress: Arc::new(|_, _| ()),
        }
    }

    /// The same with `~/.ssh/known_hosts` and the agent of `SSH_AUTH_SOCK`.
    #[must_use]
    pub fn from_environment() -> Self {
        Self {
            known_hosts: std::env::home_dir().map(|home| home.join(".ssh/known_hosts")),
            agent: std::env::var_os("SSH_AUTH_SOCK")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            ..Self::new()
        }
    }

    pub(crate) fn tell(&self, machine: &Machine, line: &str) {
        (self.progress)(&machine.key(), line);
    }
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
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}
