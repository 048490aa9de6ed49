//! Files of private keys, as `auth` finds them. An encrypted one is never decrypted: the agent is there for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::{self, PrivateKey, PublicKey};

/// What stands in a file of a key.
pub(crate) enum Loaded {
    /// A key that can be used.
    Key(Arc<PrivateKey>),
    /// One with a passphrase, and its public half where that is known.
    Encrypted(Option<PublicKey>),
    /// Only the public half is here.
    PublicOnly(PublicKey),
    /// Nothing that can be used, in words.
    Nothing(String),
}

impl Loaded {
    /// Why dmp can't use the file by itself.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Key(_) => "is a key".into(),
            Self::Encrypted(_) => ENCRYPTED.into(),
            Self::PublicOnly(_) => "is the public half alone, and there is no SSH agent".into(),
            Self::Nothing(why) => why.clone(),
        }
    }
}

/// Reads a file.
pub(crate) async fn load(path: &Path) -> Loaded {
    let text = match tokio::fs::read_to_string(path).await {
        Ok(text) => text,
        Err(error) => {
            return match public_beside(path).await {
                Some(key) => Loaded::PublicOnly(key),
                None => Loaded::Nothing(format!("can't be read: {error}")),
            };
        }
    };
    if let Ok(key) = PublicKey::from_openssh(text.trim()) {
        return Loaded::PublicOnly(key);
    }
    match decode(&text) {
        Ok(key) => Loaded::Key(Arc::new(key)),
        Err(why) if why == ENCRYPTED => {
            let inside = PrivateKey::from_openssh(text.trim()).ok();
            let inside = inside.map(|key| key.public_key().clone());
            Loaded::Encrypted(match inside {
                Some(key) => Some(key),
                None => public_beside(path).await,
            })
        }
        Err(why) => Loaded::Nothing(why),
    }
}

async fn public_beside(path: &Path) -> Option<PublicKey> {
    let text = tokio::fs::read_to_string(with_suffix(path, ".pub"))
        .await
        .ok()?;
    PublicKey::from_openssh(text.trim()).ok()
}

/// Where `ssh-keygen -s` puts the certificate of a key.
pub(crate) fn certificate_beside(path: &Path) -> PathBuf {
    with_suffix(path, "-cert.pub")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Reads the text of a key.
pub(crate) fn decode(text: &str) -> Result<PrivateKey, String> {
    // A text that lost its last newline on its way through a file function is still a key.
    let text = format!("{}\n", text.trim());
    keys::decode_secret_key(&text, None).map_err(|error| match error {
        keys::Error::KeyIsEncrypted => ENCRYPTED.into(),
        error => format!("is no private key that dmp can use: {error}"),
    })
}

const ENCRYPTED: &str =
    "is encrypted: load it into an SSH agent, or use a key without a passphrase";
