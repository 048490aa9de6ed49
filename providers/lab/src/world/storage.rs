//! Storages and the volumes on them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::World;
use crate::site::StorageSite;

/// A storage, as it is configured for the cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Storage {
    pub kind: String,
    pub content: BTreeSet<String>,
    pub is_shared: bool,
    /// Bytes, for each node where it is not shared.
    pub size: u64,
    pub is_disabled: bool,
    /// The nodes it is on; empty for all.
    pub nodes: BTreeSet<String>,
}

/// A volume on a storage.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Volume {
    pub volid: String,
    /// The node it is on, where the storage is not shared.
    pub node: Option<String>,
    pub content: String,
    pub format: String,
    pub size: u64,
    pub created: u64,
    pub owner: Option<u32>,
    /// The volume that it is a linked clone of.
    pub parent: Option<String>,
    /// Where its bytes are, where it has any.
    pub file: Option<String>,
    /// The root file system that is on it, where it is the disk of a `container` machine.
    #[serde(default)]
    pub root: Option<String>,
    pub notes: Option<String>,
}

/// Which volume: its name, and the node where the storage is not shared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VolumeKey {
    pub volid: String,
    pub node: Option<String>,
}

impl fmt::Display for VolumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.volid, self.node.as_deref().unwrap_or("*"))
    }
}

impl FromStr for VolumeKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (volid, node) = text.rsplit_once(' ').ok_or("no node")?;
        Ok(VolumeKey {
            volid: volid.to_owned(),
            node: (node != "*").then(|| node.to_owned()),
        })
    }
}

/// What a new volume is to be.
pub(crate) struct NewVolume {
    /// The name on the storage, without the storage's.
    pub name: String,
    pub content: &'static str,
    pub format: &'static str,
    pub size: u64,
    pub owner: Option<u32>,
    pub parent: Option<String>,
    /// The root file system that is on it.
    pub root: Option<String>,
}

impl Storage {
    pub(crate) fn of(site: &StorageSite) -> Storage {
        Storage {
            kind: site.kind.clone(),
            content: site.content.iter().cloned().collect(),
            is_shared: site.shared,
            size: site.size_gib << 30,
            is_disabled: false,
            nodes: BTreeSet::new(),
        }
    }

    /// Whether volumes are files in folders.
    pub(crate) fn is_files(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "dir" | "nfs" | "cifs" | "cephfs" | "btrfs"
        )
    }

    pub(crate) fn is_on(&self, node: &str) -> bool {
        self.nodes.is_empty() || self.nodes.contains(node)
    }

    /// Returns the folder that messages name.
    pub(crate) fn path(&self, name: &str) -> String {
        if name == "local" {
            "/var/lib/vz".to_owned()
        } else {
            format!("/mnt/pve/{name}")
        }
    }
}

impl World {
    /// Returns the storage that a node can use.
    pub(crate) fn storage_on(&self, node: &str, name: &str) -> Result<&Storage, String> {
        let storage = self
            .cluster
            .storages
            .get(name)
            .ok_or(format!("storage '{name}' does not exist"))?;
        if storage.is_disabled {
            return Err(format!("storage '{name}' is disabled"));
        }
        if !storage.is_on(node) {
            return Err(format!(
                "storage '{name}' is not available on node '{node}'"
            ));
        }
        Ok(storage)
    }

    /// Returns the key of a volume as a node sees it. What is on no storage of the cluster is a disk of the OpenStack's, which is where
    /// its server is.
    pub(crate) fn key(&self, node: &str, volid: &str) -> VolumeKey {
        let name = volid.split(':').next().unwrap_or_default();
        let is_shared = self
            .cluster
            .storages
            .get(name)
            .is_none_or(|storage| storage.is_shared);
        VolumeKey {
            volid: volid.to_owned(),
            node: (!is_shared).then(|| node.to_owned()),
        }
    }

    /// Returns how many bytes are taken on a storage, as a node sees it.
    pub(crate) fn used(&self, node: &str, name: &str) -> u64 {
        let storage = self.cluster.storages.get(name);
        if self.cluster.faults.full.contains(name) {
            return storage.map_or(0, |storage| storage.size);
        }
        let is_shared = storage.is_some_and(|storage| storage.is_shared);
        let prefix = format!("{name}:");
        let on = self.volumes.values().filter(|volume| {
            volume.volid.starts_with(&prefix) && (is_shared || volume.node.as_deref() == Some(node))
        });
        // A linked clone takes room for what differs from its base, which is nothing at first.
        on.filter(|volume| volume.parent.is_none())
            .map(|volume| volume.size)
            .sum()
    }

