//! Whether the certificate that a machine shows is one of an authority that is trusted for it. Called by `host_keys`;
//! pure but for the clock that it is given.

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};

use crate::ssh_config::pattern;

/// What is trusted for one machine.
pub(crate) struct Trust<'a> {
    /// Keys of authorities, as `ssh-ed25519 AAAA…`.
    pub(crate) authorities: &'a [String],
    /// Keys that are refused whatever else holds, of authorities and of machines.
    pub(crate) revoked: &'a [String],
    /// The name that the certificate has to be for.
    pub(crate) name: &'a str,
    /// Seconds since 1970.
    pub(crate) now: u64,
}

impl Trust<'_> {
    /// Judges a certificate.
    ///
    /// # Errors
    /// Why it is not accepted, as the end of a sentence: `its certificate …`.
    pub(crate) fn judge(&self, certificate: &Certificate) -> Result<(), String> {
        if certificate.cert_type() != CertType::Host {
            return Err("is for a user, not for a machine".into());
        }
        let keys = self.authorities.iter();
        let trusted: Vec<_> = keys
            .filter_map(|key| PublicKey::from_openssh(key).ok())
            .map(|key| key.fingerprint(HashAlg::Sha256))
            .collect();
        let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
        if !trusted.contains(&authority) {
            return Err(format!(
                "is signed by {authority}, which is no authority for it"
            ));
        }
        let signed = [certificate.signature_key(), certificate.public_key()];
        for key in signed {
            let text = PublicKey::new(key.clone(), "")
                .to_openssh()
                .unwrap_or_default();
            if self.revoked.contains(&text) {
                return Err("is of a key that is revoked".into());
            }
        }
        if certificate.signature().algorithm() == (Algorithm::Rsa { hash: None }) {
            return Err("is signed with SHA-1".into());
        }
        // Whoever may be before or after its time is not told apart by the library.
        if self.now < certificate.valid_after() {
            return Err("is not valid yet".into());
        }
        if self.now >= certificate.valid_before() {
            return Err("is not valid any more".into());
        }
        certificate
            .validate_at(self.now, &trusted)
            .map_err(|_| "has a signature that is wrong".to_owned())?;
        if let Some((option, _)) = certificate.critical_options().iter().next() {
            return Err(format!(
                "has the critical option `{option}`, which dmp does not know"
            ));
        }
        let names = certificate.valid_principals();
        let name = self.name.to_ascii_lowercase();
        let is_named = |principal: &String| {
            pattern::matches(principal.to_ascii_lowercase().as_bytes(), name.as_bytes())
        };
        // Without names it is for every machine, as for OpenSSH.
        if !names.is_empty() && !names.iter().any(is_named) {
            return Err(format!(
                "is for {}, not for `{}`",
                names.join(", "),
                self.name
            ));
        }
        Ok(())
    }
}
