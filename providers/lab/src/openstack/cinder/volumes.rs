//! Volumes.

use serde_json::{Value, json};

use super::limits::{gigabytes, type_id, type_named};
use super::steps::{Doing, MESSAGE, is_free};
use super::{change, over, own_project, path, shows};
use crate::openstack::estate::{Kind, Shown, fine_moment, number, shown, text};
use crate::openstack::listing::Listing;
use crate::openstack::shape::{self, Member, Object, Shape, TEXT_OR_NULL, UUID_OR_NULL, check};
use crate::openstack::steps::Doing as Step;
use crate::openstack::{Answer, Call, Failure, Outcome, Version};
use crate::world::{World, now};

/// `cinder/api/schemas/volumes.py`. Before version 3.53 members that it does not name are let pass.
static CREATE: Object = Object {
    members: &[
        Member("volume", 0, Shape::Object(&VOLUME)),
        Member("OS-SCH-HNT:scheduler_hints", 0, Shape::Any),
    ],
    needed: &["volume"],
    is_open: false,
};

static OLD_CREATE: Object = Object {
    members: &[
        Member("volume", 0, Shape::Object(&OLD_VOLUME)),
        Member("OS-SCH-HNT:scheduler_hints", 0, Shape::Any),
    ],
    needed: &["volume"],
    is_open: false,
};

static VOLUME: Object = Object {
    members: MEMBERS,
    needed: &[],
    is_open: false,
};

static OLD_VOLUME: Object = Object {
    members: MEMBERS,
    needed: &[],
    is_open: true,
};

const MEMBERS: &[Member] = &[
    Member("name", 0, TEXT_OR_NULL),
    Member("description", 0, TEXT_OR_NULL),
    Member("display_name", 0, TEXT_OR_NULL),
    Member("display_description", 0, TEXT_OR_NULL),
    Member("volume_type", 0, TEXT_OR_NULL),
    Member("metadata", 0, Shape::Either(&[Shape::Texts, Shape::Null])),
    Member("snapshot_id", 0, UUID_OR_NULL),
    Member("source_volid", 0, UUID_OR_NULL),
    Member("consistencygroup_id", 0, UUID_OR_NULL),
    Member(
        "size",
        0,
        Shape::Either(&[Shape::Number(0, i32::MAX as i64), Shape::Null]),
    ),
    Member("availability_zone", 0, TEXT_OR_NULL),
    Member("multiattach", 0, Shape::Either(&[Shape::Flag, Shape::Null])),
    Member("image_id", 0, TEXT_OR_NULL),
    Member("imageRef", 0, TEXT_OR_NULL),
    Member("group_id", 13, TEXT_OR_NULL),
    Member("backup_id", 47, UUID_OR_NULL),
];

static UPDATE: Object = Object {
    members: &[Member("volume", 0, Shape::Object(&UPDATED))],
    needed: &["volume"],
    is_open: false,
};

static UPDATED: Object = Object {
    members: &[
        Member("name", 0, TEXT_OR_NULL),
        Member("description", 0, TEXT_OR_NULL),
        Member("display_name", 0, TEXT_OR_NULL),
        Member("display_description", 0, TEXT_OR_NULL),
        Member("metadata", 0, Shape::Texts),
    ],
    needed: &[],
    is_open: false,
};

/// States out of which a volume can be deleted.
pub(super) const CAN_GO: [&str; 5] = [
    "available",
    "error",
    "error_deleting",
    "error_extending",
    "error_restoring",
];

/// How long things take, in seconds of life.
const MADE: f64 = 5.0;
const GONE: f64 = 3.0;
const CHANGED: f64 = 5.0;

/// A volume that is to be.
#[derive(Clone, Debug)]
pub(in crate::openstack) struct NewVolume {
    pub project: String,
    pub user: String,
    pub size: i64,
    pub image: Option<String>,
    pub snapshot: Option<String>,
    pub kind: Option<String>,
}

