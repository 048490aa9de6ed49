//! Cloud-init: what a machine is told at its first boot, and what of it is not in its image yet.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::settings::value;
use super::{Answer, Call, Failure, Handler, Outcome};
use crate::world::guest::{Guest, Settings, is_cloudinit, is_net};

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("GET /nodes/{node}/qemu/{vmid}/cloudinit", pending),
    ("PUT /nodes/{node}/qemu/{vmid}/cloudinit", make),
    ("GET /nodes/{node}/qemu/{vmid}/cloudinit/dump", dump),
];

/// The settings that are told also where nothing has changed.
const TOLD: [&str; 8] = [
    "citype",
    "ciuser",
    "cipassword",
    "ciupgrade",
    "cicustom",
    "searchdomain",
    "nameserver",
    "sshkeys",
];

/// Returns the settings that an image is made from.
pub(crate) fn image_of(config: &Settings) -> Settings {
    config
        .iter()
        .filter(|(key, _)| is_cloudinit(key))
        .map(|(key, text)| (key.clone(), text.clone()))
        .collect()
}

fn pending(call: &mut Call<'_>) -> Outcome {
    let guest = call.guest()?;
    let now = image_of(&guest.config);
    let image = guest.image.as_ref().unwrap_or(&now);
    let mut told: Vec<Value> = Vec::new();
    for (key, text) in &now {
        match image.get(key) {
            None => told.push(json!({ "key": key, "pending": value(key, text) })),
            Some(old) if TOLD.contains(&key.as_str()) && text != "0" => {
                let mut one = json!({ "key": key, "value": value(key, old) });
                if old != text {
                    one["pending"] = value(key, text);
                }
                told.push(one);
            }
            Some(_) => {}
        }
    }
    let gone = image.keys().filter(|key| !now.contains_key(*key));
    told.extend(gone.map(|key| json!({ "key": key, "delete": 1 })));
    Answer::data(told)
}

fn has_drive(guest: &Guest) -> bool {
    guest.config.values().any(|drive| {
        drive
            .split(',')
            .next()
            .is_some_and(|volid| volid.contains("-cloudinit"))
    })
}

fn make(call: &mut Call<'_>) -> Outcome {
    call.unlocked()?;
    call.needs_quorum(|| "cluster not ready - no quorum?".into())?;
    let guest = call.guest_mut()?;
    if !has_drive(guest) {
        return Err("No CloudInit drive configured".into());
    }
    guest.image = Some(image_of(&guest.config));
    Answer::done()
}

fn dump(call: &mut Call<'_>) -> Outcome {
    let config = &call.guest()?.config;
    Answer::data(match call.parameters.needed("type") {
        "network" => network_data(config),
        "meta" => meta_data(config),
        "user" => user_data(config),
        _ => {
            return Err(Failure::parameter(
                "type",
                "value does not have a value in the enumeration 'user, network, meta'",
            ));
        }
    })
}

/// Returns the keys of people, one a line.
pub(crate) fn ssh_keys(config: &Settings) -> Vec<String> {
    let encoded = config.get("sshkeys").map_or("", String::as_str);
    let text = crate::wire::body::decode(encoded, false);
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Returns the user data that the API's own settings give.
pub(crate) fn user_data(config: &Settings) -> String {
    let name = config.get("name").map_or("vm", String::as_str);
    let host = name.split('.').next().unwrap_or(name);
    let mut text =
        format!("#cloud-config\nhostname: {host}\nmanage_etc_hosts: true\nfqdn: {name}\n");
    if let Some(user) = config.get("ciuser") {
        text.push_str(&format!("user: {user}\n"));
    }
    if config.contains_key("cipassword") {
        text.push_str("password: **********\n");
    }
    let keys = ssh_keys(config);
    if !keys.is_empty() {
        text.push_str("ssh_authorized_keys:\n");
        for key in keys {
            text.push_str(&format!("  - {key}\n"));
        }
    }
    text.push_str("chpasswd:\n  expire: False\nusers:\n  - default\n");
    if config.get("ciupgrade").is_none_or(|text| text != "0") {
        text.push_str("package_upgrade: true\n");
    }
    text
}

/// Returns the network configuration that the API's own settings give, with the name server of the node where they name none.
pub(crate) fn network_data(config: &Settings) -> String {
    let mut text = own_network_data(config);
    if !config.contains_key("nameserver") {
        text.push_str(&name_servers("192.0.2.53", config));
    }
    text
}

/// Returns the network configuration that settings give, and nothing else.
pub(crate) fn own_network_data(config: &Settings) -> String {
    let mut text = "version: 1\nconfig:\n".to_owned();
    for (key, device) in config.iter().filter(|(key, _)| is_net(key)) {
        let number = key.trim_start_matches("net");
        let mac = device
            .split(',')
            .next()
            .and_then(|part| part.split_once('='))
            .map_or("", |(_, mac)| mac);
        text.push_str(&format!("    - type: physical\n      name: eth{number}\n      mac_address: '{}'\n      subnets:\n", mac.to_ascii_lowercase()));
        let wanted = config
            .get(&format!("ipconfig{number}"))
            .map_or("", String::as_str);
        let part = |name: &str| {
            wanted
                .split(',')
                .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        match part("ip") {
            Some("dhcp") => text.push_str("      - type: dhcp4\n"),
            Some(cidr) => {
                let (address, bits) = cidr.split_once('/').unwrap_or((cidr, "32"));
                text.push_str(&format!(
                    "      - type: static\n        address: '{address}'\n        netmask: '{}'\n",
                    mask(bits)
                ));
                if let Some(gateway) = part("gw") {
                    text.push_str(&format!("        gateway: '{gateway}'\n"));
                }
            }
            None => {}
        }
        match part("ip6") {
            Some("dhcp") => text.push_str("      - type: dhcp6\n"),
            Some("auto") => text.push_str("      - type: ipv6_slaac\n"),
            Some(cidr) => {
                text.push_str(&format!(
                    "      - type: static6\n        address: '{cidr}'\n"
                ));
                if let Some(gateway) = part("gw6") {
                    text.push_str(&format!("        gateway: '{gateway}'\n"));
                }
            }
            None => {}
        }
    }
    if let Some(servers) = config.get("nameserver") {
        text.push_str(&name_servers(servers, config));
    }
    text
}

fn name_servers(servers: &str, config: &Settings) -> String {
    let mut text = "    - type: nameserver\n      address:\n".to_owned();
    for server in crate::schema::split(servers) {
        text.push_str(&format!("      - '{server}'\n"));
    }
    if let Some(domain) = config.get("searchdomain") {
        text.push_str(&format!("      search:\n      - '{domain}'\n"));
    }
    text
}

fn mask(bits: &str) -> Ipv4Addr {
    let bits: u32 = bits.parse().unwrap_or(32).min(32);
    Ipv4Addr::from(u32::MAX.checked_shl(32 - bits).unwrap_or(0))
}

/// Returns the meta data: an identity that changes with whatever is told.
pub(crate) fn meta_data(config: &Settings) -> String {
    let told = format!("{}{}", user_data(config), network_data(config));
    format!("instance-id: {}\n", crate::hash::sha1(&told))
}
