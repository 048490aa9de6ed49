//! What a virtual machine is to be, by its guest's settings: what of them QEMU has a device for, in words that are QEMU's.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::bridges::Cable;
use crate::Trouble;
use crate::image::DiskFormat;
use crate::world::World;
use crate::world::guest::{self, Guest, Settings};
use crate::world::storage::disk_of;

/// Where it is, in a machine's folder.
const SPEC: &str = "vm.json";

/// What a machine is to be.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Spec {
    pub name: String,
    /// The identity that its firmware tells; empty where it tells none.
    pub uuid: String,
    /// In bytes.
    pub memory: u64,
    pub cores: u64,
    /// The board: `pc` or `q35`.
    pub board: String,
    /// The device that SCSI drives are on.
    pub scsi: String,
    pub drives: Vec<Drive>,
    pub cards: Vec<Card>,
    /// Whether there is a channel for a guest agent.
    pub has_agent: bool,
    pub has_kvm: bool,
    /// By how many seconds its clock is ahead of the host's when it starts; behind it, if less than none.
    pub ahead: i64,
}

/// A drive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Drive {
    /// The setting that it is: a bus and a number, as `scsi0`.
    pub bus: Bus,
    pub number: u32,
    pub serial: Option<String>,
    /// When it is booted from.
    pub turn: Option<usize>,
    pub content: Content,
}

/// What drives are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Bus {
    Ide,
    Sata,
    Scsi,
    Virtio,
}

/// What is in a drive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Content {
    /// A disk of the machine's own.
    Disk {
        /// Which of the guest's disks it is: `disk-0`.
        disk: String,
        bytes: u64,
        /// What it is made of; without, it began empty.
        image: Option<Image>,
    },
    /// A disc, which is read alone.
    Disc(PathBuf),
}

/// The image of a disk, which stays as it is below what a machine changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Image {
    pub path: PathBuf,
    pub format: DiskFormat,
}

/// A network card.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Card {
    /// The device, in QEMU's words.
    pub device: String,
    pub cable: Cable,
}

impl Spec {
    /// Returns what the machine of a guest is to be. Its cables are told, and where its cloud-init drive is kept.
    pub(super) fn of(world: &World, guest: &Guest, cables: &[Cable], cloudinit: &Path) -> Spec {
        let word = |key: &str| guest.config.get(key).map_or("", String::as_str);
        let board = if word("machine").contains("q35") {
            "q35"
        } else {
            "pc"
        };
        let cards = cables.iter().map(|cable| Card {
            device: card_of(&guest.config, &cable.interface.name),
            cable: cable.clone(),
        });
        Spec {
            memory: guest.memory(),
            cores: guest.cores(),
            board: board.to_owned(),
            scsi: scsi_of(word("scsihw")).to_owned(),
            drives: drives_of(world, guest, cloudinit),
            cards: cards.collect(),
            has_agent: guest.agent_channel,
            ..Spec::default()
        }
    }

    /// Whether one of its drives is what the API's own settings tell at the first boot.
    pub(super) fn has_cloudinit(&self) -> bool {
        let mut discs = self.drives.iter().filter_map(|drive| match &drive.content {
            Content::Disc(path) => path.file_name(),
            Content::Disk { .. } => None,
        });
        discs.any(|name| name == super::CLOUDINIT)
    }

    /// Reads what the machine in the current folder is to be.
    pub(super) fn read() -> Result<Spec, String> {
        let text = std::fs::read_to_string(SPEC).map_err(|error| format!("{SPEC}: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{SPEC}: {error}"))
    }

    /// Writes it into the machine's folder.
    pub(super) fn write(&self, place: &Path) -> Result<(), Trouble> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        crate::folder::write_private(&place.join(SPEC), &text)
    }
}

