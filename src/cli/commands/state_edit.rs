//! `dmp state mv` and `dmp state rm`: the state is changed, nothing outside is.

use std::path::Path;
use std::sync::Arc;

use dmp_lang::Configuration;
use dmp_lang::config::{Endpoint, Module, ModuleId, Moved};
use dmp_plan::selection::covers;
use dmp_sdk::{Address, Diagnostic, Span};
use dmp_state::{Lock, Record, Snapshot, Store, Wanted, mint_id};

use super::print;
use crate::part::endpoint;
use crate::stack::{VERSION, check_age, look_at_lock, now, open_state_for_writing};

/// Gives recorded objects another address.
pub(super) fn move_to(directory: &Path, from: &str, to: &str) -> Result<(), Vec<Diagnostic>> {
    let (from, to) = (endpoint("from", from), endpoint("to", to));
    let (from, to) = (from.map_err(one)?, to.map_err(one)?);
    let (mut store, lock) = open(directory, "state mv")?;
    let moves = dmp_plan::moves::follow(&rule(from.clone(), to), store.snapshot());
    if !moves.diagnostics.is_empty() {
        // What is said of `moved` blocks is said of their place, and there is none.
        let nowhere = |mut diagnostic: Diagnostic| {
            diagnostic.span = None;
            diagnostic
        };
        return Err(moves.diagnostics.into_iter().map(nowhere).collect());
    }
    if moves.moves.is_empty() {
        return Err(one(unknown(&from.to_string(), store.snapshot())));
    }
    let touched: Vec<&Address> = moves.moves.iter().map(|(from, _)| from).collect();
    is_settled(store.snapshot(), &touched).map_err(one)?;
    commit(&mut store, "state mv", moves.records).map_err(one)?;
    for (from, to) in moves.moves {
        print(&format!("{from} is now {to}\n"));
    }
    drop(lock);
    Ok(())
}

/// Takes objects out of the state; they stay where they are.
pub(super) fn remove(directory: &Path, addresses: &[String]) -> Result<(), Vec<Diagnostic>> {
    let mut endpoints = Vec::new();
    for text in addresses {
        endpoints.push(endpoint("address", text).map_err(one)?);
    }
    let (mut store, lock) = open(directory, "state rm")?;
    let snapshot = store.snapshot();
    let mut forgotten: Vec<Address> = Vec::new();
    for endpoint in &endpoints {
        let covered = snapshot.instances.keys().filter(|at| covers(endpoint, at));
        let before = forgotten.len();
        forgotten.extend(covered.cloned());
        if forgotten.len() == before {
            return Err(one(unknown(&endpoint.to_string(), snapshot)));
        }
    }
    forgotten.sort();
    forgotten.dedup();
    is_settled(snapshot, &forgotten.iter().collect::<Vec<_>>()).map_err(one)?;
    let records = forgotten.iter().map(|address| Record::InstanceRemoved {
        address: address.clone(),
        why: "forgotten".into(),
    });
    let records = records.collect();
    commit(&mut store, "state rm", records).map_err(one)?;
    for address in forgotten {
        print(&format!("{address} is forgotten; the object stays\n"));
    }
    drop(lock);
    Ok(())
}

/// Says who holds the state. The operating system's lock ends with its holder: there is nothing that would have to be
/// taken away, and nothing is.
pub(super) fn unlock(directory: &Path) -> Result<(), Diagnostic> {
    match look_at_lock(directory)? {
        None => print("Nobody holds the state.\n"),
        Some(left) => print(&format!(
            "Nobody holds the state. `dmp {}`, process {}, since {}, ended without giving it back; the next run goes on.\n",
            left.command, left.pid, left.since
        )),
    }
    Ok(())
}

fn one(diagnostic: Diagnostic) -> Vec<Diagnostic> {
    vec![diagnostic]
}

fn open(directory: &Path, command: &str) -> Result<(Store, Lock), Vec<Diagnostic>> {
    let (store, lock) = open_state_for_writing(directory, command).map_err(one)?;
    match check_age(&store) {
        Some(older) => Err(one(older)),
        None => Ok((store, lock)),
    }
}

/// A configuration of one `moved` block and nothing else.
fn rule(from: Endpoint, to: Endpoint) -> Configuration {
    let nowhere = Span {
        file: Arc::from(""),
        start: 0,
        end: 0,
    };
    let module = Module {
        moved: vec![Moved {
            from,
            to,
            span: nowhere,
        }],
        ..Module::default()
    };
    Configuration {
        root: ModuleId(0),
        modules: vec![module],
        digest: String::new(),
    }
}

/// What an earlier run began and did not see the end of is settled first: its intent knows the address.
fn is_settled(snapshot: &Snapshot, touched: &[&Address]) -> Result<(), Diagnostic> {
    let mut intents = snapshot.intents.values();
    let open = intents.find(|intent| touched.contains(&&intent.instance.address));
    match open {
        None => Ok(()),
        Some(intent) => Err(
            Diagnostic::error("unsettled", "an earlier run is not settled")
                .address(&intent.instance.address)
                .detail(format!(
                    "its {} was begun, and nobody saw the end of it",
                    intent.verb
                ))
                .help("run `dmp plan`, which settles it, and then this command again"),
        ),
    }
}

/// Nothing that is recorded has an address.
pub(super) fn unknown(address: &str, snapshot: &Snapshot) -> Diagnostic {
    let names: Vec<String> = snapshot.instances.keys().map(ToString::to_string).collect();
    Diagnostic::error("unknown-address", "unknown address")
        .detail(format!("the state has no `{address}`"))
        .did_you_mean(address, names.iter().map(String::as_str))
        .help("list all addresses with `dmp state list`")
}

/// Changes the state in a run of its own.
fn commit(store: &mut Store, command: &str, records: Vec<Record>) -> Result<(), Diagnostic> {
    let cannot = |error: dmp_state::StateError| {
        Diagnostic::error("state", "cannot write the state").cause(error.to_string())
    };
    let run = mint_id();
    store
        .begin(mint_id(), &Wanted::default(), &run, &now())
        .map_err(cannot)?;
    let mut all = vec![Record::RunBegan {
        command: command.to_owned(),
        version: VERSION.to_owned(),
    }];
    all.extend(records);
    all.push(Record::RunEnded {
        outcome: "done".to_owned(),
    });
    store.commit(all, &run, &now()).map_err(cannot)?;
    Ok(())
}
