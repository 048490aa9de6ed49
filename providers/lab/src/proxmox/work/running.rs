//! Guests that start, stop, and move to another node.

use super::{Done, set};
use crate::proxmox::{agent, cloudinit};
use crate::world::guest::{self, Guest, Power};
use crate::world::storage::Volume;
use crate::world::{Order, World, now};

pub(super) fn start(world: &mut World, vmid: u32) -> Done {
    world.take_over_pending(vmid)?;
    let guest = world
        .guests
        .get(&vmid)
        .ok_or(format!("VM {vmid} does not exist"))?;
    if guest.is_running() {
        return Err(format!("VM {vmid} already running"));
    }
    for (_, device) in guest.config.iter().filter(|(key, _)| guest::is_net(key)) {
        let bridge = device
            .split(',')
            .find_map(|part| part.strip_prefix("bridge="));
        if let Some(bridge) = bridge.filter(|bridge| !world.has_bridge(&guest.node, bridge)) {
            return Err(format!("bridge '{bridge}' does not exist"));
        }
    }
    for (key, drive) in guest.config.iter().filter(|(key, _)| guest::is_drive(key)) {
        let volid = drive.split(',').next().unwrap_or_default();
        if volid.contains(':') && !world.volumes.contains(&world.key(&guest.node, volid)) {
            return Err(format!("volume '{volid}' of drive '{key}' does not exist"));
        }
    }
    let node = world.cluster.nodes.get(&guest.node);
    let running = world
        .guests
        .values()
        .filter(|other| other.node == guest.node && other.is_running());
    let taken: u64 = running.map(Guest::memory).sum();
    if node.is_some_and(|node| taken + guest.memory() > node.memory) {
        return Err("start failed: QEMU exited with code 1".into());
    }
    let system = world.system_of(guest);
    if let Some(system) = &system {
        world
            .can_run(guest, system)
            .map_err(|reason| format!("start failed: {reason}"))?;
    }
    let wanted = crate::machines::own_addresses(&crate::machines::addresses_of(&guest.config));
    if let (Some(reason), false, None) = (&world.no_machines, wanted.is_empty(), &system) {
        return Err(format!("start failed: {reason}"));
    }
    let has_image = guest
        .config
        .values()
        .any(|drive| drive.contains("-cloudinit"));
    world.cluster.next_pid += 1;
    let pid = world.cluster.next_pid;
    let mut log = Vec::new();
    let guest = world
        .guests
        .get_mut(&vmid)
        .ok_or(format!("VM {vmid} does not exist"))?;
    if has_image {
        log.push("generating cloud-init ISO".to_owned());
        guest.image = Some(cloudinit::image_of(&guest.config));
    }
    guest.power = Power::Running;
    guest.started = now();
    guest.pid = pid;
    guest.agent_channel = agent::is_enabled(guest);
    world.orders.push(Order::Start(vmid));
    Ok(log)
}

pub(super) fn stop(world: &mut World, vmid: u32) -> Done {
    set(world, vmid, |guest| {
        guest.power = Power::Stopped;
        guest.agent_channel = false;
    })?;
    world.take_over_pending(vmid)?;
    world.orders.push(Order::Stop(vmid));
    Ok(Vec::new())
}

/// What a request to go down has come to, once the machine is off or it is too late.
pub(super) fn go_down(world: &mut World, vmid: u32, is_forced: bool, comes_back: bool) -> Done {
    if world.alive.contains(&vmid) && !is_forced {
        return Err("VM quit/powerdown failed - got timeout".into());
    }
    stop(world, vmid)?;
    if comes_back {
        return start(world, vmid);
    }
    Ok(Vec::new())
}

pub(super) fn reboot(world: &mut World, vmid: u32) -> Done {
    stop(world, vmid)?;
    start(world, vmid)
}

pub(super) fn migrate(
    world: &mut World,
    node: &str,
    vmid: u32,
    target: &str,
    storage: Option<&str>,
) -> Done {
    let address = world
        .cluster
        .nodes
        .get(target)
        .map_or("", |node| node.address.as_str());
    let mut log = vec![format!(
        "starting migration of VM {vmid} to node '{target}' ({address})"
    )];
    if !world.is_up(target) {
        return Err(format!("can't connect to '{target}'"));
    }
    let Some(mut guest) = world.guests.get(&vmid).cloned() else {
        return Err(format!("VM {vmid} does not exist"));
    };
    for (key, drive) in &mut guest.config {
        if !guest::is_drive(key) && !guest::is_unused(key) {
            continue;
        }
        let volid = drive.split(',').next().unwrap_or_default().to_owned();
        let old = world.key(node, &volid);
        let (Some(_), Some(volume)) = (&old.node, world.volumes.get(&old).cloned()) else {
            continue;
        };
        let on = storage.unwrap_or_else(|| volid.split(':').next().unwrap_or_default());
        world.storage_on(target, on)?;
        let name = volid.split_once(':').map_or("", |(_, name)| name);
        let new = format!("{on}:{name}");
        world.volumes.remove(&old);
        let key = world.key(target, &new);
        world.volumes.insert(
            key.clone(),
            Volume {
                volid: new.clone(),
                node: key.node,
                ..volume
            },
        );
        *drive = drive.replacen(&volid, &new, 1);
        log.push(format!("copying local disk image '{volid}' to '{target}'"));
    }
    guest.config.remove("lock");
    guest.node = target.to_owned();
    world.guests.insert(vmid, guest);
    log.push("migration finished successfully".into());
    Ok(log)
}
