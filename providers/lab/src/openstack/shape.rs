//! The form of what Nova and Cinder are sent, and the check of it: names, types and ranges, in the words of the library for JSON
//! schemas that both use. Each form is written after the schema of the project that is named beside it.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Version;
use super::failure::Failure;

/// What a value may be.
pub(super) enum Shape {
    /// Anything.
    Any,
    Null,
    /// `true`, `false`, or a word for them.
    Flag,
    /// A text of so many characters at least and at most.
    Text(usize, usize),
    /// A text with something in it that does not begin or end with a blank.
    Name,
    Uuid,
    /// An address.
    Ip,
    /// Text in base64 of at most so many characters.
    Base64(usize),
    /// A whole number, which may be written as a text.
    Number(i64, i64),
    /// One of some words.
    Word(&'static [&'static str]),
    /// A list of so many at most.
    List(&'static Shape, usize),
    /// Texts by name.
    Texts,
    Object(&'static Object),
    /// Any of several.
    Either(&'static [Shape]),
}

/// The members of an object.
pub(super) struct Object {
    pub members: &'static [Member],
    pub needed: &'static [&'static str],
    /// Whether others are passed over.
    pub is_open: bool,
}

/// A member, with the minor version of the API that brought it.
pub(super) struct Member(pub &'static str, pub u32, pub Shape);

/// A text that may be missing, as null.
pub(super) const TEXT_OR_NULL: Shape = Shape::Either(&[Shape::Text(0, 255), Shape::Null]);

pub(super) const UUID_OR_NULL: Shape = Shape::Either(&[Shape::Uuid, Shape::Null]);

/// The longest list that is bounded by nothing else.
pub(super) const MANY: usize = 10_000;

/// What is wrong with a value, and where.
struct Wrong<'v> {
    /// The member or the place in a list; none at the top.
    at: Option<String>,
    value: &'v Value,
    why: String,
}

type Checked<'v> = Result<(), Wrong<'v>>;

/// Checks what was sent.
///
/// # Errors
/// 400, for the first thing that is wrong.
pub(super) fn check(shape: &Object, sent: &Value, version: Version) -> Result<(), Failure> {
    members(shape, sent, None, version).map_err(|wrong| {
        Failure::bad(match wrong.at {
            Some(at) => format!(
                "Invalid input for field/attribute {at}. Value: {}. {}",
                wrong
                    .value
                    .as_str()
                    .map_or_else(|| said(wrong.value), str::to_owned),
                wrong.why
            ),
            None => wrong.why,
        })
    })
}

fn members<'v>(
    shape: &Object,
    value: &'v Value,
    at: Option<&str>,
    version: Version,
) -> Checked<'v> {
    let wrong = |why: String| {
        Err(Wrong {
            at: at.map(str::to_owned),
            value,
            why,
        })
    };
    let Value::Object(sent) = value else {
        return wrong(format!("{} is not of type 'object'", said(value)));
    };
    if let Some(missing) = shape.needed.iter().find(|name| !sent.contains_key(**name)) {
        return wrong(format!("'{missing}' is a required property"));
    }
    let known = |name: &str| {
        let mut members = shape.members.iter();
        members.find(|Member(known, since, _)| *known == name && *since <= version.1)
    };
    let unknown: Vec<String> = sent
        .keys()
        .filter(|name| known(name).is_none())
        .map(|name| format!("'{name}'"))
        .collect();
    if !unknown.is_empty() && !shape.is_open {
        let verb = if unknown.len() == 1 { "was" } else { "were" };
        return wrong(format!(
            "Additional properties are not allowed ({} {verb} unexpected)",
            unknown.join(", ")
        ));
    }
    for (name, value) in sent {
        if let Some(Member(_, _, shape)) = known(name) {
            one(shape, value, name, version)?;
        }
    }
    Ok(())
}

