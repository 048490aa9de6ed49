//! What goes wrong between dmp and the API. Status, reason and the messages of single parameters stay apart; printed it is
//! a sentence. It never holds what was sent.

use std::collections::BTreeMap;
use std::fmt;

use dmp_sdk::{Diagnostic, FetchFailure};
use serde_json::Value as Json;

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// The API has answered, and said no.
    Refused(Refusal),
    /// The node that the request is for can't be reached by the one that was asked (595).
    NodeDown {
        /// What was asked.
        request: String,
        /// The reason that came with it.
        why: String,
    },
    /// None of the endpoints can be reached, or the answer to a reading request was broken off each time.
    Unreachable(String),
    /// A writing request was sent and its answer is lost: it may have been carried out.
    Unknown {
        /// What was asked.
        request: String,
        /// What became of the answer.
        why: String,
    },
    /// A task has failed.
    Task(TaskFailure),
    /// The answer is not what such an answer looks like.
    NotUnderstood(String),
    /// The person asked to stop, or a wait has ended.
    Ended(Box<Diagnostic>),
}

/// A refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What was asked: method and path.
    pub request: String,
    /// The status of the answer.
    pub status: u16,
    /// What it says: the body's message, else the reason phrase of the status line.
    pub message: String,
    /// What is wrong with single parameters.
    pub errors: BTreeMap<String, String>,
}

/// A task that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskFailure {
    /// What it did: `qmstart` and the like.
    pub kind: String,
    /// How it ended.
    pub exit: String,
    /// The last lines of its log.
    pub tail: Vec<String>,
}

impl Refusal {
    /// Makes a refusal of what came.
    pub(crate) fn of(request: String, status: u16, reason: &str, body: &Json) -> Self {
        let message = body["message"].as_str().map(str::trim);
        let message = message
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| reason.trim());
        let errors = body["errors"].as_object().into_iter().flatten();
        let errors = errors.filter_map(|(name, why)| {
            Some((name.clone(), crate::values::as_text(why)?.trim().to_owned()))
        });
        Self {
            request,
            status,
            message: message.to_owned(),
            errors: errors.collect(),
        }
    }

    /// Whether one of the texts is in what it says.
    pub(crate) fn says(&self, texts: &[&str]) -> bool {
        let said = std::iter::once(&self.message).chain(self.errors.values());
        said.into_iter()
            .any(|said| texts.iter().any(|text| said.contains(text)))
    }
}

impl ApiError {
    fn says(&self, texts: &[&str]) -> bool {
        match self {
            Self::Refused(refusal) => refusal.says(texts),
            Self::Task(failure) => {
                let tail = failure.tail.iter();
                let mut said = tail.chain(std::iter::once(&failure.exit));
                said.any(|said| texts.iter().any(|text| said.contains(text)))
            }
            _ => false,
        }
    }

    /// Whether it says that there is no such object. Only the listing says so with authority.
    pub(crate) fn is_missing(&self) -> bool {
        self.says(&["does not exist", "no such", "unable to find"])
    }

    /// Whether it says that the id or the name is taken.
    pub(crate) fn is_taken(&self) -> bool {
        self.says(&["already exists", "already defined"])
    }

    /// Whether a lock was not to be had in time. It is raised before the work begins.
    pub(crate) fn is_lock_timeout(&self) -> bool {
        self.says(&["got timeout", "got lock request timeout", "can't lock file"])
            && !self.says(&["powerdown failed", "quit/powerdown"])
    }

    /// Whether the guest's configuration has a lock.
    pub(crate) fn is_locked(&self) -> bool {
        self.says(&["VM is locked", "CT is locked"])
    }

    /// Whether the configuration has changed since it was read.
    pub(crate) fn is_stale(&self) -> bool {
        self.says(&["checksum mismatch", "detected modified configuration"])
    }

    /// Whether what became of a write is not known.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }

    /// As a failed fetch.
    pub(crate) fn failure(&self) -> FetchFailure {
        let words = self.to_string();
        match self {
            Self::NodeDown { .. } | Self::Unreachable(_) | Self::Unknown { .. } => {
                FetchFailure::Unreachable(words)
            }
            Self::Refused(refusal) if matches!(refusal.status, 429 | 502 | 503 | 504) => {
                FetchFailure::Unreachable(words)
            }
            _ => FetchFailure::Refused(words),
        }
    }

