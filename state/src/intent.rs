//! A durable note that something outside is about to be changed, and how it is found again if dmp dies.

use dmp_sdk::{Machine, Verb};

use crate::record::Instance;

/// What is about to be done to one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// Names the intent; files on machines bear it.
    pub id: String,
    /// What is to be done.
    pub verb: Verb,
    /// The instance as it will be recorded when the intent ends well, with what was chosen and what was there before.
    /// For a delete, as it is recorded now.
    pub instance: Box<Instance>,
    /// Whether the recorded instance of the same address lives on beside the one that is made, until it is deleted.
    pub deposes: bool,
    /// The object's id at the provider, as soon as it is known.
    pub object_id: Option<String>,
    /// The batches sent for it: the last of each machine.
    pub batches: Vec<RunningBatch>,
    /// The run that opened it.
    pub run: String,
}

/// A batch that was sent to a machine and may still run there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningBatch {
    /// The machine.
    pub on: Machine,
    /// The batch's id.
    pub batch: String,
}
