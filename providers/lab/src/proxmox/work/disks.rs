//! Disks that grow and move.

use super::{Done, set};
use crate::proxmox::drives;
use crate::schema;
use crate::world::storage::{self, NewVolume, disk_of};
use crate::world::{Order, World};

pub(super) fn resize(world: &mut World, node: &str, vmid: u32, disk: &str, bytes: u64) -> Done {
    let guest = world
        .guests
        .get(&vmid)
        .ok_or(format!("VM {vmid} does not exist"))?;
    let drive = guest
        .config
        .get(disk)
        .cloned()
        .ok_or(format!("disk '{disk}' does not exist"))?;
    let mut parsed = drives::parse(disk, &drive)?;
    let now = parsed
        .get("size")
        .and_then(|size| schema::size(size))
        .unwrap_or(0);
    if bytes < now {
        return Err("shrinking disks is not supported".into());
    }
    let volid = parsed.get("file").cloned().unwrap_or_default();
    let storage = volid.split(':').next().unwrap_or_default();
    world.room(node, storage, bytes - now)?;
    let key = world.key(node, &volid);
    if let Some(volume) = world.volumes.get_mut(&key) {
        volume.size = bytes;
    }
    parsed.insert("size".into(), storage::short_size(bytes));
    let made = drives::print(disk, &parsed);
    set(world, vmid, |guest| {
        guest.config.insert(disk.to_owned(), made);
    })?;
    if let Some(disk) = disk_of(&volid) {
        world.orders.push(Order::Grow(vmid, disk, bytes));
    }
    Ok(vec!["Image resized.".into()])
}

pub(super) fn move_disk(
    world: &mut World,
    node: &str,
    vmid: u32,
    disk: &str,
    storage: &str,
    deletes: bool,
) -> Done {
    let mut log = Vec::new();
    let Some(mut guest) = world.guests.get(&vmid).cloned() else {
        return Err(format!("VM {vmid} does not exist"));
    };
    let drive = guest
        .config
        .get(disk)
        .cloned()
        .ok_or(format!("disk '{disk}' does not exist"))?;
    let mut parsed = drives::parse(disk, &drive)?;
    let old = parsed.get("file").cloned().unwrap_or_default();
    let volume = world.volumes.get(&world.key(node, &old));
    let size = volume.map_or(0, |volume| volume.size);
    let root = volume.and_then(|volume| volume.root.clone());
    world.room(node, storage, size)?;
    let number = world.free_disk(vmid);
    log.push(format!("create full clone of drive {disk} ({old})"));
    let made = world.put_volume(
        node,
        storage,
        NewVolume {
            name: storage::disk_name(world, storage, vmid, "vm", number),
            content: "images",
            format: storage::format_of(world, storage),
            size,
            owner: Some(vmid),
            parent: None,
            root,
        },
    );
    if let (Some(from), Some(to)) = (disk_of(&old), disk_of(&made)) {
        world.orders.push(Order::MoveDisk(vmid, from, to));
    }
    drives::detach(world, node, vmid, &mut guest.config, disk, deletes)?;
    parsed.insert("file".into(), made);
    guest
        .config
        .insert(disk.to_owned(), drives::print(disk, &parsed));
    world.guests.insert(vmid, guest);
    Ok(log)
}
