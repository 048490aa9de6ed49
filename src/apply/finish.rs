//! The record after each operation: what was found is what is recorded.

use std::sync::Arc;

use dmp_events::OperationEnd;
use dmp_plan::Finding;
use dmp_plan::instance::{conform, differing};
use dmp_plan::redact::Secrets;
use dmp_sdk::{
    Action, Address, Answer, Answers, Diagnostic, ItemEnd, Machine, Object, Output, Reading, Value,
    Verb,
};
use dmp_state::{Instance, Record, Status};

use crate::decide::Task;
use crate::walker::Walker;
use crate::work::{self, Message, Op};

impl Walker<'_, '_> {
    /// An item of a batch has ended.
    pub(crate) fn finish_item(
        &mut self,
        op: Op,
        end: &ItemEnd,
        read: Vec<Output>,
        last: Option<&(usize, Output)>,
    ) -> Result<(), Diagnostic> {
        let Some(task) = self.tasks.get(&op).cloned() else {
            return Ok(());
        };
        let Some(machine) = task.machine().cloned() else {
            return Ok(());
        };
        let result = match end {
            ItemEnd::Done => Ok(()),
            ItemEnd::Failed(step) => {
                let output = last
                    .filter(|(position, _)| position == step)
                    .map(|(_, output)| output);
                Err(match task.steps.get(*step) {
                    Some(step) => work::failed_step(&task, step, output),
                    None => Diagnostic::bug("a step failed that was never sent"),
                })
            }
            ItemEnd::Interrupted => Err(work::interrupted(&machine)),
            ItemEnd::Skipped => {
                // It was never begun.
                self.run.commit(vec![Record::IntentClosed {
                    intent: task.intent.clone(),
                }])?;
                self.outcome.skipped += 1;
                self.operation_ended(op, OperationEnd::Skipped);
                self.skip_dependents(op);
                return Ok(());
            }
        };
        self.operation_started(op);
        let reads_by_batch = task
            .read_scripts(&machine)
            .is_some_and(|scripts| scripts.len() == read.len());
        let finding = if matches!(task.verb, Verb::Delete | Verb::Leave) {
            Some(Finding::Absent)
        } else if reads_by_batch && *end != ItemEnd::Interrupted {
            parse(&task, read, &machine)
        } else {
            None
        };
        match finding {
            Some(finding) => self.finish(op, result, finding, true),
            None => {
                self.read_back(op, task, result);
                Ok(())
            }
        }
    }

    /// Reads an object back in an exchange of its own.
    fn read_back(&mut self, op: Op, task: Arc<Task>, result: Result<(), Diagnostic>) {
        self.in_flight += 1;
        let (reader, to) = (self.run.services.reader.clone(), self.to.clone());
        tokio::spawn(async move {
            let finding = work::read_back(&reader, &task).await;
            let _ = to
                .send(Message::ReadBack {
                    op,
                    result,
                    finding,
                })
                .await;
        });
    }

    /// Work without steps: there is nothing to do outside, but something to record.
    pub(crate) fn record_without_work(&mut self, op: Op) -> Result<(), Diagnostic> {
        let Some(task) = self.tasks.get(&op).cloned() else {
            return Ok(());
        };
        if task.verb == Verb::Delete {
            return self.finish(op, Ok(()), Finding::Absent, true);
        }
        let is_known = task.planned.as_ref().is_some_and(Value::is_wholly_known);
        if is_known {
            let object = Object {
                attributes: task.instance.attributes.clone(),
                id: task.instance.object_id.clone(),
            };
            return self.finish(op, Ok(()), Finding::Found(object), true);
        }
        self.read_back(op, task, Ok(()));
        Ok(())
    }

