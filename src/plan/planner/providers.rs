//! Provider configurations: evaluated, made usable where they are known, and found for each block.

use std::collections::BTreeSet;
use std::sync::Arc;

use dmp_graph::ConfigPath;
use dmp_lang::config::ProviderKey;
use dmp_lang::reference::ResourceKey;
use dmp_sdk::{Address, Configured, Diagnostic, Marks, Mode, ModulePath, Reason, Schema, Value};
use dmp_state::{Hosting, Instance};

use super::Planner;
use super::references::{hosting_by_schema, origins_in_words};
use crate::model::Deferred;
use crate::world::ProviderAt;

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

impl Planner {
    pub(super) fn visit_provider(&mut self, path: &ConfigPath, key: &ProviderKey) {
        for module in self.world.module_instances(path) {
            let block = self.world.module(&module);
            let Some(block) = block.and_then(|module| module.providers.get(key)) else {
                continue;
            };
            let mut at = ProviderAt {
                module,
                key: key.clone(),
                instance: None,
            };
            let expansion = match self.world.expand_provider(&at.module, block) {
                Ok(expansion) => expansion,
                Err(diagnostics) => {
                    self.plan.diagnostics.extend(diagnostics);
                    continue;
                }
            };
            if expansion.is_unknown() {
                let marks = expansion.marks().clone();
                self.plan.deferred.push(Deferred {
                    block: format!("provider.{at}"),
                    waits_for: origins_in_words(marks.origins().iter().map(AsRef::as_ref)),
                    layer: None,
                });
                self.open_providers.insert(at.to_string(), marks);
            }
            for instance in expansion.keys() {
                at.instance = instance;
                self.make_provider(&at);
            }
        }
    }

    /// Evaluates a provider configuration and, where it is known, makes it usable. What is wrong with it is told once something
    /// goes through it: a stack that takes its machines from one cloud or another has blocks for both, and no endpoint of one.
    pub(super) fn make_provider(&mut self, at: &ProviderAt) {
        let address = at.to_string();
        if self.providers.contains_key(&address) {
            return;
        }
        let Some(decoded) = self.world.decode_provider(at) else {
            return;
        };
        let mut wrong = decoded.diagnostics;
        let name = &at.key.name;
        let Some(provider) = self.world.registry.provider(name) else {
            return;
        };
        let mut state = provider_state(name, provider.schema(), &decoded.value);
        if state.config.is_wholly_known() {
            match (self.configure)(name, &state.config) {
                Ok(configured) => state.configured = Some(configured),
                Err(diagnostic) => wrong.push(diagnostic),
            }
        }
        if !wrong.is_empty() {
            self.wrong_providers.insert(address.clone(), wrong);
        }
        self.providers.insert(address, state);
    }

    /// The provider configuration of an instance; the implied empty one is made on first use.
    pub(super) fn provider_of(&mut self, address: &Address) -> Option<String> {
        let block = self.world.block_of(address)?;
        // Blocks of one type that name no provider go through the same one.
        let is_plain = block.provider.is_none();
        if is_plain && let Some(known) = self.plain_providers.get(&of_type(address)) {
            return Some(known.clone());
        }
        let place = self.world.place_of(address);
        match self.world.provider_at(&address.module, block, &place) {
            Ok(at) => {
                let at = at?;
                self.make_provider(&at);
                let name = at.to_string();
                let wrong = self.wrong_providers.remove(&name);
                self.plan.diagnostics.extend(wrong.into_iter().flatten());
                if is_plain && at.instance.is_none() {
                    self.plain_providers.insert(of_type(address), name.clone());
                }
                Some(name)
            }
            // It was told of when the instance was visited.
            Err(_) => None,
        }
    }

    /// What is wrong with the instance of a provider that an instance goes through.
    pub(super) fn wrong_provider(&mut self, address: &Address) -> Option<Vec<Diagnostic>> {
        let block = self.world.block_of(address)?;
        if block.provider.is_none() && self.plain_providers.contains_key(&of_type(address)) {
            return None;
        }
        let place = self.world.place_of(address);
        let span = block.provider.as_ref().map(|named| named.span.clone());
        let at = match self.world.provider_at(&address.module, block, &place) {
            Ok(at) => at?,
            Err(failed) => return Some(failed),
        };
        let instance = at.instance.as_ref()?;
        if self.providers.contains_key(&at.to_string()) {
            return None;
        }
        let of_block = |name: &&String| {
            ProviderAt::parse(name).is_some_and(|other| other.whole() == at.whole())
        };
        let known: Vec<&String> = self.providers.keys().filter(of_block).collect();
        let list: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        let failed = Diagnostic::error("no-instance", "provider has no such instance")
            .detail(format!("`{}` has no instance {instance}", at.whole()))
            .at(span)
            .address(address);
        Some(vec![match list.is_empty() {
            true => failed.help("its `for_each` is empty"),
            false => failed.help(format!("there are {}", list.join(", "))),
        }])
    }

    /// The marks of what a block waits for, if it is not known yet which instances its provider has.
    pub(super) fn waits_for_provider(
        &self,
        module: &ModulePath,
        key: &ResourceKey,
    ) -> Option<Marks> {
        if self.open_providers.is_empty() {
            return None;
        }
        let block = self.world.block(module, key)?;
        let at = self.world.whole_provider_of(module, block)?;
        self.open_providers.get(&at.to_string()).cloned()
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

/// What blocks that name no provider go through the same one by: their module, mode and type.
fn of_type(address: &Address) -> (ModulePath, Mode, Arc<str>) {
    let resource_type = Arc::clone(&address.resource_type);
    (address.module.clone(), address.mode, resource_type)
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
