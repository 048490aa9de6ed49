//! What the log is made of: instances, outputs, provider configurations, and the records that change them.

use std::collections::BTreeMap;

use dmp_sdk::{Address, HoldsData, Layer, Machine, Quantifier, Value};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::commit::Serial;
use crate::intent::Intent;
use crate::recipients::Wrapped;

/// One object that dmp owns.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Where it stands in the configuration.
    pub address: Address,
    /// Minted once; what the object's mark carries.
    pub id: String,
    /// The provider configuration it was made through, such as `kubernetes` or `kubernetes.edge`.
    pub provider: String,
    /// The version of the schema that the attributes follow.
    pub schema_version: u32,
    /// All attributes; secrets are marked.
    pub attributes: Value,
    /// The arguments which the configuration set.
    pub set_paths: Vec<String>,
    /// The object's id at the provider.
    pub object_id: Option<String>,
    /// What was chosen before the create.
    pub chosen: Value,
    /// What stood there before dmp owned it; null with authority: nothing.
    pub earlier: Option<Value>,
    /// What it needs, and how.
    pub dependencies: Vec<Dependency>,
    /// What it lives on.
    pub hosted_on: Vec<Hosting>,
    /// Whether it is whole.
    pub status: Status,
    /// Whether deleting it is refused; outlives the block.
    pub prevent_destroy: bool,
    /// Where it is shown.
    pub layer: Layer,
    /// The worth of the data in it.
    pub holds_data: HoldsData,
    /// Whether its end is the end of what it hosts.
    pub ends_hosted: bool,
    /// The group that it is changed in.
    pub group: Option<Group>,
    /// How long its last create took, in milliseconds.
    pub create_milliseconds: Option<u64>,
}

impl Instance {
    /// Everything that it lives on directly.
    pub fn hosts(&self) -> impl Iterator<Item = &Address> {
        self.hosted_on.iter().flat_map(|hosting| &hosting.hosts)
    }
}

/// An edge to what an instance needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dependency {
    /// What it needs.
    pub address: Address,
    /// How.
    pub kind: EdgeKind,
}

/// How one instance needs another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeKind {
    /// It reads an attribute of it, or was told to wait for it.
    Uses,
    /// It dies with it.
    HostedOn,
}

/// A group of instances, of which only so many may be out at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// How many members may be out at once.
    pub max_out: usize,
}

/// What an instance lives on, by one hosting argument or the override.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hosting {
    /// How many of the hosts it needs.
    pub quantifier: Quantifier,
    /// The hosts.
    pub hosts: Vec<Address>,
}

/// Whether an object is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As recorded.
    Whole,
    /// The person said that it is lost: it is not asked for any more, and made anew.
    Lost,
    /// Created or changed half-way: the next plan looks at it and finishes it or proposes a replacement.
    Suspect {
        /// What happened.
        why: String,
    },
}

/// An output of the stack.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Its value; secrets are marked.
    pub value: Value,
}

/// A provider configuration as it was last used.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderRecord {
    /// The provider's name.
    pub provider: String,
    /// The whole configuration, sealed whatever its marks; ephemeral values are holes.
    pub config: Value,
    /// What the configuration came from.
    pub origins: Vec<Address>,
}

/// One change inside a commit.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A run has begun.
    RunBegan {
        /// Its command line verb.
        command: String,
        /// dmp's version.
        version: String,
    },
    /// A run has ended.
    RunEnded {
        /// In a word: `applied`, `failed`, `stopped`.
        outcome: String,
    },
    /// An intent, before the first call.
    IntentOpened(Box<Intent>),
    /// The object of an open intent has an id.
    IntentId {
        /// The intent's id.
        intent: String,
        /// The object's id at the provider.
        object_id: String,
    },
    /// The batch that carries out open intents, before it is sent.
    BatchSent {
        /// The intents' ids.
        intents: Vec<String>,
        /// The machine.
        on: Machine,
        /// The batch's id.
        batch: String,
    },
    /// The intent is settled.
    IntentClosed {
        /// The intent's id.
        intent: String,
    },
    /// An instance as it is now.
    InstancePut(Box<Instance>),
    /// An instance is gone from the state.
    InstanceRemoved {
        /// Its address.
        address: Address,
        /// Why: `deleted`, `gone`, `forgotten`, `lost with host`, `lost`.
        why: String,
    },
    /// The object that an instance had until now, while a new one takes its address: it lives on until it is deleted.
    InstanceDeposed(Box<Instance>),
    /// An object that was deposed is gone.
    DeposedRemoved {
        /// The instance's id.
        id: String,
        /// The address that it had.
        address: Address,
        /// Why: `deleted`, `forgotten`, `lost with host`.
        why: String,
    },
    /// An instance has another address. A commit with it also puts the instance there.
    InstanceMoved {
        /// The old one.
        from: Address,
        /// The new one.
        to: Address,
    },
    /// A provider configuration as it is now.
    ProviderPut {
        /// Its address, such as `kubernetes`.
        address: String,
        /// The configuration.
        provider: Box<ProviderRecord>,
    },
    /// A provider configuration that nothing needs any more.
    ProviderRemoved {
        /// Its address.
        address: String,
    },
    /// All outputs as they are now.
    OutputsPut(BTreeMap<String, Output>),
    /// An older copy of the state was taken for the truth again.
    Reconciled {
        /// The last commit that was seen of the one that is lost.
        seen: Serial,
    },
}

/// A record as it lies on disk: values are encoded and secrets sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(crate) enum Stored {
    Genesis {
        lineage: String,
        format: u32,
    },
    RunBegan {
        command: String,
        version: String,
    },
    RunEnded {
        outcome: String,
    },
    IntentOpened {
        intent: Json,
    },
    IntentId {
        intent: String,
        object_id: String,
    },
    BatchSent {
        intents: Vec<String>,
        on: Json,
        batch: String,
    },
    IntentClosed {
        intent: String,
    },
    InstancePut {
        instance: Json,
    },
    InstanceRemoved {
        address: Address,
        why: String,
    },
    InstanceDeposed {
        instance: Json,
    },
    DeposedRemoved {
        id: String,
        address: Address,
        why: String,
    },
    InstanceMoved {
        from: Address,
        to: Address,
    },
    ProviderPut {
        address: String,
        provider: Json,
    },
    ProviderRemoved {
        address: String,
    },
    OutputsPut {
        outputs: BTreeMap<String, Json>,
    },
    /// The log before this was dropped; the records that follow in the same commit are all that there is.
    Checkpoint {
        lineage: String,
        format: u32,
    },
    KeyWrapped(Wrapped),
    Reconciled {
        seen: Serial,
    },
}
