//! What an instance refers to without reading it: its hosts, the blocks that it waits for, what triggers it.

use std::collections::BTreeSet;
use std::sync::Arc;

use dmp_lang::Decoded;
use dmp_lang::reference::{Reference, Step, Target};
use dmp_sdk::{Action, Address, Mode, ModulePath, Quantifier, Schema, Value};
use dmp_state::Hosting;

use super::Planner;
use crate::world::{BlockAddress, Expansion};

impl Planner {
    /// What an instance lives on: by its hosting arguments, its provider's, or the override.
    pub(super) fn hosted_on(
        &self,
        address: &Address,
        schema: &Schema,
        decoded: &Decoded,
        provider: &str,
    ) -> Vec<Hosting> {
        let block = self.world.block_of(address);
        if let Some(expr) = block.and_then(|block| block.lifecycle.hosted_on.as_ref()) {
            let value = self
                .world
                .evaluate(expr, &self.world.place_of(address))
                .unwrap_or_default();
            return hosting(Quantifier::All, &value).into_iter().collect();
        }
        let mut found = hosting_by_schema(schema, &decoded.value);
        if let Some(state) = self.providers.get(provider) {
            found.extend(state.hosted_on.iter().cloned());
        }
        found
    }

    /// The blocks named by `depends_on`, of the instance's own block and of the modules that it stands in.
    pub(super) fn blocks_waited_for(&self, address: &Address) -> BTreeSet<BlockAddress> {
        let mut blocks = BTreeSet::new();
        if let Some(block) = self.world.block_of(address) {
            self.collect_blocks(&address.module, &block.depends_on, &mut blocks);
        }
        for (at, (call, _)) in address.module.0.iter().enumerate() {
            let parent = ModulePath(address.module.0[..at].to_vec());
            if let Some(call) = self
                .world
                .module(&parent)
                .and_then(|module| module.calls.get(call))
            {
                self.collect_blocks(&parent, &call.depends_on, &mut blocks);
            }
        }
        self.collect_by_outputs(address, &mut blocks);
        blocks
    }

    pub(super) fn collect_blocks(
        &self,
        module: &ModulePath,
        references: &[Reference],
        into: &mut BTreeSet<BlockAddress>,
    ) {
        for reference in references {
            match &reference.target {
                Target::Resource(key) => {
                    into.insert((module.clone(), key.clone()));
                }
                Target::Module(name) => {
                    let keys = self
                        .world
                        .call(module, name)
                        .map(Expansion::keys)
                        .unwrap_or_default();
                    for key in keys {
                        self.collect_module(&module.child(name, key), into);
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn collect_module(&self, module: &ModulePath, into: &mut BTreeSet<BlockAddress>) {
        let Some(declared) = self.world.module(module) else {
            return;
        };
        into.extend(
            declared
                .resources
                .keys()
                .map(|key| (module.clone(), key.clone())),
        );
        for name in declared.calls.keys() {
            for key in self
                .world
                .call(module, name)
                .map(Expansion::keys)
                .unwrap_or_default()
            {
                self.collect_module(&module.child(name, key), into);
            }
        }
    }

    /// The first reference of `replace_triggered_by` whose object changes.
    pub(super) fn triggered_by(&self, address: &Address) -> Option<String> {
        self.recorded(address)?;
        let block = self.world.block_of(address)?;
        let place = self.world.place_of(address);
        for expr in &block.lifecycle.replace_triggered_by {
            let attribute = dmp_lang::references(expr)
                .into_iter()
                .find_map(|reference| {
                    reference.path.iter().find_map(|step| match step {
                        Step::Attribute(name, _) => Some(Arc::clone(name)),
                        Step::Index(..) => None,
                    })
                });
            let value = self.world.evaluate(expr, &place).unwrap_or_default();
            for origin in value.deep_marks().origins() {
                let Some(planned) = self.plan.instances.get(origin.as_ref()) else {
                    continue;
                };
                let triggers = match &attribute {
                    Some(attribute) => planned
                        .changed
                        .iter()
                        .any(|changed| changed == attribute.as_ref()),
                    None => true,
                };
                if planned.is_change() && planned.action != Action::Create && triggers {
                    return Some(origin.to_string());
                }
            }
        }
        None
    }
}

/// What an object lives on, by the hosting arguments of its schema: by where their values come from, not by what decided that
/// the object is there.
pub(super) fn hosting_by_schema(schema: &Schema, config: &Value) -> Vec<Hosting> {
    let attributes = schema
        .attributes
        .iter()
        .filter_map(|(name, attribute)| Some((name, attribute.hosting?)));
    attributes
        .filter_map(|(name, quantifier)| hosting(quantifier, config.as_members()?.get(name)?))
        .collect()
}

pub(super) fn hosting(quantifier: Quantifier, value: &Value) -> Option<Hosting> {
    let marks = value.deep_marks();
    let managed = marks
        .origins()
        .iter()
        .filter(|origin| origin.mode == Mode::Managed);
    let hosts: Vec<Address> = managed.map(|origin| origin.as_ref().clone()).collect();
    (!hosts.is_empty()).then_some(Hosting { quantifier, hosts })
}

pub(super) fn origins_in_words<'a>(origins: impl Iterator<Item = &'a Address>) -> String {
    let names: Vec<_> = origins.map(ToString::to_string).collect();
    match names.as_slice() {
        [] => "what is known after apply".into(),
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
    }
}
