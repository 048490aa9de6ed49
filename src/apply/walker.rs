//! Starts what is ready, takes what comes back. The only one who knows how far the run is, and who writes the state.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dmp_events::{BusyWith, Event, OperationEnd};
use dmp_graph::Progress;
use dmp_lang::Chance;
use dmp_lang::config::Timed;
use dmp_plan::ops::{Operation, Operations, operations};
use dmp_plan::{Finding, Plan, ProviderState, ReadKind, ReadRequest, World};
use dmp_sdk::{Action, Address, Diagnostic, Effect, Fetch, Known, Machine, Mode, Output, Report};
use dmp_state::{Record, mint_seed};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use crate::decide::{Prepared, STILL_UNKNOWN, Task};
use crate::limits::{Classes, Running, Waiting};
use crate::run::{Outcome, Run};
use crate::work::{self, Message, Op};

/// The owner of the truth of one apply.
pub(crate) struct Walker<'r, 's> {
    pub(crate) run: &'r mut Run<'s>,
    pub(crate) plan: &'r Plan,
    pub(crate) world: &'r mut World,
    pub(crate) providers: &'r mut BTreeMap<String, ProviderState>,
    pub(crate) operations: &'r Operations,
    pub(crate) progress: Progress<'r>,
    pub(crate) tasks: HashMap<Op, Arc<Task>>,
    pub(crate) queues: BTreeMap<String, Queue>,
    pub(crate) batches: HashMap<String, Vec<Op>>,
    /// The machine that each running batch keeps busy.
    pub(crate) running: HashMap<String, (String, Classes)>,
    /// Machines that calls under way reboot: nothing else is begun there.
    pub(crate) rebooting: HashMap<Op, String>,
    pub(crate) by_intent: HashMap<String, Op>,
    pub(crate) ended_batches: BTreeMap<String, (Machine, Vec<String>)>,
    pub(crate) outcome: Outcome,
    pub(crate) to: mpsc::Sender<Message>,
    pub(crate) in_flight: usize,
    /// Calls and works over several machines that are ready.
    calls: Waiting,
    pub(crate) under_way: Running,
    began: HashMap<Op, u64>,
    step_began: HashMap<Op, (u64, bool)>,
    last_output: HashMap<Op, (usize, Output)>,
    /// What failed or was skipped, and was said to be.
    skipped: BTreeSet<Address>,
    /// What is drafted, and takes effect together with what is drafted meanwhile.
    pub(crate) drafted: BTreeSet<Op>,
    /// What was begun because what it needs is drafted.
    pub(crate) drafts: BTreeSet<Op>,
    /// Members of groups that are looked at until they are healthy.
    pub(crate) probes: HashMap<Op, crate::health::Probe>,
}

/// What waits for one machine.
pub(crate) struct Queue {
    pub(crate) machine: Machine,
    pub(crate) ready: Vec<Op>,
    pub(crate) is_busy: bool,
}

/// Carries out what was approved.
///
/// # Errors
/// When the state can't be written any more, or the plan contradicts itself. All else is in the outcome.
pub async fn apply(
    run: &mut Run<'_>,
    plan: &Plan,
    world: &mut World,
    providers: &mut BTreeMap<String, ProviderState>,
) -> Result<Outcome, Diagnostic> {
    let operations = operations(plan)?;
    world.begin(Chance {
        began: OffsetDateTime::now_utc(),
        seed: mint_seed(),
        place: String::new(),
    });
    let (to, mut inbox) = mpsc::channel(1024);
    let stop = run.services.stop.clone();
    let under_way = Running::new(run.services.limits.clone());
    let mut walker = Walker {
        progress: operations.schedule.start(),
        operations: &operations,
        run,
        plan,
        world,
        providers,
        tasks: HashMap::new(),
        queues: BTreeMap::new(),
        batches: HashMap::new(),
        running: HashMap::new(),
        rebooting: HashMap::new(),
        by_intent: HashMap::new(),
        ended_batches: BTreeMap::new(),
        outcome: Outcome::default(),
        to,
        in_flight: 0,
        calls: Waiting::default(),
        under_way,
        began: HashMap::new(),
        step_began: HashMap::new(),
        last_output: HashMap::new(),
        skipped: BTreeSet::new(),
        drafted: BTreeSet::new(),
        drafts: BTreeSet::new(),
        probes: HashMap::new(),
    };
    loop {
        if !stop.soft.is_cancelled() {
            walker.pump()?;
        }
        if walker.in_flight == 0 {
            break;
        }
        tokio::select! {
            message = inbox.recv() => {
                let Some(message) = message else { break };
                walker.hear(message)?;
                // What has come in meanwhile is heard before anything new is begun: more of it goes together.
                while let Ok(message) = inbox.try_recv() {
                    walker.hear(message)?;
                }
            }
            () = stop.hard.cancelled() => break,
        }
    }
    // A wish to stop that came when all was done stops nothing.
    walker.outcome.stopped = stop.soft.is_cancelled() && walker.progress.left() > 0;
    walker.nothing_is_left()?;
    walker.record_outputs()?;
    walker.outcome.left = std::mem::take(&mut walker.skipped);
    let ended = std::mem::take(&mut walker.ended_batches);
    let outcome = std::mem::take(&mut walker.outcome);
    drop(walker);
    forget_batches(run, ended).await;
    Ok(outcome)
}

