//! `moved` blocks: recorded objects get other addresses before anything is read or expanded. Nothing outside changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::world::ProviderAt;
use dmp_lang::Configuration;
use dmp_lang::config::{Endpoint, Module, Moved};
use dmp_sdk::{Address, Diagnostic, ModulePath};
use dmp_state::{Instance, Record, Snapshot};

/// What `moved` blocks make of a state.
#[derive(Debug, Default)]
pub struct Moves {
    /// The state with its new addresses.
    pub snapshot: Snapshot,
    /// Each move: from, to.
    pub moves: Vec<(Address, Address)>,
    /// What has to be committed before anything else, if the plan is approved.
    pub records: Vec<Record>,
    /// What is wrong with the blocks.
    pub diagnostics: Vec<Diagnostic>,
}

/// Follows the `moved` blocks of a configuration.
#[must_use]
pub fn follow(configuration: &Configuration, before: &Snapshot) -> Moves {
    let mut found = Moves {
        snapshot: before.clone(),
        ..Moves::default()
    };
    if has_no_moves(configuration) {
        return found;
    }
    still_described(configuration, &mut found.diagnostics);
    for from in before.instances.keys() {
        let Some(to) = destination(configuration, from, &mut found.diagnostics) else {
            continue;
        };
        let span = step(configuration, from).map(|(block, _)| block.span.clone());
        let is_taken = before.instances.contains_key(&to)
            && destination(configuration, &to, &mut Vec::new()).is_none();
        if is_taken || found.moves.iter().any(|(_, taken)| *taken == to) {
            found.diagnostics.push(
                Diagnostic::error("moved-onto", "two objects would have one address")
                    .detail(format!("`{from}` would move to `{to}`, which the state has already"))
                    .address(&to)
                    .at(span)
                    .help("take one of them out of the state with a `removed` block, or leave the `moved` block out"),
            );
            continue;
        }
        if from.resource_type != to.resource_type {
            found.diagnostics.push(
                Diagnostic::error("moved-type", "an object can't move to another type")
                    .detail(format!("from `{from}` to `{to}`"))
                    .address(&to)
                    .at(span),
            );
            continue;
        }
        found.moves.push((from.clone(), to));
    }
    if !found.moves.is_empty() {
        carry_out(configuration, before, &mut found);
    }
    found
}

fn has_no_moves(configuration: &Configuration) -> bool {
    let mut modules = configuration.modules.iter();
    modules.all(|module| module.moved.is_empty())
}

/// Gives moved instances their addresses, also where others name them.
fn carry_out(configuration: &Configuration, before: &Snapshot, found: &mut Moves) {
    let moved = |address: &Address| {
        destination(configuration, address, &mut Vec::new()).unwrap_or_else(|| address.clone())
    };
    let renamed = |instance: &Instance| {
        let mut now = instance.clone();
        let own = found.moves.iter().find(|(from, _)| *from == now.address);
        if let Some((_, to)) = own {
            now.address = to.clone();
        }
        for dependency in &mut now.dependencies {
            dependency.address = moved(&dependency.address);
        }
        for host in now
            .hosted_on
            .iter_mut()
            .flat_map(|hosting| &mut hosting.hosts)
        {
            *host = moved(host);
        }
        now.provider = provider(configuration, &now.provider);
        now
    };
    let mut records: Vec<Record> = found
        .moves
        .iter()
        .map(|(from, to)| Record::InstanceMoved {
            from: from.clone(),
            to: to.clone(),
        })
        .collect();
    // What was replaced and is still there goes by its successor's address, and through the same provider.
    let mut deposed = before.deposed.clone();
    for old in deposed.values_mut() {
        let mut now = renamed(old);
        now.address = moved(&old.address);
        if now != *old {
            records.push(Record::InstanceDeposed(Box::new(now.clone())));
            *old = now;
        }
    }
    let mut instances = std::collections::BTreeMap::new();
    for instance in before.instances.values() {
        let now = renamed(instance);
        if now != **instance {
            records.push(Record::InstancePut(Box::new(now.clone())));
        }
        instances.insert(now.address.clone(), Arc::new(now));
    }
    for (name, recorded) in &before.providers {
        let now = provider(configuration, name);
        if now != *name {
            records.push(Record::ProviderPut {
                address: now.clone(),
                provider: Box::new(recorded.clone()),
            });
            records.push(Record::ProviderRemoved {
                address: name.clone(),
            });
            found.snapshot.providers.remove(name);
            found.snapshot.providers.insert(now, recorded.clone());
        }
    }
    found.snapshot.instances = instances;
    found.snapshot.deposed = deposed;
    found.records = records;
}

