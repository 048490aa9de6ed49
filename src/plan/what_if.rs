//! What each single loss would take along: of a machine, of whatever else hosts others and lives on nothing itself, or of a
//! part of the ground below, such as a hypervisor or a storage.
//!
//! Pure, and from what is recorded or planned alone: nothing is asked, nothing is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dmp_sdk::{Address, FailureDomain, HoldsData, Mode, Quantifier};
use dmp_state::Snapshot;

use crate::ending;
use crate::model::Plan;
use crate::world::World;

/// What is lost at first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A machine, or what else hosts others.
    Machine(Address),
    /// A part of the ground below a provider configuration.
    Domain {
        /// The provider configuration.
        provider: String,
        /// The part.
        domain: FailureDomain,
    },
}

/// What a loss would take along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What is lost at first.
    pub subject: Subject,
    /// All that is lost with it.
    pub dies: Vec<Address>,
    /// Of this, what the configuration describes: it would be made again.
    pub again: Vec<Address>,
    /// How long that takes at least, by the times that are recorded: one after the other where one needs the other.
    pub milliseconds: u64,
    /// How much of what would be made again has no time recorded.
    pub untimed: usize,
    /// The groups that lose members.
    pub groups: Vec<GroupLoss>,
    /// What holds primary data and is lost.
    pub primary: Vec<Address>,
}

impl Loss {
    /// Whether the stack bears it: no primary data is gone, each group that loses members keeps enough of them.
    #[must_use]
    pub fn is_survivable(&self) -> bool {
        self.primary.is_empty() && self.groups.iter().all(GroupLoss::is_kept)
    }
}

/// What becomes of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLoss {
    /// The group's name, or what lives on its members.
    pub name: String,
    /// How many members it has.
    pub members: usize,
    /// How many of them are left.
    pub left: usize,
    /// How many it needs.
    pub needed: usize,
}

impl GroupLoss {
    /// Whether enough are left.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.left >= self.needed
    }
}

/// Each single loss of what is recorded, the worst first: what can't be borne, then by how much is lost.
#[must_use]
pub fn what_if(world: &World, snapshot: &Snapshot) -> Vec<Loss> {
    let groups = groups(snapshot);
    let mut losses: Vec<Loss> = subjects(world, snapshot)
        .into_iter()
        .map(|(subject, roots)| loss(world, snapshot, &groups, subject, &roots))
        .collect();
    let weight = |loss: &Loss| (loss.is_survivable(), std::cmp::Reverse(loss.dies.len()));
    losses.sort_by(|a, b| {
        weight(a)
            .cmp(&weight(b))
            .then_with(|| a.subject.cmp(&b.subject))
    });
    losses
}

/// What can be lost, and what is lost at once with it.
fn subjects(world: &World, snapshot: &Snapshot) -> BTreeMap<Subject, BTreeSet<Address>> {
    let mut subjects: BTreeMap<Subject, BTreeSet<Address>> = BTreeMap::new();
    let hosts: BTreeSet<&Address> = snapshot
        .instances
        .values()
        .flat_map(|instance| instance.hosts())
        .collect();
    for (address, instance) in &snapshot.instances {
        // What itself lives on something recorded is lost with that.
        let is_root = !instance
            .hosts()
            .any(|host| snapshot.instances.contains_key(host));
        if is_root && (world.is_machine(address) || hosts.contains(address)) {
            let roots = BTreeSet::from([address.clone()]);
            subjects.insert(Subject::Machine(address.clone()), roots);
        }
        let Some(resource) = world.registry.resource(&address.resource_type) else {
            continue;
        };
        for domain in resource.failure_domains(&instance.attributes) {
            let provider = instance.provider.clone();
            let subject = Subject::Domain { provider, domain };
            subjects.entry(subject).or_default().insert(address.clone());
        }
    }
    subjects
}

/// A group: its name, its members, and how many it needs.
struct Members<'a> {
    name: String,
    members: BTreeSet<&'a Address>,
    needed: usize,
}

