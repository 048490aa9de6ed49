//! How a machine is reached, and what can be done there: reading in one exchange, writing in detached batches.
//!
//! Types and a trait only; `transport` implements them over SSH.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::script::{Output, Script};
use crate::types::{Member, Type};

/// How to reach a machine over SSH. Equal connections are one connection.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Machine {
    /// Host name or IP address.
    pub address: String,
    /// TCP port of the SSH server.
    #[serde(default = "ssh_port")]
    pub port: u16,
    /// User to log in as.
    pub user: String,
    /// Path of the private key; without it and without `private_key` the agent is asked.
    #[serde(default)]
    pub key_file: Option<String>,
    /// The private key itself, in OpenSSH's form. Sensitive.
    #[serde(default)]
    pub private_key: Option<String>,
    /// Host keys that are accepted, as `ssh-ed25519 AAAA…`; empty before the first contact.
    #[serde(default)]
    pub host_keys: Vec<String>,
    /// Keys of authorities whose certificates a machine may show instead of a pinned key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_ca: Vec<String>,
    /// Whether commands run as another user by `sudo`: as `run_as`, or root.
    #[serde(default)]
    pub sudo: bool,
    /// The password that sudo asks for. Sensitive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo_password: Option<String>,
    /// As whom commands run by sudo; root where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// What the person's SSH configuration calls it, where that is not the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// How long it is waited for while it boots, in seconds; where nothing is said the transport decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_seconds: Option<u32>,
    /// Machines to go through, the nearest first.
    #[serde(default)]
    pub bastions: Vec<Machine>,
}

impl Default for Machine {
    /// Port 22, root, and nothing else.
    fn default() -> Self {
        Self {
            address: String::new(),
            port: ssh_port(),
            user: "root".into(),
            key_file: None,
            private_key: None,
            host_keys: Vec::new(),
            host_ca: Vec::new(),
            sudo: false,
            sudo_password: None,
            run_as: None,
            alias: None,
            boot_seconds: None,
            bastions: Vec::new(),
        }
    }
}

fn ssh_port() -> u16 {
    22
}

impl Machine {
    /// The type of a `connection` attribute in a schema; sensitive where a private key is inside.
    #[must_use]
    pub fn value_type() -> Type {
        let hop = Type::Object(Self::members().collect());
        let bastions = Member {
            ty: Type::list(hop),
            optional: true,
            default: None,
        };
        Type::Object(
            Self::members()
                .chain([("bastions".into(), bastions)])
                .collect(),
        )
    }

    fn members() -> impl Iterator<Item = (std::sync::Arc<str>, Member)> {
        let required = |ty| Member {
            ty,
            optional: false,
            default: None,
        };
        let optional = |ty, default: Option<crate::value::Value>| Member {
            ty,
            optional: true,
            default,
        };
        [
            ("address".into(), required(Type::String)),
            ("port".into(), optional(Type::Number, Some(22.into()))),
            ("user".into(), required(Type::String)),
            ("key_file".into(), optional(Type::String, None)),
            ("private_key".into(), optional(Type::String, None)),
            ("host_keys".into(), optional(Type::list(Type::String), None)),
            ("sudo".into(), optional(Type::Bool, Some(false.into()))),
            ("alias".into(), optional(Type::String, None)),
            ("host_ca".into(), optional(Type::list(Type::String), None)),
            ("sudo_password".into(), optional(Type::String, None)),
            ("run_as".into(), optional(Type::String, None)),
            ("boot_seconds".into(), optional(Type::Number, None)),
        ]
        .into_iter()
    }

    /// Reads a connection from a `connection` attribute's value.
    ///
    /// # Errors
    /// When a member is missing or has another type; the text never holds a value.
    pub fn from_value(value: &crate::value::Value) -> Result<Self, MachineError> {
        let mut json = crate::codec::to_json(value).ok_or(MachineError::Unknown)?;
        if let Some(members) = json.as_object_mut() {
            members.retain(|_, member| !member.is_null());
            if let Some(hops) = members
                .get_mut("bastions")
                .and_then(serde_json::Value::as_array_mut)
            {
                for hop in hops.iter_mut().filter_map(serde_json::Value::as_object_mut) {
                    hop.retain(|_, member| !member.is_null());
                }
            }
        }
        serde_json::from_value(json).map_err(|_| MachineError::Malformed)
    }

