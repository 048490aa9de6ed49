//! Records as they lie on disk, and back: values encoded, secrets sealed for their owner.

use std::collections::BTreeMap;
use std::sync::Arc;

use dmp_sdk::codec::{CodecError, Sealer, decode, encode};
use dmp_sdk::sharing::Pool;
use dmp_sdk::{Address, AttributePath, HoldsData, Layer, Machine, Marks, Value, Verb};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Snapshot, StateError};
use crate::backends::{Row, Rows, Table};
use crate::commit::{Hash, Serial};
use crate::intent::{Intent, RunningBatch};
use crate::keys::Keys;
use crate::recipients::Wrapped;
use crate::record::{
    Dependency, Group, Hosting, Instance, Output, ProviderRecord, Record, Status, Stored,
};

/// Intents that a commit changes by small records, as they are with those applied.
#[derive(Debug, Default)]
pub(super) struct Intents(pub BTreeMap<String, Intent>);

impl Intents {
    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::IntentOpened(intent) => {
                self.0.insert(intent.id.clone(), (**intent).clone());
            }
            Record::IntentId { intent, object_id } => {
                if let Some(intent) = self.0.get_mut(intent) {
                    intent.object_id = Some(object_id.clone());
                }
            }
            Record::BatchSent { intents, on, batch } => {
                for id in intents {
                    if let Some(intent) = self.0.get_mut(id) {
                        intent.note_batch(on, batch);
                    }
                }
            }
            Record::IntentClosed { intent } => {
                self.0.remove(intent);
            }
            _ => {}
        }
    }
}

impl Intent {
    /// Notes the last batch of a machine.
    pub(super) fn note_batch(&mut self, on: &Machine, batch: &str) {
        self.batches.retain(|running| running.on.key() != on.key());
        self.batches.push(RunningBatch {
            on: on.clone(),
            batch: batch.to_owned(),
        });
    }
}

#[derive(Serialize, Deserialize)]
struct StoredInstance {
    address: Address,
    id: String,
    provider: String,
    schema_version: u32,
    attributes: Json,
    set_paths: Vec<String>,
    object_id: Option<String>,
    chosen: Json,
    /// Absent: not known; null: with authority, nothing was there.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "kept_null")]
    earlier: Option<Json>,
    dependencies: Vec<Dependency>,
    hosted_on: Vec<Hosting>,
    status: Status,
    prevent_destroy: bool,
    layer: Layer,
    holds_data: HoldsData,
    ends_hosted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<Group>,
    create_milliseconds: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct StoredIntent {
    id: String,
    verb: Verb,
    instance: Json,
    #[serde(default)]
    deposes: bool,
    object_id: Option<String>,
    batches: Vec<StoredBatch>,
    run: String,
}

#[derive(Serialize, Deserialize)]
struct StoredBatch {
    on: Json,
    batch: String,
}

#[derive(Serialize, Deserialize)]
struct StoredProvider {
    provider: String,
    config: Json,
    origins: Vec<Address>,
}

/// Keeps `Some(null)` apart from `None`.
mod kept_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value as Json;

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Json>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().unwrap_or(&Json::Null).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Json>, D::Error> {
        Json::deserialize(deserializer).map(Some)
    }
}

/// Secrets are sealed each at its place, and then the whole value, where encryption is enforced.
fn seal(keys: &Keys, owner: &str, part: &str, value: &Value) -> Result<Json, CodecError> {
    let json = encode(value, &keys.sealer(&format!("{owner}/{part}")))?;
    if !keys.is_whole() || json.is_null() {
        return Ok(json);
    }
    // An owner of its own: a secret that is renamed to this must not open as a plain value.
    let owner = format!("{owner}/{part}/{WHOLE}");
    let sealed = keys
        .sealer(&owner)
        .seal(&AttributePath::default(), &json.to_string())?;
    Ok(Json::Object(serde_json::Map::from_iter([(
        WHOLE.to_owned(),
        Json::String(sealed),
    )])))
}

fn open(keys: &Keys, owner: &str, part: &str, json: &Json) -> Result<Value, CodecError> {
    let sealer = format!("{owner}/{part}");
    let Some(Json::String(sealed)) = json.get(WHOLE) else {
        return decode(json, &keys.sealer(&sealer));
    };
    let owner = format!("{owner}/{part}/{WHOLE}");
    let root = AttributePath::default();
    let text = keys.sealer(&owner).open(&root, sealed)?;
    let json = serde_json::from_str(&text).map_err(|_| CodecError::Malformed(root.to_string()))?;
    decode(&json, &keys.sealer(&sealer))
}

/// The one member of what is sealed as a whole. In data such a name has one more `$`.
pub(super) const WHOLE: &str = "$whole";

