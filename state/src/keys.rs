//! The data key that seals secrets.
//!
//! One data key per state, wrapped for each that may open it (`recipients`); values are sealed by AES-256-GCM with
//! lineage, owner and path as associated data, so a sealed value opens only where it was put.

use std::path::PathBuf;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use dmp_sdk::AttributePath;
use dmp_sdk::codec::{CodecError, Sealer};
use zeroize::Zeroizing;

use crate::recipients::{Access, Wrapped, unwrap};
use crate::store::Outside;

/// The opened data key of one state.
pub struct Keys {
    key: LessSafeKey,
    plain: Zeroizing<Vec<u8>>,
    lineage: String,
    is_whole: bool,
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
    /// A recipient is none.
    #[error("`{text}` is not the recipient of an age identity, `age1…`")]
    NotARecipientKey {
        /// What is written.
        text: String,
    },
    /// Whoever asks for it could not open the state any more.
    #[error("the identity in `{}` is not among the recipients, and could not open the state any more: its recipient is {recipient}", path.display())]
    LockedOut {
        /// The file.
        path: PathBuf,
        /// Its recipient.
        recipient: String,
    },
    /// A passphrase is wanted and not there.
    #[error("a passphrase is asked for by the stack, and there is none in `DMP_PASSPHRASE`")]
    NoPassphrase,
    /// The identity does not open it, and no passphrase was given.
    #[error("{0}; the passphrase in `DMP_PASSPHRASE` would open it too")]
    PassphraseWouldDo(String),
    /// Neither the identity nor the passphrase opens it.
    #[error("neither the identity nor the passphrase in `DMP_PASSPHRASE` opens this state")]
    WrongPassphrase,
    /// The cipher or the random source failed.
    #[error("the cryptographic library failed: {0}")]
    Crypto(&'static str),
}

impl Keys {
    /// Makes a data key.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub(crate) fn mint(lineage: &str, is_whole: bool) -> Result<Self, KeyError> {
        let mut plain = Zeroizing::new(vec![0_u8; 32]);
        rand::fill(plain.as_mut()).map_err(|_| KeyError::Crypto("no random numbers"))?;
        Self::of(plain, lineage, is_whole)
    }

    /// Opens a wrapped data key by what is at hand.
    ///
    /// # Errors
    /// When nothing at hand opens it.
    pub(crate) fn open(
        wrapped: &Wrapped,
        outside: &Outside,
        lineage: &str,
    ) -> Result<Self, KeyError> {
        Self::of(unwrap(wrapped, outside)?, lineage, wrapped.whole)
    }

    fn of(plain: Zeroizing<Vec<u8>>, lineage: &str, is_whole: bool) -> Result<Self, KeyError> {
        let key = UnboundKey::new(&AES_256_GCM, &plain)
            .map_err(|_| KeyError::Crypto("a key of the wrong length"))?;
        Ok(Self {
            key: LessSafeKey::new(key),
            plain,
            lineage: lineage.to_owned(),
            is_whole,
        })
    }

    /// Wraps the data key for those who may open it.
    pub(crate) fn wrap(
        &self,
        access: &Access,
        outside: &Outside,
        earlier: Option<&Wrapped>,
    ) -> Result<Wrapped, KeyError> {
        access.wrap(&self.plain, outside, earlier)
    }

    /// Whether all values are sealed, not only secrets.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::recipients::Wanted;

    fn outside(identity: &Path) -> Outside {
        Outside {
            identity_file: identity.to_owned(),
            passphrase: None,
            seen_folder: PathBuf::new(),
        }
    }

    fn minted(outside: &Outside) -> (Keys, Wrapped) {
        let access = Access::at_first(&Wanted::default(), outside).expect("an identity");
        let keys = Keys::mint("lineage", false).expect("mints");
        let wrapped = keys.wrap(&access, outside, None).expect("wraps");
        (keys, wrapped)
    }

    #[test]
    fn a_sealed_value_opens_only_for_its_owner_and_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let outside = outside(&folder.path().join("identity.txt"));
        let (keys, wrapped) = minted(&outside);
        let path = AttributePath::of("token");
        let sealed = keys.sealer("one").seal(&path, "hunter2").expect("seals");
        assert!(!sealed.contains("hunter2"));

        let again = Keys::open(&wrapped, &outside, "lineage").expect("opens");
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
        let other = Keys::open(&wrapped, &outside, "another").expect("opens");
        assert!(other.sealer("one").open(&path, &sealed).is_err());
    }

    #[test]
    fn another_identity_opens_nothing_and_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = outside(&folder.path().join("one"));
        let two = outside(&folder.path().join("two"));
        let (_, wrapped) = minted(&one);
        minted(&two);
        let error = Keys::open(&wrapped, &two, "lineage").expect_err("not a recipient");
        assert!(error.to_string().contains("two"), "{error}");
    }
}
