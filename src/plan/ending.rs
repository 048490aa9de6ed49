//! What ends: instances that the configuration no longer has, and those that are lost with their host.

use std::collections::BTreeSet;
use std::sync::Arc;

use dmp_lang::config::Endpoint;
use dmp_sdk::{
    Action, Address, Attribute, Diagnostic, HoldsData, Machine, ModulePath, Quantifier, Reason,
};
use dmp_state::{Instance, Snapshot};

use crate::ask::{Finding, Findings};
use crate::model::{Earlier, Plan, Planned};
use crate::selection::{Part, covers};
use crate::world::{World, block_key};

/// Whether enough of an instance's hosts have ended to end it too; one of these hosts.
#[must_use]
pub fn dead_host(record: &Instance, has_ended: impl Fn(&Address) -> bool) -> Option<Address> {
    record.hosted_on.iter().find_map(|hosting| {
        let ended: Vec<_> = hosting
            .hosts
            .iter()
            .filter(|host| has_ended(host))
            .collect();
        let (all, gone) = (hosting.hosts.len(), ended.len());
        let dies = match hosting.quantifier {
            Quantifier::All => gone > 0,
            Quantifier::Any => gone == all,
            Quantifier::Quorum => all - gone < all / 2 + 1,
        };
        (dies && gone > 0).then(|| ended[0].clone())
    })
}

/// What a recorded instance lives on, directly or not, that is such a one; `recorded` knows the instances.
pub fn lives_on<'a>(
    recorded: impl Fn(&Address) -> Option<&'a Instance>,
    address: &Address,
    is_such: impl Fn(&Address) -> bool,
) -> Option<&'a Address> {
    found_below(recorded, address, |one| one.hosts().collect(), is_such)
}

/// What a recorded instance needs or lives on, directly or not, that is such a one.
pub fn rests_on<'a>(
    recorded: impl Fn(&Address) -> Option<&'a Instance>,
    address: &Address,
    is_such: impl Fn(&Address) -> bool,
) -> Option<&'a Address> {
    let below = |one: &'a Instance| {
        let needed = one.dependencies.iter().map(|needed| &needed.address);
        needed.chain(one.hosts()).collect()
    };
    found_below(recorded, address, below, is_such)
}

/// The first such one that is reached from an instance by what is below each.
fn found_below<'a>(
    recorded: impl Fn(&Address) -> Option<&'a Instance>,
    address: &Address,
    below: impl Fn(&'a Instance) -> Vec<&'a Address>,
    is_such: impl Fn(&Address) -> bool,
) -> Option<&'a Address> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&Address> = recorded(address).into_iter().flat_map(&below).collect();
    while let Some(next) = open.pop() {
        if is_such(next) {
            return Some(next);
        }
        if seen.insert(next) {
            open.extend(recorded(next).into_iter().flat_map(&below));
        }
    }
    None
}

/// Whether a planned instance's end is the end of what it hosts.
fn ends_hosted(planned: &Planned) -> bool {
    let goes = planned.action.deletes() || planned.action == Action::LostWithHost;
    // A handle ends nothing, but a machine that is lost takes along what was on it.
    planned.lost_with.is_some()
        || planned.is_lost
        || (planned.ends_hosted && (goes || planned.is_dead()))
}

/// The host with which a recorded instance is lost, as far as the plan has come.
#[must_use]
pub fn lost_host(record: &Instance, plan: &Plan) -> Option<Address> {
    dead_host(record, |host| {
        plan.instances
            .get(host)
            .is_some_and(|planned| ends_hosted(planned))
    })
}

/// All recorded instances that are lost when an instance is gone, also through one another.
#[must_use]
pub fn lost_with(snapshot: &Snapshot, gone: &Instance) -> Vec<Address> {
    let mut ended = BTreeSet::new();
    if gone.ends_hosted {
        ended.insert(gone.address.clone());
    }
    let mut lost = Vec::new();
    loop {
        let more: Vec<&Arc<Instance>> = snapshot
            .instances
            .values()
            .filter(|record| record.address != gone.address && !lost.contains(&record.address))
            .filter(|record| dead_host(record, |host| ended.contains(host)).is_some())
            .collect();
        if more.is_empty() {
            return lost;
        }
        for record in more {
            ended.insert(record.address.clone());
            lost.push(record.address.clone());
        }
    }
}