/// The address that a recorded one has become; `None` if it stays.
fn destination(
    configuration: &Configuration,
    address: &Address,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Address> {
    let mut seen = BTreeSet::from([address.clone()]);
    let mut now = address.clone();
    while let Some((block, next)) = step(configuration, &now) {
        if !seen.insert(next.clone()) {
            diagnostics.push(
                Diagnostic::error("moved-circle", "`moved` blocks go round in a circle")
                    .detail(format!("`{address}` would come back to `{next}`"))
                    .at(block.span.clone()),
            );
            return None;
        }
        now = next;
    }
    (now != *address).then_some(now)
}

/// The first block that moves an address, and where to. Blocks in a module count within it.
fn step<'c>(configuration: &'c Configuration, address: &Address) -> Option<(&'c Moved, Address)> {
    for depth in 0..=address.module.0.len() {
        let Some(module) = module_at(configuration, &address.module.0[..depth]) else {
            break;
        };
        let mut inner = address.clone();
        inner.module = ModulePath(address.module.0[depth..].to_vec());
        for block in &module.moved {
            if let Some(mut to) = through(block, &inner) {
                let mut path = address.module.0[..depth].to_vec();
                path.extend(to.module.0);
                to.module = ModulePath(path);
                if to != *address {
                    return Some((block, to));
                }
            }
        }
    }
    None
}

fn has_keys(repetition: Option<&dmp_lang::config::Repetition>) -> bool {
    repetition.is_some_and(dmp_lang::config::Repetition::has_keys)
}

/// The module that a path of calls leads to.
fn module_at<'c>(
    configuration: &'c Configuration,
    path: &[(std::sync::Arc<str>, Option<dmp_sdk::Key>)],
) -> Option<&'c Module> {
    let mut module = configuration.root();
    for (call, _) in path {
        module = configuration.module(module.calls.get(call)?.module?);
    }
    Some(module)
}

/// Where one block moves an address that is relative to the block's module.
fn through(block: &Moved, address: &Address) -> Option<Address> {
    match (&block.from, &block.to) {
        (Endpoint::Resource(from), Endpoint::Resource(to)) => {
            if address.module != from.module || address.block() != from.block() {
                return None;
            }
            let mut now = to.clone();
            if from.key != address.key {
                // Without keys a block moves as a whole; to a key only the one instance without a key.
                if from.key.is_some() || to.key.is_some() {
                    return None;
                }
                now.key.clone_from(&address.key);
            }
            Some(now)
        }
        (Endpoint::Module(from), Endpoint::Module(to)) => {
            let rest = rest_of(&address.module, from)?;
            let mut path = to.0.clone();
            if let (Some(last), Some((_, None)), Some((_, key))) = (
                path.last_mut(),
                from.0.last(),
                address.module.0.get(from.0.len() - 1),
            ) {
                match (&last.1, key) {
                    (None, _) => last.1.clone_from(key),
                    // To a key only the one instance without a key moves.
                    (Some(_), Some(_)) => return None,
                    (Some(_), None) => {}
                }
            }
            path.extend(rest.iter().cloned());
            let mut now = address.clone();
            now.module = ModulePath(path);
            Some(now)
        }
        _ => None,
    }
}

