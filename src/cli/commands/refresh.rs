//! `dmp refresh`: what is recorded is read, and recorded as it is.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use dmp_plan::Finding;
use dmp_plan::instance::{conform, differing};
use dmp_report::Terminal;
use dmp_sdk::Diagnostic;
use dmp_state::{Record, mint_id};

use super::{fail, fail_broken, print};
use crate::arguments::Refresh;
use crate::stack::{Stack, check_state, now, open_state_for_writing};
use crate::{Context, Exit, run as runs};

pub(crate) async fn run(context: &Context, directory: &Path, arguments: &Refresh) -> Exit {
    let stack = match Stack::open(context, directory, Some(&arguments.variables)) {
        Ok(stack) => stack,
        Err(broken) => return fail_broken(context, &broken),
    };
    let (mut store, _lock) = match open_state_for_writing(directory, "refresh") {
        Ok(opened) => opened,
        Err(diagnostic) => return fail(context, &stack.sources, &[diagnostic]),
    };
    if let Some(older) = check_state(&stack, &store) {
        return fail(context, &stack.sources, &[older]);
    }
    let events = Arc::new(Terminal::new(
        stack.sources.clone(),
        context.error_style,
        context.is_live,
        false,
    ));
    let services = runs::services(&context.registry, events, 10, false);
    let run = mint_id();
    if let Err(diagnostics) = runs::begin(
        &stack,
        &mut store,
        &services,
        &run,
        "refresh",
        &BTreeSet::new(),
    )
    .await
    {
        return fail(context, &stack.sources, &diagnostics);
    }
    let world = stack.world();
    let snapshot = store.snapshot().clone();
    let lost = dmp_plan::ending::all_lost(&snapshot, &runs::recorded_lost(&snapshot));
    let recorded = dmp_refresh::refresh(
        &world,
        &snapshot,
        &lost,
        &services.configure,
        &services.reader,
    )
    .await;
    services.machines.close().await;
    let mut records = Vec::new();
    let mut problems = Vec::new();
    for (address, finding) in recorded.findings {
        let Some(instance) = snapshot.instances.get(&address) else {
            continue;
        };
        let Some(schema) = world.schema_of(&address) else {
            continue;
        };
        match finding {
            Finding::Found(object) => {
                let before = conform(schema, &instance.attributes);
                let found = conform(schema, &object.attributes).with_secrecy_of(&before);
                let changed = differing(schema, &before, &found);
                if changed.is_empty() {
                    continue;
                }
                print(&format!("  ~ {address}   `{}`\n", changed.join("`, `")));
                let mut instance = instance.as_ref().clone();
                instance.attributes = found;
                records.push(Record::InstancePut(Box::new(instance)));
            }
            Finding::Absent => {
                print(&format!("  - {address}   gone\n"));
                records.push(Record::InstanceRemoved {
                    address,
                    why: "gone".into(),
                });
            }
            Finding::Unreachable(why) | Finding::NotConfigured(why) => problems.push(
                Diagnostic::remote("unreachable", "cannot read an object")
                    .address(&address)
                    .cause(why)
                    .state("it stays recorded as it was"),
            ),
            Finding::Failed(diagnostic) => problems.push(diagnostic.address(&address)),
            Finding::HalfMade(..) | Finding::Data(_) | Finding::Candidates(_) => {}
        }
    }
    let changed = records.len();
    records.push(Record::RunEnded {
        outcome: "refreshed".into(),
    });
    if let Err(error) = store.commit(records, &run, &now()) {
        problems
            .push(Diagnostic::error("state", "cannot write the state").cause(error.to_string()));
    }
    print(&format!(
        "{} instances read, {changed} had changed.\n",
        snapshot.instances.len()
    ));
    fail(context, &stack.sources, &problems)
}
