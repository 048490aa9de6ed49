//! Values as JSON: for state, plan files, provider exchanges and `--json`.
//!
//! Plain JSON has no lists apart from tuples, no marks and no unknowns. What must survive is written as an object
//! with one reserved member: `$sealed` (a secret, sealed by the caller), `$unknown`, `$ephemeral` (a hole); a
//! member whose own name begins with `$` gets one more. Types come back by converting to the schema's type.

use serde_json::{Map, Value as Json};

use crate::diagnostic::AttributePath;
use crate::marks::Marks;
use crate::number::Number;
use crate::types::Type;
use crate::value::{Kind, Value};

/// How secrets are turned into what may lie on a disk, and back.
pub trait Sealer {
    /// Seals the plain JSON text found at a path.
    ///
    /// # Errors
    /// When the key does not work.
    fn seal(&self, path: &AttributePath, plain: &str) -> Result<String, CodecError>;
    /// Opens what `seal` made for the same path.
    ///
    /// # Errors
    /// When the text was changed, moved to another place, or sealed with another key.
    fn open(&self, path: &AttributePath, sealed: &str) -> Result<String, CodecError>;
}

/// Why a value could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The sealed text does not open here.
    #[error(
        "the sealed value at `{0}` does not open: it was changed, moved or sealed with another key"
    )]
    Sealed(String),
    /// A secret stands where nothing can seal it.
    #[error("a secret at `{0}` can't be written here")]
    NoSealer(String),
    /// The text is not what dmp writes.
    #[error("what is recorded at `{0}` is not a value")]
    Malformed(String),
}

/// Writes a value; secrets are sealed, ephemeral values become holes, unknowns are kept as such.
///
/// # Errors
/// When sealing fails.
pub fn encode(value: &Value, sealer: &dyn Sealer) -> Result<Json, CodecError> {
    encode_at(value, &AttributePath::default(), sealer)
}

fn encode_at(value: &Value, path: &AttributePath, sealer: &dyn Sealer) -> Result<Json, CodecError> {
    if value.marks().is_ephemeral() {
        return Ok(reserved("$ephemeral", Json::Bool(true)));
    }
    if value.marks().is_sensitive() && !value.is_null() && value.is_wholly_known() {
        let plain = value.map_marks(&Marks::without_sensitive);
        let text = encode_at(&plain, path, sealer)?.to_string();
        return Ok(reserved("$sealed", Json::String(sealer.seal(path, &text)?)));
    }
    if value.marks().is_sensitive() && value.is_known() && !value.is_wholly_known() {
        // A secret with holes: what is known of it is sealed piece by piece.
        let pieces = value.map_children(|child| child.clone().marked(value.marks()));
        return encode_at(&pieces.with_marks(Marks::none()), path, sealer);
    }
    Ok(match value.kind() {
        Kind::Null => Json::Null,
        Kind::Unknown(unknown) => {
            let mut hole = Map::new();
            hole.insert("$unknown".into(), Json::String(unknown.ty.to_string()));
            if value.marks().is_sensitive() {
                hole.insert("sensitive".into(), Json::Bool(true));
            }
            Json::Object(hole)
        }
        Kind::Bool(value) => Json::Bool(*value),
        Kind::Number(number) => number_to_json(number),
        Kind::String(text) => Json::String(text.to_string()),
        Kind::List(items) | Kind::Set(items) | Kind::Tuple(items) => {
            let encode = |(index, item)| encode_at(item, &path.index(index), sealer);
            Json::Array(
                items
                    .iter()
                    .enumerate()
                    .map(encode)
                    .collect::<Result<_, _>>()?,
            )
        }
        Kind::Map(members) | Kind::Object(members) => {
            let mut object = Map::new();
            for (name, member) in members.iter() {
                let escaped = if name.starts_with('$') {
                    format!("${name}")
                } else {
                    name.to_string()
                };
                object.insert(escaped, encode_at(member, &path.member(name), sealer)?);
            }
            Json::Object(object)
        }
    })
}

