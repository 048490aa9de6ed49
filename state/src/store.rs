//! The way into the state: opens a backend, keeps what it amounts to in memory, seals secrets, commits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use age::secrecy::SecretString;
use dmp_sdk::Address;
use dmp_sdk::codec::CodecError;

use crate::backends::{Backend, BackendError, Rows, Table, Wiped};
use crate::commit::{Commit, Hash, Serial};
use crate::intent::Intent;
use crate::keys::{KeyError, Keys};
use crate::recipients::{Access, Wanted, Wrapped};
use crate::record::{Instance, Output, ProviderRecord, Record, Stored};
use crate::seen::Seen;

mod encode;
mod verify;

pub use verify::Verified;

/// The state of one stack.
pub struct Store {
    backend: Box<dyn Backend>,
    keys: Option<Keys>,
    wrapped: Wrapped,
    outside: Outside,
    seen: Seen,
    snapshot: Snapshot,
    /// What the folder was last seen to hold, if that is more than it holds now.
    pub older_than_seen: Option<Serial>,
}

/// What the log amounts to.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Minted with the state; empty before the first commit.
    pub lineage: String,
    /// The last commit.
    pub serial: Serial,
    /// Its hash.
    pub hash: Hash,
    /// What dmp owns.
    pub instances: BTreeMap<Address, Arc<Instance>>,
    /// Objects that were replaced and are not deleted yet, by their instances' ids.
    pub deposed: BTreeMap<String, Instance>,
    /// What was begun and not settled.
    pub intents: BTreeMap<String, Intent>,
    /// The stack's outputs.
    pub outputs: BTreeMap<String, Output>,
    /// Provider configurations as they were last used.
    pub providers: BTreeMap<String, ProviderRecord>,
}

/// Where a store finds what lies outside the stack folder.
#[derive(Clone, Debug)]
pub struct Outside {
    /// The age identity that opens secrets; made at the first commit, where no other recipients are named.
    pub identity_file: PathBuf,
    /// The passphrase that opens states which have one, if it was given.
    pub passphrase: Option<SecretString>,
    /// The folder of last seen serials.
    pub seen_folder: PathBuf,
}

/// Why the state could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The storage.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A value.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The content is not what dmp writes.
    #[error("the state is damaged: {0}")]
    Damaged(String),
    /// A newer dmp wrote it.
    #[error("the state has format {found}, this dmp knows formats up to {FORMAT}: use a newer dmp")]
    Newer {
        /// The format found.
        found: u32,
    },
}

impl Store {
    /// Opens a state; an empty backend is an empty state until the first commit.
    ///
    /// # Errors
    /// When the storage fails, the state is damaged or newer, or the identity does not open its key.
    pub fn open(backend: Box<dyn Backend>, outside: Outside) -> Result<Self, StateError> {
        let rows = backend.rows()?;
        let seen = Seen::new(outside.seen_folder.clone());
        let mut store = Self {
            keys: None,
            wrapped: Wrapped::default(),
            outside,
            seen,
            snapshot: Snapshot::default(),
            older_than_seen: None,
            backend,
        };
        let Some((serial, hash)) = store.backend.head()? else {
            return Ok(store);
        };
        let meta = |name: &str| {
            let text = rows.get(&Table::Meta).and_then(|meta| meta.get(name));
            text.cloned()
                .ok_or_else(|| StateError::Damaged(format!("`{name}` is missing")))
        };
        let format: u32 = meta("format")?
            .parse()
            .map_err(|_| StateError::Damaged("its format".into()))?;
        if format > FORMAT {
            return Err(StateError::Newer { found: format });
        }
        let lineage = meta("lineage")?;
        let wrapped = encode::wrapped(&rows)?;
        let keys = Keys::open(&wrapped, &store.outside, &lineage)?;
        store.wrapped = wrapped;
        store.snapshot = encode::snapshot(&rows, &keys, lineage, serial, hash)?;
        store.keys = Some(keys);
        let last_seen = store.seen.last(&store.snapshot.lineage);
        store.older_than_seen = last_seen
            .map(|(seen, _)| seen)
            .filter(|seen| *seen > serial);
        Ok(store)
    }

    /// What the log amounts to now.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The keys, once there is a state.
    #[must_use]
    pub fn keys(&self) -> Option<&Keys> {
        self.keys.as_ref()
    }

    /// Who can open the state, once there is one.
    #[must_use]
    pub fn access(&self) -> Option<Access> {
        self.keys.as_ref().map(|_| self.wrapped.access())
    }

