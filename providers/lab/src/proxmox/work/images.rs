//! Images and other volumes that come and go.

use super::{Checksum, Done, Work};
use crate::world::World;
use crate::world::storage::Volume;

pub(super) fn upload(world: &mut World, node: &str, work: &Work) -> Done {
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
    put(world, node, volid, content, size, Some(stored));
    Ok(())
}

/// Puts a volume that nobody owns into the world.
fn put(world: &mut World, node: &str, volid: &str, content: &str, size: u64, file: Option<String>) {
    let key = world.key(node, volid);
    let volume = Volume {
        volid: volid.to_owned(),
        node: key.node.clone(),
        content: content.to_owned(),
        format: format_of_name(volid),
        size,
        created: world.clock_of(node) / 1000,
        owner: None,
        parent: None,
        file,
        root: None,
        notes: None,
    };
    world.volumes.insert(key, volume);
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
pub(super) fn download(
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
    put(world, node, volid, content, size, None);
    log.push("download finished".into());
    Ok(log)
}

pub(super) fn drop_volume(world: &mut World, node: &str, volid: &str) -> Done {
    let key = world.key(node, volid);
    if !world.volumes.contains(&key) {
        return Err(format!("volume '{volid}' does not exist"));
    }
    world.drop_volume(node, volid)?;
    Ok(vec![format!("Removed volume '{volid}'")])
}
