//! Provider configurations: evaluated, made usable where they are known, and found for each block.

use std::collections::BTreeSet;
use std::sync::Arc;

use dmp_graph::ConfigPath;
use dmp_lang::config::ProviderKey;
use dmp_lang::reference::ResourceKey;
use dmp_sdk::{Address, Configured, ModulePath, Reason, Schema, Value};
use dmp_state::{Hosting, Instance};

use super::Planner;
use super::references::hosting_by_schema;
use crate::world::config_path;

/// A provider configuration of the run.
#[derive(Clone)]
pub struct ProviderState {
    /// The provider's name.
    pub name: Arc<str>,
    /// Its configuration, as far as it is known.
    pub config: Value,
    /// The usable form; `None` while it waits for something.
    pub configured: Option<Arc<dyn Configured>>,
    /// What the configuration came from.
    pub origins: BTreeSet<Address>,
    /// What everything that goes through it lives on.
    pub hosted_on: Vec<Hosting>,
}

/// The address of a provider configuration, such as `kubernetes` or `module.edge.kubernetes.west`.
#[must_use]
pub fn provider_address(module: &ModulePath, key: &ProviderKey) -> String {
    if module.is_root() {
        key.to_string()
    } else {
        format!("{module}.{key}")
    }
}

/// The module and the key of a provider configuration's address.
#[must_use]
pub fn parse_provider_address(text: &str) -> Option<(ModulePath, ProviderKey)> {
    // It looks like a resource's: `module.edge.kubernetes.west`, or without a name.
    let parsed = text.parse::<Address>().ok();
    let alias = parsed.as_ref().map(|address| Arc::clone(&address.name));
    let address = parsed.or_else(|| format!("{text}.any").parse().ok())?;
    let name = address.resource_type;
    Some((address.module, ProviderKey { name, alias }))
}

impl Planner {
    pub(super) fn visit_provider(&mut self, path: &ConfigPath, key: &ProviderKey) {
        for module in self.world.module_instances(path) {
            self.make_provider(&module, key);
        }
    }

    /// Evaluates a provider configuration and, where it is known, makes it usable.
    pub(super) fn make_provider(&mut self, module: &ModulePath, key: &ProviderKey) {
        let address = provider_address(module, key);
        if self.providers.contains_key(&address) {
            return;
        }
        let Some(decoded) = self.world.decode_provider(module, key) else {
            return;
        };
        self.plan.diagnostics.extend(decoded.diagnostics.clone());
        let Some(provider) = self.world.registry.provider(&key.name) else {
            return;
        };
        let mut state = provider_state(&key.name, provider.schema(), &decoded.value);
        if state.config.is_wholly_known() {
            match (self.configure)(&key.name, &state.config) {
                Ok(configured) => state.configured = Some(configured),
                Err(diagnostic) => self.plan.diagnostics.push(diagnostic),
            }
        }
        self.providers.insert(address, state);
    }

    /// The provider configuration of an instance; the implied empty one is made on first use.
    pub(super) fn provider_of(&mut self, module: &ModulePath, key: &ResourceKey) -> Option<String> {
        let block = self.world.block(module, key)?;
        let path = config_path(module);
        let (owner, provider) =
            self.world
                .graph
                .provider_of(&self.world.configuration, &path, block)?;
        let owner = ModulePath(module.0[..owner.0.len()].to_vec());
        self.make_provider(&owner, &provider);
        Some(provider_address(&owner, &provider))
    }

    /// Whether an object was made through a provider configuration that means another place than its present one.
    pub(super) fn lives_elsewhere(&self, record: &Instance, provider: &str) -> Option<Reason> {
        let present = self.providers.get(provider)?;
        if record.provider == provider || !present.config.is_wholly_known() {
            return None;
        }
        let schema = self.world.registry.provider(&present.name)?.schema();
        let recorded = self.snapshot.providers.get(&record.provider);
        let recorded = recorded.map_or_else(Value::null, |recorded| recorded.config.clone());
        let as_json =
            |config: &Value| dmp_sdk::codec::to_json(&crate::instance::conform(schema, config));
        let is_same = as_json(&recorded) == as_json(&present.config);
        (!is_same).then(|| Reason::CannotChangeInPlace {
            attribute: "provider".into(),
            why: Some(format!("it was made through `{}`", record.provider)),
        })
    }
}

/// A provider configuration as far as it is known, not yet usable.
#[must_use]
pub fn provider_state(name: &Arc<str>, schema: &Schema, config: &Value) -> ProviderState {
    let origins = config
        .deep_marks()
        .origins()
        .iter()
        .map(|origin| origin.as_ref().clone())
        .collect();
    let hosted_on = hosting_by_schema(schema, config);
    let config =
        crate::instance::conform(schema, &config.map_marks(&dmp_sdk::Marks::without_origins));
    ProviderState {
        name: Arc::clone(name),
        config,
        configured: None,
        origins,
        hosted_on,
    }
}
