//! The data key that seals secrets, and how it is wrapped for those who may open it.
//!
//! One data key per state, wrapped by age for each recipient; values are sealed by AES-256-GCM with lineage, owner
//! and path as associated data, so a sealed value opens only where it was put. The identity lies outside the stack
//! folder: whoever copies the folder alone has no secrets.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use dmp_sdk::AttributePath;
use dmp_sdk::codec::{CodecError, Sealer};
use zeroize::Zeroizing;

/// The opened data key of one state.
pub struct Keys {
    key: LessSafeKey,
    lineage: String,
}

/// Why there is no usable key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The identity file can't be read or made.
    #[error("cannot use the identity file `{}`: {source}", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not an age identity.
    #[error("`{}` is not an age identity file", path.display())]
    NotAnIdentity {
        /// The file.
        path: PathBuf,
    },
    /// The state was sealed for others.
    #[error("the identity in `{}` opens none of this state's keys", path.display())]
    NotARecipient {
        /// The file.
        path: PathBuf,
    },
    /// The cipher or the random source failed.
    #[error("the cryptographic library failed: {0}")]
    Crypto(&'static str),
}

/// A data key wrapped for its recipients.
pub struct WrappedKey {
    /// What age made, in base64.
    pub wrapped: String,
    /// Who can open it.
    pub recipients: Vec<String>,
}

impl Keys {
    /// Mints a data key and wraps it for the identity in a file, which is made if it is not there.
    ///
    /// # Errors
    /// When the identity file can't be used.
    pub fn mint(identity_file: &Path, lineage: &str) -> Result<(Self, WrappedKey), KeyError> {
        let identity = identity_or_new(identity_file)?;
        let mut plain = Zeroizing::new([0_u8; 32]);
        rand::fill(plain.as_mut()).map_err(|_| KeyError::Crypto("no random numbers"))?;
        let recipient = identity.to_public();
        let wrapped = age::encrypt(&recipient, plain.as_ref())
            .map(|bytes| BASE64.encode(bytes))
            .map_err(|_| KeyError::Crypto("the key can't be wrapped"))?;
        let wrapped = WrappedKey {
            wrapped,
            recipients: vec![recipient.to_string()],
        };
        Ok((Self::from_bytes(plain.as_ref(), lineage)?, wrapped))
    }

    /// Opens a wrapped data key with the identity in a file.
    ///
    /// # Errors
    /// When there is no such file, or it opens nothing.
    pub fn open(identity_file: &Path, wrapped: &str, lineage: &str) -> Result<Self, KeyError> {
        let identity = read_identity(identity_file)?;
        let not_ours = || KeyError::NotARecipient {
            path: identity_file.to_owned(),
        };
        let wrapped = BASE64.decode(wrapped).map_err(|_| not_ours())?;
        let plain = age::decrypt(&identity, &wrapped).map_err(|_| not_ours())?;
        Self::from_bytes(&Zeroizing::new(plain), lineage)
    }

    fn from_bytes(bytes: &[u8], lineage: &str) -> Result<Self, KeyError> {
        let key = UnboundKey::new(&AES_256_GCM, bytes)
            .map_err(|_| KeyError::Crypto("a key of the wrong length"))?;
        Ok(Self {
            key: LessSafeKey::new(key),
            lineage: lineage.to_owned(),
        })
    }

    /// The sealer for what one owner holds: an instance's id, an output's name, a provider's address.
    #[must_use]
    pub fn sealer<'a>(&'a self, owner: &'a str) -> OwnedSealer<'a> {
        OwnedSealer { keys: self, owner }
    }

    fn associated(&self, owner: &str, path: &AttributePath) -> Vec<u8> {
        let path = path.to_string();
        let mut bytes = Vec::new();
        for part in ["dmp.v1", &self.lineage, owner, &path] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes
    }

