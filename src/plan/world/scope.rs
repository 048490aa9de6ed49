//! How references are answered at one place of the configuration.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use dmp_lang::reference::{PathKind, Reference, ResourceKey, Target};
use dmp_lang::{Chance, Files, Scope, unknown_reference};
use dmp_sdk::{Diagnostic, Key, ModulePath, ProviderFunction, Value};
use time::OffsetDateTime;

use super::expand::Instances;
use super::{Expansion, World};

/// Where an expression stands: its module, and the member of a repetition.
#[derive(Clone, Debug, Default)]
pub struct Place {
    module: ModulePath,
    each: Option<(Value, Value)>,
    index: Option<u64>,
    this: Option<Value>,
    scoped: Option<(ResourceKey, Value)>,
}

impl Place {
    /// Somewhere in a module.
    #[must_use]
    pub fn in_module(module: &ModulePath) -> Self {
        Self {
            module: module.clone(),
            ..Self::default()
        }
    }

    /// In the block of one member of a repetition.
    #[must_use]
    pub fn of_member(mut self, expansion: Option<&Expansion>, key: Option<&Key>) -> Self {
        match key {
            Some(Key::Index(index)) => self.index = Some(*index),
            Some(Key::Name(name)) => {
                let value = expansion.and_then(|expansion| match &expansion.instances {
                    Instances::Each(members) => members.get(name).cloned(),
                    _ => None,
                });
                self.each = Some((Arc::clone(name).into(), value.unwrap_or_else(Value::null)));
            }
            None => {}
        }
        self
    }

    /// Where `each` is an object and its key.
    #[must_use]
    pub fn of_each(mut self, key: &str, value: Value) -> Self {
        self.each = Some((key.into(), value));
        self
    }

    /// Where `self` is an object.
    #[must_use]
    pub fn of_object(mut self, object: Value) -> Self {
        self.this = Some(object);
        self
    }

    /// Where a data source is seen that nobody else sees.
    #[must_use]
    pub fn seeing(mut self, key: &ResourceKey, value: Value) -> Self {
        self.scoped = Some((key.clone(), value));
        self
    }
}

/// The scope of one evaluation.
pub(super) struct At<'a> {
    pub(super) world: &'a World,
    pub(super) place: &'a Place,
}

impl Scope for At<'_> {
    fn lookup(&self, reference: &Reference) -> Result<Value, Vec<Diagnostic>> {
        let module = &self.place.module;
        let world = self.world;
        let given = |value: Option<Value>| value.ok_or_else(|| vec![unknown_reference(reference)]);
        match &reference.target {
            Target::Variable(name) => {
                world.remembered(module, &reference.target, || world.variable(module, name))
            }
            Target::Local(name) => world.remembered(module, &reference.target, || {
                let local = world
                    .module(module)
                    .and_then(|module| module.locals.get(name));
                let local = local.ok_or_else(|| vec![unknown_reference(reference)])?;
                world.evaluate(&local.expr, &Place::in_module(module))
            }),
            Target::Resource(key) => match &self.place.scoped {
                Some((scoped, value)) if scoped == key => Ok(value.clone()),
                _ => Ok(world.block_value(module, key)),
            },
            Target::Module(name) => world.module_value(module, reference, name),
            Target::EachKey => given(self.place.each.as_ref().map(|(key, _)| key.clone())),
            Target::EachValue => given(self.place.each.as_ref().map(|(_, value)| value.clone())),
            Target::CountIndex => {
                let index = self.place.index.and_then(|index| i64::try_from(index).ok());
                given(index.map(Value::from))
            }
            Target::SelfObject => given(self.place.this.clone()),
            Target::Path(PathKind::Module) => {
                given(world.module(module).map(|module| {
                    from_stack(&module.directory, &world.surroundings.directory).into()
                }))
            }
            Target::Path(PathKind::Root) => Ok(".".into()),
            Target::Path(PathKind::Cwd) => Ok(world.surroundings.cwd.display().to_string().into()),
            Target::Stack(name) if name.as_ref() == "name" => {
                Ok(world.surroundings.name.as_str().into())
            }
            Target::Stack(_) => given(None),
        }
    }

    fn files(&self) -> &dyn Files {
        &self.world.files
    }

    fn provider_function(&self, provider: &str, name: &str) -> Option<ProviderFunction> {
        self.world.registry.function(provider, name)
    }

    fn planned_at(&self) -> Option<OffsetDateTime> {
        self.world.surroundings.planned_at
    }

    fn chance(&self) -> Option<Chance> {
        let chance = self.world.chance.clone()?;
        let key = self.place.each.as_ref().and_then(|(key, _)| key.as_str());
        let place = format!("{:?} {key:?} {:?}", self.place.module, self.place.index);
        Some(Chance { place, ..chance })
    }
}

/// A module's folder, counted from the stack's. Both are written from where dmp was called.
fn from_stack(directory: &str, stack: &Path) -> String {
    let parts = |path: &Path| -> Vec<PathBuf> {
        let parts = path
            .components()
            .filter(|part| !matches!(part, Component::CurDir));
        parts.map(|part| PathBuf::from(part.as_os_str())).collect()
    };
    let folder = Path::new(directory);
    let (to, from) = (parts(folder), parts(stack));
    let shared = to.iter().zip(&from).take_while(|(a, b)| a == b).count();
    let back = &from[shared..];
    if folder.is_absolute() != stack.is_absolute() || back.contains(&PathBuf::from("..")) {
        return directory.to_owned();
    }
    let way = back.iter().map(|_| PathBuf::from(".."));
    let way: PathBuf = way.chain(to[shared..].iter().cloned()).collect();
    match way.as_os_str().is_empty() {
        true => ".".into(),
        false => way.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_counted_from_the_stack_wherever_dmp_was_called() {
        let of = |directory: &str, stack: &str| from_stack(directory, Path::new(stack));
        assert_eq!(of("modules/a", "."), "modules/a");
        assert_eq!(of("../../modules/a", "."), "../../modules/a");
        assert_eq!(of("modules/a", "examples/x"), "../../modules/a");
        assert_eq!(of("examples/x/inner", "./examples/x/"), "inner");
        assert_eq!(of("examples/x", "examples/x"), ".");
        assert_eq!(of("../modules/a", "../x"), "../modules/a");
        assert_eq!(of("/srv/modules/a", "/srv/x"), "../modules/a");
        assert_eq!(of("/srv/modules/a", "x"), "/srv/modules/a");
    }
}
