//! What a run works with, and how it came out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use dmp_events::{BusyWith, Event, Sink};
use dmp_plan::planner::Configure;
use dmp_refresh::Reader;
use dmp_sdk::{Address, Diagnostic, Layer, Machines};
use dmp_state::{Instance, Record, StateError, Store};
use tokio_util::sync::CancellationToken;

use crate::limits::Limits;

/// A run that may write the state.
pub struct Run<'a> {
    /// The state.
    pub store: &'a mut Store,
    /// The run's id.
    pub id: String,
    /// All else.
    pub services: Services,
}

/// What a run uses of the world outside.
#[derive(Clone)]
pub struct Services {
    /// Machines over SSH.
    pub machines: Arc<dyn Machines>,
    /// Reads objects.
    pub reader: Reader,
    /// The same, without waiting for a machine that may still boot.
    pub quick: Reader,
    /// Hears what happens.
    pub events: Arc<dyn Sink>,
    /// Makes providers.
    pub configure: Configure,
    /// The time, in RFC 3339, UTC.
    pub clock: Arc<dyn Fn() -> String + Send + Sync>,
    /// Mints an id that was never used.
    pub mint: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether the person wants to stop.
    pub stop: Stop,
    /// How much may be under way at once.
    pub limits: Limits,
    /// When the run began.
    pub started: Instant,
}

/// The person's wish to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// What is under way is finished and recorded, nothing new is begun.
    pub soft: CancellationToken,
    /// What is under way is left; intents stay open for the next run.
    pub hard: CancellationToken,
}

/// How an apply came out.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many operations changed something.
    pub changed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many were skipped because of others.
    pub skipped: usize,
    /// Operations that go beyond what was approved, and why.
    pub stages: BTreeMap<Address, String>,
    /// These, and what was skipped because of them.
    pub left: BTreeSet<Address>,
    /// What went wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether the person stopped it.
    pub stopped: bool,
}

impl Outcome {
    /// Whether all that was approved is done.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && self.skipped == 0 && self.stages.is_empty() && !self.stopped
    }
}

impl Run<'_> {
    /// The record that keeps the object of an address beside a new one that is recorded there, until it is deleted.
    pub(crate) fn deposed_by(&self, new: &Instance, deposes: bool) -> Option<Record> {
        let old = self.store.snapshot().instances.get(&new.address)?;
        (deposes && old.id != new.id)
            .then(|| Record::InstanceDeposed(Box::new(old.as_ref().clone())))
    }

    /// Commits records.
    ///
    /// # Errors
    /// When the state can't be written: the run must end, since what it does next could not be recorded.
    pub fn commit(&mut self, records: Vec<Record>) -> Result<(), Diagnostic> {
        if records.is_empty() {
            return Ok(());
        }
        crate::fail::point("commit.before");
        let now = (self.services.clock)();
        self.store
            .commit(records, &self.id, &now)
            .map_err(|error| cannot_record(&error))?;
        crate::fail::point("commit.after");
        Ok(())
    }

    /// The batches whose journals open intents still need.
    pub(crate) fn needed_batches(&self) -> BTreeSet<String> {
        let intents = self.store.snapshot().intents.values();
        let batches = intents.flat_map(|intent| &intent.batches);
        batches.map(|running| running.batch.clone()).collect()
    }
}

fn cannot_record(error: &StateError) -> Diagnostic {
    Diagnostic::error("state", "cannot write the state")
        .cause(error.to_string())
        .state(
            "nothing new was begun after this; what was begun is noted in the state as an intent",
        )
        .help("make room or give the folder back, then run `dmp apply` again: it goes on from here")
}

impl Services {
    /// Milliseconds since the run began.
    #[must_use]
    pub fn elapsed(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Accounts for something that was busy outside.
    pub(crate) fn busy(&self, layer: Option<Layer>, what: BusyWith, from: u64) {
        self.events.emit(Event::Busy {
            layer,
            what,
            from,
            to: self.elapsed(),
        });
    }
}
