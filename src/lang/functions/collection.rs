//! Functions over lists, tuples, maps and objects.
//!
//! Those that read elements (to compare or sort them) look deep; those that only move them about look shallow.

use std::sync::Arc;

use dmp_sdk::{Bounds, Kind, Marks, Members, Number, Strictness, Type, Unknown, Value, convert};
use unicode_segmentation::UnicodeSegmentation;

use super::sets::without_repetitions;
use super::{
    Fault, Function, Gives, Parameter, Takes, any, items_of, many, members_of, named, nullable,
    number, parameter, text, text_of, texts, whole_of,
};
use crate::evaluate::equality::equal;
use crate::evaluate::{MOST_ELEMENTS, unknown_not_null};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("alltrue", &[BOOLS], Gives::Bool, |a| {
        Ok(items_of(a, 0)?.iter().all(is_true).into())
    }),
    Function::new("anytrue", &[BOOLS], Gives::Bool, |a| {
        Ok(items_of(a, 0)?.iter().any(is_true).into())
    }),
    Function::new(
        "chunklist",
        &[many("list"), number("size")],
        Gives::Any,
        chunklist,
    )
    .shallow(),
    Function::new("coalesce", &[nullable("value")], Gives::Any, coalesce)
        .variadic(nullable("value"))
        .own(),
    Function::new("coalescelist", &[many("list")], Gives::Any, coalescelist)
        .variadic(many("list"))
        .shallow(),
    Function::new(
        "compact",
        &[texts("list")],
        Gives::Refined(|a| {
            let bounds = length_of(a, 0).map(|bounds| Bounds { least: 0, ..bounds });
            unknown_within(Type::list(Type::String), bounds)
        }),
        compact,
    ),
    Function::new(
        "concat",
        &[many("list")],
        Gives::Refined(unknown_concat),
        concat,
    )
    .variadic(many("list"))
    .shallow(),
    Function::new(
        "contains",
        &[many("list"), any("value")],
        Gives::Bool,
        contains,
    )
    .partly(),
    Function::new(
        "distinct",
        &[many("list")],
        Gives::Refined(|a| {
            let bounds = length_of(a, 0).map(Bounds::without_repetitions);
            unknown_within(list_type(a), bounds)
        }),
        distinct,
    ),
    Function::new(
        "element",
        &[many("list"), number("index")],
        Gives::Any,
        element,
    )
    .shallow(),
    Function::new("flatten", &[many("list")], Gives::Any, flatten).own(),
    Function::new("index", &[many("list"), any("value")], Gives::Number, index).partly(),
    Function::new("keys", &[named("map")], Gives::Refined(unknown_keys), keys).shallow(),
    Function::new(
        "length",
        &[any("value")],
        Gives::Refined(unknown_length),
        length,
    )
    .shallow(),
    Function::new(
        "lookup",
        &[named("map"), text("key"), nullable("default")],
        Gives::Any,
        lookup,
    )
    .optional(1)
    .shallow(),
    Function::new(
        "matchkeys",
        &[many("values"), many("keys"), many("searched")],
        Gives::Any,
        matchkeys,
    ),
    Function::new("merge", &[], Gives::Any, merge)
        .variadic(Parameter {
            null: true,
            ..named("map")
        })
        .shallow(),
    Function::new("one", &[many("list")], Gives::Any, one).shallow(),
    Function::new("range", &[number("limit")], Gives::Numbers, range).variadic(number("limit")),
    Function::new(
        "reverse",
        &[many("list")],
        Gives::Refined(|a| unknown_within(reversed_type(a), length_of(a, 0))),
        reverse,
    )
    .shallow(),
    Function::new(
        "slice",
        &[many("list"), number("start"), number("end")],
        Gives::Refined(unknown_slice),
        slice,
    )
    .shallow(),
    Function::new(
        "sort",
        &[texts("list")],
        Gives::Refined(|a| unknown_within(Type::list(Type::String), length_of(a, 0))),
        sort,
    )
    .partly(),
    Function::new(
        "transpose",
        &[named("map")],
        Gives::Like(|_| Type::map(Type::list(Type::String))),
        transpose,
    ),
    Function::new(
        "values",
        &[named("map")],
        Gives::Refined(unknown_values),
        values,
    )
    .shallow(),
    Function::new(
        "zipmap",
        &[texts("keys"), many("values")],
        Gives::Any,
        zipmap,
    )
    .own(),
];

