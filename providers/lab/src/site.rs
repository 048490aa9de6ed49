//! What a lab begins as: nodes, storages, bridges, templates. Read from a JSON file, or the small site that is built in.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::machines::is_same_network;
use crate::openstack::OpenStackSite;

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
    /// Whether its nodes speak the API of Proxmox VE.
    pub proxmox: bool,
    /// The OpenStack that they are as well.
    pub openstack: Option<OpenStackSite>,
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
    /// The loopback network whose addresses `process` machines get that ask for one by DHCP.
    pub dhcp: String,
    /// Root file systems and disk images that `container` machines and `vm` machines are made of.
    pub roots: Vec<RootSite>,
    /// Networks of such machines that the host is on as well.
    pub networks: Vec<NetworkSite>,
}

/// A root file system, or the image of a disk: what a template or an image of its name holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootSite {
    /// The name: that of a template, or of an image that disks are imported from, with or without its ending.
    pub name: String,
    /// A folder, or a tar archive, which may be compressed: for `container` machines. A disk image, qcow2 or raw: for `vm` machines.
    pub path: PathBuf,
}

/// A network that the host is on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSite {
    /// The bridge or the network (SDN); with a VLAN, `vmbr0.20`.
    pub bridge: String,
    /// The host's address there, `10.90.0.1/24`.
    pub address: String,
}

/// What a lab is told of whenever it is served, beside what it began as.
#[derive(Clone, Debug, Default)]
pub struct More {
    /// Root file systems and disk images.
    pub roots: Vec<RootSite>,
    /// Networks that the host is on.
    pub networks: Vec<NetworkSite>,
}

impl FromStr for RootSite {
    type Err = String;

    fn from_str(text: &str) -> Result<RootSite, String> {
        let (name, path) = pair(text, "debian-13=/srv/debian-13.tar")?;
        let path = std::path::absolute(path).map_err(|error| format!("`{path}`: {error}"))?;
        Ok(RootSite {
            name: name.to_owned(),
            path,
        })
    }
}

impl FromStr for NetworkSite {
    type Err = String;

    fn from_str(text: &str) -> Result<NetworkSite, String> {
        let (bridge, address) = pair(text, "vmbr0=10.90.0.1/24")?;
        let network = NetworkSite {
            bridge: bridge.to_owned(),
            address: address.to_owned(),
        };
        network.checked()?;
        Ok(network)
    }
}

fn pair<'a>(text: &'a str, example: &str) -> Result<(&'a str, &'a str), String> {
    let parts = text.split_once('=');
    parts
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
        .ok_or(format!("it has the form `{example}`"))
}

impl NetworkSite {
    /// Refuses what is no address with its prefix, or one that is on no network of its own.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn checked(&self) -> Result<(), String> {
        let parts = self.address.split_once('/');
        let parsed = parts.and_then(|(address, bits)| {
            Some((address.parse::<Ipv4Addr>().ok()?, bits.parse::<u8>().ok()?))
        });
        match parsed {
            Some((address, 1..=30)) if !address.is_loopback() => Ok(()),
            _ => Err(format!(
                "`{}` is no address of the host with its prefix, such as 10.90.0.1/24",
                self.address
            )),
        }
    }
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
            proxmox: true,
            openstack: Some(OpenStackSite::default()),
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
            dhcp: "127.21.0.0/16".into(),
            roots: Vec::new(),
            networks: Vec::new(),
        }
    }
}

impl Site {
    /// Whether an address is of a private network.
    pub(crate) fn is_private(&self, address: Ipv4Addr) -> bool {
        let mut networks = self.private.iter().filter_map(|text| network(text));
        networks.any(|(start, bits)| is_same_network(start, address, bits))
    }

    /// Returns the first address that DHCP can give and `is_taken` does not name, with the bits of its network.
    pub(crate) fn lease(&self, is_taken: impl Fn(Ipv4Addr) -> bool) -> Option<(Ipv4Addr, u8)> {
        let (start, bits) = network(&self.dhcp)?;
        let start = u32::from(start);
        let last = start | u32::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
        let mut all = (start.saturating_add(10)..last).map(Ipv4Addr::from);
        let found = all.find(|address| address.is_loopback() && !is_taken(*address));
        found.map(|address| (address, bits))
    }
}

/// Takes a network such as `127.20.0.0/16` apart.
fn network(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (start, bits) = text.split_once('/')?;
    let bits = bits.parse().ok().filter(|bits| *bits <= 32)?;
    Some((start.parse().ok()?, bits))
}
