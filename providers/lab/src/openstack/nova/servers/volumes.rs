//! Volumes that servers have.

use serde_json::{Map, Value, json};

use super::{alter, find, note, steps, word};
use crate::openstack::estate::{Kind, text};
use crate::openstack::nova::server::{Disk, Doing, Server, State};
use crate::openstack::shape::{self, Member, Object, Shape, check};
use crate::openstack::steps::Doing as Step;
use crate::openstack::{Answer, Call, Failure, Outcome, Version};

/// `nova/api/openstack/compute/schemas/volumes.py`.
static ATTACH: Object = Object {
    members: &[Member("volumeAttachment", 1, Shape::Object(&ATTACHMENT))],
    needed: &["volumeAttachment"],
    is_open: false,
};

static ATTACHMENT: Object = Object {
    members: &[
        Member("volumeId", 1, Shape::Uuid),
        Member(
            "device",
            1,
            Shape::Either(&[Shape::Text(1, 255), Shape::Null]),
        ),
        Member("tag", 49, super::tags::TAG),
        Member("delete_on_termination", 79, Shape::Flag),
    ],
    needed: &["volumeId"],
    is_open: false,
};

/// The same for a change, which takes also what was told.
static CHANGE: Object = Object {
    members: &[Member("volumeAttachment", 1, Shape::Object(&CHANGED))],
    needed: &["volumeAttachment"],
    is_open: false,
};

static CHANGED: Object = Object {
    members: &[
        Member("volumeId", 1, Shape::Uuid),
        Member("device", 85, Shape::Any),
        Member("tag", 85, Shape::Any),
        Member("serverId", 85, Shape::Any),
        Member("id", 85, Shape::Any),
        Member("delete_on_termination", 85, Shape::Flag),
    ],
    needed: &["volumeId"],
    is_open: false,
};

/// How long it takes to plug one in or pull it, in seconds of life.
const PLUGGED: f64 = 5.0;

const STATES: [State; 4] = [State::Active, State::Paused, State::Stopped, State::Resized];

fn told(call: &Call<'_>, server: &Server, disk: &Disk) -> Map<String, Value> {
    let mut told = Map::new();
    let mut add = |name: &str, value: Value| told.insert(name.to_owned(), value);
    add("volumeId", json!(disk.volume));
    add("device", json!(disk.device));
    add("serverId", json!(server.id));
    if call.version < Version(2, 89) {
        add("id", json!(disk.volume));
    } else {
        add("attachment_id", json!(disk.attachment));
        add("bdm_uuid", json!(disk.attachment));
    }
    if call.version >= Version(2, 70) {
        add("tag", json!(disk.tag));
    }
    if call.version >= Version(2, 79) {
        add("delete_on_termination", json!(disk.goes));
    }
    told
}

/// `GET /v2.1/servers/{id}/os-volume_attachments`.
pub(in crate::openstack::nova) fn list(call: &mut Call<'_>) -> Outcome {
    let server = find(call)?;
    let disks = server
        .disks
        .iter()
        .map(|disk| Value::Object(told(call, server, disk)));
    Answer::ok(json!({ "volumeAttachments": disks.collect::<Vec<_>>() }))
}

fn disk<'c>(call: &'c Call<'_>) -> Result<(&'c Server, &'c Disk), Failure> {
    let server = find(call)?;
    let volume = call.at("volume_id");
    let found = server.disks.iter().find(|disk| disk.volume == volume);
    let found = found.ok_or_else(|| Failure::missing(format!("volume_id not found: {volume}")))?;
    Ok((server, found))
}

/// `GET /v2.1/servers/{id}/os-volume_attachments/{volume_id}`.
pub(in crate::openstack::nova) fn show(call: &mut Call<'_>) -> Outcome {
    let (server, disk) = disk(call)?;
    Answer::ok(json!({ "volumeAttachment": told(call, server, disk) }))
}

