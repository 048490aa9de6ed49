//! What makes a router of what it was what it is to be, in the words of `ip` and `nft`: functions of both alone.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::filter;
use crate::openstack::{Plug, Way};

/// The interface that leads outside.
const OUTSIDE: &str = "out";

/// A router's end of a cable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub name: String,
    /// The network, by the word that machines on it have for it as well.
    pub network: String,
    pub mac: String,
    /// With the bits of each network.
    addresses: Vec<(Ipv4Addr, u8)>,
}

impl Device {
    fn of(name: String, plug: &Plug) -> Device {
        Device {
            name,
            network: plug.network.clone(),
            mac: plug.mac.clone(),
            addresses: plug.addresses.clone(),
        }
    }

    /// Whether another is the same cable.
    pub(super) fn is_cable_of(&self, other: &Device) -> bool {
        (&self.name, &self.network, &self.mac) == (&other.name, &other.network, &other.mac)
    }
}

/// Returns the interfaces of a router; the one outside has the addresses that lead inside.
pub(super) fn devices(way: &Way) -> Vec<Device> {
    let outside = way.outside.iter().map(|plug| {
        let mut device = Device::of(OUTSIDE.to_owned(), plug);
        let floating = way.floating.iter().map(|(outside, _)| (*outside, 32));
        device.addresses.extend(floating);
        device
    });
    let inside = way.inside.iter().map(|plug| {
        let name = format!("in-{}", plug.mac.replace(':', ""));
        Device::of(name, plug)
    });
    outside.chain(inside).collect()
}

/// Returns what is taken away from a router, whose cables that are gone took along what was theirs.
pub(super) fn removals(before: &Way, now: &Way) -> String {
    let mut lines = String::new();
    let wanted = devices(now);
    for device in devices(before) {
        let Some(kept) = wanted.iter().find(|other| other.is_cable_of(&device)) else {
            continue;
        };
        for (address, bits) in &device.addresses {
            if !kept.addresses.contains(&(*address, *bits)) {
                let _ = writeln!(lines, "address del {address}/{bits} dev {}", device.name);
            }
        }
    }
    if before.gateway.is_some() && now.gateway.is_none() {
        lines.push_str("route del default\n");
    }
    for (to, _) in &before.routes {
        if !now.routes.iter().any(|(other, _)| other == to) {
            let _ = writeln!(lines, "route del {to}");
        }
    }
    lines
}

/// Returns all that a router is to have; what is there stays as it is.
pub(super) fn wishes(way: &Way) -> String {
    let mut lines = String::from("link set lo up\n");
    for device in devices(way) {
        let name = &device.name;
        let _ = writeln!(lines, "link set {name} up");
        for (address, bits) in &device.addresses {
            let _ = writeln!(lines, "address replace {address}/{bits} dev {name}");
        }
    }
    if let Some(gateway) = way.gateway {
        let _ = writeln!(lines, "route replace default via {gateway} dev {OUTSIDE}");
    }
    for (to, hop) in &way.routes {
        let _ = writeln!(lines, "route replace {to} via {hop}");
    }
    lines
}

/// Returns what a router does with packets, all in one: what leads inside, under which address who goes out, and what is let through.
/// Who goes by an address outside to a neighbour inside comes back the same way.
pub(super) fn rules(way: &Way) -> String {
    let own = way.outside.iter().flat_map(|plug| plug.addresses.first());
    let own = own.map(|(address, _)| *address).next();
    let mut inward = String::new();
    let mut outward = String::new();
    for (outside, inside) in &way.floating {
        let _ = writeln!(inward, "    ip daddr {outside} dnat to {inside}");
        let _ = writeln!(
            outward,
            "    oifname \"{OUTSIDE}\" ip saddr {inside} snat to {outside}"
        );
    }
    if let Some(own) = own {
        let _ = writeln!(
            outward,
            "    meta mark != {FROM_OUTSIDE} ct status dnat snat to {own}"
        );
        if way.hides {
            let _ = writeln!(outward, "    oifname \"{OUTSIDE}\" snat to {own}");
        }
    }
    format!(
        "add table ip router\ndelete table ip router\ntable ip router {{\n\
         \x20 chain origin {{\n    type filter hook prerouting priority -150; policy accept;\n    \
         iifname \"{OUTSIDE}\" meta mark set {FROM_OUTSIDE}\n  }}\n\
         \x20 chain inward {{\n    type nat hook prerouting priority -100; policy accept;\n{inward}  }}\n\
         \x20 chain outward {{\n    type nat hook postrouting priority 100; policy accept;\n{outward}  }}\n{}}}\n",
        filter::chains(&way.guards)
    )
}

/// What tells packets that came from outside.
const FROM_OUTSIDE: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Ipv4Addr {
        text.parse().expect("an address")
    }

    fn way(floating: &[(&str, &str)]) -> Way {
        let plug = |network: &str, mac: &str, address: &str| Plug {
            network: network.into(),
            mac: mac.into(),
            addresses: vec![(at(address), 24)],
        };
        let floating = floating
            .iter()
            .map(|(outside, inside)| (at(outside), at(inside)));
        Way {
            router: "r".into(),
            inside: vec![plug("n", "fa:16:3e:00:00:01", "10.20.0.1")],
            outside: Some(plug("public", "fa:16:3e:00:00:02", "10.90.0.10")),
            gateway: Some(at("10.90.0.1")),
            hides: true,
            floating: floating.collect(),
            routes: vec![("10.99.0.0/24".into(), at("10.20.0.9"))],
            guards: Vec::new(),
        }
    }

    #[test]
    fn a_router_has_its_addresses_and_those_that_lead_inside() {
        let text = wishes(&way(&[("10.90.0.11", "10.20.0.5")]));
        assert_eq!(
            text,
            "link set lo up\nlink set out up\naddress replace 10.90.0.10/24 dev out\naddress replace 10.90.0.11/32 dev out\n\
             link set in-fa163e000001 up\naddress replace 10.20.0.1/24 dev in-fa163e000001\n\
             route replace default via 10.90.0.1 dev out\nroute replace 10.99.0.0/24 via 10.20.0.9\n"
        );
    }

    #[test]
    fn what_a_router_no_longer_has_is_taken_away_but_not_what_went_with_a_cable() {
        let before = way(&[("10.90.0.11", "10.20.0.5")]);
        let mut now = way(&[]);
        now.routes.clear();
        assert_eq!(
            removals(&before, &now),
            "address del 10.90.0.11/32 dev out\nroute del 10.99.0.0/24\n"
        );
        now.inside[0].network = "other".into();
        now.outside = None;
        now.gateway = None;
        assert_eq!(
            removals(&before, &now),
            "route del default\nroute del 10.99.0.0/24\n"
        );
    }

    #[test]
    fn rules_lead_inside_and_hide_who_goes_out() {
        let text = rules(&way(&[("10.90.0.11", "10.20.0.5")]));
        assert!(
            text.contains("    ip daddr 10.90.0.11 dnat to 10.20.0.5\n"),
            "{text}"
        );
        let own = "    oifname \"out\" ip saddr 10.20.0.5 snat to 10.90.0.11\n";
        let all = "    oifname \"out\" snat to 10.90.0.10\n";
        let place = |part: &str| {
            text.find(part)
                .unwrap_or_else(|| panic!("{part} in {text}"))
        };
        assert!(place(own) < place(all), "its own address comes first");
        let mut open = way(&[]);
        open.hides = false;
        assert!(!rules(&open).contains(all));
    }
}