fn reserved(name: &str, content: Json) -> Json {
    Json::Object(Map::from_iter([(name.to_owned(), content)]))
}

/// Reads what `encode` wrote. Lists come back as tuples and maps as objects, until they are converted to their type.
///
/// # Errors
/// When a sealed value does not open, or the text is not what dmp writes.
pub fn decode(json: &Json, sealer: &dyn Sealer) -> Result<Value, CodecError> {
    decode_at(json, &AttributePath::default(), sealer)
}

fn decode_at(json: &Json, path: &AttributePath, sealer: &dyn Sealer) -> Result<Value, CodecError> {
    Ok(match json {
        Json::Array(items) => {
            let decode = |(index, item)| decode_at(item, &path.index(index), sealer);
            Value::tuple(
                items
                    .iter()
                    .enumerate()
                    .map(decode)
                    .collect::<Result<_, _>>()?,
            )
        }
        Json::Object(members) => {
            if let Some(Json::String(sealed)) = members.get("$sealed") {
                let text = sealer.open(path, sealed)?;
                let json = serde_json::from_str(&text)
                    .map_err(|_| CodecError::Malformed(path.to_string()))?;
                return Ok(decode_at(&json, path, sealer)?.marked(&Marks::sensitive()));
            }
            if members.contains_key("$ephemeral") {
                return Ok(Value::unknown(Type::Any).marked(&Marks::ephemeral()));
            }
            if members.contains_key("$unknown") {
                let hole = Value::unknown(Type::Any);
                let sensitive = members.contains_key("sensitive");
                return Ok(if sensitive {
                    hole.marked(&Marks::sensitive())
                } else {
                    hole
                });
            }
            let object = members.iter().map(|(name, member)| {
                let plain = name.strip_prefix('$').unwrap_or(name);
                let value = decode_at(member, &path.member(plain), sealer)?;
                Ok((plain.into(), value))
            });
            Value::object(object.collect::<Result<_, _>>()?)
        }
        plain => from_json(plain),
    })
}

/// A value as plain JSON, marks dropped: for a provider's own exchange, never for a record. `None` if not wholly known.
#[must_use]
pub fn to_json(value: &Value) -> Option<Json> {
    Some(match value.kind() {
        Kind::Null => Json::Null,
        Kind::Unknown(_) => return None,
        Kind::Bool(value) => Json::Bool(*value),
        Kind::Number(number) => number_to_json(number),
        Kind::String(text) => Json::String(text.to_string()),
        Kind::List(items) | Kind::Set(items) | Kind::Tuple(items) => {
            Json::Array(items.iter().map(to_json).collect::<Option<_>>()?)
        }
        Kind::Map(members) | Kind::Object(members) => {
            let member = |(name, member): (&std::sync::Arc<str>, &Value)| {
                Some((name.to_string(), to_json(member)?))
            };
            Json::Object(members.iter().map(member).collect::<Option<_>>()?)
        }
    })
}

/// A value from plain JSON: arrays become tuples, objects become objects.
#[must_use]
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::null(),
        Json::Bool(value) => (*value).into(),
        Json::Number(number) => match Number::exactly(&number.to_string()) {
            Ok(number) => number.into(),
            Err(_) => number.to_string().into(),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Value::tuple(items.iter().map(from_json).collect()),
        Json::Object(members) => Value::object(
            members
                .iter()
                .map(|(name, member)| (name.as_str().into(), from_json(member)))
                .collect(),
        ),
    }
}

/// A value as people and machines may see it: secrets as `(sensitive)`, unknowns as `(known after apply)`.
#[must_use]
pub fn to_display_json(value: &Value) -> Json {
    if value.marks().is_sensitive() || value.marks().is_ephemeral() {
        return Json::String("(sensitive)".into());
    }
    match value.kind() {
        Kind::Unknown(_) => Json::String("(known after apply)".into()),
        Kind::List(items) | Kind::Set(items) | Kind::Tuple(items) => {
            Json::Array(items.iter().map(to_display_json).collect())
        }
        Kind::Map(members) | Kind::Object(members) => Json::Object(
            members
                .iter()
                .map(|(name, member)| (name.to_string(), to_display_json(member)))
                .collect(),
        ),
        _ => to_json(value).unwrap_or_default(),
    }
}

