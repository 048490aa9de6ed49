//! What tasks do at their end.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Call, Failure, cloudinit, drives, settings};
use crate::schema;
use crate::schema::check::Parameters;
use crate::world::access::Caller;
use crate::world::guest::{self, Guest, Power, Settings, Snapshot};
use crate::world::storage::{self, NewVolume, Volume};
use crate::world::task::NewTask;
use crate::world::{Order, World, now};

/// What a task is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// It fails, instead of what it was for.
    Fail {
        reason: String,
        instead_of: Option<Box<Work>>,
    },
    /// It fails after its time, and has said something before.
    TooLate {
        reason: String,
        log: Vec<String>,
    },
    Create {
        vmid: u32,
        drives: Settings,
        starts: bool,
        user: String,
    },
    Clone(Box<Cloning>),
    Configure {
        vmid: u32,
        user: String,
        token: Option<String>,
        parameters: Parameters,
    },
    Resize {
        vmid: u32,
        disk: String,
        bytes: u64,
    },
    MoveDisk {
        vmid: u32,
        disk: String,
        storage: String,
        deletes: bool,
    },
    Start {
        vmid: u32,
    },
    Stop {
        vmid: u32,
    },
    Reboot {
        vmid: u32,
    },
    Reset {
        vmid: u32,
    },
    Pause {
        vmid: u32,
        is_paused: bool,
    },
    Destroy {
        vmid: u32,
        purges: bool,
    },
    Template {
        vmid: u32,
    },
    Snapshot {
        vmid: u32,
        name: String,
        description: String,
        with_memory: bool,
    },
    DropSnapshot {
        vmid: u32,
        name: String,
    },
    RollBack {
        vmid: u32,
        name: String,
        starts: bool,
    },
    Migrate {
        vmid: u32,
        target: String,
        storage: Option<String>,
    },
    Upload {
        storage: String,
        content: String,
        name: String,
        file: PathBuf,
        size: u64,
        shown: String,
        checksum: Option<Checksum>,
    },
    Download {
        url: String,
        storage: String,
        content: String,
        name: String,
        checksum: Option<Checksum>,
    },
    DropVolume {
        volid: String,
    },
    ReloadNetwork,
    Nothing,
}

/// A clone under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cloning {
    pub source: u32,
    pub newid: u32,
    pub target: String,
    pub is_full: bool,
    pub storage: Option<String>,
    pub name: String,
    pub description: Option<String>,
    pub config: Settings,
}

/// What a file's digest has to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Checksum {
    pub algorithm: String,
    pub value: String,
}

type Done = Result<Vec<String>, String>;

impl Work {
    /// A task that finds at once that it can't be done.
    pub(super) fn refused(reason: String) -> Work {
        Work::Fail {
            reason,
            instead_of: None,
        }
    }

    pub(super) fn configure(vmid: u32, caller: Caller, parameters: Parameters) -> Work {
        Work::Configure {
            vmid,
            user: caller.user,
            token: caller.token,
            parameters,
        }
    }
}

/// Returns the storage on which work holds the lock while it makes volumes; files need none.
pub(crate) fn allocates_on(world: &World, work: &Work) -> Option<String> {
    let storage = match work {
        Work::Create { drives, .. } => drives
            .iter()
            .find_map(|(key, text)| drives::new_volume_on(key, text)),
        Work::Clone(cloning) if cloning.is_full => match &cloning.storage {
            Some(storage) => Some(storage.clone()),
            None => cloning
                .config
                .iter()
                .filter(|(key, _)| guest::is_drive(key))
                .find_map(|(_, drive)| {
                    drive.split_once(':').map(|(storage, _)| storage.to_owned())
                }),
        },
        Work::MoveDisk { storage, .. } => Some(storage.clone()),
        _ => None,
    }?;
    let is_files = world
        .cluster
        .storages
        .get(&storage)
        .is_none_or(storage::Storage::is_files);
    (!is_files).then_some(storage)
}