/// Removes the files of batches whose results are recorded. That they can't be removed now harms nobody.
async fn forget_batches(run: &Run<'_>, mut ended: BTreeMap<String, (Machine, Vec<String>)>) {
    let machines = &run.services.machines;
    let needed = run.needed_batches();
    for (_, batches) in ended.values_mut() {
        batches.retain(|batch| !needed.contains(batch));
    }
    let forgets = ended
        .values()
        .map(|(machine, batches)| machines.forget(machine, batches));
    futures::future::join_all(forgets).await;
}

impl Walker<'_, '_> {
    /// Work that is neither done nor failed when nothing is under way any more would be lost without a word.
    fn nothing_is_left(&self) -> Result<(), Diagnostic> {
        if self.outcome.stopped || self.progress.left() == 0 {
            return Ok(());
        }
        let left = self.progress.left();
        Err(
            Diagnostic::bug(format!("{left} operations were neither done nor given up"))
                .state("what is done is recorded")
                .help("run `dmp apply` again: it goes on from here"),
        )
    }

    /// Begins everything that can be begun.
    fn pump(&mut self) -> Result<(), Diagnostic> {
        let mut reads = Vec::new();
        while let Some(op) = self.progress.take() {
            match self.operations.all[op].clone() {
                Operation::Join(_) => self.progress.done(op),
                Operation::Delete(address) => {
                    let prepared = self.prepare_delete(&address);
                    self.take(op, &address, prepared, &mut reads)?;
                }
                Operation::Leave(address) => {
                    let prepared = self.prepare_leave(&address);
                    self.take(op, &address, prepared, &mut reads)?;
                }
                Operation::Probe(address) => self.begin_probe(op, &address),
                Operation::Bury(position) => {
                    let prepared = self.prepare_bury(position);
                    if let Some(planned) = self.plan.deposed.get(position) {
                        self.take(op, &planned.address, prepared, &mut reads)?;
                    }
                }
                Operation::Apply(address) => {
                    let action = self
                        .plan
                        .instances
                        .get(&address)
                        .map_or(Action::NoOp, |planned| planned.action);
                    match action {
                        Action::NoOp | Action::Defer => {
                            self.refresh_record(&address)?;
                            self.progress.done(op);
                        }
                        Action::Read => reads.extend(self.data_request(op, &address)?),
                        _ => {
                            let prepared = self.prepare(&address, None);
                            self.take(op, &address, prepared, &mut reads)?;
                        }
                    }
                }
            }
        }
        self.spawn_reads(reads);
        self.send_batches()?;
        self.start_calls()
    }

    /// Takes what has become of the wish to begin an operation.
    pub(crate) fn take(
        &mut self,
        op: Op,
        address: &Address,
        prepared: Prepared,
        reads: &mut Vec<(Op, ReadRequest)>,
    ) -> Result<(), Diagnostic> {
        match prepared {
            Prepared::Task(task) => self.enqueue(op, *task),
            Prepared::Read(request) => reads.push((op, *request)),
            Prepared::Record(task) => {
                self.tasks.insert(op, Arc::new(*task));
                return self.record_without_work(op);
            }
            Prepared::Nothing => self.progress.done(op),
            Prepared::Stage(why) => self.stage(op, address, &why),
            Prepared::Failed(diagnostic) => self.fail(op, address, diagnostic),
        }
        Ok(())
    }

