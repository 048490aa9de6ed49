//! Who may open a state: its data key, wrapped by age for identities and for a passphrase.
//!
//! The store calls this when a state is begun, opened, wrapped anew or given another key. An identity lies outside the
//! stack folder, and a passphrase comes from the environment: neither is ever written into the state.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use age::secrecy::{ExposeSecret, SecretString};
use age::x25519::{Identity, Recipient};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::keys::KeyError;
use crate::store::Outside;

/// Who shall be able to open a state, and what of it is sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Who opens it every day. `None`: whoever is recorded, and at first the identity that begins it.
    pub recipients: Option<Vec<String>>,
    /// Whose identities are kept elsewhere, for the day on which all others are lost.
    pub offline_recipients: Vec<String>,
    /// Whether a passphrase opens it too.
    pub passphrase: bool,
    /// Whether attributes are sealed as a whole, not only secrets.
    pub enforced: bool,
}

/// Who can open a state, and what of it is sealed, as it is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Who opens it every day.
    pub recipients: Vec<String>,
    /// Whose identities are kept elsewhere.
    pub offline_recipients: Vec<String>,
    /// Whether a passphrase opens it too.
    pub passphrase: bool,
    /// Whether attributes are sealed as a whole, not only secrets.
    pub is_whole: bool,
}

/// A data key, wrapped for all that may open it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wrapped {
    /// For the identities: what age made, in base64. Empty if there are none.
    pub wrapped: String,
    /// The recipients, as text.
    pub recipients: Vec<String>,
    /// Those of them whose identities are kept elsewhere.
    #[serde(default)]
    pub offline_recipients: Vec<String>,
    /// For the passphrase: what age made, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_passphrase: Option<String>,
    /// Whether attributes are sealed as a whole.
    #[serde(default)]
    pub whole: bool,
}

impl Wrapped {
    /// Who can open it.
    pub(crate) fn access(&self) -> Access {
        Access {
            recipients: self.recipients.clone(),
            offline_recipients: self.offline_recipients.clone(),
            passphrase: self.by_passphrase.is_some(),
            is_whole: self.whole,
        }
    }
}

impl Access {
    /// Whether somebody can open the state if the identities of every day are lost.
    #[must_use]
    pub fn has_second(&self) -> bool {
        self.recipients.len() > 1 || !self.offline_recipients.is_empty() || self.passphrase
    }

    /// What is wanted, of a state that is like this now. What is sealed stays as it is.
    #[must_use]
    pub fn changed_to(&self, wanted: &Wanted) -> Self {
        Self {
            recipients: match &wanted.recipients {
                Some(recipients) => sorted(recipients),
                None => self.recipients.clone(),
            },
            offline_recipients: sorted(&wanted.offline_recipients),
            passphrase: wanted.passphrase,
            is_whole: self.is_whole,
        }
    }

    /// What is wanted of a state that does not exist yet; makes an identity if it is to be the only one that opens it.
    pub(crate) fn at_first(wanted: &Wanted, outside: &Outside) -> Result<Self, KeyError> {
        let recipients = match &wanted.recipients {
            Some(recipients) => sorted(recipients),
            None => vec![
                identity_or_new(&outside.identity_file)?
                    .to_public()
                    .to_string(),
            ],
        };
        Ok(Self {
            recipients,
            offline_recipients: sorted(&wanted.offline_recipients),
            passphrase: wanted.passphrase,
            is_whole: wanted.enforced,
        })
    }

    /// Wraps a data key. `earlier` is how the same key was wrapped until now, if it was.
    pub(crate) fn wrap(
        &self,
        key: &[u8],
        outside: &Outside,
        earlier: Option<&Wrapped>,
    ) -> Result<Wrapped, KeyError> {
        let by_passphrase = match (self.passphrase, &outside.passphrase) {
            (false, _) => None,
            (true, given) => match earlier.and_then(|earlier| earlier.by_passphrase.clone()) {
                Some(earlier) => Some(earlier),
                None => Some(wrap_by_passphrase(
                    key,
                    given.as_ref().ok_or(KeyError::NoPassphrase)?,
                )?),
            },
        };
        self.lets_in(outside)?;
        let mut all = Vec::new();
        for text in self.recipients.iter().chain(&self.offline_recipients) {
            all.push(parse_recipient(text)?);
        }
        let wrapped = if all.is_empty() {
            String::new()
        } else {
            seal_with(
                age::Encryptor::with_recipients(all.iter().map(|one| one as _)),
                key,
            )?
        };
        Ok(Wrapped {
            wrapped,
            recipients: self.recipients.clone(),
            offline_recipients: self.offline_recipients.clone(),
            by_passphrase,
            whole: self.is_whole,
        })
    }

