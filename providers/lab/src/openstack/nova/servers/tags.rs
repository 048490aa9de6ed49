//! The tags of servers, from 2.26 on.

use std::collections::BTreeSet;

use serde_json::json;

use super::{alter, find};
use crate::openstack::shape::{Member, Object, Shape, check};
use crate::openstack::{Answer, Call, Failure, Outcome, Version};

/// A tag is a word without `/` and `,`.
pub(super) const TAG: Shape = Shape::Text(1, 60);

/// `nova/api/openstack/compute/schemas/server_tags.py`.
static TAGS: Object = Object {
    members: &[Member("tags", 26, Shape::List(&TAG, 50))],
    needed: &["tags"],
    is_open: false,
};

fn of(call: &Call<'_>) -> Result<BTreeSet<String>, Failure> {
    if call.version < Version(2, 26) {
        return Err(Failure::missing("The resource could not be found."));
    }
    Ok(find(call)?.tags.clone())
}

/// `GET /v2.1/servers/{id}/tags`.
pub(in crate::openstack::nova) fn list(call: &mut Call<'_>) -> Outcome {
    Answer::ok(json!({ "tags": of(call)? }))
}

/// `PUT /v2.1/servers/{id}/tags`.
pub(in crate::openstack::nova) fn replace(call: &mut Call<'_>) -> Outcome {
    of(call)?;
    check(&TAGS, &call.body, call.version)?;
    let sent = call.body["tags"].as_array().into_iter().flatten();
    let tags: BTreeSet<String> = sent
        .filter_map(|tag| tag.as_str().map(str::to_owned))
        .collect();
    let told = json!({ "tags": tags });
    alter(call, |server| server.tags = tags);
    Answer::ok(told)
}

/// `DELETE /v2.1/servers/{id}/tags`.
pub(in crate::openstack::nova) fn clear(call: &mut Call<'_>) -> Outcome {
    of(call)?;
    alter(call, |server| server.tags.clear());
    Answer::empty(204)
}

fn missing(call: &Call<'_>) -> Failure {
    let (id, tag) = (call.at("id"), call.at("tag"));
    Failure::missing(format!("Instance {id} has no tag '{tag}'"))
}

/// `GET /v2.1/servers/{id}/tags/{tag}`.
pub(in crate::openstack::nova) fn look(call: &mut Call<'_>) -> Outcome {
    match of(call)?.contains(call.at("tag")) {
        true => Answer::empty(204),
        false => Err(missing(call)),
    }
}

/// `PUT /v2.1/servers/{id}/tags/{tag}`.
pub(in crate::openstack::nova) fn add(call: &mut Call<'_>) -> Outcome {
    let tag = call.at("tag").to_owned();
    let is_new = !of(call)?.contains(&tag);
    alter(call, |server| {
        server.tags.insert(tag);
    });
    Answer::empty(if is_new { 201 } else { 204 })
}

/// `DELETE /v2.1/servers/{id}/tags/{tag}`.
pub(in crate::openstack::nova) fn remove(call: &mut Call<'_>) -> Outcome {
    let tag = call.at("tag").to_owned();
    if !of(call)?.contains(&tag) {
        return Err(missing(call));
    }
    alter(call, |server| {
        server.tags.remove(&tag);
    });
    Answer::empty(204)
}
