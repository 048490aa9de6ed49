//! What a lab begins as: nodes, storages, bridges, templates. Read from a JSON file, or the small site that is built in.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::machines::is_same_network;

/// A release of Proxmox VE that the lab can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Release {
    /// 8.4.
    #[serde(rename = "8.4")]
    Eight,
    /// 9.1.
    #[default]
    #[serde(rename = "9.1")]
    Nine,
}

impl Release {
    /// The release, `9.1`, the version, and the kernel's.
    pub(crate) fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Release::Eight => ("8.4", "8.4.16", "6.8.12-18-pve"),
            Release::Nine => ("9.1", "9.1.9", "6.17.2-1-pve"),
        }
    }
}

/// A cluster before anything is done with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Site {
    /// The cluster's name.
    pub cluster: String,
    /// What its nodes run.
    pub release: Release,
    /// Decides everything that is drawn: MAC addresses, uuids, faults.
    pub seed: u64,
    /// How many times faster than life tasks run.
    pub speed: f64,
    /// The hypervisors.
    pub nodes: Vec<NodeSite>,
    /// Where volumes are.
    pub storages: Vec<StorageSite>,
    /// Machines to clone from.
    pub templates: Vec<TemplateSite>,
    /// The port at which machines let people in; below 1024 it takes the superuser.
    pub ssh_port: u16,
    /// Loopback networks, as `127.20.0.0/24`, whose machines are reached from the host only through another machine of that network.
    pub private: Vec<String>,
}

/// One hypervisor.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSite {
    /// The name, a DNS label.
    pub name: String,
    /// The address that the API tells of.
    pub address: String,
    /// Processors.
    pub cores: u32,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// Bridges that machines can be attached to.
    pub bridges: Vec<String>,
}

/// One storage.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageSite {
    /// The name.
    pub name: String,
    /// The type: `dir`, `nfs`, `lvmthin`.
    pub kind: String,
    /// What may be on it: `images`, `iso`, `import`, and so on.
    pub content: Vec<String>,
    /// Whether all nodes see the same volumes.
    #[serde(default)]
    pub shared: bool,
    /// The size in GiB, for each node where it is not shared.
    pub size_gib: u64,
}

/// A machine to clone from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateSite {
    /// The number.
    pub vmid: u32,
    /// The name.
    pub name: String,
    /// The node it is on.
    pub node: String,
    /// The storage of its disk.
    pub storage: String,
    /// The size of its disk in GiB.
    pub disk_gib: u64,
}

impl Default for Site {
    fn default() -> Site {
        let node = |number: u32| NodeSite {
            name: format!("pve{number}"),
            address: format!("192.0.2.{number}"),
            cores: 16,
            memory_gib: 64,
            bridges: vec!["vmbr0".into(), "vmbr1".into()],
        };
        let storage =
            |name: &str, kind: &str, shared: bool, size_gib: u64, content: &[&str]| StorageSite {
                name: name.into(),
                kind: kind.into(),
                content: content.iter().map(|word| (*word).to_owned()).collect(),
                shared,
                size_gib,
            };
        Site {
            cluster: "lab".into(),
            release: Release::default(),
            seed: 1,
            speed: 20.0,
            nodes: (1..=3).map(node).collect(),
            storages: vec![
                storage(
                    "local",
                    "dir",
                    false,
                    100,
                    &["iso", "vztmpl", "backup", "import", "snippets"],
                ),
                storage("local-lvm", "lvmthin", false, 500, &["images", "rootdir"]),
                storage(
                    "shared",
                    "nfs",
                    true,
                    2000,
                    &["images", "iso", "import", "backup", "vztmpl"],
                ),
            ],
            templates: vec![TemplateSite {
                vmid: 9000,
                name: "debian-13".into(),
                node: "pve1".into(),
                storage: "shared".into(),
                disk_gib: 4,
            }],
            ssh_port: 2222,
            private: vec!["127.20.0.0/16".into()],
        }
    }
}

impl Site {
    /// Whether an address is of a private network.
    pub(crate) fn is_private(&self, address: Ipv4Addr) -> bool {
        self.private.iter().any(|network| {
            let parts = network
                .split_once('/')
                .and_then(|(start, bits)| Some((start.parse().ok()?, bits.parse().ok()?)));
            parts.is_some_and(|(start, bits)| is_same_network(start, address, bits))
        })
    }
}
