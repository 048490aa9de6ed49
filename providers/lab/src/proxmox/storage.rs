//! Storages and what is on them.

use serde_json::{Value, json};

use super::work::Work;
use super::{Answer, Call, Failure, Handler, Outcome};
use crate::schema;
use crate::world::storage::{self, NewVolume, Storage, Volume};

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("GET /storage", storages),
    ("GET /storage/{storage}", configuration),
    ("PUT /storage/{storage}", change),
    ("GET /nodes/{node}/storage", of_node),
    ("GET /nodes/{node}/storage/{storage}/status", status),
    ("GET /nodes/{node}/storage/{storage}/content", content),
    ("POST /nodes/{node}/storage/{storage}/content", allocate),
    (
        "GET /nodes/{node}/storage/{storage}/content/{volume}",
        volume,
    ),
    (
        "DELETE /nodes/{node}/storage/{storage}/content/{volume}",
        drop_volume,
    ),
];

fn configured(name: &str, storage: &Storage, digest: &str) -> Value {
    let content = storage
        .content
        .iter()
        .cloned()
        .collect::<Vec<_>>()
        .join(",");
    let mut told =
        json!({ "storage": name, "type": storage.kind, "content": content, "digest": digest });
    match storage.kind.as_str() {
        "lvmthin" => {
            told["vgname"] = json!("pve");
            told["thinpool"] = json!("data");
        }
        _ => told["path"] = json!(storage.path(name)),
    }
    if storage.kind == "nfs" {
        told["server"] = json!("192.0.2.250");
        told["export"] = json!(format!("/export/{name}"));
    }
    if name == "local" {
        told["prune-backups"] = json!("keep-all=1");
    }
    if storage.kind == "dir" && storage.is_shared {
        told["is_mountpoint"] = json!("yes");
    }
    if storage.is_shared {
        told["shared"] = json!(1);
    }
    if storage.is_disabled {
        told["disable"] = json!(1);
    }
    if !storage.nodes.is_empty() {
        told["nodes"] = json!(storage.nodes.iter().cloned().collect::<Vec<_>>().join(","));
    }
    told
}

fn digest(call: &Call<'_>) -> String {
    crate::world::firewall::digest(&call.world.cluster.storages)
}

fn sees(call: &Call<'_>, name: &str) -> bool {
    call.may(
        &format!("/storage/{name}"),
        &["Datastore.Audit", "Datastore.AllocateSpace"],
    )
}

fn storages(call: &mut Call<'_>) -> Outcome {
    let digest = digest(call);
    let kind = call.parameters.text("type");
    let shown = call
        .world
        .cluster
        .storages
        .iter()
        .filter(|(name, storage)| sees(call, name) && kind.is_none_or(|kind| kind == storage.kind));
    Answer::data(
        shown
            .map(|(name, storage)| configured(name, storage, &digest))
            .collect::<Vec<_>>(),
    )
}

fn configuration(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.needed("storage");
    let storage = call.world.cluster.storages.get(name);
    let storage = storage.ok_or(format!("storage '{name}' does not exist"))?;
    Answer::data(configured(name, storage, &digest(call)))
}

fn change(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.needed("storage").to_owned();
    call.needs_quorum(|| {
        "update storage failed: cfs-lock 'file-storage_cfg' error: no quorum!".into()
    })?;
    call.same_digest(&digest(call), super::CHANGED)?;
    let content = call.parameters.text("content").map(schema::split);
    let nodes = call.parameters.text("nodes").map(schema::split);
    let disabled = call.parameters.flag("disable");
    let drops = call.parameters.list("delete");
    let storage = call.world.cluster.storages.get_mut(&name);
    let storage = storage.ok_or(format!(
        "update storage failed: storage '{name}' does not exist"
    ))?;
    if let Some(content) = content {
        storage.content = content.into_iter().collect();
    }
    if let Some(nodes) = nodes {
        storage.nodes = nodes.into_iter().collect();
    }
    storage.is_disabled =
        disabled.unwrap_or(storage.is_disabled) && !drops.iter().any(|key| key == "disable");
    if drops.iter().any(|key| key == "nodes") {
        storage.nodes.clear();
    }
    Answer::data(json!({ "storage": name, "type": storage.kind }))
}

fn usage(call: &Call<'_>, node: &str, name: &str, storage: &Storage) -> Value {
    let used = call.world.used(node, name);
    let is_on = !storage.is_disabled;
    let mut told = json!({
        "type": storage.kind, "content": storage.content.iter().cloned().collect::<Vec<_>>().join(","),
        "shared": i32::from(storage.is_shared), "enabled": i32::from(is_on), "active": i32::from(is_on),
        "total": 0, "used": 0, "avail": 0,
    });
    if is_on {
        told["total"] = json!(storage.size);
        told["used"] = json!(used);
        told["avail"] = json!(storage.size.saturating_sub(used));
    }
    told
}

fn of_node(call: &mut Call<'_>) -> Outcome {
    let node = call.node();
    let wanted = call.parameters.text("content").map(schema::split);
    let one = call.parameters.text("storage");
    let only_enabled = call.parameters.is_set("enabled");
    let fits = |(name, storage): &(&String, &Storage)| {
        storage.is_on(&node)
            && sees(call, name)
            && wanted
                .as_ref()
                .is_none_or(|wanted| wanted.iter().any(|kind| storage.content.contains(kind)))
            && one.is_none_or(|one| one == name.as_str())
            && !(only_enabled && storage.is_disabled)
    };
    let told = call
        .world
        .cluster
        .storages
        .iter()
        .filter(fits)
        .map(|(name, storage)| {
            let mut told = usage(call, &node, name, storage);
            told["storage"] = json!(name);
            #[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
            let share = call.world.used(&node, name) as f64 / storage.size.max(1) as f64;
            told["used_fraction"] = json!(share);
            told
        });
    Answer::data(told.collect::<Vec<_>>())
}

