//! Swift: containers, and objects in them. Both are found by their names, and what is said of them stands in headers. Checked against
//! Swift 2.30 (Zed): `swift/common/constraints.py`, `swift/proxy/controllers`, `swift/obj/server.py`.

pub(crate) mod container;
pub(crate) mod object;

use std::collections::BTreeMap;
use std::sync::Arc;

use dmp_sdk::{Diagnostic, Value};
use serde_json::Value as Json;

use crate::session::Headers;
use crate::values::{text, wrong};

/// The longest name of a piece of metadata, and its longest text, in bytes.
const LONGEST: (usize, usize) = (128, 256);

/// The metadata among headers, by their names without `prefix`.
fn metadata_of(headers: &Json, prefix: &str) -> BTreeMap<String, String> {
    let headers = headers.as_object().into_iter().flatten();
    let own = headers.filter_map(|(name, value)| {
        let name = name.strip_prefix(prefix)?;
        Some((name.to_owned(), value.as_str()?.to_owned()))
    });
    own.collect()
}

/// The metadata that a value has.
fn metadata_in(value: &Value) -> BTreeMap<String, String> {
    let metadata = value.get("metadata");
    let members = metadata.as_members().into_iter().flatten();
    let texts = members.filter_map(|(name, text)| Some((name.to_string(), text.as_str()?.into())));
    texts.collect()
}

/// Metadata as a value; null where there is none, and none was said.
fn as_value(metadata: BTreeMap<String, String>, known: &Value) -> Value {
    match metadata.is_empty() && known.get("metadata").is_null() {
        true => Value::null(),
        false => {
            let members = metadata.into_iter();
            let members = members.map(|(name, text)| (Arc::from(name), Value::from(text)));
            Value::map(members.collect())
        }
    }
}

/// Refuses metadata that can't stand in headers as it is, and would come back in another form.
fn check_metadata(planned: &Value) -> Result<(), Diagnostic> {
    for (name, text) in metadata_in(planned) {
        let is_name = !name.is_empty()
            && name.len() <= LONGEST.0
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !is_name {
            return Err(wrong(
                "metadata",
                format!(
                    "`{name}` is no name of metadata in Swift: write it in lower case, of letters, digits and `-`"
                ),
            ));
        }
        let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if text.is_empty() || text.len() > LONGEST.1 || text.trim() != text || !is_plain {
            return Err(wrong(
                "metadata",
                format!(
                    "the text of `{name}` has to be of 1 to 256 bytes of ASCII, without spaces around it"
                ),
            ));
        }
    }
    Ok(())
}

/// A header, where something is said.
fn said(headers: &mut Headers, name: &str, value: Option<String>) {
    if let Some(value) = value {
        headers.push((name.to_owned(), value));
    }
}

/// A text among headers.
fn header(headers: &Json, name: &str) -> Value {
    text(headers, name).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(name: &str, text: &str) -> Value {
        let metadata = Value::map([(name.into(), text.into())].into_iter().collect());
        Value::object_of([("metadata", metadata)])
    }

    #[test]
    fn metadata_come_back_as_they_were_written() {
        let headers = json!({ "x-container-meta-for": "the web", "x-container-read": ".r:*" });
        let found = metadata_of(&headers, "x-container-meta-");
        let value = as_value(found, &Value::object_of([]));
        assert_eq!(value, with("for", "the web").get("metadata"));
        assert!(as_value(BTreeMap::new(), &Value::object_of([])).is_null());
    }

    #[test]
    fn metadata_that_would_come_back_in_another_form_are_refused() {
        assert!(check_metadata(&with("for-2", "the web")).is_ok());
        for (name, text) in [
            ("For", "x"),
            ("a_b", "x"),
            ("a", ""),
            ("a", " x"),
            ("a", "ü"),
        ] {
            assert!(check_metadata(&with(name, text)).is_err(), "{name}: {text}");
        }
    }
}
