//! Which host keys are accepted: exactly the pinned ones; else those in `known_hosts`; else the first one seen, which
//! is remembered for this run and shown to the engine, so that it can be pinned.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use dmp_sdk::{Machine, Unreachable};
use russh::client::Handler;
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate};

use crate::known_hosts;
use crate::options::Options;

/// The host keys that were accepted at first contact in this run, by place.
#[derive(Clone, Debug, Default)]
pub(crate) struct FirstContacts(Arc<Mutex<HashMap<String, String>>>);

impl FirstContacts {
    fn get(&self, place: &str) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(place)
            .cloned()
    }

    /// Remembers a key for a place, unless another one came first. Whether the key is the remembered one.
    fn accept(&self, place: &str, key: &str) -> bool {
        let mut contacts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        contacts
            .entry(place.to_owned())
            .or_insert_with(|| key.to_owned())
            == key
    }
}

/// What is accepted from one machine.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    place: String,
    accepted: Vec<String>,
    revoked: Vec<String>,
    contacts: FirstContacts,
}

impl Policy {
    /// Reads what is known of the machine.
    pub(crate) async fn of(
        machine: &Machine,
        options: &Options,
        contacts: &FirstContacts,
    ) -> Result<Self, Unreachable> {
        let mut place = format!("{}:{}", machine.address, machine.port);
        for hop in &machine.bastions {
            place.push_str(&format!(" via {}:{}", hop.address, hop.port));
        }
        let mut policy = Self {
            accepted: machine.host_keys.iter().map(|key| plain(key)).collect(),
            revoked: Vec::new(),
            contacts: contacts.clone(),
            place,
        };
        if policy.accepted.is_empty()
            && let Some(file) = &options.known_hosts
        {
            let known = known_hosts::look_up(file, &machine.address, machine.port)
                .await
                .map_err(|error| Unreachable::NoConnection {
                    machine: machine.key(),
                    why: format!("`{}` can't be read: {error}", file.display()),
                })?;
            policy.accepted = known.keys;
            policy.revoked = known.revoked;
        }
        if policy.accepted.is_empty() {
            policy.accepted = policy.contacts.get(&policy.place).into_iter().collect();
        }
        Ok(policy)
    }

    /// The algorithms to ask for, so that a server with several keys shows one that can be compared. `None`: any.
    pub(crate) fn algorithms(&self) -> Option<Cow<'static, [Algorithm]>> {
        let mut algorithms = Vec::new();
        for key in &self.accepted {
            let name = key.split(' ').next().unwrap_or_default();
            match Algorithm::new(name) {
                Ok(Algorithm::Rsa { .. }) => {
                    algorithms.push(Algorithm::Rsa {
                        hash: Some(HashAlg::Sha512),
                    });
                    algorithms.push(Algorithm::Rsa {
                        hash: Some(HashAlg::Sha256),
                    });
                }
                Ok(algorithm) => algorithms.push(algorithm),
                Err(_) => {}
            }
        }
        algorithms.dedup();
        (!algorithms.is_empty()).then_some(Cow::Owned(algorithms))
    }

    fn accepts(&self, key: &str) -> bool {
        if self.revoked.iter().any(|revoked| revoked == key) {
            return false;
        }
        if self.accepted.is_empty() {
            return self.contacts.accept(&self.place, key);
        }
        self.accepted.iter().any(|accepted| accepted == key)
    }
}

/// Whether a connection that showed `key` may serve a machine with these pins.
pub(crate) fn fits_pins(machine: &Machine, key: &str) -> bool {
    machine.host_keys.is_empty() || machine.host_keys.iter().any(|pin| plain(pin) == key)
}

/// The fingerprint of a key written as `ssh-ed25519 AAAA…`, in the form that `ssh-keygen -l` shows: `SHA256:…`.
#[must_use]
pub fn fingerprint(host_key: &str) -> Option<String> {
    let key = PublicKey::from_openssh(host_key).ok()?;
    Some(key.fingerprint(HashAlg::Sha256).to_string())
}

/// A key without its comment.
fn plain(key: &str) -> String {
    let mut words = key.split_ascii_whitespace();
    match (words.next(), words.next()) {
        (Some(algorithm), Some(data)) => format!("{algorithm} {data}"),
        _ => key.trim().to_owned(),
    }
}

/// What a server showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// As `ssh-ed25519 AAAA…`.
    pub(crate) key: String,
    /// `SHA256:…`.
    pub(crate) fingerprint: String,
}

/// The client's side of a session: only judges the host key.
#[derive(Debug)]
pub(crate) struct Client {
    policy: Policy,
    seen: Arc<Mutex<Option<Seen>>>,
}

impl Client {
    /// A judge by a policy, and the place where it leaves what it saw.
    pub(crate) fn new(policy: Policy) -> (Self, Arc<Mutex<Option<Seen>>>) {
        let seen = Arc::new(Mutex::new(None));
        let client = Self {
            policy,
            seen: Arc::clone(&seen),
        };
        (client, seen)
    }
}

impl Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let key = shown.public_key();
        let text = plain(&key.to_openssh()?);
        let accepted = shown.certificate().is_none() && self.policy.accepts(&text);
        let seen = Seen {
            key: text,
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        Ok(accepted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(accepted: &[&str]) -> Policy {
        Policy {
            place: "node:22".into(),
            accepted: accepted.iter().map(|key| plain(key)).collect(),
            revoked: vec!["ssh-rsa BAD".into()],
            contacts: FirstContacts::default(),
        }
    }

    #[test]
    fn with_pins_exactly_these_are_accepted() {
        let policy = policy(&["ssh-ed25519 AAAA root@node", "ssh-rsa BBBB"]);
        assert!(policy.accepts("ssh-ed25519 AAAA") && policy.accepts("ssh-rsa BBBB"));
        assert!(!policy.accepts("ssh-ed25519 CCCC"));
        assert_eq!(policy.algorithms().map(|all| all.len()), Some(3));
    }

    #[test]
    fn without_pins_the_first_key_stays_the_only_one_for_the_run() {
        let policy = policy(&[]);
        assert!(!policy.accepts("ssh-rsa BAD"));
        assert!(policy.accepts("ssh-ed25519 AAAA"));
        assert!(!policy.accepts("ssh-ed25519 CCCC"));
        assert!(policy.accepts("ssh-ed25519 AAAA"));
        assert_eq!(policy.algorithms(), None);
    }
}