fn status(call: &mut Call<'_>) -> Outcome {
    let (node, name) = (call.node(), call.parameters.needed("storage").to_owned());
    let storage = call.world.cluster.storages.get(&name);
    let storage = storage.ok_or(format!("storage '{name}' does not exist"))?;
    Answer::data(usage(call, &node, &name, storage))
}

fn told(volume: &Volume) -> Value {
    let mut told = json!({
        "volid": volume.volid, "content": volume.content, "format": volume.format, "size": volume.size, "ctime": volume.created,
    });
    if let Some(owner) = volume.owner {
        told["vmid"] = json!(owner);
    }
    if let Some(parent) = &volume.parent {
        told["parent"] = json!(parent);
    }
    if let Some(notes) = &volume.notes {
        told["notes"] = json!(notes);
    }
    told
}

fn content(call: &mut Call<'_>) -> Outcome {
    let (node, name) = (call.node(), call.parameters.needed("storage").to_owned());
    let storage = call.world.storage_on(&node, &name)?;
    let is_shared = storage.is_shared;
    let prefix = format!("{name}:");
    let wanted = call.parameters.text("content");
    let owner = call.parameters.number::<u32>("vmid");
    let fits = |volume: &&Volume| {
        volume.volid.starts_with(&prefix)
            && (is_shared || volume.node.as_deref() == Some(&node))
            && wanted.is_none_or(|wanted| wanted == volume.content)
            && (owner.is_none() || owner == volume.owner)
    };
    Answer::data(
        call.world
            .volumes
            .values()
            .filter(fits)
            .map(told)
            .collect::<Vec<_>>(),
    )
}

/// Returns the full name of the volume of the path, which may go without the storage's.
fn volid(call: &Call<'_>) -> String {
    let (name, volume) = (
        call.parameters.needed("storage"),
        call.parameters.needed("volume"),
    );
    if volume.starts_with(&format!("{name}:")) {
        volume.to_owned()
    } else {
        format!("{name}:{volume}")
    }
}

fn volume(call: &mut Call<'_>) -> Outcome {
    let (node, volid) = (call.node(), volid(call));
    let storage = call.parameters.needed("storage");
    call.world.storage_on(&node, storage)?;
    if !sees(call, storage) {
        return Err(Failure::Permission(format!(
            "Permission check failed (/storage/{storage}, Datastore.Audit|Datastore.AllocateSpace)"
        )));
    }
    match call.world.volumes.get(&call.world.key(&node, &volid)) {
        Some(volume) => {
            let mut told = told(volume);
            told["used"] = json!(volume.size);
            told["path"] = json!(format!("/mnt/pve/{}", volid.replacen(':', "/", 1)));
            Answer::data(told)
        }
        None => Err(format!("volume_size_info on '{volid}' failed - no such volume").into()),
    }
}

fn drop_volume(call: &mut Call<'_>) -> Outcome {
    let (node, volid) = (call.node(), volid(call));
    let storage = call.parameters.needed("storage").to_owned();
    call.world.storage_on(&node, &storage)?;
    call.must(&format!("/storage/{storage}"), &["Datastore.Allocate"])?;
    let volume = call.world.volumes.get(&call.world.key(&node, &volid));
    let seconds = if volume.is_some() { 0.5 } else { 0.0 };
    let id = match volume.and_then(|volume| volume.owner) {
        Some(owner) => format!("{owner}@{storage}"),
        None => storage,
    };
    call.task_for("imgdel", id, seconds, Work::DropVolume { volid })
}

fn allocate(call: &mut Call<'_>) -> Outcome {
    let (node, name) = (call.node(), call.parameters.needed("storage").to_owned());
    call.world.storage_on(&node, &name)?;
    let vmid = call.vmid();
    let size = call.parameters.needed("size");
    // A bare number counts KiB here.
    let size = match size.parse::<u64>() {
        Ok(kib) => kib << 10,
        Err(_) => schema::size(size)
            .ok_or_else(|| Failure::parameter("size", "value does not match the regex pattern"))?,
    };
    call.world.room(&node, &name, size)?;
    let file = call.parameters.needed("filename");
    let is_files = call
        .world
        .cluster
        .storages
        .get(&name)
        .is_some_and(Storage::is_files);
    let wanted = if is_files {
        format!("{vmid}/{file}")
    } else {
        file.to_owned()
    };
    let key = call.world.key(&node, &format!("{name}:{wanted}"));
    if call.world.volumes.contains(&key) {
        return Err(format!("disk image '{name}:{wanted}' already exists").into());
    }
    let format = match call.parameters.text("format") {
        Some("qcow2") => "qcow2",
        Some(_) => "raw",
        None => storage::format_of(call.world, &name),
    };
    let volid = call.world.put_volume(
        &node,
        &name,
        NewVolume {
            name: wanted,
            content: "images",
            format,
            size,
            owner: Some(vmid),
            parent: None,
            root: None,
        },
    );
    Answer::data(volid)
}
