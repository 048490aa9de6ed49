//! JSON, base64 and URL encoding.

use std::io::{Read, Write};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmp_sdk::{Kind, Value};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::{Fault, Function, Gives, nullable, text, text_of};
use crate::evaluate::{LONGEST_TEXT, MOST_ELEMENTS};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("base64decode", &[text("text")], Gives::Text, base64decode),
    Function::new("base64gunzip", &[text("text")], Gives::Text, base64gunzip),
    Function::new("base64gzip", &[text("text")], Gives::Text, base64gzip),
    Function::new("base64encode", &[text("text")], Gives::Text, |a| {
        Ok(STANDARD.encode(text_of(a, 0)).into())
    }),
    Function::new("jsondecode", &[text("text")], Gives::Any, jsondecode),
    Function::new("jsonencode", &[nullable("value")], Gives::Text, |a| {
        json(&a[0]).map(Value::from).map_err(Fault::new)
    }),
    Function::new("urldecode", &[text("text")], Gives::Text, urldecode),
    Function::new("urlencode", &[text("text")], Gives::Text, urlencode),
];

/// The bytes that a text in base64 stands for; line breaks in it mean nothing.
pub(super) fn from_base64(given: &str) -> Result<Vec<u8>, Fault> {
    let plain: String = given
        .chars()
        .filter(|c| !matches!(c, '\n' | '\r'))
        .collect();
    STANDARD
        .decode(plain)
        .map_err(|_| Fault::of(0, "the text is not base64"))
}

fn as_text(bytes: Vec<u8>) -> Result<Value, Fault> {
    String::from_utf8(bytes)
        .map(Value::from)
        .map_err(|_| Fault::of(0, "what is encoded is not UTF-8 text"))
}

fn base64decode(arguments: &[Value]) -> Result<Value, Fault> {
    as_text(from_base64(text_of(arguments, 0))?)
}

fn base64gzip(arguments: &[Value]) -> Result<Value, Fault> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    let packed = packer
        .write_all(text_of(arguments, 0).as_bytes())
        .and_then(|()| packer.finish());
    match packed {
        Ok(bytes) => Ok(STANDARD.encode(bytes).into()),
        Err(error) => Err(Fault::new(error.to_string())),
    }
}

fn base64gunzip(arguments: &[Value]) -> Result<Value, Fault> {
    let packed = from_base64(text_of(arguments, 0))?;
    let mut bytes = Vec::new();
    let most = LONGEST_TEXT as u64 + 1;
    MultiGzDecoder::new(packed.as_slice())
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|_| Fault::of(0, "what is encoded is not packed by gzip"))?;
    super::bounded(bytes.len())?;
    as_text(bytes)
}

fn urldecode(arguments: &[Value]) -> Result<Value, Fault> {
    let wrong = || Fault::of(0, "two hexadecimal digits must follow a `%`");
    let mut bytes = Vec::new();
    let mut given = text_of(arguments, 0).bytes();
    while let Some(byte) = given.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [
                    given.next().ok_or_else(wrong)?,
                    given.next().ok_or_else(wrong)?,
                ];
                hex::decode(digits).map_err(|_| wrong())?[0]
            }
            other => other,
        });
    }
    as_text(bytes)
}

fn urlencode(arguments: &[Value]) -> Result<Value, Fault> {
    let mut encoded = String::new();
    for byte in text_of(arguments, 0).bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(encoded.into())
}

/// A value as JSON: names sorted, `<`, `>` and `&` escaped, as Terraform writes it.
pub(super) fn json(value: &Value) -> Result<String, String> {
    let mut text = String::new();
    write_json(value, &mut text)?;
    Ok(text)
}

fn write_json(value: &Value, text: &mut String) -> Result<(), String> {
    if text.len() > LONGEST_TEXT {
        return Err("the text would be longer than 16 MiB".into());
    }
    match value.kind() {
        Kind::Null | Kind::Unknown(_) => text.push_str("null"),
        Kind::Bool(truth) => text.push_str(if *truth { "true" } else { "false" }),
        Kind::Number(number) => text.push_str(&number.to_string()),
        Kind::String(string) => write_string(string, text),
        Kind::List(items) | Kind::Set(items) | Kind::Tuple(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_json(item, text)?;
            }
            text.push(']');
        }
        Kind::Map(members) | Kind::Object(members) => {
            text.push('{');
            for (index, (name, member)) in members.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_string(name, text);
                text.push(':');
                write_json(member, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

pub(super) fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", c as u32));
            }
            c if c < ' ' => text.push_str(&format!("\\u{:04x}", c as u32)),
            c => text.push(c),
        }
    }
    text.push('"');
}

fn jsondecode(arguments: &[Value]) -> Result<Value, Fault> {
    let parsed: serde_json::Value =
        serde_json::from_str(text_of(arguments, 0)).map_err(|error| {
            let why = format!(
                "the text is not JSON: line {}, column {}",
                error.line(),
                error.column()
            );
            Fault::of(0, why)
        })?;
    from_json(&parsed, &mut { MOST_ELEMENTS }).map_err(|why| Fault::of(0, why))
}

/// The value of parsed JSON; `left` counts down the values that it may have.
fn from_json(parsed: &serde_json::Value, left: &mut usize) -> Result<Value, String> {
    *left = left
        .checked_sub(1)
        .ok_or("there are more than a million values in it")?;
    Ok(match parsed {
        serde_json::Value::Null => Value::null(),
        serde_json::Value::Bool(truth) => (*truth).into(),
        serde_json::Value::Number(number) => number_of(&number.to_string())?,
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) => {
            let values = items.iter().map(|item| from_json(item, left));
            Value::tuple(values.collect::<Result<_, _>>()?)
        }
        serde_json::Value::Object(members) => {
            let found = members
                .iter()
                .map(|(name, value)| Ok((Arc::from(name.as_str()), from_json(value, left)?)));
            Value::object(found.collect::<Result<_, String>>()?)
        }
    })
}

pub(super) fn number_of(text: &str) -> Result<Value, String> {
    match text.len() > LONGEST_NUMBER {
        true => Err("a number in it is too long".into()),
        false => text
            .parse::<dmp_sdk::Number>()
            .map(Value::from)
            .map_err(|error| error.to_string()),
    }
}

const LONGEST_NUMBER: usize = 5_000;