/// `POST /v2.1/servers/{id}/os-volume_attachments`.
pub(in crate::openstack::nova) fn attach(call: &mut Call<'_>) -> Outcome {
    let server = find(call)?;
    check(&ATTACH, &call.body, call.version)?;
    let sent = call.body["volumeAttachment"].clone();
    let volume = word(&sent, "volumeId").unwrap_or_default();
    let found = call.world.openstack.object(Kind::Volume, &volume);
    let Some(found) = found.filter(|found| call.sees(&found.project)) else {
        return Err(Failure::missing(format!(
            "Volume {volume} could not be found."
        )));
    };
    server.must_be_unlocked(call.caller.is_admin)?;
    if !STATES.contains(&server.state) {
        server.must_be(&STATES, "attach_volume")?;
    }
    if server.disks.iter().any(|disk| disk.volume == volume) {
        return Err(Failure::bad(format!(
            "Invalid volume: volume {volume} is already attached to instances: {}",
            server.id
        )));
    }
    if !steps::is_usable(call.world, &volume) {
        return Err(Failure::bad(format!(
            "Invalid input received: Invalid volume: Volume {volume} status must be available or downloading to reserve, but the current status is {}. (HTTP 400)",
            text(&found.shown, "status")
        )));
    }
    let id = server.id.clone();
    let disk = Disk {
        volume: volume.clone(),
        // What is asked for is not what the hypervisor does.
        device: server.next_device(),
        tag: word(&sent, "tag"),
        goes: shape::flag(&sent["delete_on_termination"]).unwrap_or(false),
        attachment: String::new(),
    };
    let attachment = call.world.openstack.new_id();
    let disk = Disk { attachment, ..disk };
    let mut answer = told(call, find(call)?, &disk);
    // What is made is told of in the old way at each version.
    answer.remove("attachment_id");
    answer.remove("bdm_uuid");
    answer.insert("id".into(), json!(volume));
    alter(call, |server| server.disks.push(disk));
    call.world
        .openstack
        .set(Kind::Volume, &volume, "status", "attaching");
    note(call, "attach_volume");
    call.world
        .begin_step(Step::Server(id, Doing::Attach(volume)), PLUGGED);
    Answer::ok(json!({ "volumeAttachment": answer }))
}

/// `PUT /v2.1/servers/{id}/os-volume_attachments/{volume_id}`.
pub(in crate::openstack::nova) fn change(call: &mut Call<'_>) -> Outcome {
    let volume = disk(call)?.1.volume.clone();
    check(&CHANGE, &call.body, call.version)?;
    let sent = call.body["volumeAttachment"].clone();
    if word(&sent, "volumeId").as_ref() != Some(&volume) {
        return Err(Failure::not_served("an exchange of one volume for another"));
    }
    if let Some(goes) = shape::flag(&sent["delete_on_termination"]) {
        alter(call, |server| {
            for disk in server.disks.iter_mut().filter(|disk| disk.volume == volume) {
                disk.goes = goes;
            }
        });
    }
    Answer::empty(202)
}

/// `DELETE /v2.1/servers/{id}/os-volume_attachments/{volume_id}`.
pub(in crate::openstack::nova) fn detach(call: &mut Call<'_>) -> Outcome {
    let (server, disk) = disk(call)?;
    let (id, volume) = (server.id.clone(), disk.volume.clone());
    server.must_be_unlocked(call.caller.is_admin)?;
    if !STATES.contains(&server.state) {
        server.must_be(&STATES, "detach_volume")?;
    }
    if server.image.is_none()
        && server
            .disks
            .first()
            .is_some_and(|first| first.volume == volume)
    {
        return Err(Failure::forbidden("Cannot detach a root device volume"));
    }
    let status = call
        .world
        .openstack
        .get(Kind::Volume, &volume)
        .map(|volume| text(volume, "status"));
    if status != Some("in-use") {
        return Err(Failure::bad(format!(
            "Invalid volume: Invalid input received: Invalid volume: Unable to detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to detach. Currently: status: '{}'. (HTTP 400)",
            status.unwrap_or_default()
        )));
    }
    call.world
        .openstack
        .set(Kind::Volume, &volume, "status", "detaching");
    note(call, "detach_volume");
    call.world
        .begin_step(Step::Server(id, Doing::Detach(volume)), PLUGGED);
    Answer::empty(202)
}
