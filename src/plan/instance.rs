//! What happens to one instance: configuration, record and finding are compared.

use std::collections::BTreeSet;

use dmp_lang::config::{IgnoreChanges, Lifecycle};
use dmp_sdk::{
    Action, Address, AttributePath, Change, Diagnostic, DryRun, Kind, Marks, PathStep, Presence,
    Reason, Resource, Schema, Strictness, Value, convert,
};
use dmp_state::{Instance, Status};

use crate::ask::Finding;
use crate::model::Earlier;

/// What one instance is decided from.
pub struct Inputs<'a> {
    /// The instance.
    pub address: &'a Address,
    /// Its arguments, evaluated; origins may be in it.
    pub config: &'a Value,
    /// How its changes are made.
    pub lifecycle: &'a Lifecycle,
    /// What the state holds of it.
    pub record: Option<&'a Instance>,
    /// What was found of it.
    pub finding: Option<&'a Finding>,
    /// What is there without being dmp's.
    pub earlier: &'a Earlier,
    /// Why it has to be replaced whatever its attributes are.
    pub triggered: Option<Reason>,
    /// The id of the object that is to become dmp's.
    pub import: Option<&'a str>,
    /// Whether the person said that the object is lost.
    pub is_lost: bool,
    /// What a dry run told.
    pub dry_run: Option<&'a Value>,
}

/// What was decided.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What happens.
    pub action: Action,
    /// Why.
    pub reasons: Vec<Reason>,
    /// The value as recorded and refreshed.
    pub prior: Option<Value>,
    /// The value that it will have.
    pub planned: Value,
    /// The attributes that change.
    pub changed: Vec<String>,
    /// What it does to others.
    pub effects: Vec<dmp_sdk::Effect>,
    /// Sentences of the resource type.
    pub notes: Vec<String>,
    /// Why the object is not whole.
    pub half_made: Option<String>,
    /// Whether the resource type would know more by a dry run.
    pub wants_dry_run: bool,
}

/// Decides what happens to an instance that the configuration has.
///
/// # Errors
/// When the resource type says that the change can never succeed.
pub fn decide(resource: &dyn Resource, inputs: &Inputs<'_>) -> Result<Decision, Diagnostic> {
    let schema = resource.schema();
    let (prior, half_made) = prior_value(schema, inputs);
    let Some(prior) = prior else {
        if let (Some(id), Some(Finding::Absent)) = (inputs.import, inputs.finding) {
            return Err(Diagnostic::error("nothing-to-import", "there is nothing to import")
                .detail(format!("no object of type `{}` has the id `{id}`", schema.name))
                .help("correct the id, or leave the `import` block out: the object is created then"));
        }
        let (action, reason) = match (inputs.import, inputs.is_lost, inputs.record) {
            (Some(id), _, _) => (Action::Import, Reason::Import { id: id.into() }),
            (None, true, _) => (Action::Create, Reason::Lost),
            (None, false, Some(_)) => (Action::Create, Reason::Gone),
            (None, false, None) => (Action::Create, Reason::New),
        };
        let change = refine(resource, inputs, None)?;
        let changed = set_attributes(&change.planned);
        let wants_dry_run = change.dry_run == DryRun::Wanted;
        let (effects, notes, planned) = (change.effects, change.notes, change.planned);
        let reasons = vec![reason];
        return Ok(Decision {
            action,
            reasons,
            prior: None,
            planned,
            changed,
            effects,
            notes,
            half_made: None,
            wants_dry_run,
        });
    };
    let change = refine(resource, inputs, Some((&prior, half_made.is_some())))?;
    let changed = differing(schema, &prior, &change.planned);
    let mut reasons = replacement_reasons(schema, &change, &changed);
    reasons.extend(inputs.triggered.clone());
    if let (Some(id), Some(reason)) = (inputs.import, reasons.first()) {
        return Err(import_replaces(id, reason));
    }
    if !reasons.is_empty() {
        let anew = refine(resource, inputs, None)?;
        let changed = differing(schema, &prior, &anew.planned);
        let mut effects = change.effects;
        effects.extend(anew.effects);
        let (planned, notes) = (anew.planned, anew.notes);
        let comes_first = inputs.lifecycle.create_before_destroy == Some(true);
        return Ok(Decision {
            action: match comes_first {
                true => Action::CreateThenDelete,
                false => Action::DeleteThenCreate,
            },
            reasons,
            prior: Some(prior),
            planned,
            changed,
            effects,
            notes,
            half_made,
            wants_dry_run: false,
        });
    }
    let (action, mut reasons) = match (&half_made, changed.is_empty()) {
        (Some(why), _) => (Action::Update, vec![Reason::Suspect { why: why.clone() }]),
        (None, true) => (Action::NoOp, Vec::new()),
        (None, false) => (
            Action::Update,
            vec![Reason::Differs {
                attributes: changed.clone(),
            }],
        ),
    };
    let is_noop = action == Action::NoOp;
    let action = match inputs.import {
        Some(id) => {
            reasons.insert(0, Reason::Import { id: id.into() });
            if is_noop { Action::Import } else { action }
        }
        None => action,
    };
    let wants_dry_run = !is_noop && change.dry_run == DryRun::Wanted;
    let (planned, effects, notes) = (change.planned, change.effects, change.notes);
    Ok(Decision {
        action,
        reasons,
        planned: if is_noop { prior.clone() } else { planned },
        prior: Some(prior),
        changed,
        effects: if is_noop { Vec::new() } else { effects },
        notes: if is_noop { Vec::new() } else { notes },
        half_made,
        wants_dry_run,
    })
}

