//! The file: what exists, what was called, which faults are to come.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// All that a cloud holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Things, by id.
    pub things: BTreeMap<String, Thing>,
    /// Entries, by key.
    pub entries: BTreeMap<String, Entry>,
    /// Members of the group, by name.
    pub members: BTreeMap<String, Member>,
    /// How many ids were given out.
    pub given: u64,
    /// Every call, in order.
    pub calls: Vec<String>,
    /// What is to go wrong.
    pub faults: Faults,
}

/// An object with an id that the cloud gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    /// The mark that its create call carried.
    pub mark: String,
    /// Its name.
    pub name: String,
    /// Its size.
    pub size: i64,
    /// A secret that it was given.
    pub secret: Option<String>,
    /// Whether its second call was made.
    pub is_whole: bool,
}

/// An object at a natural key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its text.
    pub text: String,
}

/// A member of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The machine it runs on.
    pub on: String,
}

/// What is to go wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// Names whose create fails before anything is made.
    pub refuse: Vec<String>,
    /// Names whose create makes the object and then fails.
    pub lose_answer: Vec<String>,
    /// Whether nothing can be reached.
    pub unreachable: bool,
    /// Milliseconds that each call takes.
    pub latency: u64,
}

/// A cloud in a file.
#[derive(Clone, Debug)]
pub struct Cloud {
    path: PathBuf,
}

impl Cloud {
    /// The cloud in a file; it is made at the first change.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// What it holds.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn look(&self) -> std::io::Result<State> {
        self.locked(|_, state| Ok(state))
    }

    /// Changes it, one process at a time.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> std::io::Result<T> {
        self.locked(|file, mut state| {
            let result = change(&mut state);
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(serde_json::to_string_pretty(&state)?.as_bytes())?;
            Ok(result)
        })
    }

    fn locked<T>(
        &self,
        work: impl FnOnce(&mut File, State) -> std::io::Result<T>,
    ) -> std::io::Result<T> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.path)?;
        file.lock()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let state = if text.is_empty() {
            State::default()
        } else {
            serde_json::from_str(&text)?
        };
        work(&mut file, state)
    }
}
