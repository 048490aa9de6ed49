//! Whether the log is whole, and the tables are what it amounts to.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::StateError;
use super::encode::WHOLE;
use crate::backends::{Backend, Row, Rows, Table};
use crate::commit::{Hash, Serial};
use crate::keys::Keys;
use crate::record::Stored;
use crate::seen::Seen;

/// What was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many commits.
    pub commits: u64,
    /// How many instances they amount to.
    pub instances: usize,
    /// How many intents are open.
    pub intents: usize,
    /// A later serial was seen on this machine before: the state is an older copy.
    pub older_than_seen: Option<Serial>,
}

pub(super) fn verify(
    backend: &dyn Backend,
    keys: Option<&Keys>,
    seen: &Seen,
) -> Result<Verified, StateError> {
    let mut replay = Replay::default();
    let mut last = (Serial::default(), Hash::default());
    let mut count = 0;
    loop {
        let commits = backend.log(last.0, 1000)?;
        if commits.is_empty() {
            break;
        }
        for commit in commits {
            let serial = commit.serial;
            let records: Vec<Stored> = serde_json::from_str(&commit.records)
                .map_err(|error| StateError::Damaged(format!("commit {serial}: {error}")))?;
            // What was before a checkpoint is gone: the log begins with it.
            if count == 0 && matches!(records.first(), Some(Stored::Checkpoint { .. })) {
                last = (Serial(serial.0.saturating_sub(1)), commit.previous.clone());
            }
            count += 1;
            if serial != last.0.next() {
                return Err(StateError::Damaged(format!(
                    "commit {serial} follows commit {}",
                    last.0
                )));
            }
            if commit.previous != last.1 {
                return Err(StateError::Damaged(format!(
                    "commit {serial} does not follow the one before it"
                )));
            }
            if !commit.is_sound() {
                return Err(StateError::Damaged(format!(
                    "commit {serial} was changed after it was written"
                )));
            }
            for record in records {
                replay.apply(record);
            }
            last = (serial, commit.hash);
        }
    }
    replay.compare(&backend.rows()?)?;
    if let (Some(keys), Some(lineage)) = (keys, replay.lineage.clone()) {
        // Opens every secret: a flipped byte inside one shows here.
        super::encode::snapshot(&backend.rows()?, keys, lineage, last.0, last.1.clone())?;
    }
    let last_seen = replay
        .lineage
        .as_deref()
        .and_then(|lineage| seen.last(lineage));
    if let Some((serial, hash)) = &last_seen
        && *serial == last.0
        && *hash != last.1
    {
        let why = format!("commit {serial} is not the one that was seen on this machine before");
        return Err(StateError::Damaged(why));
    }
    Ok(Verified {
        commits: count,
        instances: replay.instances.len(),
        intents: replay.intents.len(),
        older_than_seen: last_seen
            .map(|(serial, _)| serial)
            .filter(|serial| *serial > last.0),
    })
}

/// What the log amounts to, without opening a secret.
#[derive(Default)]
struct Replay {
    lineage: Option<String>,
    meta: BTreeMap<String, String>,
    instances: BTreeMap<String, Json>,
    deposed: BTreeMap<String, Json>,
    intents: BTreeMap<String, Json>,
    providers: BTreeMap<String, Json>,
    outputs: Option<Json>,
}