/// Makes a volume for a server, and returns its id.
///
/// # Errors
/// Where a quota is spent.
pub(in crate::openstack) fn make(world: &mut World, new: NewVolume) -> Result<String, Failure> {
    check_quota(world, &new.project, new.size)?;
    let mut sent = Shown::new();
    for (name, value) in [
        ("imageRef", new.image),
        ("snapshot_id", new.snapshot),
        ("volume_type", new.kind),
    ] {
        if let Some(value) = value {
            sent.insert(name.to_owned(), json!(value));
        }
    }
    sent.insert("size".into(), json!(new.size));
    sent.insert("name".into(), json!(""));
    let id = put(world, &new.project, &new.user, &sent);
    world
        .openstack
        .set(Kind::Volume, &id, "status", "available");
    Ok(id)
}

/// Removes a volume at once.
pub(in crate::openstack) fn remove(world: &mut World, id: &str) {
    world.openstack.take(Kind::Volume, id);
}

/// Refuses what is more than a project may have, in the words of `cinder/exception.py`.
fn check_quota(world: &World, project: &str, size: i64) -> Result<(), Failure> {
    let site = &world.openstack.ground.site;
    let (most, has) = (
        site.quota("volumes"),
        world.openstack.count(Kind::Volume, project),
    );
    if most >= 0 && has >= most {
        return Err(over(format!(
            "VolumeLimitExceeded: Maximum number of volumes allowed ({most}) exceeded for quota 'volumes'."
        )));
    }
    check_gigabytes(world, project, size)
}

/// Refuses more GiB than a project may have.
pub(super) fn check_gigabytes(world: &World, project: &str, more: i64) -> Result<(), Failure> {
    let most = world.openstack.ground.site.quota("gigabytes");
    let has = gigabytes(&world.openstack, project);
    match most >= 0 && has + more > most {
        true => Err(over(format!(
            "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. Requested {more}G, quota is {most}G and {has}G has been consumed."
        ))),
        false => Ok(()),
    }
}

fn find(call: &Call<'_>) -> Result<Shown, Failure> {
    super::find(call, Kind::Volume)
}

/// Returns a volume as a version shows it.
fn told(call: &Call<'_>, volume: &Shown) -> Shown {
    let mut told = volume.clone();
    told.remove(MESSAGE);
    let since = [
        ("group_id", 13),
        ("service_uuid", 48),
        ("shared_targets", 48),
        ("cluster_name", 61),
        ("volume_type_id", 63),
        ("consumes_quota", 65),
    ];
    for (name, minor) in since {
        if !shows(call, minor) {
            told.remove(name);
        }
    }
    if !call.caller.is_admin {
        for name in ["os-vol-host-attr:host", "cluster_name", "migration_status"] {
            told.remove(name);
        }
    }
    let id = text(volume, "id");
    let href = format!("{}{}", call.base, path(call, &format!("volumes/{id}")));
    told.insert("links".into(), json!([{ "rel": "self", "href": href }]));
    told
}

fn all(call: &Call<'_>) -> Result<Vec<Shown>, Failure> {
    own_project(call)?;
    let is_for_all =
        call.caller.is_admin && call.asked("all_tenants").is_some_and(|text| text != "0");
    let all = call.world.openstack.all(Kind::Volume).into_iter().rev();
    let own = all.filter(|(_, volume)| is_for_all || volume.project == call.caller.project);
    Ok(own.map(|(_, volume)| told(call, &volume.shown)).collect())
}

fn page(call: &Call<'_>, below: &str, is_short: bool) -> Outcome {
    let mut listing = Listing {
        many: "volumes",
        path: path(call, below),
        items: all(call)?,
    };
    listing.filter(call, |name| {
        matches!(
            name,
            "name" | "status" | "metadata" | "bootable" | "availability_zone" | "volume_type"
        )
    });
    if is_short {
        for item in &mut listing.items {
            item.retain(|name, _| matches!(name.as_str(), "id" | "name" | "links"));
        }
    }
    Answer::ok(listing.page(call)?)
}

/// `GET /v3/{project}/volumes/detail`.
pub(super) fn list_whole(call: &mut Call<'_>) -> Outcome {
    page(call, "volumes/detail", false)
}

