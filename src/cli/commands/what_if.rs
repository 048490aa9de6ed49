//! `dmp what-if`: what each single loss would take along, and whether the stack bears it. Nothing is changed.

use std::path::Path;

use dmp_plan::what_if::{Loss, Subject, as_planned, what_if};
use dmp_sdk::Diagnostic;

use super::{fail, open_both, print};
use crate::arguments::WhatIf;
use crate::run::Look;
use crate::{Context, Exit, run as runs};

pub(crate) async fn run(context: &Context, directory: &Path, arguments: &WhatIf) -> Exit {
    let (stack, store) = match open_both(context, directory, &arguments.variables) {
        Ok(both) => both,
        Err(exit) => return exit,
    };
    let losses = if arguments.planned {
        let services = runs::looking(context, &stack, 10);
        let planning = runs::plan(&stack, store.snapshot(), &services, &Look::default()).await;
        services.machines.close().await;
        let exit = fail(context, &stack.sources, &planning.plan.diagnostics);
        if exit != Exit::Success {
            return exit;
        }
        let after = as_planned(&planning.world, store.snapshot(), &planning.plan);
        what_if(&planning.world, &after)
    } else {
        what_if(&stack.world(), store.snapshot())
    };
    let losses = match chosen(losses, &arguments.lost) {
        Ok(losses) => losses,
        Err(unknown) => return fail(context, &stack.sources, &[unknown]),
    };
    if arguments.json {
        print(&format!("{:#}\n", dmp_report::what_if_json(&losses)));
    } else {
        let is_detailed = !arguments.lost.is_empty();
        print(&dmp_report::render_what_if(
            &losses,
            is_detailed,
            context.style,
        ));
    }
    match losses.iter().all(Loss::is_survivable) {
        true => Exit::Success,
        false => Exit::Changes,
    }
}

/// The losses that were asked for: all if none was.
fn chosen(losses: Vec<Loss>, wanted: &[String]) -> Result<Vec<Loss>, Diagnostic> {
    let is_called = |subject: &Subject, wanted: &str| match subject {
        Subject::Machine(address) => address.to_string() == wanted,
        Subject::Domain { domain, .. } => {
            format!("{}/{}", domain.kind, domain.name) == wanted
                || dmp_report::loss_name(subject) == wanted
        }
    };
    for wanted in wanted {
        if losses.iter().any(|loss| is_called(&loss.subject, wanted)) {
            continue;
        }
        let names: Vec<String> = losses
            .iter()
            .map(|loss| dmp_report::loss_name(&loss.subject))
            .collect();
        return Err(
            Diagnostic::error("unknown-loss", "nothing of that name can be lost here")
                .detail(format!(
                    "`{wanted}` is neither a machine nor a part of the ground that the stack lives on"
                ))
                .did_you_mean(wanted, names.iter().map(String::as_str))
                .help("`dmp what-if` without a name lists them all"),
        );
    }
    let is_wanted = |loss: &Loss| {
        wanted.is_empty() || wanted.iter().any(|wanted| is_called(&loss.subject, wanted))
    };
    Ok(losses.into_iter().filter(is_wanted).collect())
}
