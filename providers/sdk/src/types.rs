//! Types, and the conversions between them, as Terraform's language has them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::number::Number;
use crate::value::{Kind, Members, Unknown, Value};

/// The type of a value, or what a variable or an attribute accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Any type; in an unknown value: not known.
    Any,
    /// `true` or `false`.
    Bool,
    /// A decimal number.
    Number,
    /// A Unicode text.
    String,
    /// Many of one type, in order.
    List(Box<Type>),
    /// Many of one type, each once.
    Set(Box<Type>),
    /// Many of one type, by name.
    Map(Box<Type>),
    /// A fixed number, each with its type.
    Tuple(Vec<Type>),
    /// Named members, each with its type.
    Object(BTreeMap<Arc<str>, Member>),
}

/// A member of an object type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its type.
    pub ty: Type,
    /// Whether it may be left out.
    pub optional: bool,
    /// What stands in for it when it was left out or null.
    pub default: Option<Value>,
}

impl Type {
    /// An object type whose members are all required.
    pub fn object<'a>(members: impl IntoIterator<Item = (&'a str, Type)>) -> Self {
        let member = |(name, ty): (&str, Type)| {
            (
                Arc::from(name),
                Member {
                    ty,
                    optional: false,
                    default: None,
                },
            )
        };
        Self::Object(members.into_iter().map(member).collect())
    }

    /// An object type whose members may all be left out.
    pub fn object_of_optional<'a>(members: impl IntoIterator<Item = (&'a str, Type)>) -> Self {
        let member = |(name, ty): (&str, Type)| {
            (
                Arc::from(name),
                Member {
                    ty,
                    optional: true,
                    default: None,
                },
            )
        };
        Self::Object(members.into_iter().map(member).collect())
    }

    /// A list type.
    #[must_use]
    pub fn list(element: Type) -> Self {
        Self::List(Box::new(element))
    }

    /// A set type.
    #[must_use]
    pub fn set(element: Type) -> Self {
        Self::Set(Box::new(element))
    }

    /// A map type.
    #[must_use]
    pub fn map(element: Type) -> Self {
        Self::Map(Box::new(element))
    }

    /// The one type that all can be converted to, or `None`. Without any it is `Any`.
    pub fn unify(types: impl IntoIterator<Item = Type>) -> Option<Self> {
        let mut distinct: Vec<Self> = Vec::new();
        for ty in types {
            if distinct.len() > MOST_TYPES || !distinct.contains(&ty) {
                distinct.push(ty);
            }
        }
        if let Some(unified) = unify_in_order(distinct.iter()) {
            return Some(unified);
        }
        // A bool and a number have nothing in common until a string is among them.
        let count = distinct.len().min(MOST_TYPES);
        (1..count).find_map(|first| {
            let others = distinct.iter().enumerate().filter(|(at, _)| *at != first);
            let others = others.map(|(_, ty)| ty);
            unify_in_order(std::iter::once(&distinct[first]).chain(others))
        })
    }
}

/// Types that are tried in more than one order.
const MOST_TYPES: usize = 16;

fn unify_in_order<'t>(mut types: impl Iterator<Item = &'t Type>) -> Option<Type> {
    types.try_fold(Type::Any, |unified, ty| unify_two(unified, ty.clone()))
}

