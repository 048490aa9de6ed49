//! `core_secret`: random bytes that nobody sees, for tokens and keys of services.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Mark, Schema, Type, Value};
use sha2::{Digest, Sha256};

use crate::random::bytes;
use crate::record::{Chosen, keepers, number, whole};

/// The type.
pub(crate) struct Secret;

impl Chosen for Secret {
    fn schema() -> Schema {
        Schema::new("core_secret", "A secret: random bytes, made once, shown nowhere, encrypted in the state. It is rotated by a keeper: `keepers = { rotated = \"2026-11\" }`.")
            .layer(Layer::Network)
            .on_delete("It leaves the state, and with it the only copy that dmp has.")
            .attribute("bytes", Attribute::default(Type::Number, "How many bytes, from 16 to 1024.", 32).replaces())
            .attribute("keepers", keepers())
            .attribute("hex", Attribute::computed(Type::String, "In hexadecimal digits.").sensitive())
            .attribute("base64", Attribute::computed(Type::String, "In base64.").sensitive())
            .attribute("base64_url", Attribute::computed(Type::String, "In base64 for URLs, without padding.").sensitive())
            .attribute("id", Attribute::computed(Type::String, "An id that is another after each rotation and tells nothing of the secret."))
    }

    fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
        whole(change, "bytes", 16, 1024).map(drop)
    }

    fn choose(mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let secret = bytes(usize::try_from(number(wanted, "bytes")).unwrap_or_default())?;
        Ok(Value::object_of([
            ("hex", hex::encode(&secret).into()),
            ("base64", STANDARD.encode(&secret).into()),
            ("base64_url", URL_SAFE_NO_PAD.encode(&secret).into()),
            (
                "id",
                hex::encode(&Sha256::digest(&mark.instance)[..8]).into(),
            ),
        ]))
    }
}