    /// What a work was given that nobody may quote.
    fn secrets_of(&self, task: &Task) -> Secrets {
        let given = [&task.prior, &task.wanted].into_iter().flatten();
        let provider = self.providers.get(&task.instance.provider);
        Secrets::of(
            given
                .chain([&task.instance.attributes, &task.instance.chosen])
                .chain(&task.instance.earlier)
                .chain(provider.map(|provider| &provider.config)),
        )
    }

    /// An operation has ended: records what was found, and lets go on what waits for it.
    pub(crate) fn finish(
        &mut self,
        op: Op,
        result: Result<(), Diagnostic>,
        finding: Finding,
        is_settled: bool,
    ) -> Result<(), Diagnostic> {
        let Some(task) = self.tasks.get(&op).cloned() else {
            return Ok(());
        };
        let secrets = self.secrets_of(&task);
        let result = result.map_err(|diagnostic| secrets.hide_in(diagnostic));
        let finding = secrets.hide_in_finding(finding);
        if let (Err(diagnostic), false) = (&result, is_settled) {
            self.fail(op, &task.address, diagnostic.clone());
            return Ok(());
        }
        match task.verb {
            Verb::Delete => return self.finish_delete(op, &task, result),
            Verb::Leave => return self.finish_leave(op, &task, result),
            Verb::Create | Verb::Update => {}
        }
        let ended = judge(&task, result, finding);
        let mut records = Vec::new();
        if let Some(instance) = &ended.record {
            let mut instance = instance.clone();
            if task.verb == Verb::Create && ended.problem.is_none() {
                instance.create_milliseconds = Some(self.operation_milliseconds(op));
            }
            if instance.object_id.is_none() {
                // What could not be read back has the id that its call has told.
                let intents = &self.run.store.snapshot().intents;
                let told = intents.get(&task.intent);
                instance.object_id = told.and_then(|intent| intent.object_id.clone());
            }
            instance.holds_data = task.resource.holds_data(&instance.attributes);
            self.world.set_instance(&task.address, &instance.attributes);
            records.extend(self.run.deposed_by(&task.instance, task.deposes));
            records.push(Record::InstancePut(Box::new(instance)));
        } else if ended.is_gone && !task.is_new {
            records.push(Record::InstanceRemoved {
                address: task.address.clone(),
                why: "gone".into(),
            });
        }
        let is_open = self.run.store.snapshot().intents.contains_key(&task.intent);
        if is_open && !ended.stays_open {
            records.push(Record::IntentClosed {
                intent: task.intent.clone(),
            });
        }
        self.run.commit(records)?;
        if let Some(problem) = ended.problem {
            let said = match &ended.record {
                Some(_) => format!(
                    "`{}` is recorded as suspect; the next plan looks at it and finishes or replaces it",
                    task.address
                ),
                None if ended.stays_open => {
                    "its intent is open and is settled by the next run".into()
                }
                None => format!(
                    "`{}` does not exist, nothing is recorded of it",
                    task.address
                ),
            };
            let problem = if problem.state.is_none() {
                problem.state(said)
            } else {
                problem
            };
            self.fail(op, &task.address, problem);
            return Ok(());
        }
        let failed = ended
            .record
            .as_ref()
            .map(|record| self.failed_postconditions(record))
            .unwrap_or_default();
        if let Some(failed) = failed.into_iter().next() {
            let said = format!("`{}` is applied and recorded", task.address);
            self.fail(op, &task.address, failed.state(said));
            return Ok(());
        }
        self.done(op, &task);
        Ok(())
    }

    fn done(&mut self, op: Op, task: &Task) {
        let changed = task.is_new || !task.steps.is_empty() || task.calls;
        if changed {
            self.outcome.changed += 1;
            self.operation_started(op);
            self.operation_ended(op, OperationEnd::Done);
        } else if task.action != Action::NoOp {
            self.operation_started(op);
            self.operation_ended(op, OperationEnd::Unchanged);
        }
        self.progress.done(op);
    }

