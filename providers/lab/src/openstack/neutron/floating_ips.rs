//! Floating IPs: addresses of the network outside that lead to a port, and to the machine behind it.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use super::attributes::{Attribute, Rule, always, at_create, told};
use super::space::exhausted;
use super::{Collection, networks, ports, routers, touch};
use crate::openstack::estate::{Estate, Kind, Shown, list, text};
use crate::openstack::{Call, Failure, nova};
use crate::world::World;

static ATTRIBUTES: [Attribute; 12] = [
    at_create("floating_network_id", Rule::Uuid).needed(),
    at_create("floating_ip_address", Rule::Ip).open(),
    at_create("subnet_id", Rule::Uuid).open(),
    always("port_id", Rule::Uuid),
    always("fixed_ip_address", Rule::Ip),
    at_create("dns_name", Rule::Text(255)).empty(),
    at_create("dns_domain", Rule::Text(255)).empty(),
    always("qos_policy_id", Rule::Uuid),
    told("router_id"),
    told("status"),
    told("port_details"),
    told("port_forwardings"),
];

pub(super) static COLLECTION: Collection = Collection {
    kind: Kind::FloatingIp,
    path: "floatingips",
    one: "floatingip",
    many: "floatingips",
    missing: ("FloatingIPNotFound", "Floating IP", "could not be found"),
    attributes: &ATTRIBUTES,
    make,
    change,
    remove: |_, _| Ok(()),
    show,
    follow,
};

fn bad(why: impl std::fmt::Display) -> Failure {
    Failure::of(400, "BadRequest", format!("Bad floatingip request: {why}."))
}

fn make(call: &mut Call<'_>, floating: &mut Shown) -> Result<(), Failure> {
    let network = text(floating, "floating_network_id").to_owned();
    let found = networks::COLLECTION.find(call, &network)?;
    if found.shown.get("router:external") != Some(&Value::Bool(true)) {
        return Err(bad(format!(
            "Network {network} is not a valid external network"
        )));
    }
    let wished = floating
        .get("floating_ip_address")
        .filter(|wished| !wished.is_null())
        .cloned();
    let subnet = floating
        .remove("subnet_id")
        .filter(|subnet| !subnet.is_null());
    let estate = &call.world.openstack;
    let wish = match (wished, subnet) {
        (Some(_), _) if !call.caller.is_admin => {
            let message = "(rule:create_floatingip:floating_ip_address) is disallowed by policy";
            return Err(Failure::of(403, "PolicyNotAuthorized", message));
        }
        (Some(address), _) => Some(json!({ "ip_address": address })),
        (None, Some(subnet)) => Some(json!({ "subnet_id": subnet })),
        (None, None) => None,
    };
    let wishes = wish.map(|wish| vec![wish]);
    let fixed = estate.addresses_for(&network, wishes.as_deref(), None)?;
    let address = fixed[0]["ip_address"].clone();
    if address.is_null() {
        return Err(exhausted(&network));
    }
    floating.insert("floating_ip_address".into(), address);
    floating.insert("port_forwardings".into(), json!([]));
    let id = text(floating, "id").to_owned();
    lead(call, &id, floating)
}

