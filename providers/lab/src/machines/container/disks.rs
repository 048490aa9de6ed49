//! Disks of a machine beside the one that its system is on: files of the host, shown to the machine as block devices.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use nix::sys::stat::{Mode, SFlag, mknod};
use serde::{Deserialize, Serialize};

use super::super::disks::{file_of, grow};
use super::super::root::folder;
use crate::world::guest::{self, Settings};
use crate::world::storage::disk_of;

/// One disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Disk {
    /// Which of the guest's disks it is: `disk-1`.
    pub disk: String,
    pub bytes: u64,
    /// What it is called below `/dev`: the first is the device, all others are links.
    pub names: Vec<String>,
}

/// Returns the disks of a guest but for the one of its system, by the names that they have under QEMU: by order on their bus.
pub(super) fn of_settings(config: &Settings, system: &str) -> Vec<Disk> {
    let mut disks = Vec::new();
    for (buses, stem) in [(&["scsi", "sata"][..], "sd"), (&["virtio"][..], "vd")] {
        let slots = buses.iter().flat_map(|bus| slots_of(config, bus));
        for ((slot, drive), letter) in slots.zip('a'..='z') {
            let Some(disk) = disk_of(drive).filter(|disk| disk != system) else {
                continue;
            };
            let bytes = guest::size(drive);
            let id = match (guest::part(drive, "serial"), stem) {
                (Some(serial), "vd") => Some(format!("virtio-{serial}")),
                (Some(serial), _) => Some(format!("scsi-0QEMU_QEMU_HARDDISK_{serial}")),
                (None, "sd") if slot.starts_with("scsi") => {
                    Some(format!("scsi-0QEMU_QEMU_HARDDISK_drive-{slot}"))
                }
                _ => None,
            };
            let mut names = vec![format!("{stem}{letter}")];
            names.extend(id.map(|id| format!("disk/by-id/{id}")));
            disks.push(Disk { disk, bytes, names });
        }
    }
    disks
}

/// Returns the drives of a bus that are disks, in the order of their numbers.
fn slots_of<'a>(config: &'a Settings, bus: &str) -> Vec<(&'a String, &'a String)> {
    let number = |key: &str| key.strip_prefix(bus)?.parse::<u32>().ok();
    let is_disk = |(key, drive): &(&String, &String)| {
        guest::is_drive(key) && number(key).is_some() && !drive.contains("media=cdrom")
    };
    let mut found: Vec<_> = config.iter().filter(is_disk).collect();
    found.sort_by_key(|(key, _)| number(key));
    found
}

/// Returns the block devices of the host that a file is behind.
fn devices_of(file: &str) -> Result<Vec<String>, String> {
    let told = losetup(&["--noheadings", "--output", "NAME", "--associated", file])?;
    Ok(told.split_whitespace().map(str::to_owned).collect())
}

fn losetup(words: &[&str]) -> Result<String, String> {
    let output = Command::new("losetup")
        .args(words)
        .output()
        .map_err(|error| format!("losetup (of util-linux): {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!(
        "losetup: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

/// Refuses a host that can't put block devices before files.
pub(super) fn probe() -> Result<(), String> {
    losetup(&["--version"]).map(drop)
}

/// Puts block devices before the disks of the machine in the current folder; returns them in the same order.
pub(super) fn attach(disks: &[Disk]) -> Result<Vec<String>, String> {
    let mut devices = Vec::new();
    for disk in disks {
        let file = file_of(&disk.disk);
        grow(Path::new(&file), disk.bytes).map_err(|error| format!("{file}: {error}"))?;
        // What a killed lab has left would show the old size.
        detach(std::slice::from_ref(disk));
        devices.push(losetup(&["--find", "--show", &file])?);
    }
    Ok(devices)
}

/// Takes the block devices away; one that is still in use goes with its last user.
pub(super) fn detach(disks: &[Disk]) {
    for disk in disks {
        for device in devices_of(&file_of(&disk.disk)).unwrap_or_default() {
            let _ = losetup(&["--detach", &device]);
        }
    }
}

/// Makes a disk larger, and tells the machine of it, if one runs.
pub(super) fn grow_at(path: &Path, bytes: u64) -> Result<(), String> {
    grow(path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    for device in devices_of(&path.display().to_string())? {
        losetup(&["--set-capacity", &device])?;
    }
    Ok(())
}

/// Makes the nodes of the machine's disks below its `/dev`.
pub(super) fn nodes(disks: &[Disk], devices: &[String], dev: &str) -> Result<(), String> {
    for (disk, device) in disks.iter().zip(devices) {
        let number = fs::metadata(device)
            .map_err(|error| format!("{device}: {error}"))?
            .rdev();
        let Some((name, links)) = disk.names.split_first() else {
            continue;
        };
        let node = format!("{dev}/{name}");
        mknod(
            node.as_str(),
            SFlag::S_IFBLK,
            Mode::from_bits_truncate(0o660),
            number,
        )
        .map_err(|error| format!("{node}: {}", error.desc()))?;
        for link in links {
            folder(&format!("{dev}/disk/by-id"), 0o755)?;
            symlink(format!("../../{name}"), format!("{dev}/{link}"))
                .map_err(|error| format!("{link}: {error}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_have_the_names_that_they_have_under_qemu() {
        let config = Settings::from(
            [
                ("scsi0", "shared:101/vm-101-disk-0.qcow2,size=4G"),
                ("scsi1", "local-lvm:vm-101-disk-1,size=1G"),
                ("scsi10", "local-lvm:vm-101-disk-3,serial=abc,size=2G"),
                ("scsi2", "shared:iso/x.iso,media=cdrom,size=4M"),
                ("virtio0", "local-lvm:vm-101-disk-2,size=512M"),
            ]
            .map(|(key, drive)| (key.to_owned(), drive.to_owned())),
        );
        let found = of_settings(&config, "disk-0");
        let told: Vec<_> = found
            .iter()
            .map(|disk| (disk.disk.as_str(), disk.bytes >> 20, disk.names.join(" ")))
            .collect();
        let by_id = "disk/by-id/scsi-0QEMU_QEMU_HARDDISK";
        assert_eq!(
            told,
            [
                ("disk-1", 1024, format!("sdb {by_id}_drive-scsi1")),
                ("disk-3", 2048, format!("sdc {by_id}_abc")),
                ("disk-2", 512, "vda".to_owned())
            ]
        );
    }
}