    fn enqueue(&mut self, op: Op, task: Task) {
        let task = Arc::new(task);
        self.by_intent.insert(task.intent.clone(), op);
        self.tasks.insert(op, Arc::clone(&task));
        if task.calls {
            self.enqueue_call(op);
            return;
        }
        match task.machine() {
            Some(machine) => {
                let queue = self.queues.entry(machine.key()).or_insert_with(|| Queue {
                    machine: machine.clone(),
                    ready: Vec::new(),
                    is_busy: false,
                });
                queue.ready.push(op);
            }
            None => self.enqueue_call(op),
        }
    }

    pub(crate) fn enqueue_call(&mut self, op: Op) {
        let remaining = self.operations.schedule.remaining(op);
        self.calls.push(op, remaining, self.classes(op));
    }

    /// What an operation counts as where only so many may be under way at once.
    pub(crate) fn classes(&self, op: Op) -> Classes {
        let task = self.tasks.get(&op);
        let name = task.map(|task| Arc::<str>::from(&*task.address.resource_type));
        let registry = &self.world.registry;
        let provider = name
            .as_ref()
            .and_then(|name| registry.provider_of(Mode::Managed, name));
        name.into_iter().chain(provider).collect()
    }

    /// Reads side by side what does not need the same machine.
    fn spawn_reads(&mut self, reads: Vec<(Op, ReadRequest)>) {
        let mut groups: BTreeMap<String, Vec<(Op, ReadRequest)>> = BTreeMap::new();
        for (op, request) in reads {
            groups
                .entry(read_group(&request))
                .or_default()
                .push((op, request));
        }
        for group in groups.into_values() {
            self.in_flight += 1;
            let (reader, to) = (self.run.services.reader.clone(), self.to.clone());
            let services = self.run.services.clone();
            tokio::spawn(async move {
                let from = services.elapsed();
                let by_address: HashMap<Address, Op> = group
                    .iter()
                    .map(|(op, request)| (request.address.clone(), *op))
                    .collect();
                let requests = group.into_iter().map(|(_, request)| request).collect();
                let findings = reader.read(requests).await;
                services.busy(None, BusyWith::Request, from);
                let findings = findings
                    .into_iter()
                    .map(|(address, finding)| (by_address[&address], finding));
                let _ = to.send(Message::Read(findings.collect())).await;
            });
        }
    }

    /// Starts calls and works over several machines, as many as may run at once.
    fn start_calls(&mut self) -> Result<(), Diagnostic> {
        while let Some((op, classes)) = self.calls.take(&self.under_way) {
            let Some(task) = self.tasks.get(&op).cloned() else {
                continue;
            };
            let intent = task.open_intent(&self.run.id);
            self.run
                .commit(vec![Record::IntentOpened(Box::new(intent))])?;
            self.under_way.begin_call(&classes);
            self.in_flight += 1;
            self.operation_started(op);
            let (reader, to) = (self.run.services.reader.clone(), self.to.clone());
            if task.calls {
                if let Some(machine) = self.rebooted_by(&task) {
                    self.rebooting.insert(op, machine);
                }
                let hard = self.run.services.stop.hard.clone();
                tokio::spawn(work::run_calls(reader, task, op, to, hard));
            } else {
                let machines = Arc::clone(&self.run.services.machines);
                tokio::spawn(work::run_sequence(machines, reader, task, op, to));
            }
        }
        Ok(())
    }

    /// The machine that a work reboots, if its plan says that it does.
    fn rebooted_by(&self, task: &Task) -> Option<String> {
        let planned = self.plan.instances.get(&task.address)?;
        let is_reboot = |effect: &Effect| matches!(effect, Effect::Reboot { .. });
        planned.effects.iter().find(|effect| is_reboot(effect))?;
        let attributes = task.resource.schema().attributes.iter();
        let mut machines =
            attributes.filter(|(_, attribute)| attribute.ty == Machine::value_type());
        let (name, _) = machines.find(|(_, attribute)| attribute.hosting.is_some())?;
        let machine = Machine::from_value(&task.wanted.as_ref()?.get(name)).ok()?;
        Some(machine.key())
    }