    /// As a diagnostic of something that could not be done: `cannot start the machine`.
    pub(crate) fn diagnostic(&self, cannot: &str) -> Diagnostic {
        if let Self::Ended(diagnostic) = self {
            return diagnostic.as_ref().clone();
        }
        let diagnostic = Diagnostic::remote("proxmox", cannot).cause(self.to_string());
        match self.help() {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }

    fn help(&self) -> Option<&'static str> {
        match self {
            Self::Unknown { .. } => Some("run it again: what has come of it is looked up"),
            Self::Refused(refusal) if refusal.status == 403 => Some(
                "give the token this privilege on this path; a token with privilege separation needs an entry of its own",
            ),
            Self::Refused(refusal) if refusal.status == 401 => {
                Some("compare `api_token`, or `username` and `password`")
            }
            Self::Refused(_) if self.says(&["no quorum", "/etc/pve/"]) => Some(
                "the cluster has no quorum: nothing can be changed until more of its nodes are up",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => {
                let message = first_of(&refusal.message);
                write!(f, "{} ({} {})", message, refusal.request, refusal.status)?;
                for (name, why) in &refusal.errors {
                    write!(f, "; `{name}`: {why}")?;
                }
                Ok(())
            }
            Self::NodeDown { request, why } => {
                write!(f, "the node of {request} can't be reached: {why}")
            }
            Self::Unreachable(why) => f.write_str(why),
            Self::Unknown { request, why } => {
                write!(f, "whether {request} was carried out is not known: {why}")
            }
            Self::Task(failure) => {
                write!(f, "the task `{}` failed: {}", failure.kind, failure.exit)?;
                for line in &failure.tail {
                    write!(f, "\n  {line}")?;
                }
                Ok(())
            }
            Self::NotUnderstood(why) => write!(f, "the API gave an answer of another form: {why}"),
            Self::Ended(diagnostic) => write!(f, "{diagnostic}"),
        }
    }
}

fn first_of(message: &str) -> &str {
    let message = message.trim().trim_end_matches('.');
    match message {
        "" => "the API gave no reason",
        message => message,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(status: u16, reason: &str, body: &Json) -> ApiError {
        ApiError::Refused(Refusal::of("PUT /x".into(), status, reason, body))
    }

    #[test]
    fn the_text_is_taken_from_the_body_or_from_the_status_line() {
        let new = json!({ "data": null, "message": "VM is locked (backup)\n" });
        let old = json!({ "data": null });
        for error in [
            refused(500, "VM is locked (backup)", &new),
            refused(500, "VM is locked (backup)", &old),
        ] {
            assert!(error.is_locked());
            assert_eq!(error.to_string(), "VM is locked (backup) (PUT /x 500)");
        }
    }

    #[test]
    fn what_is_wrong_with_a_parameter_is_said() {
        let body = json!({
            "data": null, "message": "Parameter verification failed.\n",
            "errors": { "net2": "hotplug problem - no such bridge\n" },
        });
        let error = refused(400, "Parameter verification failed.", &body);
        assert_eq!(
            error.to_string(),
            "Parameter verification failed (PUT /x 400); `net2`: hotplug problem - no such bridge"
        );
    }

    #[test]
    fn texts_are_recognised_as_the_server_writes_them() {
        let of = |text: &str| refused(500, text, &Json::Null);
        assert!(of("Configuration file 'nodes/a/qemu-server/1.conf' does not exist").is_missing());
        assert!(of("unable to create VM 103 - VM 103 already exists on node 'pvec2'").is_taken());
        assert!(of("unable to create VM 702: config file already exists").is_taken());
        assert!(of("checksum mismatch (file change by other user?)").is_stale());
        assert!(
            of("can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout")
                .is_lock_timeout()
        );
        assert!(of("cfs-lock 'storage-x' error: got lock request timeout").is_lock_timeout());
        assert!(!of("VM quit/powerdown failed - got timeout").is_lock_timeout());
    }
}