/// `GET /v3/{project}/volumes`.
pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    page(call, "volumes", true)
}

/// `GET /v3/{project}/volumes/{id}`.
pub(super) fn show(call: &mut Call<'_>) -> Outcome {
    let volume = find(call)?;
    Answer::ok(json!({ "volume": told(call, &volume) }))
}

/// Old clients have other names for two members.
fn present(mut sent: Shown) -> Shown {
    for (old, name) in [
        ("display_name", "name"),
        ("display_description", "description"),
        ("image_id", "imageRef"),
    ] {
        if let Some(value) = sent.remove(old) {
            sent.entry(name).or_insert(value);
        }
    }
    sent
}

/// `POST /v3/{project}/volumes`.
pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    own_project(call)?;
    let shape = match call.version < Version(3, 53) {
        true => &OLD_CREATE,
        false => &CREATE,
    };
    check(shape, &call.body, call.version)?;
    let sent = call.body["volume"].as_object().cloned().unwrap_or_default();
    let mut sent = present(sent);
    sent.retain(|_, value| !value.is_null());
    if sent.contains_key("backup_id") {
        return Err(Failure::not_served("backups"));
    }
    if ["group_id", "consistencygroup_id"]
        .iter()
        .any(|name| sent.contains_key(*name))
    {
        return Err(Failure::not_served("groups of volumes"));
    }
    let ground = &call.world.openstack.ground;
    if let Some(wanted) = sent
        .get("volume_type")
        .and_then(Value::as_str)
        .filter(|kind| !kind.is_empty())
    {
        let name = type_named(ground, wanted);
        let name = name
            .ok_or_else(|| Failure::missing(format!("Volume type {wanted} could not be found.")))?;
        sent.insert("volume_type".into(), json!(name));
    }
    let zone = text(&sent, "availability_zone");
    if !zone.is_empty() && zone != "nova" {
        return Err(Failure::bad(format!(
            "Invalid input received: Availability zone '{zone}' is invalid."
        )));
    }
    let size = size(call, &sent)?;
    sent.insert("size".into(), json!(size));
    check_quota(call.world, &call.caller.project, size)?;
    let (project, user) = (call.caller.project.clone(), call.caller.user.clone());
    let id = put(call.world, &project, &user, &sent);
    call.world
        .begin_step(Step::Storage(Kind::Volume, id.clone(), Doing::Create), MADE);
    let volume = call
        .world
        .openstack
        .get(Kind::Volume, &id)
        .cloned()
        .unwrap_or_default();
    Answer::with(202, json!({ "volume": told(call, &volume) }))
}

/// Returns the size of a new volume, which may be that of what it begins as.
fn size(call: &Call<'_>, sent: &Shown) -> Result<i64, Failure> {
    let estate = &call.world.openstack;
    let wanted = sent.get("size").and_then(shape::number);
    let source = |member: &str, kind: Kind, noun: &str| {
        let id = text(sent, member);
        if id.is_empty() {
            return Ok(None);
        }
        let found = estate.object(kind, id).filter(|object| {
            call.sees(&object.project) || object.shown.get("visibility") == Some(&json!("public"))
        });
        let shown = found.map(|object| object.shown.clone());
        shown
            .map(Some)
            .ok_or_else(|| Failure::missing(format!("{noun} {id} could not be found.")))
    };
    let snapshot = source("snapshot_id", Kind::Snapshot, "Snapshot")?;
    let volume = source("source_volid", Kind::Volume, "Volume")?;
    let image = source("imageRef", Kind::Image, "Image")?;
    let begins_as = snapshot.or(volume);
    let least = begins_as
        .as_ref()
        .map_or(0, |source| number(source, "size"));
    let least = image
        .as_ref()
        .map_or(least, |image| number(image, "min_disk").max(least));
    match wanted {
        Some(size) if size < 1 => Err(Failure::bad(format!(
            "Invalid input received: Volume size '{size}' must be an integer and greater than 0"
        ))),
        Some(size) if size < least => Err(Failure::bad(format!(
            "Invalid input received: Volume size {size}GB cannot be smaller than original volume size {least}GB. They must be >= original volume size."
        ))),
        Some(size) => Ok(size),
        None if begins_as.is_some() => Ok(least),
        None => Err(Failure::bad(
            "The server could not comply with the request since it is either malformed or otherwise incorrect.",
        )),
    }
}