/// All recorded instances that are lost with those which the person called lost, these included.
#[must_use]
pub fn all_lost(snapshot: &Snapshot, lost: &BTreeSet<Address>) -> BTreeSet<Address> {
    let mut ended = lost.clone();
    loop {
        let more: Vec<Address> = snapshot
            .instances
            .values()
            .filter(|record| !ended.contains(&record.address))
            .filter(|record| dead_host(record, |host| ended.contains(host)).is_some())
            .map(|record| record.address.clone())
            .collect();
        if more.is_empty() {
            return ended;
        }
        ended.extend(more);
    }
}

/// Plans the end of all recorded instances that the configuration does not have.
pub fn end(
    plan: &mut Plan,
    world: &World,
    snapshot: &Snapshot,
    findings: &Findings,
    lost: &BTreeSet<Address>,
    part: &Part,
) {
    let forgotten = forgotten_by_removed_blocks(world);
    for (address, record) in &snapshot.instances {
        let is_settled = plan.instances.contains_key(address) || has_error(plan, address);
        if is_settled || !part.has_recorded(world, record) {
            continue;
        }
        let expansion = world.expansion(&(address.module.clone(), block_key(address)));
        let is_undecided = expansion.is_some_and(crate::world::Expansion::is_unknown)
            || stands_in_undecided_call(world, address);
        let is_declared = world.block_of(address).is_some();
        let (action, reason) = if plan.is_destroy {
            (Action::Delete, Reason::Destroy)
        } else if is_undecided {
            (
                Action::NoOp,
                Reason::WaitsFor {
                    what: "its block's instances".into(),
                },
            )
        } else if forgotten.iter().any(|endpoint| covers(endpoint, address)) {
            (Action::Forget, Reason::NotInConfiguration)
        } else if expansion.is_some_and(crate::world::Expansion::is_disabled) {
            (Action::Delete, Reason::Disabled)
        } else if is_declared {
            (Action::Delete, Reason::KeyGone)
        } else {
            (Action::Delete, Reason::NotInConfiguration)
        };
        let is_lost = lost.contains(address);
        let (action, reason) = match is_lost && action == Action::Delete {
            // There is nothing left to be deleted.
            true => (Action::Forget, Reason::Lost),
            false => (action, reason),
        };
        let can_forget = action == Action::Delete && part.forgets_unreachable(snapshot, record);
        let is_unreachable = matches!(findings.get(address), Some(Finding::Unreachable(_)));
        let (action, reason) = match can_forget && is_unreachable {
            true => (Action::Forget, Reason::Unreachable),
            false => (action, reason),
        };
        let mut planned = of_record(record, action, reason);
        planned.is_lost = is_lost;
        if matches!(findings.get(address), Some(Finding::Absent))
            && planned.action == Action::Delete
        {
            planned.notes.push("it is gone already".into());
        }
        if planned.action == Action::Delete
            && let Some(resource) = world.registry.resource(&address.resource_type)
        {
            let (effects, notes) = resource.plan_delete(&record.attributes);
            planned.effects = effects;
            planned.notes.extend(notes);
        }
        if can_forget && matches!(findings.get(address), Some(Finding::Found(_))) {
            planned
                .notes
                .push("it answers: it is deleted, not forgotten".into());
        }
        plan.instances.insert(address.clone(), planned.into());
    }
    lose_with_hosts(plan);
    if !part.is_whole() {
        lose_what_is_left_out(plan, snapshot);
    }
    plan.deposed = snapshot
        .deposed
        .values()
        .filter(|record| part.has_recorded(world, record))
        .map(|record| {
            let mut planned = of_record(&Arc::new(record.clone()), Action::Delete, Reason::Deposed);
            planned.lost_with = lost_host(record, plan);
            Box::new(planned)
        })
        .collect();
    say_who_leaves(plan, world);
    say_who_succeeds(plan, world);
    refuse_what_is_guarded(plan, findings);
}