fn number_to_json(number: &Number) -> Json {
    let text = number.to_string();
    serde_json::from_str(&text).unwrap_or(Json::String(text))
}

/// A sealer for values that hold no secret: it refuses to write one.
#[derive(Clone, Copy, Debug)]
pub struct NoSecrets;

impl Sealer for NoSecrets {
    fn seal(&self, path: &AttributePath, _plain: &str) -> Result<String, CodecError> {
        Err(CodecError::NoSealer(path.to_string()))
    }

    fn open(&self, path: &AttributePath, _sealed: &str) -> Result<String, CodecError> {
        Err(CodecError::Sealed(path.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not a cipher: it only shows what goes through the sealer, and that the path binds it.
    struct Backwards;

    impl Sealer for Backwards {
        fn seal(&self, path: &AttributePath, plain: &str) -> Result<String, CodecError> {
            Ok(format!(
                "{path}|{}",
                plain.chars().rev().collect::<String>()
            ))
        }

        fn open(&self, path: &AttributePath, sealed: &str) -> Result<String, CodecError> {
            let rest = sealed
                .strip_prefix(&format!("{path}|"))
                .ok_or(CodecError::Sealed(path.to_string()))?;
            Ok(rest.chars().rev().collect())
        }
    }

    #[test]
    fn a_secret_is_sealed_and_comes_back_marked() {
        let value = Value::object_of([
            ("token", Value::from("hunter2").marked(&Marks::sensitive())),
            ("n", 3.into()),
        ]);
        let json = encode(&value, &Backwards).expect("encodes");
        assert!(!json.to_string().contains("hunter2"));
        let back = decode(&json, &Backwards).expect("decodes");
        assert_eq!(back, value);
        assert!(back.get("token").marks().is_sensitive());
        assert!(encode(&value, &NoSecrets).is_err());
    }

    #[test]
    fn a_sealed_value_does_not_open_at_another_place() {
        let value = Value::object_of([("a", Value::from("x").marked(&Marks::sensitive()))]);
        let json = encode(&value, &Backwards).expect("encodes");
        let moved = Json::Object(Map::from_iter([("b".to_owned(), json["a"].clone())]));
        assert!(decode(&moved, &Backwards).is_err());
    }

    #[test]
    fn reserved_names_in_data_survive() {
        let value = Value::object_of([("$sealed", "x".into()), ("$$unknown", 1.into())]);
        let json = encode(&value, &NoSecrets).expect("no secrets");
        assert_eq!(decode(&json, &NoSecrets), Ok(value));
    }

    #[test]
    fn an_ephemeral_value_leaves_a_hole() {
        let value = Value::from("once").marked(&Marks::ephemeral());
        let json = encode(&value, &NoSecrets).expect("a hole");
        assert_eq!(json.to_string(), r#"{"$ephemeral":true}"#);
        assert!(!decode(&json, &NoSecrets).expect("a hole").is_known());
    }

    #[test]
    fn what_is_known_of_a_secret_with_holes_is_sealed() {
        let inside = Value::object_of([("a", "hunter2".into()), ("b", Value::unknown(Type::Any))]);
        let json = encode(&inside.marked(&Marks::sensitive()), &Backwards).expect("encodes");
        assert!(!json.to_string().contains("hunter2"), "{json}");
    }

    #[test]
    fn long_numbers_keep_their_digits() {
        let number: Number = "123456789012345678901234567890.125"
            .parse()
            .expect("a number");
        let json = to_json(&number.clone().into()).expect("known");
        assert_eq!(from_json(&json), number.into());
    }
}
