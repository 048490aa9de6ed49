//! The machine behind a server: a guest of the node that it was placed on, like those of Proxmox VE. Whatever happens to a machine
//! of the lab happens to it as well.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::server::Server;
use crate::machines::{addresses_of, own_addresses};
use crate::openstack::addresses::Range;
use crate::openstack::estate::{Kind, list, text};
use crate::openstack::neutron;
use crate::world::guest::{self, Guest, Power, Settings};
use crate::world::storage::{NewVolume, VolumeKey, short_size};
use crate::world::{Order, World, now};

/// Returns what a server's machine is told of its network, and the addresses outside that lead to it, with those that they lead
/// to.
fn network(world: &World, server: &Server) -> (Settings, Vec<(Ipv4Addr, Ipv4Addr)>) {
    let estate = &world.openstack;
    let (mut settings, mut floating) = (Settings::new(), Vec::new());
    let mut name_servers = Vec::new();
    for (place, id) in neutron::ports_in_use(estate, &server.id)
        .into_iter()
        .enumerate()
    {
        let Some(port) = estate.get(Kind::Port, &id) else {
            continue;
        };
        let mac = text(port, "mac_address").to_ascii_uppercase();
        let wire = estate.wire_of(text(port, "network_id"));
        settings.insert(format!("net{place}"), format!("virtio={mac},bridge={wire}"));
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
            for server in list(subnet, "dns_nameservers")
                .iter()
                .filter_map(Value::as_str)
            {
                if !name_servers.contains(&server) {
                    name_servers.push(server);
                }
            }
        }
        settings.insert(format!("ipconfig{place}"), parts.join(","));
        floating.extend(estate.floating_of(&id));
    }
    if !name_servers.is_empty() {
        settings.insert("nameserver".to_owned(), name_servers.join(" "));
    }
    (settings, floating)
}

