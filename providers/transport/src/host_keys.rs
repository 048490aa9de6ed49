//! Which host keys are accepted: exactly the pinned ones, and those with a certificate of an authority that is named;
//! else those in `known_hosts` and of the authorities there; else the first one seen, which is remembered for this run
//! and shown to the engine, so that it can be pinned.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use dmp_sdk::{Machine, Unreachable};
use russh::client::Handler;
use russh::keys::{Algorithm, Certificate, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate};

use crate::host_certificates::Trust;
use crate::known_hosts;
use crate::options::Options;
use crate::ssh_config::Login;

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

/// Where a key is known from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// It is pinned.
    Pin,
    /// It stands in a file of known hosts, under a name.
    File(PathBuf, String),
    /// It was accepted earlier in this run, or nothing is known.
    Run,
}

/// What is accepted from one machine.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    place: String,
    accepted: Vec<String>,
    /// Where the accepted keys are known from.
    source: Source,
    revoked: Vec<String>,
    /// Keys whose certificates are accepted. With one a plain key has to be known: none is taken at first contact.
    authorities: Vec<String>,
    /// The name that a certificate has to be for.
    name: String,
    /// Whether a key that nobody knows yet is refused.
    refuses_unknown: bool,
    contacts: FirstContacts,
}

impl Policy {
    /// Reads what is known of the machine.
    pub(crate) async fn of(
        machine: &Machine,
        login: &Login,
        options: &Options,
        contacts: &FirstContacts,
    ) -> Result<Self, Unreachable> {
        let mut place = format!("{}:{}", machine.address, machine.port);
        for hop in &machine.bastions {
            place.push_str(&format!(" via {}:{}", hop.address, hop.port));
        }
        let mut policy = Self {
            accepted: machine.host_keys.iter().map(|key| plain(key)).collect(),
            source: Source::Pin,
            revoked: Vec::new(),
            authorities: machine.host_ca.iter().map(|key| plain(key)).collect(),
            name: login
                .host_key_alias
                .clone()
                .unwrap_or_else(|| machine.address.clone()),
            refuses_unknown: login.refuses_unknown,
            contacts: contacts.clone(),
            place,
        };
        let is_pinned = !policy.accepted.is_empty() || !policy.authorities.is_empty();
        let name = match &login.host_key_alias {
            Some(alias) => known_hosts::name(alias, 22),
            None => known_hosts::name(&machine.address, machine.port),
        };
        for file in known_hosts_files(login, options) {
            let known = known_hosts::look_up(file, &name).await.map_err(|error| {
                Unreachable::Misconfigured {
                    machine: machine.key(),
                    why: format!("`{}` can't be read: {error}", file.display()),
                }
            })?;
            // A pin is a decision of its own; that a key was revoked counts all the same.
            if !is_pinned {
                if !known.keys.is_empty() || !known.authorities.is_empty() {
                    policy.source = Source::File(file.clone(), name.clone());
                }
                policy.accepted.extend(known.keys);
                policy.authorities.extend(known.authorities);
            }
            policy.revoked.extend(known.revoked);
        }
        if policy.accepted.is_empty() && policy.authorities.is_empty() && !policy.refuses_unknown {
            policy.source = Source::Run;
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

    /// The algorithms of certificates to ask for: all, where an authority is trusted.
    pub(crate) fn certificates(&self) -> Cow<'static, [Algorithm]> {
        if self.authorities.is_empty() {
            return Cow::Borrowed(&[]);
        }
        let curves = [
            EcdsaCurve::NistP256,
            EcdsaCurve::NistP384,
            EcdsaCurve::NistP521,
        ];
        let ecdsa = curves.into_iter().map(|curve| Algorithm::Ecdsa { curve });
        let hashes = [HashAlg::Sha512, HashAlg::Sha256];
        let rsa = hashes
            .into_iter()
            .map(|hash| Algorithm::Rsa { hash: Some(hash) });
        std::iter::once(Algorithm::Ed25519)
            .chain(ecdsa)
            .chain(rsa)
            .collect()
    }

    fn judge(&self, certificate: &Certificate) -> Result<(), String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let trust = Trust {
            authorities: &self.authorities,
            revoked: &self.revoked,
            name: &self.name,
            now: now.map_or(0, |since| since.as_secs()),
        };
        trust.judge(certificate)
    }

