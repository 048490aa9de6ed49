//! What a refresh says of everything that is recorded: the first half of a rebuild.

use std::collections::BTreeSet;
use std::sync::Arc;

use dmp_sdk::{Address, Layer};
use dmp_state::Snapshot;

use crate::ask::{Finding, Findings};
use crate::ending;
use crate::instance::{conform, differing};
use crate::world::World;

/// What became of one recorded instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The instance.
    pub address: Address,
    /// Where it is shown.
    pub layer: Layer,
    /// What became of it.
    pub state: State,
}

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// As recorded.
    Intact,
    /// There, but changed.
    Drifted {
        /// The attributes that differ; none where it is only not finished.
        changed: Vec<String>,
    },
    /// With authority: it is gone. Or the person said so.
    Lost {
        /// Whether the person said so.
        by_word: bool,
    },
    /// It can't be asked. Whether it is lost nobody knows.
    Unreachable {
        /// Why.
        why: String,
        /// Whether it is a machine itself, and not only something on a silent one or behind a silent API.
        is_root: bool,
    },
    /// What it lived on is lost.
    LostWithHost {
        /// The host.
        host: Address,
    },
    /// It could not be looked at for another reason.
    Unknown {
        /// Why.
        why: String,
    },
}

impl State {
    /// In a word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Drifted { .. } => "drifted",
            Self::Lost { .. } => "lost",
            Self::Unreachable { .. } => "unreachable",
            Self::LostWithHost { .. } => "lost-with-host",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// More about it.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        match self {
            Self::Intact => None,
            Self::Drifted { changed } if changed.is_empty() => Some("it is not finished".into()),
            Self::Drifted { changed } => Some(format!("`{}`", changed.join("`, `"))),
            Self::Lost { by_word: true } => Some("as you said".into()),
            Self::Lost { by_word: false } => Some("it is gone".into()),
            Self::Unreachable { why, .. } | Self::Unknown { why } => Some(why.clone()),
            Self::LostWithHost { host } => Some(format!("it lived on {host}")),
        }
    }

    /// Whether the object is no more.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::LostWithHost { .. })
    }
}

/// Classifies all that is recorded. `lost` is what the person said.
#[must_use]
pub fn classify(
    world: &World,
    snapshot: &Snapshot,
    findings: &Findings,
    lost: &BTreeSet<Address>,
) -> Vec<Condition> {
    let gone = |address: &Address| {
        let is_absent = matches!(findings.get(address), Some(Finding::Absent));
        let ends = snapshot.instances.get(address);
        is_absent && ends.is_some_and(|instance| instance.ends_hosted)
    };
    let roots: BTreeSet<Address> = snapshot
        .instances
        .keys()
        .filter(|address| lost.contains(*address) || gone(address))
        .cloned()
        .collect();
    let ended = ending::all_lost(snapshot, &roots);
    let silent = |address: &Address| {
        matches!(findings.get(address), Some(Finding::Unreachable(_))) && !ended.contains(address)
    };
    let condition = |(address, instance): (&Address, &Arc<dmp_state::Instance>)| {
        let state = if lost.contains(address) {
            State::Lost { by_word: true }
        } else if let (true, Some(host)) = (
            ended.contains(address) && !roots.contains(address),
            ending::dead_host(instance, |host| ended.contains(host)),
        ) {
            State::LostWithHost { host }
        } else {
            match findings.get(address) {
                Some(Finding::Absent) => State::Lost { by_word: false },
                Some(Finding::Unreachable(why)) => State::Unreachable {
                    why: why.clone(),
                    is_root: world.is_machine(address) && !instance.hosts().any(silent),
                },
                Some(Finding::Found(object)) => match world.schema_of(address) {
                    Some(_) if object.attributes == instance.attributes => State::Intact,
                    Some(schema) => {
                        let recorded = conform(schema, &instance.attributes);
                        let found = conform(schema, &object.attributes);
                        let found = found.with_secrecy_of(&recorded);
                        match differing(schema, &recorded, &found) {
                            changed if changed.is_empty() => State::Intact,
                            changed => State::Drifted { changed },
                        }
                    }
                    None => State::Unknown {
                        why: "no provider here offers its type".into(),
                    },
                },
                Some(Finding::HalfMade(..)) => State::Drifted {
                    changed: Vec::new(),
                },
                Some(Finding::NotConfigured(why)) => State::Unknown { why: why.clone() },
                Some(Finding::Failed(diagnostic)) => State::Unknown {
                    why: diagnostic.to_string(),
                },
                Some(Finding::Data(_) | Finding::Candidates(_)) | None => State::Unknown {
                    why: "it was not read".into(),
                },
            }
        };
        Condition {
            address: address.clone(),
            layer: instance.layer,
            state,
        }
    };
    snapshot.instances.iter().map(condition).collect()
}
