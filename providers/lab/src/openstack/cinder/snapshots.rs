//! Snapshots of volumes.

use serde_json::{Value, json};

use super::steps::{Doing, MESSAGE};
use super::volumes::{can_be_kept, check_gigabytes};
use super::{change, over, own_project, path, seen, shows};
use crate::openstack::estate::{Kind, Shown, fine_moment, number, shown, text};
use crate::openstack::listing::Listing;
use crate::openstack::shape::{self, Member, Object, Shape, TEXT_OR_NULL, check};
use crate::openstack::steps::Doing as Step;
use crate::openstack::{Answer, Call, Failure, Outcome};
use crate::world::now;

/// `cinder/api/schemas/snapshots.py`.
static CREATE: Object = Object {
    members: &[Member("snapshot", 0, Shape::Object(&SNAPSHOT))],
    needed: &["snapshot"],
    is_open: false,
};

static SNAPSHOT: Object = Object {
    members: &[
        Member("name", 0, TEXT_OR_NULL),
        Member("description", 0, TEXT_OR_NULL),
        Member("volume_id", 0, Shape::Uuid),
        Member("force", 0, Shape::Either(&[Shape::Flag, Shape::Null])),
        Member("metadata", 0, Shape::Either(&[Shape::Texts, Shape::Null])),
    ],
    needed: &["volume_id"],
    is_open: false,
};

static UPDATE: Object = Object {
    members: &[Member("snapshot", 0, Shape::Object(&UPDATED))],
    needed: &["snapshot"],
    is_open: false,
};

static UPDATED: Object = Object {
    members: &[
        Member("name", 0, TEXT_OR_NULL),
        Member("description", 0, TEXT_OR_NULL),
        Member("display_name", 0, TEXT_OR_NULL),
        Member("display_description", 0, TEXT_OR_NULL),
    ],
    needed: &[],
    is_open: false,
};

/// How long things take, in seconds of life.
const MADE: f64 = 4.0;
const GONE: f64 = 3.0;

fn find(call: &Call<'_>) -> Result<Shown, Failure> {
    super::find(call, Kind::Snapshot)
}

fn told(call: &Call<'_>, snapshot: &Shown) -> Shown {
    let mut told = snapshot.clone();
    told.remove(MESSAGE);
    for (name, minor) in [
        ("group_snapshot_id", 14),
        ("user_id", 41),
        ("consumes_quota", 65),
    ] {
        if !shows(call, minor) {
            told.remove(name);
        }
    }
    told
}

fn page(call: &Call<'_>, below: &str, is_short: bool) -> Outcome {
    own_project(call)?;
    let all = call.world.openstack.all(Kind::Snapshot).into_iter().rev();
    let own = all.filter(|(_, snapshot)| snapshot.project == call.caller.project);
    let mut listing = Listing {
        many: "snapshots",
        path: path(call, below),
        items: own
            .map(|(_, snapshot)| told(call, &snapshot.shown))
            .collect(),
    };
    listing.filter(call, |name| matches!(name, "name" | "status" | "volume_id"));
    if is_short {
        for item in &mut listing.items {
            item.retain(|name, _| !name.starts_with("os-extended"));
        }
    }
    Answer::ok(listing.page(call)?)
}

/// `GET /v3/{project}/snapshots/detail`.
pub(super) fn list_whole(call: &mut Call<'_>) -> Outcome {
    page(call, "snapshots/detail", false)
}

/// `GET /v3/{project}/snapshots`.
pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    page(call, "snapshots", true)
}

/// `GET /v3/{project}/snapshots/{id}`.
pub(super) fn show(call: &mut Call<'_>) -> Outcome {
    let snapshot = find(call)?;
    Answer::ok(json!({ "snapshot": told(call, &snapshot) }))
}

/// `POST /v3/{project}/snapshots`.
pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    own_project(call)?;
    check(&CREATE, &call.body, call.version)?;
    let sent = call.body["snapshot"].clone();
    let volume_id = sent["volume_id"].as_str().unwrap_or_default();
    let volume = seen(call, Kind::Volume, volume_id)?;
    // From 3.66 on a volume in use needs no force, and `false` can't be said.
    let force = shape::flag(&sent["force"]);
    if shows(call, 66) && force == Some(false) {
        return Err(Failure::bad(
            "Invalid input for field/attribute force. Value: False. Invalid value for 'force' is passed.",
        ));
    }
    let is_forced = force.unwrap_or(false) || shows(call, 66);
    if !can_be_kept(&volume, is_forced) {
        return Err(Failure::bad(format!(
            "Invalid volume: Volume {volume_id} status must be available, but current status is: {}.",
            text(&volume, "status")
        )));
    }
    let project = call.caller.project.clone();
    let (most, has) = (
        call.quota("snapshots"),
        call.world.openstack.count(Kind::Snapshot, &project),
    );
    if most >= 0 && has >= most {
        return Err(over(format!(
            "SnapshotLimitExceeded: Maximum number of snapshots allowed ({most}) exceeded"
        )));
    }
    check_gigabytes(call.world, &project, number(&volume, "size"))?;
    let id = call.world.openstack.new_id();
    let moment = fine_moment(now());
    let metadata = match &sent["metadata"] {
        Value::Null => json!({}),
        metadata => metadata.clone(),
    };
    let made = shown(json!({
        "id": id, "name": sent["name"], "description": sent["description"], "volume_id": volume_id, "size": volume.get("size"),
        "status": "creating", "metadata": metadata, "created_at": moment, "updated_at": moment, "user_id": call.caller.user,
        "group_snapshot_id": null, "consumes_quota": true, "os-extended-snapshot-attributes:project_id": project,
        "os-extended-snapshot-attributes:progress": "0%",
    }));
    call.world
        .openstack
        .put(Kind::Snapshot, &id, &project, made.clone());
    call.world
        .begin_step(Step::Storage(Kind::Snapshot, id, Doing::Create), MADE);
    Answer::with(202, json!({ "snapshot": told(call, &made) }))
}

/// `PUT /v3/{project}/snapshots/{id}`.
pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    find(call)?;
    check(&UPDATE, &call.body, call.version)?;
    let sent = call.body["snapshot"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    change(call, Kind::Snapshot, sent);
    let snapshot = find(call)?;
    Answer::ok(json!({ "snapshot": told(call, &snapshot) }))
}

/// `DELETE /v3/{project}/snapshots/{id}`.
pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let snapshot = find(call)?;
    let id = call.id();
    match text(&snapshot, "status") {
        "deleting" => return Answer::empty(202),
        "available" | "error" | "error_deleting" => {}
        status => {
            return Err(Failure::bad(format!(
                "Invalid snapshot: Snapshot status must be available or error, but current status is: {status}"
            )));
        }
    }
    call.world
        .openstack
        .set(Kind::Snapshot, &id, "status", "deleting");
    call.world
        .begin_step(Step::Storage(Kind::Snapshot, id, Doing::Delete), GONE);
    Answer::empty(202)
}