    /// Takes one message.
    fn hear(&mut self, message: Message) -> Result<(), Diagnostic> {
        match message {
            Message::Read(findings) => {
                self.in_flight -= 1;
                let mut again = Vec::new();
                for (op, finding) in findings {
                    self.heard_finding(op, finding, &mut again)?;
                }
                self.spawn_reads(again);
            }
            Message::Report { batch, report } => self.heard_report(&batch, report)?,
            Message::BatchEnded { batch, result } => self.heard_batch_end(&batch, result)?,
            Message::SendPart {
                op,
                on,
                batch,
                ready,
            } => {
                let intents = self
                    .tasks
                    .get(&op)
                    .map(|task| task.intent.clone())
                    .into_iter()
                    .collect();
                let record = Record::BatchSent {
                    intents,
                    on: on.clone(),
                    batch: batch.clone(),
                };
                let noted = self.run.commit(vec![record]);
                self.note_batch(&on, &batch);
                answer(ready, noted)?;
            }
            Message::StepBegan {
                op,
                title,
                waits,
                ready,
            } => {
                crate::fail::point("call.before");
                self.step_started(op, title, waits);
                if let Some(ready) = ready {
                    let stopped = self.run.services.stop.hard.is_cancelled();
                    let _ = ready.send(if stopped {
                        Err(work::stopped())
                    } else {
                        Ok(())
                    });
                }
            }
            Message::StepEnded {
                op,
                title,
                waits,
                skipped,
                ok,
                milliseconds,
            } => {
                self.step_ended(op, title, waits, skipped, ok, milliseconds);
            }
            Message::RecordId { op, id, ready } => {
                let intent = self
                    .tasks
                    .get(&op)
                    .map(|task| task.intent.clone())
                    .unwrap_or_default();
                let noted = self.run.commit(vec![Record::IntentId {
                    intent,
                    object_id: id,
                }]);
                answer(ready, noted)?;
            }
            Message::Drafted { op } => self.heard_draft(op),
            Message::Probed { op, finding } => {
                self.in_flight -= 1;
                self.heard_probe(op, finding);
            }
            Message::ReadBack {
                op,
                result,
                finding,
            } => {
                self.in_flight -= 1;
                self.finish(op, result, finding, true)?;
            }
            Message::Ended {
                op,
                result,
                finding,
                is_settled,
            } => {
                self.in_flight -= 1;
                self.under_way.end_call(&self.classes(op));
                self.rebooting.remove(&op);
                self.close_step(op);
                self.finish(op, result, finding, is_settled)?;
            }
        }
        Ok(())
    }

    fn heard_finding(
        &mut self,
        op: Op,
        finding: Finding,
        again: &mut Vec<(Op, ReadRequest)>,
    ) -> Result<(), Diagnostic> {
        let Operation::Apply(address) = self.operations.all[op].clone() else {
            return Ok(());
        };
        match finding {
            Finding::Data(value) => {
                let schema = self.world.schema_of(&address);
                let value = schema.map_or_else(
                    || value.clone(),
                    |schema| dmp_plan::instance::conform(schema, &value),
                );
                self.world.set_instance(&address, &value);
                self.progress.done(op);
                Ok(())
            }
            Finding::Failed(diagnostic) => {
                self.fail(op, &address, diagnostic);
                Ok(())
            }
            finding => {
                let prepared = self.prepare(&address, Some(finding));
                self.take(op, &address, prepared, again)
            }
        }
    }

