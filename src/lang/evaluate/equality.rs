//! `==`: deep and by type, undecided where an unknown decides.

use std::sync::Arc;

use dmp_sdk::{Kind, Type, Value};

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