fn unify_two(one: Type, two: Type) -> Option<Type> {
    use Type::{Any, Bool, List, Map, Number, Object, Set, String, Tuple};
    Some(match (one, two) {
        (Any, ty) | (ty, Any) => ty,
        (one, two) if one == two => one,
        (String, Bool | Number) | (Bool | Number, String) => String,
        (List(a), List(b)) => Type::list(unify_two(*a, *b)?),
        (Set(a), Set(b)) => Type::set(unify_two(*a, *b)?),
        (Map(a), Map(b)) => Type::map(unify_two(*a, *b)?),
        (List(a), Set(b)) | (Set(a), List(b)) => Type::list(unify_two(*a, *b)?),
        (List(element), Tuple(items)) | (Tuple(items), List(element)) => {
            Type::list(Type::unify(items.into_iter().chain([*element]))?)
        }
        (Set(element), Tuple(items)) | (Tuple(items), Set(element)) => {
            Type::set(Type::unify(items.into_iter().chain([*element]))?)
        }
        (Tuple(a), Tuple(b)) if a.len() == b.len() => Tuple(
            a.into_iter()
                .zip(b)
                .map(|(a, b)| unify_two(a, b))
                .collect::<Option<_>>()?,
        ),
        (Tuple(a), Tuple(b)) => Type::list(Type::unify(a.into_iter().chain(b))?),
        (Map(element), Object(members)) | (Object(members), Map(element)) => {
            Type::map(Type::unify(
                members
                    .into_values()
                    .map(|member| member.ty)
                    .chain([*element]),
            )?)
        }
        (Object(a), Object(b)) if a.keys().eq(b.keys()) => {
            let unify = |((name, a), (_, b)): ((Arc<str>, Member), (Arc<str>, Member))| {
                Some((
                    name,
                    Member {
                        ty: unify_two(a.ty, b.ty)?,
                        optional: false,
                        default: None,
                    },
                ))
            };
            Object(a.into_iter().zip(b).map(unify).collect::<Option<_>>()?)
        }
        (Object(a), Object(b)) => Type::map(Type::unify(
            a.into_values()
                .chain(b.into_values())
                .map(|member| member.ty),
        )?),
        _ => return None,
    })
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Bool => f.write_str("bool"),
            Self::Number => f.write_str("number"),
            Self::String => f.write_str("string"),
            Self::List(element) => write!(f, "list({element})"),
            Self::Set(element) => write!(f, "set({element})"),
            Self::Map(element) => write!(f, "map({element})"),
            Self::Tuple(items) => {
                f.write_str("tuple([")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("])")
            }
            Self::Object(members) => {
                f.write_str("object({")?;
                for (index, (name, member)) in members.iter().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    match member.optional {
                        true => write!(f, "{name}=optional({})", member.ty)?,
                        false => write!(f, "{name}={}", member.ty)?,
                    }
                }
                f.write_str("})")
            }
        }
    }
}

/// A value that can't be converted. Never holds the value itself: it may be sensitive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{why}", path_prefix(.path))]
pub struct ConvertError {
    /// Where inside the value, as a reader would write it (`.disk[0].size`); empty for the value itself.
    pub path: String,
    /// What is wrong there.
    pub why: String,
    /// Names that exist, where an unknown member was given.
    pub candidates: Vec<String>,
    /// The unknown member.
    pub unknown_member: Option<String>,
}

fn path_prefix(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!("`{}`: ", path.trim_start_matches('.'))
    }
}

impl ConvertError {
    fn new(why: String) -> Self {
        Self {
            path: String::new(),
            why,
            candidates: Vec::new(),
            unknown_member: None,
        }
    }

    fn inside(mut self, step: &str) -> Self {
        self.path.insert_str(0, step);
        self
    }
}

/// Converts a value to a type, as an argument of that type would take it. Marks are kept.
///
/// Members which an object type does not name are dropped, as in Terraform; `Strictness::Exact` refuses them.
///
/// # Errors
/// When the value has no meaning in that type, with the place inside the value.
pub fn convert(value: &Value, ty: &Type, strictness: Strictness) -> Result<Value, ConvertError> {
    let marks = value.marks().clone();
    let converted = convert_kind(value, ty, strictness)?.sharing_with(value);
    Ok(converted.marked(&marks))
}

/// What to do with members that an object type does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Drop them, as a variable's type constraint does.
    Lenient,
    /// Refuse them, as a resource's schema does: a misspelt argument is an error.
    Exact,
}

