//! Interfaces of a machine, as cloud-init's network data describe them, in version 1 and in version 2.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};
use serde_yaml_ng::Value;

/// What network data say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NetworkData {
    pub interfaces: Vec<Interface>,
    pub nameservers: Vec<String>,
    pub domains: Vec<String>,
    /// Whether an address of version 4 is asked for by DHCP.
    pub is_dynamic: bool,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Interface {
    pub name: String,
    /// In small letters.
    pub mac: Option<String>,
    pub addresses: Vec<(IpAddr, u8)>,
    pub gateways: Vec<IpAddr>,
}

impl NetworkData {
    /// Reads network data; what is not understood is left out.
    pub(super) fn read(text: &str) -> NetworkData {
        let whole: Value = serde_yaml_ng::from_str(text).unwrap_or(Value::Null);
        let data = whole.get("network").unwrap_or(&whole);
        let mut found = NetworkData::default();
        for part in list(data.get("config")) {
            found.add_first_form(part);
        }
        let ethernets = data.get("ethernets").and_then(Value::as_mapping);
        for (name, device) in ethernets.into_iter().flatten() {
            found.add_second_form(name.as_str().unwrap_or_default(), device);
        }
        found
    }

    fn add_first_form(&mut self, part: &Value) {
        if part.get("type").and_then(Value::as_str) == Some("nameserver") {
            self.nameservers.extend(words(part.get("address")));
            self.domains.extend(words(part.get("search")));
            return;
        }
        let mut interface = Interface {
            name: word(part, "name").unwrap_or_default(),
            mac: word(part, "mac_address").map(|mac| mac.to_ascii_lowercase()),
            ..Interface::default()
        };
        for subnet in list(part.get("subnets")) {
            self.nameservers
                .extend(words(subnet.get("dns_nameservers")));
            self.domains.extend(words(subnet.get("dns_search")));
            let kind = word(subnet, "type").unwrap_or_default();
            self.is_dynamic |= matches!(kind.as_str(), "dhcp" | "dhcp4");
            let text = word(subnet, "address").unwrap_or_default();
            let mask = word(subnet, "netmask").and_then(|mask| bits_of(&mask));
            let bare = || Some((text.parse().ok()?, mask.unwrap_or(24)));
            interface.addresses.extend(cidr(&text).or_else(bare));
            let gateway = word(subnet, "gateway");
            interface
                .gateways
                .extend(gateway.and_then(|text| text.parse::<IpAddr>().ok()));
        }
        self.interfaces.push(interface);
    }

    fn add_second_form(&mut self, name: &str, device: &Value) {
        let matched = device.get("match").and_then(|it| word(it, "macaddress"));
        let addresses = words(device.get("addresses"));
        let gateways = ["gateway4", "gateway6"]
            .into_iter()
            .filter_map(|key| word(device, key));
        let routes = list(device.get("routes")).filter_map(|route| {
            let to = word(route, "to")?;
            let is_default = matches!(to.as_str(), "default" | "0.0.0.0/0" | "::/0");
            word(route, "via").filter(|_| is_default)
        });
        let interface = Interface {
            name: word(device, "set-name").unwrap_or_else(|| name.to_owned()),
            mac: matched.map(|mac| mac.to_ascii_lowercase()),
            addresses: addresses.iter().filter_map(|text| cidr(text)).collect(),
            gateways: gateways
                .chain(routes)
                .filter_map(|text| text.parse().ok())
                .collect(),
        };
        self.is_dynamic |= device.get("dhcp4").and_then(Value::as_bool) == Some(true);
        let names = device.get("nameservers");
        let of = |key: &str| words(names.and_then(|names| names.get(key)));
        self.nameservers.extend(of("addresses"));
        self.domains.extend(of("search"));
        self.interfaces.push(interface);
    }

    /// Returns the addresses of version 4.
    pub(super) fn addresses(&self) -> Vec<(Ipv4Addr, u8)> {
        let all = self.interfaces.iter().flat_map(|it| &it.addresses);
        all.filter_map(|(address, bits)| match address {
            IpAddr::V4(address) => Some((*address, *bits)),
            IpAddr::V6(_) => None,
        })
        .collect()
    }
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_sequence).into_iter().flatten()
}

fn word(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(str::to_owned)
}

/// A list of words, or one word that stands alone.
fn words(value: Option<&Value>) -> Vec<String> {
    let alone = value.and_then(Value::as_str).map(str::to_owned);
    let all = list(value).filter_map(|it| it.as_str().map(str::to_owned));
    all.chain(alone).collect()
}

fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    Some((address.parse().ok()?, bits.parse().ok()?))
}

fn bits_of(mask: &str) -> Option<u8> {
    let mask: Ipv4Addr = mask.parse().ok()?;
    u8::try_from(u32::from(mask).count_ones()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_tell_addresses_ways_out_and_names() {
        let one = "version: 1\nconfig:\n  - type: physical\n    name: eth0\n    mac_address: 'BC:24:11:00:00:01'\n    subnets:\n      - type: static\n        \
                   address: 10.90.0.5\n        netmask: 255.255.0.0\n        gateway: 10.90.0.1\n      - type: static6\n        address: fd00::5/64\n  \
                   - type: nameserver\n    address: [10.90.0.53]\n    search: [lab]\n";
        let two = "network:\n  version: 2\n  ethernets:\n    id0:\n      match: {macaddress: 'BC:24:11:00:00:01'}\n      set-name: eth0\n      \
                   addresses: [10.90.0.5/16, 'fd00::5/64']\n      routes: [{to: default, via: 10.90.0.1}]\n      nameservers: {addresses: [10.90.0.53], search: [lab]}\n";
        let read = NetworkData::read(one);
        assert_eq!(read, NetworkData::read(two));
        assert_eq!(read.interfaces[0].mac.as_deref(), Some("bc:24:11:00:00:01"));
        assert_eq!(
            read.interfaces[0].gateways,
            ["10.90.0.1".parse::<IpAddr>().expect("one")]
        );
        assert_eq!(read.addresses(), [(Ipv4Addr::new(10, 90, 0, 5), 16)]);
        assert_eq!(
            (read.nameservers.join(","), read.domains.join(",")),
            ("10.90.0.53".into(), "lab".into())
        );
        assert_eq!(NetworkData::read("- no\n- network"), NetworkData::default());
    }
}