/// Makes a volume, and returns its id.
fn put(world: &mut World, project: &str, user: &str, sent: &Shown) -> String {
    let id = world.openstack.new_id();
    let usual = world
        .openstack
        .ground
        .site
        .volume_types
        .first()
        .cloned()
        .unwrap_or_default();
    let kind = match text(sent, "volume_type") {
        "" => usual,
        kind => kind.to_owned(),
    };
    let image = text(sent, "imageRef");
    let moment = fine_moment(now());
    let or_null = |name: &str| sent.get(name).cloned().unwrap_or_default();
    let mut made = shown(json!({
        "id": id, "name": or_null("name"), "description": or_null("description"), "size": or_null("size"), "status": "creating",
        "volume_type": kind, "volume_type_id": type_id(&kind), "availability_zone": "nova", "encrypted": false,
        "bootable": if image.is_empty() { "false" } else { "true" }, "snapshot_id": or_null("snapshot_id"),
        "multiattach": sent.get("multiattach").and_then(shape::flag).unwrap_or(false),
        "source_volid": or_null("source_volid"), "attachments": [], "created_at": moment, "updated_at": moment,
        "user_id": user, "os-vol-tenant-attr:tenant_id": project, "consistencygroup_id": null, "group_id": null,
        "replication_status": null, "migration_status": null, "service_uuid": null, "shared_targets": false, "cluster_name": null,
        "consumes_quota": true, "os-vol-host-attr:host": format!("lab@{kind}#{kind}"),
        "metadata": sent.get("metadata").cloned().unwrap_or_else(|| json!({})),
    }));
    if !image.is_empty() {
        let image = world.openstack.get(Kind::Image, image);
        let name = image.map_or("", |image| text(image, "name"));
        let about = json!({ "image_id": text(sent, "imageRef"), "image_name": name });
        made.insert("volume_image_metadata".into(), about);
    }
    world.openstack.put(Kind::Volume, &id, project, made);
    id
}

/// `PUT /v3/{project}/volumes/{id}`.
pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    find(call)?;
    check(&UPDATE, &call.body, call.version)?;
    let sent = present(call.body["volume"].as_object().cloned().unwrap_or_default());
    if sent.is_empty() && shows(call, 53) {
        return Err(Failure::bad(
            "Invalid input for field/attribute volume. Value: {}. {} is not valid under any of the given schemas",
        ));
    }
    change(call, Kind::Volume, sent);
    let volume = find(call)?;
    Answer::ok(json!({ "volume": told(call, &volume) }))
}

/// `DELETE /v3/{project}/volumes/{id}`.
pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let volume = find(call)?;
    if text(&volume, "status") == "deleting" {
        return Answer::empty(202);
    }
    let id = call.id();
    let has_snapshots = !call
        .world
        .openstack
        .having(Kind::Snapshot, "volume_id", &id)
        .is_empty();
    let may_cascade = call
        .asked("cascade")
        .is_some_and(|text| text.eq_ignore_ascii_case("true"));
    if !is_free(&volume) || has_snapshots && !may_cascade {
        return Err(Failure::bad(
            "Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing and must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated from snapshots after volume transfer.",
        ));
    }
    for snapshot in call
        .world
        .openstack
        .having(Kind::Snapshot, "volume_id", &id)
    {
        call.world.openstack.take(Kind::Snapshot, &snapshot);
    }
    call.world
        .openstack
        .set(Kind::Volume, &id, "status", "deleting");
    call.world
        .begin_step(Step::Storage(Kind::Volume, id, Doing::Delete), GONE);
    Answer::empty(202)
}

