//! Software-defined networks: a draft, and what runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Objects of one kind, by name.
pub(crate) type Objects = BTreeMap<String, BTreeMap<String, String>>;

/// The draft and what runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sdn {
    pub draft: Networks,
    pub running: Networks,
    /// The token of who keeps others from writing.
    pub lock: Option<String>,
}

/// Zones, vnets and subnets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Networks {
    pub zones: Objects,
    pub vnets: Objects,
    pub subnets: Objects,
}

impl Networks {
    /// Returns the objects of a kind: `zones`, `vnets` or `subnets`.
    pub(crate) fn of(&self, kind: Kind) -> &Objects {
        match kind {
            Kind::Zone => &self.zones,
            Kind::Vnet => &self.vnets,
            Kind::Subnet => &self.subnets,
        }
    }

    /// Returns the zone of a vnet.
    pub(crate) fn zone_of(&self, vnet: &str) -> Option<&str> {
        self.vnets.get(vnet)?.get("zone").map(String::as_str)
    }

    /// Returns the names of all zones, with the one of the nodes' own bridges.
    pub(crate) fn zone_names(&self) -> impl Iterator<Item = &str> {
        self.zones
            .keys()
            .map(String::as_str)
            .chain(["localnetwork"])
    }

    pub(crate) fn of_mut(&mut self, kind: Kind) -> &mut Objects {
        match kind {
            Kind::Zone => &mut self.zones,
            Kind::Vnet => &mut self.vnets,
            Kind::Subnet => &mut self.subnets,
        }
    }
}

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Zone,
    Vnet,
    Subnet,
}

impl Kind {
    /// Returns the member that holds the name.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Kind::Zone => "zone",
            Kind::Vnet => "vnet",
            Kind::Subnet => "subnet",
        }
    }
}
