//! What routers do for whole systems, whose networks are none of the host's: where each leads from and to, by what there is of
//! routers, ports and floating IPs. Of IPv4 alone.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use super::guards::Guard;
use super::routers::INTERFACE;
use crate::openstack::addresses::Range;
use crate::openstack::estate::{Estate, Kind, Shown, list, text};

/// A router, as it is to be for whole systems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub router: String,
    /// Its plugs inside; none where it leads to no network of whole systems.
    pub inside: Vec<Plug>,
    /// Its plug outside, whose first address is its own.
    pub outside: Option<Plug>,
    /// What it hands on to what is neither inside nor outside.
    pub gateway: Option<Ipv4Addr>,
    /// Whether who goes out by it does so under its address.
    pub hides: bool,
    /// Addresses outside that lead inside, with those that they lead to.
    pub floating: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// More ways: a range, and the address inside that it is reached by.
    pub routes: Vec<(String, Ipv4Addr)>,
    /// What it lets through to the machines on its networks, and from them.
    pub guards: Vec<Guard>,
}

/// A plug of a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plug {
    /// The network, by the word that machines on it have for it as well.
    pub network: String,
    /// In small letters.
    pub mac: String,
    /// With the bits of each network.
    pub addresses: Vec<(Ipv4Addr, u8)>,
}

impl Estate {
    /// Returns the word for a network among those of machines: the one that leads out has the name that the host's address on it
    /// is told by, all others their ids.
    pub(in crate::openstack) fn wire_of(&self, network: &str) -> String {
        let found = self.get(Kind::Network, network);
        let external = &self.ground.site.external.name;
        let leads_out = found.is_some_and(|network| {
            network.get("router:external") == Some(&Value::Bool(true))
                && text(network, "name") == external
        });
        if leads_out { external } else { network }.to_owned()
    }

    /// Returns what routers do for whole systems.
    pub(crate) fn ways(&self) -> Vec<Way> {
        let routers = self.all(Kind::Router).into_iter();
        let is_up = |router: &Shown| router.get("admin_state_up") == Some(&Value::Bool(true));
        let ways = routers.filter(|(_, router)| is_up(&router.shown));
        ways.map(|(id, router)| self.way_of(id, &router.shown))
            .filter(|way| !way.inside.is_empty())
            .collect()
    }

    fn way_of(&self, id: &str, router: &Shown) -> Way {
        let ports = self.having(Kind::Port, "device_id", id).into_iter();
        let ports = ports.filter_map(|port| self.get(Kind::Port, &port));
        let ports = ports.filter(|port| text(port, "device_owner") == INTERFACE);
        let ports: Vec<&Shown> = ports.collect();
        let networks: BTreeSet<&str> = ports.iter().map(|port| text(port, "network_id")).collect();
        let inside = ports.iter().filter_map(|port| {
            let (network, mac) = (text(port, "network_id"), text(port, "mac_address"));
            self.plug(network, mac, list(port, "fixed_ips"))
        });
        let out = &router["external_gateway_info"];
        let network = out["network_id"].as_str().unwrap_or_default();
        let fixed = out["external_fixed_ips"].as_array();
        let fixed = fixed.map(Vec::as_slice).unwrap_or_default();
        // It has no port that is shown; a router keeps its own address for as long as it is there.
        let mac = crate::hash::sha1(id);
        let mac = format!("fa:16:3e:{}:{}:{}", &mac[..2], &mac[2..4], &mac[4..6]);
        let outside = self.plug(network, &mac, fixed);
        let gateway = fixed.first().and_then(|fixed| {
            let subnet = self.get(Kind::Subnet, fixed["subnet_id"].as_str()?)?;
            text(subnet, "gateway_ip").parse().ok()
        });
        let routes = list(router, "routes").iter().filter_map(|route| {
            let to = route["destination"].as_str()?.to_owned();
            Some((to, route["nexthop"].as_str()?.parse().ok()?))
        });
        Way {
            router: id.to_owned(),
            inside: inside.collect(),
            gateway: gateway.filter(|_| outside.is_some()),
            hides: out["enable_snat"] != false,
            floating: match &outside {
                Some(_) => self.floating_by(id),
                None => Vec::new(),
            },
            outside,
            routes: routes.collect(),
            guards: self.guards(&networks),
        }
    }

