//! What security groups let in to ports and out of them, for the routers of whole systems. Of IPv4 alone.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::openstack::estate::{Estate, Kind, Shown, list, text};

/// The addresses of a port, with what is let in to them and out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Guard {
    /// Addresses and ranges.
    pub addresses: BTreeSet<String>,
    pub inward: Vec<Allowed>,
    pub outward: Vec<Allowed>,
}

/// What one rule lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// The number of the protocol; any, where there is none.
    pub protocol: Option<u8>,
    /// The first and the last port; of ICMP the type and the code.
    pub ports: (Option<u16>, Option<u16>),
    /// Addresses and ranges at the other end; all, where there is none.
    pub remote: Option<BTreeSet<String>>,
}

/// Numbers of protocols by the names that Neutron takes (`neutron_lib/constants.py`).
const NUMBERS: [(&str, u8); 18] = [
    ("ah", 51),
    ("dccp", 33),
    ("egp", 8),
    ("esp", 50),
    ("gre", 47),
    ("hopopt", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ipip", 4),
    ("ipv6-encap", 41),
    ("ospf", 89),
    ("pgm", 113),
    ("rsvp", 46),
    ("sctp", 132),
    ("tcp", 6),
    ("udp", 17),
    ("udplite", 136),
    ("vrrp", 112),
];

impl Estate {
    /// Returns what is let in to machines on some networks, and out of them. Ports without port security are none of these.
    pub(super) fn guards(&self, networks: &BTreeSet<&str>) -> Vec<Guard> {
        let ports = self
            .all(Kind::Port)
            .into_iter()
            .map(|(_, port)| &port.shown);
        let of_machines = ports.filter(|port| {
            networks.contains(text(port, "network_id"))
                && text(port, "device_owner").starts_with("compute:")
                && port.get("port_security_enabled") != Some(&Value::Bool(false))
        });
        of_machines.map(|port| self.guard(port)).collect()
    }

    fn guard(&self, port: &Shown) -> Guard {
        let groups = list(port, "security_groups")
            .iter()
            .filter_map(Value::as_str);
        let groups: BTreeSet<&str> = groups.collect();
        let rules = self
            .all(Kind::Rule)
            .into_iter()
            .map(|(_, rule)| &rule.shown);
        let own = rules.filter(|rule| groups.contains(text(rule, "security_group_id")));
        let own: Vec<&Shown> = own
            .filter(|rule| text(rule, "ethertype") == "IPv4")
            .collect();
        let of = |direction: &str| {
            let rules = own
                .iter()
                .filter(|rule| text(rule, "direction") == direction);
            rules.filter_map(|rule| self.allowed(rule)).collect()
        };
        Guard {
            addresses: addresses(port),
            inward: of("ingress"),
            outward: of("egress"),
        }
    }

    /// Returns what a rule lets through; none where that is nothing.
    fn allowed(&self, rule: &Shown) -> Option<Allowed> {
        let protocol = match text(rule, "protocol") {
            "" | "ip" => None,
            word => Some(number_of(word)?),
        };
        let port = |name: &str| {
            rule.get(name)?
                .as_u64()
                .and_then(|it| u16::try_from(it).ok())
        };
        let remote = match (text(rule, "remote_group_id"), text(rule, "normalized_cidr")) {
            ("", "") => None,
            ("", range) => Some(BTreeSet::from([range.to_owned()])),
            (group, _) => Some(self.members(group)).filter(|members| !members.is_empty()),
        };
        let is_of_nobody = remote.is_none() && !text(rule, "remote_group_id").is_empty();
        (!is_of_nobody).then_some(Allowed {
            protocol,
            ports: (port("port_range_min"), port("port_range_max")),
            remote,
        })
    }

    /// Returns the addresses of the ports that are in a group.
    fn members(&self, group: &str) -> BTreeSet<String> {
        let ports = self
            .all(Kind::Port)
            .into_iter()
            .map(|(_, port)| &port.shown);
        let within =
            ports.filter(|port| list(port, "security_groups").iter().any(|it| it == group));
        within.flat_map(addresses).collect()
    }
}

fn number_of(protocol: &str) -> Option<u8> {
    let named = NUMBERS.iter().find(|(name, _)| *name == protocol);
    named
        .map(|(_, number)| *number)
        .or_else(|| protocol.parse().ok())
}

/// Returns the addresses of IPv4 that a port may have.
fn addresses(port: &Shown) -> BTreeSet<String> {
    let names = ["fixed_ips", "allowed_address_pairs"];
    let all = names.into_iter().flat_map(|name| list(port, name));
    let all = all.filter_map(|item| item["ip_address"].as_str());
    all.filter(|address| !address.contains(':'))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::openstack::OpenStackSite;
    use crate::openstack::estate::shown;

    fn put(estate: &mut Estate, kind: Kind, id: &str, value: Value) {
        estate.put(kind, id, "p", shown(value));
    }

    fn port(estate: &mut Estate, id: &str, address: &str, groups: &[&str], is_guarded: bool) {
        let port = json!({ "network_id": "n", "device_owner": "compute:nova", "fixed_ips": [{ "ip_address": address }],
            "security_groups": groups, "port_security_enabled": is_guarded });
        put(estate, Kind::Port, id, port);
    }

    #[test]
    fn a_port_is_guarded_by_the_rules_of_its_groups() {
        let mut estate = Estate::begin(OpenStackSite::default(), 7).expect("an estate");
        port(&mut estate, "web", "10.20.0.5", &["open"], true);
        port(&mut estate, "ops", "10.20.0.6", &["ops"], true);
        port(&mut estate, "bare", "10.20.0.7", &[], false);
        let rules = [
            json!({ "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 80, "port_range_max": 81,
                "normalized_cidr": "192.0.2.0/24" }),
            json!({ "direction": "ingress", "ethertype": "IPv4", "protocol": "udp", "remote_group_id": "ops" }),
            json!({ "direction": "ingress", "ethertype": "IPv4", "remote_group_id": "nobody" }),
            json!({ "direction": "ingress", "ethertype": "IPv6", "protocol": "tcp" }),
            json!({ "direction": "egress", "ethertype": "IPv4", "protocol": null }),
        ];
        for (index, mut rule) in rules.into_iter().enumerate() {
            rule["security_group_id"] = json!("open");
            put(&mut estate, Kind::Rule, &format!("r{index}"), rule);
        }
        let guards = estate.guards(&BTreeSet::from(["n"]));
        let [web, ops] = guards.as_slice() else {
            panic!("two are guarded: {guards:?}");
        };
        let set = |text: &str| BTreeSet::from([text.to_owned()]);
        assert_eq!(web.addresses, set("10.20.0.5"));
        assert_eq!(
            web.inward,
            [
                Allowed {
                    protocol: Some(6),
                    ports: (Some(80), Some(81)),
                    remote: Some(set("192.0.2.0/24")),
                },
                Allowed {
                    protocol: Some(17),
                    ports: (None, None),
                    remote: Some(set("10.20.0.6")),
                },
            ]
        );
        assert_eq!(web.outward.len(), 1);
        assert_eq!((ops.inward.len(), ops.outward.len()), (0, 0));
        assert!(estate.guards(&BTreeSet::new()).is_empty());
    }
}
