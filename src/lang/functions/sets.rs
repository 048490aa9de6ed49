//! Functions over sets.

use std::cmp::Ordering;

use dmp_sdk::{Bounds, Marks, Type, Value};

use super::collection::{alike_of, is_whole, length_of, list_type, unknown_within};
use super::{Fault, Function, Gives, items_of, many};
use crate::evaluate::MOST_ELEMENTS;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "setintersection",
        &[many("set")],
        Gives::Refined(|a| {
            let most = (0..a.len()).filter_map(|index| length_of(a, index)?.most);
            let bounds = most.min().map(|most| Bounds::between(0, most));
            unknown_within(set_type(a), bounds)
        }),
        |a| combined(a, |kept, other| kept.retain(|item| contains(other, item))),
    )
    .variadic(many("set")),
    Function::new(
        "setproduct",
        &[many("set"), many("other")],
        Gives::Refined(unknown_product),
        setproduct,
    )
    .partly()
    .variadic(many("set")),
    Function::new(
        "setsubtract",
        &[many("set"), many("other")],
        Gives::Refined(|a| {
            let bounds = length_of(a, 0).map(|bounds| Bounds { least: 0, ..bounds });
            unknown_within(set_type(a), bounds)
        }),
        |a| combined(a, |kept, other| kept.retain(|item| !contains(other, item))),
    ),
    Function::new(
        "setunion",
        &[many("set")],
        Gives::Refined(|a| {
            let bounds = (0..a.len())
                .map(|index| length_of(a, index))
                .try_fold(Bounds::exactly(0), |all, more| Some(all.plus(more?)));
            unknown_within(set_type(a), bounds.map(Bounds::without_repetitions))
        }),
        |a| combined(a, |kept, other| kept.extend(other.iter().cloned())),
    )
    .partly()
    .variadic(many("set")),
];

/// The type of a set of all that is in the arguments.
fn set_type(arguments: &[Value]) -> Type {
    let elements = arguments.iter().map(|argument| match argument.type_of() {
        Type::List(element) | Type::Set(element) => *element,
        Type::Tuple(items) => Type::unify(items).unwrap_or(Type::Any),
        _ => Type::Any,
    });
    Type::set(Type::unify(elements).unwrap_or(Type::Any))
}

fn contains(items: &[Value], wanted: &Value) -> bool {
    items
        .binary_search_by(|item| item.canonical_order(wanted))
        .is_ok()
}

/// All arguments as sets of one type, put together from left to right.
fn combined(arguments: &[Value], with: fn(&mut Vec<Value>, &[Value])) -> Result<Value, Fault> {
    let mut types = Vec::new();
    for index in 0..arguments.len() {
        types.extend(items_of(arguments, index)?.iter().map(Value::type_of));
    }
    let Some(ty) = Type::unify(types) else {
        return Err(Fault::new("the elements have no type in common"));
    };
    let mut kept: Option<Vec<Value>> = None;
    for (index, argument) in arguments.iter().enumerate() {
        let set = super::convert(
            argument,
            &Type::set(ty.clone()),
            dmp_sdk::Strictness::Lenient,
        )
        .map_err(|error| Fault::of(index, error.to_string()))?;
        let items = set.as_items().unwrap_or_default();
        match &mut kept {
            None => kept = Some(items.to_vec()),
            Some(kept) => with(kept, items),
        }
    }
    Ok(Value::set(kept.unwrap_or_default()))
}

/// A set as soon as one of them is a set, else a list.
fn unknown_product(arguments: &[Value]) -> Value {
    let element = |argument: &Value| match list_type(std::slice::from_ref(argument)) {
        Type::List(element) => *element,
        other => other,
    };
    let choice = Type::Tuple(arguments.iter().map(element).collect());
    let are_collections = arguments
        .iter()
        .all(|argument| argument.length_bounds().is_some());
    if !are_collections || !is_whole(&choice) {
        return Value::unknown(Type::Any);
    }
    let bounds = (0..arguments.len())
        .map(|index| length_of(arguments, index))
        .try_fold(Bounds::exactly(1), |all, more| Some(all.times(more?)));
    let is_set = |argument: &Value| matches!(argument.type_of(), Type::Set(_));
    match arguments.iter().any(is_set) {
        true => unknown_within(Type::set(choice), bounds.map(Bounds::without_repetitions)),
        false => unknown_within(Type::list(choice), bounds),
    }
}

/// Every choice of one element of each, the last changing fastest.
fn setproduct(arguments: &[Value]) -> Result<Value, Fault> {
    let mut count: usize = 1;
    let mut is_set = false;
    for index in 0..arguments.len() {
        count = count.saturating_mul(items_of(arguments, index)?.len());
        is_set |= matches!(arguments[index].kind(), dmp_sdk::Kind::Set(_));
    }
    if count == 0 {
        return Ok(match is_set {
            true => Value::set(Vec::new()),
            false => Value::list(Vec::new()),
        });
    }
    if count > MOST_ELEMENTS {
        return Err(Fault::new("the product has more than a million elements"));
    }
    if arguments.iter().any(Value::has_open_length) {
        return Ok(unknown_product(arguments));
    }
    let mut choices: Vec<Vec<Value>> = vec![Vec::new()];
    for index in 0..arguments.len() {
        let items = alike_of(arguments, index)?;
        choices = choices
            .iter()
            .flat_map(|choice| {
                items.iter().map(move |item| {
                    let mut longer = choice.clone();
                    longer.push(item.clone());
                    longer
                })
            })
            .collect();
    }
    let tuples: Vec<Value> = choices.into_iter().map(Value::tuple).collect();
    Ok(match is_set {
        true => Value::set(tuples),
        false => Value::list(tuples),
    })
}

/// The elements without those that come again, the first of each kept; with the marks of those left out.
pub(super) fn without_repetitions(items: &[Value]) -> (Vec<Value>, Marks) {
    let mut seen: std::collections::BTreeSet<Ordered<'_>> = std::collections::BTreeSet::new();
    let mut marks = Marks::none();
    let mut kept = Vec::new();
    for item in items {
        match seen.insert(Ordered(item)) {
            true => kept.push(item.clone()),
            false => marks = marks.union(&item.deep_marks()),
        }
    }
    (kept, marks)
}

struct Ordered<'v>(&'v Value);

impl PartialEq for Ordered<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ordered<'_> {}

impl PartialOrd for Ordered<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.canonical_order(other.0)
    }
}