fn import_replaces(id: &str, reason: &Reason) -> Diagnostic {
    let why = match reason {
        Reason::CannotChangeInPlace { attribute, .. } => {
            format!("`{attribute}` differs and cannot change in place")
        }
        _ => "it would be replaced".into(),
    };
    Diagnostic::error("import-replaces", "an import would replace the object")
        .detail(format!("`{id}` is not as described: {why}"))
        .help("describe the object as it is, import it, and change it then")
}

/// The value that the object has now, and why it is not whole.
fn prior_value(schema: &Schema, inputs: &Inputs<'_>) -> (Option<Value>, Option<String>) {
    let Some(record) = inputs.record else {
        return match (inputs.import, inputs.finding) {
            (Some(_), Some(Finding::Found(object))) => {
                (Some(conform(schema, &object.attributes)), None)
            }
            (Some(_), Some(Finding::HalfMade(object, why))) => {
                (Some(conform(schema, &object.attributes)), Some(why.clone()))
            }
            _ => (None, None),
        };
    };
    if inputs.is_lost {
        return (None, None);
    }
    let (value, half_made) = match inputs.finding {
        Some(Finding::Found(object)) => (Some(object.attributes.clone()), None),
        Some(Finding::HalfMade(object, why)) => {
            (Some(object.attributes.clone()), Some(why.clone()))
        }
        Some(Finding::Absent) => (None, None),
        // What can't be asked now is taken as recorded.
        _ => {
            let why = match &record.status {
                Status::Suspect { why } => Some(why.clone()),
                Status::Whole | Status::Lost => None,
            };
            (Some(record.attributes.clone()), why)
        }
    };
    let value = value.map(|value| conform(schema, &value).with_secrecy_of(&record.attributes));
    (value, half_made)
}

/// Proposes a value, and lets the resource type refine it: after what is there, and whether that is half-made.
fn refine<'a>(
    resource: &'a dyn Resource,
    inputs: &'a Inputs<'_>,
    there: Option<(&'a Value, bool)>,
) -> Result<Change<'a>, Diagnostic> {
    let schema = resource.schema();
    let (prior, is_half_made) = there.map_or((None, false), |(prior, half)| (Some(prior), half));
    let mut planned = propose(schema, inputs.config, prior);
    if let (Some(prior), ignored) = (prior, &inputs.lifecycle.ignore_changes) {
        planned = ignore(planned, prior, ignored);
    }
    let mut change = Change {
        address: inputs.address,
        schema,
        prior,
        is_half_made,
        earlier: inputs.earlier.found(),
        config: inputs.config,
        planned,
        replacements: Vec::new(),
        effects: Vec::new(),
        notes: Vec::new(),
        dry_run: inputs.dry_run.map_or(DryRun::NotAsked, DryRun::Told),
    };
    resource.plan(&mut change)?;
    // A type that writes an argument in another form need not think of where it came from.
    change.planned = conform(schema, &change.planned).with_secrecy_of(inputs.config);
    Ok(change)
}

/// What is known of an object before it is created: configuration and defaults, null where only the server knows.
#[must_use]
pub fn before_create(schema: &Schema, config: &Value) -> Value {
    let nothing = Value::object(dmp_sdk::Members::new());
    propose(schema, config, Some(&nothing))
}

/// The value that configuration, defaults and prior state make together.
fn propose(schema: &Schema, config: &Value, prior: Option<&Value>) -> Value {
    let strip = |value: &Value| value.map_marks(&Marks::without_origins);
    let member = |(name, attribute): (&std::sync::Arc<str>, &dmp_sdk::Attribute)| {
        let given = config.as_members().and_then(|members| members.get(name));
        let given = given.filter(|value| !value.is_null()).map(strip);
        let unknown = || Value::unknown(attribute.ty.clone());
        let kept = || prior.map_or_else(unknown, |prior| prior.get(name));
        let value = match (&attribute.presence, given) {
            (Presence::Computed, _) | (Presence::OptionalComputed, None) => kept(),
            (_, Some(value)) => value,
            (Presence::Optional(default), None) => default.clone().unwrap_or_else(Value::null),
            (Presence::Required, None) => Value::null(),
        };
        let mut marks = Marks::none();
        if attribute.sensitive && !value.is_null() {
            marks = marks.union(&Marks::sensitive());
        }
        if attribute.ephemeral && !value.is_null() {
            marks = marks.union(&Marks::ephemeral());
        }
        (std::sync::Arc::clone(name), value.marked(&marks))
    };
    conform(
        schema,
        &Value::object(schema.attributes.iter().map(member).collect()),
    )
}

