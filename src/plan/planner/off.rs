//! What lives on something that is switched off: nobody can ask for it, and nothing happens to it.

use dmp_sdk::{Address, Layer, Object};

use super::Planner;
use crate::ask::Finding;
use crate::ending::lives_on;
use crate::model::Deferred;

impl Planner {
    /// What lives on something that is switched off is taken to be as it is recorded. Where that is switched on, it is looked
    /// at afterwards, in the same apply.
    pub(super) fn assume_what_is_off(&mut self, address: &Address, layer: Layer) {
        let Some(Finding::Unreachable(_)) = self.findings.get(address) else {
            return;
        };
        let (Some(record), Some(host)) = (self.recorded(address).cloned(), self.off_host(address))
        else {
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
        let planned = self.plan.instances.get(&host);
        let planned = planned.and_then(|planned| planned.planned.as_ref());
        let resource = self.resource_of(&host);
        let comes_up = planned
            .zip(resource)
            .is_some_and(|(planned, resource)| !resource.is_off(planned));
        if comes_up {
            self.plan.deferred.push(Deferred {
                block: address.to_string(),
                waits_for: host.to_string(),
                layer: Some(layer),
            });
        }
    }

    /// What an instance lives on, directly or not, that is switched off.
    fn off_host(&self, address: &Address) -> Option<Address> {
        let is_off = |host: &Address| match (self.findings.get(host), self.resource_of(host)) {
            (Some(Finding::Found(object)), Some(resource)) => resource.is_off(&object.attributes),
            _ => false,
        };
        let recorded = |address: &Address| self.recorded(address).map(AsRef::as_ref);
        lives_on(recorded, address, is_off).cloned()
    }
}
