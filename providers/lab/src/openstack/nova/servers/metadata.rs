//! The metadata of servers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{alter, find};
use crate::openstack::shape::{Member, Object, Shape, check};
use crate::openstack::{Answer, Call, Failure, Outcome};

/// `nova/api/openstack/compute/schemas/server_metadata.py`.
static METADATA: Object = Object {
    members: &[Member("metadata", 1, Shape::Texts)],
    needed: &["metadata"],
    is_open: false,
};

static META: Object = Object {
    members: &[Member("meta", 1, Shape::Texts)],
    needed: &["meta"],
    is_open: false,
};

/// Refuses more items than a server may have.
pub(super) fn check_count(call: &Call<'_>, count: usize) -> Result<(), Failure> {
    let most = call.quota("metadata_items");
    match most >= 0 && i64::try_from(count).unwrap_or(i64::MAX) > most {
        true => Err(Failure::forbidden(format!(
            "Maximum number of metadata items exceeds {most}"
        ))),
        false => Ok(()),
    }
}

fn sent(value: &Value) -> BTreeMap<String, String> {
    let members = value.as_object().into_iter().flatten();
    let members =
        members.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
    members.collect()
}

fn set(call: &mut Call<'_>, metadata: BTreeMap<String, String>) -> Outcome {
    check_count(call, metadata.len())?;
    let told = json!({ "metadata": metadata });
    alter(call, |server| server.metadata = metadata);
    Answer::ok(told)
}

/// `GET /v2.1/servers/{id}/metadata`.
pub(in crate::openstack::nova) fn show(call: &mut Call<'_>) -> Outcome {
    Answer::ok(json!({ "metadata": find(call)?.metadata }))
}

/// `PUT /v2.1/servers/{id}/metadata`: all of it is replaced.
pub(in crate::openstack::nova) fn replace(call: &mut Call<'_>) -> Outcome {
    find(call)?;
    check(&METADATA, &call.body, call.version)?;
    let metadata = sent(&call.body["metadata"]);
    set(call, metadata)
}

/// `POST /v2.1/servers/{id}/metadata`: the rest stays.
pub(in crate::openstack::nova) fn add(call: &mut Call<'_>) -> Outcome {
    let mut metadata = find(call)?.metadata.clone();
    check(&METADATA, &call.body, call.version)?;
    metadata.extend(sent(&call.body["metadata"]));
    set(call, metadata)
}

fn missing() -> Failure {
    Failure::missing("Metadata item was not found")
}

/// `GET /v2.1/servers/{id}/metadata/{key}`.
pub(in crate::openstack::nova) fn show_one(call: &mut Call<'_>) -> Outcome {
    let key = call.at("key").to_owned();
    let value = find(call)?.metadata.get(&key).ok_or_else(missing)?;
    Answer::ok(json!({ "meta": BTreeMap::from([(key, value)]) }))
}

/// `PUT /v2.1/servers/{id}/metadata/{key}`.
pub(in crate::openstack::nova) fn set_one(call: &mut Call<'_>) -> Outcome {
    let mut metadata = find(call)?.metadata.clone();
    check(&META, &call.body, call.version)?;
    let key = call.at("key").to_owned();
    let one = sent(&call.body["meta"]);
    let Some(value) = one.get(&key).filter(|_| one.len() == 1) else {
        return Err(Failure::bad("Request body and URI mismatch"));
    };
    metadata.insert(key, value.clone());
    set(call, metadata)?;
    Answer::ok(json!({ "meta": one }))
}

/// `DELETE /v2.1/servers/{id}/metadata/{key}`.
pub(in crate::openstack::nova) fn remove_one(call: &mut Call<'_>) -> Outcome {
    let key = call.at("key").to_owned();
    let mut metadata = find(call)?.metadata.clone();
    metadata.remove(&key).ok_or_else(missing)?;
    set(call, metadata)?;
    Answer::empty(204)
}