fn one<'v>(shape: &Shape, value: &'v Value, at: &str, version: Version) -> Checked<'v> {
    let wrong = |why: String| {
        Err(Wrong {
            at: Some(at.to_owned()),
            value,
            why,
        })
    };
    let text = value.as_str();
    let no_text = || wrong(format!("{} is not of type 'string'", said(value)));
    match shape {
        Shape::Any => Ok(()),
        Shape::Null => match value.is_null() {
            true => Ok(()),
            false => wrong(format!("{} is not of type 'null'", said(value))),
        },
        Shape::Flag => match flag(value) {
            Some(_) => Ok(()),
            None => wrong(format!("{} is not one of {FLAGS}", said(value))),
        },
        Shape::Text(least, most) => match text {
            None => no_text(),
            Some(text) if text.chars().count() < *least => {
                wrong(format!("{} is too short", said(value)))
            }
            Some(text) if text.chars().count() > *most => wrong(format!("{} is too long", said(value))),
            Some(_) => Ok(()),
        },
        Shape::Name => match text {
            None => no_text(),
            Some("") => wrong("'' is too short".into()),
            Some(text) if text.chars().count() > 255 => wrong(format!("{} is too long", said(value))),
            Some(text) if text.trim() != text => wrong(
                "Leading or trailing spaces are not allowed and the name has to have something in it."
                    .into(),
            ),
            Some(_) => Ok(()),
        },
        Shape::Uuid => match text {
            None => no_text(),
            Some(text) if is_uuid(text) => Ok(()),
            Some(_) => wrong(format!("{} is not a 'uuid'", said(value))),
        },
        Shape::Ip => match text {
            None => no_text(),
            Some(text) if text.parse::<IpAddr>().is_ok() => Ok(()),
            Some(_) => wrong(format!("{} is not a 'ipv4'", said(value))),
        },
        Shape::Base64(most) => match text {
            None => no_text(),
            Some(text) if text.len() > *most => wrong(format!("{} is too long", said(value))),
            Some(text) if STANDARD.decode(text).is_ok() => Ok(()),
            Some(_) => wrong(format!("{} is not a 'base64'", said(value))),
        },
        Shape::Number(least, most) => match number(value) {
            None => wrong(format!("{} is not of type 'integer', 'string'", said(value))),
            Some(found) if found < *least => {
                wrong(format!("{} is less than the minimum of {least}", said(value)))
            }
            Some(found) if found > *most => {
                wrong(format!("{} is greater than the maximum of {most}", said(value)))
            }
            Some(_) => Ok(()),
        },
        Shape::Word(words) => match text.is_some_and(|text| words.contains(&text)) {
            true => Ok(()),
            false => {
                let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
                wrong(format!("{} is not one of [{}]", said(value), words.join(", ")))
            }
        },
        Shape::List(shape, most) => match value {
            Value::Array(items) if items.len() > *most => wrong(format!("{} is too long", said(value))),
            Value::Array(items) => {
                let mut items = items.iter().enumerate();
                items.try_for_each(|(place, item)| one(shape, item, &place.to_string(), version))
            }
            _ => wrong(format!("{} is not of type 'array'", said(value))),
        },
        Shape::Texts => match value {
            Value::Object(members) => {
                for (name, text) in members {
                    if !is_key(name) {
                        return wrong(format!(
                            "Additional properties are not allowed ('{name}' was unexpected)"
                        ));
                    }
                    one(&Shape::Text(0, 255), text, name, version)?;
                }
                Ok(())
            }
            _ => wrong(format!("{} is not of type 'object'", said(value))),
        },
        Shape::Object(shape) => members(shape, value, Some(at), version),
        Shape::Either(shapes) => {
            let mut tried: Vec<_> = shapes
                .iter()
                .map(|shape| one(shape, value, at, version))
                .collect();
            if tried.iter().any(Result::is_ok) {
                return Ok(());
            }
            // What can be null only beside something else is told of as the other.
            match tried.len() {
                2 if matches!(shapes.get(1), Some(Shape::Null)) => tried.swap_remove(0),
                _ => wrong(format!("{} is not valid under any of the given schemas", said(value))),
            }
        }
    }
}

