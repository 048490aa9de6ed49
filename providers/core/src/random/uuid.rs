//! `core_random_uuid`: a random UUID of version 4 (RFC 9562, section 5.4).

use dmp_sdk::{Attribute, Diagnostic, Layer, Mark, Schema, Type, Value};

use super::bytes;
use crate::record::{Chosen, keepers, no_such_id};

/// The type.
pub(crate) struct RandomUuid;

impl Chosen for RandomUuid {
    fn schema() -> Schema {
        Schema::new("core_random_uuid", "A random UUID (version 4).")
            .layer(Layer::Network)
            .on_delete("It leaves the state.")
            .counterpart("random_uuid", &["{result}"])
            .attribute("keepers", keepers())
            .attribute(
                "result",
                Attribute::computed(Type::String, "The UUID, in small letters."),
            )
            .attribute("id", Attribute::computed(Type::String, "The same."))
    }

    fn choose(_mark: &Mark, _wanted: &Value) -> Result<Value, Diagnostic> {
        let mut bytes = bytes(16)?;
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let digits = hex::encode(bytes);
        let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
        Ok(both(&parts.join("-")))
    }

    fn read(id: &str) -> Result<Value, Diagnostic> {
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        let is_hex = |letter: char| letter.is_ascii_hexdigit() || letter == '-';
        if lengths == [8, 4, 4, 4, 12] && id.chars().all(is_hex) {
            Ok(both(&id.to_ascii_lowercase()))
        } else {
            Err(no_such_id("a UUID: `aabbccdd-eeff-0011-2233-445566778899`"))
        }
    }
}

fn both(uuid: &str) -> Value {
    Value::object_of([("result", uuid.into()), ("id", uuid.into())])
}
