//! The machine behind a server: a guest of the node that it was placed on, like those of Proxmox VE. Whatever happens to a machine
//! of the lab happens to it as well.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::server::Server;
use crate::machines::{addresses_of, own_addresses};
use crate::openstack::addresses::Range;
use crate::openstack::estate::{Kind, list, text};
use crate::openstack::neutron;
use crate::world::guest::{Guest, Power, Settings};
use crate::world::{Order, World, now};

/// Returns what a server's machine is told of its network, and the addresses outside that lead to it, with those that they lead
/// to.
fn network(world: &World, server: &Server) -> (Settings, Vec<(Ipv4Addr, Ipv4Addr)>) {
    let estate = &world.openstack;
    let (mut settings, mut floating) = (Settings::new(), Vec::new());
    for (place, id) in neutron::ports_in_use(estate, &server.id)
        .into_iter()
        .enumerate()
    {
        let Some(port) = estate.get(Kind::Port, &id) else {
            continue;
        };
        settings.insert(
            format!("net{place}"),
            format!("virtio={}", text(port, "mac_address").to_ascii_uppercase()),
        );
        let mut parts = Vec::new();
        for fixed in list(port, "fixed_ips") {
            let subnet = estate.get(
                Kind::Subnet,
                fixed["subnet_id"].as_str().unwrap_or_default(),
            );
            let range = subnet.and_then(|subnet| Range::parse(text(subnet, "cidr")));
            let (Some(subnet), Some(range), Some(address)) =
                (subnet, range, fixed["ip_address"].as_str())
            else {
                continue;
            };
            let six = if range.version() == 6 { "6" } else { "" };
            parts.push(format!("ip{six}={address}/{}", range.bits()));
            let gateway = text(subnet, "gateway_ip");
            if place == 0 && !gateway.is_empty() {
                parts.push(format!("gw{six}={gateway}"));
            }
        }
        settings.insert(format!("ipconfig{place}"), parts.join(","));
        floating.extend(estate.floating_of(&id));
    }
    (settings, floating)
}

/// Returns what cloud-init reads in a server's machine, by the names of its files.
fn seed(server: &Server) -> Settings {
    let user_data = server
        .user_data
        .as_ref()
        .and_then(|text| STANDARD.decode(text).ok());
    let user_data = String::from_utf8_lossy(&user_data.unwrap_or_default()).into_owned();
    let keys: Vec<&String> = server.public_key.iter().collect();
    let meta = json!({ "instance-id": server.id, "local-hostname": hostname(server), "public-keys": keys });
    Settings::from([
        ("user-data".to_owned(), user_data),
        ("meta-data".to_owned(), meta.to_string()),
    ])
}

/// Returns what a server's machine calls itself (`nova/utils.py`).
pub(super) fn hostname(server: &Server) -> String {
    match plain(&server.name) {
        name if name.is_empty() => format!("server-{}", server.id),
        name => name,
    }
}

/// Returns what of a name can be that of a host.
fn plain(name: &str) -> String {
    let is_plain = |it: &char| it.is_ascii_alphanumeric() || *it == '-';
    let replaced = name
        .trim()
        .replace([' ', '_', '.'], "-")
        .to_ascii_lowercase();
    let kept: String = replaced.chars().filter(is_plain).collect();
    kept.trim_matches('-').chars().take(63).collect()
}

impl World {
    /// Makes the machine of a server that has its node, and starts it.
    ///
    /// # Errors
    /// Why there can be no machine here.
    pub(super) fn make_machine(&mut self, id: &str) -> Result<(), String> {
        let Some(server) = self.openstack.server(id).cloned() else {
            return Ok(());
        };
        let vmid = self.openstack.ground.next_vmid();
        let mut guest = Guest::new(vmid, server.node.as_deref().unwrap_or_default());
        guest.seed = Some(seed(&server));
        guest.config.insert("ostype".into(), "l26".into());
        guest.config.insert("smbios1".into(), format!("uuid={id}"));
        self.guests.insert(vmid, guest);
        if let Some(server) = self.openstack.server_mut(id) {
            server.vmid = Some(vmid);
        }
        self.name_machine(id);
        self.size_machine(id);
        self.set_network(id);
        self.start_machine(id)
    }