    /// The value of a `connection` attribute; private key and password are marked sensitive.
    #[must_use]
    pub fn to_value(&self) -> crate::value::Value {
        use crate::value::Value;
        let hop = |machine: &Self| {
            let secret = |text: &Option<String>| match text {
                Some(text) => Value::from(text.as_str()).marked(&crate::marks::Marks::sensitive()),
                None => Value::null(),
            };
            let list = |texts: &[String]| {
                Value::list(texts.iter().map(|text| text.as_str().into()).collect())
            };
            let host_ca = match machine.host_ca.is_empty() {
                true => Value::null(),
                false => list(&machine.host_ca),
            };
            let boot_seconds = machine.boot_seconds.map(i64::from);
            let boot_seconds = boot_seconds.map_or_else(Value::null, Value::from);
            Value::object_of([
                ("address", machine.address.as_str().into()),
                ("port", i64::from(machine.port).into()),
                ("user", machine.user.as_str().into()),
                ("key_file", machine.key_file.clone().into()),
                ("private_key", secret(&machine.private_key)),
                ("host_keys", list(&machine.host_keys)),
                ("sudo", machine.sudo.into()),
                ("alias", machine.alias.clone().into()),
                ("host_ca", host_ca),
                ("sudo_password", secret(&machine.sudo_password)),
                ("run_as", machine.run_as.clone().into()),
                ("boot_seconds", boot_seconds),
            ])
        };
        hop(self).with(
            "bastions",
            Value::list(self.bastions.iter().map(hop).collect()),
        )
    }

    /// As whom commands run by sudo; `None` where they run as the user who logs in.
    #[must_use]
    pub fn becomes(&self) -> Option<&str> {
        let target = self.run_as.as_deref().unwrap_or("root");
        (self.sudo && self.user != target).then_some(target)
    }

    /// What makes two connections the same: where to, as whom, and through what. Pins and keys are left out.
    #[must_use]
    pub fn key(&self) -> String {
        let mut key = format!(
            "{}@{}:{}{}",
            self.user,
            self.address,
            self.port,
            match (self.sudo, &self.run_as) {
                (false, _) => String::new(),
                (true, None) => "+sudo".into(),
                (true, Some(user)) => format!("+sudo={user}"),
            }
        );
        for hop in &self.bastions {
            key.push_str(&format!(" via {}@{}:{}", hop.user, hop.address, hop.port));
        }
        key
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Machine").field(&self.key()).finish()
    }
}

/// A value that is not a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// A part of it is known after apply.
    #[error("the connection is not known yet")]
    Unknown,
    /// It has not the members of a connection.
    #[error("this is not a connection: take it from a `host` resource's `connection`")]
    Malformed,
}

/// One thing to do on a machine, as data.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it does, for the screen: `install 4 packages`.
    pub title: String,
    /// The machine it runs on.
    pub on: Machine,
    /// Run first; status 0 means that there is nothing to do.
    pub check: Option<Script>,
    /// Does it.
    pub run: Script,
    /// After this time the step is ended and counts as failed.
    pub deadline: Duration,
    /// The position of an earlier step of the same work whose standard output is this one's standard input.
    pub takes: Option<usize>,
    /// Whether its standard output is needed by a later step. Kept in memory on both sides, never in a log.
    pub gives: bool,
    /// Whether the step only waits for something; such time is accounted for apart.
    pub waits: bool,
}

impl Step {
    /// A step without a check, with ten minutes to end in.
    #[must_use]
    pub fn new(title: impl Into<String>, on: &Machine, run: Script) -> Self {
        Self {
            title: title.into(),
            on: on.clone(),
            check: None,
            run,
            deadline: Duration::from_secs(600),
            takes: None,
            gives: false,
            waits: false,
        }
    }

