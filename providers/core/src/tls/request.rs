//! `core_cert_request`: a request for a certificate (RFC 2986).

use dmp_sdk::{Attribute, Diagnostic, Layer, Mark, Schema, Type, Value};
use sha2::{Digest, Sha256};

use super::{failed, key, names};
use crate::record::{Chosen, text};

/// The type.
pub(crate) struct CertRequest;

impl Chosen for CertRequest {
    const SHOWN: &'static [&'static str] = names::ARGUMENTS;

    fn schema() -> Schema {
        let schema = Schema::new(
            "core_cert_request",
            "A request for a certificate, to be signed by a `core_signed_cert` or by anybody else.",
        )
        .layer(Layer::Network)
        .on_delete("It leaves the state.")
        .attribute(
            "private_key_pem",
            Attribute::required(
                Type::String,
                "The key that the certificate is for, in PEM form.",
            )
            .sensitive()
            .replaces(),
        )
        .attribute(
            "cert_request_pem",
            Attribute::computed(Type::String, "The request, in PEM form."),
        )
        .attribute(
            "id",
            Attribute::computed(
                Type::String,
                "SHA-256 of the request, in hexadecimal digits.",
            ),
        );
        names::arguments(schema)
    }

    fn choose(_mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let key = key("private_key_pem", &text(wanted, "private_key_pem"))?;
        let request = names::params(wanted)?.serialize_request(&key);
        let request = request.map_err(failed)?;
        let id = hex::encode(Sha256::digest(request.der()));
        Ok(Value::object_of([
            ("cert_request_pem", request.pem().map_err(failed)?.into()),
            ("id", id.into()),
        ]))
    }
}
