//! `dmp state reconcile`: an older copy of the state becomes the base again, and what it can't know is told.
//!
//! Nothing outside is changed and no object is adopted here: the next apply does that, under a plan that a person sees.

use std::path::Path;

use dmp_plan::{Earlier, Plan, Planned, World};
use dmp_sdk::{Action, Diagnostic, MarkWay, Mode};
use dmp_state::{Record, mint_id};

use super::{fail, fail_broken, print, say};
use crate::arguments::Reconcile;
use crate::encryption::makes_secrets;
use crate::run::Look;
use crate::stack::{Stack, now, open_state_for_writing};
use crate::{Context, Exit, run as runs};

/// Accepts the state as it is, and tells what it can't know.
pub(super) async fn run(context: &Context, directory: &Path, arguments: &Reconcile) -> Exit {
    let stack = match Stack::open(context, directory, Some(&arguments.variables)) {
        Ok(stack) => stack,
        Err(broken) => return fail_broken(context, &broken),
    };
    let refuse = |diagnostics: &[Diagnostic]| fail(context, &stack.sources, diagnostics);
    let (mut store, _lock) = match open_state_for_writing(directory, "state reconcile") {
        Ok(opened) => opened,
        Err(diagnostic) => return refuse(&[diagnostic]),
    };
    let Some(seen) = store.older_than_seen else {
        print("The state is no older copy: there is nothing to reconcile.\n");
        return Exit::Success;
    };
    let serial = store.snapshot().serial;
    // A state that was damaged as well must not become the truth.
    if let Err(error) = store.verify() {
        return refuse(&[
            Diagnostic::error("state-damaged", "the state is not sound").cause(error.to_string())
        ]);
    }
    if !arguments.yes {
        if !context.is_terminal {
            return refuse(&[Diagnostic::error("not-approved", "not approved")
                .detail("there is no terminal to ask on")
                .help("use `--yes`, if the newer state is lost for good")]);
        }
        let lost = seen.0 - serial.0;
        let question = format!(
            "The state ends with commit {serial}; what the {lost} commits after it recorded is lost for good. Go on from here?"
        );
        if !super::apply::ask(&question).await {
            say("Not approved; nothing was changed.\n");
            return Exit::User;
        }
    }
    let run = mint_id();
    if let Err(error) = store.commit(vec![Record::Reconciled { seen }], &run, &now()) {
        return refuse(&[
            Diagnostic::error("state", "cannot write the state").cause(error.to_string())
        ]);
    }
    print(&format!(
        "Commit {} goes on from commit {serial}; what was recorded after that, up to commit {seen}, is given up.\n",
        store.snapshot().serial
    ));
    let services = runs::looking(context, &stack, 10);
    let lost = runs::recorded_lost(store.snapshot());
    let begun = runs::begin(
        &stack,
        &mut store,
        &services,
        &run,
        "state reconcile",
        &lost,
    );
    if let Err(diagnostics) = begun.await {
        return refuse(&diagnostics);
    }
    let planning = runs::plan(&stack, store.snapshot(), &services, &Look::default()).await;
    services.machines.close().await;
    let ended = Record::RunEnded {
        outcome: "reconciled".into(),
    };
    if let Err(error) = store.commit(vec![ended], &run, &now()) {
        return refuse(&[
            Diagnostic::error("state", "cannot write the state").cause(error.to_string())
        ]);
    }
    print(&told(&planning.plan, &planning.world));
    refuse(&planning.plan.diagnostics)
}

/// What the next apply would do with what this state does not know.
fn told(plan: &Plan, world: &World) -> String {
    let mut text = String::new();
    let mut list = |title: &str, holds: &dyn Fn(&Planned) -> bool| {
        let found = plan.instances.values().filter(|planned| holds(planned));
        let lines: Vec<String> = found
            .map(|planned| format!("  {}\n", planned.address))
            .collect();
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}\n{}", lines.concat()));
        }
    };
    let is_new = |planned: &Planned| {
        let is_made = matches!(planned.action, Action::Create | Action::Update);
        is_made && planned.record.is_none() && planned.address.mode == Mode::Managed
    };
    let way = |planned: &Planned| world.schema_of(&planned.address).map(|schema| schema.mark);
    let by_key =
        |planned: &Planned| is_new(planned) && matches!(way(planned), Some(MarkWay::NaturalKey(_)));
    list(
        "Found by its path or name, and taken over by the next apply. What is there counts as what was there before: a \
         delete leaves it.",
        &|planned| by_key(planned) && planned.earlier.found().is_some(),
    );
    list(
        "Can't be looked for yet; the next apply does so before it makes it:",
        &|planned| by_key(planned) && planned.earlier == Earlier::NotRead,
    );
    list(
        "Made by the next apply, since nothing is there:",
        &|planned| by_key(planned) && planned.earlier == Earlier::Nothing,
    );
    list(
        "Found only by a mark that this state does not have. If one was made since, the next apply makes a second one: look \
         for it first, and name it in an `import` block:",
        &|planned| {
            is_new(planned)
                && matches!(
                    way(planned),
                    Some(MarkWay::Field(_) | MarkWay::ChosenName(_) | MarkWay::IdBefore { .. })
                )
        },
    );
    let holds_secret = |planned: &Planned| {
        let schema = world.schema_of(&planned.address);
        schema.is_some_and(makes_secrets)
    };
    list(
        "Secrets that were recorded in the state alone, and are made anew: whoever was given the old ones has to be given \
         the new ones:",
        &|planned| {
            is_new(planned) && way(planned) == Some(MarkWay::Record) && holds_secret(planned)
        },
    );
    list("Recorded in the state alone, and made anew:", &|planned| {
        is_new(planned) && way(planned) == Some(MarkWay::Record) && !holds_secret(planned)
    });
    list("Recorded here and not there any more:", &|planned| {
        planned.action == Action::Create && planned.record.is_some()
    });
    list("Recorded here, and different now:", &|planned| {
        planned.action != Action::Create && planned.record.is_some() && planned.is_change()
    });
    if text.is_empty() {
        text.push_str("\nWhat the configuration describes is what this state knows.\n");
    }
    text.push_str(
        "\nWhat was made since and is not described any more is not found: nothing lists it.\n\
         Look at `dmp plan`, then apply.\n",
    );
    text
}
