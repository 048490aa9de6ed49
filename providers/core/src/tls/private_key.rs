//! `core_private_key`: an RSA, ECDSA or Ed25519 key pair in PEM form.

use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Mark, Schema, Type, Value};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519,
    PKCS_RSA_SHA256, PublicKeyData, RsaKeySize,
};
use sha2::{Digest, Sha256};

use super::failed;
use crate::record::{Chosen, keepers, number, text, wrong};

/// The type.
pub(crate) struct TlsKey;

impl Chosen for TlsKey {
    fn schema() -> Schema {
        Schema::new(
            "core_private_key",
            "A key pair in PEM form, for certificates and signatures.",
        )
        .layer(Layer::Network)
        .on_delete("It leaves the state, and with it the only copy that dmp has.")
        .attribute(
            "algorithm",
            Attribute::required(Type::String, "`ECDSA`, `ED25519` or `RSA`.").replaces(),
        )
        .attribute(
            "ecdsa_curve",
            Attribute::default(
                Type::String,
                "With `ECDSA`: `P256`, `P384` or `P521`.",
                "P256",
            )
            .replaces(),
        )
        .attribute(
            "rsa_bits",
            Attribute::default(Type::Number, "With `RSA`: 2048, 3072 or 4096.", 2048).replaces(),
        )
        .attribute("keepers", keepers())
        .attribute(
            "private_key_pem",
            Attribute::computed(Type::String, "The private key, in PKCS #8 form (RFC 5958).")
                .sensitive(),
        )
        .attribute(
            "public_key_pem",
            Attribute::computed(
                Type::String,
                "The public key (RFC 5280, `SubjectPublicKeyInfo`).",
            ),
        )
        .attribute(
            "id",
            Attribute::computed(
                Type::String,
                "SHA-256 of the public key's DER form, in hexadecimal digits.",
            ),
        )
    }

    fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
        one_of(change, "algorithm", &["ECDSA", "ED25519", "RSA"])?;
        one_of(change, "ecdsa_curve", &["P256", "P384", "P521"])?;
        let bits = change.planned.get("rsa_bits");
        if bits.as_number().is_some() && !matches!(bits.as_i64(), Some(2048 | 3072 | 4096)) {
            return Err(wrong(
                "rsa_bits",
                "not a possible length",
                "`rsa_bits` is 2048, 3072 or 4096",
            ));
        }
        Ok(())
    }

    fn choose(_mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let made = match text(wanted, "algorithm").as_str() {
            "RSA" => {
                let size = match number(wanted, "rsa_bits") {
                    4096 => RsaKeySize::_4096,
                    3072 => RsaKeySize::_3072,
                    _ => RsaKeySize::_2048,
                };
                KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size)
            }
            "ED25519" => KeyPair::generate_for(&PKCS_ED25519),
            _ => KeyPair::generate_for(match text(wanted, "ecdsa_curve").as_str() {
                "P521" => &PKCS_ECDSA_P521_SHA512,
                "P384" => &PKCS_ECDSA_P384_SHA384,
                _ => &PKCS_ECDSA_P256_SHA256,
            }),
        };
        let key = made.map_err(failed)?;
        let digest = Sha256::digest(key.subject_public_key_info());
        Ok(Value::object_of([
            ("private_key_pem", key.serialize_pem().into()),
            ("public_key_pem", key.public_key_pem().into()),
            ("id", hex::encode(digest).into()),
        ]))
    }
}

fn one_of(change: &Change<'_>, name: &str, all: &[&str]) -> Result<(), Diagnostic> {
    let value = change.planned.get(name);
    match value.as_str() {
        Some(given) if !all.contains(&given) => Err(wrong(
            name,
            "not a possible value",
            format!("`{name}` is one of `{}`", all.join("`, `")),
        )
        .did_you_mean(given, all.iter().copied())),
        _ => Ok(()),
    }
}