/// Works out where a floating IP leads by what is wished of it.
fn lead(call: &Call<'_>, id: &str, floating: &mut Shown) -> Result<(), Failure> {
    let estate = &call.world.openstack;
    let port_id = text(floating, "port_id").to_owned();
    if port_id.is_empty() {
        for name in ["port_id", "fixed_ip_address", "router_id"] {
            floating.insert(name.to_owned(), Value::Null);
        }
        floating.insert("status".into(), json!("DOWN"));
        return Ok(());
    }
    let port = &ports::COLLECTION.find(call, &port_id)?.shown;
    let wished = text(floating, "fixed_ip_address").to_owned();
    let is_four = |fixed: &&Value| {
        let address = fixed["ip_address"]
            .as_str()
            .and_then(|text| text.parse::<IpAddr>().ok());
        address.is_some_and(|address| address.is_ipv4())
    };
    let mut fixed = list(port, "fixed_ips").iter().filter(is_four);
    let fixed = fixed.find(|fixed| wished.is_empty() || fixed["ip_address"] == wished.as_str());
    let Some(fixed) = fixed else {
        return Err(bad(match wished.is_empty() {
            true => format!("Port {port_id} does not have fixed IPv4 addresses"),
            false => format!("Port {port_id} does not have fixed ip {wished}"),
        }));
    };
    let network = text(floating, "floating_network_id");
    let subnet = fixed["subnet_id"].as_str().unwrap_or_default();
    let Some(router) = routers::leading_out(estate, subnet, network) else {
        return Err(Failure::of(
            404,
            "ExternalGatewayForFloatingIPNotFound",
            format!(
                "External network {network} is not reachable from subnet {subnet}.  Therefore, cannot associate Port {port_id} with a Floating IP."
            ),
        ));
    };
    let mut others = estate.all(Kind::FloatingIp).into_iter();
    let is_taken = others.any(|(other, shown)| {
        other != id
            && text(&shown.shown, "port_id") == port_id
            && shown.shown.get("fixed_ip_address") == Some(&fixed["ip_address"])
            && text(&shown.shown, "floating_network_id") == network
    });
    if is_taken {
        return Err(Failure::of(
            409,
            "FloatingIPPortAlreadyAssociated",
            format!(
                "Cannot associate floating IP {} ({id}) with port {port_id} using fixed IP {}, as that fixed IP already has a floating IP on external network {network}.",
                text(floating, "floating_ip_address"),
                fixed["ip_address"].as_str().unwrap_or_default()
            ),
        ));
    }
    let address = fixed["ip_address"].clone();
    floating.insert("fixed_ip_address".into(), address);
    floating.insert("router_id".into(), json!(router));
    floating.insert("status".into(), json!("ACTIVE"));
    Ok(())
}

fn change(call: &mut Call<'_>, id: &str, floating: &mut Shown) -> Result<(), Failure> {
    let estate = &call.world.openstack;
    let before = estate
        .get(Kind::FloatingIp, id)
        .cloned()
        .unwrap_or_default();
    if before.get("port_id") != floating.get("port_id")
        && before.get("fixed_ip_address") == floating.get("fixed_ip_address")
    {
        // The address of the port before is not meant.
        floating.insert("fixed_ip_address".into(), Value::Null);
    }
    lead(call, id, floating)
}

fn show(estate: &Estate, floating: &mut Shown) {
    let port = estate.get(Kind::Port, text(floating, "port_id"));
    let details = port.map(|port| {
        let names = [
            "name",
            "network_id",
            "mac_address",
            "admin_state_up",
            "status",
            "device_id",
            "device_owner",
        ];
        let one = |name: &str| (name.to_owned(), port.get(name).cloned().unwrap_or_default());
        Value::Object(names.into_iter().map(one).collect())
    });
    floating.insert("port_details".into(), details.unwrap_or_default());
}

/// Lets what leads to a port lead to nothing.
pub(super) fn let_go(world: &mut World, port: &str) {
    let leading = world.openstack.having(Kind::FloatingIp, "port_id", port);
    for id in leading {
        if let Some(floating) = world.openstack.get_mut(Kind::FloatingIp, &id) {
            for name in ["port_id", "fixed_ip_address", "router_id"] {
                floating.insert(name.to_owned(), Value::Null);
            }
            floating.insert("status".into(), json!("DOWN"));
            touch(floating);
        }
    }
}

/// The machine behind a port is reached by the addresses that lead to it.
fn follow(world: &mut World, floating: &Shown) {
    let port = world.openstack.get(Kind::Port, text(floating, "port_id"));
    let device = port.map(|port| text(port, "device_id").to_owned());
    nova::readdress(world, &device.unwrap_or_default());
}

impl Estate {
    /// Returns the addresses outside that lead to a port, with those of the port that they lead to.
    pub(in crate::openstack) fn floating_of(&self, port: &str) -> Vec<(Ipv4Addr, Ipv4Addr)> {
        let all = self.all(Kind::FloatingIp).into_iter();
        let of_port = all.filter(|(_, floating)| text(&floating.shown, "port_id") == port);
        let way = |floating: &Shown| {
            let address = |name: &str| text(floating, name).parse().ok();
            Some((
                address("floating_ip_address")?,
                address("fixed_ip_address")?,
            ))
        };
        of_port
            .filter_map(|(_, floating)| way(&floating.shown))
            .collect()
    }
}