    /// Makes the state exist: mints its lineage and its data key, wrapped for who is wanted. Does nothing where it
    /// exists.
    ///
    /// # Errors
    /// When the identity file or the storage can't be used, or who asks could not open what is wanted.
    pub fn begin(
        &mut self,
        lineage: String,
        wanted: &Wanted,
        run: &str,
        now: &str,
    ) -> Result<(), StateError> {
        if self.keys.is_some() {
            return Ok(());
        }
        let access = Access::at_first(wanted, &self.outside)?;
        let keys = Keys::mint(&lineage, access.is_whole)?;
        let wrapped = keys.wrap(&access, &self.outside, None)?;
        let genesis = [
            Stored::Genesis {
                lineage: lineage.clone(),
                format: FORMAT,
            },
            Stored::KeyWrapped(wrapped.clone()),
        ];
        let rows = encode::rows(&genesis, &encode::Intents::default(), &keys)?;
        let commit = self.commit_of(&genesis, run, now)?;
        self.backend.append(&commit, &rows)?;
        // Only now: after a commit that failed there is no state, and nothing may be added to it.
        self.wrapped = wrapped;
        self.keys = Some(keys);
        self.snapshot.lineage = lineage;
        self.advance(commit);
        Ok(())
    }

    /// Wraps the data key for who is wanted now. The key stays the same, and so does what is sealed. Gives the access as
    /// it was before, if it has changed.
    ///
    /// # Errors
    /// When who asks could not open it any more, a passphrase is missing, or the storage fails. Nothing has changed then.
    pub fn rewrap(
        &mut self,
        wanted: &Wanted,
        run: &str,
        now: &str,
    ) -> Result<Option<Access>, StateError> {
        let Some(keys) = &self.keys else {
            return Ok(None);
        };
        let before = self.wrapped.access();
        let access = before.changed_to(wanted);
        if access == before {
            return Ok(None);
        }
        let wrapped = keys.wrap(&access, &self.outside, Some(&self.wrapped))?;
        self.append(&[Stored::KeyWrapped(wrapped.clone())], run, now)?;
        self.wrapped = wrapped;
        Ok(Some(before))
    }

    /// Gives the state another data key, wrapped for who is wanted, and seals everything anew with it. The log begins
    /// anew with this one commit, since what was sealed before would open with the old key; it is all or nothing.
    /// `notes` are recorded with it and change nothing: which run it was.
    ///
    /// # Errors
    /// As for [`Store::rewrap`].
    pub fn rekey(
        &mut self,
        wanted: &Wanted,
        notes: Vec<Record>,
        run: &str,
        now: &str,
    ) -> Result<Wiped, StateError> {
        let lineage = self.snapshot.lineage.clone();
        let access = Access {
            is_whole: wanted.enforced,
            ..self.wrapped.access().changed_to(wanted)
        };
        let keys = Keys::mint(&lineage, access.is_whole)?;
        let wrapped = keys.wrap(&access, &self.outside, None)?;
        let mut stored = vec![
            Stored::Checkpoint {
                lineage,
                format: FORMAT,
            },
            Stored::KeyWrapped(wrapped.clone()),
        ];
        for record in notes.into_iter().chain(encode::everything(&self.snapshot)) {
            stored.push(encode::record(&record, &keys)?);
        }
        let rows = encode::rows(&stored, &encode::Intents::default(), &keys)?;
        let commit = self.commit_of(&stored, run, now)?;
        let wiped = self.backend.replace(&commit, &rows)?;
        self.keys = Some(keys);
        self.wrapped = wrapped;
        self.advance(commit);
        Ok(wiped)
    }

    /// Commits records: durable on return, all or none. The cost does not depend on the size of the state.
    ///
    /// # Errors
    /// When somebody else has committed, or the storage fails. Nothing has changed then.
    pub fn commit(
        &mut self,
        records: Vec<Record>,
        run: &str,
        now: &str,
    ) -> Result<Serial, StateError> {
        let keys = self
            .keys
            .as_ref()
            .ok_or_else(|| StateError::Damaged("it was never begun".into()))?;
        let stored = records
            .iter()
            .map(|record| encode::record(record, keys))
            .collect::<Result<Vec<_>, _>>()?;
        // Intents change by small records; the materialised row needs the whole intent.
        let mut changed = self.snapshot.clone_intents_of(&records);
        for record in &records {
            changed.apply(record);
        }
        self.append_with(&stored, &changed, run, now)?;
        for record in records {
            self.snapshot.apply(record);
        }
        Ok(self.snapshot.serial)
    }

