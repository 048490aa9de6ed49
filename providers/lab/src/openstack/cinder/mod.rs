//! Cinder: volumes and snapshots. They have no content; a server of the lab sees no disk of theirs.

mod limits;
mod metadata;
mod snapshots;
mod steps;
mod volumes;

use serde_json::json;

use super::estate::{Kind, Shown, fine_moment};
use super::{Call, Failure, Route, Service, Version};
use crate::world::now;

pub(super) use steps::{Doing, attach, finish, free};
pub(super) use volumes::{NewVolume, make, remove};

pub(super) const ROUTES: &[Route] = &[
    ("GET /v3/{project}/volumes", volumes::list),
    ("POST /v3/{project}/volumes", volumes::create),
    ("GET /v3/{project}/volumes/detail", volumes::list_whole),
    ("GET /v3/{project}/volumes/{id}", volumes::show),
    ("PUT /v3/{project}/volumes/{id}", volumes::update),
    ("DELETE /v3/{project}/volumes/{id}", volumes::delete),
    ("POST /v3/{project}/volumes/{id}/action", volumes::act),
    ("GET /v3/{project}/volumes/{id}/metadata", |call| {
        metadata::show(call, Kind::Volume)
    }),
    ("POST /v3/{project}/volumes/{id}/metadata", |call| {
        metadata::put(call, Kind::Volume, true)
    }),
    ("PUT /v3/{project}/volumes/{id}/metadata", |call| {
        metadata::put(call, Kind::Volume, false)
    }),
    ("GET /v3/{project}/snapshots", snapshots::list),
    ("POST /v3/{project}/snapshots", snapshots::create),
    ("GET /v3/{project}/snapshots/detail", snapshots::list_whole),
    ("GET /v3/{project}/snapshots/{id}", snapshots::show),
    ("PUT /v3/{project}/snapshots/{id}", snapshots::update),
    ("DELETE /v3/{project}/snapshots/{id}", snapshots::delete),
    ("GET /v3/{project}/snapshots/{id}/metadata", |call| {
        metadata::show(call, Kind::Snapshot)
    }),
    ("POST /v3/{project}/snapshots/{id}/metadata", |call| {
        metadata::put(call, Kind::Snapshot, true)
    }),
    ("PUT /v3/{project}/snapshots/{id}/metadata", |call| {
        metadata::put(call, Kind::Snapshot, false)
    }),
    ("GET /v3/{project}/types", limits::types),
    ("GET /v3/{project}/types/{id}", limits::one_type),
    ("GET /v3/{project}/limits", limits::limits),
    ("GET /v3/{project}/os-quota-sets/{id}", limits::quotas),
    (
        "GET /v3/{project}/os-quota-sets/{id}/defaults",
        limits::quotas,
    ),
    ("GET /v3/{project}/os-availability-zone", limits::zones),
    ("GET /v3/{project}/messages", limits::messages),
    ("GET /v3/{project}/extensions", limits::extensions),
];

/// Refuses a path of another project than the token's.
fn own_project(call: &Call<'_>) -> Result<(), Failure> {
    match call.at("project") == call.caller.project {
        true => Ok(()),
        false => Err(Failure::bad("Malformed request url")),
    }
}

/// Changes an object of Cinder that the path names.
fn change(call: &mut Call<'_>, kind: Kind, changed: Shown) {
    let id = call.id();
    if let Some(object) = call.world.openstack.get_mut(kind, &id) {
        object.extend(changed);
        object.insert("updated_at".into(), json!(fine_moment(now())));
    }
}

/// Returns the object of a kind that the path names.
fn find(call: &Call<'_>, kind: Kind) -> Result<Shown, Failure> {
    own_project(call)?;
    seen(call, kind, &call.id())
}

/// Returns an object that who calls may see.
fn seen(call: &Call<'_>, kind: Kind, id: &str) -> Result<Shown, Failure> {
    let found = call.world.openstack.object(kind, id);
    let found = found.filter(|object| call.sees(&object.project));
    found.map(|object| object.shown.clone()).ok_or_else(|| {
        let noun = match kind {
            Kind::Snapshot => "Snapshot",
            _ => "Volume",
        };
        Failure::missing(format!("{noun} {id} could not be found."))
    })
}

/// 413: a quota is spent.
fn over(message: String) -> Failure {
    Failure::of(413, "OverQuota", message)
}

/// Whether a version shows something.
fn shows(call: &Call<'_>, minor: u32) -> bool {
    call.version >= Version(3, minor)
}

/// The path below the service, for the links of listings.
fn path(call: &Call<'_>, below: &str) -> String {
    format!(
        "/{}/v3/{}/{below}",
        Service::BlockStorage.prefix(),
        call.caller.project
    )
}
