//! Between the values of a configuration and the JSON of the APIs, by the types of the schema.

use std::sync::Arc;

pub(crate) use dmp_cloud::segment;
use dmp_sdk::{AttributePath, Diagnostic, Kind, Number, Type, Value};
use serde_json::{Map, Value as Json};

/// A value as JSON. Members that are null are left out; what is unknown is null.
pub(crate) fn json_of(value: &Value) -> Json {
    match value.kind() {
        Kind::Null | Kind::Unknown(_) => Json::Null,
        Kind::Bool(value) => Json::Bool(*value),
        Kind::Number(number) => match (number.to_i64(), number.to_f64()) {
            (Some(whole), _) => Json::from(whole),
            (None, float) => Json::from(float),
        },
        Kind::String(text) => Json::String(text.to_string()),
        Kind::List(items) | Kind::Set(items) | Kind::Tuple(items) => {
            Json::Array(items.iter().map(json_of).collect())
        }
        Kind::Map(members) | Kind::Object(members) => {
            let member = |(name, value): (&Arc<str>, &Value)| {
                (!value.is_null()).then(|| (name.to_string(), json_of(value)))
            };
            Json::Object(members.iter().filter_map(member).collect())
        }
    }
}

/// JSON as a value of a type. What does not fit is null.
pub(crate) fn value_of(json: &Json, ty: &Type) -> Value {
    match (ty, json) {
        (_, Json::Null) => Value::null(),
        (Type::Bool, Json::Bool(value)) => (*value).into(),
        (Type::Bool, Json::String(text)) => match text.to_ascii_lowercase().as_str() {
            "true" => true.into(),
            "false" => false.into(),
            _ => Value::null(),
        },
        (Type::Number, Json::Number(number)) => number_of(&number.to_string()),
        (Type::Number, Json::String(text)) => number_of(text),
        (Type::String, Json::String(text)) => text.as_str().into(),
        (Type::String, Json::Number(number)) => number.to_string().into(),
        (Type::String, Json::Bool(value)) => value.to_string().into(),
        (Type::List(inner), Json::Array(items)) => {
            Value::list(items.iter().map(|item| value_of(item, inner)).collect())
        }
        (Type::Set(inner), Json::Array(items)) => {
            Value::set(items.iter().map(|item| value_of(item, inner)).collect())
        }
        (Type::Map(inner), Json::Object(members)) => Value::map(
            members
                .iter()
                .map(|(name, value)| (name.as_str().into(), value_of(value, inner)))
                .collect(),
        ),
        (Type::Object(types), Json::Object(members)) => Value::object(
            types
                .iter()
                .map(|(name, member)| {
                    let found = members.get(name.as_ref()).unwrap_or(&Json::Null);
                    (Arc::clone(name), value_of(found, &member.ty))
                })
                .collect(),
        ),
        _ => Value::null(),
    }
}

fn number_of(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(whole) => whole.into(),
        Err(_) => {
            let number = text.parse::<f64>().ok().and_then(Number::from_f64);
            number.map_or_else(Value::null, Value::from)
        }
    }
}

/// A text of an answer; the empty one is none.
pub(crate) fn text(json: &Json, name: &str) -> Option<String> {
    match &json[name] {
        Json::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A whole number of an answer.
pub(crate) fn number(json: &Json, name: &str) -> Option<i64> {
    match &json[name] {
        Json::Number(number) => number.as_i64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// An answer's list; anything else has none.
pub(crate) fn items(json: &Json) -> &[Json] {
    json.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A text of a value; the empty one is none.
pub(crate) fn text_at(value: &Value, name: &str) -> Option<String> {
    let found = value.get(name);
    let text = found.as_str().filter(|text| !text.is_empty())?;
    Some(text.to_owned())
}

/// The texts of a collection.
pub(crate) fn texts_at(value: &Value, name: &str) -> Vec<String> {
    let found = value.get(name);
    let items = found.as_items().unwrap_or_default().iter();
    items
        .filter_map(|item| item.as_str().map(ToOwned::to_owned))
        .collect()
}

/// Whether something is said there for sure: what is unknown may turn out to be null.
pub(crate) fn is_given(value: &Value, name: &str) -> bool {
    let found = value.get(name);
    found.is_known() && !found.is_null()
}

/// Whether nothing is said there for sure.
pub(crate) fn is_missing(value: &Value, name: &str) -> bool {
    value.get(name).is_null()
}

/// An object of pairs.
pub(crate) fn object<const N: usize>(pairs: [(&str, Json); N]) -> Map<String, Json> {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// An argument that can't be used: why.
pub(crate) fn wrong(attribute: &str, why: impl Into<String>) -> Diagnostic {
    Diagnostic::error("wrong-argument", "unusable argument")
        .detail(why)
        .path(AttributePath::of(attribute))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_come_back_as_they_went() {
        let ty = Type::list(Type::object_of_optional([
            ("start", Type::String),
            ("size", Type::Number),
            ("on", Type::Bool),
        ]));
        let json = json!([{ "start": "a", "size": 3, "on": true }, { "start": "b" }]);
        let value = value_of(&json, &ty);
        assert_eq!(json_of(&value), json);
        let items = value.as_items().expect("a list");
        assert!(items[1].get("size").is_null());
        assert_eq!(value_of(&json!("7"), &Type::Number), 7.into());
        assert_eq!(value_of(&json!("True"), &Type::Bool), true.into());
        assert!(value_of(&json!({}), &Type::String).is_null());
    }

    #[test]
    fn a_segment_has_nothing_that_ends_it() {
        assert_eq!(segment("a/b?c&d"), "a%2Fb%3Fc%26d");
    }
}