    fn append(&mut self, stored: &[Stored], run: &str, now: &str) -> Result<(), StateError> {
        self.append_with(stored, &encode::Intents::default(), run, now)
    }

    fn append_with(
        &mut self,
        stored: &[Stored],
        intents: &encode::Intents,
        run: &str,
        now: &str,
    ) -> Result<(), StateError> {
        let keys = self
            .keys
            .as_ref()
            .ok_or_else(|| StateError::Damaged("it was never begun".into()))?;
        let rows = encode::rows(stored, intents, keys)?;
        let commit = self.commit_of(stored, run, now)?;
        self.backend.append(&commit, &rows)?;
        self.advance(commit);
        Ok(())
    }

    /// The next commit.
    fn commit_of(&self, stored: &[Stored], run: &str, now: &str) -> Result<Commit, StateError> {
        let text = serde_json::to_string(stored)
            .map_err(|error| StateError::Damaged(error.to_string()))?;
        Ok(Commit::new(
            self.snapshot.serial.next(),
            self.snapshot.hash.clone(),
            now.to_owned(),
            run.to_owned(),
            text,
        ))
    }

    /// Notes that a commit is on the disk.
    fn advance(&mut self, commit: Commit) {
        // What is written now is what will be seen, also by one who goes on from an older copy.
        self.older_than_seen = None;
        self.snapshot.serial = commit.serial;
        self.snapshot.hash = commit.hash;
        // What was seen is advice for a later run; that it can't be noted must not fail this one.
        let _ = self.seen.note(
            &self.snapshot.lineage,
            self.snapshot.serial,
            &self.snapshot.hash,
        );
    }

    /// Checks every link of the log, and that the materialised rows are what the log amounts to.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn verify(&self) -> Result<Verified, StateError> {
        verify::verify(self.backend.as_ref(), self.keys.as_ref(), &self.seen)
    }

    /// The commits after a serial, for history and export.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn log(&self, after: Serial, limit: usize) -> Result<Vec<Commit>, StateError> {
        Ok(self.backend.log(after, limit)?)
    }

    /// The materialised rows as they lie in the backend: secrets are sealed.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn sealed_rows(&self) -> Result<Rows, StateError> {
        Ok(self.backend.rows()?)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("serial", &self.snapshot.serial)
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    fn clone_intents_of(&self, records: &[Record]) -> encode::Intents {
        let mut intents = encode::Intents::default();
        for record in records {
            let ids: &[String] = match record {
                Record::IntentId { intent, .. } => std::slice::from_ref(intent),
                Record::BatchSent { intents, .. } => intents,
                _ => continue,
            };
            for id in ids {
                if let Some(intent) = self.intents.get(id) {
                    intents.0.insert(id.clone(), intent.clone());
                }
            }
        }
        intents
    }

    /// Applies one record: the meaning of the log.
    fn apply(&mut self, record: Record) {
        match record {
            Record::RunBegan { .. } | Record::RunEnded { .. } | Record::Reconciled { .. } => {}
            Record::IntentOpened(intent) => {
                self.intents.insert(intent.id.clone(), *intent);
            }
            Record::IntentId { intent, object_id } => {
                if let Some(intent) = self.intents.get_mut(&intent) {
                    intent.object_id = Some(object_id);
                }
            }
            Record::BatchSent { intents, on, batch } => {
                for id in intents {
                    if let Some(intent) = self.intents.get_mut(&id) {
                        intent.note_batch(&on, &batch);
                    }
                }
            }
            Record::IntentClosed { intent } => {
                self.intents.remove(&intent);
            }
            Record::InstancePut(instance) => {
                self.instances
                    .insert(instance.address.clone(), Arc::from(instance));
            }
            Record::InstanceRemoved { address, .. } => {
                self.instances.remove(&address);
            }
            Record::InstanceDeposed(instance) => {
                self.deposed.insert(instance.id.clone(), *instance);
            }
            Record::DeposedRemoved { id, .. } => {
                self.deposed.remove(&id);
            }
            Record::InstanceMoved { from, .. } => {
                self.instances.remove(&from);
            }
            Record::ProviderPut { address, provider } => {
                self.providers.insert(address, *provider);
            }
            Record::ProviderRemoved { address } => {
                self.providers.remove(&address);
            }
            Record::OutputsPut(outputs) => self.outputs = outputs,
        }
    }
}

/// The newest form of the state that this dmp reads and writes.
pub const FORMAT: u32 = 1;

#[cfg(test)]
mod tests;
