//! Drives: the strings that describe them, the volumes behind them, growing, moving, detaching.

use super::work::Work;
use super::{Call, Failure, Handler, Outcome};
use crate::schema::property::{self, Keys, Parsed};
use crate::schema::{self, Format, Schema};
use crate::world::World;
use crate::world::guest::{self, Settings};
use crate::world::storage::{self, NewVolume};

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("PUT /nodes/{node}/qemu/{vmid}/resize", resize),
    ("PUT /nodes/{node}/qemu/{vmid}/unlink", unlink),
    ("POST /nodes/{node}/qemu/{vmid}/move_disk", move_disk),
];

/// The call whose parameters describe a guest's configuration.
pub(super) const CONFIG: &str = "PUT /nodes/{node}/qemu/{vmid}/config";

/// Returns the keys of a setting that is a property string.
pub(crate) fn keys_of(setting: &str) -> Option<&'static Keys> {
    let method = Schema::built_in().method(CONFIG)?;
    let keys = |name: &str| match &method.parameter(name)?.format {
        Some(Format::Keys(keys)) => Some(keys),
        _ => None,
    };
    // The drives of this bus are described by a named format; they are those of the next.
    keys(setting).or_else(|| setting.starts_with("ide").then(|| keys("sata0"))?)
}

/// Takes a drive apart.
pub(crate) fn parse(setting: &str, text: &str) -> Result<Parsed, String> {
    let keys = keys_of(setting).ok_or(format!("unable to parse drive options of '{setting}'"))?;
    property::parse(keys, text, setting)
}

pub(crate) fn print(setting: &str, parsed: &Parsed) -> String {
    keys_of(setting)
        .map(|keys| property::print(keys, parsed))
        .unwrap_or_default()
}

/// What a drive asks for.
enum Wanted {
    /// A new volume of so many bytes, or a copy of another.
    New {
        storage: String,
        bytes: u64,
        from: Option<String>,
    },
    Cloudinit {
        storage: String,
    },
    /// One that is there, or none.
    Known,
}

fn wanted(parsed: &Parsed) -> Result<Wanted, String> {
    let file = parsed.get("file").map_or("", String::as_str);
    let Some((storage, rest)) = file.split_once(':') else {
        return Ok(Wanted::Known);
    };
    if rest == "cloudinit" {
        return Ok(Wanted::Cloudinit {
            storage: storage.into(),
        });
    }
    let gib: f64 = match rest.parse() {
        Ok(gib) if rest.starts_with(|it: char| it.is_ascii_digit()) => gib,
        _ => return Ok(Wanted::Known),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size that was checked to be a number"
    )]
    let bytes = (gib * f64::from(1 << 30)) as u64;
    let from = parsed.get("import-from").cloned();
    if bytes == 0 && from.is_none() {
        return Err(format!("{file}: a new disk needs a size"));
    }
    Ok(Wanted::New {
        storage: storage.into(),
        bytes,
        from,
    })
}

/// Returns the storage that a drive's new volume is to be on.
pub(crate) fn new_volume_on(setting: &str, text: &str) -> Option<String> {
    match wanted(&parse(setting, text).ok()?).ok()? {
        Wanted::New { storage, .. } | Wanted::Cloudinit { storage } => Some(storage),
        Wanted::Known => None,
    }
}

/// Whether a drive's new volume takes time: a copy of an image.
pub(crate) fn gib_to_copy(world: &World, node: &str, setting: &str, text: &str) -> f64 {
    let source = parse(setting, text)
        .ok()
        .and_then(|parsed| parsed.get("import-from").cloned());
    let volume = source.and_then(|source| {
        world
            .volumes
            .get(&world.key(node, &source))
            .map(|volume| volume.size)
    });
    #[expect(clippy::cast_precision_loss, reason = "a duration needs no more")]
    let gib = volume.unwrap_or(0) as f64 / f64::from(1 << 30);
    gib
}

