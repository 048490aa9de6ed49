//! What `import` blocks may not do: adopt an object that has an address already, or for an address that nobody describes.

use dmp_sdk::{Action, Diagnostic};

use crate::ending::stands_in_undecided_call;
use crate::model::{Plan, Planned};
use crate::world::{Expansion, World, block_key};

/// Refuses what is wrong with `import` blocks as a whole.
pub(crate) fn refuse(plan: &mut Plan, world: &World) {
    let imports = &world.configuration.root().imports;
    if imports.is_empty() || plan.is_destroy {
        return;
    }
    let mut refused = Vec::new();
    for (position, import) in imports.iter().enumerate() {
        if imports[..position]
            .iter()
            .any(|other| other.to == import.to)
        {
            refused.push(
                Diagnostic::error("import-twice", "two `import` blocks for one address")
                    .address(&import.to)
                    .help("leave one of them")
                    .at(import.span.clone()),
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
                    .at(import.span.clone()),
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
                    .at(span.map(|import| import.span.clone())),
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
        .filter(|other| !std::ptr::eq(*other, planned))
        .find(has_it)
}
