//! Keys, requests and certificates for TLS. Arguments and results are named as those of Terraform's provider `tls`.

mod names;
mod private_key;
mod request;
mod self_signed;
mod signed;
mod validity;

use dmp_sdk::{AttributePath, Diagnostic};
use rcgen::KeyPair;

pub(crate) use private_key::TlsKey;
pub(crate) use request::CertRequest;
pub(crate) use self_signed::SelfSignedCert;
pub(crate) use signed::SignedCert;

/// A private key that was given. The error tells nothing of it.
fn key(attribute: &str, pem: &str) -> Result<KeyPair, Diagnostic> {
    KeyPair::from_pem(pem).map_err(|_| {
        Diagnostic::error("invalid-argument", "not a private key")
            .path(AttributePath::of(attribute))
            .detail("it is no RSA, ECDSA or Ed25519 key in PEM form")
    })
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: rcgen::Error) -> Diagnostic {
    Diagnostic::error("no-certificate", "cannot make it").cause(error.to_string())
}
