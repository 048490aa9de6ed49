//! A guest: its configuration as it is in its file, what waits for a stop, its snapshots.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::storage::disk_of;

/// Settings by name, in the text form of the configuration file.
pub(crate) type Settings = BTreeMap<String, String>;

/// A virtual machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Guest {
    pub vmid: u32,
    pub node: String,
    pub config: Settings,
    /// Values that are taken over when the machine is off.
    pub pending: Settings,
    /// Settings that go when the machine is off; whether their volumes go at once.
    pub deleting: BTreeMap<String, bool>,
    pub snapshots: BTreeMap<String, Snapshot>,
    /// The snapshot that the present is based on.
    pub parent: Option<String>,
    pub power: Power,
    /// When it was started, in milliseconds.
    pub started: u64,
    /// What the cloud-init image was made from.
    pub image: Option<Settings>,
    /// Whether it was started with a channel for an agent.
    pub agent_channel: bool,
    pub pid: u32,
    /// The address that its network's DHCP gave its machine, with the bits of its network.
    #[serde(default)]
    pub lease: Option<(Ipv4Addr, u8)>,
    /// What its cloud tells it, by the names of the files that cloud-init reads; in place of a seed in one of its drives.
    #[serde(default)]
    pub seed: Option<Settings>,
    /// Addresses outside that lead to it, with the address of its own to which each leads.
    #[serde(default)]
    pub floating: Vec<(Ipv4Addr, Ipv4Addr)>,
}

/// Whether a machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Power {
    Stopped,
    Running,
    Paused,
}

/// A state that can be gone back to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub config: Settings,
    pub description: String,
    pub time: u64,
    pub with_memory: bool,
    pub parent: Option<String>,
}

/// What other nodes know of a guest.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub name: String,
    pub power: Power,
    pub cores: u64,
    pub memory: u64,
    pub disk: u64,
    pub started: u64,
}

impl Guest {
    pub(crate) fn new(vmid: u32, node: &str) -> Guest {
        Guest {
            vmid,
            node: node.to_owned(),
            config: Settings::new(),
            pending: Settings::new(),
            deleting: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            parent: None,
            power: Power::Stopped,
            started: 0,
            image: None,
            agent_channel: false,
            pid: 0,
            lease: None,
            seed: None,
            floating: Vec::new(),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.power != Power::Stopped
    }

    pub(crate) fn is_template(&self) -> bool {
        self.config
            .get("template")
            .is_some_and(|value| value == "1")
    }

    pub(crate) fn lock(&self) -> Option<&str> {
        self.config.get("lock").map(String::as_str)
    }

    pub(crate) fn name(&self) -> String {
        let name = self.config.get("name").cloned();
        name.unwrap_or_else(|| format!("VM{}", self.vmid))
    }

    /// Returns the digest of the configuration file.
    pub(crate) fn digest(&self) -> String {
        let mut text = String::new();
        let mut add = |section: &str, settings: &Settings| {
            text.push_str(&format!("[{section}]\n"));
            for (key, value) in settings {
                text.push_str(&format!("{key}: {value}\n"));
            }
        };
        add("", &self.config);
        add("PENDING", &self.pending);
        for (name, snapshot) in &self.snapshots {
            add(name, &snapshot.config);
        }
        for (key, forced) in &self.deleting {
            text.push_str(&format!("delete: {key} {forced}\n"));
        }
        crate::hash::sha1(&text)
    }

    /// Returns the configuration as if all that waits had been taken over.
    pub(crate) fn wanted(&self) -> Settings {
        let mut config = self.config.clone();
        config.retain(|key, _| !self.deleting.contains_key(key));
        config.extend(self.pending.clone());
        config
    }

    pub(crate) fn cores(&self) -> u64 {
        let number = |key: &str| {
            self.config
                .get(key)
                .and_then(|text| text.parse().ok())
                .unwrap_or(1u64)
        };
        number("cores") * number("sockets")
    }

    /// Returns the memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let text = self.config.get("memory").map_or("512", String::as_str);
        let text = text.strip_prefix("current=").unwrap_or(text);
        text.parse::<u64>().unwrap_or(512) << 20
    }

    /// Returns the size of the disk that it boots from.
    pub(crate) fn disk(&self) -> u64 {
        let boot = self.config.get("boot").map_or("", String::as_str);
        let order = boot.trim_start_matches("order=").split(';');
        let mut disks = order.filter_map(|key| self.config.get(key));
        disks
            .find_map(|drive| {
                let size = part(drive, "size")?;
                let is_cdrom = drive.contains("media=cdrom");
                crate::schema::size(size).filter(|_| !is_cdrom)
            })
            .unwrap_or(0)
    }

    /// Returns the drive that one of the guest's disks is in.
    pub(crate) fn slot_of(&self, disk: &str) -> Option<String> {
        let mut drives = self.config.iter().filter(|(key, _)| is_drive(key));
        let found = drives.find(|(_, drive)| disk_of(drive).as_deref() == Some(disk));
        found.map(|(key, _)| key.clone())
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen {
            name: self.name(),
            power: self.power,
            cores: self.cores(),
            memory: self.memory(),
            disk: self.disk(),
            started: self.started,
        }
    }
}

/// Returns a part of a setting by its name: the `size` of a drive, the `bridge` of a network device.
pub(crate) fn part<'a>(setting: &'a str, name: &str) -> Option<&'a str> {
    let mut parts = setting.split(',');
    parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// Returns the size of a drive in bytes, as it is recorded.
pub(crate) fn size(drive: &str) -> u64 {
    part(drive, "size")
        .and_then(crate::schema::size)
        .unwrap_or(0)
}

/// Whether a setting is a drive.
pub(crate) fn is_drive(key: &str) -> bool {
    let stem = key.trim_end_matches(|character: char| character.is_ascii_digit());
    let is_numbered = stem.len() < key.len();
    matches!(key, "efidisk0" | "tpmstate0")
        || is_numbered && matches!(stem, "ide" | "sata" | "scsi" | "virtio")
}

/// Whether a setting is a network device.
pub(crate) fn is_net(key: &str) -> bool {
    key.strip_prefix("net")
        .is_some_and(|rest| rest.parse::<u32>().is_ok())
}

/// Whether a setting is a volume that no drive uses.
pub(crate) fn is_unused(key: &str) -> bool {
    key.strip_prefix("unused")
        .is_some_and(|rest| rest.parse::<u32>().is_ok())
}

/// Whether a setting goes into the cloud-init image.
pub(crate) fn is_cloudinit(key: &str) -> bool {
    key.starts_with("ipconfig")
        || is_net(key)
        || matches!(
            key,
            "ciuser"
                | "cipassword"
                | "ciupgrade"
                | "citype"
                | "cicustom"
                | "sshkeys"
                | "searchdomain"
                | "nameserver"
                | "name"
        )
}