/// Returns the device that is the card behind an interface, `eth0` for `net0`.
fn card_of(config: &Settings, interface: &str) -> String {
    let setting = interface.replacen("eth", "net", 1);
    let setting = config.get(&setting).map_or("", String::as_str);
    match setting.split('=').next().unwrap_or_default() {
        "" | "virtio" => "virtio-net-pci".to_owned(),
        // All others have the name that they have in QEMU.
        other => other.to_owned(),
    }
}

/// Returns the device behind a kind of SCSI controller.
fn scsi_of(kind: &str) -> &'static str {
    match kind {
        "virtio-scsi-pci" | "virtio-scsi-single" => "virtio-scsi-pci",
        "megasas" => "megasas",
        "pvscsi" => "pvscsi",
        "lsi53c810" => "lsi53c810",
        _ => "lsi53c895a",
    }
}

/// Returns the bus and the number of a drive's setting; none for what is no drive that a system sees.
fn slot_of(setting: &str) -> Option<(Bus, u32)> {
    let buses = [
        ("ide", Bus::Ide),
        ("sata", Bus::Sata),
        ("scsi", Bus::Scsi),
        ("virtio", Bus::Virtio),
    ];
    buses
        .into_iter()
        .find_map(|(name, bus)| Some((bus, setting.strip_prefix(name)?.parse().ok()?)))
}

/// Returns a guest's drives with something in them, in the order of their numbers on each bus.
fn drives_of(world: &World, guest: &Guest, cloudinit: &Path) -> Vec<Drive> {
    let boot = guest.config.get("boot").map_or("", String::as_str);
    let order: Vec<&str> = boot.trim_start_matches("order=").split(';').collect();
    let drive = |(setting, text): (&String, &String)| {
        let (bus, number) = slot_of(setting)?;
        Some(Drive {
            bus,
            number,
            serial: guest::part(text, "serial").map(str::to_owned),
            turn: order.iter().position(|own| *own == setting.as_str()),
            content: content_of(world, guest, text, cloudinit)?,
        })
    };
    let mut drives: Vec<Drive> = guest.config.iter().filter_map(drive).collect();
    drives.sort_by_key(|drive| drive.number);
    drives
}

/// Returns what is in a drive; none where it is empty, or what is in it has no bytes in the lab.
fn content_of(world: &World, guest: &Guest, drive: &str, cloudinit: &Path) -> Option<Content> {
    let volid = drive.split(',').next()?;
    if volid.contains("-cloudinit") {
        return Some(Content::Disc(cloudinit.to_owned()));
    }
    let volume = world.volumes.get(&world.key(&guest.node, volid))?;
    if drive.contains("media=cdrom") {
        let file = volume.file.as_ref()?;
        return Some(Content::Disc(world.files.join(file)));
    }
    let root = volume.root.as_deref();
    let image = root.and_then(|name| {
        Some(Image {
            path: world.root_path(name)?,
            format: world.images.get(name)?.format,
        })
    });
    Some(Content::Disk {
        disk: disk_of(volid)?,
        bytes: guest::size(drive),
        image,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_in_qemus_words() {
        let found: Vec<_> = [
            "scsi0",
            "virtio12",
            "sata5",
            "ide2",
            "efidisk0",
            "tpmstate0",
        ]
        .map(slot_of)
        .to_vec();
        assert_eq!(
            found,
            [
                Some((Bus::Scsi, 0)),
                Some((Bus::Virtio, 12)),
                Some((Bus::Sata, 5)),
                Some((Bus::Ide, 2)),
                None,
                None
            ]
        );
        assert_eq!(
            ["virtio-scsi-single", "lsi", "", "pvscsi"].map(scsi_of),
            ["virtio-scsi-pci", "lsi53c895a", "lsi53c895a", "pvscsi"]
        );
        let config = Settings::from(
            [
                ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0"),
                ("net1", "e1000=BC:24:11:00:00:02,bridge=vmbr0"),
            ]
            .map(|(key, text)| (key.to_owned(), text.to_owned())),
        );
        assert_eq!(
            ["eth0", "eth1"].map(|name| card_of(&config, name)),
            ["virtio-net-pci", "e1000"]
        );
    }
}
