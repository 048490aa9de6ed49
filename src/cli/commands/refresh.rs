//! `dmp refresh`, and `plan` and `apply` with `--refresh-only`: what is recorded is read, and recorded as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dmp_apply::Services;
use dmp_plan::drift;
use dmp_plan::ending::{all_lost, lost_with};
use dmp_plan::selection::{Part, Selection};
use dmp_plan::{Drift, Finding, Findings, World};
use dmp_sdk::{Address, Diagnostic};
use dmp_state::{Lock, Record, Snapshot, Status, Store, mint_id};
use serde_json::json;

use super::apply::ask;
use super::{fail, fail_broken, print, say, say_counts};
use crate::arguments::{Apply, Plan, Refresh, Variables};
use crate::part::Only;
use crate::stack::{Stack, check_state, now, open_state, open_state_for_writing};
use crate::{Context, Exit, run as runs};

/// What is to become of what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// It is shown.
    Show { detailed_exitcode: bool },
    /// It is shown, and recorded after a yes.
    Ask,
    /// It is shown and recorded.
    Record,
}

/// How it is told of.
#[derive(Clone, Copy)]
struct Telling {
    json: bool,
    counts: bool,
}

/// `dmp refresh`.
pub(crate) async fn run(context: &Context, directory: &Path, arguments: &Refresh) -> Exit {
    let Refresh {
        variables,
        only,
        json,
    } = arguments;
    let telling = Telling {
        json: *json,
        counts: false,
    };
    go(context, directory, variables, only, Wish::Record, telling).await
}

/// `dmp plan --refresh-only`.
pub(crate) async fn plan(context: &Context, directory: &Path, arguments: &Plan) -> Exit {
    let wish = Wish::Show {
        detailed_exitcode: arguments.detailed_exitcode,
    };
    let Plan {
        variables, part, ..
    } = arguments;
    let telling = Telling {
        json: arguments.json,
        counts: arguments.counts,
    };
    go(context, directory, variables, &part.only, wish, telling).await
}

/// `dmp apply --refresh-only`.
pub(crate) async fn apply(context: &Context, directory: &Path, arguments: &Apply) -> Exit {
    let wish = match arguments.yes {
        true => Wish::Record,
        false => Wish::Ask,
    };
    let Apply {
        variables,
        part,
        how,
        ..
    } = arguments;
    let telling = Telling {
        json: how.json,
        counts: how.counts,
    };
    go(context, directory, variables, &part.only, wish, telling).await
}

async fn go(
    context: &Context,
    directory: &Path,
    variables: &Variables,
    only: &Only,
    wish: Wish,
    Telling { json, counts }: Telling,
) -> Exit {
    let stack = match Stack::open(context, directory, Some(variables)) {
        Ok(stack) => stack,
        Err(broken) => return fail_broken(context, &broken),
    };
    let fail = |diagnostics: &[Diagnostic]| fail(context, &stack.sources, diagnostics);
    fail(&stack.warnings);
    let selection = match only.selection() {
        Ok(selection) => selection,
        Err(wrong) => return fail(&wrong),
    };
    let (mut store, lock) = match open(directory, wish) {
        Ok(opened) => opened,
        Err(diagnostic) => return fail(&[diagnostic]),
    };
    if let Some(older) = check_state(&stack, &store) {
        return fail(&[older]);
    }
    let services = runs::looking(context, &stack, 10);
    let run = mint_id();
    if lock.is_some() {
        let nothing = BTreeSet::new();
        let begun = runs::begin(&stack, &mut store, &services, &run, "refresh", &nothing).await;
        if let Err(diagnostics) = begun {
            return fail(&diagnostics);
        }
    }
    let seen = look(&stack, store.snapshot(), &services, selection).await;
    if counts {
        say_counts(services.machines.as_ref());
    }
    services.machines.close().await;
    if json {
        let problems = seen.problems.iter();
        let problems = problems.map(|problem| dmp_report::diagnostic_json(problem, &stack.sources));
        print(&format!(
            "{}\n",
            json!({
                "format_version": "1.0",
                "resource_drift": dmp_report::drift_json(&seen.drift),
                "diagnostics": problems.collect::<Vec<_>>(),
            })
        ));
    } else {
        print(&dmp_report::render_drift(&seen.drift, context.style));
        print(&format!(
            "{} instances read, {} had changed.\n",
            seen.read,
            seen.drift.len()
        ));
    }
    let exit = fail(&seen.problems);
    let is_changed = !seen.drift.is_empty();
    match wish {
        Wish::Show { detailed_exitcode } if exit == Exit::Success => {
            return match detailed_exitcode && is_changed {
                true => Exit::Changes,
                false => exit,
            };
        }
        Wish::Show { .. } => return exit,
        Wish::Ask if is_changed => {
            if !context.is_terminal || json {
                return fail(&[Diagnostic::error("not-approved", "not approved")
                    .detail("there is no terminal to ask on")
                    .help("use `--yes`")]);
            }
            if !ask("Record what is there? Nothing outside is changed.").await {
                say("Not approved; the state is as it was.\n");
                return Exit::User;
            }
        }
        Wish::Ask | Wish::Record => {}
    }
    let mut records = seen.records;
    records.push(Record::RunEnded {
        outcome: "refreshed".into(),
    });
    if let Err(error) = store.commit(records, &run, &now()) {
        return fail(&[
            Diagnostic::error("state", "cannot write the state").cause(error.to_string())
        ]);
    }
    exit
}