    fn data_request(
        &mut self,
        op: Op,
        address: &Address,
    ) -> Result<Option<(Op, ReadRequest)>, Diagnostic> {
        let source = self
            .world
            .registry
            .data_source(&address.resource_type)
            .cloned();
        let decoded = self.world.decode(address);
        let name = self
            .plan
            .instances
            .get(address)
            .map(|planned| planned.provider.clone())
            .unwrap_or_default();
        let (Some(source), Some(decoded)) = (source, decoded) else {
            return Ok(None);
        };
        if !decoded.value.is_wholly_known() && !self.plan.deferred.is_empty() {
            let unknown = Diagnostic::error(STILL_UNKNOWN, "a value is still unknown");
            let why = self.waits_for_later(&unknown).unwrap_or_default();
            self.stage(op, address, &why);
            return Ok(None);
        }
        match self.usable_provider(&name) {
            Ok(provider) => {
                let config = dmp_plan::instance::conform(source.schema(), &decoded.value);
                let kind = ReadKind::Data { source, config };
                let request = ReadRequest {
                    address: address.clone(),
                    kind,
                    provider,
                    provider_address: name,
                    within: self.world.timeout(address, Timed::Read).ok().flatten(),
                };
                Ok(Some((op, request)))
            }
            Err(diagnostic) => {
                match self.waits_for_later(&diagnostic) {
                    Some(why) => self.stage(op, address, &why),
                    None => self.fail(op, address, *diagnostic),
                }
                Ok(None)
            }
        }
    }

    fn heard_report(&mut self, batch: &str, report: Report) -> Result<(), Diagnostic> {
        match report {
            Report::StepStarted { item, step } => {
                let Some(op) = self.by_intent.get(&item).copied() else {
                    return Ok(());
                };
                self.operation_started(op);
                let Some(step) = self
                    .tasks
                    .get(&op)
                    .and_then(|task| task.steps.get(step))
                    .cloned()
                else {
                    return Ok(());
                };
                self.step_started(op, step.title, step.waits);
            }
            Report::StepEnded {
                item,
                step,
                output,
                skipped,
                milliseconds,
            } => {
                let Some(op) = self.by_intent.get(&item).copied() else {
                    return Ok(());
                };
                let ok = skipped || output.is_success();
                self.last_output.insert(op, (step, output));
                let Some(step) = self
                    .tasks
                    .get(&op)
                    .and_then(|task| task.steps.get(step))
                    .cloned()
                else {
                    return Ok(());
                };
                self.step_ended(op, step.title, step.waits, skipped, ok, milliseconds);
            }
            Report::ItemEnded { item, end, read } => {
                let Some(op) = self.by_intent.get(&item).copied() else {
                    return Ok(());
                };
                if let Some(ops) = self.batches.get_mut(batch) {
                    ops.retain(|other| *other != op);
                }
                let last = self.last_output.remove(&op);
                self.finish_item(op, &end, read, last.as_ref())?;
            }
        }
        Ok(())
    }

    fn note_batch(&mut self, on: &Machine, batch: &str) {
        let (_, batches) = self
            .ended_batches
            .entry(on.key())
            .or_insert_with(|| (on.clone(), Vec::new()));
        batches.push(batch.to_owned());
    }

    /// Shows that an operation has begun, once.
    pub(crate) fn operation_started(&mut self, op: Op) {
        let Some(task) = self.tasks.get(&op) else {
            return;
        };
        if self.began.contains_key(&op) {
            return;
        }
        self.began.insert(op, self.run.services.elapsed());
        self.run.services.events.emit(Event::OperationStarted {
            address: task.address.clone(),
            layer: task.layer,
            action: task.action,
        });
    }

    /// How long an operation has been under way.
    pub(crate) fn operation_milliseconds(&self, op: Op) -> u64 {
        let now = self.run.services.elapsed();
        now - self.began.get(&op).copied().unwrap_or(now)
    }

    /// Shows that an operation has ended.
    pub(crate) fn operation_ended(&mut self, op: Op, end: OperationEnd) -> u64 {
        let milliseconds = self.operation_milliseconds(op);
        if let Some(task) = self.tasks.get(&op) {
            self.run.services.events.emit(Event::OperationEnded {
                address: task.address.clone(),
                layer: task.layer,
                action: task.action,
                end,
                milliseconds,
            });
        }
        milliseconds
    }

    fn step_started(&mut self, op: Op, title: String, waits: bool) {
        self.close_step(op);
        let Some(task) = self.tasks.get(&op) else {
            return;
        };
        self.step_began
            .insert(op, (self.run.services.elapsed(), waits));
        self.run.services.events.emit(Event::StepStarted {
            address: task.address.clone(),
            title,
            waits,
        });
    }

