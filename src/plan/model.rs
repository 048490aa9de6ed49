//! What a plan is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dmp_sdk::{Action, Address, Diagnostic, Effect, HoldsData, Layer, Reason, Schema, Value};
use dmp_state::{Dependency, EdgeKind, Group, Hosting, Instance, Status};

use crate::world::BlockAddress;

/// What stood at an object's natural key before dmp owned it.
#[derive(Clone, Debug, PartialEq)]
pub enum Earlier {
    /// Not looked at yet: it is, before anything is written.
    NotRead,
    /// With authority: nothing.
    Nothing,
    /// This.
    Found(Value),
    /// The type's objects have no natural key.
    NotAsked,
}

impl Earlier {
    /// As it is recorded: `None` for not known, null for nothing.
    #[must_use]
    pub fn to_record(&self) -> Option<Value> {
        match self {
            Self::NotRead | Self::NotAsked => None,
            Self::Nothing => Some(Value::null()),
            Self::Found(value) => Some(value.clone()),
        }
    }

    /// The value, if something was there.
    #[must_use]
    pub fn found(&self) -> Option<&Value> {
        match self {
            Self::Found(value) => Some(value),
            _ => None,
        }
    }
}

/// What happens to one instance.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The instance.
    pub address: Address,
    /// What happens.
    pub action: Action,
    /// Why.
    pub reasons: Vec<Reason>,
    /// The provider configuration that it goes through.
    pub provider: String,
    /// Where it is shown.
    pub layer: Layer,
    /// The value as recorded and refreshed.
    pub prior: Option<Value>,
    /// The value that it will have, as far as it is known.
    pub planned: Option<Value>,
    /// What is there although dmp did not make it.
    pub earlier: Earlier,
    /// The arguments which the configuration sets, in order.
    pub set_paths: Vec<String>,
    /// The attributes that change.
    pub changed: Vec<String>,
    /// What it does to others.
    pub effects: Vec<Effect>,
    /// Sentences of the resource type.
    pub notes: Vec<String>,
    /// The instances that it reads from, or that its provider configuration does; in order, each once.
    pub uses: Vec<Address>,
    /// The blocks that it was told to wait for.
    pub waits_for: BTreeSet<BlockAddress>,
    /// What it lives on.
    pub hosted_on: Vec<Hosting>,
    /// The host whose end ends it: no delete call is made.
    pub lost_with: Option<Address>,
    /// The person said that the object is lost: it is not asked for, and what lives on it is lost with it.
    pub is_lost: bool,
    /// Whether it is taken out of what knows it elsewhere before its host ends, or after it is dead.
    pub leaves: bool,
    /// The instances that take its name where it is known elsewhere: they are begun when it has left and ended.
    pub succeeded_by: BTreeSet<Address>,
    /// The group that it is changed in.
    pub group: Option<Group>,
    /// The id of the object that is there already and becomes dmp's.
    pub import: Option<String>,
    /// The address that it had until now.
    pub moved_from: Option<Address>,
    /// What the state holds of it.
    pub record: Option<Arc<Instance>>,
    /// Why the object is not whole.
    pub half_made: Option<String>,
    /// What a dry run told: the apply plans with it again.
    pub dry_run: Option<Value>,
    /// Whether deleting is refused.
    pub prevent_destroy: bool,
    /// The worth of its data.
    pub holds_data: HoldsData,
    /// Whether its end ends what it hosts.
    pub ends_hosted: bool,
}

impl Planned {
    /// The record of an instance as the plan determines it; attributes are those recorded before.
    #[must_use]
    pub fn instance(&self, schema: &Schema) -> Instance {
        let record = self.record.as_ref();
        let hosts = self
            .hosted_on
            .iter()
            .flat_map(|hosting| &hosting.hosts)
            .cloned();
        let hosts = hosts.map(|address| Dependency {
            address,
            kind: EdgeKind::HostedOn,
        });
        let mut dependencies: Vec<Dependency> = hosts.collect();
        for address in &self.uses {
            if !dependencies
                .iter()
                .any(|dependency| dependency.address == *address)
            {
                dependencies.push(Dependency {
                    address: address.clone(),
                    kind: EdgeKind::Uses,
                });
            }
        }
        for (module, key) in &self.waits_for {
            let address = crate::world::instance_address(module, key, None);
            if !dependencies
                .iter()
                .any(|dependency| dependency.address == address)
            {
                dependencies.push(Dependency {
                    address,
                    kind: EdgeKind::Uses,
                });
            }
        }
        dependencies.sort();
        Instance {
            address: self.address.clone(),
            id: record.map(|record| record.id.clone()).unwrap_or_default(),
            provider: self.provider.clone(),
            schema_version: schema.version,
            attributes: record
                .map(|record| record.attributes.clone())
                .unwrap_or_default(),
            set_paths: self.set_paths.clone(),
            object_id: record.and_then(|record| record.object_id.clone()),
            chosen: record
                .map(|record| record.chosen.clone())
                .unwrap_or_default(),
            earlier: record.and_then(|record| record.earlier.clone()),
            dependencies,
            hosted_on: self.hosted_on.clone(),
            status: Status::Whole,
            prevent_destroy: self.prevent_destroy,
            layer: self.layer,
            holds_data: self.holds_data,
            ends_hosted: schema.ends_hosted,
            group: self.group.clone(),
            create_milliseconds: record.and_then(|record| record.create_milliseconds),
        }
    }

    /// Whether anything is done.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !matches!(self.action, Action::NoOp | Action::Defer) || self.moved_from.is_some()
    }

    /// Whether the object is gone without anybody having decided so: it was lost, or was not found any more.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.is_lost || (self.action == Action::Create && self.record.is_some())
    }
}

/// A block whose instances are decided later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferred {
    /// The block, as it is written.
    pub block: String,
    /// What it waits for.
    pub waits_for: String,
    /// Where it is shown.
    pub layer: Option<Layer>,
}

/// What was found to differ from the record.
#[derive(Clone, Debug)]
pub struct Drift {
    /// The instance.
    pub address: Address,
    /// As recorded.
    pub recorded: Value,
    /// As found; `None` if it is gone.
    pub found: Option<Value>,
    /// The attributes that differ.
    pub changed: Vec<String>,
}

/// How an output changes.
#[derive(Clone, Debug)]
pub struct OutputChange {
    /// As recorded.
    pub before: Option<Value>,
    /// As it will be; `None` if it goes.
    pub after: Option<Value>,
}

impl OutputChange {
    /// Whether it differs.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.before != self.after
    }
}

/// A proposal.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What happens to each instance.
    pub instances: BTreeMap<Address, Box<Planned>>,
    /// Objects that were replaced before and are not deleted yet.
    pub deposed: Vec<Box<Planned>>,
    /// Blocks that are decided later.
    pub deferred: Vec<Deferred>,
    /// What was found to differ from the record.
    pub drift: Vec<Drift>,
    /// How the outputs change.
    pub outputs: BTreeMap<String, OutputChange>,
    /// Errors and warnings. A plan with an error can't be applied.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether everything is to be removed.
    pub is_destroy: bool,
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deferred.is_empty()
            && self.deposed.is_empty()
            && !self.instances.values().any(|planned| planned.is_change())
            && !self.outputs.values().any(OutputChange::is_change)
    }

    /// Whether it can't be applied.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// How many instances there are of an action.
    #[must_use]
    pub fn count(&self, wanted: impl Fn(Action) -> bool) -> usize {
        self.instances
            .values()
            .chain(&self.deposed)
            .filter(|planned| wanted(planned.action))
            .count()
    }
}
