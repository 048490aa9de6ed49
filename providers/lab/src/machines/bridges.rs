//! Networks of machines: for each bridge, or network of the SDN, a bridge in the network namespace where the lab runs, and for each
//! interface of a machine a cable to it.
//!
//! A machine reaches its neighbours on a bridge, and the host where that has an address there. Nothing is handed on from
//! one bridge to another, or to the outside, but by the routers of the OpenStack. Addresses, links and bridges are made by the host's `ip`. `container` machines and `vm`
//! machines are on the same bridges; what is at the machine's end of a cable is each strength's own.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde::{Deserialize, Serialize};

use super::interfaces::{Interface, NetworkData};
use crate::Trouble;
use crate::site::Site;
use crate::world::guest::{self, Settings};

/// The longest name that the kernel takes for a link.
const LONGEST: usize = 15;

/// One interface of a machine, and where its cable is plugged in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Cable {
    pub interface: Interface,
    /// The bridge as guests name it, `vmbr0`, and `vmbr0.20` with a VLAN.
    pub network: String,
    /// The name of the cable's other end on the host.
    pub link: String,
}

/// The bridges of one lab.
#[derive(Clone, Debug)]
pub(super) struct Bridges {
    /// Tells the links of this lab from those of others in the same network namespace.
    mark: String,
}

impl Bridges {
    pub(super) fn of(lab: &Path) -> Bridges {
        let digest = crate::hash::sha1(&lab.display().to_string());
        Bridges {
            mark: format!("l{}", &digest[..4]),
        }
    }

    /// Returns the name of the control groups of this lab's machines.
    pub(super) fn group(&self) -> String {
        format!("dmp-lab-{}", self.mark)
    }

    fn name(&self, rest: &str) -> String {
        let long = format!("{}-{rest}", self.mark);
        if long.len() <= LONGEST {
            return long;
        }
        format!(
            "{}-{}",
            self.mark,
            &crate::hash::sha1(rest)[..LONGEST - 1 - self.mark.len()]
        )
    }

    /// Returns the cables of a guest, by its network devices and by what it is told of its network.
    pub(super) fn cables(&self, vmid: u32, config: &Settings, told: &NetworkData) -> Vec<Cable> {
        let number = |key: &str| key.strip_prefix("net")?.parse::<u32>().ok();
        let mut devices: Vec<(u32, &String)> = config
            .iter()
            .filter(|(key, _)| guest::is_net(key))
            .filter_map(|(key, device)| Some((number(key)?, device)))
            .collect();
        devices.sort_unstable();
        let cable = |(number, device): (u32, &String)| {
            let bridge = guest::part(device, "bridge")?;
            let mac = device
                .split(',')
                .next()?
                .split_once('=')?
                .1
                .to_ascii_lowercase();
            let name = format!("eth{number}");
            let mut known = told.interfaces.iter();
            let known = known.find(|it| match &it.mac {
                Some(own) if !own.is_empty() => *own == mac,
                _ => it.name == name,
            });
            let interface = Interface {
                name,
                mac: Some(mac),
                ..known.cloned().unwrap_or_default()
            };
            Some(Cable {
                interface: Interface {
                    name: format!("eth{number}"),
                    ..interface
                },
                network: guest::part(device, "tag")
                    .map_or(bridge.to_owned(), |tag| format!("{bridge}.{tag}")),
                link: self.name(&format!("{vmid}i{number}")),
            })
        };
        devices.into_iter().filter_map(cable).collect()
    }

    /// Returns the name of the host's end of a cable to something that is no machine.
    pub(super) fn link(&self, what: &str) -> String {
        self.name(what)
    }

    /// Plugs the host's end of a machine's cable into the bridge of its network.
    pub(super) fn join(&self, site: &Site, cable: &Cable) -> Result<(), Trouble> {
        self.join_link(site, &cable.link, &cable.network)
    }

    /// Plugs the host's end of a cable into the bridge of a network.
    pub(super) fn join_link(&self, site: &Site, link: &str, network: &str) -> Result<(), Trouble> {
        let bridge = self.bridge(site, network)?;
        ip(&["link", "set", link, "master", &bridge, "up"]).map(drop)
    }

