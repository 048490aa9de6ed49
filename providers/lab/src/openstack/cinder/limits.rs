//! Types of volumes, limits, zones, and what users are told of failures.

use serde_json::{Map, Value, json};

use super::own_project;
use crate::openstack::estate::{Estate, Ground, Kind, number};
use crate::openstack::{Answer, Call, Failure, Outcome};

/// Returns the id of a type of volumes.
pub(super) fn type_id(name: &str) -> String {
    let digits = crate::hash::sha1(&format!("volume type {name}"));
    format!(
        "{}-{}-4{}-8{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[13..16],
        &digits[17..20],
        &digits[20..32]
    )
}

/// Returns the name of the type that a name or an id means.
pub(super) fn type_named(ground: &Ground, wanted: &str) -> Option<String> {
    let mut types = ground.site.volume_types.iter();
    types
        .find(|name| *name == wanted || type_id(name) == wanted)
        .cloned()
}

fn told_type(name: &str) -> Value {
    json!({
        "id": type_id(name), "name": name, "description": null, "is_public": true, "os-volume-type-access:is_public": true,
        "extra_specs": {}, "qos_specs_id": null,
    })
}

/// `GET /v3/{project}/types`.
pub(super) fn types(call: &mut Call<'_>) -> Outcome {
    own_project(call)?;
    let types = call.world.openstack.ground.site.volume_types.iter();
    let types: Vec<Value> = types.map(|name| told_type(name)).collect();
    Answer::ok(json!({ "volume_types": types }))
}

/// `GET /v3/{project}/types/{id}`.
pub(super) fn one_type(call: &mut Call<'_>) -> Outcome {
    own_project(call)?;
    let id = call.id();
    let ground = &call.world.openstack.ground;
    let usual = ground
        .site
        .volume_types
        .first()
        .cloned()
        .filter(|_| id == "default");
    match usual.or_else(|| type_named(ground, &id)) {
        Some(name) => Answer::ok(json!({ "volume_type": told_type(&name) })),
        None => Err(Failure::missing(format!(
            "Volume type {id} could not be found."
        ))),
    }
}

/// Returns how many GiB the volumes and snapshots of a project have.
pub(super) fn gigabytes(estate: &Estate, project: &str) -> i64 {
    let sizes = [Kind::Volume, Kind::Snapshot].into_iter().flat_map(|kind| {
        let all = estate.all(kind).into_iter();
        let own = all.filter(|(_, object)| object.project == project);
        own.map(|(_, object)| number(&object.shown, "size"))
            .collect::<Vec<_>>()
    });
    sizes.sum()
}

/// `GET /v3/{project}/limits`.
pub(super) fn limits(call: &mut Call<'_>) -> Outcome {
    own_project(call)?;
    let (estate, project) = (&call.world.openstack, &call.caller.project);
    Answer::ok(json!({ "limits": { "rate": [], "absolute": {
        "maxTotalVolumes": call.quota("volumes"), "maxTotalSnapshots": call.quota("snapshots"),
        "maxTotalVolumeGigabytes": call.quota("gigabytes"), "maxTotalBackups": 0, "maxTotalBackupGigabytes": 0,
        "totalVolumesUsed": estate.count(Kind::Volume, project), "totalSnapshotsUsed": estate.count(Kind::Snapshot, project),
        "totalGigabytesUsed": gigabytes(estate, project), "totalBackupsUsed": 0, "totalBackupGigabytesUsed": 0,
    } } }))
}

/// `GET /v3/{project}/os-quota-sets/{id}`, with `?usage=True` how much is used.
pub(super) fn quotas(call: &mut Call<'_>) -> Outcome {
    own_project(call)?;
    let id = call.id();
    if !call.sees(&id) {
        return Err(Failure::forbidden(
            "Policy doesn't allow volume_extension:quotas:show to be performed.",
        ));
    }
    let estate = &call.world.openstack;
    let used = [
        ("volumes", estate.count(Kind::Volume, &id)),
        ("snapshots", estate.count(Kind::Snapshot, &id)),
        ("gigabytes", gigabytes(estate, &id)),
    ];
    let with_usage = call
        .asked("usage")
        .is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let mut set = Map::from_iter([("id".to_owned(), json!(id))]);
    for (name, used) in used {
        let limit = call.quota(name);
        let value = match with_usage {
            true => json!({ "limit": limit, "in_use": used, "reserved": 0, "allocated": 0 }),
            false => json!(limit),
        };
        set.insert(name.to_owned(), value);
    }
    Answer::ok(json!({ "quota_set": set }))
}

/// `GET /v3/{project}/os-availability-zone`.
pub(super) fn zones(call: &mut Call<'_>) -> Outcome {
    own_project(call)?;
    Answer::ok(
        json!({ "availabilityZoneInfo": [{ "zoneName": "nova", "zoneState": { "available": true } }] }),
    )
}

/// `GET /v3/{project}/messages`: why something of a volume or a snapshot has failed.
pub(super) fn messages(call: &mut Call<'_>) -> Outcome {
    own_project(call)?;
    let wanted = call.asked("resource_uuid").unwrap_or_default();
    let estate = &call.world.openstack;
    let told = [(Kind::Volume, "VOLUME"), (Kind::Snapshot, "VOLUME_SNAPSHOT")].into_iter().filter_map(|(kind, name)| {
        let object = estate.object(kind, wanted).filter(|object| call.sees(&object.project))?;
        let message = object.shown.get(super::steps::MESSAGE)?;
        Some(json!({
            "id": type_id(wanted), "resource_uuid": wanted, "resource_type": name, "user_message": message, "message_level": "ERROR",
            "event_id": "VOLUME_000001", "request_id": format!("req-{wanted}"), "created_at": object.shown.get("updated_at"),
        }))
    });
    Answer::ok(json!({ "messages": told.collect::<Vec<_>>() }))
}

/// `GET /v3/{project}/extensions`.
pub(super) fn extensions(call: &mut Call<'_>) -> Outcome {
    own_project(call)?;
    Answer::ok(json!({ "extensions": [] }))
}
