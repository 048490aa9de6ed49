//! Networks.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;

use super::attributes::{Attribute, Rule, always, at_create, told};
use super::{Collection, nobody, plain};
use crate::openstack::addresses::Range;
use crate::openstack::estate::{Estate, Kind, Shown, text};
use crate::openstack::{Call, Failure};

static ATTRIBUTES: [Attribute; 21] = [
    always("name", Rule::Text(255)).empty(),
    always("admin_state_up", Rule::Flag).or(true),
    always("shared", Rule::Flag).or(false).by_admin(),
    always("router:external", Rule::Flag).or(false).by_admin(),
    always("mtu", Rule::Number(68, 65_535)).open(),
    always("port_security_enabled", Rule::Flag).or(true),
    always("dns_domain", Rule::Text(255)).empty(),
    always("qos_policy_id", Rule::Uuid),
    at_create("availability_zone_hints", Rule::Texts).nothing(),
    at_create("provider:network_type", Rule::Text(32))
        .open()
        .by_admin(),
    at_create("provider:physical_network", Rule::Text(64))
        .open()
        .by_admin(),
    at_create("provider:segmentation_id", Rule::Number(1, 1 << 24))
        .open()
        .by_admin(),
    at_create("vlan_transparent", Rule::Flag).open(),
    always("is_default", Rule::Flag).or(false).by_admin(),
    told("status"),
    told("subnets"),
    told("availability_zones"),
    told("ipv4_address_scope"),
    told("ipv6_address_scope"),
    told("l2_adjacency"),
    told("segments"),
];

pub(super) static COLLECTION: Collection = Collection {
    kind: Kind::Network,
    path: "networks",
    one: "network",
    many: "networks",
    missing: ("NetworkNotFound", "Network", "could not be found."),
    attributes: &ATTRIBUTES,
    make,
    change,
    remove,
    show: plain,
    follow: nobody,
};

fn make(_: &mut Call<'_>, network: &mut Shown) -> Result<(), Failure> {
    // What Geneve leaves of the wire's 1500.
    network.entry("mtu").or_insert(json!(1442));
    for (name, value) in [
        ("status", json!("ACTIVE")),
        ("subnets", json!([])),
        ("availability_zones", json!(["nova"])),
        ("ipv4_address_scope", json!(null)),
        ("ipv6_address_scope", json!(null)),
        ("l2_adjacency", json!(true)),
    ] {
        network.insert(name.to_owned(), value);
    }
    check(network)
}

fn check(network: &Shown) -> Result<(), Failure> {
    let domain = text(network, "dns_domain");
    match domain.is_empty() || domain.ends_with('.') {
        true => Ok(()),
        false => Err(Failure::bad(format!(
            "Invalid input for dns_domain. Reason: '{domain}' is not a FQDN."
        ))),
    }
}

fn change(_: &mut Call<'_>, _: &str, network: &mut Shown) -> Result<(), Failure> {
    check(network)
}

fn remove(call: &mut Call<'_>, id: &str) -> Result<(), Failure> {
    let estate = &mut call.world.openstack;
    if has_users(estate, id) {
        return Err(Failure::of(
            409,
            "NetworkInUse",
            format!(
                "Unable to complete operation on network {id}. There are one or more ports still in use on the network{}.",
                match estate.having(Kind::Port, "network_id", id) {
                    ports if ports.is_empty() => String::new(),
                    ports => format!(", id for these ports is: {}", ports.join(",")),
                }
            ),
        ));
    }
    for subnet in estate.having(Kind::Subnet, "network_id", id) {
        estate.take(Kind::Subnet, &subnet);
    }
    Ok(())
}

/// Whether something has an address of a network: a port, a router that leads out by it, or a floating IP.
pub(in crate::openstack) fn has_users(estate: &Estate, id: &str) -> bool {
    let mut routers = estate.all(Kind::Router).into_iter();
    !estate.having(Kind::Port, "network_id", id).is_empty()
        || routers.any(|(_, router)| router.shown["external_gateway_info"]["network_id"] == id)
        || !estate
            .having(Kind::FloatingIp, "floating_network_id", id)
            .is_empty()
}

impl Estate {
    /// Whether an address is of a network that does not lead out.
    pub(crate) fn is_inside(&self, address: Ipv4Addr) -> bool {
        let mut subnets = self.all(Kind::Subnet).into_iter();
        subnets.any(|(_, subnet)| {
            let range = Range::parse(text(&subnet.shown, "cidr"));
            let has_it = range.is_some_and(|range| range.contains(IpAddr::V4(address)));
            let network = self.get(Kind::Network, text(&subnet.shown, "network_id"));
            has_it && network.is_some_and(|network| network["router:external"] != true)
        })
    }
}