/// Whether a setting of a guest is about its network.
fn is_of_network(name: &str) -> bool {
    name.starts_with("ipconfig") || name.starts_with("net") || name == "nameserver"
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
        self.put_system(id);
        self.set_network(id);
        self.start_machine(id)
    }

    /// Lets a server's machine begin anew by what the server's image and user data are by now. One that boots from a volume keeps what
    /// it holds.
    ///
    /// # Errors
    /// Why it can't be started here.
    pub(super) fn renew_machine(&mut self, id: &str, runs: bool) -> Result<(), String> {
        let Some(server) = self.openstack.server(id).cloned() else {
            return Ok(());
        };
        let Some(vmid) = server.vmid else {
            return Ok(());
        };
        self.power_off(vmid);
        self.name_machine(id);
        if server.image.is_some() {
            self.drop_disks(vmid);
            if let Some(guest) = self.guests.get_mut(&vmid) {
                for name in ["virtio0", "boot", "ide2"] {
                    guest.config.remove(name);
                }
                guest.seed = Some(seed(&server));
            }
            self.put_system(id);
            self.orders.push(Order::Forget(vmid));
        }
        match runs {
            true => self.start_machine(id),
            false => Ok(()),
        }
    }

    /// Removes the disks of a guest.
    fn drop_disks(&mut self, vmid: u32) {
        let own = self
            .volumes
            .iter()
            .filter(|(_, volume)| volume.owner == Some(vmid));
        let own: Vec<VolumeKey> = own.map(|(key, _)| key.clone()).collect();
        for key in own {
            self.volumes.remove(&key);
        }
    }

    /// Gives a server's machine the disk of its system, where the lab was told of what its image holds: it is a whole system then, or a
    /// virtual machine.
    fn put_system(&mut self, id: &str) {
        let Some(server) = self.openstack.server(id) else {
            return;
        };
        let image = server.image.as_ref();
        let image = image.and_then(|image| self.openstack.get(Kind::Image, image));
        let root = image.and_then(|image| self.root_named(text(image, "name")));
        let (Some(root), Some(vmid)) = (root, server.vmid) else {
            return;
        };
        let size = self.size_with(Some(&root), bytes_of(server.flavor.disk));
        let new = NewVolume {
            name: format!("vm-{vmid}-disk-0"),
            content: "images",
            format: "raw",
            size,
            owner: Some(vmid),
            parent: None,
            root: Some(root),
        };
        let node = server.node.clone().unwrap_or_default();
        let disk = self.put_volume(&node, STORAGE, new);
        let Some(guest) = self.guests.get_mut(&vmid) else {
            return;
        };
        let settings = [
            ("virtio0", format!("{disk},size={}", short_size(size))),
            ("boot", "order=virtio0".to_owned()),
            ("ide2", format!("{STORAGE}:vm-{vmid}-cloudinit,media=cdrom")),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value));
        guest.config.extend(settings);
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
        let bytes = bytes_of(server.flavor.disk);
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest.config.insert("cores".into(), cores.to_string());
            guest.config.insert("memory".into(), memory.to_string());
            guest.node = node.unwrap_or_else(|| guest.node.clone());
        }
        self.grow_system(vmid, bytes);
    }

    /// Makes the disk of a machine's system as large as that of its flavor, where it is smaller.
    fn grow_system(&mut self, vmid: u32, bytes: u64) {
        let Some(guest) = self.guests.get_mut(&vmid) else {
            return;
        };
        let Some(drive) = guest.config.get_mut("virtio0") else {
            return;
        };
        if guest::size(drive) >= bytes {
            return;
        }
        let volid = drive.split(',').next().unwrap_or_default().to_owned();
        *drive = format!("{volid},size={}", short_size(bytes));
        let key = self.key("", &volid);
        if let Some(volume) = self.volumes.get_mut(&key) {
            volume.size = bytes;
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
                    .filter(|name| is_of_network(name))
                    .all(|name| settings.contains_key(name))
        });
        if is_same {
            return;
        }
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest.config.retain(|name, _| !is_of_network(name));
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
        let Some(guest) = vmid.and_then(|vmid| self.guests.get(&vmid)) else {
            return Ok(());
        };
        let vmid = guest.vmid;
        let has_place = !own_addresses(&addresses_of(&guest.config)).is_empty();
        match (self.system_of(guest), &self.no_machines) {
            (Some(system), _) => self.can_run(guest, &system)?,
            (None, Some(reason)) if has_place => return Err(reason.clone()),
            (None, _) => {}
        }
        let Some(guest) = self.guests.get_mut(&vmid) else {
            return Ok(());
        };
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

    /// Asks the system in a server's machine to go down, where it has one: what is under way with the server waits for that, for so
    /// many seconds that nothing makes faster.
    pub(super) fn press_button(&mut self, id: &str, seconds: u64) {
        let vmid = self.openstack.server(id).and_then(|server| server.vmid);
        if let Some(vmid) = vmid.filter(|vmid| self.alive.contains(vmid)) {
            self.orders.push(Order::PowerButton(vmid));
            self.be_patient_with(id, now() + seconds * 1000);
        }
    }

    /// Whether the system in a server's machine is still up, or on its way up or down.
    pub(in crate::openstack) fn has_system_up(&self, id: &str) -> bool {
        let vmid = self.openstack.server(id).and_then(|server| server.vmid);
        vmid.is_some_and(|vmid| self.alive.contains(&vmid))
    }

    /// Holds a server's machine still, or lets it go on; one that is no virtual machine goes on in any case.
    pub(super) fn hold_machine(&mut self, id: &str, is_held: bool) {
        let vmid = self.openstack.server(id).and_then(|server| server.vmid);
        if let Some(guest) = vmid.and_then(|vmid| self.guests.get_mut(&vmid))
            && guest.is_running()
        {
            guest.power = if is_held {
                Power::Paused
            } else {
                Power::Running
            };
            self.orders.push(Order::Hold(guest.vmid));
        }
    }

    /// Throws a server's machine away.
    pub(super) fn forget_machine(&mut self, id: &str) {
        let vmid = self.openstack.server(id).and_then(|server| server.vmid);
        let Some(vmid) = vmid else {
            return;
        };
        self.drop_disks(vmid);
        if self.guests.remove(&vmid).is_some() {
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

/// What disks of servers' systems are on, which is no storage of Proxmox VE's.
const STORAGE: &str = "nova";

/// Returns so many GiB in bytes.
fn bytes_of(gib: i64) -> u64 {
    u64::try_from(gib).unwrap_or(0) << 30
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