fn to_json<T: Serialize>(value: &T) -> Result<Json, StateError> {
    serde_json::to_value(value).map_err(|error| StateError::Damaged(error.to_string()))
}

fn from_text<T: for<'de> Deserialize<'de>>(
    table: Table,
    key: &str,
    text: &str,
) -> Result<T, StateError> {
    let damaged = |error| StateError::Damaged(format!("{} `{key}`: {error}", table.as_str()));
    serde_json::from_str(text).map_err(damaged)
}

fn instance(instance: &Instance, keys: &Keys) -> Result<Json, StateError> {
    let id = &instance.id;
    to_json(&StoredInstance {
        address: instance.address.clone(),
        id: id.clone(),
        provider: instance.provider.clone(),
        schema_version: instance.schema_version,
        attributes: seal(keys, id, "attributes", &instance.attributes)?,
        set_paths: instance.set_paths.clone(),
        object_id: instance.object_id.clone(),
        chosen: seal(keys, id, "chosen", &instance.chosen)?,
        earlier: instance
            .earlier
            .as_ref()
            .map(|earlier| seal(keys, id, "earlier", earlier))
            .transpose()?,
        dependencies: instance.dependencies.clone(),
        hosted_on: instance.hosted_on.clone(),
        status: instance.status.clone(),
        prevent_destroy: instance.prevent_destroy,
        layer: instance.layer,
        holds_data: instance.holds_data,
        ends_hosted: instance.ends_hosted,
        group: instance.group.clone(),
        create_milliseconds: instance.create_milliseconds,
    })
}

fn instance_back(stored: StoredInstance, keys: &Keys) -> Result<Instance, StateError> {
    let id = &stored.id;
    Ok(Instance {
        attributes: open(keys, id, "attributes", &stored.attributes)?,
        chosen: open(keys, id, "chosen", &stored.chosen)?,
        earlier: stored
            .earlier
            .as_ref()
            .map(|earlier| open(keys, id, "earlier", earlier))
            .transpose()?,
        address: stored.address,
        provider: stored.provider,
        schema_version: stored.schema_version,
        set_paths: stored.set_paths,
        object_id: stored.object_id,
        dependencies: stored.dependencies,
        hosted_on: stored.hosted_on,
        status: stored.status,
        prevent_destroy: stored.prevent_destroy,
        layer: stored.layer,
        holds_data: stored.holds_data,
        ends_hosted: stored.ends_hosted,
        group: stored.group,
        create_milliseconds: stored.create_milliseconds,
        id: stored.id,
    })
}

fn intent(intent: &Intent, keys: &Keys) -> Result<Json, StateError> {
    let batch = |running: &RunningBatch| {
        Ok(StoredBatch {
            on: machine(&running.on, &running.batch, keys)?,
            batch: running.batch.clone(),
        })
    };
    to_json(&StoredIntent {
        id: intent.id.clone(),
        verb: intent.verb,
        instance: instance(&intent.instance, keys)?,
        deposes: intent.deposes,
        object_id: intent.object_id.clone(),
        batches: intent
            .batches
            .iter()
            .map(batch)
            .collect::<Result<_, StateError>>()?,
        run: intent.run.clone(),
    })
}

fn intent_back(stored: StoredIntent, keys: &Keys) -> Result<Intent, StateError> {
    let batch = |stored: StoredBatch| -> Result<RunningBatch, StateError> {
        let on = open(keys, &stored.batch, "machine", &stored.on)?;
        let on =
            Machine::from_value(&on).map_err(|error| StateError::Damaged(error.to_string()))?;
        Ok(RunningBatch {
            on,
            batch: stored.batch,
        })
    };
    let wanted = serde_json::from_value(stored.instance)
        .map_err(|error| StateError::Damaged(error.to_string()))?;
    Ok(Intent {
        id: stored.id,
        verb: stored.verb,
        instance: Box::new(instance_back(wanted, keys)?),
        deposes: stored.deposes,
        object_id: stored.object_id,
        batches: stored
            .batches
            .into_iter()
            .map(batch)
            .collect::<Result<_, _>>()?,
        run: stored.run,
    })
}

fn machine(on: &Machine, batch: &str, keys: &Keys) -> Result<Json, StateError> {
    Ok(seal(keys, batch, "machine", &on.to_value())?)
}

