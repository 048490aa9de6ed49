//! `dmp plan`: what would be done.

use std::collections::BTreeSet;
use std::mem::ManuallyDrop;
use std::path::Path;

use dmp_apply::{Checks, Services};
use dmp_refresh::Planning;
use dmp_sdk::Diagnostic;
use dmp_state::{Lock, Store, mint_id};

use super::{fail, fail_broken, generate, print, say, say_counts};
use crate::arguments::Plan;
use crate::run::Look;
use crate::stack::{Stack, check_state, open_state, open_state_for_writing};
use crate::{Context, Exit, encryption, plan_file, run as runs};

pub(crate) async fn run(context: &Context, directory: &Path, arguments: Plan) -> Exit {
    if arguments.refresh_only {
        return super::refresh::plan(context, directory, &arguments).await;
    }
    // Neither needs the other, and both take their time where there are thousands of instances.
    let (stack, opened) = std::thread::scope(|scope| {
        let opening = scope.spawn(|| open_state(directory));
        let stack = Stack::open(context, directory, Some(&arguments.variables));
        let died = |_| Err(Diagnostic::bug("the state's reader ended without a word"));
        (stack, opening.join().unwrap_or_else(died))
    });
    let mut stack = match stack {
        Ok(stack) => stack,
        Err(broken) => return fail_broken(context, &broken),
    };
    fail(context, &stack.sources, &stack.warnings);
    let selection = match arguments.part.selection() {
        Ok(selection) => selection,
        Err(wrong) => return fail(context, &stack.sources, &wrong),
    };
    let opened = opened.and_then(|store| locked(directory, store, arguments.out.is_some()));
    let (mut store, lock) = match opened {
        Ok(opened) => opened,
        Err(diagnostic) => return fail(context, &stack.sources, &[diagnostic]),
    };
    if let Some(older) = check_state(&stack, &store) {
        return fail(context, &stack.sources, &[older]);
    }
    let services = runs::looking(context, &stack, 10);
    if let Some(out) = &arguments.generate_config_out {
        let made = generate::generate(&stack, store.snapshot(), &services, out).await;
        if let Err(diagnostics) = made {
            return fail(context, &stack.sources, &diagnostics);
        }
        // The plan is made with what was written.
        stack = match Stack::open(context, directory, Some(&arguments.variables)) {
            Ok(stack) => stack,
            Err(broken) => return fail_broken(context, &broken),
        };
    }
    if lock.is_some() {
        let run = mint_id();
        if let Err(diagnostics) = runs::begin(
            &stack,
            &mut store,
            &services,
            &run,
            "plan",
            &BTreeSet::new(),
        )
        .await
        {
            return fail(context, &stack.sources, &diagnostics);
        }
    }
    let look = Look {
        is_destroy: arguments.destroy,
        selection,
        trusts_record: arguments.part.no_refresh,
        ..Look::default()
    };
    let planning = runs::plan(&stack, store.snapshot(), &services, &look).await;
    // The process ends soon: a large plan need not be taken apart before.
    let mut planning = ManuallyDrop::new(planning);
    let unmet = checked(&services, &mut planning, &look).await;
    let plan = &planning.plan;
    if arguments.json {
        print(&format!("{}\n", dmp_report::plan_json(plan)));
    } else {
        print(&dmp_report::render_plan(plan, context.style));
    }
    let exit = fail(context, &stack.sources, &plan.diagnostics);
    fail(context, &stack.sources, &unmet);
    let alone = encryption::warn_of_one(&stack, &store, plan, &planning.world);
    fail(context, &stack.sources, alone.as_slice());
    if arguments.counts {
        say_counts(services.machines.as_ref());
    }
    services.machines.close().await;
    if exit != Exit::Success {
        say("Nothing can be applied before this is mended.\n");
        return exit;
    }
    if let Some(path) = &arguments.out {
        let plain = dmp_report::render_plan(plan, dmp_report::Style::Plain);
        let json = dmp_report::plan_json(plan);
        if let Err(diagnostic) =
            plan_file::write(path, &stack, &store, plan, &arguments.part, plain, json)
        {
            return fail(context, &stack.sources, &[diagnostic]);
        }
        say(&format!(
            "Kept in `{0}`; apply it with:\n    dmp apply {0}\n",
            path.display()
        ));
    }
    drop(lock);
    if arguments.detailed_exitcode && !plan.is_empty() {
        Exit::Changes
    } else {
        Exit::Success
    }
}

/// The checks that do not hold, as far as that is known before anything is applied.
///
/// A check with data asks outside: only where the plan changes nothing, since otherwise the apply is to make it hold.
async fn checked(services: &Services, planning: &mut Planning, look: &Look) -> Vec<Diagnostic> {
    let plan = &planning.plan;
    if plan.is_destroy || plan.has_errors() || !look.selection.is_whole() {
        return Vec::new();
    }
    let which = match plan.is_empty() && !look.trusts_record {
        true => Checks::All,
        false => Checks::WithoutData,
    };
    dmp_apply::check(services, &mut planning.world, &planning.providers, which).await
}

/// A plan writes the state only to settle what an earlier run left, or to have a key for the file.
fn locked(
    directory: &Path,
    store: Store,
    keeps: bool,
) -> Result<(Store, Option<Lock>), Diagnostic> {
    if store.snapshot().intents.is_empty() && !(keeps && store.keys().is_none()) {
        return Ok((store, None));
    }
    drop(store);
    let (store, lock) = open_state_for_writing(directory, "plan")?;
    Ok((store, Some(lock)))
}
