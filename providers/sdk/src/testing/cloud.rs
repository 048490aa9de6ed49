//! The file: what exists, what was called, which faults are to come.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// All that a cloud holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Things, by id.
    pub things: BTreeMap<String, Thing>,
    /// Things that were asked for and that no listing shows yet, by id: each with how many more do not.
    pub coming: BTreeMap<String, (u64, Thing)>,
    /// Entries, by key.
    pub entries: BTreeMap<String, Entry>,
    /// Members of the group, by name.
    pub members: BTreeMap<String, Member>,
    /// Places for data, by name.
    pub stores: BTreeMap<String, Store>,
    /// What lives on several things, by name.
    pub groups: BTreeMap<String, Store>,
    /// Buckets, by name.
    pub buckets: BTreeMap<String, Bucket>,
    /// Numbered places.
    pub slots: BTreeMap<String, Slot>,
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

/// A place for data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Its size.
    pub size: i64,
}

/// A bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// What its name begins with.
    pub label: String,
    /// Its size.
    pub size: i64,
    /// Whether it can be used.
    pub is_ready: bool,
}

/// A numbered place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The identity that it was given.
    pub identity: String,
    /// What is in it.
    pub text: String,
}

/// What is to go wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// Names whose create fails before anything is made.
    pub refuse: Vec<String>,
    /// Names whose create makes the object and then fails.
    pub lose_answer: Vec<String>,
    /// Labels whose buckets are not ready until somebody says so.
    pub slow: Vec<String>,
    /// How many things there may be; 0 is any number. Asked for while planning.
    pub quota: usize,
    /// Whether nothing can be reached.
    pub unreachable: bool,
    /// Milliseconds that each call takes.
    pub latency: u64,
    /// How many listings do not show what was made before them.
    pub late: u64,
}

impl State {
    /// Another listing: it shows what was late for the ones before.
    pub(super) fn is_listed(&mut self) {
        for (late, _) in self.coming.values_mut() {
            *late = late.saturating_sub(1);
        }
        let due = self.coming.extract_if(.., |_, (late, _)| *late == 0);
        self.things.extend(due.map(|(id, (_, thing))| (id, thing)));
    }
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
        self.locked(Ok)
    }

    /// Changes it, one process at a time. A process that is killed in it has changed it or has not.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> std::io::Result<T> {
        self.locked(|mut state| {
            let result = change(&mut state);
            let new = self.path.with_extension("new");
            std::fs::write(&new, serde_json::to_string_pretty(&state)?)?;
            std::fs::rename(&new, &self.path)?;
            Ok(result)
        })
    }

    fn locked<T>(&self, work: impl FnOnce(State) -> std::io::Result<T>) -> std::io::Result<T> {
        let lock = File::create(self.path.with_extension("lock"))?;
        lock.lock()?;
        let state = match std::fs::read_to_string(&self.path) {
            Ok(text) if text.is_empty() => State::default(),
            Ok(text) => serde_json::from_str(&text)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error),
        };
        work(state)
    }
}
