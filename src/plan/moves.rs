//! `moved` blocks: recorded objects get other addresses before anything is read or expanded. Nothing outside changes.

use std::collections::BTreeSet;

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
    if configuration
        .modules
        .iter()
        .all(|module| module.moved.is_empty())
    {
        return found;
    }
    still_described(configuration, &mut found.diagnostics);
    for from in before.instances.keys() {
        let Some(to) = destination(configuration, from, &mut found.diagnostics) else {
            continue;
        };
        let is_taken = before.instances.contains_key(&to)
            && destination(configuration, &to, &mut Vec::new()).is_none();
        if is_taken || found.moves.iter().any(|(_, taken)| *taken == to) {
            found.diagnostics.push(
                Diagnostic::error("moved-onto", "two objects would have one address")
                    .detail(format!("`{from}` would move to `{to}`, which the state has already"))
                    .address(&to)
                    .help("take one of them out of the state with a `removed` block, or leave the `moved` block out"),
            );
            continue;
        }
        if from.resource_type != to.resource_type {
            found.diagnostics.push(
                Diagnostic::error("moved-type", "an object can't move to another type")
                    .detail(format!("from `{from}` to `{to}`"))
                    .address(&to),
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
    let mut instances = std::collections::BTreeMap::new();
    for instance in before.instances.values() {
        let now = renamed(instance);
        if now != *instance {
            records.push(Record::InstancePut(Box::new(now.clone())));
        }
        instances.insert(now.address.clone(), now);
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
                // Without keys a block moves as a whole.
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
            ) && last.1.is_none()
            {
                last.1.clone_from(key);
            }
            path.extend(rest.iter().cloned());
            let mut now = address.clone();
            now.module = ModulePath(path);
            Some(now)
        }
        _ => None,
    }
}

/// What follows a module in a path, if the path leads through it. Without a key it stands for all of a call's instances.
fn rest_of<'a>(
    path: &'a ModulePath,
    module: &ModulePath,
) -> Option<&'a [(std::sync::Arc<str>, Option<dmp_sdk::Key>)]> {
    let is_inside = path.0.len() >= module.0.len()
        && module
            .0
            .iter()
            .zip(&path.0)
            .all(|((call, key), (name, found))| call == name && (key.is_none() || key == found));
    is_inside.then(|| &path.0[module.0.len()..])
}

/// The address of a provider configuration whose module has moved.
fn provider(configuration: &Configuration, name: &str) -> String {
    for block in &configuration.root().moved {
        let (Endpoint::Module(from), Endpoint::Module(to)) = (&block.from, &block.to) else {
            continue;
        };
        if let Some(rest) = name.strip_prefix(&format!("{from}.")) {
            return format!("{to}.{rest}");
        }
    }
    name.to_owned()
}

/// A block that names an address which is still described would move it at each run.
fn still_described(configuration: &Configuration, diagnostics: &mut Vec<Diagnostic>) {
    for module in &configuration.modules {
        for block in &module.moved {
            let is_described = match &block.from {
                Endpoint::Resource(from) if from.module.is_root() && from.key.is_none() => module
                    .resources
                    .contains_key(&crate::world::block_key(from)),
                Endpoint::Module(from) => {
                    from.0.len() == 1
                        && from.0[0].1.is_none()
                        && module.calls.contains_key(&from.0[0].0)
                }
                Endpoint::Resource(_) => false,
            };
            if is_described {
                diagnostics.push(
                    Diagnostic::error("moved-described", "what has moved is still described")
                        .detail(format!(
                            "`{}` has a `moved` block, and a block of its own",
                            block.from
                        ))
                        .help("rename the block, or take the `moved` block out")
                        .at(block.span.clone()),
                );
            }
        }
    }
}