/// A record as it lies on disk.
pub(super) fn record(record: &Record, keys: &Keys) -> Result<Stored, StateError> {
    Ok(match record {
        Record::RunBegan { command, version } => Stored::RunBegan {
            command: command.clone(),
            version: version.clone(),
        },
        Record::RunEnded { outcome } => Stored::RunEnded {
            outcome: outcome.clone(),
        },
        Record::IntentOpened(opened) => Stored::IntentOpened {
            intent: intent(opened, keys)?,
        },
        Record::IntentId { intent, object_id } => Stored::IntentId {
            intent: intent.clone(),
            object_id: object_id.clone(),
        },
        Record::BatchSent { intents, on, batch } => Stored::BatchSent {
            intents: intents.clone(),
            on: machine(on, batch, keys)?,
            batch: batch.clone(),
        },
        Record::IntentClosed { intent } => Stored::IntentClosed {
            intent: intent.clone(),
        },
        Record::InstancePut(put) => Stored::InstancePut {
            instance: instance(put, keys)?,
        },
        Record::InstanceRemoved { address, why } => Stored::InstanceRemoved {
            address: address.clone(),
            why: why.clone(),
        },
        Record::InstanceDeposed(deposed) => Stored::InstanceDeposed {
            instance: instance(deposed, keys)?,
        },
        Record::DeposedRemoved { id, address, why } => Stored::DeposedRemoved {
            id: id.clone(),
            address: address.clone(),
            why: why.clone(),
        },
        Record::InstanceMoved { from, to } => Stored::InstanceMoved {
            from: from.clone(),
            to: to.clone(),
        },
        Record::ProviderPut { address, provider } => {
            let config = provider.config.clone().marked(&Marks::sensitive());
            let stored = StoredProvider {
                provider: provider.provider.clone(),
                config: seal(keys, address, "config", &config)?,
                origins: provider.origins.clone(),
            };
            Stored::ProviderPut {
                address: address.clone(),
                provider: to_json(&stored)?,
            }
        }
        Record::ProviderRemoved { address } => Stored::ProviderRemoved {
            address: address.clone(),
        },
        Record::Reconciled { seen } => Stored::Reconciled { seen: *seen },
        Record::OutputsPut(outputs) => {
            let sealed = |(name, output): (&String, &Output)| {
                Ok((name.clone(), seal(keys, name, "output", &output.value)?))
            };
            Stored::OutputsPut {
                outputs: outputs
                    .iter()
                    .map(sealed)
                    .collect::<Result<_, StateError>>()?,
            }
        }
    })
}

/// What a commit changes in the tables.
pub(super) fn rows(
    stored: &[Stored],
    intents: &Intents,
    keys: &Keys,
) -> Result<Vec<Row>, StateError> {
    let mut rows = Vec::new();
    for record in stored {
        match record {
            Stored::IntentOpened { intent } => {
                let id = intent["id"].as_str().unwrap_or_default();
                rows.push(put(Table::Intents, id, intent.to_string()));
            }
            Stored::IntentId { intent: id, .. } => rows.extend(intent_row(intents, id, keys)?),
            Stored::BatchSent { intents: ids, .. } => {
                for id in ids {
                    rows.extend(intent_row(intents, id, keys)?);
                }
            }
            other => rows.extend(plain_rows(other)),
        }
    }
    Ok(rows)
}

fn intent_row(intents: &Intents, id: &str, keys: &Keys) -> Result<Option<Row>, StateError> {
    let Some(changed) = intents.0.get(id) else {
        return Ok(None);
    };
    Ok(Some(put(
        Table::Intents,
        id,
        intent(changed, keys)?.to_string(),
    )))
}

fn put(table: Table, key: &str, body: String) -> Row {
    Row::Put {
        table,
        key: key.to_owned(),
        body,
    }
}

fn remove(table: Table, key: &str) -> Row {
    Row::Remove {
        table,
        key: key.to_owned(),
    }
}

/// The rows of records which need nothing but themselves.
fn plain_rows(record: &Stored) -> Vec<Row> {
    match record {
        Stored::Genesis { .. } | Stored::Checkpoint { .. } | Stored::KeyWrapped(_) => {
            meta_rows(record)
        }
        Stored::IntentClosed { intent } => vec![remove(Table::Intents, intent)],
        Stored::InstancePut { instance } => {
            let address = instance["address"].as_str().unwrap_or_default();
            vec![put(Table::Instances, address, instance.to_string())]
        }
        Stored::InstanceRemoved { address, .. } | Stored::InstanceMoved { from: address, .. } => {
            vec![remove(Table::Instances, &address.to_string())]
        }
        Stored::InstanceDeposed { instance } => {
            let id = instance["id"].as_str().unwrap_or_default();
            vec![put(Table::Deposed, id, instance.to_string())]
        }
        Stored::DeposedRemoved { id, .. } => vec![remove(Table::Deposed, id)],
        Stored::ProviderPut { address, provider } => {
            vec![put(Table::Providers, address, provider.to_string())]
        }
        Stored::ProviderRemoved { address } => vec![remove(Table::Providers, address)],
        Stored::OutputsPut { outputs } => {
            let all = outputs
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            vec![put(Table::Outputs, "all", Json::Object(all).to_string())]
        }
        _ => Vec::new(),
    }
}

