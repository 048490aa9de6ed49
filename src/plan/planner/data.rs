//! Data sources: read in the plan where all they need is known, else while applying.

use std::sync::Arc;

use dmp_lang::Decoded;
use dmp_lang::config::Timed;
use dmp_sdk::{Action, Address, Diagnostic, Reason, Value};

use super::references::origins_in_words;
use super::resources::unreachable;
use super::{Planner, ProviderState};
use crate::ask::{Finding, ReadKind, ReadRequest};
use crate::world::block_key;

impl Planner {
    /// A data source is read in the plan if all of its configuration is known and nothing that it waits for changes.
    pub(super) fn data_request(
        &self,
        address: &Address,
        decoded: &Decoded,
        provider: &str,
        state: &ProviderState,
    ) -> Option<ReadRequest> {
        let source = self.world.registry.data_source(&address.resource_type)?;
        let configured = state.configured.as_ref()?;
        if !decoded.value.is_wholly_known()
            || self.waits_for_change(address)
            || self.is_checks(address)
        {
            return None;
        }
        let config = crate::instance::conform(source.schema(), &decoded.value);
        Some(ReadRequest {
            address: address.clone(),
            kind: ReadKind::Data {
                source: Arc::clone(source),
                config,
            },
            provider: Arc::clone(configured),
            provider_address: provider.to_owned(),
            within: self.world.timeout(address, Timed::Read).ok().flatten(),
        })
    }

    /// A data source inside a check is read when everything is applied.
    pub(super) fn is_checks(&self, address: &Address) -> bool {
        let key = block_key(address);
        self.world
            .module(&address.module)
            .is_some_and(|module| !module.resources.contains_key(&key))
    }

    pub(super) fn waits_for_change(&self, address: &Address) -> bool {
        let blocks = self.blocks_waited_for(address);
        self.plan.instances.values().any(|planned| {
            planned.is_change()
                && blocks.contains(&(planned.address.module.clone(), block_key(&planned.address)))
        })
    }

    pub(super) fn finish_data(&mut self, address: &Address, decoded: &Decoded, finding: Finding) {
        let provider = self.provider_of(address).unwrap_or_default();
        match finding {
            Finding::Data(value) => {
                let schema = self.world.schema_of(address);
                let value = schema.map_or_else(
                    || value.clone(),
                    |schema| crate::instance::conform(schema, &value),
                );
                self.world.set_instance(address, &value);
                let failed = self.failed_postconditions(address, &value);
                self.plan.diagnostics.extend(failed);
            }
            Finding::Failed(diagnostic) => self.plan.diagnostics.push(diagnostic.address(address)),
            Finding::Unreachable(why) => self.plan.diagnostics.push(unreachable(address, &why)),
            _ => self.defer_data(address, decoded, &provider),
        }
    }

    pub(super) fn failed_postconditions(
        &self,
        address: &Address,
        value: &Value,
    ) -> Vec<Diagnostic> {
        let block = self.world.block_of(address);
        let conditions = block.map(|block| block.lifecycle.postconditions.as_slice());
        let Some(conditions) = conditions.filter(|conditions| !conditions.is_empty()) else {
            return Vec::new();
        };
        let place = self.world.place_of(address).of_object(value.clone());
        let failed = self.world.failed_conditions(
            conditions,
            &place,
            "postcondition",
            "postcondition does not hold",
        );
        failed
            .into_iter()
            .map(|diagnostic| diagnostic.address(address))
            .collect()
    }

    /// Plans to read a data source while applying.
    pub(super) fn defer_data(&mut self, address: &Address, decoded: &Decoded, provider: &str) {
        let Some(schema) = self.world.schema_of(address) else {
            return;
        };
        if self.is_checks(address) {
            return;
        }
        let members = schema.attributes.iter().map(|(name, attribute)| {
            let given = decoded.value.get(name);
            let value = if given.is_null() && attribute.is_computed() {
                Value::unknown(attribute.ty.clone())
            } else {
                given.map_marks(&dmp_sdk::Marks::without_origins)
            };
            (Arc::clone(name), value)
        });
        let value = Value::object(members.collect());
        let layer = schema.layer;
        self.world.set_instance(address, &value);
        let mut planned = self.blank(address, decoded, provider, layer);
        planned.action = Action::Read;
        planned.planned = Some(value);
        planned.reasons = vec![Reason::WaitsFor {
            what: origins_in_words(planned.uses.iter()),
        }];
        self.plan.instances.insert(address.clone(), planned.into());
    }
}
