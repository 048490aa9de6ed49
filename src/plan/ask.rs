//! What the planner, the refresh and the apply want to have read, and what was found.

use std::sync::Arc;
use std::time::Duration;

use dmp_sdk::{
    Address, Configured, DataSource, Diagnostic, Mark, Object, Purpose, Resource, Value,
};

/// What was found of each instance.
pub type Findings = foldhash::HashMap<Address, Finding>;

/// A wish to have one object or data source read.
#[derive(Clone)]
pub struct ReadRequest {
    /// The instance.
    pub address: Address,
    /// What is read.
    pub kind: ReadKind,
    /// The provider that it is read through.
    pub provider: Arc<dyn Configured>,
    /// The provider configuration's address: queries are merged within one.
    pub provider_address: String,
    /// How long it may take, if the configuration says so; what has a time of its own is read apart from the rest.
    pub within: Option<Duration>,
}

/// What is read.
#[derive(Clone)]
pub enum ReadKind {
    /// An object.
    Object {
        /// Its type.
        resource: Arc<dyn Resource>,
        /// Why.
        purpose: Purpose,
        /// What is known of it.
        attributes: Value,
        /// Its id at the provider.
        object_id: Option<String>,
        /// What was chosen before its create.
        chosen: Value,
        /// Its mark.
        mark: Option<Mark>,
    },
    /// A data source.
    Data {
        /// Its type.
        source: Arc<dyn DataSource>,
        /// Its configuration, wholly known.
        config: Value,
    },
}

impl std::fmt::Debug for ReadRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ReadRequest").field(&self.address).finish()
    }
}

/// What a read found.
#[derive(Clone, Debug)]
pub enum Finding {
    /// The object, whole.
    Found(Object),
    /// The object, not finished: why.
    HalfMade(Object, String),
    /// With authority: there is none.
    Absent,
    /// It could not be asked for: why.
    Unreachable(String),
    /// It can't be asked for yet: its provider waits for something.
    NotConfigured(String),
    /// The answer could not be understood, or the request was refused.
    Failed(Diagnostic),
    /// A data source's value.
    Data(Value),
    /// What a create that was cut off may have left.
    Candidates(Vec<dmp_sdk::Candidate>),
}
