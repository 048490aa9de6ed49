//! The scope of a check: everything that is declared is unknown, of its declared type.

use dmp_sdk::{Type, Value};

use super::{Checking, Place};
use crate::Diagnostics;
use crate::config::{Repetition, ResourceBlock};
use crate::decode::LaterFiles;
use crate::reference::{Reference, ResourceKey, Target};
use crate::scope::{Files, Scope};

pub(super) struct Declared<'a, 'c> {
    checking: &'a Checking<'c>,
    place: Place<'c>,
}

impl<'a, 'c> Declared<'a, 'c> {
    pub(super) fn new(checking: &'a Checking<'c>, place: Place<'c>) -> Self {
        Self { checking, place }
    }

    /// The type of a block with all its instances; what is not declared was complained of already.
    fn resource(&self, key: &ResourceKey) -> Type {
        let scoped = self.place.scoped.filter(|scoped| scoped.key == *key);
        let Some(block) = scoped.or_else(|| self.checking.module.resources.get(key)) else {
            return Type::Any;
        };
        let one = self.instance(block);
        match &block.repetition {
            None | Some(Repetition::Enabled(_)) => one,
            Some(Repetition::Count(_)) => Type::list(one),
            Some(Repetition::ForEach(_)) => Type::map(one),
        }
    }

    fn instance(&self, block: &ResourceBlock) -> Type {
        let schema = self
            .checking
            .schemas
            .resource(block.key.mode, &block.key.resource_type);
        schema.map_or(Type::Any, dmp_sdk::Schema::value_type)
    }
}

impl Scope for Declared<'_, '_> {
    fn lookup(&self, reference: &Reference) -> Result<Value, Diagnostics> {
        let ty = match &reference.target {
            Target::Variable(name) => match self.checking.module.variables.get(name) {
                Some(variable) => variable.ty.clone(),
                None => Type::Any,
            },
            Target::Resource(key) => self.resource(key),
            Target::EachKey | Target::Path(_) => Type::String,
            Target::CountIndex => Type::Number,
            Target::Local(_)
            | Target::Module(_)
            | Target::EachValue
            | Target::SelfObject
            | Target::Stack(_) => Type::Any,
        };
        Ok(Value::unknown(ty))
    }

    fn files(&self) -> &dyn Files {
        &LaterFiles
    }
}