const FLAGS: &str = "[True, 'True', 'TRUE', 'true', '1', 'ON', 'On', 'on', 'YES', 'Yes', 'yes', 'y', 't', \
                     False, 'False', 'FALSE', 'false', '0', 'OFF', 'Off', 'off', 'NO', 'No', 'no', 'n', 'f']";

/// Reads what stands for true or false.
pub(super) fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" | "y" | "t" => Some(true),
            "false" | "0" | "off" | "no" | "n" | "f" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Reads a whole number, which may be written as a text.
pub(super) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Whether a text is an id as Python reads one: 32 hexadecimal digits, wherever the dashes are.
pub(super) fn is_uuid(text: &str) -> bool {
    let digits = text.chars().filter(|it| *it != '-');
    let are_digits = digits.clone().all(|it| it.is_ascii_hexdigit());
    are_digits && digits.count() == 32
}

fn is_key(name: &str) -> bool {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_:. ".contains(it);
    (1..=255).contains(&name.len()) && name.chars().all(is_plain)
}

/// Returns a value as Python would print it.
pub(super) fn said(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.contains('\'') && !text.contains('"') => format!("\"{text}\""),
        Value::String(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(said).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("'{name}': {}", said(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    static THING: Object = Object {
        members: &[Member("thing", 0, Shape::Object(&INNER))],
        needed: &["thing"],
        is_open: false,
    };

    static INNER: Object = Object {
        members: &[
            Member("name", 0, Shape::Name),
            Member("size", 0, Shape::Number(1, 9)),
            Member("late", 52, Shape::List(&Shape::Word(&["a", "b"]), 2)),
            Member("texts", 0, Shape::Texts),
            Member("id", 0, UUID_OR_NULL),
        ],
        needed: &["name"],
        is_open: false,
    };

    fn refused(sent: &Value, minor: u32) -> String {
        let checked = check(&THING, sent, Version(2, minor));
        checked
            .err()
            .map(|failure| failure.message)
            .unwrap_or_default()
    }

    #[test]
    fn what_was_sent_is_refused_in_the_words_of_the_schemas_library() {
        assert_eq!(refused(&json!({}), 1), "'thing' is a required property");
        assert_eq!(
            refused(&json!({ "thing": { "name": "a", "x": 1 } }), 1),
            "Invalid input for field/attribute thing. Value: {'name': 'a', 'x': 1}. Additional properties are not allowed ('x' was unexpected)"
        );
        assert_eq!(
            refused(&json!({ "thing": { "name": 5 } }), 1),
            "Invalid input for field/attribute name. Value: 5. 5 is not of type 'string'"
        );
        assert_eq!(
            refused(&json!({ "thing": { "name": "a", "size": "10" } }), 1),
            "Invalid input for field/attribute size. Value: 10. '10' is greater than the maximum of 9"
        );
        assert_eq!(
            refused(&json!({ "thing": { "name": "a", "late": ["c"] } }), 52),
            "Invalid input for field/attribute 0. Value: c. 'c' is not one of ['a', 'b']"
        );
        assert_eq!(
            refused(&json!({ "thing": { "name": "a", "id": "no" } }), 1),
            "Invalid input for field/attribute id. Value: no. 'no' is not a 'uuid'"
        );
        assert!(
            refused(&json!({ "thing": { "name": "a", "texts": { "b": 1 } } }), 1)
                .contains("is not of type 'string'")
        );
    }

    #[test]
    fn a_member_is_known_from_its_version_on() {
        let sent = json!({ "thing": { "name": "a", "late": ["a"], "id": null, "texts": { "a b": "" }, "size": 9 } });
        assert!(refused(&sent, 51).contains("'late' was unexpected"));
        assert_eq!(refused(&sent, 52), "");
    }
}
