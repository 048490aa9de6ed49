//! Two instances that are one object outside: the same path, name or id on the same machine; or two of different types
//! that claim the same thing there, as a file and a line in it. One would undo what the other does, so the plan refuses
//! them, also where one of them goes and the other comes.

use std::collections::{HashMap, HashSet};

use dmp_sdk::codec::to_json;
use dmp_sdk::{Action, Address, Attribute, Claim, Diagnostic, Machine, Schema, Value};

use crate::instance::conform;
use crate::model::{Plan, Planned};
use crate::world::World;

/// Refuses every pair of instances that are one object.
pub(crate) fn refuse(plan: &mut Plan, world: &World) {
    let mut seen: HashMap<String, &Planned> = HashMap::new();
    let mut refused = Vec::new();
    let mut complained: HashSet<&Address> = HashSet::new();
    for planned in plan.instances.values() {
        let schema = world.schema_of(&planned.address);
        let Some(schema) = schema else { continue };
        let (new, old) = (object(planned, schema), old_object(planned, schema));
        let is_twice = planned.action == Action::CreateThenDelete;
        if is_twice && old.is_some() && new == old {
            refused.push(twice(planned));
        }
        let old = old.filter(|old| new.as_ref() != Some(old));
        let others: Vec<_> = [new, old]
            .into_iter()
            .flatten()
            .filter_map(|object| seen.insert(object, planned))
            .collect();
        if let Some(other) = others.first() {
            refused.push(clash(other, planned));
            complained.insert(&planned.address);
        }
    }
    let claims = claims(plan, world);
    for held in claims.values() {
        let is_new = |held: &Held<'_>| !complained.contains(&held.0.address);
        let twice = contradiction(held).filter(|(one, other)| is_new(one) && is_new(other));
        refused.extend(twice.map(|(one, other)| claimed_twice(one, other)));
    }
    for deposed in plan.deposed.iter().filter(|old| old.lost_with.is_none()) {
        let schema = world.schema_of(&deposed.address);
        let other = schema
            .and_then(|schema| object(deposed, schema))
            .and_then(|object| seen.get(&object));
        refused.extend(other.map(|other| goes_still(other, deposed)));
    }
    plan.diagnostics.extend(refused);
}

fn goes_still(planned: &Planned, deposed: &Planned) -> Diagnostic {
    Diagnostic::error("clash", "what is made is still to be deleted")
        .address(&planned.address)
        .detail(format!(
            "`{}` has the path, name or id of what was `{}` before it was replaced, and that is not deleted yet",
            planned.address, deposed.address
        ))
        .help("apply the configuration as it was, so that the old object goes; then make this change")
}

fn twice(planned: &Planned) -> Diagnostic {
    Diagnostic::error("clash", "the new object would be the old one")
        .address(&planned.address)
        .detail(format!(
            "`{}` is created before the old object is deleted, but both have the same path, name or id",
            planned.address
        ))
        .help("give the new one another, or leave `create_before_destroy` out")
}

type Held<'p> = (&'p Planned, Claim);

/// What is claimed, by place.
fn claims<'p>(plan: &'p Plan, world: &World) -> HashMap<String, Vec<Held<'p>>> {
    let mut claims: HashMap<String, Vec<Held<'p>>> = HashMap::new();
    for planned in plan.instances.values() {
        let resource = world.registry.resource(&planned.address.resource_type);
        let value = resource.and_then(|resource| {
            let schema = resource.schema();
            Some((resource, value_of(planned, schema)?))
        });
        let Some((resource, value)) = value else {
            continue;
        };
        for claim in resource.claims(&value) {
            let held = claims.entry(claim.place()).or_default();
            held.push((planned, claim));
        }
    }
    claims
}