fn convert_kind(value: &Value, ty: &Type, strictness: Strictness) -> Result<Value, ConvertError> {
    match (value.kind(), ty) {
        (_, Type::Any) => Ok(value.clone()),
        (Kind::Null, _) => Ok(Value::null()),
        (Kind::Unknown(unknown), _) => {
            if !may_convert(&unknown.ty, ty) {
                return Err(mismatch(&unknown.ty, ty));
            }
            let bounds = match (&unknown.ty, ty) {
                (Type::Number, Type::Number) => unknown.bounds,
                _ => value.length_bounds_as(ty),
            };
            let mut known = Unknown::clone(unknown);
            known.ty = ty.clone();
            if *ty != Type::String {
                known.prefix = None;
            }
            Ok(known.within(bounds).into())
        }
        (Kind::Bool(_), Type::Bool)
        | (Kind::Number(_), Type::Number)
        | (Kind::String(_), Type::String) => Ok(value.clone()),
        (Kind::Bool(value), Type::String) => Ok(if *value { "true" } else { "false" }.into()),
        (Kind::Number(number), Type::String) => Ok(number.to_string().into()),
        (Kind::String(text), Type::Bool) => match text.as_ref() {
            "true" | "1" => Ok(true.into()),
            "false" | "0" => Ok(false.into()),
            _ => Err(ConvertError::new(
                "a bool is required: `true` or `false`".into(),
            )),
        },
        (Kind::String(text), Type::Number) => text
            .parse::<Number>()
            .map(Value::from)
            .map_err(|_| ConvertError::new("a number is required".into())),
        // What is unknown in a set may turn out to be another of its elements: its order is not known, and
        // its length only within bounds.
        (Kind::Set(items), Type::List(element)) if value.has_open_length() => {
            let types = items.iter().map(Value::type_of);
            let element = match element.as_ref() {
                Type::Any => Type::unify(types).unwrap_or(Type::Any),
                element => element.clone(),
            };
            let list = Unknown::of(Type::list(element)).not_null();
            Ok(list.within(value.length_bounds()).into())
        }
        (Kind::List(items) | Kind::Set(items) | Kind::Tuple(items), Type::List(element)) => {
            Ok(Value::list(convert_items(items, element, strictness)?))
        }
        (Kind::List(items) | Kind::Set(items) | Kind::Tuple(items), Type::Set(element)) => {
            Ok(Value::set(convert_items(items, element, strictness)?))
        }
        (Kind::List(items) | Kind::Tuple(items), Type::Tuple(types)) => {
            if items.len() != types.len() {
                let why = format!(
                    "a tuple of {} elements is required, not of {}",
                    types.len(),
                    items.len()
                );
                return Err(ConvertError::new(why));
            }
            let convert = |(index, (item, ty)): (usize, (&Value, &Type))| {
                convert(item, ty, strictness).map_err(|error| error.inside(&format!("[{index}]")))
            };
            Ok(Value::tuple(
                items
                    .iter()
                    .zip(types)
                    .enumerate()
                    .map(convert)
                    .collect::<Result<_, _>>()?,
            ))
        }
        (Kind::Map(members) | Kind::Object(members), Type::Map(element)) => {
            let element = match element.as_ref() {
                Type::Any => {
                    &Type::unify(members.values().map(Value::type_of)).unwrap_or(Type::Any)
                }
                element => element,
            };
            let convert = |(name, value): (&Arc<str>, &Value)| {
                let converted = convert(value, element, strictness)
                    .map_err(|error| error.inside(&member_step(name)))?;
                Ok((Arc::clone(name), converted))
            };
            Ok(Value::map(
                members
                    .iter()
                    .map(convert)
                    .collect::<Result<_, ConvertError>>()?,
            ))
        }
        (Kind::Map(members) | Kind::Object(members), Type::Object(wanted)) => {
            convert_members(members, wanted, strictness)
        }
        _ => Err(mismatch(&value.type_of(), ty)),
    }
}

fn convert_items(
    items: &[Value],
    element: &Type,
    strictness: Strictness,
) -> Result<Vec<Value>, ConvertError> {
    let element = match element {
        Type::Any => &Type::unify(items.iter().map(Value::type_of)).unwrap_or(Type::Any),
        element => element,
    };
    let convert = |(index, item): (usize, &Value)| {
        convert(item, element, strictness).map_err(|error| error.inside(&format!("[{index}]")))
    };
    items.iter().enumerate().map(convert).collect()
}

fn convert_members(
    members: &Members,
    wanted: &BTreeMap<Arc<str>, Member>,
    strictness: Strictness,
) -> Result<Value, ConvertError> {
    if strictness == Strictness::Exact
        && let Some(name) = members.keys().find(|name| !wanted.contains_key(*name))
    {
        let mut error = ConvertError::new(format!("there is no member `{name}` here"));
        error.candidates = wanted.keys().map(ToString::to_string).collect();
        error.unknown_member = Some(name.to_string());
        return Err(error);
    }
    let mut converted = Members::new();
    for (name, member) in wanted {
        let given = members.get(name).filter(|value| !value.is_null());
        let value = match (given, &member.default) {
            (Some(value), _) => convert(value, &member.ty, strictness)
                .map_err(|error| error.inside(&member_step(name)))?,
            (None, Some(default)) => convert(default, &member.ty, strictness)?,
            (None, None) if member.optional || members.contains_key(name) => {
                members.get(name).cloned().unwrap_or_else(Value::null)
            }
            (None, None) => {
                return Err(ConvertError::new(format!(
                    "the member `{name}` is required"
                )));
            }
        };
        converted.insert(Arc::clone(name), value);
    }
    Ok(Value::object(converted))
}