    /// Whether there is room for more bytes.
    pub(crate) fn room(&self, node: &str, name: &str, bytes: u64) -> Result<(), String> {
        let size = self
            .cluster
            .storages
            .get(name)
            .map_or(0, |storage| storage.size);
        if self.used(node, name).saturating_add(bytes) <= size {
            return Ok(());
        }
        Err(format!(
            "unable to create image: no space left on storage '{name}'"
        ))
    }

    /// Records a volume and returns its name.
    pub(crate) fn put_volume(&mut self, node: &str, storage: &str, new: NewVolume) -> String {
        let volid = match &new.parent {
            // A linked clone on files names its base before itself.
            Some(parent) => format!("{parent}/{}", new.name),
            None => format!("{storage}:{}", new.name),
        };
        let key = self.key(node, &volid);
        let volume = Volume {
            volid: volid.clone(),
            node: key.node.clone(),
            content: new.content.to_owned(),
            format: new.format.to_owned(),
            size: new.size,
            created: self.clock_of(node) / 1000,
            owner: new.owner,
            parent: new.parent,
            file: None,
            root: new.root,
            notes: None,
        };
        self.volumes.insert(key, volume);
        volid
    }

    /// Removes a volume with its bytes.
    ///
    /// # Errors
    /// Where linked clones need it.
    pub(crate) fn drop_volume(&mut self, node: &str, volid: &str) -> Result<(), String> {
        if self
            .volumes
            .values()
            .any(|volume| volume.parent.as_deref() == Some(volid))
        {
            return Err(format!(
                "base volume '{volid}' is still in use by linked cloned"
            ));
        }
        let key = self.key(node, volid);
        if let Some(file) = self.volumes.remove(&key).and_then(|volume| volume.file) {
            // A file that is gone already is no trouble.
            let _ = std::fs::remove_file(self.files.join(file));
        }
        Ok(())
    }

    /// Returns the first number of a disk of a guest that is free on a storage.
    pub(crate) fn free_disk(&self, vmid: u32) -> u32 {
        let owned: Vec<&str> = self
            .volumes
            .values()
            .filter(|volume| volume.owner == Some(vmid))
            .map(|volume| volume.volid.as_str())
            .collect();
        let is_free = |number: &u32| {
            let (disk, base) = (
                format!("vm-{vmid}-disk-{number}"),
                format!("base-{vmid}-disk-{number}"),
            );
            !owned
                .iter()
                .any(|volid| ends(volid, &disk) || ends(volid, &base))
        };
        (0..).find(is_free).unwrap_or(0)
    }
}

fn ends(volid: &str, name: &str) -> bool {
    let last = volid.rsplit(['/', ':']).next().unwrap_or_default();
    last.split('.').next() == Some(name)
}

/// Returns which of a guest's disks a drive or a volume is: `disk-1`, on whatever storage.
pub(crate) fn disk_of(drive: &str) -> Option<String> {
    let volid = drive.split(',').next()?;
    let last = volid.rsplit(['/', ':']).next()?.split('.').next()?;
    let number = last.rsplit_once("-disk-")?.1;
    number.parse::<u32>().ok()?;
    Some(format!("disk-{number}"))
}

/// Returns the name of a disk on a storage.
pub(crate) fn disk_name(
    world: &World,
    storage: &str,
    vmid: u32,
    stem: &str,
    number: u32,
) -> String {
    if world
        .cluster
        .storages
        .get(storage)
        .is_some_and(Storage::is_files)
    {
        format!(
            "{vmid}/{stem}-{vmid}-disk-{number}.{}",
            format_of(world, storage)
        )
    } else {
        format!("{stem}-{vmid}-disk-{number}")
    }
}

/// Returns the name of a cloud-init image on a storage.
pub(crate) fn cloudinit_name(world: &World, storage: &str, vmid: u32) -> String {
    if world
        .cluster
        .storages
        .get(storage)
        .is_some_and(Storage::is_files)
    {
        format!("{vmid}/vm-{vmid}-cloudinit.{}", format_of(world, storage))
    } else {
        format!("vm-{vmid}-cloudinit")
    }
}

/// Returns the format that disks have on a storage where none is asked for.
pub(crate) fn format_of(world: &World, storage: &str) -> &'static str {
    match world.cluster.storages.get(storage) {
        Some(storage) if storage.is_files() => "qcow2",
        _ => "raw",
    }
}

/// Returns a size as drives have it: in the largest unit that it is whole in.
pub(crate) fn short_size(bytes: u64) -> String {
    for (unit, factor) in [
        ("T", 1u64 << 40),
        ("G", 1 << 30),
        ("M", 1 << 20),
        ("K", 1 << 10),
    ] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}
