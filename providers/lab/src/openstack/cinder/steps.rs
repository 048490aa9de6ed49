//! What comes of what is under way with volumes and snapshots, and who has a volume.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::volumes;
use crate::openstack::estate::{Kind, Shown, fine_moment, list, text};
use crate::world::{World, now};

/// Where it is kept why something has failed; it is told of by messages alone.
pub(super) const MESSAGE: &str = "lab:message";

/// What is under way with a volume or a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Doing {
    Create,
    Delete,
    /// It grows to so many GiB.
    Extend(i64),
    /// It gets another type.
    Retype(String),
}

/// Ends it.
pub(in crate::openstack) fn finish(world: &mut World, kind: Kind, id: &str, doing: &Doing) {
    if world.openstack.get(kind, id).is_none() {
        return;
    }
    let word = match doing {
        Doing::Create => "create",
        Doing::Delete => "delete",
        Doing::Extend(_) => "extend",
        Doing::Retype(_) => "retype",
    };
    let failure = world.fails(&format!("cinder:{word}"));
    let Some(shown) = world.openstack.get_mut(kind, id) else {
        return;
    };
    shown.insert("updated_at".into(), json!(fine_moment(now())));
    if let Some(reason) = failure {
        let status = match doing {
            Doing::Create => "error",
            Doing::Delete => "error_deleting",
            Doing::Extend(_) => "error_extending",
            Doing::Retype(_) => resting(shown),
        };
        shown.insert("status".into(), json!(status));
        shown.insert(MESSAGE.into(), json!(reason));
        return;
    }
    match doing {
        Doing::Create => {
            shown.insert("status".into(), json!("available"));
        }
        Doing::Delete => {
            world.openstack.take(kind, id);
            return;
        }
        Doing::Extend(size) => {
            shown.insert("size".into(), json!(size));
            let status = resting(shown);
            shown.insert("status".into(), json!(status));
        }
        Doing::Retype(name) => {
            shown.insert("volume_type".into(), json!(name));
            let status = resting(shown);
            shown.insert("status".into(), json!(status));
        }
    }
    shown.remove(MESSAGE);
}

/// The state of a volume with which nothing is done.
fn resting(shown: &Shown) -> &'static str {
    match list(shown, "attachments").is_empty() {
        true => "available",
        false => "in-use",
    }
}

/// A server has a volume.
pub(in crate::openstack) fn attach(
    world: &mut World,
    id: &str,
    server: &str,
    device: &str,
    attachment: &str,
) {
    let node = world
        .openstack
        .server(server)
        .and_then(|server| server.node.clone());
    let Some(volume) = world.openstack.get_mut(Kind::Volume, id) else {
        return;
    };
    let one = json!({
        "id": id, "volume_id": id, "server_id": server, "device": device, "attachment_id": attachment,
        "attached_at": fine_moment(now()), "host_name": node,
    });
    let mut all = list(volume, "attachments").to_vec();
    all.push(one);
    volume.insert("attachments".into(), all.into());
    volume.insert("status".into(), json!("in-use"));
    volume.insert("updated_at".into(), json!(fine_moment(now())));
}

/// A server has a volume no more, or could not get it.
pub(in crate::openstack) fn free(
    world: &mut World,
    id: &str,
    server: &str,
    failure: Option<String>,
) {
    let Some(volume) = world.openstack.get_mut(Kind::Volume, id) else {
        return;
    };
    let all = list(volume, "attachments").iter();
    let left: Vec<Value> = all
        .filter(|one| one["server_id"] != server)
        .cloned()
        .collect();
    volume.insert("attachments".into(), left.into());
    let status = resting(volume);
    volume.insert("status".into(), json!(status));
    volume.insert("updated_at".into(), json!(fine_moment(now())));
    if let Some(reason) = failure {
        volume.insert(MESSAGE.into(), json!(reason));
    }
}

/// Whether nothing is to be done with a volume before it is free.
pub(super) fn is_free(volume: &Shown) -> bool {
    let status = text(volume, "status");
    list(volume, "attachments").is_empty() && volumes::CAN_GO.contains(&status)
}