fn member_step(name: &str) -> String {
    let plain = name
        .chars()
        .all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if plain {
        format!(".{name}")
    } else {
        format!("[{name:?}]")
    }
}

/// Whether some value of one type can be converted to the other.
fn may_convert(from: &Type, to: &Type) -> bool {
    use Type::{Any, Bool, List, Map, Number, Object, Set, String, Tuple};
    match (from, to) {
        (Any, _) | (_, Any) | (String, Bool | Number) | (Bool | Number, String) => true,
        (List(a) | Set(a), List(b) | Set(b)) | (Map(a), Map(b)) => may_convert(a, b),
        (Tuple(items), List(b) | Set(b)) => items.iter().all(|item| may_convert(item, b)),
        (Object(members), Map(b)) => members.values().all(|member| may_convert(&member.ty, b)),
        (List(_), Tuple(_)) | (Map(_) | Object(_), Object(_)) => true,
        (Tuple(a), Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| may_convert(a, b))
        }
        (a, b) => a == b,
    }
}

fn mismatch(found: &Type, wanted: &Type) -> ConvertError {
    ConvertError::new(format!(
        "{} is required, not {}",
        with_article(wanted),
        with_article(found)
    ))
}

/// The kind of a type in words: `a string`, `an object`, `a list of numbers`.
#[must_use]
pub fn with_article(ty: &Type) -> String {
    match ty {
        Type::Any => "any value".into(),
        Type::Bool => "a bool".into(),
        Type::Number => "a number".into(),
        Type::String => "a string".into(),
        Type::List(_) => format!("a {ty}"),
        Type::Set(_) => format!("a {ty}"),
        Type::Map(_) => format!("a {ty}"),
        Type::Tuple(_) => "a tuple".into(),
        Type::Object(_) => "an object".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marks::Marks;

    fn lenient(value: &Value, ty: &Type) -> Result<Value, ConvertError> {
        convert(value, ty, Strictness::Lenient)
    }

    #[test]
    fn primitives_convert_as_in_terraform() {
        assert_eq!(lenient(&"5".into(), &Type::Number), Ok(5.into()));
        assert_eq!(lenient(&5.into(), &Type::String), Ok("5".into()));
        assert_eq!(lenient(&"1".into(), &Type::Bool), Ok(true.into()));
        assert!(lenient(&"yes".into(), &Type::Bool).is_err());
        assert!(lenient(&5.into(), &Type::Bool).is_err());
    }

    #[test]
    fn a_conversion_keeps_marks_and_says_where_it_failed() {
        let secret = Value::tuple(vec![Value::from(1).marked(&Marks::sensitive())]);
        let list = lenient(&secret, &Type::list(Type::String)).expect("converts");
        assert!(list.element(0).expect("one").marks().is_sensitive());

        let bad = Value::object_of([("disks", Value::tuple(vec!["x".into()]))]);
        let ty = Type::object([("disks", Type::list(Type::Number))]);
        let error = lenient(&bad, &ty).expect_err("x is no number");
        assert_eq!(error.to_string(), "`disks[0]`: a number is required");
    }

    #[test]
    fn optional_members_take_their_defaults_and_misspelt_ones_are_refused() {
        let mut members = BTreeMap::new();
        members.insert(
            "size".into(),
            Member {
                ty: Type::Number,
                optional: true,
                default: Some(8.into()),
            },
        );
        let ty = Type::Object(members);
        let empty = Value::object(Members::new());
        assert_eq!(
            lenient(&empty, &ty).expect("optional").get("size"),
            8.into()
        );
        let misspelt = Value::object_of([("siez", 1.into())]);
        assert_eq!(
            convert(&misspelt, &ty, Strictness::Exact)
                .expect_err("misspelt")
                .candidates,
            ["size"]
        );
    }

    #[test]
    fn unification_widens() {
        let unified = Type::unify([Type::Number, Type::String]);
        assert_eq!(unified, Some(Type::String));
        assert_eq!(Type::unify([Type::Bool, Type::list(Type::Any)]), None);
    }
}