/// What a record says of the state as a whole.
pub(super) fn meta_rows(record: &Stored) -> Vec<Row> {
    match record {
        Stored::Genesis { lineage, format } | Stored::Checkpoint { lineage, format } => vec![
            put(Table::Meta, "lineage", lineage.clone()),
            put(Table::Meta, "format", format.to_string()),
        ],
        Stored::KeyWrapped(wrapped) => wrapped_rows(wrapped),
        _ => Vec::new(),
    }
}

fn wrapped_rows(wrapped: &Wrapped) -> Vec<Row> {
    let offline = &wrapped.offline_recipients;
    let or_none = |key: &str, body: Option<String>| match body {
        Some(body) => put(Table::Meta, key, body),
        None => remove(Table::Meta, key),
    };
    vec![
        put(Table::Meta, "wrapped_key", wrapped.wrapped.clone()),
        put(Table::Meta, "recipients", wrapped.recipients.join("\n")),
        or_none(
            "offline_recipients",
            (!offline.is_empty()).then(|| offline.join("\n")),
        ),
        or_none("passphrase_key", wrapped.by_passphrase.clone()),
        or_none("sealing", wrapped.whole.then(|| "whole".to_owned())),
    ]
}

/// The wrapped key, as the tables hold it.
pub(super) fn wrapped(rows: &Rows) -> Result<Wrapped, StateError> {
    let empty = BTreeMap::new();
    let meta = rows.get(&Table::Meta).unwrap_or(&empty);
    let lines = |key: &str| -> Vec<String> {
        let text = meta.get(key).map(String::as_str).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let missing = || StateError::Damaged("`wrapped_key` is missing".into());
    Ok(Wrapped {
        wrapped: meta.get("wrapped_key").ok_or_else(missing)?.clone(),
        recipients: lines("recipients"),
        offline_recipients: lines("offline_recipients"),
        by_passphrase: meta.get("passphrase_key").cloned(),
        whole: meta
            .get("sealing")
            .is_some_and(|sealing| sealing == "whole"),
    })
}

/// The records that make all that a state is now.
pub(super) fn everything(snapshot: &Snapshot) -> Vec<Record> {
    let mut records = Vec::new();
    let boxed = |instance: &Instance| Box::new(instance.clone());
    for instance in snapshot.instances.values() {
        records.push(Record::InstancePut(boxed(instance)));
    }
    for instance in snapshot.deposed.values() {
        records.push(Record::InstanceDeposed(boxed(instance)));
    }
    for intent in snapshot.intents.values() {
        records.push(Record::IntentOpened(Box::new(intent.clone())));
    }
    for (address, provider) in &snapshot.providers {
        records.push(Record::ProviderPut {
            address: address.clone(),
            provider: Box::new(provider.clone()),
        });
    }
    records.push(Record::OutputsPut(snapshot.outputs.clone()));
    records
}

/// What the tables hold.
pub(super) fn snapshot(
    rows: &Rows,
    keys: &Keys,
    lineage: String,
    serial: Serial,
    hash: Hash,
) -> Result<Snapshot, StateError> {
    let mut snapshot = Snapshot {
        lineage,
        serial,
        hash,
        ..Snapshot::default()
    };
    let empty = BTreeMap::new();
    let table = |table| rows.get(&table).unwrap_or(&empty).iter();
    // Each resource on a host has recorded the whole connection to it.
    let mut pool = Pool::default();
    let instances = table(Table::Instances).map(|(key, text)| {
        let mut instance = instance_back(from_text(Table::Instances, key, text)?, keys)?;
        instance.attributes = pool.share_members(&instance.attributes);
        Ok((instance.address.clone(), Arc::new(instance)))
    });
    // Rows come in order of their ids: sorted at once is faster than put in one by one.
    snapshot.instances = instances.collect::<Result<_, StateError>>()?;
    for (key, text) in table(Table::Deposed) {
        let instance = instance_back(from_text(Table::Deposed, key, text)?, keys)?;
        snapshot.deposed.insert(key.clone(), instance);
    }
    for (key, text) in table(Table::Intents) {
        let intent = intent_back(from_text(Table::Intents, key, text)?, keys)?;
        snapshot.intents.insert(key.clone(), intent);
    }
    for (key, text) in table(Table::Providers) {
        let stored: StoredProvider = from_text(Table::Providers, key, text)?;
        let config = open(keys, key, "config", &stored.config)?;
        let record = ProviderRecord {
            provider: stored.provider,
            config,
            origins: stored.origins,
        };
        snapshot.providers.insert(key.clone(), record);
    }
    for (key, text) in table(Table::Outputs) {
        let outputs: BTreeMap<String, Json> = from_text(Table::Outputs, key, text)?;
        for (name, json) in outputs {
            let value = open(keys, &name, "output", &json)?;
            snapshot.outputs.insert(name, Output { value });
        }
    }
    Ok(snapshot)
}