    /// Returns the bridge of a network, which is made where it is not there.
    fn bridge(&self, site: &Site, network: &str) -> Result<String, Trouble> {
        let name = self.name(network);
        if !exists(&name) {
            ip(&["link", "add", &name, "type", "bridge", "forward_delay", "0"])?;
        }
        // From one network there is no way into another, also where the host hands packets on for others.
        write(&format!("/proc/sys/net/ipv4/conf/{name}/forwarding"), "0")?;
        let version_6 = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
        if Path::new(&version_6).exists() {
            write(&version_6, "1")?;
        }
        for known in site.networks.iter().filter(|it| it.bridge == network) {
            ip(&["address", "replace", &known.address, "dev", &name])?;
        }
        ip(&["link", "set", &name, "up"])?;
        Ok(name)
    }

    /// Removes the bridges and cables of this lab.
    pub(super) fn remove(&self) {
        let Ok(told) = ip(&["-o", "link", "show"]) else {
            return;
        };
        let names = told
            .lines()
            .filter_map(|line| line.split(": ").nth(1)?.split('@').next());
        let prefix = format!("{}-", self.mark);
        for name in names.filter(|name| name.starts_with(&prefix)) {
            // A cable goes with its machine, perhaps just now.
            let _ = ip(&["link", "delete", name]);
        }
    }
}

/// Pulls a machine's cables out, or puts them back.
pub(super) fn set_cables(links: &[String], is_in: bool) -> Result<(), Trouble> {
    let word = if is_in { "up" } else { "down" };
    links
        .iter()
        .try_for_each(|link| ip(&["link", "set", link, word]).map(drop))
}

/// Takes away what an earlier start of a machine has left of its cable; that goes with the machine, which the kernel takes its time for.
pub(super) fn unplug(cable: &Cable) -> Result<(), Trouble> {
    unplug_link(&cable.link)
}

/// Takes a cable away, by the name of the host's end.
pub(super) fn unplug_link(link: &str) -> Result<(), Trouble> {
    if exists(link) {
        ip(&["link", "delete", link])?;
    }
    Ok(())
}

fn exists(link: &str) -> bool {
    ip(&["link", "show", "dev", link]).is_ok()
}

fn write(path: &str, text: &str) -> Result<(), Trouble> {
    std::fs::write(path, text).map_err(Trouble::file(Path::new(path)))
}

/// Runs the host's `ip`, and returns what it says.
pub(super) fn ip(words: &[&str]) -> Result<String, Trouble> {
    let said = Command::new("ip").args(words).stdin(Stdio::null()).output();
    checked(said, &words.join(" ")).map_err(Trouble::Refused)
}

/// Returns what `ip` says, or why it could not.
pub(super) fn checked(said: std::io::Result<Output>, words: &str) -> Result<String, String> {
    let output = said.map_err(|error| format!("ip (of iproute2): {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {words}: {}", errors.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cable_has_the_addresses_that_its_interface_is_told() {
        let config = Settings::from(
            [
                ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0"),
                ("net1", "virtio=BC:24:11:00:00:02,bridge=vmbr1,tag=20"),
            ]
            .map(|(key, device)| (key.to_owned(), device.to_owned())),
        );
        let told = NetworkData::read(
            "version: 1\nconfig:\n  - type: physical\n    name: eth0\n    mac_address: bc:24:11:00:00:02\n    \
             subnets: [{type: static, address: 10.20.0.5/24}]\n",
        );
        let bridges = Bridges::of(Path::new("/srv/lab"));
        let cables = bridges.cables(101, &config, &told);
        let told: Vec<_> = cables
            .iter()
            .map(|cable| {
                let addresses = cable.interface.addresses.len();
                (
                    cable.interface.name.as_str(),
                    cable.network.as_str(),
                    addresses,
                )
            })
            .collect();
        assert_eq!(told, [("eth0", "vmbr0", 0), ("eth1", "vmbr1.20", 1)]);
        assert!(cables[0].link.len() <= LONGEST);
        let long = bridges.name("999999999i31");
        assert!(long.len() == LONGEST && long != bridges.name("999999999i30"));
    }
}