/// What is lost with its host, or dead itself, is taken out of what knows it elsewhere, as long as that lives on.
fn say_who_leaves(plan: &mut Plan, world: &World) {
    let leaves = |planned: &Planned| {
        let resource = world.registry.resource(&planned.address.resource_type);
        let is_ending = planned.lost_with.is_some() || planned.is_lost;
        // What only stood on the same machine is no group to leave.
        let dead = |address: &Address| {
            let other = plan.instances.get(address);
            other.is_some_and(|other| other.is_lost || (other.ends_hosted && ends_hosted(other)))
        };
        let record = planned.record.as_ref();
        let hosts: Vec<&Address> = record
            .into_iter()
            .flat_map(|record| record.hosts())
            .collect();
        let mut others = record
            .into_iter()
            .flat_map(|record| &record.dependencies)
            .map(|dependency| &dependency.address)
            .filter(|address| !hosts.contains(address));
        is_ending && resource.is_some_and(|resource| resource.leaves()) && !others.any(dead)
    };
    let addresses: Vec<Address> = plan
        .instances
        .values()
        .filter(|planned| leaves(planned))
        .map(|planned| planned.address.clone())
        .collect();
    for address in addresses {
        if let Some(planned) = plan.instances.get_mut(&address) {
            planned.leaves = true;
        }
    }
}

/// A name in a group is free when who had it has left: whoever else is to have it, on another machine, comes after that.
fn say_who_succeeds(plan: &mut Plan, world: &World) {
    let leaving = |planned: &Planned| {
        let resource = world.registry.resource(&planned.address.resource_type);
        let goes = planned.leaves || planned.action.deletes();
        goes && resource.is_some_and(|resource| resource.leaves())
    };
    let comes = |planned: &Planned| planned.action == Action::Create || planned.action.replaces();
    let takes_the_name = |old: &Planned, new: &Planned| {
        let (Some(schema), Some(had), Some(has)) = (
            world.schema_of(&old.address),
            &old.prior,
            new.planned.as_ref(),
        ) else {
            return false;
        };
        let is_name =
            |attribute: &Attribute| attribute.unique && attribute.ty != Machine::value_type();
        let mut names = schema
            .attributes
            .iter()
            .filter(|(_, attribute)| is_name(attribute))
            .map(|(name, _)| (had.get(name), has.get(name)))
            .peekable();
        // A name that is not known yet may be this one.
        names.peek().is_some() && names.all(|(had, has)| !has.is_wholly_known() || had == has)
    };
    let successors: Vec<(Address, BTreeSet<Address>)> = plan
        .instances
        .values()
        .filter(|planned| leaving(planned))
        .map(|old| {
            let others = plan.instances.values().filter(|new| {
                new.address != old.address
                    && new.address.resource_type == old.address.resource_type
                    && comes(new)
                    && takes_the_name(old, new)
            });
            let addresses = others.map(|new| new.address.clone()).collect();
            (old.address.clone(), addresses)
        })
        .collect();
    for (address, successors) in successors {
        if let Some(planned) = plan.instances.get_mut(&address) {
            planned.succeeded_by = successors;
        }
    }
}

/// Whether an instance ends because something died: nobody decided that it should.
#[must_use]
pub fn died(plan: &Plan, planned: &Planned) -> bool {
    match &planned.lost_with {
        Some(host) => plan
            .instances
            .get(host)
            .is_some_and(|host| died(plan, host)),
        None => planned.is_dead(),
    }
}

/// Whether one of the module calls that an instance stands in is decided later.
pub(crate) fn stands_in_undecided_call(world: &World, address: &Address) -> bool {
    let calls = address.module.0.iter().enumerate();
    calls.into_iter().any(|(at, (call, _))| {
        let parent = ModulePath(address.module.0[..at].to_vec());
        world
            .call(&parent, call)
            .is_some_and(crate::world::Expansion::is_unknown)
    })
}

/// Whether an error was reported for an instance: then nothing is planned for it, least of all its end.
fn has_error(plan: &Plan, address: &Address) -> bool {
    plan.diagnostics
        .iter()
        .any(|diagnostic| diagnostic.is_error() && diagnostic.address.as_ref() == Some(address))
}

fn forgotten_by_removed_blocks(world: &World) -> Vec<Endpoint> {
    let removed = world.configuration.root().removed.iter();
    removed
        .filter(|removed| !removed.destroy)
        .map(|removed| removed.from.clone())
        .collect()
}

