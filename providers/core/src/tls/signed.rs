//! `core_signed_cert`: a certificate for a request, signed by an authority of the stack.

use dmp_sdk::{
    Answers, Attribute, AttributePath, Change, Diagnostic, Fetch, Layer, Mark, Schema, Type, Value,
};
use rcgen::{CertificateSigningRequestParams, Issuer, KeyPair, PublicKeyData};
use x509_parser::pem::parse_x509_pem;

use super::{failed, key, validity};
use crate::record::{Chosen, text};

/// The type.
pub(crate) struct SignedCert;

impl Chosen for SignedCert {
    const SHOWN: &'static [&'static str] = &["cert_request_pem"];

    fn schema() -> Schema {
        let given = |doc| Attribute::required(Type::String, doc).replaces();
        let schema = Schema::new(
            "core_signed_cert",
            "A certificate for a request, signed by an authority whose key the stack has. Subject and names are those of the \
             request. It is replaced before it ends, by the first plan after `early_renewal_hours` have begun.",
        )
        .layer(Layer::Network)
        .on_delete("It leaves the state; it stays valid until its end.")
        .attribute("cert_request_pem", given("The request, in PEM form."))
        .attribute("ca_cert_pem", given("The authority's certificate, in PEM form."))
        .attribute("ca_private_key_pem", given("The authority's key, in PEM form.").sensitive());
        validity::arguments(schema)
    }

    fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
        validity::check(change)
    }

    fn choose(_mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let key = key("ca_private_key_pem", &text(wanted, "ca_private_key_pem"))?;
        let authority = text(wanted, "ca_cert_pem");
        is_authority(&authority, &key)?;
        let issuer = Issuer::from_ca_cert_pem(&authority, &key).map_err(failed)?;
        let request = text(wanted, "cert_request_pem");
        let mut request = CertificateSigningRequestParams::from_pem(&request)
            .map_err(|error| refused("cert_request_pem", "not a request", error.to_string()))?;
        validity::apply(&mut request.params, wanted)?;
        let certificate = request.signed_by(&issuer).map_err(failed)?;
        validity::results(&certificate, &request.params)
    }

    fn fetches() -> Result<Vec<Fetch>, Diagnostic> {
        validity::fetches()
    }

    fn derive(attributes: Value, answers: Answers<'_>) -> Result<Value, Diagnostic> {
        validity::derive(&attributes, answers)
    }
}

fn refused(attribute: &str, summary: &'static str, detail: impl Into<String>) -> Diagnostic {
    Diagnostic::error("invalid-argument", summary)
        .path(AttributePath::of(attribute))
        .detail(detail)
}

/// Refuses a certificate that may sign none, or that is for another key: nobody would accept what it signs.
fn is_authority(pem: &str, key: &KeyPair) -> Result<(), Diagnostic> {
    let unreadable = || refused("ca_cert_pem", "not a certificate", "it can't be read");
    let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(|_| unreadable())?;
    let certificate = pem.parse_x509().map_err(|_| unreadable())?;
    if certificate.public_key().raw != key.subject_public_key_info() {
        return Err(refused(
            "ca_private_key_pem",
            "the key of another certificate",
            "`ca_private_key_pem` does not belong to `ca_cert_pem`",
        ));
    }
    if !certificate.is_ca() {
        return Err(refused(
            "ca_cert_pem",
            "not an authority",
            "the certificate may not sign others",
        )
        .help("make it with `is_ca_certificate = true`"));
    }
    Ok(())
}
