//! Where the log is kept. A backend knows commits and rows, not what they mean.

pub mod local;

use std::collections::BTreeMap;

use crate::commit::{Commit, Hash, Serial};

/// What a commit changes in the materialised tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A row as it is now.
    Put {
        /// Which table.
        table: Table,
        /// The row's key.
        key: String,
        /// The row's body, JSON.
        body: String,
    },
    /// A row that is gone.
    Remove {
        /// Which table.
        table: Table,
        /// The row's key.
        key: String,
    },
}

/// The materialised tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Lineage, format, wrapped key.
    Meta,
    /// By address.
    Instances,
    /// By the instance's id.
    Deposed,
    /// By id.
    Intents,
    /// By name.
    Outputs,
    /// By address.
    Providers,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 6] = [
        Self::Meta,
        Self::Instances,
        Self::Deposed,
        Self::Intents,
        Self::Outputs,
        Self::Providers,
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Instances => "instances",
            Self::Deposed => "deposed",
            Self::Intents => "intents",
            Self::Outputs => "outputs",
            Self::Providers => "providers",
        }
    }
}

/// All rows of all tables.
pub type Rows = BTreeMap<Table, BTreeMap<String, String>>;

/// Whether what was replaced is gone from the storage itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wiped {
    /// It is.
    Done,
    /// Parts of it may still lie there, for a reason.
    Not(String),
}

/// Why a backend failed.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Somebody else has committed in between.
    #[error("the state has serial {found}, not {expected}: somebody else has written it")]
    Conflict {
        /// What this run knows.
        expected: Serial,
        /// What is there.
        found: Serial,
    },
    /// The storage failed.
    #[error("cannot {what} the state in `{place}`: {why}")]
    Storage {
        /// `read` or `write`.
        what: &'static str,
        /// The file or address.
        place: String,
        /// In the storage's words.
        why: String,
    },
}

/// Keeps a log and what it amounts to.
pub trait Backend: Send {
    /// The last commit's serial and hash; `None` for an empty log.
    ///
    /// # Errors
    /// When the storage fails.
    fn head(&self) -> Result<Option<(Serial, Hash)>, BackendError>;

    /// All materialised rows.
    ///
    /// # Errors
    /// When the storage fails.
    fn rows(&self) -> Result<Rows, BackendError>;

    /// Appends a commit and changes the rows, both or neither, durable on return. The commit's link must be the head.
    ///
    /// # Errors
    /// [`BackendError::Conflict`] if the head is another; when the storage fails.
    fn append(&mut self, commit: &Commit, rows: &[Row]) -> Result<(), BackendError>;

    /// Replaces all commits and rows by one commit and its rows: all or nothing, durable on return. The commit's link
    /// must be the head. Whether what was replaced could also be wiped from the storage is told by the result.
    ///
    /// # Errors
    /// [`BackendError::Conflict`] if the head is another; when the storage fails. Nothing has changed then.
    fn replace(&mut self, commit: &Commit, rows: &[Row]) -> Result<Wiped, BackendError>;

    /// The commits after a serial, in order, at most `limit`.
    ///
    /// # Errors
    /// When the storage fails.
    fn log(&self, after: Serial, limit: usize) -> Result<Vec<Commit>, BackendError>;
}