const BOOLS: Parameter = parameter("list", Takes::Bools);

/// How many elements an argument has, as far as that is known.
pub(super) fn length_of(arguments: &[Value], index: usize) -> Option<Bounds> {
    arguments.get(index).and_then(Value::length_bounds)
}

/// What is known after apply and not null, with as many elements as said.
pub(super) fn unknown_within(ty: Type, bounds: Option<Bounds>) -> Value {
    Unknown::of(ty).not_null().within(bounds).into()
}

/// Whether a type says all, so that elements of that type are never of another.
pub(super) fn is_whole(ty: &Type) -> bool {
    match ty {
        Type::Any => false,
        Type::Bool | Type::Number | Type::String => true,
        Type::List(element) | Type::Set(element) | Type::Map(element) => is_whole(element),
        Type::Tuple(types) => types.iter().all(is_whole),
        Type::Object(members) => members.values().all(|member| is_whole(&member.ty)),
    }
}

/// Lists of one type make a list; of what else may come of them nothing is said.
fn unknown_concat(arguments: &[Value]) -> Value {
    let is_empty = |value: &&Value| value.as_items().is_some_and(<[Value]>::is_empty);
    let mut types = arguments.iter().filter(|value| !is_empty(value));
    let first = types.next().map(Value::type_of);
    match first {
        Some(ty @ Type::List(_)) if is_whole(&ty) && types.all(|value| value.type_of() == ty) => {
            let are_lists = arguments
                .iter()
                .all(|value| matches!(value.type_of(), Type::List(_)));
            let bounds = (0..arguments.len())
                .map(|index| length_of(arguments, index))
                .try_fold(Bounds::exactly(0), |all, more| Some(all.plus(more?)));
            match are_lists {
                true => unknown_within(ty, bounds),
                false => Value::unknown(Type::Any),
            }
        }
        _ => Value::unknown(Type::Any),
    }
}

/// Only of maps it is sure that they make a list.
fn unknown_keys(arguments: &[Value]) -> Value {
    match arguments.first().map(Value::type_of) {
        Some(Type::Map(_)) => unknown_within(Type::list(Type::String), length_of(arguments, 0)),
        _ => Value::unknown(Type::Any),
    }
}

fn unknown_values(arguments: &[Value]) -> Value {
    match arguments.first().map(Value::type_of) {
        Some(Type::Map(element)) if is_whole(&element) => {
            unknown_within(Type::List(element), length_of(arguments, 0))
        }
        _ => Value::unknown(Type::Any),
    }
}

/// What may still be null has no length that could be told.
fn unknown_length(arguments: &[Value]) -> Value {
    let is_sure =
        |value: &Value| !matches!(value.kind(), Kind::Unknown(unknown) if !unknown.not_null);
    let bounds = match arguments.first().is_some_and(is_sure) {
        true => length_of(arguments, 0),
        false => None,
    };
    unknown_within(Type::Number, bounds)
}

/// As many elements as are asked for, where the list is sure to have them.
fn unknown_slice(arguments: &[Value]) -> Value {
    let ty = arguments.first().map(Value::type_of);
    let Some(ty @ Type::List(_)) = ty.filter(is_whole) else {
        return Value::unknown(Type::Any);
    };
    let place = |index: usize| {
        let number = arguments.get(index).and_then(Value::as_i64);
        number.and_then(|number| usize::try_from(number).ok())
    };
    let bounds = length_of(arguments, 0).zip(place(1).zip(place(2)));
    let bounds = bounds.and_then(|(given, (start, end))| {
        let is_there = start <= end && end <= given.least;
        is_there.then(|| Bounds::exactly(end - start))
    });
    unknown_within(ty, bounds)
}

fn is_true(item: &Value) -> bool {
    item.as_bool() == Some(true)
}

/// A collection of the kind of another.
fn alike(model: &Value, items: Vec<Value>) -> Value {
    match model.kind() {
        Kind::Tuple(_) => Value::tuple(items),
        _ => Value::list(items),
    }
}

/// The elements of a list or tuple, converted to the type that all can have.
pub(super) fn alike_of(arguments: &[Value], index: usize) -> Result<Vec<Value>, Fault> {
    let given = &arguments[index];
    items_of(arguments, index)?;
    let types = given.children().map(Value::type_of);
    let Some(ty) = Type::unify(types) else {
        return Err(Fault::of(index, "the elements have no type in common"));
    };
    let list = convert(given, &Type::list(ty), Strictness::Lenient)
        .map_err(|error| Fault::of(index, error.to_string()))?;
    Ok(list.as_items().unwrap_or_default().to_vec())
}