/// What is only shown needs no lock, unless an earlier run left something to settle.
fn open(directory: &Path, wish: Wish) -> Result<(Store, Option<Lock>), Diagnostic> {
    if matches!(wish, Wish::Show { .. }) {
        let store = open_state(directory)?;
        if store.snapshot().intents.is_empty() {
            return Ok((store, None));
        }
    }
    let (store, lock) = open_state_for_writing(directory, "refresh")?;
    Ok((store, Some(lock)))
}

/// What was found.
struct Seen {
    /// How many instances were read.
    read: usize,
    drift: Vec<Drift>,
    /// What to commit so that the state has it.
    records: Vec<Record>,
    problems: Vec<Diagnostic>,
}

async fn look(
    stack: &Stack,
    snapshot: &Snapshot,
    services: &Services,
    selection: Selection,
) -> Seen {
    let world = stack.world();
    let part = Part::of(&world, selection, false);
    let addresses: Vec<&Address> = snapshot.instances.keys().collect();
    let unknown = part.unknown(&world, &addresses);
    let mut passed_over = all_lost(snapshot, &runs::recorded_lost(snapshot));
    let others = snapshot.instances.values();
    let others = others.filter(|instance| !part.has_recorded(&world, instance));
    passed_over.extend(others.map(|instance| instance.address.clone()));
    let refresh = dmp_refresh::Refresh::new(&world, snapshot, &passed_over, &services.configure);
    let findings = refresh.read(&services.reader).await;
    let drift = drift::find(&world, snapshot, &findings);
    let mut problems = unknown;
    problems.extend(unread(&findings));
    let records = records(&world, snapshot, &findings, &drift, &mut problems);
    Seen {
        read: findings.len(),
        drift,
        records,
        problems,
    }
}

fn unread(findings: &Findings) -> Vec<Diagnostic> {
    let problem = |(address, finding): (&Address, &Finding)| match finding {
        Finding::Unreachable(why) | Finding::NotConfigured(why) => Some(
            Diagnostic::remote("unreachable", "cannot read an object")
                .address(address)
                .cause(why)
                .state("it stays recorded as it was"),
        ),
        Finding::Failed(diagnostic) => Some(diagnostic.clone().address(address)),
        _ => None,
    };
    let sorted: BTreeMap<&Address, &Finding> = findings.iter().collect();
    sorted.into_iter().filter_map(problem).collect()
}

/// What the state has to take over.
fn records(
    world: &World,
    snapshot: &Snapshot,
    findings: &Findings,
    drift: &[Drift],
    problems: &mut Vec<Diagnostic>,
) -> Vec<Record> {
    let mut records = Vec::new();
    for drift in drift {
        let Some(instance) = snapshot.instances.get(&drift.address) else {
            continue;
        };
        if world.schema_of(&drift.address).is_none() {
            continue;
        }
        let Some(found) = &drift.found else {
            let with_it = lost_with(snapshot, instance);
            if with_it.is_empty() {
                records.push(Record::InstanceRemoved {
                    address: drift.address.clone(),
                    why: "gone".into(),
                });
                continue;
            }
            // What lived on it has to be taken out of what still knows it: that is for an apply.
            problems.push(
                Diagnostic::warning("gone-host", "it is gone, with what lived on it")
                    .address(&drift.address)
                    .detail(format!("{} recorded objects are lost with it", with_it.len()))
                    .state("all of them stay recorded")
                    .help("`dmp plan` shows what an apply will do, `dmp rebuild` brings back what is lost"),
            );
            continue;
        };
        let mut instance = instance.as_ref().clone();
        instance.attributes = found.clone();
        if let (Some(Finding::HalfMade(_, why)), Status::Whole) =
            (findings.get(&drift.address), &instance.status)
        {
            instance.status = Status::Suspect { why: why.clone() };
        }
        records.push(Record::InstancePut(Box::new(instance)));
    }
    records
}
