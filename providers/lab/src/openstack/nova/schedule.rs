//! On which node a server is placed.

use super::server::{Server, State};
use crate::openstack::FlavorSite;
use crate::openstack::estate::{Kind, text};
use crate::world::World;
use crate::world::guest::Guest;

/// How many processors of servers share one of a node.
const SHARED: u64 = 4;

/// What is said where no node is good enough.
pub(super) const NO_HOST: &str = "No valid host was found. There are not enough hosts available.";

impl World {
    /// Returns the node for a server with a flavor; none where none is good enough.
    pub(super) fn node_for(&self, server: &Server, flavor: &FlavorSite) -> Option<String> {
        let wanted = server.wanted_zone.as_deref();
        let zones = self.zones().into_iter();
        let in_zone = zones.filter(|(zone, _)| wanted.is_none_or(|wanted| wanted == zone));
        let nodes = in_zone.flat_map(|(_, nodes)| nodes);
        let mut fit: Vec<(bool, std::cmp::Reverse<u64>, String)> = nodes
            .filter(|node| self.is_up(node))
            .filter_map(|node| {
                let free = self.free_memory(&node, server, flavor)?;
                let is_liked = self.likes(server, &node)?;
                Some((!is_liked, std::cmp::Reverse(free), node))
            })
            .collect();
        fit.sort();
        fit.into_iter().next().map(|(_, _, node)| node)
    }

    /// Returns what memory of a node is free for a server; none where it is too little, or there are too few processors.
    fn free_memory(&self, node: &str, server: &Server, flavor: &FlavorSite) -> Option<u64> {
        let about = self.cluster.nodes.get(node)?;
        let guests = self
            .guests
            .values()
            .filter(|guest| guest.node == node && !guest.is_template());
        // What it has already is its own.
        let others: Vec<&Guest> = guests
            .filter(|guest| Some(guest.vmid) != server.vmid)
            .collect();
        let memory: u64 = others.iter().map(|guest| guest.memory()).sum();
        let cores: u64 = others.iter().map(|guest| guest.cores()).sum();
        let wants_cores = u64::try_from(flavor.vcpus).unwrap_or(0);
        let wants = u64::try_from(flavor.ram).unwrap_or(0) << 20;
        let has_cores = cores + wants_cores <= u64::from(about.cores) * SHARED;
        let free = about.memory.checked_sub(memory)?;
        (has_cores && wants <= free).then_some(free)
    }

    /// Whether a server is wished on a node; none where it may not be there.
    fn likes(&self, server: &Server, node: &str) -> Option<bool> {
        let is_on = |other: &Server| other.id != server.id && other.node.as_deref() == Some(node);
        let on_node = |id: &String| self.openstack.server(id).is_some_and(is_on);
        let hints = &server.hints;
        if hints.different_host.iter().any(on_node) || !hints.same_host.iter().all(on_node) {
            return None;
        }
        let Some(group) = hints
            .group
            .as_ref()
            .and_then(|id| self.openstack.get(Kind::ServerGroup, id))
        else {
            return Some(true);
        };
        let servers = self.openstack.servers.values();
        let members: Vec<&Server> = servers
            .filter(|other| {
                other.hints.group == hints.group
                    && other.id != server.id
                    && other.state != State::Error
            })
            .collect();
        let here = members.iter().filter(|other| is_on(other)).count();
        let most = group
            .get("rules")
            .and_then(|rules| rules["max_server_per_host"].as_i64());
        let most = usize::try_from(most.unwrap_or(1)).unwrap_or(1);
        let is_alone = !members.iter().any(|other| other.node.is_some());
        match text(group, "policy") {
            "anti-affinity" => (here < most).then_some(true),
            "affinity" => (here > 0 || is_alone).then_some(true),
            "soft-anti-affinity" => Some(here == 0),
            _ => Some(here > 0 || is_alone),
        }
    }
}