    /// Sets the check: status 0 means that there is nothing to do.
    #[must_use]
    pub fn unless(mut self, check: Script) -> Self {
        self.check = Some(check);
        self
    }

    /// Sets the deadline.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Takes an earlier step's standard output as standard input.
    #[must_use]
    pub fn taking(mut self, earlier: usize) -> Self {
        self.takes = Some(earlier);
        self
    }

    /// Keeps the standard output for a later step.
    #[must_use]
    pub fn giving(mut self) -> Self {
        self.gives = true;
        self
    }

    /// Says that the step only waits.
    #[must_use]
    pub fn waiting(mut self) -> Self {
        self.waits = true;
        self
    }
}

/// What goes to one machine in one exchange, detached: it runs to its end whatever becomes of the connection.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Names the batch on the machine; the same id attaches, it never starts twice.
    pub id: String,
    /// In dependency order.
    pub items: Vec<BatchItem>,
}

/// What stands in a step's errors when the time of its item was over before the step was done; its status is 124 then.
pub const TIME_IS_OVER: &str = "ended by dmp: the time for the whole work is over";

/// One instance's part of a batch.
#[derive(Clone, Debug)]
pub struct BatchItem {
    /// The intent that the item carries out; files on the machine bear its name.
    pub key: String,
    /// What it is, for the machine's own log: the instance's address.
    pub label: String,
    /// Steps, all for the batch's machine.
    pub steps: Vec<Step>,
    /// How long all steps together may take, from the moment at which the first one begins.
    pub within: Option<Duration>,
    /// What is read when the steps are through or one has failed.
    pub read: Vec<Script>,
    /// Items (by position) that must have succeeded; otherwise this one is skipped.
    pub after: Vec<usize>,
}

/// What a running batch reports, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A step has begun.
    StepStarted {
        /// The item's key.
        item: String,
        /// The step's position.
        step: usize,
    },
    /// A step has ended.
    StepEnded {
        /// The item's key.
        item: String,
        /// The step's position.
        step: usize,
        /// What it left; the standard output is empty unless the step gives it.
        output: Output,
        /// Whether the check said that there was nothing to do.
        skipped: bool,
        /// How long it ran, in milliseconds by the machine's clock.
        milliseconds: u64,
    },
    /// An item has ended.
    ItemEnded {
        /// The item's key.
        item: String,
        /// How.
        end: ItemEnd,
        /// What its read scripts left.
        read: Vec<Output>,
    },
}

/// How an item of a batch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemEnd {
    /// All steps are done.
    Done,
    /// A step failed: its position.
    Failed(usize),
    /// An item that it needs did not succeed.
    Skipped,
    /// The machine went down inside it, or the runner was killed.
    Interrupted,
}

/// Why a machine could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// No connection: refused, no route, timed out, name unknown.
    #[error("{machine} can't be reached: {why}")]
    NoConnection {
        /// The connection's key.
        machine: String,
        /// In words.
        why: String,
    },
    /// The host key is not the known one.
    #[error(
        "{machine} shows another host key than {known}: {seen}; nothing was sent there. {help}"
    )]
    HostKeyChanged {
        /// The connection's key.
        machine: String,
        /// The fingerprint seen.
        seen: String,
        /// The key that it should be, and where that is known from: `the pinned one (SHA256:…)`.
        known: String,
        /// What to do, as a sentence.
        help: String,
    },
    /// Nobody knows the host key yet, and the SSH configuration has such keys refused.
    #[error(
        "{machine} shows a host key that nobody knows yet, {seen}, and the SSH configuration refuses such (StrictHostKeyChecking): \
         pin it by `host_key` once you have compared it"
    )]
    HostKeyUnknown {
        /// The connection's key.
        machine: String,
        /// The fingerprint seen.
        seen: String,
    },
    /// How it is reached can't be made out here: the SSH configuration is wrong.
    #[error("{machine} can't be reached: the SSH configuration here is wrong: {why}")]
    Misconfigured {
        /// The connection's key.
        machine: String,
        /// Where and why.
        why: String,
    },
    /// No key was accepted.
    #[error("{machine} accepts none of the keys offered: {why}")]
    Denied {
        /// The connection's key.
        machine: String,
        /// Which keys were tried.
        why: String,
    },
    /// Connected, but commands don't run: no sudo, no shell, no answer in time.
    #[error("{machine} runs no commands: {why}")]
    NoCommands {
        /// The connection's key.
        machine: String,
        /// In words.
        why: String,
    },
    /// The connection was lost on the way. What had begun goes on there.
    #[error("the connection to {machine} was lost: {why}")]
    Lost {
        /// The connection's key.
        machine: String,
        /// In words.
        why: String,
    },
    /// The user asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