/// What lives on several at once, and groups of `rollout`.
fn groups(snapshot: &Snapshot) -> Vec<Members<'_>> {
    let mut groups = Vec::new();
    let mut rollouts: BTreeMap<&str, (BTreeSet<&Address>, usize)> = BTreeMap::new();
    for (address, instance) in &snapshot.instances {
        for hosting in &instance.hosted_on {
            let members: BTreeSet<&Address> = hosting.hosts.iter().collect();
            let needed = match hosting.quantifier {
                // It dies with any of them, and is counted among what dies.
                Quantifier::All => continue,
                Quantifier::Any => 1,
                Quantifier::Quorum => members.len() / 2 + 1,
            };
            groups.push(Members {
                name: address.to_string(),
                members,
                needed,
            });
        }
        if let Some(group) = &instance.group {
            let (members, max_out) = rollouts.entry(&group.name).or_default();
            members.insert(address);
            *max_out = (*max_out).max(group.max_out);
        }
    }
    // One by itself is no group: that it is lost is said by what dies.
    rollouts.retain(|_, (members, _)| members.len() > 1);
    groups.extend(rollouts.into_iter().map(|(name, (members, max_out))| {
        let needed = members.len().saturating_sub(max_out);
        Members {
            name: name.to_owned(),
            members,
            needed,
        }
    }));
    groups
}

fn loss(
    world: &World,
    snapshot: &Snapshot,
    groups: &[Members<'_>],
    subject: Subject,
    roots: &BTreeSet<Address>,
) -> Loss {
    let dies = ending::all_lost(snapshot, roots);
    let again: BTreeSet<&Address> = dies
        .iter()
        .filter(|address| world.block_of(address).is_some())
        .collect();
    let groups = groups.iter().filter_map(|group| {
        let members = group.members.iter();
        let left = members.filter(|address| !dies.contains(**address)).count();
        (left < group.members.len()).then(|| GroupLoss {
            name: group.name.clone(),
            members: group.members.len(),
            left,
            needed: group.needed,
        })
    });
    let has_primary = |address: &&Address| {
        let instance = snapshot.instances.get(*address);
        instance.is_some_and(|instance| instance.holds_data == HoldsData::Primary)
    };
    let (milliseconds, untimed) = time(snapshot, &again);
    Loss {
        groups: groups.collect(),
        primary: dies.iter().filter(has_primary).cloned().collect(),
        milliseconds,
        untimed,
        again: again.into_iter().cloned().collect(),
        dies: dies.into_iter().collect(),
        subject,
    }
}

/// The longest chain of creates of which each needs the one before, and how many have no time recorded.
fn time(snapshot: &Snapshot, again: &BTreeSet<&Address>) -> (u64, usize) {
    let mut ends: BTreeMap<&Address, u64> = BTreeMap::new();
    let mut untimed = 0;
    for start in again {
        // Depth first without recursion: a chain may be long.
        let mut path = vec![*start];
        while let Some(address) = path.last().copied() {
            if ends.contains_key(address) {
                path.pop();
                continue;
            }
            let Some(instance) = snapshot.instances.get(address) else {
                path.pop();
                continue;
            };
            let needed = || {
                let all = instance.dependencies.iter().map(|needed| &needed.address);
                all.filter(|needed| again.contains(needed))
            };
            // A circle can't be planned; a damaged record must not hang.
            let open = needed().find(|needed| !ends.contains_key(needed) && !path.contains(needed));
            if let Some(open) = open {
                path.push(open);
                continue;
            }
            let begins = needed().filter_map(|needed| ends.get(needed)).max();
            untimed += usize::from(instance.create_milliseconds.is_none());
            let end = begins.unwrap_or(&0) + instance.create_milliseconds.unwrap_or(0);
            ends.insert(address, end);
            path.pop();
        }
    }
    (ends.into_values().max().unwrap_or(0), untimed)
}

/// The stack as it will be once a plan is carried out.
#[must_use]
pub fn as_planned(world: &World, snapshot: &Snapshot, plan: &Plan) -> Snapshot {
    let mut after = snapshot.clone();
    let managed = |(address, _): &(&Address, _)| address.mode == Mode::Managed;
    for (address, planned) in plan.instances.iter().filter(managed) {
        match (&planned.planned, world.schema_of(address)) {
            (Some(value), Some(schema)) => {
                let mut instance = planned.instance(schema);
                instance.attributes = value.clone();
                after.instances.insert(address.clone(), Arc::new(instance));
            }
            _ => {
                after.instances.remove(address);
            }
        }
    }
    after
}
