//! What goes to one machine together: everything that is ready there, and what only waits for that on the same machine
//! with its values known.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use dmp_plan::ops::Operation;
use dmp_sdk::{Action, Address, Batch, BatchItem, Diagnostic, Machine, Unreachable};
use dmp_state::Record;

use crate::decide::{Prepared, Task};
use crate::limits::Classes;
use crate::walker::Walker;
use crate::work::{self, Op};

impl Walker<'_, '_> {
    /// Sends a batch to each machine that is idle and has something to do.
    pub(crate) fn send_batches(&mut self) -> Result<(), Diagnostic> {
        let idle: Vec<String> = self
            .queues
            .iter()
            .filter(|(_, queue)| !queue.is_busy && !queue.ready.is_empty())
            .filter(|(key, _)| !self.rebooting.values().any(|machine| machine == *key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in idle {
            self.send_batch(&key)?;
        }
        Ok(())
    }

    fn send_batch(&mut self, key: &str) -> Result<(), Diagnostic> {
        let Some(queue) = self.queues.get_mut(key) else {
            return Ok(());
        };
        let (machine, ready) = (queue.machine.clone(), std::mem::take(&mut queue.ready));
        // A batch counts once for each provider and type that it has work of.
        let (ready, later): (Vec<_>, Vec<_>) = ready
            .into_iter()
            .partition(|op| self.under_way.has_room(&self.classes(*op)));
        let Some(queue) = self.queues.get_mut(key) else {
            return Ok(());
        };
        queue.ready = later;
        if ready.is_empty() {
            return Ok(());
        }
        queue.is_busy = true;
        let ops = self.with_followers(&machine, ready);
        let classes: Classes = ops.iter().flat_map(|op| self.classes(*op)).collect();
        self.under_way.begin(&classes);
        let batch = (self.run.services.mint)();
        let items = self.items(&machine, &ops);
        let tasks: Vec<_> = ops.iter().filter_map(|op| self.tasks.get(op)).collect();
        let mut records: Vec<Record> = tasks
            .iter()
            .map(|task| Record::IntentOpened(Box::new(task.open_intent(&self.run.id))))
            .collect();
        let intents = tasks.iter().map(|task| task.intent.clone()).collect();
        records.push(Record::BatchSent {
            intents,
            on: machine.clone(),
            batch: batch.clone(),
        });
        self.run.commit(records)?;
        self.batches.insert(batch.clone(), ops);
        self.running
            .insert(batch.clone(), (key.to_owned(), classes));
        self.in_flight += 1;
        let entry = self
            .ended_batches
            .entry(machine.key())
            .or_insert_with(|| (machine.clone(), Vec::new()));
        entry.1.push(batch.clone());
        let machines = Arc::clone(&self.run.services.machines);
        tokio::spawn(work::run_batch(
            machines,
            machine,
            Batch { id: batch, items },
            self.to.clone(),
        ));
        Ok(())
    }

    /// What is ready, and what can follow it on the same machine without anybody having to look in between.
    fn with_followers(&mut self, machine: &Machine, ready: Vec<Op>) -> Vec<Op> {
        let mut together = ready;
        // Work that is none (joins, objects which stay as they are) lets what is behind it through.
        let mut passed: BTreeSet<Op> = BTreeSet::new();
        let mut refused: BTreeSet<Op> = BTreeSet::new();
        let mut look: VecDeque<Op> = together.iter().copied().collect();
        while let Some(op) = look.pop_front() {
            for next in self.freed_by(op, |needed| {
                together.contains(needed) || passed.contains(needed)
            }) {
                if passed.contains(&next) || refused.contains(&next) {
                    continue;
                }
                if self.is_no_work(next) {
                    passed.insert(next);
                    look.push_back(next);
                } else if self.follows(next, machine) {
                    together.push(next);
                    look.push_back(next);
                } else {
                    refused.insert(next);
                }
            }
        }
        together
    }

    /// What waits for nothing more than this, and what counts as done.
    pub(crate) fn freed_by(&self, op: Op, counts: impl Fn(&Op) -> bool) -> Vec<Op> {
        let schedule = &self.operations.schedule;
        let is_free = |needed: &Op| self.progress.is_done(*needed) || counts(needed);
        let waiting = schedule.needed_by(op).iter().copied();
        waiting
            .filter(|next| self.progress.is_waiting(*next))
            .filter(|next| schedule.needs(*next).iter().all(is_free))
            .collect()
    }

    pub(crate) fn is_no_work(&self, op: Op) -> bool {
        match &self.operations.all[op] {
            Operation::Join(_) => true,
            Operation::Delete(_)
            | Operation::Bury(_)
            | Operation::Leave(_)
            | Operation::Probe(_) => false,
            Operation::Apply(address) => self
                .plan
                .instances
                .get(address)
                .is_some_and(|planned| planned.action == Action::NoOp),
        }
    }

    /// Takes an operation that can be decided now, and is work on just this machine.
    fn follows(&mut self, op: Op, machine: &Machine) -> bool {
        match self.certain(op) {
            Some(task) if !task.calls && is_on(task.machine(), machine) => {
                self.take_follower(op, task)
            }
            _ => false,
        }
    }

    /// The work of an operation that can be decided before what it needs is done.
    pub(crate) fn certain(&mut self, op: Op) -> Option<Task> {
        let prepared = match self.operations.all[op].clone() {
            Operation::Delete(address) => self.prepare_delete(&address),
            Operation::Apply(address) if self.is_certain(&address) => self.prepare(&address, None),
            _ => return None,
        };
        match prepared {
            Prepared::Task(task) => Some(*task),
            _ => None,
        }
    }

    fn is_certain(&self, address: &Address) -> bool {
        let Some(planned) = self.plan.instances.get(address) else {
            return false;
        };
        let provider = self.providers.get(&planned.provider);
        let is_configured = provider.is_some_and(|provider| provider.configured.is_some());
        let decoded = self.world.decode(address);
        // The second half of a replacement, and what has to be looked at before, is decided when its time has come.
        matches!(planned.action, Action::Create | Action::Update)
            && is_configured
            && decoded.is_some_and(|decoded| decoded.value.is_wholly_known())
    }

    pub(crate) fn take_follower(&mut self, op: Op, task: Task) -> bool {
        if !self.progress.take_early(op) {
            return false;
        }
        let intent = task.intent.clone();
        self.tasks.insert(op, Arc::new(task));
        if !self.under_way.has_room(&self.classes(op)) {
            self.tasks.remove(&op);
            self.progress.give_back(op);
            return false;
        }
        self.by_intent.insert(intent, op);
        true
    }

    /// The items of a batch, each with what it needs of the others.
    fn items(&self, machine: &Machine, ops: &[Op]) -> Vec<BatchItem> {
        let positions: HashMap<Op, usize> =
            ops.iter().enumerate().map(|(at, op)| (*op, at)).collect();
        let item = |op: &Op| {
            let task = self.tasks.get(op)?;
            Some(BatchItem {
                key: task.intent.clone(),
                label: task.address.to_string(),
                steps: task.steps.clone(),
                within: task.within,
                read: task.read_scripts(machine).unwrap_or_default(),
                after: self.needed_in(*op, &positions),
            })
        };
        ops.iter().filter_map(item).collect()
    }

    /// What an operation needs among those of its batch, also through work that is none.
    fn needed_in(&self, op: Op, positions: &HashMap<Op, usize>) -> Vec<usize> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut look = vec![op];
        while let Some(op) = look.pop() {
            for needed in self.operations.schedule.needs(op) {
                match positions.get(needed) {
                    Some(position) => {
                        found.insert(*position);
                    }
                    None if !self.progress.is_done(*needed) && seen.insert(*needed) => {
                        look.push(*needed);
                    }
                    None => {}
                }
            }
        }
        found.into_iter().collect()
    }

    /// A batch has ended, or can't be followed any more: then what is left of it stays an open intent.
    pub(crate) fn heard_batch_end(
        &mut self,
        batch: &str,
        result: Result<(), Unreachable>,
    ) -> Result<(), Diagnostic> {
        self.in_flight -= 1;
        let left = self.batches.remove(batch).unwrap_or_default();
        let on = left
            .first()
            .and_then(|op| self.tasks.get(op))
            .and_then(|task| task.machine().cloned());
        if let Some((machine, classes)) = self.running.remove(batch) {
            self.under_way.end(&classes);
            if let Some(queue) = self.queues.get_mut(&machine) {
                queue.is_busy = false;
            }
        }
        if let Err(unreachable) = result {
            // Its files are still needed to settle what is left.
            for (_, batches) in self.ended_batches.values_mut() {
                batches.retain(|ended| ended != batch);
            }
            for op in left {
                if let Some(task) = self.tasks.get(&op).cloned() {
                    self.fail(op, &task.address, work::lost(&unreachable));
                }
            }
            return Ok(());
        }
        for op in left {
            let on = on.clone();
            if let (Some(task), Some(on)) = (self.tasks.get(&op).cloned(), on) {
                self.fail(op, &task.address, work::interrupted(&on));
            }
        }
        Ok(())
    }
}

fn is_on(found: Option<&Machine>, wanted: &Machine) -> bool {
    found.is_some_and(|found| found.key() == wanted.key())
}
