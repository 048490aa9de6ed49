//! `dmp state`: a look into the state.

use std::path::Path;

use dmp_lang::Sources;
use dmp_report::Style;
use dmp_sdk::codec::to_display_json;
use dmp_sdk::{Address, Diagnostic};
use dmp_state::backends::Table;
use dmp_state::{Instance, Status, Store};
use serde_json::{Value as Json, json};

use super::{fail, print, state_edit, state_history, state_import, state_keys, state_reconcile};
use crate::arguments::State;
use crate::stack::open_state;
use crate::{Context, Exit};

pub(crate) async fn run(context: &Context, directory: &Path, arguments: &State) -> Exit {
    let edited = match arguments {
        State::Mv { from, to } => Some(state_edit::move_to(directory, from, to)),
        State::Rm { addresses } => Some(state_edit::remove(directory, addresses)),
        State::Reconcile(arguments) => {
            return state_reconcile::run(context, directory, arguments).await;
        }
        State::Import { file, out } => Some(
            state_import::run(&context.registry, directory, file, out.as_deref())
                .map_err(|error| vec![error]),
        ),
        State::Unlock => Some(state_edit::unlock(directory).map_err(|error| vec![error])),
        State::Rekey => return state_keys::rekey(context, directory),
        State::Identity { new } => {
            Some(state_keys::identity(directory, new.as_deref()).map_err(|error| vec![error]))
        }
        _ => None,
    };
    match edited {
        Some(Ok(())) => return Exit::Success,
        Some(Err(diagnostics)) => return fail(context, &Sources::new(), &diagnostics),
        None => {}
    }
    let store = match open_state(directory) {
        Ok(store) => store,
        Err(diagnostic) => return fail(context, &Sources::new(), &[diagnostic]),
    };
    let result = match arguments {
        State::List => {
            for address in store.snapshot().instances.keys() {
                print(&format!("{address}\n"));
            }
            for (id, old) in &store.snapshot().deposed {
                print(&format!(
                    "{} (replaced, not deleted yet: {id})\n",
                    old.address
                ));
            }
            Ok(())
        }
        State::Show { address, json } => show(context, &store, address, *json),
        State::Export => export(&store),
        State::Verify => verify(&store),
        State::History { json } => state_history::print_history(&store, *json),
        State::Mv { .. }
        | State::Rm { .. }
        | State::Import { .. }
        | State::Reconcile(_)
        | State::Rekey
        | State::Unlock
        | State::Identity { .. } => Ok(()),
    };
    match result {
        Ok(()) => Exit::Success,
        Err(diagnostic) => fail(context, &Sources::new(), &[diagnostic]),
    }
}

fn show(context: &Context, store: &Store, text: &str, is_json: bool) -> Result<(), Diagnostic> {
    let instances = &store.snapshot().instances;
    let parsed: Result<Address, _> = text.parse();
    let found = parsed.ok().and_then(|address| instances.get(&address));
    let instance = found.ok_or_else(|| state_edit::unknown(text, store.snapshot()))?;
    if is_json {
        let json = json!({
            "address": instance.address,
            "id": instance.id,
            "object_id": instance.object_id,
            "provider": instance.provider,
            "schema_version": instance.schema_version,
            "layer": instance.layer,
            "status": instance.status,
            "dependencies": instance.dependencies,
            "hosted_on": instance.hosted_on,
            "set_paths": instance.set_paths,
            "values": to_display_json(&instance.attributes),
        });
        print(&format!("{json}\n"));
    } else {
        print(&render(instance, context.style));
    }
    Ok(())
}

/// One instance as a person reads it.
pub(crate) fn render(instance: &Instance, style: Style) -> String {
    let mut text = format!("  {}\n", style.bold(&instance.address.to_string()));
    if let Status::Suspect { why } = &instance.status {
        text.push_str(&format!(
            "      {}\n",
            style.notable(&format!("suspect: {why}"))
        ));
    }
    if instance.status == Status::Lost {
        text.push_str(&format!(
            "      {}\n",
            style.notable("lost, not made anew yet")
        ));
    }
    text.push_str(&dmp_report::render_attributes(&instance.attributes, 6));
    for hosting in &instance.hosted_on {
        let hosts: Vec<String> = hosting.hosts.iter().map(ToString::to_string).collect();
        text.push_str(&format!(
            "      lives on {} of {}\n",
            hosting.quantifier,
            hosts.join(", ")
        ));
    }
    text
}

fn export(store: &Store) -> Result<(), Diagnostic> {
    let rows = store
        .sealed_rows()
        .map_err(|error| cannot_read(&error.to_string()))?;
    let table = |table: Table| -> Json {
        let rows = rows.get(&table).into_iter().flatten();
        rows.map(|(key, body)| {
            (
                key.clone(),
                serde_json::from_str(body).unwrap_or(Json::String(body.clone())),
            )
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
    };
    let snapshot = store.snapshot();
    let json = json!({
        "format": dmp_state::store::FORMAT,
        "lineage": snapshot.lineage,
        "serial": snapshot.serial,
        "hash": snapshot.hash,
        "meta": table(Table::Meta),
        "instances": table(Table::Instances),
        "deposed": table(Table::Deposed),
        "intents": table(Table::Intents),
        "outputs": table(Table::Outputs),
        "providers": table(Table::Providers),
    });
    print(&format!("{json}\n"));
    Ok(())
}

fn verify(store: &Store) -> Result<(), Diagnostic> {
    let verified = store.verify().map_err(|error| {
        Diagnostic::error("state-damaged", "the state is not sound")
            .cause(error.to_string())
            .help("bring back a copy of `.dmp/state.sqlite`, and verify that")
    })?;
    let counted = |count: u64, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    print(&format!(
        "The state is sound: {}, {}, {}.\n",
        counted(verified.commits, "commit"),
        counted(verified.instances as u64, "instance"),
        counted(verified.intents as u64, "open intent")
    ));
    match verified.older_than_seen {
        Some(seen) => Err(
            Diagnostic::warning("older-state", "the state is an older copy")
                .detail(format!("on this machine commit {seen} was seen")),
        ),
        None => Ok(()),
    }
}

fn cannot_read(why: &str) -> Diagnostic {
    Diagnostic::error("state", "cannot read the state").cause(why)
}
