//! Snapshots taken, dropped and gone back to.

use super::{Done, running, set};
use crate::world::guest::{self, Power, Snapshot};
use crate::world::{Order, World};

pub(super) fn snapshot(
    world: &mut World,
    vmid: u32,
    name: &str,
    description: &str,
    with_memory: bool,
) -> Done {
    let mut log = Vec::new();
    let node = world.guests.get(&vmid).map(|guest| guest.node.clone());
    let time = world.clock_of(&node.unwrap_or_default()) / 1000;
    set(world, vmid, |guest| {
        guest.config.remove("lock");
        let drives = guest
            .config
            .iter()
            .filter(|(key, drive)| guest::is_drive(key) && !drive.contains("media=cdrom"));
        log.extend(drives.map(|(key, drive)| {
            format!(
                "snapshotting 'drive-{key}' ({})",
                drive.split(',').next().unwrap_or_default()
            )
        }));
        let snapshot = Snapshot {
            config: guest.config.clone(),
            description: description.to_owned(),
            time,
            with_memory,
            parent: guest.parent.take(),
        };
        guest.snapshots.insert(name.to_owned(), snapshot);
        guest.parent = Some(name.to_owned());
    })?;
    world.orders.push(Order::Keep(vmid, name.to_owned()));
    Ok(log)
}

pub(super) fn drop_snapshot(world: &mut World, vmid: u32, name: &str) -> Done {
    world.orders.push(Order::Drop(vmid, name.to_owned()));
    set(world, vmid, |guest| {
        guest.config.remove("lock");
        let parent = guest
            .snapshots
            .remove(name)
            .and_then(|snapshot| snapshot.parent);
        for other in guest
            .snapshots
            .values_mut()
            .filter(|other| other.parent.as_deref() == Some(name))
        {
            other.parent.clone_from(&parent);
        }
        if guest.parent.as_deref() == Some(name) {
            guest.parent = parent;
        }
    })
}

pub(super) fn roll_back(world: &mut World, vmid: u32, name: &str, starts: bool) -> Done {
    let guest = world
        .guests
        .get(&vmid)
        .ok_or(format!("VM {vmid} does not exist"))?;
    let snapshot = guest
        .snapshots
        .get(name)
        .cloned()
        .ok_or(format!("snapshot '{name}' does not exist"))?;
    set(world, vmid, |guest| {
        guest.config = snapshot.config;
        guest.config.remove("lock");
        guest.pending.clear();
        guest.deleting.clear();
        guest.parent = Some(name.to_owned());
        guest.power = Power::Stopped;
    })?;
    world.orders.push(Order::Restore(vmid, name.to_owned()));
    if starts || snapshot.with_memory {
        return running::start(world, vmid);
    }
    Ok(Vec::new())
}