    /// Lets a server's machine be called by the server's name; what it calls itself stays.
    pub(super) fn name_machine(&mut self, id: &str) {
        let Some(server) = self.openstack.server(id) else {
            return;
        };
        let (name, vmid) = (hostname(server), server.vmid.unwrap_or_default());
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest.config.insert("name".into(), name);
        }
    }

    /// Gives a server's machine the size of its flavor.
    pub(super) fn size_machine(&mut self, id: &str) {
        let Some(server) = self.openstack.server(id) else {
            return;
        };
        let (cores, memory, node) = (server.flavor.vcpus, server.flavor.ram, server.node.clone());
        let vmid = server.vmid.unwrap_or_default();
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest.config.insert("cores".into(), cores.to_string());
            guest.config.insert("memory".into(), memory.to_string());
            guest.node = node.unwrap_or_else(|| guest.node.clone());
        }
    }

    fn set_network(&mut self, id: &str) {
        let Some(server) = self.openstack.server(id) else {
            return;
        };
        let (settings, floating) = network(self, server);
        let vmid = server.vmid.unwrap_or_default();
        let is_same = self.guests.get(&vmid).is_none_or(|guest| {
            guest.floating == floating
                && settings
                    .iter()
                    .all(|(name, value)| guest.config.get(name) == Some(value))
                && guest
                    .config
                    .keys()
                    .filter(|name| name.starts_with("ipconfig"))
                    .all(|name| settings.contains_key(name))
        });
        if is_same {
            return;
        }
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest
                .config
                .retain(|name, _| !name.starts_with("ipconfig") && !name.starts_with("net"));
            guest.config.extend(settings);
            guest.floating = floating;
            if guest.is_running() {
                self.orders.push(Order::Readdress(vmid));
            }
        }
    }

    /// Starts a server's machine.
    ///
    /// # Errors
    /// Why it can't be started here.
    pub(super) fn start_machine(&mut self, id: &str) -> Result<(), String> {
        let vmid = self.openstack.server(id).and_then(|server| server.vmid);
        let no_machines = self.no_machines.clone();
        let Some(guest) = vmid.and_then(|vmid| self.guests.get_mut(&vmid)) else {
            return Ok(());
        };
        let has_place = !own_addresses(&addresses_of(&guest.config)).is_empty();
        if let (Some(reason), true) = (no_machines, has_place) {
            return Err(reason);
        }
        guest.power = Power::Running;
        guest.started = now();
        self.orders.push(Order::Start(guest.vmid));
        Ok(())
    }

    /// Cuts the power of a server's machine.
    pub(super) fn stop_machine(&mut self, id: &str) {
        let vmid = self.openstack.server(id).and_then(|server| server.vmid);
        if let Some(vmid) = vmid {
            self.power_off(vmid);
        }
    }

    /// Throws a server's machine away.
    pub(super) fn forget_machine(&mut self, id: &str) {
        let vmid = self.openstack.server(id).and_then(|server| server.vmid);
        if let Some(vmid) = vmid
            && self.guests.remove(&vmid).is_some()
        {
            self.orders.push(Order::Forget(vmid));
        }
    }

    /// Whether a server's machine is off that should run, and its node could say so.
    pub(super) fn has_lost_power(&self, server: &Server) -> bool {
        let guest = server.vmid.and_then(|vmid| self.guests.get(&vmid));
        let is_off = guest.is_none_or(|guest| !guest.is_running());
        // Of a node that is down nothing is known.
        is_off && server.node.as_deref().is_some_and(|node| self.is_up(node))
    }
}

/// Lets the machine of a server be where its ports are by now, and where what leads to them is.
pub(in crate::openstack) fn readdress(world: &mut World, device: &str) {
    world.set_network(device);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_one_of_a_host() {
        assert_eq!(plain("Web 1_a"), "web-1-a");
        assert_eq!(plain("a.b.example"), "a-b-example");
        assert_eq!(plain("-ü-"), "");
    }
}
