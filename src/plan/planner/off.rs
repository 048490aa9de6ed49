//! What lives on something that is switched off: nobody can ask for it, and nothing happens to it.

use dmp_sdk::{Address, Layer, Object};

use super::Planner;
use crate::ask::Finding;
use crate::ending::{lives_on, rests_on};
use crate::model::Deferred;

impl Planner {
    /// What lives on something that is switched off is taken to be as it is recorded. Where that is switched on, it is looked
    /// at afterwards, in the same apply; so is what is reached by way of it.
    pub(super) fn assume_what_is_off(&mut self, address: &Address, layer: Layer) {
        let Some(Finding::Unreachable(_)) = self.findings.get(address) else {
            return;
        };
        let Some(record) = self.recorded(address).cloned() else {
            return;
        };
        let on_it = self.off_host(address);
        let behind_it = || self.off_way(address).filter(|host| self.comes_up(host));
        let Some(host) = on_it.or_else(behind_it) else {
            return;
        };
        let Some(schema) = self.world.schema_of(address) else {
            return;
        };
        let object = Object {
            attributes: crate::instance::conform(schema, &record.attributes),
            id: record.object_id.clone(),
        };
        self.findings
            .insert(address.clone(), Finding::Found(object));
        if self.comes_up(&host) {
            self.plan.deferred.push(Deferred {
                block: address.to_string(),
                waits_for: host.to_string(),
                layer: Some(layer),
            });
        }
    }

    /// Whether the plan switches a host on.
    fn comes_up(&self, host: &Address) -> bool {
        let planned = self.plan.instances.get(host);
        let planned = planned.and_then(|planned| planned.planned.as_ref());
        let resource = self.resource_of(host);
        planned
            .zip(resource)
            .is_some_and(|(planned, resource)| !resource.is_off(planned))
    }

    fn is_off(&self, host: &Address) -> bool {
        match (self.findings.get(host), self.resource_of(host)) {
            (Some(Finding::Found(object)), Some(resource)) => resource.is_off(&object.attributes),
            _ => false,
        }
    }

    /// What an instance lives on, directly or not, that is switched off.
    fn off_host(&self, address: &Address) -> Option<Address> {
        let recorded = |address: &Address| self.recorded(address).map(AsRef::as_ref);
        lives_on(recorded, address, |host| self.is_off(host)).cloned()
    }

    /// What an instance needs, directly or not, that is switched off: a bastion is no host of what is behind it.
    fn off_way(&self, address: &Address) -> Option<Address> {
        let recorded = |address: &Address| self.recorded(address).map(AsRef::as_ref);
        rests_on(recorded, address, |host| self.is_off(host)).cloned()
    }
}
