//! What waits by the `depends_on` of an output: whoever refers to the output, also through local values, input variables and
//! the outputs of other modules, and also where its value is known long before.

use std::collections::BTreeSet;
use std::sync::Arc;

use dmp_lang::reference::{Reference, Step, Target};
use dmp_lang::{body_references, references};
use dmp_sdk::{Address, ModulePath};

use super::Planner;
use crate::world::{BlockAddress, Expansion, World};

/// Whether any output waits for more than it refers to; where none does, nobody need be followed.
pub(super) fn are_ordered(world: &World) -> bool {
    let modules = world.configuration.modules.iter();
    let mut outputs = modules.flat_map(|module| module.outputs.values());
    outputs.any(|output| !output.depends_on.is_empty())
}

/// What was followed already.
type Seen = BTreeSet<(ModulePath, Arc<str>, Kind)>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Variable,
    Local,
    Output,
}

impl Planner {
    /// Adds the blocks that an instance waits for by outputs.
    pub(super) fn collect_by_outputs(&self, address: &Address, into: &mut BTreeSet<BlockAddress>) {
        if !self.has_ordered_outputs {
            return;
        }
        let Some(block) = self.world.block_of(address) else {
            return;
        };
        let repetition = block.repetition.as_ref();
        let repetition = repetition.map(|repetition| references(repetition.expr()));
        let mut seen = Seen::new();
        for reference in body_references(&block.body)
            .into_iter()
            .chain(repetition.into_iter().flatten())
        {
            self.follow(&address.module, reference, into, &mut seen);
        }
    }

    fn follow(
        &self,
        at: &ModulePath,
        reference: &Reference,
        into: &mut BTreeSet<BlockAddress>,
        seen: &mut Seen,
    ) {
        let Some(module) = self.world.module(at) else {
            return;
        };
        let mut is_new = |name: &Arc<str>, kind| seen.insert((at.clone(), Arc::clone(name), kind));
        match &reference.target {
            Target::Local(name) if is_new(name, Kind::Local) => {
                let local = module.locals.get(name);
                for inner in local.iter().flat_map(|local| references(&local.expr)) {
                    self.follow(at, inner, into, seen);
                }
            }
            Target::Variable(name) if is_new(name, Kind::Variable) => {
                let Some(((call, _), above)) = at.0.split_last() else {
                    return;
                };
                let parent = ModulePath(above.to_vec());
                let calls = self.world.module(&parent).map(|module| &module.calls);
                let given = calls.and_then(|calls| calls.get(call)?.inputs.get(name));
                for inner in given.iter().flat_map(|given| references(&given.expr)) {
                    self.follow(&parent, inner, into, seen);
                }
            }
            Target::Module(name) => {
                let wanted = reference.path.iter().find_map(|step| match step {
                    Step::Attribute(name, _) => Some(name),
                    Step::Index(..) => None,
                });
                let keys = self.world.call(at, name).map(Expansion::keys);
                for key in keys.unwrap_or_default() {
                    self.follow_outputs(&at.child(name, key), wanted, into, seen);
                }
            }
            _ => {}
        }
    }

    /// Follows one output of a module; all of them where it is not said which.
    fn follow_outputs(
        &self,
        at: &ModulePath,
        wanted: Option<&Arc<str>>,
        into: &mut BTreeSet<BlockAddress>,
        seen: &mut Seen,
    ) {
        let Some(module) = self.world.module(at) else {
            return;
        };
        for (name, output) in &module.outputs {
            let is_wanted = wanted.is_none_or(|wanted| wanted == name);
            if !is_wanted || !seen.insert((at.clone(), Arc::clone(name), Kind::Output)) {
                continue;
            }
            self.collect_blocks(at, &output.depends_on, into);
            for inner in references(&output.value) {
                self.follow(at, inner, into, seen);
            }
        }
    }
}