/// The elements of a list or tuple; those of a set have no order that could be asked for.
fn ordered_of(arguments: &[Value], index: usize) -> Result<&[Value], Fault> {
    match arguments.get(index).map(Value::kind) {
        Some(Kind::Set(_)) => Err(Fault::of(
            index,
            "a list is required; the elements of a set have no order",
        )
        .help("make a list of it with `tolist(…)`")),
        _ => items_of(arguments, index),
    }
}

fn chunklist(arguments: &[Value]) -> Result<Value, Fault> {
    if arguments[0].has_open_length() {
        let bounds = length_of(arguments, 0).map(Bounds::without_repetitions);
        return Ok(unknown_within(Type::list(list_type(arguments)), bounds));
    }
    let items = alike_of(arguments, 0)?;
    let size = usize::try_from(whole_of(arguments, 1)?)
        .map_err(|_| Fault::of(1, "the size can't be negative"))?;
    let size = if size == 0 { items.len().max(1) } else { size };
    Ok(Value::list(
        items
            .chunks(size)
            .map(|chunk| Value::list(chunk.to_vec()))
            .collect(),
    ))
}

/// The first that is neither null nor an empty text.
fn coalesce(arguments: &[Value]) -> Result<Value, Fault> {
    let types = arguments.iter().map(Value::type_of);
    let Some(ty) = Type::unify(types) else {
        return Err(Fault::new("the values have no type in common"));
    };
    let mut marks = Marks::none();
    for (index, argument) in arguments.iter().enumerate() {
        if let Kind::Unknown(unknown) = argument.kind() {
            let is_sure = unknown.not_null && unknown.ty != Type::String && unknown.ty != Type::Any;
            let rest = match is_sure {
                true => &arguments[index..=index],
                false => &arguments[index..],
            };
            let all = rest
                .iter()
                .fold(marks, |all, argument| all.union(&argument.deep_marks()));
            let bounds = match is_sure {
                true => argument.length_bounds_as(&ty),
                false => None,
            };
            return Ok(Value::from(Unknown::of(ty).within(bounds)).marked(&all));
        }
        if argument.is_null() || argument.as_str() == Some("") {
            marks = marks.union(argument.marks());
            continue;
        }
        let converted = convert(argument, &ty, Strictness::Lenient)
            .map_err(|error| Fault::of(index, error.to_string()))?;
        return Ok(converted.marked(&marks));
    }
    Err(Fault::new("all values are null or empty texts"))
}

fn coalescelist(arguments: &[Value]) -> Result<Value, Fault> {
    for index in 0..arguments.len() {
        ordered_of(arguments, index)?;
    }
    for index in 0..arguments.len() {
        if !items_of(arguments, index)?.is_empty() {
            return Ok(arguments[index].clone());
        }
    }
    Err(Fault::new("all lists are empty"))
}

fn compact(arguments: &[Value]) -> Result<Value, Fault> {
    let kept = items_of(arguments, 0)?
        .iter()
        .filter(|item| item.as_str().is_some_and(|text| !text.is_empty()));
    Ok(Value::list(kept.cloned().collect()))
}

fn concat(arguments: &[Value]) -> Result<Value, Fault> {
    let mut all = Vec::new();
    let mut is_list = true;
    for (index, argument) in arguments.iter().enumerate() {
        all.extend_from_slice(ordered_of(arguments, index)?);
        is_list &= matches!(argument.kind(), Kind::List(_));
    }
    // Lists whose elements have no type in common make a tuple.
    if !is_list || Type::unify(all.iter().map(Value::type_of)).is_none() {
        return Ok(Value::tuple(all));
    }
    let list = Value::tuple(all);
    convert(&list, &Type::list(Type::Any), Strictness::Lenient)
        .map_err(|error| Fault::new(error.to_string()))
}

fn contains(arguments: &[Value]) -> Result<Value, Fault> {
    let mut is_known = true;
    for item in items_of(arguments, 0)? {
        match equal(item, &arguments[1]) {
            Some(true) => return Ok(true.into()),
            Some(false) => {}
            None => is_known = false,
        }
    }
    Ok(match is_known {
        true => false.into(),
        false => unknown_not_null(Type::Bool),
    })
}