/// `POST /v3/{project}/volumes/{id}/action`.
pub(super) fn act(call: &mut Call<'_>) -> Outcome {
    let volume = find(call)?;
    let (name, value) = call.action()?;
    match name.as_str() {
        "os-extend" => extend(call, &volume, &value),
        "os-retype" => retype(call, &volume, &value),
        "os-set_bootable" => {
            let flag = shape::flag(&value["bootable"]).unwrap_or(false);
            change(
                call,
                Kind::Volume,
                shown(json!({ "bootable": flag.to_string() })),
            );
            Answer::empty(200)
        }
        name => Err(Failure::not_served(format!(
            "the action `{name}` of volumes"
        ))),
    }
}

/// `cinder/api/schemas/volume_actions.py`.
static EXTEND: Object = Object {
    members: &[Member("new_size", 0, Shape::Number(1, i32::MAX as i64))],
    needed: &["new_size"],
    is_open: false,
};

static RETYPE: Object = Object {
    members: &[
        Member("new_type", 0, Shape::Text(1, 255)),
        Member(
            "migration_policy",
            0,
            Shape::Either(&[Shape::Word(&["on-demand", "never"]), Shape::Null]),
        ),
    ],
    needed: &["new_type"],
    is_open: false,
};

/// Refuses what can't be done in the state that a volume is in.
fn must_rest(volume: &Shown, verb: &str) -> Result<(), Failure> {
    let (id, status) = (text(volume, "id"), text(volume, "status"));
    match matches!(status, "available" | "in-use") {
        true => Ok(()),
        false => Err(Failure::bad(format!(
            "Invalid volume: Volume {id} status must be '('available', 'in-use')' to {verb}, currently {status}."
        ))),
    }
}

fn extend(call: &mut Call<'_>, volume: &Shown, value: &Value) -> Outcome {
    check(&EXTEND, value, call.version)?;
    must_rest(volume, "extend")?;
    if text(volume, "status") == "in-use" && !shows(call, 42) {
        return Err(Failure::bad(
            "Invalid volume: Volume status must be available to extend.",
        ));
    }
    let (size, wanted) = (
        number(volume, "size"),
        shape::number(&value["new_size"]).unwrap_or(0),
    );
    if wanted <= size {
        return Err(Failure::bad(format!(
            "Invalid input received: New size for extend must be greater than current size. (current: {size}, extended: {wanted})."
        )));
    }
    check_gigabytes(call.world, &call.caller.project, wanted - size)?;
    begin(call, "extending", Doing::Extend(wanted))
}

fn begin(call: &mut Call<'_>, status: &str, doing: Doing) -> Outcome {
    let id = call.id();
    call.world
        .openstack
        .set(Kind::Volume, &id, "status", status);
    call.world
        .begin_step(Step::Storage(Kind::Volume, id, doing), CHANGED);
    Answer::empty(202)
}

fn retype(call: &mut Call<'_>, volume: &Shown, value: &Value) -> Outcome {
    check(&RETYPE, value, call.version)?;
    must_rest(volume, "retype")?;
    let wanted = value["new_type"].as_str().unwrap_or_default();
    let name = type_named(&call.world.openstack.ground, wanted);
    let name =
        name.ok_or_else(|| Failure::missing(format!("Volume type {wanted} could not be found.")))?;
    if name == text(volume, "volume_type") {
        return Err(Failure::bad(format!(
            "Invalid input received: New volume_type same as original: {}.",
            type_id(&name)
        )));
    }
    // Here types lie in different places.
    if value["migration_policy"] != "on-demand" || text(volume, "status") == "in-use" {
        let id = call.id();
        let message = "Volume has to be migrated, which its retype does not allow.";
        call.world
            .openstack
            .set(Kind::Volume, &id, MESSAGE, message);
        return Answer::empty(202);
    }
    begin(call, "retyping", Doing::Retype(name))
}

/// Whether a volume is one that a snapshot can be taken of.
pub(super) fn can_be_kept(volume: &Shown, is_forced: bool) -> bool {
    match text(volume, "status") {
        "available" => true,
        "in-use" => is_forced,
        _ => false,
    }
}
