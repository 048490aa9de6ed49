//! Looks after what earlier runs began and did not see the end of. Nothing else is begun before.

use std::collections::{BTreeMap, BTreeSet};

use dmp_events::Event;
use dmp_plan::instance::{conform, differing};
use dmp_plan::{Finding, ReadKind, ReadRequest, World};
use dmp_sdk::{
    Address, Candidate, Diagnostic, ItemEnd, Mark, Purpose, Report, Resource, Schema, Value, Verb,
};
use dmp_state::{Instance, Intent, Record, Status};
use tokio::sync::mpsc;

use crate::run::Run;

/// Settles every open intent. `world` knows variables only.
///
/// # Errors
/// For each intent that can't be settled now: what it is, and why. The others are settled all the same.
pub async fn settle(
    run: &mut Run<'_>,
    world: &World,
    lost: &BTreeSet<Address>,
) -> Result<(), Vec<Diagnostic>> {
    let intents: Vec<Intent> = run.store.snapshot().intents.values().cloned().collect();
    if intents.is_empty() {
        return Ok(());
    }
    let gone = dmp_plan::ending::all_lost(run.store.snapshot(), lost);
    let mut problems = Vec::new();
    let mut requests = Vec::new();
    let mut waiting: BTreeMap<Address, (Intent, Left)> = BTreeMap::new();
    for intent in &intents {
        let address = intent.instance.address.clone();
        run.services.events.emit(Event::Settling {
            address: address.clone(),
            verb: intent.verb,
        });
        let host = dmp_plan::ending::dead_host(&intent.instance, |host| gone.contains(host));
        // The intent of a successor bears another id: that is looked for.
        let recorded = run.store.snapshot().instances.get(&address);
        let is_gone = gone.contains(&address)
            && recorded.is_some_and(|recorded| recorded.id == intent.instance.id);
        if is_gone || host.is_some() {
            // Nobody is left to be asked, and nothing of it is left to be found.
            let said = "what it was begun on is lost".to_owned();
            if let Err(diagnostic) = close(run, intent, Vec::new(), said) {
                problems.push(diagnostic.address(&address));
            }
            continue;
        }
        let left = match wait_for_batches(run, intent).await {
            Ok(left) => left,
            Err(diagnostic) => {
                problems.push(diagnostic.address(&address));
                continue;
            }
        };
        let settled = match (left, intent.verb) {
            (Left::Nothing, _) => close(run, intent, Vec::new(), "it was not begun".into()),
            (Left::Done, Verb::Delete) | (_, Verb::Leave) => {
                settle_one(run, world, intent, left, Finding::Absent)
            }
            _ => request(run, world, intent, left).map(|request| {
                requests.push(request);
                waiting.insert(address.clone(), (intent.clone(), left));
            }),
        };
        if let Err(diagnostic) = settled {
            problems.push(diagnostic.address(&address));
        }
    }
    let silent = crate::late::silence(run);
    let may_come = |address: &Address| {
        let intent = waiting.get(address);
        intent.is_some_and(|(intent, _)| crate::late::is_unanswered(intent))
    };
    let findings = crate::late::read(&run.services, silent, requests, may_come).await;
    for (address, finding) in findings {
        let Some((intent, left)) = waiting.remove(&address) else {
            continue;
        };
        if let Err(diagnostic) = settle_one(run, world, &intent, left, finding) {
            problems.push(diagnostic.address(&address));
        }
    }
    forget(run, &intents).await;
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// What the machines say of a work that was sent to them.
#[derive(Clone, Copy)]
enum Left {
    /// Nothing of it was begun.
    Nothing,
    /// It went to its end. What only the machine's journal tells (that a command without a check ran) is known by that.
    Done,
    /// Something of it may be there.
    Something,
}

/// Steps that still run on a machine are waited for: they are never started twice.
async fn wait_for_batches(run: &Run<'_>, intent: &Intent) -> Result<Left, Diagnostic> {
    let mut has_begun = intent.batches.is_empty();
    let mut ended = None;
    for running in &intent.batches {
        let (reports, mut incoming) = mpsc::channel(64);
        let settled = run
            .services
            .machines
            .settle(&running.on, &running.batch, reports);
        let follow = async {
            while let Some(report) = incoming.recv().await {
                match report {
                    Report::StepStarted { .. } => {
                        let why = format!(
                            "what an earlier run began on `{}` still runs",
                            intent.instance.address
                        );
                        run.services.events.emit(Event::Waiting {
                            what: running.on.address.clone(),
                            why,
                        });
                    }
                    // A part of a work over several machines bears another name.
                    Report::ItemEnded { item, end, .. } if item == intent.id => ended = Some(end),
                    Report::StepEnded { .. } | Report::ItemEnded { .. } => {}
                }
            }
        };
        let (result, ()) = futures::join!(settled, follow);
        has_begun |= result.map_err(|unreachable| {
            Diagnostic::remote("unsettled", "cannot settle what an earlier run began")
                .cause(unreachable.to_string())
                .state("its intent stays open")
                .help("make the machine reachable and run the command again")
        })?;
    }
    Ok(match ended {
        Some(ItemEnd::Done) => Left::Done,
        Some(ItemEnd::Skipped) => Left::Nothing,
        _ if !has_begun => Left::Nothing,
        _ => Left::Something,
    })
}

/// Removes the files of batches that no open intent needs any more: one that is still open asks its journal again.
async fn forget(run: &Run<'_>, intents: &[Intent]) {
    let batches = intents.iter().flat_map(|intent| &intent.batches);
    let needed = run.needed_batches();
    let mut seen = BTreeSet::new();
    for running in batches {
        if needed.contains(&running.batch) || !seen.insert(&running.batch) {
            continue;
        }
        // That its files stay there harms nobody.
        let _ = run
            .services
            .machines
            .forget(&running.on, std::slice::from_ref(&running.batch))
            .await;
    }
}

fn request(
    run: &Run<'_>,
    world: &World,
    intent: &Intent,
    left: Left,
) -> Result<ReadRequest, Diagnostic> {
    let instance = &intent.instance;
    let snapshot = run.store.snapshot();
    let resource = world.registry.resource(&instance.address.resource_type);
    let resource = resource.ok_or_else(|| {
        let detail = format!(
            "no provider here offers `{}`",
            instance.address.resource_type
        );
        Diagnostic::error("unknown-type", "unknown resource type").detail(detail)
    })?;
    let configure = &run.services.configure;
    let provider = dmp_refresh::provider_of_record(world, snapshot, &instance.provider, configure)
        .map_err(|why| {
            Diagnostic::remote("unsettled", "cannot settle what an earlier run began").cause(why)
        })?;
    Ok(ReadRequest {
        address: instance.address.clone(),
        kind: ReadKind::Object {
            resource: std::sync::Arc::clone(resource),
            purpose: match left {
                Left::Done => Purpose::AfterWrite,
                Left::Nothing | Left::Something => Purpose::Settle,
            },
            attributes: conform(resource.schema(), &instance.attributes),
            object_id: intent.object_id.clone(),
            chosen: instance.chosen.clone(),
            mark: Some(Mark {
                lineage: snapshot.lineage.clone(),
                instance: instance.id.clone(),
            }),
        },
        provider,
        provider_address: instance.provider.clone(),
        within: None,
    })
}

fn settle_one(
    run: &mut Run<'_>,
    world: &World,
    intent: &Intent,
    left: Left,
    finding: Finding,
) -> Result<(), Diagnostic> {
    let unsettled = || Diagnostic::remote("unsettled", "cannot settle what an earlier run began");
    let candidates = match finding {
        Finding::Candidates(candidates) => candidates,
        Finding::Absent => Vec::new(),
        Finding::Failed(diagnostic) => return Err(diagnostic),
        Finding::Unreachable(why) | Finding::NotConfigured(why) => {
            return Err(unsettled().cause(why));
        }
        Finding::Found(object) => vec![Candidate {
            object,
            half_made: None,
        }],
        Finding::HalfMade(object, why) => vec![Candidate {
            object,
            half_made: Some(why),
        }],
        Finding::Data(_) => return Err(Diagnostic::bug("an object was read as a data source")),
    };
    let candidate = pick(intent, candidates)?;
    let address = intent.instance.address.clone();
    let schema = world.schema_of(&address);
    let schema = schema.ok_or_else(|| Diagnostic::bug(format!("no schema of `{address}`")))?;
    let (records, outcome) = match intent.verb {
        Verb::Leave => (
            Vec::new(),
            "the next plan takes it up again, if it is still needed".into(),
        ),
        Verb::Delete => {
            let is_deposed = run
                .store
                .snapshot()
                .deposed
                .contains_key(&intent.instance.id);
            let (mut records, outcome) = after_delete(intent, schema, candidate, is_deposed);
            if !records.is_empty() && !is_deposed {
                records.extend(lost_with(run, intent));
            }
            (records, outcome)
        }
        Verb::Create | Verb::Update => {
            let resource = world.registry.resource(&address.resource_type);
            let resource =
                resource.ok_or_else(|| Diagnostic::bug(format!("no type of `{address}`")))?;
            after_write(run, intent, resource.as_ref(), left, candidate)
        }
    };
    close(run, intent, records, outcome)
}

/// What lived on something that was deleted leaves the state in the same commit.
fn lost_with(run: &Run<'_>, intent: &Intent) -> Vec<Record> {
    let lost = dmp_plan::ending::lost_with(run.store.snapshot(), &intent.instance);
    let removed = |address| Record::InstanceRemoved {
        address,
        why: "lost with host".into(),
    };
    lost.into_iter().map(removed).collect()
}

/// Records what became of an intent, and that it is settled.
fn close(
    run: &mut Run<'_>,
    intent: &Intent,
    mut records: Vec<Record>,
    outcome: String,
) -> Result<(), Diagnostic> {
    records.push(Record::IntentClosed {
        intent: intent.id.clone(),
    });
    run.commit(records)?;
    run.services.events.emit(Event::Settled {
        address: intent.instance.address.clone(),
        verb: intent.verb,
        outcome,
    });
    Ok(())
}

/// The one object that the intent may have left. Two without a second identity are refused, never picked.
fn pick(intent: &Intent, candidates: Vec<Candidate>) -> Result<Option<Candidate>, Diagnostic> {
    if candidates.len() < 2 {
        return Ok(candidates.into_iter().next());
    }
    let known = candidates.iter().position(|candidate| {
        intent.object_id.is_some() && candidate.object.id == intent.object_id
    });
    match known {
        Some(position) => Ok(candidates.into_iter().nth(position)),
        None => {
            let ids: Vec<_> = candidates
                .iter()
                .filter_map(|candidate| candidate.object.id.clone())
                .collect();
            Err(
                Diagnostic::remote("ambiguous", "several objects carry the same mark")
                    .detail(format!(
                        "each of these may be `{}`: {}",
                        intent.instance.address,
                        ids.join(", ")
                    ))
                    .help("remove the one that is a copy, or its mark, and run the command again"),
            )
        }
    }
}

fn after_write(
    run: &Run<'_>,
    intent: &Intent,
    resource: &dyn Resource,
    left: Left,
    candidate: Option<Candidate>,
) -> (Vec<Record>, String) {
    let schema = resource.schema();
    let address = intent.instance.address.clone();
    // Beside a new object the old one is recorded at the same address.
    let is_recorded = !intent.deposes && run.store.snapshot().instances.contains_key(&address);
    let Some(candidate) = candidate else {
        let gone = is_recorded.then(|| Record::InstanceRemoved {
            address,
            why: "gone".into(),
        });
        return (gone.into_iter().collect(), "it was not made".into());
    };
    let found = conform(schema, &candidate.object.attributes);
    let earlier = intent
        .instance
        .earlier
        .as_ref()
        .filter(|earlier| !earlier.is_null());
    let is_earlier =
        |earlier: &Value| differing(schema, &conform(schema, earlier), &found).is_empty();
    let may_be_earlier = !is_recorded && !matches!(left, Left::Done);
    if may_be_earlier && earlier.is_some_and(is_earlier) {
        return (
            Vec::new(),
            "it was not begun: what is there is what was there before".into(),
        );
    }
    let mut instance: Instance = (*intent.instance).clone();
    instance.attributes = found.with_secrecy_of(&intent.instance.attributes);
    instance.object_id = candidate.object.id.or_else(|| intent.object_id.clone());
    instance.holds_data = resource.holds_data(&instance.attributes);
    let outcome = match &candidate.half_made {
        Some(why) => {
            instance.status = Status::Suspect { why: why.clone() };
            format!("it is there, not finished ({why}): the next plan finishes it")
        }
        None => "it is there and recorded".into(),
    };
    let mut records: Vec<Record> = run
        .deposed_by(&instance, intent.deposes)
        .into_iter()
        .collect();
    records.push(Record::InstancePut(Box::new(instance)));
    (records, outcome)
}

fn after_delete(
    intent: &Intent,
    schema: &Schema,
    candidate: Option<Candidate>,
    is_deposed: bool,
) -> (Vec<Record>, String) {
    let address = intent.instance.address.clone();
    let removed = |address| {
        let why = "deleted".to_owned();
        let id = intent.instance.id.clone();
        vec![match is_deposed {
            true => Record::DeposedRemoved { id, address, why },
            false => Record::InstanceRemoved { address, why },
        }]
    };
    let Some(candidate) = candidate else {
        return (removed(address), "it is gone".into());
    };
    let found = conform(schema, &candidate.object.attributes);
    let earlier = intent
        .instance
        .earlier
        .as_ref()
        .filter(|earlier| !earlier.is_null());
    // What was there before dmp is back: the delete came to its end.
    if earlier
        .is_some_and(|earlier| differing(schema, &conform(schema, earlier), &found).is_empty())
    {
        return (removed(address), "what was there before is back".into());
    }
    (
        Vec::new(),
        "it is still there: the next plan deletes it".into(),
    )
}