/// The list type of what a list, set or tuple holds.
pub(super) fn list_type(arguments: &[Value]) -> Type {
    let element = match arguments.first().map(Value::type_of) {
        Some(Type::List(element) | Type::Set(element)) => *element,
        Some(Type::Tuple(items)) => Type::unify(items).unwrap_or(Type::Any),
        _ => Type::Any,
    };
    Type::list(element)
}

fn distinct(arguments: &[Value]) -> Result<Value, Fault> {
    let (kept, _) = without_repetitions(&alike_of(arguments, 0)?);
    Ok(Value::list(kept))
}

/// The index wraps around, and counts from the end where it is negative.
fn element(arguments: &[Value]) -> Result<Value, Fault> {
    let items = ordered_of(arguments, 0)?;
    if items.is_empty() {
        return Err(Fault::of(0, "the list is empty"));
    }
    let at = whole_of(arguments, 1)?.rem_euclid(items.len() as i64);
    Ok(items[usize::try_from(at).unwrap_or_default()].clone())
}

/// Lists inside are taken apart at any depth. A part that is not known makes the result unknown.
fn flatten(arguments: &[Value]) -> Result<Value, Fault> {
    let Some(given) = arguments.first() else {
        return Err(Fault::new("a list is required"));
    };
    if !given.is_known() {
        return Ok(Value::unknown(Type::Any).marked(&given.deep_marks()));
    }
    items_of(arguments, 0)?;
    let mut flat = Vec::new();
    let mut marks = Marks::none();
    let mut is_known = true;
    let mut waiting: Vec<&Value> = vec![given];
    while let Some(value) = waiting.pop() {
        match value.kind() {
            Kind::List(items) | Kind::Tuple(items) | Kind::Set(items) => {
                marks = marks.union(value.marks());
                is_known &= !value.has_open_length();
                waiting.extend(items.iter().rev());
                if waiting.len() > MOST_ELEMENTS {
                    return Err(Fault::new(
                        "the list would have more than a million elements",
                    ));
                }
            }
            Kind::Unknown(unknown)
                if matches!(
                    unknown.ty,
                    Type::Any | Type::List(_) | Type::Set(_) | Type::Tuple(_)
                ) =>
            {
                is_known = false;
            }
            _ => flat.push(value.clone()),
        }
        if flat.len() > MOST_ELEMENTS {
            return Err(Fault::new(
                "the list would have more than a million elements",
            ));
        }
    }
    Ok(match is_known {
        true => Value::tuple(flat).marked(&marks),
        false => Value::unknown(Type::Any).marked(&given.deep_marks()),
    })
}

fn index(arguments: &[Value]) -> Result<Value, Fault> {
    for (at, item) in ordered_of(arguments, 0)?.iter().enumerate() {
        match equal(item, &arguments[1]) {
            Some(true) => return Ok((at as i64).into()),
            Some(false) => {}
            None => return Ok(unknown_not_null(Type::Number)),
        }
    }
    Err(Fault::of(1, "the value is not in the list"))
}

fn keys(arguments: &[Value]) -> Result<Value, Fault> {
    let names = members_of(arguments, 0)?.keys();
    let names = names.map(|name| Value::from(Arc::clone(name))).collect();
    Ok(match arguments[0].kind() {
        Kind::Map(_) => Value::list(names),
        _ => Value::tuple(names),
    })
}

fn length(arguments: &[Value]) -> Result<Value, Fault> {
    let count = match arguments[0].kind() {
        Kind::String(text) => text.graphemes(true).count(),
        Kind::Set(_) if arguments[0].has_open_length() => {
            return Ok(unknown_within(Type::Number, length_of(arguments, 0)));
        }
        Kind::List(items) | Kind::Set(items) | Kind::Tuple(items) => items.len(),
        Kind::Map(members) | Kind::Object(members) => members.len(),
        _ => {
            return Err(Fault::of(
                0,
                "a text, a list, a set, a map or the like is required",
            ));
        }
    };
    Ok((count as i64).into())
}