    /// Seals bytes for an owner.
    ///
    /// # Errors
    /// When the random source or the cipher fails.
    pub fn seal_bytes(
        &self,
        owner: &str,
        path: &AttributePath,
        plain: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| KeyError::Crypto("no random numbers"))?;
        let mut text = plain.to_vec();
        let associated = Aad::from(self.associated(owner, path));
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), associated, &mut text)
            .map_err(|_| KeyError::Crypto("sealing failed"))?;
        Ok([nonce.as_slice(), &text].concat())
    }

    /// Opens what `seal_bytes` made for the same owner and path. `None` if it was changed or moved.
    #[must_use]
    pub fn open_bytes(
        &self,
        owner: &str,
        path: &AttributePath,
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self
            .key
            .open_in_place(nonce, Aad::from(self.associated(owner, path)), &mut text)
            .ok()?;
        Some(Zeroizing::new(plain.to_vec()))
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(sensitive)")
    }
}

/// Seals for one owner.
#[derive(Clone, Copy, Debug)]
pub struct OwnedSealer<'a> {
    keys: &'a Keys,
    owner: &'a str,
}

impl Sealer for OwnedSealer<'_> {
    fn seal(&self, path: &AttributePath, plain: &str) -> Result<String, CodecError> {
        let sealed = self.keys.seal_bytes(self.owner, path, plain.as_bytes());
        sealed
            .map(|bytes| BASE64.encode(bytes))
            .map_err(|_| CodecError::NoSealer(path.to_string()))
    }

    fn open(&self, path: &AttributePath, sealed: &str) -> Result<String, CodecError> {
        let fail = || CodecError::Sealed(path.to_string());
        let bytes = BASE64.decode(sealed).map_err(|_| fail())?;
        let plain = self
            .keys
            .open_bytes(self.owner, path, &bytes)
            .ok_or_else(fail)?;
        String::from_utf8(plain.to_vec()).map_err(|_| fail())
    }
}

fn read_identity(path: &Path) -> Result<age::x25519::Identity, KeyError> {
    let mut text = Zeroizing::new(String::new());
    let failed = |source| KeyError::Identity {
        path: path.to_owned(),
        source,
    };
    fs::File::open(path)
        .map_err(failed)?
        .read_to_string(&mut text)
        .map_err(failed)?;
    let line = text
        .lines()
        .find(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty());
    line.and_then(|line| line.trim().parse().ok())
        .ok_or_else(|| KeyError::NotAnIdentity {
            path: path.to_owned(),
        })
}

fn identity_or_new(path: &Path) -> Result<age::x25519::Identity, KeyError> {
    if path.exists() {
        return read_identity(path);
    }
    let failed = |source| KeyError::Identity {
        path: path.to_owned(),
        source,
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let identity = age::x25519::Identity::generate();
    let text = Zeroizing::new(format!(
        "# dmp's identity: opens the secrets in the states it made. Keep a copy in a safe place.\n# recipient: {}\n{}\n",
        identity.to_public(),
        identity.to_string().expose_secret()
    ));
    let temporary = path.with_extension(format!("new.{}", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    // A link, not a rename: two first runs at once must not take each other's identity away.
    match fs::hard_link(&temporary, path) {
        Ok(()) => {
            fs::remove_file(&temporary).map_err(failed)?;
            Ok(identity)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            fs::remove_file(&temporary).map_err(failed)?;
            read_identity(path)
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_for_its_owner_and_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("identity.txt");
        let (keys, wrapped) = Keys::mint(&file, "lineage").expect("mints");
        let path = AttributePath::of("token");
        let sealed = keys.sealer("one").seal(&path, "hunter2").expect("seals");
        assert!(!sealed.contains("hunter2"));

        let again = Keys::open(&file, &wrapped.wrapped, "lineage").expect("opens");
        assert_eq!(
            again.sealer("one").open(&path, &sealed),
            Ok("hunter2".into())
        );
        assert!(again.sealer("two").open(&path, &sealed).is_err());
        assert!(
            again
                .sealer("one")
                .open(&AttributePath::of("other"), &sealed)
                .is_err()
        );
        let other = Keys::open(&file, &wrapped.wrapped, "another").expect("opens");
        assert!(other.sealer("one").open(&path, &sealed).is_err());
    }

    #[test]
    fn another_identity_opens_nothing_and_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let (_, wrapped) = Keys::mint(&one, "lineage").expect("mints");
        Keys::mint(&two, "lineage").expect("mints");
        let error = Keys::open(&two, &wrapped.wrapped, "lineage").expect_err("not a recipient");
        assert!(error.to_string().contains("two"), "{error}");
    }
}
