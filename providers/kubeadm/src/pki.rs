//! The keys of a cluster, minted once: the CAs of cluster, front proxy and etcd, the service accounts' key, and the
//! administrator's certificate.
//!
//! kubeadm uses what it finds in its `pki` folder (kubernetes.io, "PKI certificates and requirements"), so these are put
//! there before it begins.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dmp_sdk::{Diagnostic, Marks, Value};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

/// The files of a cluster's keys, below kubeadm's `pki` folder, and the names they have in [`mint`]'s value.
pub(crate) const FILES: [(&str, &str); 8] = [
    ("ca_crt", "ca.crt"),
    ("ca_key", "ca.key"),
    ("front_proxy_ca_crt", "front-proxy-ca.crt"),
    ("front_proxy_ca_key", "front-proxy-ca.key"),
    ("etcd_ca_crt", "etcd/ca.crt"),
    ("etcd_ca_key", "etcd/ca.key"),
    ("sa_key", "sa.key"),
    ("sa_pub", "sa.pub"),
];

/// Mints all keys of a cluster whose API is at `endpoint` (`host:port`). The value is sensitive as a whole.
pub(crate) fn mint(endpoint: &str) -> Result<Value, Diagnostic> {
    make(endpoint)
        .map(|value| value.marked(&Marks::sensitive()))
        .map_err(|error| {
            Diagnostic::error("no-keys", "cannot mint the cluster's keys").cause(error.to_string())
        })
}

fn make(endpoint: &str) -> Result<Value, rcgen::Error> {
    let cluster = authority("kubernetes")?;
    let front_proxy = authority("front-proxy-ca")?;
    let etcd = authority("etcd-ca")?;
    let service_accounts = KeyPair::generate()?;
    let pin = Sha256::digest(cluster.key.subject_public_key_info());
    let kubeconfig = kubeconfig(endpoint, &cluster)?;
    Ok(Value::object_of([
        ("ca_crt", cluster.certificate.into()),
        ("ca_key", cluster.key.serialize_pem().into()),
        ("front_proxy_ca_crt", front_proxy.certificate.into()),
        ("front_proxy_ca_key", front_proxy.key.serialize_pem().into()),
        ("etcd_ca_crt", etcd.certificate.into()),
        ("etcd_ca_key", etcd.key.serialize_pem().into()),
        ("sa_key", service_accounts.serialize_pem().into()),
        ("sa_pub", service_accounts.public_key_pem().into()),
        ("ca_hash", format!("sha256:{}", hex::encode(pin)).into()),
        ("kubeconfig", kubeconfig.into()),
    ]))
}

struct Authority {
    params: CertificateParams,
    key: KeyPair,
    certificate: String,
}

/// A certificate authority of ten years, as kubeadm's own are.
fn authority(name: &str) -> Result<Authority, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = distinguished_name(name, None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::KeyCertSign,
    ];
    valid_for(&mut params, 3650);
    let certificate = params.self_signed(&key)?.pem();
    Ok(Authority {
        params,
        key,
        certificate,
    })
}

fn distinguished_name(common: &str, organisation: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organisation) = organisation {
        name.push(DnType::OrganizationName, organisation);
    }
    name.push(DnType::CommonName, common);
    name
}

/// Valid from five minutes ago: clocks differ a little.
fn valid_for(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::minutes(5);
    params.not_after = now + Duration::days(days);
}

/// A kubeconfig for a member of `kubeadm:cluster-admins`, the group that kubeadm binds to the role of that name.
fn kubeconfig(endpoint: &str, cluster: &Authority) -> Result<String, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = distinguished_name("dmp", Some("kubeadm:cluster-admins"));
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    valid_for(&mut params, 3650);
    let issuer = Issuer::from_params(&cluster.params, &cluster.key);
    let certificate = params.signed_by(&key, &issuer)?.pem();
    let json = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "kubernetes",
            "cluster": {
                "server": format!("https://{endpoint}"),
                "certificate-authority-data": BASE64.encode(&cluster.certificate),
            },
        }],
        "users": [{
            "name": "dmp",
            "user": {
                "client-certificate-data": BASE64.encode(certificate),
                "client-key-data": BASE64.encode(key.serialize_pem()),
            },
        }],
        "contexts": [{ "name": "dmp@kubernetes", "context": { "cluster": "kubernetes", "user": "dmp" } }],
        "current-context": "dmp@kubernetes",
    });
    Ok(format!("{json:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_sensitive_and_the_kubeconfig_names_the_endpoint() {
        let keys = mint("10.0.0.1:6443").expect("mints");
        assert!(keys.marks().is_sensitive());
        for (name, file) in FILES {
            let text = keys.get(name);
            assert!(
                text.as_str()
                    .is_some_and(|text| text.starts_with("-----BEGIN ")),
                "{file}"
            );
        }
        assert!(
            keys.get("ca_hash")
                .as_str()
                .is_some_and(|hash| hash.len() == 7 + 64)
        );
        let kubeconfig = keys.get("kubeconfig");
        assert!(
            kubeconfig
                .as_str()
                .is_some_and(|text| text.contains("https://10.0.0.1:6443"))
        );
    }
}
