//! `==`: deep and by type, undecided where an unknown decides.

use std::sync::Arc;

use dmp_sdk::{Kind, Number, Type, Value};

/// Whether two values are equal; `None` if that is not known yet. Nothing is converted: `1 == "1"` is false.
pub(crate) fn equal(one: &Value, two: &Value) -> Option<bool> {
    match (one.kind(), two.kind()) {
        (Kind::Unknown(unknown), other) | (other, Kind::Unknown(unknown)) => {
            let other_value: Value = other.clone().into();
            match other {
                Kind::Null if unknown.not_null => Some(false),
                Kind::Null => None,
                Kind::String(text) if !may_begin(text, unknown.prefix.as_deref()) => Some(false),
                _ if !may_be(&unknown.ty, &other_value.type_of()) => Some(false),
                _ if are_apart(one, two) => Some(false),
                _ => None,
            }
        }
        (Kind::Null, Kind::Null) => Some(true),
        (Kind::Bool(a), Kind::Bool(b)) => Some(a == b),
        (Kind::Number(a), Kind::Number(b)) => Some(a == b),
        (Kind::String(a), Kind::String(b)) => Some(a == b),
        (Kind::List(a), Kind::List(b)) | (Kind::Tuple(a), Kind::Tuple(b)) => {
            all_equal(a.len(), b.len(), a.iter().zip(b.iter()))
        }
        (Kind::Set(a), Kind::Set(b)) => {
            if are_apart(one, two) {
                return Some(false);
            }
            let is_known = one.is_wholly_known() && two.is_wholly_known();
            is_known.then(|| {
                a.len() == b.len()
                    && a.iter()
                        .zip(b.iter())
                        .all(|(a, b)| equal(a, b) == Some(true))
            })
        }
        (Kind::Map(a), Kind::Map(b)) | (Kind::Object(a), Kind::Object(b)) => {
            if !a.keys().eq(b.keys()) {
                return Some(false);
            }
            all_equal(a.len(), b.len(), a.values().zip(b.values()))
        }
        _ => Some(false),
    }
}

/// Whether two values, at most one of which may be null, have different lengths, or are numbers of which one is less.
fn are_apart(one: &Value, two: &Value) -> bool {
    let may_be_null =
        |value: &Value| matches!(value.kind(), Kind::Unknown(unknown) if !unknown.not_null);
    if may_be_null(one) && may_be_null(two) {
        return false;
    }
    let have_other_lengths = one
        .length_bounds()
        .zip(two.length_bounds())
        .is_some_and(|(a, b)| a.is_apart_from(b));
    have_other_lengths || is_less(one, two) == Some(true) || is_less(two, one) == Some(true)
}

/// Whether one number is less than another, as far as it is known between what they lie.
pub(super) fn is_less(one: &Value, two: &Value) -> Option<bool> {
    let ((lowest, highest), (least, most)) = (ends(one), ends(two));
    match () {
        () if highest.zip(least).is_some_and(|(a, b)| a < b) => Some(true),
        () if lowest.zip(most).is_some_and(|(a, b)| a >= b) => Some(false),
        () => None,
    }
}

/// What a number lies between.
fn ends(value: &Value) -> (Option<Arc<Number>>, Option<Arc<Number>>) {
    let count = |count: usize| {
        i64::try_from(count)
            .ok()
            .map(|count| Arc::new(count.into()))
    };
    match value.kind() {
        Kind::Number(number) => (Some(number.clone()), Some(number.clone())),
        Kind::Unknown(unknown) if unknown.ty == Type::Number => match unknown.bounds {
            Some(bounds) => (count(bounds.least), bounds.most.and_then(count)),
            None => (None, None),
        },
        _ => (None, None),
    }
}

fn may_begin(text: &str, prefix: Option<&str>) -> bool {
    prefix.is_none_or(|prefix| text.starts_with(prefix))
}

fn all_equal<'v>(
    one: usize,
    two: usize,
    pairs: impl Iterator<Item = (&'v Value, &'v Value)>,
) -> Option<bool> {
    if one != two {
        return Some(false);
    }
    let mut decided = Some(true);
    for (a, b) in pairs {
        match equal(a, b) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => decided = None,
        }
    }
    decided
}

/// Whether a value of one type may have the other, as far as types say.
fn may_be(unknown: &Type, other: &Type) -> bool {
    use Type::{Any, List, Map, Object, Set, Tuple};
    match (unknown, other) {
        (Any, _) | (_, Any) => true,
        (List(a), List(b)) | (Set(a), Set(b)) | (Map(a), Map(b)) => may_be(a, b),
        (Tuple(a), Tuple(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| may_be(a, b)),
        (Object(a), Object(b)) => {
            let names = |members: &std::collections::BTreeMap<Arc<str>, _>| -> Vec<Arc<str>> {
                members.keys().cloned().collect()
            };
            names(a) == names(b)
                && a.values()
                    .zip(b.values())
                    .all(|(a, b)| may_be(&a.ty, &b.ty))
        }
        (a, b) => a == b,
    }
}
