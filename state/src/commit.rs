//! One durable change of the state: its serial, its link to the one before, its records.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The number of a commit; it grows by one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Serial(pub u64);

impl Serial {
    /// The serial of the next commit.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The SHA-256 of a commit and, through its link, of all before it; hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(pub String);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One row of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its number.
    pub serial: Serial,
    /// The hash of the commit before; empty for the first.
    pub previous: Hash,
    /// When, in RFC 3339, UTC.
    pub time: String,
    /// The run that made it.
    pub run: String,
    /// The records as JSON text, exactly as hashed.
    pub records: String,
    /// The hash of all the above.
    pub hash: Hash,
}

impl Commit {
    /// Makes a commit with its hash.
    #[must_use]
    pub fn new(serial: Serial, previous: Hash, time: String, run: String, records: String) -> Self {
        let hash = Self::hash_of(serial, &previous, &time, &run, &records);
        Self {
            serial,
            previous,
            time,
            run,
            records,
            hash,
        }
    }

    /// Whether the hash is that of its content.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let Self {
            serial,
            previous,
            time,
            run,
            records,
            ..
        } = self;
        self.hash == Self::hash_of(*serial, previous, time, run, records)
    }

    fn hash_of(serial: Serial, previous: &Hash, time: &str, run: &str, records: &str) -> Hash {
        let mut digest = Sha256::new();
        for part in [&serial.to_string(), &previous.0, time, run, records] {
            // Lengths keep two parts from passing for one.
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        Hash(hex::encode(digest.finalize()))
    }
}
