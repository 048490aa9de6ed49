//! What a run says about itself. The engine emits, four readers listen: terminal, `--json`, run log, report.
//! No logic.

use dmp_sdk::{Action, Address, Diagnostic, Layer, Verb};
use serde::Serialize;

/// Something that happened in a run.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run has begun.
    RunStarted {
        /// Its id.
        run: String,
        /// The command, such as `apply`.
        command: String,
        /// dmp's version.
        version: String,
    },
    /// A run before this one ended without giving its lock back.
    LeftBehind {
        /// Its command.
        command: String,
        /// Its process.
        pid: u32,
        /// Since when it ran.
        since: String,
    },
    /// An intent of an earlier run is looked after.
    Settling {
        /// The instance.
        address: Address,
        /// What was begun.
        verb: Verb,
    },
    /// It is settled.
    Settled {
        /// The instance.
        address: Address,
        /// What was begun.
        verb: Verb,
        /// How it came out, in words.
        outcome: String,
    },
    /// Recorded objects are read.
    Refreshing {
        /// How many.
        instances: usize,
    },
    /// They are read.
    Refreshed {
        /// How many.
        instances: usize,
        /// How long it took.
        milliseconds: u64,
    },
    /// A rebuild has looked at everything that is recorded.
    Classified {
        /// What became of each instance.
        conditions: Vec<Classified>,
    },
    /// A rebuild has come to its end.
    Rebuilt {
        /// What was lost.
        lost: Vec<Address>,
        /// What of it is there again.
        back: Vec<Address>,
        /// What of it is not there, though the configuration wants it.
        missing: Vec<Address>,
        /// What of it the configuration no longer has.
        dropped: Vec<Address>,
        /// How long the work took.
        milliseconds: u64,
        /// How long it should have taken, by the times recorded.
        estimate: u64,
    },
    /// Something outside is waited for before anything can go on: a machine that boots, a lock.
    Waiting {
        /// For what.
        what: String,
        /// In words.
        why: String,
    },
    /// Work on an instance has begun.
    OperationStarted {
        /// The instance.
        address: Address,
        /// Where it is shown.
        layer: Layer,
        /// What happens.
        action: Action,
    },
    /// A step of it has begun.
    StepStarted {
        /// The instance.
        address: Address,
        /// The step.
        title: String,
        /// Whether it only waits for something.
        waits: bool,
    },
    /// A step of it has ended.
    StepEnded {
        /// The instance.
        address: Address,
        /// The step.
        title: String,
        /// Whether it only waited for something.
        waits: bool,
        /// Whether there was nothing to do.
        skipped: bool,
        /// Whether it went well.
        ok: bool,
        /// How long it took.
        milliseconds: u64,
    },
    /// Work on an instance has ended.
    OperationEnded {
        /// The instance.
        address: Address,
        /// Where it is shown.
        layer: Layer,
        /// What happened.
        action: Action,
        /// How.
        end: OperationEnd,
        /// How long it took.
        milliseconds: u64,
    },
    /// Something outside was busy on dmp's behalf: for the account of where time went.
    Busy {
        /// The layer it was for, if one.
        layer: Option<Layer>,
        /// What it was.
        what: BusyWith,
        /// When it began, in milliseconds since the run did.
        from: u64,
        /// When it ended.
        to: u64,
    },
    /// An error or a warning.
    Diagnosed {
        /// Which.
        diagnostic: Diagnostic,
    },
    /// A check has been looked at.
    Checked {
        /// Its name.
        name: String,
        /// Whether it holds.
        holds: bool,
        /// What is said if it does not.
        message: Option<String>,
    },
    /// The run has ended.
    RunEnded {
        /// In a word: `applied`, `failed`, `stopped`, `stages left`.
        outcome: String,
        /// How many operations changed something.
        changed: usize,
        /// How many failed.
        failed: usize,
        /// How many were skipped because of others.
        skipped: usize,
        /// How long it took.
        milliseconds: u64,
    },
}

/// What became of a recorded instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Classified {
    /// The instance.
    pub address: Address,
    /// Where it is shown.
    pub layer: Layer,
    /// In a word: `intact`, `drifted`, `lost`, `unreachable`, `lost-with-host`, `unknown`.
    pub condition: &'static str,
    /// More about it.
    pub why: Option<String>,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum OperationEnd {
    /// Done.
    Done,
    /// There was nothing left to do.
    Unchanged,
    /// It failed.
    Failed,
    /// Something it needs failed.
    Skipped,
    /// It goes beyond what was approved and is asked for on its own.
    Stage {
        /// Why.
        why: String,
    },
}

/// What is busy outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BusyWith {
    /// A process on a machine.
    Process,
    /// A request to an API, or a read exchange.
    Request,
    /// A named wait.
    Wait,
}

/// Takes events as they come; never blocks for long, never fails.
pub trait Sink: Send + Sync {
    /// Takes one.
    fn emit(&self, event: Event);
}

/// Gives every event to several readers.
pub struct Tee(pub Vec<Box<dyn Sink>>);

impl Sink for Tee {
    fn emit(&self, event: Event) {
        for reader in &self.0 {
            reader.emit(event.clone());
        }
    }
}