/// Refuses a drive that can't be made, as far as that can be told beforehand.
pub(super) fn check(call: &Call<'_>, setting: &str, text: &str) -> Result<(), Failure> {
    let node = call.node();
    let parsed = parse(setting, text)?;
    match wanted(&parsed)? {
        Wanted::New { storage, from, .. } => {
            may_allocate(call, &node, &storage)?;
            if let Some(source) = from {
                if source.starts_with('/') && !call.caller.is_root() {
                    return Err(Failure::Permission(
                        "Only root can pass arbitrary filesystem paths.".into(),
                    ));
                }
                may_read(call, &node, &source)?;
            }
        }
        Wanted::Cloudinit { storage } => may_allocate(call, &node, &storage)?,
        Wanted::Known => {
            if let Some(file) = parsed.get("file").filter(|file| file.contains(':')) {
                may_read(call, &node, file)?;
            }
        }
    }
    Ok(())
}

fn may_allocate(call: &Call<'_>, node: &str, storage: &str) -> Result<(), Failure> {
    call.world.storage_on(node, storage)?;
    call.must(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    let takes = call
        .world
        .cluster
        .storages
        .get(storage)
        .is_some_and(|storage| storage.content.contains("images"));
    if takes {
        Ok(())
    } else {
        Err(format!("storage '{storage}' does not support content-type 'images'").into())
    }
}

fn may_read(call: &Call<'_>, node: &str, volid: &str) -> Result<(), Failure> {
    let storage = volid.split(':').next().unwrap_or_default();
    call.world.storage_on(node, storage)?;
    if !call.may(
        &format!("/storage/{storage}"),
        &["Datastore.Audit", "Datastore.AllocateSpace"],
    ) {
        return Err(Failure::Permission(format!(
            "Permission check failed (/storage/{storage}, Datastore.AllocateSpace|Datastore.Audit)"
        )));
    }
    if call.world.volumes.contains(&call.world.key(node, volid)) {
        Ok(())
    } else {
        Err(format!("volume '{volid}' does not exist").into())
    }
}

/// Makes what a drive asks for, and returns the drive as it is recorded.
pub(crate) fn make(
    world: &mut World,
    node: &str,
    vmid: u32,
    setting: &str,
    text: &str,
    log: &mut Vec<String>,
) -> Result<String, String> {
    let mut parsed = parse(setting, text)?;
    let asked = parsed.remove("format");
    match wanted(&parsed)? {
        Wanted::New {
            storage,
            bytes,
            from,
        } => {
            let root = from.as_deref().and_then(|source| world.root_named(source));
            let size = match &from {
                Some(source) => {
                    log.push(format!("create full clone of drive ({source})"));
                    let key = world.key(node, source);
                    let volume = world
                        .volumes
                        .get(&key)
                        .ok_or(format!("volume '{source}' does not exist"))?;
                    world.size_with(root.as_deref(), virtual_size(world, volume)?)
                }
                None => bytes,
            };
            world.room(node, &storage, size)?;
            let number = world.free_disk(vmid);
            let format = match asked.as_deref() {
                Some("raw") => "raw",
                Some("qcow2") => "qcow2",
                _ => storage::format_of(world, &storage),
            };
            let name = storage::disk_name(world, &storage, vmid, "vm", number);
            let name = match name.rsplit_once('.') {
                Some((stem, _)) => format!("{stem}.{format}"),
                None => name,
            };
            let volid = world.put_volume(
                node,
                &storage,
                NewVolume {
                    name,
                    content: "images",
                    format,
                    size,
                    owner: Some(vmid),
                    parent: None,
                    root,
                },
            );
            log.push(format!("allocated target volume '{volid}'"));
            parsed.remove("import-from");
            parsed.insert("file".into(), volid);
            parsed.insert("size".into(), storage::short_size(size));
        }
        Wanted::Cloudinit { storage } => {
            let size = 4 << 20;
            world.room(node, &storage, size)?;
            let volid = world.put_volume(
                node,
                &storage,
                NewVolume {
                    name: storage::cloudinit_name(world, &storage, vmid),
                    content: "images",
                    format: storage::format_of(world, &storage),
                    size,
                    owner: Some(vmid),
                    parent: None,
                    root: None,
                },
            );
            parsed.insert("file".into(), volid);
            parsed.insert("media".into(), "cdrom".into());
        }
        Wanted::Known => {
            let file = parsed.get("file").cloned().unwrap_or_default();
            let key = world.key(node, &file);
            match world.volumes.get(&key) {
                Some(volume) => {
                    parsed.insert("size".into(), storage::short_size(volume.size));
                }
                None if file.contains(':') => {
                    return Err(format!("volume '{file}' does not exist"));
                }
                None => {}
            }
        }
    }
    let made = print(setting, &parsed);
    log.push(format!("{setting}: successfully created disk '{made}'"));
    Ok(made)
}

/// Returns the size that a disk made from an image has.
fn virtual_size(world: &World, volume: &storage::Volume) -> Result<u64, String> {
    let Some(file) = &volume.file else {
        return Ok(volume.size);
    };
    if volume.format != "qcow2" {
        return Ok(volume.size);
    }
    let path = world.files.join(file);
    crate::image::virtual_size(&path).ok_or(format!(
        "qemu-img: Could not open '{}': Image is not in qcow2 format",
        volume.volid
    ))
}

/// Takes a drive away from a configuration: its volume becomes one that nothing uses, or goes.
pub(crate) fn detach(
    world: &mut World,
    node: &str,
    vmid: u32,
    config: &mut Settings,
    setting: &str,
    forced: bool,
) -> Result<(), String> {
    let Some(drive) = config.remove(setting) else {
        return Ok(());
    };
    let volid = drive.split(',').next().unwrap_or_default().to_owned();
    let key = world.key(node, &volid);
    let is_own = world
        .volumes
        .get(&key)
        .is_some_and(|volume| volume.owner == Some(vmid));
    if !is_own {
        return Ok(());
    }
    if forced || guest::is_unused(setting) || volid.contains("-cloudinit") {
        return world.drop_volume(node, &volid);
    }
    let free = (0..256)
        .map(|number| format!("unused{number}"))
        .find(|name| !config.contains_key(name));
    if let Some(name) = free {
        config.insert(name, volid);
    }
    Ok(())
}

fn resize(call: &mut Call<'_>) -> Outcome {
    let vmid = call.vmid();
    let disk = call.parameters.needed("disk").to_owned();
    let size = call.parameters.needed("size").to_owned();
    call.unlocked()?;
    let guest = call.guest()?;
    call.same_digest(
        &guest.digest(),
        "checksum mismatch (file change by other user?)",
    )?;
    call.needs_quorum(|| "cluster not ready - no quorum?".into())?;
    let drive = guest
        .config
        .get(&disk)
        .ok_or(format!("disk '{disk}' does not exist"))?;
    if drive.contains("media=cdrom") {
        return Err("you can't resize a cdrom".into());
    }
    let now = drive
        .split(',')
        .find_map(|part| part.strip_prefix("size="))
        .and_then(schema::size)
        .unwrap_or(0);
    let bytes = match size.strip_prefix('+') {
        Some(more) => now + schema::size(more).unwrap_or(0),
        None => schema::size(&size).unwrap_or(0),
    };
    call.task("resize", 1.0, Work::Resize { vmid, disk, bytes })
}

fn unlink(call: &mut Call<'_>) -> Outcome {
    let list = call.parameters.needed("idlist").to_owned();
    call.parameters.0.remove("idlist");
    call.parameters.put("delete", list);
    super::settings::change(call)
}

fn move_disk(call: &mut Call<'_>) -> Outcome {
    let vmid = call.vmid();
    let disk = call.parameters.needed("disk").to_owned();
    let Some(storage) = call.parameters.text("storage").map(str::to_owned) else {
        return Err("the lab moves disks between storages, not between guests".into());
    };
    call.unlocked()?;
    let drive = call
        .guest()?
        .config
        .get(&disk)
        .ok_or(format!("disk '{disk}' does not exist"))?
        .clone();
    let volid = drive.split(',').next().unwrap_or_default();
    if volid.starts_with(&format!("{storage}:")) && call.parameters.text("format").is_none() {
        return Err(
            format!("you can't move to the same storage with same format {storage}").into(),
        );
    }
    let node = call.node();
    may_allocate(call, &node, &storage)?;
    let deletes = call.parameters.is_set("delete");
    let gib = drive
        .split(',')
        .find_map(|part| part.strip_prefix("size="))
        .and_then(schema::size)
        .unwrap_or(0)
        >> 30;
    #[expect(clippy::cast_precision_loss, reason = "a duration needs no more")]
    let seconds = 2.0 + gib as f64;
    call.task(
        "qmmove",
        seconds,
        Work::MoveDisk {
            vmid,
            disk,
            storage,
            deletes,
        },
    )
}
