//! `core_random_id`: random bytes, written in several ways.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Mark, Schema, Type, Value};
use num_bigint::BigUint;

use super::bytes;
use crate::record::{Chosen, keepers, no_such_id, number, text, whole};

/// The type.
pub(crate) struct RandomId;

impl Chosen for RandomId {
    const SHOWN: &'static [&'static str] = &["prefix"];

    fn schema() -> Schema {
        Schema::new(
            "core_random_id",
            "Random bytes for names that nobody else has.",
        )
        .layer(Layer::Network)
        .on_delete("It leaves the state.")
        .counterpart("random_id", &["{prefix},{id}", "{id}"])
        .attribute(
            "byte_length",
            Attribute::required(Type::Number, "How many bytes, from 1 to 1024.").replaces(),
        )
        .attribute(
            "prefix",
            Attribute::optional(Type::String, "A text before all forms but `id`.").replaces(),
        )
        .attribute("keepers", keepers())
        .attribute(
            "id",
            Attribute::computed(Type::String, "In base64 for URLs, without the prefix."),
        )
        .attribute(
            "b64_url",
            Attribute::computed(Type::String, "In base64 for URLs."),
        )
        .attribute("b64_std", Attribute::computed(Type::String, "In base64."))
        .attribute(
            "hex",
            Attribute::computed(Type::String, "In hexadecimal digits, two for each byte."),
        )
        .attribute(
            "dec",
            Attribute::computed(Type::String, "As a decimal number."),
        )
    }

    fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
        whole(change, "byte_length", 1, 1024).map(drop)
    }

    fn choose(_mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let count = usize::try_from(number(wanted, "byte_length")).unwrap_or_default();
        Ok(forms(&bytes(count)?, &text(wanted, "prefix")))
    }

    fn read(id: &str) -> Result<Value, Diagnostic> {
        let (prefix, id) = match id.rsplit_once(',') {
            Some((prefix, id)) => (Some(prefix), id),
            None => (None, id),
        };
        let bytes = URL_SAFE_NO_PAD
            .decode(id)
            .ok()
            .filter(|bytes| !bytes.is_empty())
            .ok_or_else(|| {
                no_such_id("`b64_url`, or `prefix,b64_url` without the prefix in the second part")
            })?;
        let count = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        Ok(forms(&bytes, prefix.unwrap_or_default())
            .with("prefix", prefix.into())
            .with("byte_length", count.into()))
    }
}

fn forms(bytes: &[u8], prefix: &str) -> Value {
    let with = |form: String| Value::from(format!("{prefix}{form}"));
    Value::object_of([
        ("id", URL_SAFE_NO_PAD.encode(bytes).into()),
        ("b64_url", with(URL_SAFE_NO_PAD.encode(bytes))),
        ("b64_std", with(STANDARD.encode(bytes))),
        ("hex", with(hex::encode(bytes))),
        ("dec", with(BigUint::from_bytes_be(bytes).to_string())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_of_the_same_bytes() {
        // The example of Terraform's documentation, for `import`.
        let read = RandomId::read("my-prefix-,p-9hUg").expect("an id");
        let forms = ["id", "b64_url", "b64_std", "hex", "dec"].map(|name| text(&read, name));
        let expected = [
            "p-9hUg",
            "my-prefix-p-9hUg",
            "my-prefix-p+9hUg==",
            "my-prefix-a7ef6152",
            "my-prefix-2817483090",
        ];
        assert_eq!(forms, expected);
        assert_eq!(number(&read, "byte_length"), 4);
        RandomId::read("no id!").expect_err("is refused");
    }
}
