//! Guests that are made, cloned, changed, destroyed.

use super::{Cloning, Done, Work};
use crate::proxmox::{Call, Failure, drives, settings};
use crate::schema::check::Parameters;
use crate::world::access::Caller;
use crate::world::guest::{self, Settings};
use crate::world::storage::{self, NewVolume, Volume, disk_of};
use crate::world::task::NewTask;
use crate::world::{Order, World};

pub(super) fn create(
    world: &mut World,
    node: &str,
    vmid: u32,
    drives: &Settings,
    starts: bool,
    user: &str,
) -> Done {
    let mut log = Vec::new();
    let mut made = Settings::new();
    for (key, text) in drives {
        made.insert(
            key.clone(),
            drives::make(world, node, vmid, key, text, &mut log)?,
        );
    }
    let (uuid, generation) = (world.cluster.draw.uuid(), world.cluster.draw.uuid());
    let made_at = world.clock_of(node) / 1000;
    let guest = world
        .guests
        .get_mut(&vmid)
        .ok_or(format!("VM {vmid} does not exist"))?;
    guest.config.extend(made);
    guest.config.remove("lock");
    let defaults = [
        ("smbios1", format!("uuid={uuid}")),
        ("vmgenid", generation),
        ("meta", format!("creation-qemu=10.1.2,ctime={made_at}")),
        ("boot", boot_order(&guest.config)),
    ];
    for (key, text) in defaults {
        guest.config.entry(key.to_owned()).or_insert(text);
    }
    if starts {
        // A task of its own, whose failure this one does not tell.
        world.begin(NewTask {
            node,
            kind: "qmstart",
            id: vmid.to_string(),
            user,
            seconds: 3.0,
            work: Work::Start { vmid },
        });
    }
    Ok(log)
}

/// Returns the boot order of a machine that was made without one.
fn boot_order(config: &Settings) -> String {
    let drive = |is_cdrom: bool| {
        let fits = |bus: &str, key: &str, text: &str| {
            key.starts_with(bus)
                && guest::is_drive(key)
                && text.contains("media=cdrom") == is_cdrom
                && !text.contains("cloudinit")
        };
        let find = |bus: &str| {
            config
                .iter()
                .find(|(key, text)| fits(bus, key, text))
                .map(|(key, _)| key.clone())
        };
        ["ide", "scsi", "virtio", "sata"].into_iter().find_map(find)
    };
    let net = config.keys().find(|key| guest::is_net(key)).cloned();
    let order: Vec<_> = [drive(false), drive(true), net]
        .into_iter()
        .flatten()
        .collect();
    if order.is_empty() {
        " ".into()
    } else {
        format!("order={}", order.join(";"))
    }
}

pub(super) fn clone(world: &mut World, node: &str, cloning: &Cloning) -> Done {
    let Cloning {
        source,
        newid,
        target,
        ..
    } = cloning;
    let mut log = vec![format!("creating a clone of VM {source} with ID {newid}")];
    let mut disks = Vec::new();
    let mut config = cloning.config.clone();
    config.retain(|key, _| {
        !guest::is_unused(key)
            && !matches!(
                key.as_str(),
                "template" | "lock" | "parent" | "snaptime" | "protection"
            )
    });
    for (key, drive) in cloning
        .config
        .iter()
        .filter(|(key, _)| guest::is_drive(key))
    {
        let made = clone_drive(world, node, cloning, key, drive, &mut log)?;
        disks.extend(disk_of(drive).zip(disk_of(&made)));
        config.insert(key.clone(), made);
    }
    for (key, device) in &mut config {
        if guest::is_net(key) {
            let mut parts: Vec<String> = device.split(',').map(str::to_owned).collect();
            if let Some((model, _)) = parts.first().and_then(|first| first.split_once('=')) {
                parts[0] = format!("{model}={}", world.cluster.draw.mac());
            }
            *device = parts.join(",");
        }
    }
    let smbios = cloning.config.get("smbios1").map_or("", String::as_str);
    let mut smbios: Vec<String> = smbios
        .split(',')
        .filter(|part| !part.is_empty() && !part.starts_with("uuid="))
        .map(str::to_owned)
        .collect();
    smbios.insert(0, format!("uuid={}", world.cluster.draw.uuid()));
    config.insert("smbios1".into(), smbios.join(","));
    config.insert("vmgenid".into(), world.cluster.draw.uuid());
    config.insert("name".into(), cloning.name.clone());
    if let Some(description) = &cloning.description {
        config.insert("description".into(), description.clone());
    }
    if let Some(firewall) = world.cluster.guest_firewalls.get(source).cloned() {
        world.cluster.guest_firewalls.insert(*newid, firewall);
    }
    let guest = world
        .guests
        .get_mut(newid)
        .ok_or(format!("VM {newid} does not exist"))?;
    guest.config = config;
    guest.node.clone_from(target);
    world.orders.push(Order::Copy(*source, *newid, disks));
    Ok(log)
}

