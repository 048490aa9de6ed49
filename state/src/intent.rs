//! A durable note that something outside is about to be changed, and how it is found again if dmp dies.

use dmp_sdk::{Address, Machine, Value, Verb};

/// What is about to be done to one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// Names the intent; files on machines bear it.
    pub id: String,
    /// The instance.
    pub address: Address,
    /// The instance's id: what the mark carries.
    pub instance: String,
    /// What is to be done.
    pub verb: Verb,
    /// The provider configuration that it goes through.
    pub provider: String,
    /// The schema version of the values.
    pub schema_version: u32,
    /// What it shall be; secrets are marked.
    pub wanted: Option<Value>,
    /// What was chosen before the call.
    pub chosen: Value,
    /// What was there just before; null with authority: nothing.
    pub earlier: Option<Value>,
    /// The object's id at the provider, as soon as it is known.
    pub object_id: Option<String>,
    /// What the record of the instance will hold besides its attributes, when the intent ends well.
    pub instance_record: Option<Box<crate::record::Instance>>,
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
