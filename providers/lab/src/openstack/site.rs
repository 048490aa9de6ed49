//! What the OpenStack of a lab begins as: its external network, flavors, images, zones and quotas.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::addresses::Range;

/// An OpenStack before anything is done with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenStackSite {
    /// The name of its only region.
    pub region: String,
    /// The network that leads out.
    pub external: ExternalSite,
    /// Sizes of servers.
    pub flavors: Vec<FlavorSite>,
    /// The names of images that are there from the beginning.
    pub images: Vec<String>,
    /// Types of volumes; the first is the one that volumes have of which nothing is said.
    pub volume_types: Vec<String>,
    /// Availability zones of servers, with their nodes; where there is none, `nova` has all nodes.
    pub zones: BTreeMap<String, Vec<String>>,
    /// Quotas that are not the usual ones, by the names that the services have for them.
    pub quotas: BTreeMap<String, i64>,
    /// How long a token holds, in seconds that nothing makes faster.
    pub token_seconds: u64,
}

/// The network that leads out, whose addresses floating IPs are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalSite {
    /// Its name.
    pub name: String,
    /// Its addresses: a loopback network, all of which the host reaches; for whole systems one that the host is on by an address
    /// of its own.
    pub cidr: String,
    /// The way out of it; its first address where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv4Addr>,
}

impl ExternalSite {
    /// Takes over the addresses of a network that the host is on, `10.90.0.1/24`, whose machines go out by the host; whether they
    /// were others before.
    pub(crate) fn lie_at(&mut self, address: &str) -> bool {
        let range = Range::parse(address);
        let gateway = address.split('/').next().and_then(|it| it.parse().ok());
        let (Some(range), Some(gateway)) = (range, gateway) else {
            return false;
        };
        let (cidr, gateway) = (range.to_string(), Some(gateway));
        let is_other = self.cidr != cidr || self.gateway != gateway;
        (self.cidr, self.gateway) = (cidr, gateway);
        is_other
    }
}

/// A size of servers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlavorSite {
    /// The name.
    pub name: String,
    /// Processors.
    pub vcpus: i64,
    /// Memory in MiB.
    pub ram: i64,
    /// The disk in GiB.
    pub disk: i64,
}

impl Default for OpenStackSite {
    fn default() -> OpenStackSite {
        let flavor = |name: &str, vcpus, ram, disk| FlavorSite {
            name: name.into(),
            vcpus,
            ram,
            disk,
        };
        OpenStackSite {
            region: "lab".into(),
            external: ExternalSite {
                name: "public".into(),
                cidr: "127.22.0.0/24".into(),
                gateway: None,
            },
            flavors: vec![
                flavor("small", 1, 2048, 20),
                flavor("medium", 2, 4096, 40),
                flavor("large", 4, 8192, 80),
            ],
            images: vec!["debian-13".into()],
            volume_types: vec!["standard".into(), "fast".into()],
            zones: BTreeMap::new(),
            quotas: BTreeMap::new(),
            token_seconds: 3600,
        }
    }
}

/// The quotas of a project where the site says nothing, by the names that the services have for them.
const USUAL: [(&str, i64); 17] = [
    ("instances", 50),
    ("cores", 200),
    ("ram", 512 * 1024),
    ("key_pairs", 100),
    ("server_groups", 10),
    ("server_group_members", 10),
    ("metadata_items", 128),
    ("network", 100),
    ("subnet", 100),
    ("port", 500),
    ("router", 10),
    ("floatingip", 50),
    ("security_group", 50),
    ("security_group_rule", 500),
    ("volumes", 100),
    ("snapshots", 100),
    ("gigabytes", 10_000),
];

impl OpenStackSite {
    /// Returns how much of something a project may have; -1 is as much as there is.
    pub(crate) fn quota(&self, name: &str) -> i64 {
        let usual = || {
            let found = USUAL.iter().find(|(known, _)| *known == name);
            found.map_or(-1, |(_, most)| *most)
        };
        self.quotas.get(name).copied().unwrap_or_else(usual)
    }

    /// Refuses what no lab can begin as.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn checked(&self, nodes: &[String]) -> Result<(), String> {
        let external = Range::parse(&self.external.cidr);
        if !external.is_some_and(|range| range.version() == 4 && range.at(10).is_some()) {
            return Err(format!(
                "the external network `{}` is no network such as 127.22.0.0/24",
                self.external.cidr
            ));
        }
        if let Some(name) = self
            .quotas
            .keys()
            .find(|name| !USUAL.iter().any(|(known, _)| known == name))
        {
            return Err(format!("there is no quota `{name}`"));
        }
        let mut zoned = self.zones.values().flatten();
        if let Some(node) = zoned.find(|node| !nodes.contains(node)) {
            return Err(format!("a zone has the node `{node}`, which is not there"));
        }
        if self.volume_types.is_empty() || self.flavors.is_empty() {
            return Err("an OpenStack needs a flavor and a volume type".into());
        }
        Ok(())
    }
}
