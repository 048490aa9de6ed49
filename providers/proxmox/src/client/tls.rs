//! Whom the client trusts: the system's authorities, given ones, single certificates by their fingerprint, or anybody.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use super::Settings;

/// Whose certificates are accepted.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// Those of authorities that the system knows.
    System,
    /// Those of these authorities (PEM), and of no others.
    Authorities(String),
    /// Those with one of these SHA-256 fingerprints.
    Pinned(Vec<[u8; 32]>),
    /// Everybody's.
    Nobody,
}

/// The HTTP client: HTTP/1.1 alone, since only there the reason phrase arrives; no proxy that could see the token.
pub(super) fn http_client(settings: &Settings) -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder()
        .http1_only()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(Duration::from_secs(10))
        .pool_max_idle_per_host(16)
        .redirect(reqwest::redirect::Policy::none());
    let builder = match &settings.trust {
        Trust::System => builder,
        Trust::Nobody => builder.tls_danger_accept_invalid_certs(true),
        Trust::Authorities(pem) => {
            let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
                .ok()
                .filter(|certificates| !certificates.is_empty());
            let certificates = certificates.ok_or("`ca` holds no certificate in PEM's form")?;
            builder.tls_certs_only(certificates)
        }
        Trust::Pinned(fingerprints) => {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let verifier = Pinned {
                fingerprints: fingerprints.clone(),
                provider: Arc::clone(&provider),
            };
            let config = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth();
            builder.tls_backend_preconfigured(config)
        }
    };
    builder.build().map_err(|error| super::words(&error))
}

/// Accepts the certificates with these fingerprints; who shows one has to prove that it has its key.
#[derive(Debug)]
struct Pinned {
    fingerprints: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = digest(&SHA256, end_entity);
        let is_known = self
            .fingerprints
            .iter()
            .any(|known| known.as_slice() == shown.as_ref());
        match is_known {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(rustls::Error::General(format!(
                "the node shows a certificate whose fingerprint is not among `fingerprints`: {}",
                colons(shown.as_ref())
            ))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn colons(bytes: &[u8]) -> String {
    let bytes = bytes.iter().map(|byte| format!("{byte:02X}"));
    bytes.collect::<Vec<_>>().join(":")
}

const CONNECT: Duration = Duration::from_secs(10);