fn clone_drive(
    world: &mut World,
    node: &str,
    cloning: &Cloning,
    key: &str,
    drive: &str,
    log: &mut Vec<String>,
) -> Result<String, String> {
    let mut parsed = drives::parse(key, drive)?;
    let volid = parsed.get("file").cloned().unwrap_or_default();
    let Some(volume) = world.volumes.get(&world.key(node, &volid)).cloned() else {
        return Ok(drive.to_owned());
    };
    let is_cloudinit = volid.contains("-cloudinit");
    if volume.content != "images" {
        return Ok(drive.to_owned());
    }
    let on = volid.split(':').next().unwrap_or_default();
    let storage = cloning
        .storage
        .as_deref()
        .filter(|_| cloning.is_full)
        .unwrap_or(on)
        .to_owned();
    let is_linked = !cloning.is_full && !is_cloudinit && volid.contains("base-");
    world.room(
        &cloning.target,
        &storage,
        if is_linked { 0 } else { volume.size },
    )?;
    let kind = if is_linked { "linked" } else { "full" };
    log.push(format!("create {kind} clone of drive {key} ({volid})"));
    let name = if is_cloudinit {
        storage::cloudinit_name(world, &storage, cloning.newid)
    } else {
        let number = world.free_disk(cloning.newid);
        storage::disk_name(world, &storage, cloning.newid, "vm", number)
    };
    let made = world.put_volume(
        &cloning.target,
        &storage,
        NewVolume {
            name,
            content: "images",
            format: storage::format_of(world, &storage),
            size: volume.size,
            owner: Some(cloning.newid),
            parent: is_linked.then(|| volid.clone()),
            root: volume.root.clone(),
        },
    );
    log.push(if is_linked {
        format!("clone {volid}: images, {made}")
    } else {
        format!("allocated target volume '{made}'")
    });
    parsed.insert("file".into(), made);
    parsed.insert("size".into(), storage::short_size(volume.size));
    Ok(drives::print(key, &parsed))
}

pub(super) fn configure(
    world: &mut World,
    node: &str,
    vmid: u32,
    caller: Caller,
    parameters: &Parameters,
) -> Done {
    let mut parameters = parameters.clone();
    parameters.put("node", node);
    parameters.put("vmid", vmid.to_string());
    let mut call = Call {
        world,
        caller,
        parameters,
        entry: node,
        upload: None,
    };
    match settings::change_now(&mut call) {
        Ok(_) => Ok(Vec::new()),
        Err(
            Failure::Said(text)
            | Failure::Permission(text)
            | Failure::Login(text)
            | Failure::Busy(text),
        ) => Err(text),
        // A change asks no agent.
        Err(Failure::Asks { .. }) => Ok(Vec::new()),
        Err(Failure::Parameters(errors)) => {
            let told: Vec<_> = errors
                .iter()
                .map(|(name, text)| format!("{name}: {}", text.trim_end()))
                .collect();
            Err(format!(
                "Parameter verification failed. {}",
                told.join(", ")
            ))
        }
    }
}

pub(super) fn destroy(world: &mut World, node: &str, vmid: u32, purges: bool) -> Done {
    let own: Vec<_> = world
        .volumes
        .values()
        .filter(|volume| volume.owner == Some(vmid))
        .map(|volume| volume.volid.clone())
        .collect();
    for volid in &own {
        if world
            .volumes
            .values()
            .any(|volume| volume.parent.as_deref() == Some(volid))
        {
            return Err(format!(
                "base volume '{volid}' is still in use by linked cloned"
            ));
        }
    }
    for volid in own {
        world.drop_volume(node, &volid)?;
    }
    forget(world, vmid);
    Ok(if purges {
        vec![format!("purging VM {vmid} from related configurations..")]
    } else {
        Vec::new()
    })
}

/// Takes a guest out of the world, with its volumes.
pub(super) fn forget(world: &mut World, vmid: u32) {
    let own: Vec<_> = world
        .volumes
        .iter()
        .filter(|(_, volume)| volume.owner == Some(vmid))
        .map(|(key, _)| key.clone())
        .collect();
    for key in own {
        world.volumes.remove(&key);
    }
    world.guests.remove(&vmid);
    world.seen.remove(&vmid);
    for pool in world.cluster.pools.values_mut() {
        pool.guests.remove(&vmid);
    }
    world.cluster.guest_firewalls.remove(&vmid);
    world.orders.push(Order::Forget(vmid));
}

pub(super) fn template(world: &mut World, node: &str, vmid: u32) -> Done {
    let Some(mut guest) = world.guests.get(&vmid).cloned() else {
        return Err(format!("VM {vmid} does not exist"));
    };
    for (key, drive) in &mut guest.config {
        if !guest::is_drive(key) || drive.contains("-cloudinit") {
            continue;
        }
        let volid = drive.split(',').next().unwrap_or_default().to_owned();
        let old = world.key(node, &volid);
        let new = volid.replace(&format!("vm-{vmid}-disk"), &format!("base-{vmid}-disk"));
        if let Some(volume) = world
            .volumes
            .remove(&old)
            .filter(|volume| volume.owner == Some(vmid))
        {
            let key = world.key(node, &new);
            world.volumes.insert(
                key,
                Volume {
                    volid: new.clone(),
                    ..volume
                },
            );
            *drive = drive.replacen(&volid, &new, 1);
        }
    }
    guest.config.insert("template".into(), "1".into());
    world.guests.insert(vmid, guest);
    Ok(Vec::new())
}