    /// Nobody may shut himself out: what is at hand must be able to open what is wrapped.
    fn lets_in(&self, outside: &Outside) -> Result<(), KeyError> {
        if self.passphrase && outside.passphrase.is_some() {
            return Ok(());
        }
        let own = read_identity(&outside.identity_file)?
            .to_public()
            .to_string();
        let mut all = self.recipients.iter().chain(&self.offline_recipients);
        if all.any(|recipient| *recipient == own) {
            return Ok(());
        }
        Err(KeyError::LockedOut {
            path: outside.identity_file.clone(),
            recipient: own,
        })
    }
}

fn sorted(recipients: &[String]) -> Vec<String> {
    let mut recipients = recipients.to_vec();
    recipients.sort();
    recipients.dedup();
    recipients
}

/// Opens a wrapped data key by the identity, else by the passphrase.
pub(crate) fn unwrap(wrapped: &Wrapped, outside: &Outside) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let by_identity = open_by_identity(&wrapped.wrapped, &outside.identity_file);
    let (Err(error), Some(sealed)) = (&by_identity, &wrapped.by_passphrase) else {
        return by_identity;
    };
    let Some(passphrase) = &outside.passphrase else {
        return Err(KeyError::PassphraseWouldDo(error.to_string()));
    };
    let mut identity = age::scrypt::Identity::new(passphrase.clone());
    identity.set_max_work_factor(WORK_FACTOR);
    let sealed = BASE64
        .decode(sealed)
        .map_err(|_| KeyError::WrongPassphrase)?;
    age::decrypt(&identity, &sealed)
        .map(Zeroizing::new)
        .map_err(|_| KeyError::WrongPassphrase)
}

fn open_by_identity(wrapped: &str, identity_file: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let identity = read_identity(identity_file)?;
    let not_ours = || KeyError::NotARecipient {
        path: identity_file.to_owned(),
    };
    let wrapped = BASE64.decode(wrapped).map_err(|_| not_ours())?;
    age::decrypt(&identity, &wrapped)
        .map(Zeroizing::new)
        .map_err(|_| not_ours())
}

fn wrap_by_passphrase(key: &[u8], passphrase: &SecretString) -> Result<String, KeyError> {
    let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
    recipient.set_work_factor(WORK_FACTOR);
    seal_with(
        age::Encryptor::with_recipients(std::iter::once(&recipient as _)),
        key,
    )
}

fn seal_with<E>(encryptor: Result<age::Encryptor, E>, key: &[u8]) -> Result<String, KeyError> {
    let failed = KeyError::Crypto("the key can't be wrapped");
    let Ok(encryptor) = encryptor else {
        return Err(failed);
    };
    let mut sealed = Vec::new();
    let written = encryptor.wrap_output(&mut sealed).and_then(|mut writer| {
        writer.write_all(key)?;
        writer.finish()?;
        Ok(())
    });
    match written {
        Ok(()) => Ok(BASE64.encode(sealed)),
        Err(_) => Err(failed),
    }
}

/// Says why a text is no recipient, if it is none.
///
/// # Errors
/// With the reason, in words.
pub fn check_recipient(text: &str) -> Result<(), String> {
    if text.starts_with("AGE-SECRET-KEY-") {
        return Err(
            "this is an identity, a secret: only its recipient, `age1…`, belongs here".into(),
        );
    }
    if text.starts_with("ssh-") {
        return Err(
            "an SSH key opens no state: make an identity, and write its recipient, `age1…`".into(),
        );
    }
    parse_recipient(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn parse_recipient(text: &str) -> Result<Recipient, KeyError> {
    text.parse()
        .map_err(|_| KeyError::NotARecipientKey { text: text.into() })
}

/// The recipient of the identity in a file.
///
/// # Errors
/// When there is no such file, or no identity in it.
pub fn recipient_of(identity_file: &Path) -> Result<String, KeyError> {
    Ok(read_identity(identity_file)?.to_public().to_string())
}

/// Makes a new identity in a file that must not be there yet, and gives its recipient.
///
/// # Errors
/// When the file is there already, or can't be written.
pub fn new_identity(file: &Path) -> Result<String, KeyError> {
    if file.exists() {
        return Err(KeyError::Identity {
            path: file.to_owned(),
            source: std::io::ErrorKind::AlreadyExists.into(),
        });
    }
    Ok(identity_or_new(file)?.to_public().to_string())
}

fn read_identity(path: &Path) -> Result<Identity, KeyError> {
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

fn identity_or_new(path: &Path) -> Result<Identity, KeyError> {
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
    let identity = Identity::generate();
    let text = Zeroizing::new(format!(
        "# dmp's identity: opens the secrets in the states that are sealed for it. Keep a copy in a safe place.\n# recipient: {}\n{}\n",
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

/// What scrypt costs: 2 to this power rounds, about a second and 256 MiB, as the age tool has it.
const WORK_FACTOR: u8 = 18;