/// Brings a value to its schema's types. What does not fit is left as it is: the provider's own bug shows as a change.
#[must_use]
pub fn conform(schema: &Schema, value: &Value) -> Value {
    let members = schema.attributes.iter().map(|(name, attribute)| {
        let found = value.get(name);
        let converted = convert(&found, &attribute.ty, Strictness::Lenient).unwrap_or(found);
        let mut converted = plain_collections(&attribute.ty, converted);
        if attribute.sensitive && !converted.is_null() {
            converted = converted.marked(&Marks::sensitive());
        }
        (std::sync::Arc::clone(name), converted)
    });
    Value::object(members.collect()).sharing_with(value)
}

/// Where a schema takes any type, lists and tuples, maps and objects are the same: a record can't tell them apart.
pub(crate) fn plain_collections(ty: &dmp_sdk::Type, value: Value) -> Value {
    fn flatten(value: &Value) -> Value {
        let inside = value.map_children(flatten);
        let marks = inside.marks().clone();
        match inside.kind() {
            Kind::List(items) | Kind::Set(items) => Value::tuple(items.to_vec()).with_marks(marks),
            Kind::Map(members) => Value::object(members.as_ref().clone()).with_marks(marks),
            _ => inside,
        }
    }
    if *ty == dmp_sdk::Type::Any {
        flatten(&value)
    } else {
        value
    }
}

fn ignore(planned: Value, prior: &Value, ignored: &IgnoreChanges) -> Value {
    match ignored {
        IgnoreChanges::All => prior.clone(),
        IgnoreChanges::Paths(paths) => paths.iter().fold(planned, |planned, (path, _)| {
            graft(&planned, prior, &path.0)
        }),
    }
}

/// Takes the value at a path from another value.
fn graft(into: &Value, from: &Value, path: &[PathStep]) -> Value {
    let Some((first, rest)) = path.split_first() else {
        return from.clone();
    };
    match first {
        PathStep::Name(name) => {
            let Some(members) = into.as_members() else {
                return into.clone();
            };
            let mut members = members.clone();
            let grafted = graft(&into.get(name), &from.get(name), rest);
            members.insert(std::sync::Arc::clone(name), grafted);
            let marks = into.marks().clone();
            match into.kind() {
                Kind::Map(_) => Value::map(members).with_marks(marks),
                _ => Value::object(members).with_marks(marks),
            }
        }
        PathStep::Index(index) => {
            let Some(items) = into.as_items() else {
                return into.clone();
            };
            let mut items = items.to_vec();
            if let (Some(item), Some(other)) = (items.get(*index).cloned(), from.element(*index)) {
                items[*index] = graft(&item, &other, rest);
            }
            let marks = into.marks().clone();
            match into.kind() {
                Kind::List(_) => Value::list(items).with_marks(marks),
                _ => Value::tuple(items).with_marks(marks),
            }
        }
    }
}

/// The attributes in which two values differ. A secret that is in no record is not compared.
#[must_use]
pub fn differing(schema: &Schema, one: &Value, two: &Value) -> Vec<String> {
    let differs = |name: &&std::sync::Arc<str>| {
        let (a, b) = (one.get(name), two.get(name));
        let is_hole = a.deep_marks().is_ephemeral() || b.deep_marks().is_ephemeral();
        a != b && !is_hole
    };
    schema
        .attributes
        .keys()
        .filter(differs)
        .map(ToString::to_string)
        .collect()
}

fn set_attributes(value: &Value) -> Vec<String> {
    let members = value.as_members().into_iter().flatten();
    members
        .filter(|(_, value)| !value.is_null())
        .map(|(name, _)| name.to_string())
        .collect()
}

fn replacement_reasons(schema: &Schema, change: &Change<'_>, changed: &[String]) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = change
        .replacements
        .iter()
        .map(|(path, why)| Reason::CannotChangeInPlace {
            attribute: path.to_string(),
            why: why.clone(),
        })
        .collect();
    let told: BTreeSet<_> = change
        .replacements
        .iter()
        .filter_map(|(path, _)| path.attribute())
        .collect();
    for name in changed.iter().filter(|name| !told.contains(name.as_str())) {
        let attribute = schema.attributes.get(name.as_str());
        if attribute.is_some_and(|attribute| attribute.replaces) {
            let attribute = AttributePath::of(name).to_string();
            reasons.push(Reason::CannotChangeInPlace {
                attribute,
                why: None,
            });
        }
    }
    reasons
}