    fn step_ended(
        &mut self,
        op: Op,
        title: String,
        waits: bool,
        skipped: bool,
        ok: bool,
        milliseconds: u64,
    ) {
        self.close_step(op);
        let Some(task) = self.tasks.get(&op) else {
            return;
        };
        let address = task.address.clone();
        self.run.services.events.emit(Event::StepEnded {
            address,
            title,
            waits,
            skipped,
            ok,
            milliseconds,
        });
    }

    /// Accounts for the step that was under way.
    fn close_step(&mut self, op: Op) {
        let Some((from, waits)) = self.step_began.remove(&op) else {
            return;
        };
        let Some(task) = self.tasks.get(&op) else {
            return;
        };
        let what = match (waits, task.calls) {
            (true, _) => BusyWith::Wait,
            (false, true) => BusyWith::Request,
            (false, false) => BusyWith::Process,
        };
        self.run.services.busy(Some(task.layer), what, from);
    }

    /// An operation failed: what needs it is skipped, all else goes on.
    pub(crate) fn fail(&mut self, op: Op, address: &Address, diagnostic: Diagnostic) {
        let diagnostic = diagnostic.address(address);
        self.run.services.events.emit(Event::Diagnosed {
            diagnostic: diagnostic.clone(),
        });
        self.outcome.diagnostics.push(diagnostic);
        self.outcome.failed += 1;
        self.operation_ended(op, OperationEnd::Failed);
        self.skipped.insert(address.clone());
        self.skip_dependents(op);
    }

    fn stage(&mut self, op: Op, address: &Address, why: &str) {
        self.outcome.stages.insert(address.clone(), why.to_owned());
        self.skipped.insert(address.clone());
        if let Some(planned) = self.plan.instances.get(address) {
            self.run.services.events.emit(Event::OperationEnded {
                address: address.clone(),
                layer: planned.layer,
                action: planned.action,
                end: OperationEnd::Stage {
                    why: why.to_owned(),
                },
                milliseconds: 0,
            });
        }
        self.skip_dependents(op);
    }

    pub(crate) fn skip_dependents(&mut self, op: Op) {
        for skipped in self.progress.failed(op) {
            let planned = match &self.operations.all[skipped] {
                Operation::Apply(address)
                | Operation::Delete(address)
                | Operation::Leave(address) => self.plan.instances.get(address),
                Operation::Bury(position) => self.plan.deposed.get(*position),
                Operation::Join(_) | Operation::Probe(_) => None,
            };
            let Some(planned) = planned else {
                continue;
            };
            let is_under_way = self.batches.values().any(|ops| ops.contains(&skipped))
                || self.drafts.contains(&skipped);
            if !planned.is_change() || is_under_way {
                continue;
            }
            let address = planned.address.clone();
            // Both halves of a replacement are one thing to a person.
            if !self.skipped.insert(address.clone()) {
                continue;
            }
            self.outcome.skipped += 1;
            self.run.services.events.emit(Event::OperationEnded {
                address,
                layer: planned.layer,
                action: planned.action,
                end: OperationEnd::Skipped,
                milliseconds: 0,
            });
        }
    }
}

/// What can be read in one go: one machine, or one provider configuration.
fn read_group(request: &ReadRequest) -> String {
    let fetches = match &request.kind {
        ReadKind::Object {
            resource,
            purpose,
            attributes,
            object_id,
            chosen,
            mark,
        } => resource.fetches(&Known {
            address: &request.address,
            purpose: *purpose,
            id: object_id.as_deref(),
            attributes,
            chosen,
            mark: mark.as_ref(),
        }),
        ReadKind::Data { source, config } => source.fetches(config),
    };
    match fetches.ok().and_then(|fetches| fetches.into_iter().next()) {
        Some(Fetch::Script { on, .. }) => on.key(),
        _ => request.provider_address.clone(),
    }
}

/// Tells a worker that what it waits for is on disk. A state that can't be written ends the run.
fn answer(
    ready: tokio::sync::oneshot::Sender<Result<(), Diagnostic>>,
    noted: Result<(), Diagnostic>,
) -> Result<(), Diagnostic> {
    let _ = ready.send(noted.clone());
    noted
}
