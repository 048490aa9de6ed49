//! The lab's own authority, and a certificate for each node signed by it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::{Trouble, folder};

/// The certificate of one node.
pub(crate) struct Identity {
    pub config: Arc<ServerConfig>,
    /// SHA-256, in pairs of hexadecimal digits.
    pub fingerprint: String,
}

/// Returns where the authority's certificate is in a lab's folder.
pub(crate) fn authority_file(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

/// Returns the identity of a node, made the first time.
pub(crate) fn identity(lab: &Path, node: &str) -> Result<Identity, Trouble> {
    let (ca_file, ca_key) = (authority_file(lab), lab.join("ca.key"));
    let (file, key_file) = (
        lab.join(format!("{node}.pem")),
        lab.join(format!("{node}.key")),
    );
    if !ca_key.exists() {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "dmp lab");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let certificate = params.self_signed(&key)?;
        folder::write_private(&ca_file, certificate.pem().as_bytes())?;
        folder::write_private(&ca_key, key.serialize_pem().as_bytes())?;
    }
    if !key_file.exists() {
        let issuer_key = KeyPair::from_pem(&folder::read(&ca_key)?)?;
        let issuer = Issuer::from_ca_cert_pem(&folder::read(&ca_file)?, issuer_key)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![node.to_owned(), "localhost".to_owned()])?;
        params
            .subject_alt_names
            .push(SanType::IpAddress(IpAddr::from([127, 0, 0, 1])));
        params.distinguished_name.push(DnType::CommonName, node);
        let certificate = params.signed_by(&key, &issuer)?;
        folder::write_private(&file, certificate.pem().as_bytes())?;
        folder::write_private(&key_file, key.serialize_pem().as_bytes())?;
    }
    let damaged = |path: &Path| Trouble::Damaged(format!("`{}`", path.display()));
    let certificate = CertificateDer::from_pem_file(&file).map_err(|_| damaged(&file))?;
    let key = PrivateKeyDer::from_pem_file(&key_file).map_err(|_| damaged(&key_file))?;
    let pairs: Vec<String> = crate::hash::sha256(&certificate)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(Identity {
        config: Arc::new(config),
        fingerprint: pairs.join(":"),
    })
}