fn lookup(arguments: &[Value]) -> Result<Value, Fault> {
    let members = members_of(arguments, 0)?;
    let key = text_of(arguments, 1);
    let default = match (arguments[0].type_of(), arguments.get(2)) {
        (Type::Map(element), Some(default)) => Some(
            convert(default, &element, Strictness::Lenient)
                .map_err(|error| Fault::of(2, error.to_string()))?,
        ),
        (_, default) => default.cloned(),
    };
    match (members.get(key), default) {
        (Some(member), _) => Ok(member.clone()),
        (None, Some(default)) => Ok(default),
        (None, None) => {
            Err(Fault::of(1, "there is no such key").help("give a default as third argument"))
        }
    }
}

/// Those of the values whose keys are among the searched ones.
fn matchkeys(arguments: &[Value]) -> Result<Value, Fault> {
    let types = arguments[1..].iter().map(Value::type_of);
    let Some(ty) = Type::unify(types.map(|ty| match ty {
        Type::Set(element) => Type::List(element),
        Type::Tuple(items) => Type::list(Type::unify(items).unwrap_or(Type::Any)),
        other => other,
    })) else {
        return Err(Fault::of(2, "the keys have no type in common"));
    };
    let of_type = |index: usize| {
        convert(&arguments[index], &ty, Strictness::Lenient)
            .map_err(|error| Fault::of(index, error.to_string()))
    };
    let (keys, searched) = (of_type(1)?, of_type(2)?);
    let values = alike_of(arguments, 0)?;
    let (keys, searched) = (
        keys.as_items().unwrap_or_default(),
        searched.as_items().unwrap_or_default(),
    );
    if values.len() != keys.len() {
        return Err(Fault::of(1, "there must be as many keys as values"));
    }
    let is_searched = |key: &Value| {
        searched
            .iter()
            .any(|wanted| equal(key, wanted) == Some(true))
    };
    let found = values
        .iter()
        .zip(keys)
        .filter(|(_, key)| is_searched(key))
        .map(|(value, _)| value.clone());
    Ok(Value::list(found.collect()))
}

/// A map if all are maps of one type, else an object.
fn merge(arguments: &[Value]) -> Result<Value, Fault> {
    let mut merged = Vec::new();
    let mut types = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        if argument.is_null() {
            continue;
        }
        types.push(argument.type_of());
        let members = members_of(arguments, index)?;
        let copied = members
            .iter()
            .map(|(name, value)| (Arc::clone(name), value.clone()));
        merged.extend(copied);
    }
    types.retain(|ty| *ty != Type::map(Type::Any));
    let is_map = match types.split_first() {
        Some((first, rest)) => matches!(first, Type::Map(_)) && rest.iter().all(|ty| ty == first),
        None => arguments
            .iter()
            .any(|argument| matches!(argument.kind(), Kind::Map(_))),
    };
    let merged: Members = merged.into_iter().collect();
    Ok(match is_map {
        true => Value::map(merged),
        false => Value::object(merged),
    })
}

fn one(arguments: &[Value]) -> Result<Value, Fault> {
    if arguments[0].has_open_length() {
        return Ok(match list_type(arguments) {
            Type::List(element) => Value::unknown(*element),
            _ => Value::unknown(Type::Any),
        });
    }
    match items_of(arguments, 0)? {
        [] => Ok(Value::null()),
        [only] => Ok(only.clone()),
        items => Err(Fault::of(
            0,
            format!("there must be one element or none, not {}", items.len()),
        )),
    }
}

fn range(arguments: &[Value]) -> Result<Value, Fault> {
    let number = |index: usize| arguments.get(index).and_then(Value::as_number).cloned();
    let (zero, unit) = (Number::zero(), Number::from(1_i64));
    let (start, limit, step) = match (number(0), number(1), number(2)) {
        _ if arguments.len() > 3 => return Err(Fault::new("it takes one to three numbers")),
        (Some(limit), None, _) => (zero.clone(), limit, None),
        (Some(start), Some(limit), step) => (start, limit, step),
        _ => return Err(Fault::new("it takes one to three numbers")),
    };
    let is_down = limit < start;
    let step = step.unwrap_or(if is_down { unit.neg() } else { unit });
    if step == zero || (step < zero) != is_down && start != limit {
        return Err(Fault::new("the step never leads to the limit"));
    }
    let mut items = Vec::new();
    let mut at = start;
    while if is_down { at > limit } else { at < limit } {
        if items.len() >= LONGEST_RANGE {
            return Err(Fault::new(format!(
                "it would have more than {LONGEST_RANGE} numbers"
            )));
        }
        items.push(Value::from(at.clone()));
        at = at
            .add(&step)
            .map_err(|error| Fault::new(error.to_string()))?;
    }
    Ok(Value::list(items))
}