impl Replay {
    fn apply(&mut self, record: Stored) {
        for row in super::encode::meta_rows(&record) {
            match row {
                Row::Put { key, body, .. } => self.meta.insert(key, body),
                Row::Remove { key, .. } => self.meta.remove(&key),
            };
        }
        match record {
            Stored::Genesis { lineage, .. } | Stored::Checkpoint { lineage, .. } => {
                self.lineage = Some(lineage);
            }
            Stored::IntentOpened { intent } => {
                self.intents
                    .insert(intent["id"].as_str().unwrap_or_default().to_owned(), intent);
            }
            Stored::IntentClosed { intent } => {
                self.intents.remove(&intent);
            }
            Stored::InstancePut { instance } => {
                self.instances.insert(
                    instance["address"].as_str().unwrap_or_default().to_owned(),
                    instance,
                );
            }
            Stored::InstanceRemoved { address, .. } => {
                self.instances.remove(&address.to_string());
            }
            Stored::InstanceDeposed { instance } => {
                let id = instance["id"].as_str().unwrap_or_default().to_owned();
                self.deposed.insert(id, instance);
            }
            Stored::DeposedRemoved { id, .. } => {
                self.deposed.remove(&id);
            }
            Stored::InstanceMoved { from, .. } => {
                self.instances.remove(&from.to_string());
            }
            Stored::ProviderPut { address, provider } => {
                self.providers.insert(address, provider);
            }
            Stored::ProviderRemoved { address } => {
                self.providers.remove(&address);
            }
            Stored::OutputsPut { outputs } => {
                self.outputs = Some(Json::Object(outputs.into_iter().collect()));
            }
            Stored::IntentId { intent, object_id } => {
                if let Some(intent) = self.intents.get_mut(&intent) {
                    intent["object_id"] = object_id.into();
                }
            }
            Stored::RunBegan { .. }
            | Stored::RunEnded { .. }
            | Stored::Reconciled { .. }
            | Stored::BatchSent { .. }
            | Stored::KeyWrapped(_) => {}
        }
    }

    fn compare(&self, rows: &Rows) -> Result<(), StateError> {
        let empty = BTreeMap::new();
        let table = |table: Table| rows.get(&table).unwrap_or(&empty);
        let differs = |name: Table, key: &str| {
            StateError::Damaged(format!(
                "{} `{key}` is not what the log says",
                name.as_str()
            ))
        };
        let parsed = |name: Table, key: &str| -> Option<Json> {
            let text = table(name).get(key)?;
            serde_json::from_str(text).ok()
        };
        same_keys(Table::Meta, self.meta.keys(), table(Table::Meta).keys())?;
        for (key, body) in &self.meta {
            if table(Table::Meta).get(key) != Some(body) {
                return Err(differs(Table::Meta, key));
            }
        }
        // Intents change by small records which reseal them: all agrees but what is sealed, which is opened later.
        same_keys(
            Table::Intents,
            self.intents.keys(),
            table(Table::Intents).keys(),
        )?;
        for (key, intent) in &self.intents {
            if parsed(Table::Intents, key).map(unsealed) != Some(unsealed(intent.clone())) {
                return Err(differs(Table::Intents, key));
            }
        }
        if parsed(Table::Outputs, "all") != self.outputs {
            return Err(differs(Table::Outputs, "all"));
        }
        for (name, replayed) in [
            (Table::Instances, &self.instances),
            (Table::Deposed, &self.deposed),
            (Table::Providers, &self.providers),
        ] {
            same_keys(name, replayed.keys(), table(name).keys())?;
            for (key, json) in replayed {
                if parsed(name, key).as_ref() != Some(json) {
                    return Err(differs(name, key));
                }
            }
        }
        Ok(())
    }
}

/// An intent without what is sealed in it, and without its batches, whose machines are.
fn unsealed(mut json: Json) -> Json {
    fn strip(json: &mut Json) {
        match json {
            Json::Object(members)
                if members.contains_key("$sealed") || members.contains_key(WHOLE) =>
            {
                *json = Json::Null;
            }
            Json::Object(members) => members.values_mut().for_each(strip),
            Json::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    if let Some(intent) = json.as_object_mut() {
        intent.remove("batches");
    }
    strip(&mut json);
    json
}

fn same_keys<'a>(
    table: Table,
    log: impl Iterator<Item = &'a String>,
    rows: impl Iterator<Item = &'a String>,
) -> Result<(), StateError> {
    if log.eq(rows) {
        return Ok(());
    }
    Err(StateError::Damaged(format!(
        "the table `{}` has other rows than the log says",
        table.as_str()
    )))
}