    /// It is out of what knew it elsewhere; its record goes with its host's.
    fn finish_leave(
        &mut self,
        op: Op,
        task: &Task,
        result: Result<(), Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let is_open = self.run.store.snapshot().intents.contains_key(&task.intent);
        let closed = is_open.then(|| Record::IntentClosed {
            intent: task.intent.clone(),
        });
        self.run.commit(closed.into_iter().collect())?;
        if let Err(diagnostic) = result {
            let said = format!(
                "`{}` is still known where it was a member; the next run takes it out",
                task.address
            );
            let diagnostic = match diagnostic.state {
                None => diagnostic.state(said),
                Some(_) => diagnostic,
            };
            self.fail(op, &task.address, diagnostic);
            return Ok(());
        }
        self.operation_started(op);
        self.operation_ended(op, OperationEnd::Done);
        self.progress.done(op);
        Ok(())
    }

    fn finish_delete(
        &mut self,
        op: Op,
        task: &Task,
        result: Result<(), Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let is_open = self.run.store.snapshot().intents.contains_key(&task.intent);
        let closed = is_open.then(|| Record::IntentClosed {
            intent: task.intent.clone(),
        });
        if let Err(diagnostic) = result {
            self.run.commit(closed.into_iter().collect())?;
            let said = format!(
                "`{}` stays in the state; the next run deletes what is left",
                task.address
            );
            let diagnostic = if diagnostic.state.is_none() {
                diagnostic.state(said)
            } else {
                diagnostic
            };
            self.fail(op, &task.address, diagnostic);
            return Ok(());
        }
        let why = match task.action {
            Action::Forget => "forgotten",
            _ => "deleted",
        };
        let is_deposed = self
            .run
            .store
            .snapshot()
            .deposed
            .contains_key(&task.instance.id);
        let mut records = Vec::new();
        if is_deposed {
            records.push(Record::DeposedRemoved {
                id: task.instance.id.clone(),
                address: task.address.clone(),
                why: why.into(),
            });
        } else {
            records.push(Record::InstanceRemoved {
                address: task.address.clone(),
                why: why.into(),
            });
            // What lived on it leaves the state in the same commit.
            for lost in self.lost_with(&task.address) {
                records.push(Record::InstanceRemoved {
                    address: lost,
                    why: "lost with host".into(),
                });
            }
        }
        records.extend(closed);
        self.run.commit(records)?;
        self.outcome.changed += 1;
        self.operation_started(op);
        self.operation_ended(op, OperationEnd::Done);
        self.progress.done(op);
        Ok(())
    }

    /// All that is lost with a host, through hosts that are lost themselves.
    pub(crate) fn lost_with(&self, host: &Address) -> Vec<Address> {
        let mut found: Vec<Address> = Vec::new();
        let mut look = vec![host.clone()];
        while let Some(host) = look.pop() {
            let lost = self
                .plan
                .instances
                .values()
                .filter(|planned| planned.lost_with.as_ref() == Some(&host));
            for planned in lost {
                if !found.contains(&planned.address) {
                    found.push(planned.address.clone());
                    look.push(planned.address.clone());
                }
            }
        }
        found
    }

    /// An instance that stays as it is may have another record: refreshed values, other dependencies, another guard.
    pub(crate) fn refresh_record(&mut self, address: &Address) -> Result<(), Diagnostic> {
        let Some(planned) = self.plan.instances.get(address) else {
            return Ok(());
        };
        let (Some(recorded), Some(resource)) = (
            planned.record.clone(),
            self.world
                .registry
                .resource(&address.resource_type)
                .cloned(),
        ) else {
            return Ok(());
        };
        let mut now = match &planned.planned {
            Some(_) => self.instance(planned, resource.as_ref()),
            None => recorded.as_ref().clone(),
        };
        if let Some(value) = &planned.planned {
            // Schemas tell lists from tuples, a record does not: what only looks different is left alone.
            let same = conform(resource.schema(), &recorded.attributes) == *value;
            now.attributes = if same {
                recorded.attributes.clone()
            } else {
                value.clone()
            };
        }
        now.holds_data = resource.holds_data(&now.attributes);
        if planned.half_made.is_some() {
            now.status = recorded.status.clone();
        }
        if now != *recorded {
            self.run.commit(vec![Record::InstancePut(Box::new(now))])?;
        }
        Ok(())
    }