    /// Why a key was not accepted.
    pub(crate) fn refused(&self, machine: &Machine, seen: &Seen, options: &Options) -> Unreachable {
        let machine = machine.key();
        if !self.authorities.is_empty() {
            let authorities = self.authorities.iter().filter_map(|key| fingerprint(key));
            let authorities: Vec<String> = authorities.collect();
            let why = match &seen.wrong_certificate {
                Some(why) => format!("its certificate {why}"),
                None => "it shows no certificate".to_owned(),
            };
            return Unreachable::HostKeyChanged {
                machine,
                seen: format!("{} ({why})", seen.fingerprint),
                known: format!("one with a certificate of {}", authorities.join(", ")),
                help: "Have its key signed for this name by the authority, or pin the key by `host_key`".into(),
            };
        }
        let seen = seen.fingerprint.clone();
        if self.accepted.is_empty() && self.refuses_unknown {
            return Unreachable::HostKeyUnknown { machine, seen };
        }
        let known: Vec<String> = self
            .accepted
            .iter()
            .filter_map(|key| fingerprint(key))
            .collect();
        let known = known.join(", ");
        let (known, help) = match &self.source {
            Source::Pin => (options.pinned(&self.accepted), IF_PINNED.to_owned()),
            Source::File(file, name) => (
                format!("the one in `{}` ({known})", file.display()),
                format!(
                    "If it was made anew, `ssh-keygen -f {} -R '{name}'` forgets the old key; otherwise somebody stands between",
                    file.display()
                ),
            ),
            Source::Run if self.accepted.is_empty() => (
                "those accepted: it is revoked".to_owned(),
                "Find out why it was revoked".to_owned(),
            ),
            Source::Run => (
                format!("a moment ago ({known})"),
                "Two machines answer at this address, or somebody stands between".to_owned(),
            ),
        };
        Unreachable::HostKeyChanged {
            machine,
            seen,
            known,
            help,
        }
    }

    fn accepts(&self, key: &str) -> bool {
        if self.revoked.iter().any(|revoked| revoked == key) {
            return false;
        }
        if self.accepted.is_empty() {
            return self.authorities.is_empty()
                && !self.refuses_unknown
                && self.contacts.accept(&self.place, key);
        }
        self.accepted.iter().any(|accepted| accepted == key)
    }
}

/// The files of known hosts: those of the SSH configuration, and the usual ones where it names none.
fn known_hosts_files<'a>(
    login: &'a Login,
    options: &'a Options,
) -> impl Iterator<Item = &'a PathBuf> {
    let own = login.user_known_hosts.as_ref();
    let global = login.global_known_hosts.as_ref();
    own.unwrap_or(&options.known_hosts)
        .iter()
        .chain(global.unwrap_or(&options.global_known_hosts))
}

/// Whether a connection that showed `key` may serve a machine with these pins.
pub(crate) fn fits_pins(machine: &Machine, key: &str) -> bool {
    machine.host_keys.is_empty() || machine.host_keys.iter().any(|pin| plain(pin) == key)
}

/// A connection that is open already showed another key than the machine's pins.
pub(crate) fn another_pin(machine: &Machine, key: &str, options: &Options) -> Unreachable {
    let pins: Vec<String> = machine.host_keys.iter().map(|pin| plain(pin)).collect();
    Unreachable::HostKeyChanged {
        machine: machine.key(),
        seen: fingerprint(key).unwrap_or_default(),
        known: options.pinned(&pins),
        help: IF_PINNED.to_owned(),
    }
}

/// What to do about a pin that does not fit.
const IF_PINNED: &str = "If the machine was made anew, `dmp rebuild --lost ADDRESS` of its `host` forgets the pin; \
                         otherwise somebody stands between";

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
    /// Why the certificate that came with it is not accepted.
    pub(crate) wrong_certificate: Option<String>,
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
        let judged = shown
            .certificate()
            .map(|certificate| self.policy.judge(certificate));
        // A key that is known by itself needs no certificate, and a wrong one does it no harm.
        let accepted = matches!(judged, Some(Ok(()))) || self.policy.accepts(&text);
        let seen = Seen {
            key: text,
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            wrong_certificate: judged.and_then(Result::err),
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
            source: Source::Pin,
            revoked: vec!["ssh-rsa BAD".into()],
            authorities: Vec::new(),
            name: "node".into(),
            refuses_unknown: false,
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