/// Undoes what was there in expectation of work that did not come about.
pub(crate) fn give_up(world: &mut World, work: &Work) {
    match work {
        Work::Create { vmid, .. } => forget(world, *vmid),
        Work::Clone(cloning) => forget(world, cloning.newid),
        Work::Snapshot { vmid, .. }
        | Work::DropSnapshot { vmid, .. }
        | Work::RollBack { vmid, .. }
        | Work::Migrate { vmid, .. } => {
            unlock(world, *vmid);
        }
        Work::Upload { file, .. } => {
            // It may have been moved already.
            let _ = std::fs::remove_file(file);
        }
        _ => {}
    }
}

fn unlock(world: &mut World, vmid: u32) {
    if let Some(guest) = world.guests.get_mut(&vmid) {
        guest.config.remove("lock");
    }
}

/// Takes a guest out of the world, with its volumes.
fn forget(world: &mut World, vmid: u32) {
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

/// Does what a task is for.
pub(crate) fn finish(world: &mut World, node: &str, user: &str, work: &Work) -> Done {
    let done = match work {
        Work::Nothing => Ok(Vec::new()),
        Work::Fail { reason, instead_of } => {
            if let Some(work) = instead_of {
                give_up(world, work);
            }
            return Err(reason.clone());
        }
        Work::TooLate { reason, .. } => return Err(reason.clone()),
        Work::Create {
            vmid,
            drives,
            starts,
            user,
        } => create(world, node, *vmid, drives, *starts, user),
        Work::Clone(cloning) => clone(world, node, cloning),
        Work::Configure {
            vmid,
            user,
            token,
            parameters,
        } => {
            let caller = Caller {
                user: user.clone(),
                token: token.clone(),
            };
            configure(world, node, *vmid, caller, parameters)
        }
        Work::Resize { vmid, disk, bytes } => resize(world, node, *vmid, disk, *bytes),
        Work::MoveDisk {
            vmid,
            disk,
            storage,
            deletes,
        } => move_disk(world, node, *vmid, disk, storage, *deletes),
        Work::Start { vmid } => start(world, *vmid),
        Work::Stop { vmid } => stop(world, *vmid),
        Work::Reboot { vmid } => reboot(world, *vmid),
        Work::Reset { vmid } => {
            world.orders.push(Order::Reboot(*vmid));
            set(world, *vmid, |guest| guest.started = now())
        }
        Work::Pause { vmid, is_paused } => {
            let power = if *is_paused {
                Power::Paused
            } else {
                Power::Running
            };
            set(world, *vmid, |guest| guest.power = power)
        }
        Work::Destroy { vmid, purges } => destroy(world, node, *vmid, *purges),
        Work::Template { vmid } => template(world, node, *vmid),
        Work::Snapshot {
            vmid,
            name,
            description,
            with_memory,
        } => snapshot(world, *vmid, name, description, *with_memory),
        Work::DropSnapshot { vmid, name } => drop_snapshot(world, *vmid, name),
        Work::RollBack { vmid, name, starts } => roll_back(world, *vmid, name, *starts),
        Work::Migrate {
            vmid,
            target,
            storage,
        } => migrate(world, node, *vmid, target, storage.as_deref()),
        Work::Upload { .. } => upload(world, node, work),
        Work::Download {
            url,
            storage,
            content,
            name,
            checksum,
        } => download(
            world,
            node,
            url,
            &format!("{storage}:{content}/{name}"),
            content,
            checksum.as_ref(),
        ),
        Work::DropVolume { volid } => drop_volume(world, node, volid),
        Work::ReloadNetwork => reload(world, user),
    };
    if done.is_err() {
        give_up(world, work);
    }
    done
}

fn set(world: &mut World, vmid: u32, change: impl FnOnce(&mut Guest)) -> Done {
    let guest = world
        .guests
        .get_mut(&vmid)
        .ok_or(format!("VM {vmid} does not exist"))?;
    change(guest);
    Ok(Vec::new())
}

fn create(
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
    let guest = world
        .guests
        .get_mut(&vmid)
        .ok_or(format!("VM {vmid} does not exist"))?;
    guest.config.extend(made);
    guest.config.remove("lock");
    let defaults = [
        ("smbios1", format!("uuid={uuid}")),
        ("vmgenid", generation),
        (
            "meta",
            format!("creation-qemu=10.1.2,ctime={}", now() / 1000),
        ),
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

fn clone(world: &mut World, node: &str, cloning: &Cloning) -> Done {
    let Cloning {
        source,
        newid,
        target,
        ..
    } = cloning;
    let mut log = vec![format!("creating a clone of VM {source} with ID {newid}")];
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
    world.orders.push(Order::Copy(*source, *newid));
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

fn configure(
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

fn resize(world: &mut World, node: &str, vmid: u32, disk: &str, bytes: u64) -> Done {
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
    Ok(vec!["Image resized.".into()])
}

fn move_disk(
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
    let size = world
        .volumes
        .get(&world.key(node, &old))
        .map_or(0, |volume| volume.size);
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
        },
    );
    drives::detach(world, node, vmid, &mut guest.config, disk, deletes)?;
    parsed.insert("file".into(), made);
    guest
        .config
        .insert(disk.to_owned(), drives::print(disk, &parsed));
    world.guests.insert(vmid, guest);
    Ok(log)
}

fn start(world: &mut World, vmid: u32) -> Done {
    world.take_over_pending(vmid)?;
    let guest = world
        .guests
        .get(&vmid)
        .ok_or(format!("VM {vmid} does not exist"))?;
    if guest.is_running() {
        return Err(format!("VM {vmid} already running"));
    }
    for (key, device) in guest.config.iter().filter(|(key, _)| guest::is_net(key)) {
        let bridge = device
            .split(',')
            .find_map(|part| part.strip_prefix("bridge="));
        if let Some(bridge) = bridge.filter(|bridge| !world.has_bridge(&guest.node, bridge)) {
            let _ = key;
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
    let wanted = crate::machines::own_addresses(&crate::machines::addresses_of(&guest.config));
    if let (Some(reason), false) = (&world.no_machines, wanted.is_empty()) {
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
    guest.agent_channel = super::agent::is_enabled(guest);
    world.orders.push(Order::Start(vmid));
    Ok(log)
}

fn stop(world: &mut World, vmid: u32) -> Done {
    set(world, vmid, |guest| {
        guest.power = Power::Stopped;
        guest.agent_channel = false;
    })?;
    world.take_over_pending(vmid)?;
    world.orders.push(Order::Stop(vmid));
    Ok(Vec::new())
}

fn reboot(world: &mut World, vmid: u32) -> Done {
    stop(world, vmid)?;
    start(world, vmid)
}

fn destroy(world: &mut World, node: &str, vmid: u32, purges: bool) -> Done {
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

fn template(world: &mut World, node: &str, vmid: u32) -> Done {
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

fn snapshot(
    world: &mut World,
    vmid: u32,
    name: &str,
    description: &str,
    with_memory: bool,
) -> Done {
    let mut log = Vec::new();
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
            time: now() / 1000,
            with_memory,
            parent: guest.parent.take(),
        };
        guest.snapshots.insert(name.to_owned(), snapshot);
        guest.parent = Some(name.to_owned());
    })?;
    world.orders.push(Order::Keep(vmid, name.to_owned()));
    Ok(log)
}

fn drop_snapshot(world: &mut World, vmid: u32, name: &str) -> Done {
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

fn roll_back(world: &mut World, vmid: u32, name: &str, starts: bool) -> Done {
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
        return start(world, vmid);
    }
    Ok(Vec::new())
}

fn migrate(world: &mut World, node: &str, vmid: u32, target: &str, storage: Option<&str>) -> Done {
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

fn upload(world: &mut World, node: &str, work: &Work) -> Done {
    let Work::Upload {
        storage,
        content,
        name,
        file,
        size,
        shown,
        checksum,
    } = work
    else {
        return Ok(Vec::new());
    };
    let mut log = vec![format!("starting file import from: {shown}")];
    if name.ends_with(".qcow2") && crate::image::virtual_size(file).is_none() {
        return Err(format!(
            "qemu-img: Could not open '{shown}': Image is not in qcow2 format"
        ));
    }
    if let Some(checksum) = checksum {
        crate::image::check(file, &checksum.algorithm, &checksum.value)?;
    }
    let path = world
        .cluster
        .storages
        .get(storage)
        .map_or_else(String::new, |it| it.path(storage));
    let folder = if content == "iso" {
        "template/iso"
    } else {
        content.as_str()
    };
    log.push(format!("target node: {node}"));
    log.push(format!("target file: {path}/{folder}/{name}"));
    log.push(format!("file size is: {size}"));
    log.push(format!("command: cp -- {shown} {path}/{folder}/{name}"));
    keep(
        world,
        node,
        &format!("{storage}:{content}/{name}"),
        content,
        file,
        *size,
    )?;
    log.push("finished file import successfully".into());
    Ok(log)
}

/// Makes a file the content of a volume.
fn keep(
    world: &mut World,
    node: &str,
    volid: &str,
    content: &str,
    file: &std::path::Path,
    size: u64,
) -> Result<(), String> {
    let key = world.key(node, volid);
    let stored = format!(
        "{}-{}",
        key.node.as_deref().unwrap_or("all"),
        volid.replace([':', '/'], "_")
    );
    std::fs::rename(file, world.files.join(&stored))
        .map_err(|error| format!("rename failed: {error}"))?;
    let volume = Volume {
        volid: volid.to_owned(),
        node: key.node.clone(),
        content: content.to_owned(),
        format: format_of_name(volid),
        size,
        created: now() / 1000,
        owner: None,
        parent: None,
        file: Some(stored),
        notes: None,
    };
    world.volumes.insert(key, volume);
    Ok(())
}

fn format_of_name(name: &str) -> String {
    match name.rsplit('.').next() {
        Some("iso" | "img") => "iso",
        Some("qcow2") => "qcow2",
        Some("vmdk") => "vmdk",
        Some("ova") => "ova",
        Some("gz") => "tgz",
        Some("xz") => "txz",
        Some("zst") => "tzst",
        _ => "raw",
    }
    .to_owned()
}

/// Nothing outside is reached: what stands for a download has no content, and says so.
fn download(
    world: &mut World,
    node: &str,
    url: &str,
    volid: &str,
    content: &str,
    checksum: Option<&Checksum>,
) -> Done {
    let size = 2 << 30;
    let storage = volid.split(':').next().unwrap_or_default();
    world.room(node, storage, size)?;
    let mut log = vec![
        format!("downloading {url} to {volid}"),
        "the lab reaches nothing outside: a stand-in without content is kept".to_owned(),
    ];
    if let Some(checksum) = checksum {
        log.push(format!(
            "WARN: the {} checksum of a stand-in is not verified",
            checksum.algorithm
        ));
    }
    let key = world.key(node, volid);
    let volume = Volume {
        volid: volid.to_owned(),
        node: key.node.clone(),
        content: content.to_owned(),
        format: format_of_name(volid),
        size,
        created: now() / 1000,
        owner: None,
        parent: None,
        file: None,
        notes: None,
    };
    world.volumes.insert(key, volume);
    log.push("download finished".into());
    Ok(log)
}

fn drop_volume(world: &mut World, node: &str, volid: &str) -> Done {
    let key = world.key(node, volid);
    if !world.volumes.contains(&key) {
        return Err(format!("volume '{volid}' does not exist"));
    }
    world.drop_volume(node, volid)?;
    Ok(vec![format!("Removed volume '{volid}'")])
}

fn reload(world: &mut World, user: &str) -> Done {
    let nodes: Vec<String> = world.up().cloned().collect();
    for node in &nodes {
        world.begin(NewTask {
            node,
            kind: "srvreload",
            id: "networking".into(),
            user,
            seconds: 1.0,
            work: Work::Nothing,
        });
    }
    Ok(nodes
        .iter()
        .map(|node| format!("{node}: reloading network config"))
        .collect())
}

impl World {
    /// Ends the running tasks of a type that a guest has.
    pub(crate) fn end_tasks(&mut self, vmid: u32, kind: &str) {
        let id = vmid.to_string();
        let ended: Vec<_> = self
            .running
            .iter()
            .filter(|upid| {
                self.tasks
                    .get(upid)
                    .is_some_and(|task| task.id == id && task.kind == kind)
            })
            .cloned()
            .collect();
        for upid in ended {
            self.running.remove(&upid);
            if let Some(task) = self.tasks.get_mut(&upid) {
                task.exit = Some("received interrupt".into());
                task.ended = now() / 1000;
                task.work = None;
            }
        }
    }
}