/// The first two of one place that can't both be had. One instance may claim a thing more than once.
fn contradiction<'h, 'p>(held: &'h [Held<'p>]) -> Option<(&'h Held<'p>, &'h Held<'p>)> {
    let (first, rest) = held.split_first()?;
    // What claims the whole contradicts every other; where none does, the parts of the first kind agree.
    let whole = held.iter().find(|(_, claim)| claim.part.is_none());
    let one = whole.unwrap_or(first);
    let others = if whole.is_some() { held } else { rest };
    let other = others
        .iter()
        .find(|(planned, claim)| planned.address != one.0.address && one.1.contradicts(claim))?;
    Some((one, other))
}

fn claimed_twice(one: &Held<'_>, other: &Held<'_>) -> Diagnostic {
    let part = |held: &Held<'_>| match held.1.part {
        Some(kind) => format!("{kind} of it"),
        None => "all of it".to_owned(),
    };
    let what = &one.1.what;
    let diagnostic = Diagnostic::error("claimed-twice", "two resources claim the same thing")
        .detail(format!(
            "{what} on {}: `{}` has {}, `{}` has {}; each would undo what the other does",
            one.1.on.address,
            one.0.address,
            part(one),
            other.0.address,
            part(other)
        ))
        .address(&other.0.address);
    let is_going = |held: &&Held<'_>| held.0.action == Action::Delete;
    match [one, other].into_iter().find(is_going) {
        Some(goes) => diagnostic.help(format!(
            "apply once without both, so that `{}` is deleted; then add the other",
            goes.0.address
        )),
        None => diagnostic.help(format!("leave {what} to one of them")),
    }
}

fn clash(one: &Planned, other: &Planned) -> Diagnostic {
    let diagnostic = Diagnostic::error("clash", "two instances are one object")
        .detail(format!(
            "`{}` and `{}` have the same path, name or id",
            one.address, other.address
        ))
        .address(&other.address);
    let goes = [one, other]
        .into_iter()
        .find(|planned| planned.action == Action::Delete);
    match goes {
        Some(goes) => diagnostic.help(format!(
            "what only has another address: take the old one out of the state, the object stays:\n    \
             removed {{\n      from = {}\n      lifecycle {{ destroy = false }}\n    }}",
            goes.address
        )),
        None => diagnostic.help("give one of them another"),
    }
}

/// What tells the object from all others of its type; `None` where that is not known, or nothing does.
fn object(planned: &Planned, schema: &Schema) -> Option<String> {
    let value = value_of(planned, schema)?;
    identity(planned, &planned.provider, schema, &value)
}

/// What the object is or shall be; `None` where there is none of it left to be in the way.
fn value_of(planned: &Planned, schema: &Schema) -> Option<Value> {
    match planned.action {
        Action::Forget | Action::LostWithHost | Action::Defer | Action::Read => None,
        Action::Delete => {
            let recorded = planned.record.as_ref().map(|record| &record.attributes);
            Some(conform(schema, planned.prior.as_ref().or(recorded)?))
        }
        _ => planned.planned.clone(),
    }
}

/// The object that a replacement deletes.
fn old_object(planned: &Planned, schema: &Schema) -> Option<String> {
    if !planned.action.replaces() || planned.lost_with.is_some() {
        return None;
    }
    let provider = &planned.record.as_ref()?.provider;
    identity(planned, provider, schema, planned.prior.as_ref()?)
}

fn identity(planned: &Planned, provider: &str, schema: &Schema, value: &Value) -> Option<String> {
    let unique = |(_, attribute): &(_, &Attribute)| attribute.unique;
    let mut parts = vec![provider.to_owned(), schema.name.to_string()];
    let mut has_machine = false;
    for (name, attribute) in schema.attributes.iter().filter(unique) {
        let is_machine = attribute.ty == Machine::value_type();
        has_machine |= is_machine;
        parts.push(part(&value.get(name), is_machine)?);
    }
    if parts.len() == 2 {
        return None;
    }
    if !has_machine {
        parts.push(format!("{:?}", planned.hosted_on));
    }
    Some(parts.join("\n"))
}

fn part(value: &Value, is_machine: bool) -> Option<String> {
    if is_machine {
        return Machine::from_value(value).ok().map(|machine| machine.key());
    }
    to_json(value).map(|json| json.to_string())
}
