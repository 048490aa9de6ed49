//! `core_ssh_key`: an Ed25519 key pair for SSH.

use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Mark, Schema, Type, Value};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, LineEnding, PrivateKey};

use crate::random::bytes;
use crate::record::{Chosen, keepers, text, wrong};

/// The type.
pub(crate) struct SshKey;

impl Chosen for SshKey {
    const SHOWN: &'static [&'static str] = &["comment"];

    fn schema() -> Schema {
        Schema::new("core_ssh_key", "An Ed25519 key pair for SSH.")
            .layer(Layer::Network)
            .on_delete("It leaves the state, and with it the only copy that dmp has.")
            .attribute("comment", Attribute::optional(Type::String, "What stands behind the public key, such as `deploy@example`; without line breaks.").replaces())
            .attribute("keepers", keepers())
            .attribute("private_key", Attribute::computed(Type::String, "The private key as OpenSSH has it in a file, without a passphrase.").sensitive())
            .attribute("public_key", Attribute::computed(Type::String, "The public key as a line of `authorized_keys`, without the line break."))
            .attribute("fingerprint", Attribute::computed(Type::String, "`SHA256:…`, as `ssh-keygen -l` shows it."))
    }

    fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let comment = change.planned.get("comment");
        match comment.as_str() {
            Some(comment) if comment.contains(char::is_control) => Err(wrong(
                "comment",
                "not a comment",
                "a line break in it would begin another key",
            )),
            _ => Ok(()),
        }
    }

    fn choose(_mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let mut seed = [0; 32];
        seed.copy_from_slice(&bytes(32)?);
        let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
        let key = PrivateKey::new(pair, text(wanted, "comment")).map_err(failed)?;
        let private = key.to_openssh(LineEnding::LF).map_err(failed)?;
        let public = key.public_key();
        Ok(Value::object_of([
            ("private_key", private.as_str().into()),
            ("public_key", public.to_openssh().map_err(failed)?.into()),
            (
                "fingerprint",
                public.fingerprint(HashAlg::Sha256).to_string().into(),
            ),
        ]))
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: ssh_key::Error) -> Diagnostic {
    Diagnostic::error("no-key", "cannot make a key").cause(error.to_string())
}