fn of_record(record: &Arc<Instance>, action: Action, reason: Reason) -> Planned {
    let uses = record.dependencies.iter();
    let mut uses: Vec<Address> = uses.map(|one| one.address.clone()).collect();
    uses.sort_unstable();
    uses.dedup();
    Planned {
        address: record.address.clone(),
        action,
        reasons: vec![reason],
        provider: record.provider.clone(),
        layer: record.layer,
        prior: Some(record.attributes.clone()),
        planned: None,
        earlier: Earlier::NotAsked,
        set_paths: record.set_paths.clone(),
        changed: Vec::new(),
        effects: Vec::new(),
        notes: Vec::new(),
        uses,
        waits_for: BTreeSet::new(),
        hosted_on: record.hosted_on.clone(),
        lost_with: None,
        is_lost: false,
        leaves: false,
        succeeded_by: BTreeSet::new(),
        group: None,
        import: None,
        moved_from: None,
        record: Some(Arc::clone(record)),
        half_made: None,
        dry_run: None,
        prevent_destroy: record.prevent_destroy,
        holds_data: record.holds_data,
        ends_hosted: record.ends_hosted,
    }
}

/// What is deleted and lived on something that ends needs no call: it is lost with its host.
fn lose_with_hosts(plan: &mut Plan) {
    loop {
        let lost: Vec<(Address, Address)> = plan
            .instances
            .values()
            .filter(|planned| planned.action == Action::Delete && planned.lost_with.is_none())
            .filter_map(|planned| {
                Some((
                    planned.address.clone(),
                    lost_host(planned.record.as_ref()?, plan)?,
                ))
            })
            .collect();
        if lost.is_empty() {
            return;
        }
        for (address, host) in lost {
            if let Some(planned) = plan.instances.get_mut(&address) {
                planned.action = Action::LostWithHost;
                planned.reasons = vec![Reason::HostEnds {
                    host: host.to_string(),
                }];
                planned.lost_with = Some(host);
            }
        }
    }
}

/// What is no part of the plan, and lives on something that the plan ends, is lost with it all the same.
fn lose_what_is_left_out(plan: &mut Plan, snapshot: &Snapshot) {
    loop {
        let lost: Vec<(&Arc<Instance>, Address)> = snapshot
            .instances
            .values()
            .filter(|record| !plan.instances.contains_key(&record.address))
            .filter_map(|record| Some((record, lost_host(record, plan)?)))
            .collect();
        if lost.is_empty() {
            return;
        }
        for (record, host) in lost {
            let reason = Reason::HostEnds {
                host: host.to_string(),
            };
            let mut planned = of_record(record, Action::LostWithHost, reason);
            planned.lost_with = Some(host);
            plan.instances
                .insert(record.address.clone(), planned.into());
        }
    }
}

fn refuse_what_is_guarded(plan: &mut Plan, findings: &Findings) {
    let mut refused = Vec::new();
    for planned in plan.instances.values() {
        let ends = planned.action.deletes() || planned.action == Action::LostWithHost;
        // What is dead already can't be kept by refusing.
        if !ends || died(plan, planned) {
            continue;
        }
        if let Some(Finding::Unreachable(why)) = findings.get(&planned.address)
            && planned.lost_with.is_none()
        {
            refused.push(
                Diagnostic::remote("unreachable", "cannot delete an object")
                    .address(&planned.address)
                    .cause(why)
                    .help("make it reachable and plan again")
                    .help(format!(
                        "if it is to be left as it is: `--forget-unreachable '{}'`",
                        planned.address
                    )),
            );
        }
        // Without a way to it there is no way to delete it either.
        if let Some(Finding::NotConfigured(why)) = findings.get(&planned.address)
            && planned.lost_with.is_none()
            && planned.action.deletes()
        {
            refused.push(
                Diagnostic::error("no-provider", "cannot delete an object")
                    .address(&planned.address)
                    .cause(why)
                    .help("give its provider block back, with the values that are missing"),
            );
        }
        let guarded = planned.prevent_destroy
            || planned
                .record
                .as_ref()
                .is_some_and(|record| record.prevent_destroy);
        if guarded {
            refused.push(
                Diagnostic::error("prevent-destroy", "refused to delete a guarded object")
                    .address(&planned.address)
                    .detail(format!("`{}` has `prevent_destroy` set", planned.address))
                    .help("remove `prevent_destroy` and apply that first, then delete the object"),
            );
        }
        if planned.holds_data == HoldsData::Primary {
            refused.push(
                Diagnostic::error("primary-data", "refused to delete primary data")
                    .address(&planned.address)
                    .detail(format!(
                        "`{}` holds data that may exist nowhere else; no copy is recorded",
                        planned.address
                    ))
                    .help("keep the object, or take it out of the stack with a `removed` block"),
            );
        }
    }
    plan.diagnostics.extend(refused);
}
