//! The last serial and hash seen, kept outside the stack folder, so that a folder rolled back is noticed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::commit::{Hash, Serial};

/// Where the last serials and hashes are kept.
#[derive(Clone, Debug)]
pub struct Seen {
    folder: PathBuf,
}

impl Seen {
    /// Uses a folder; it is made when first written to.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What was last seen of a lineage.
    #[must_use]
    pub fn last(&self, lineage: &str) -> Option<(Serial, Hash)> {
        let text = fs::read_to_string(self.folder.join(lineage)).ok()?;
        let (serial, hash) = text.trim().split_once(' ')?;
        Some((Serial(serial.parse().ok()?), Hash(hash.to_owned())))
    }

    /// Notes what is there now. Not durable on purpose: it only ever lags behind.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn note(&self, lineage: &str, serial: Serial, hash: &Hash) -> std::io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let temporary = self
            .folder
            .join(format!("{lineage}.{}", std::process::id()));
        fs::write(&temporary, format!("{serial} {hash}\n"))?;
        fs::rename(&temporary, self.folder.join(lineage))
    }

    /// The folder, for messages.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