    fn failed_postconditions(&self, record: &Instance) -> Vec<Diagnostic> {
        let Some(block) = self.world.block_of(&record.address) else {
            return Vec::new();
        };
        let place = self
            .world
            .place_of(&record.address)
            .of_object(record.attributes.clone());
        let conditions = &block.lifecycle.postconditions;
        self.world.failed_conditions(
            conditions,
            &place,
            "postcondition",
            "postcondition does not hold",
        )
    }

    /// Records the stack's outputs as they are now.
    pub(crate) fn record_outputs(&mut self) -> Result<(), Diagnostic> {
        let root = dmp_sdk::ModulePath::root();
        let names: Vec<_> = self
            .world
            .configuration
            .root()
            .outputs
            .keys()
            .cloned()
            .collect();
        let mut outputs = std::collections::BTreeMap::new();
        if !self.plan.is_destroy {
            for name in names {
                let Ok(value) = self.world.output(&root, &name) else {
                    continue;
                };
                if value.deep_marks().is_ephemeral() {
                    continue;
                }
                let recorded = self
                    .run
                    .store
                    .snapshot()
                    .outputs
                    .get(name.as_ref())
                    .cloned();
                // An output that is not known because something failed keeps its recorded value.
                let value = match (value.is_wholly_known(), recorded) {
                    (true, _) => value.map_marks(&dmp_sdk::Marks::without_origins),
                    (false, Some(recorded)) => recorded.value,
                    (false, None) => continue,
                };
                outputs.insert(name.to_string(), dmp_state::Output { value });
            }
        }
        let recorded = &self.run.store.snapshot().outputs;
        let plain = |outputs: &std::collections::BTreeMap<String, dmp_state::Output>| {
            let entry = |(name, output): (&String, &dmp_state::Output)| {
                let is_secret = output.value.deep_marks().is_sensitive();
                (
                    name.clone(),
                    is_secret,
                    dmp_sdk::codec::to_json(&output.value),
                )
            };
            outputs.iter().map(entry).collect::<Vec<_>>()
        };
        if plain(recorded) == plain(&outputs) {
            return Ok(());
        }
        self.run.commit(vec![Record::OutputsPut(outputs)])
    }
}

/// What an operation comes to.
struct Ended {
    record: Option<Instance>,
    is_gone: bool,
    stays_open: bool,
    problem: Option<Diagnostic>,
}