    /// Returns a plug with those of its addresses that are none of the host's loopback; none where it has no other.
    fn plug(&self, network: &str, mac: &str, fixed: &[Value]) -> Option<Plug> {
        let address = |fixed: &Value| {
            let subnet = self.get(Kind::Subnet, fixed["subnet_id"].as_str()?)?;
            let bits = Range::parse(text(subnet, "cidr"))?.bits();
            match fixed["ip_address"].as_str()?.parse().ok()? {
                IpAddr::V4(address) if !address.is_loopback() => Some((address, bits)),
                _ => None,
            }
        };
        let addresses: Vec<_> = fixed.iter().filter_map(address).collect();
        (!addresses.is_empty()).then(|| Plug {
            network: self.wire_of(network),
            mac: mac.to_ascii_lowercase(),
            addresses,
        })
    }

    /// Returns the addresses outside that lead inside by a router, with those that they lead to.
    fn floating_by(&self, router: &str) -> Vec<(Ipv4Addr, Ipv4Addr)> {
        let ids = self
            .having(Kind::FloatingIp, "router_id", router)
            .into_iter();
        let floating = ids.filter_map(|id| self.get(Kind::FloatingIp, &id));
        let way = |floating: &Shown| {
            let address = |name: &str| text(floating, name).parse::<Ipv4Addr>().ok();
            Some((
                address("floating_ip_address")?,
                address("fixed_ip_address")?,
            ))
        };
        let ways = floating.filter_map(way);
        ways.filter(|(outside, inside)| !outside.is_loopback() && !inside.is_loopback())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::openstack::estate::shown;
    use crate::openstack::{OpenStackSite, beginning};

    fn put(estate: &mut Estate, kind: Kind, id: &str, value: Value) {
        estate.put(kind, id, "p", shown(value));
    }

    fn estate(outside: &str, inside: &str) -> Estate {
        let mut estate = Estate::begin(OpenStackSite::default(), 7).expect("an estate");
        beginning::fill(&mut estate);
        beginning::lie_at(&mut estate, outside).expect("nobody is there");
        let external = estate.having(Kind::Network, "name", "public").remove(0);
        let subnet = estate
            .having(Kind::Subnet, "network_id", &external)
            .remove(0);
        put(&mut estate, Kind::Network, "n", json!({ "name": "inside" }));
        put(
            &mut estate,
            Kind::Subnet,
            "s",
            json!({ "network_id": "n", "cidr": format!("{inside}.0/24") }),
        );
        let fixed = json!([{ "subnet_id": subnet, "ip_address": "10.90.0.10" }]);
        let out =
            json!({ "network_id": external, "enable_snat": true, "external_fixed_ips": fixed });
        let router = json!({ "admin_state_up": true, "external_gateway_info": out, "routes": [] });
        put(&mut estate, Kind::Router, "r", router);
        let fixed = json!([{ "subnet_id": "s", "ip_address": format!("{inside}.1") }]);
        let port = json!({ "device_id": "r", "device_owner": INTERFACE, "network_id": "n", "mac_address": "FA:16:3E:00:00:01", "fixed_ips": fixed });
        put(&mut estate, Kind::Port, "p", port);
        let floating = json!({ "router_id": "r", "floating_ip_address": "10.90.0.11", "fixed_ip_address": format!("{inside}.5") });
        put(&mut estate, Kind::FloatingIp, "f", floating);
        estate
    }

    #[test]
    fn a_router_leads_from_the_network_outside_to_those_inside() {
        let ways = estate("10.90.0.1/24", "10.20.0").ways();
        let [way] = ways.as_slice() else {
            panic!("one router: {ways:?}");
        };
        let at = |text: &str| text.parse::<Ipv4Addr>().expect("an address");
        let outside = way.outside.as_ref().expect("it leads out");
        assert_eq!(outside.network, "public");
        assert_eq!(outside.addresses, [(at("10.90.0.10"), 24)]);
        assert_eq!(way.gateway, Some(at("10.90.0.1")));
        assert_eq!(way.inside[0].network, "n");
        assert_eq!(way.inside[0].mac, "fa:16:3e:00:00:01");
        assert_eq!(way.inside[0].addresses, [(at("10.20.0.1"), 24)]);
        assert_eq!(way.floating, [(at("10.90.0.11"), at("10.20.0.5"))]);
        assert!(way.hides);
    }

    #[test]
    fn networks_of_the_hosts_loopback_need_no_router() {
        assert_eq!(estate("10.90.0.1/24", "127.20.0").ways(), []);
    }

    #[test]
    fn the_network_outside_stays_where_somebody_has_an_address_of_it() {
        let mut estate = estate("10.90.0.1/24", "10.20.0");
        assert_eq!(beginning::lie_at(&mut estate, "10.90.0.1/24"), Ok(()));
        let refused = beginning::lie_at(&mut estate, "10.91.0.1/24").expect_err("in use");
        assert!(refused.contains("in use"), "{refused}");
    }
}