/// What follows a module in a path, if the path leads through it. Its last call without a key stands for all of the
/// call's instances.
pub(crate) fn rest_of<'a>(
    path: &'a ModulePath,
    module: &ModulePath,
) -> Option<&'a [(std::sync::Arc<str>, Option<dmp_sdk::Key>)]> {
    let (last, outer) = module.0.split_last()?;
    let found = path.0.get(outer.len())?;
    let is_inside =
        path.0.starts_with(outer) && last.0 == found.0 && (last.1.is_none() || last.1 == found.1);
    is_inside.then(|| &path.0[module.0.len()..])
}

/// The address of a provider configuration whose module has moved.
fn provider(configuration: &Configuration, name: &str) -> String {
    let Some(at) = ProviderAt::parse(name) else {
        return name.to_owned();
    };
    // It goes wherever a resource in the same module would go.
    let address = Address {
        module: at.module.clone(),
        mode: dmp_sdk::Mode::Managed,
        resource_type: at.key.name.clone(),
        name: at.key.alias.clone().unwrap_or_else(|| "any".into()),
        key: None,
    };
    let moved = destination(configuration, &address, &mut Vec::new());
    let moved = moved.filter(|now| now.block().name == address.name);
    let now = |now: Address| ProviderAt {
        module: now.module,
        ..at
    };
    moved.map_or_else(|| name.to_owned(), |moved| now(moved).to_string())
}

/// Instances that are described at an address which a block moves away: it would move them at each run.
pub(crate) fn described_again(
    configuration: &Configuration,
    plan: &crate::Plan,
) -> Vec<Diagnostic> {
    if has_no_moves(configuration) {
        return Vec::new();
    }
    let mut known = Vec::new();
    still_described(configuration, &mut known);
    plan.instances
        .values()
        .filter(|planned| planned.planned.is_some())
        .filter_map(|planned| {
            let (block, to) = step(configuration, &planned.address)?;
            let is_known = known
                .iter()
                .any(|known| known.span.as_ref() == Some(&block.span));
            (!is_known).then(|| {
                described(
                    format!("`{}` moves to `{to}`, and is described", planned.address),
                    block,
                )
                .address(&planned.address)
            })
        })
        .collect()
}

/// A block that names an address which is still described would move it at each run.
fn still_described(configuration: &Configuration, diagnostics: &mut Vec<Diagnostic>) {
    for module in &configuration.modules {
        for block in &module.moved {
            // From one instance to a key of the same block: what is described there is another.
            let (is_repeated, has_key) = match (&block.from, &block.to) {
                (Endpoint::Resource(from), Endpoint::Resource(to))
                    if from.module.is_root() && from.key.is_none() =>
                {
                    let found = module.resources.get(&crate::world::block_key(from));
                    (
                        found.map(|found| has_keys(found.repetition.as_ref())),
                        to.key.is_some(),
                    )
                }
                (Endpoint::Module(from), Endpoint::Module(to))
                    if from.0.len() == 1 && from.0[0].1.is_none() =>
                {
                    let found = module.calls.get(&from.0[0].0);
                    let has_key = to.0.last().is_some_and(|(_, key)| key.is_some());
                    (
                        found.map(|found| has_keys(found.repetition.as_ref())),
                        has_key,
                    )
                }
                _ => (None, false),
            };
            if is_repeated.is_some_and(|is_repeated| !has_key || !is_repeated) {
                let detail = format!(
                    "`{}` has a `moved` block, and a block of its own",
                    block.from
                );
                diagnostics.push(described(detail, block));
            }
        }
    }
}

fn described(detail: String, block: &Moved) -> Diagnostic {
    Diagnostic::error("moved-described", "what has moved is still described")
        .detail(detail)
        .help("rename the block, or take the `moved` block out")
        .at(block.span.clone())
}
