//! What `import` blocks adopt, and what they may not do: adopt an object that has an address already, or for an address
//! that nobody describes.

use std::collections::BTreeSet;

use dmp_lang::Expr;
use dmp_lang::config::Import;
use dmp_sdk::{Action, Address, Diagnostic, Key, ModulePath};

use crate::ending::stands_in_undecided_call;
use crate::model::{Plan, Planned};
use crate::world::{Expansion, Place, World, block_key};

/// One object that an `import` block adopts.
#[derive(Clone, Debug)]
pub struct Adoption {
    /// The instance that it becomes.
    pub to: Address,
    /// The block.
    pub import: Import,
    /// Where the block's expressions stand.
    pub place: Place,
}

/// What the `import` blocks adopt, by what variables alone say.
#[must_use]
pub fn expand(world: &World) -> (Vec<Adoption>, Vec<Diagnostic>) {
    let mut adoptions = Vec::new();
    let mut wrong = Vec::new();
    let root = Place::in_module(&ModulePath::root());
    for import in &world.configuration.root().imports {
        let expansion = match world.expand(import.repetition.as_ref(), &root) {
            Ok(expansion) => expansion,
            Err(failed) => {
                wrong.extend(failed);
                continue;
            }
        };
        if expansion.is_unknown() {
            wrong.push(
                Diagnostic::error("import-unknown", "an import is not known")
                    .detail(
                        "`for_each` of an `import` block has to be known before anything is read",
                    )
                    .at(import.repetition.as_ref().map(|it| it.expr().span.clone())),
            );
        }
        for key in expansion.keys() {
            let place = root.clone().of_member(Some(&expansion), key.as_ref());
            match import.address(|expr| key_at(world, expr, &place)) {
                Ok(Some(to)) => adoptions.push(Adoption {
                    to,
                    import: import.clone(),
                    place,
                }),
                Ok(None) => {}
                Err(failed) => wrong.extend(failed),
            }
        }
    }
    (adoptions, wrong)
}

/// A key of the address that something is imported to.
fn key_at(world: &World, expr: &Expr, place: &Place) -> Result<Key, Vec<Diagnostic>> {
    let value = world.evaluate(expr, place)?;
    let marks = value.deep_marks();
    let index = value.as_i64().and_then(|index| u64::try_from(index).ok());
    let key = match (value.as_str(), index) {
        (Some(name), _) => Some(Key::Name(name.into())),
        (None, index) => index.map(Key::Index),
    };
    let failed = Diagnostic::error("wrong-key", "unusable key").at(expr.span.clone());
    match key {
        Some(_) if marks.is_sensitive() || marks.is_ephemeral() => {
            let detail = "a sensitive or ephemeral value can't be a part of an address";
            Err(vec![failed.detail(detail)])
        }
        Some(key) => Ok(key),
        None if !value.is_known() => {
            Err(vec![failed.detail(
                "the address of an import has to be known before anything is read",
            )])
        }
        None => Err(vec![failed.detail("a key is a text or a whole number")]),
    }
}

/// What is wrong with the provider that an `import` block names, where it names an instance.
pub(crate) fn other_provider(world: &World, adoption: &Adoption) -> Option<Vec<Diagnostic>> {
    let named = adoption.import.provider.as_ref()?;
    let expr = named.instance.as_ref()?;
    let block = world.block_of(&adoption.to)?;
    let place = world.place_of(&adoption.to);
    let at = match world.provider_at(&adoption.to.module, block, &place) {
        Ok(at) => at?,
        // It is told of where the instance is visited.
        Err(_) => return None,
    };
    match key_at(world, expr, &adoption.place) {
        Ok(key) if at.instance.as_ref() == Some(&key) => None,
        Ok(key) => Some(vec![
            Diagnostic::error("other-provider", "another provider than the resource's")
                .address(&adoption.to)
                .detail(format!(
                    "it goes through `{at}`, this says `{}{key}`",
                    named.key
                ))
                .at(named.span.clone()),
        ]),
        Err(failed) => Some(failed),
    }
}

/// Refuses what is wrong with `import` blocks as a whole.
pub(crate) fn refuse(plan: &mut Plan, world: &World, imports: &[Adoption]) {
    if imports.is_empty() || plan.is_destroy {
        return;
    }
    let mut refused = Vec::new();
    let mut seen = BTreeSet::new();
    for import in imports {
        if !seen.insert(&import.to) {
            refused.push(
                Diagnostic::error("import-twice", "two `import` blocks for one address")
                    .address(&import.to)
                    .help("leave one of them")
                    .at(import.import.span.clone()),
            );
        }
        let block = (import.to.module.clone(), block_key(&import.to));
        let is_undecided = world.expansion(&block).is_some_and(Expansion::is_unknown)
            || stands_in_undecided_call(world, &import.to);
        let planned = plan.instances.get(&import.to);
        let is_described = planned.is_some_and(|planned| planned.planned.is_some());
        // After another mistake nobody knows what would be there.
        let is_wrong = plan.diagnostics.iter().any(Diagnostic::is_error);
        if !is_described && !is_undecided && !is_wrong {
            refused.push(
                Diagnostic::error("import-undescribed", "an import of what is not described")
                    .detail(format!("the configuration has no `{}`", import.to))
                    .help("describe it with a `resource` block and its keys, or take the `import` block out")
                    .at(import.import.span.clone()),
            );
        }
    }
    for planned in plan.instances.values() {
        if let Some(other) = adopted_already(plan, world, planned) {
            let id = planned.import.as_deref().unwrap_or_default();
            let span = imports.iter().find(|import| import.to == planned.address);
            refused.push(
                Diagnostic::error("clash", "two instances are one object")
                    .address(&planned.address)
                    .detail(format!("`{id}` is `{}` already", other.address))
                    .help("an object has one address: for another one write a `moved` block")
                    .at(span.map(|import| import.import.span.clone())),
            );
        }
    }
    plan.diagnostics.extend(refused);
}

/// The other instance that has the object which an import would adopt. Those with a natural key are told apart by it.
fn adopted_already<'p>(plan: &'p Plan, world: &World, planned: &Planned) -> Option<&'p Planned> {
    let id = planned.import.as_deref()?;
    if world.schema_of(&planned.address)?.has_natural_key() {
        return None;
    }
    let has_it = |other: &&Planned| {
        let recorded = other.record.as_ref();
        let recorded = recorded.and_then(|record| record.object_id.as_deref());
        let is_kept = !matches!(other.action, Action::Forget | Action::Create);
        let imports_it = other.import.as_deref() == Some(id) && other.address < planned.address;
        let is_same_type = other.address.resource_type == planned.address.resource_type;
        let provider = other
            .record
            .as_ref()
            .map_or(&other.provider, |record| &record.provider);
        is_same_type
            && *provider == planned.provider
            && (imports_it || (is_kept && recorded == Some(id)))
    };
    let others = plan.instances.values().chain(&plan.deposed);
    others
        .map(AsRef::as_ref)
        .filter(|other| !std::ptr::eq(*other, planned))
        .find(has_it)
}