/// Judges a create or update by its result and by what was found afterwards.
fn judge(task: &Task, result: Result<(), Diagnostic>, finding: Finding) -> Ended {
    let suspect = |object: Object, problem: Diagnostic| {
        let mut record = as_found(task, object);
        record.status = Status::Suspect {
            why: problem.to_string(),
        };
        Ended {
            record: Some(record),
            is_gone: false,
            stays_open: false,
            problem: Some(problem),
        }
    };
    match (result, finding) {
        (Ok(()), Finding::Found(object)) => {
            let record = as_found(task, object.clone());
            let wrong = not_taken(task, &record.attributes);
            if wrong.is_empty() {
                return Ended {
                    record: Some(record),
                    is_gone: false,
                    stays_open: false,
                    problem: None,
                };
            }
            let problem = Diagnostic::remote("not-taken", "a change did not last")
                .detail(format!(
                    "`{}` of `{}` differs from what was just written",
                    wrong.join("`, `"),
                    task.address
                ))
                .help("something else writes it too, or the value is not one that can be kept");
            suspect(object, problem)
        }
        (Ok(()), Finding::HalfMade(object, why)) => suspect(
            object,
            Diagnostic::remote("half-made", "an object is not finished").cause(why),
        ),
        (Ok(()), Finding::Absent) => Ended {
            record: None,
            is_gone: true,
            stays_open: false,
            problem: Some(
                Diagnostic::remote("gone", "an object is not there after it was made").detail(
                    format!(
                        "`{}` was made without an error, and is not there",
                        task.address
                    ),
                ),
            ),
        },
        (Ok(()), Finding::Unreachable(why)) => {
            let problem =
                Diagnostic::remote("not-read-back", "cannot read back what was made").cause(why);
            suspect(as_wanted(task), problem)
        }
        (Ok(()), Finding::Failed(problem)) => suspect(as_wanted(task), problem),
        (Ok(()), _) => suspect(
            as_wanted(task),
            Diagnostic::bug("a read back gave no object"),
        ),
        (Err(problem), Finding::Found(object) | Finding::HalfMade(object, _)) => {
            if task.is_new && is_the_earlier_one(task, &object) {
                return Ended {
                    record: None,
                    is_gone: false,
                    stays_open: false,
                    problem: Some(problem),
                };
            }
            suspect(object, problem)
        }
        (Err(problem), Finding::Absent) => Ended {
            record: None,
            is_gone: true,
            stays_open: false,
            problem: Some(problem),
        },
        (Err(problem), _) => Ended {
            record: None,
            is_gone: false,
            stays_open: true,
            problem: Some(problem),
        },
    }
}

/// Whether what is there is only what was there before the create.
fn is_the_earlier_one(task: &Task, object: &Object) -> bool {
    let schema = task.resource.schema();
    let earlier = task
        .instance
        .earlier
        .as_ref()
        .filter(|earlier| !earlier.is_null());
    earlier.is_some_and(|earlier| {
        let found = conform(schema, &object.attributes);
        differing(schema, &conform(schema, earlier), &found).is_empty()
    })
}

/// The record of an instance with what was found.
fn as_found(task: &Task, object: Object) -> Instance {
    let schema = task.resource.schema();
    let mut record = task.instance.clone();
    let written = task
        .planned
        .as_ref()
        .or(task.wanted.as_ref())
        .unwrap_or(&record.attributes)
        .clone();
    record.attributes = conform(schema, &object.attributes).with_secrecy_of(&written);
    record.object_id = object.id.or(record.object_id);
    record
}

fn as_wanted(task: &Task) -> Object {
    Object {
        attributes: task.instance.attributes.clone(),
        id: task.instance.object_id.clone(),
    }
}

/// The attributes that differ from what was known of them in the plan.
fn not_taken(task: &Task, found: &Value) -> Vec<String> {
    let Some(planned) = &task.planned else {
        return Vec::new();
    };
    let schema = task.resource.schema();
    let known = planned
        .as_members()
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.is_wholly_known());
    let known: Vec<_> = known.map(|(name, _)| name.to_string()).collect();
    differing(schema, planned, found)
        .into_iter()
        .filter(|name| known.contains(name))
        .collect()
}

/// Makes a finding of what a batch has read back. `None` if more has to be asked.
fn parse(task: &Task, read: Vec<Output>, machine: &Machine) -> Option<Finding> {
    let host_key: Arc<str> = machine.host_keys.first().map_or("", String::as_str).into();
    let answer = |output| Answer::Script {
        output,
        host_key: Arc::clone(&host_key),
    };
    let answers: Vec<Answer> = read.into_iter().map(answer).collect();
    match task.resource.parse(&task.known(), Answers(&answers)) {
        Ok(Reading::Found(object)) => Some(Finding::Found(object)),
        Ok(Reading::HalfMade(object, why)) => Some(Finding::HalfMade(object, why)),
        Ok(Reading::Absent) => Some(Finding::Absent),
        Ok(Reading::More(_)) => None,
        Err(diagnostic) => Some(Finding::Failed(diagnostic)),
    }
}