fn reversed_type(arguments: &[Value]) -> Type {
    match arguments.first().map(Value::type_of) {
        Some(Type::Tuple(items)) => Type::Tuple(items.into_iter().rev().collect()),
        Some(Type::Any) | None => Type::Any,
        Some(_) => list_type(arguments),
    }
}

fn reverse(arguments: &[Value]) -> Result<Value, Fault> {
    if arguments[0].has_open_length() {
        return Ok(unknown_within(
            list_type(arguments),
            length_of(arguments, 0),
        ));
    }
    let items = items_of(arguments, 0)?.iter().rev().cloned().collect();
    Ok(alike(&arguments[0], items))
}

fn slice(arguments: &[Value]) -> Result<Value, Fault> {
    let items = ordered_of(arguments, 0)?;
    let place = |index: usize| {
        let at = usize::try_from(whole_of(arguments, index)?).ok();
        at.filter(|at| *at <= items.len())
            .ok_or_else(|| Fault::of(index, format!("it must be between 0 and {}", items.len())))
    };
    let (start, end) = (place(1)?, place(2)?);
    if start > end {
        return Err(Fault::of(1, "the start comes after the end"));
    }
    Ok(alike(&arguments[0], items[start..end].to_vec()))
}

/// With something unknown in it, nothing is known but how many there are.
fn sort(arguments: &[Value]) -> Result<Value, Fault> {
    let mut items = items_of(arguments, 0)?.to_vec();
    if items.iter().any(Value::is_null) {
        return Err(Fault::of(0, "null can't be sorted"));
    }
    if !items.iter().all(Value::is_known) {
        items.fill(unknown_not_null(Type::String));
    }
    items.sort_by(Value::canonical_order);
    Ok(Value::list(items))
}

/// From `{a = ["x", "y"]}` to `{x = ["a"], y = ["a"]}`.
fn transpose(arguments: &[Value]) -> Result<Value, Fault> {
    let ty = Type::map(Type::list(Type::String));
    let given = convert(&arguments[0], &ty, Strictness::Lenient)
        .map_err(|error| Fault::of(0, error.to_string()))?;
    let mut turned: std::collections::BTreeMap<Arc<str>, Vec<Value>> =
        std::collections::BTreeMap::new();
    for (name, texts) in given.as_members().into_iter().flatten() {
        if texts.is_null() {
            return Err(Fault::of(0, "a list in it is null"));
        }
        for text in texts.as_items().unwrap_or_default() {
            let text = text
                .as_str()
                .ok_or_else(|| Fault::of(0, "null can't be a key"))?;
            turned
                .entry(text.into())
                .or_default()
                .push(Value::from(Arc::clone(name)));
        }
    }
    Ok(Value::map(
        turned
            .into_iter()
            .map(|(name, items)| (name, Value::list(items)))
            .collect(),
    ))
}

fn values(arguments: &[Value]) -> Result<Value, Fault> {
    let items = members_of(arguments, 0)?.values().cloned().collect();
    Ok(match arguments[0].kind() {
        Kind::Map(_) => Value::list(items),
        _ => Value::tuple(items),
    })
}

/// The keys' marks become the result's, the values keep theirs.
fn zipmap(arguments: &[Value]) -> Result<Value, Fault> {
    let marks = arguments[0].deep_marks().union(arguments[1].marks());
    if !arguments[0].is_wholly_known() || !arguments[1].is_known() {
        let all = marks.union(&arguments[1].deep_marks());
        return Ok(Value::unknown(Type::Any).marked(&all));
    }
    let (keys, values) = (items_of(arguments, 0)?, ordered_of(arguments, 1)?);
    if keys.len() != values.len() {
        let why = format!("there are {} keys and {} values", keys.len(), values.len());
        return Err(Fault::new(why));
    }
    let members = keys.iter().zip(values).map(|(key, value)| {
        let key = key
            .as_str()
            .ok_or_else(|| Fault::of(0, "null can't be a key"))?;
        Ok((key.into(), value.clone()))
    });
    let members = members.collect::<Result<Members, Fault>>()?;
    let zipped = match arguments[1].kind() {
        Kind::Tuple(_) => Value::object(members),
        _ => Value::map(members),
    };
    Ok(zipped.marked(&marks))
}

const LONGEST_RANGE: usize = 65_536;