/// A stream to something behind a machine.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What was read in one exchange.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// One output for each script, in order.
    pub outputs: Vec<Output>,
    /// The host key that the machine showed, as `ssh-ed25519 AAAA…`.
    pub host_key: String,
}

/// Machines over SSH: one connection each, shared by all who use an equal [`Machine`].
#[async_trait]
pub trait Machines: Send + Sync {
    /// Runs read scripts in one exchange. They change nothing; each runs even if one before it fails.
    async fn read(
        &self,
        on: &Machine,
        scripts: &[Script],
        deadline: Duration,
    ) -> Result<Exchange, Unreachable>;

    /// Starts a batch detached, or attaches to the one of the same id, and reports until its end. A lost
    /// connection is made again within the deadlines of the steps.
    async fn run(
        &self,
        on: &Machine,
        batch: &Batch,
        reports: mpsc::Sender<Report>,
    ) -> Result<(), Unreachable>;

    /// Waits for the end of a batch begun in an earlier run, reporting as [`Machines::run`] does. `false` if the
    /// machine knows no such batch: it never began, or was forgotten.
    async fn settle(
        &self,
        on: &Machine,
        batch: &str,
        reports: mpsc::Sender<Report>,
    ) -> Result<bool, Unreachable>;

    /// Removes the files of batches whose results are recorded.
    async fn forget(&self, on: &Machine, batches: &[String]) -> Result<(), Unreachable>;

    /// Opens a stream from the machine to an address behind it.
    async fn open_stream(
        &self,
        on: &Machine,
        host: &str,
        port: u16,
    ) -> Result<Box<dyn Stream>, Unreachable>;

    /// Closes all connections.
    async fn close(&self);

    /// How many logins and exchanges there were so far, for the report and for tests that count.
    fn counts(&self) -> Counts;
}

/// What went over the wire so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Connections made and authenticated.
    pub logins: u64,
    /// Exchanges: one read or one batch each.
    pub exchanges: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            address: "10.0.0.1".into(),
            port: 22,
            user: "debian".into(),
            key_file: None,
            private_key: Some("KEY".into()),
            host_keys: vec!["ssh-ed25519 AAAA".into()],
            host_ca: vec!["ssh-ed25519 BBBB".into()],
            sudo: true,
            sudo_password: Some("PASSWORD".into()),
            run_as: Some("postgres".into()),
            alias: Some("db".into()),
            boot_seconds: Some(900),
            bastions: Vec::new(),
        }
    }

    #[test]
    fn a_connection_survives_its_value_and_never_prints_its_key() {
        let mut machine = machine();
        machine.bastions = vec![self::machine()];
        let value = machine.to_value();
        assert!(value.get("private_key").marks().is_sensitive());
        assert!(value.get("sudo_password").marks().is_sensitive());
        let converted =
            crate::convert(&value, &Machine::value_type(), crate::Strictness::Exact).expect("fits");
        assert_eq!(Machine::from_value(&converted), Ok(machine.clone()));
        let shown = format!("{machine:?}");
        assert!(!shown.contains("KEY") && !shown.contains("PASSWORD"));
    }
}
