//! Subnets.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::attributes::{Attribute, Rule, always, at_create};
use super::{Collection, networks, nobody, plain, touch};
use crate::openstack::addresses::{Range, address, number};
use crate::openstack::estate::{Kind, Shown, list, text};
use crate::openstack::{Call, Failure};

static ATTRIBUTES: [Attribute; 16] = [
    always("name", Rule::Text(255)).empty(),
    at_create("network_id", Rule::Uuid).needed(),
    at_create("cidr", Rule::Range).open(),
    at_create("ip_version", Rule::Number(4, 6)).needed(),
    at_create("subnetpool_id", Rule::Uuid),
    at_create("prefixlen", Rule::Number(0, 128)).open(),
    at_create("use_default_subnetpool", Rule::Flag).open(),
    always("gateway_ip", Rule::Ip).open(),
    always("enable_dhcp", Rule::Flag).or(true),
    always("dns_nameservers", Rule::Ips).nothing(),
    always(
        "allocation_pools",
        Rule::Objects(&[("start", Rule::Ip), ("end", Rule::Ip)]),
    )
    .open(),
    always(
        "host_routes",
        Rule::Objects(&[("destination", Rule::Range), ("nexthop", Rule::Ip)]),
    )
    .nothing(),
    always("service_types", Rule::Texts).nothing(),
    at_create(
        "ipv6_address_mode",
        Rule::Word(&["dhcpv6-stateful", "dhcpv6-stateless", "slaac"]),
    ),
    at_create(
        "ipv6_ra_mode",
        Rule::Word(&["dhcpv6-stateful", "dhcpv6-stateless", "slaac"]),
    ),
    always("dns_publish_fixed_ip", Rule::Flag).or(false),
];

pub(super) static COLLECTION: Collection = Collection {
    kind: Kind::Subnet,
    path: "subnets",
    one: "subnet",
    many: "subnets",
    missing: ("SubnetNotFound", "Subnet", "could not be found."),
    attributes: &ATTRIBUTES,
    make,
    change,
    remove,
    show: plain,
    follow: nobody,
};

fn invalid(why: impl std::fmt::Display) -> Failure {
    Failure::of(
        400,
        "InvalidInput",
        format!("Invalid input for operation: {why}."),
    )
}

fn make(call: &mut Call<'_>, subnet: &mut Shown) -> Result<(), Failure> {
    let network = text(subnet, "network_id").to_owned();
    let found = networks::COLLECTION.find(call, &network)?;
    if !call.sees(&found.project) {
        let message = "(rule:create_subnet) is disallowed by policy";
        return Err(Failure::of(403, "PolicyNotAuthorized", message));
    }
    if !subnet["subnetpool_id"].is_null() || subnet.contains_key("prefixlen") {
        return Err(Failure::not_served("subnet pools"));
    }
    let Some(range) = Range::parse(text(subnet, "cidr")) else {
        return Err(Failure::of(
            400,
            "BadRequest",
            "Bad subnets request: a subnetpool must be specified in the absence of a cidr.",
        ));
    };
    if subnet["ip_version"] != range.version() {
        return Err(invalid(format!(
            "cidr '{range}' does not match the ip_version '{}'",
            subnet["ip_version"]
        )));
    }
    let estate = &call.world.openstack;
    for other in estate.subnets_of(&network) {
        let other = estate
            .get(Kind::Subnet, &other)
            .and_then(|it| Range::parse(text(it, "cidr")));
        if other.is_some_and(|other| other.overlaps(range)) {
            return Err(invalid(format!(
                "Requested subnet with cidr: {range} for network: {network} overlaps with another subnet"
            )));
        }
    }
    subnet.remove("use_default_subnetpool");
    if !subnet.contains_key("gateway_ip") {
        let first = range.at(1).map(|first| first.to_string());
        subnet.insert("gateway_ip".into(), json!(first));
    }
    if subnet.get("allocation_pools").is_none_or(Value::is_null) {
        subnet.insert(
            "allocation_pools".into(),
            pools(range, text(subnet, "gateway_ip")),
        );
    }
    check(subnet, range)?;
    let mut subnets = list(&found.shown, "subnets").to_vec();
    subnets.push(subnet["id"].clone());
    let estate = &mut call.world.openstack;
    estate.set(Kind::Network, &network, "subnets", subnets);
    Ok(())
}

/// Returns the pools of a range: all but its ends and the gateway.
fn pools(range: Range, gateway: &str) -> Value {
    let first = number(range.first()) + 1;
    let last = match range.version() {
        4 => number(range.last()).saturating_sub(1),
        _ => number(range.last()),
    };
    let gateway: Option<IpAddr> = gateway.parse().ok();
    let gateway = gateway
        .map(number)
        .filter(|gateway| (first..=last).contains(gateway));
    let parts = match gateway {
        Some(gateway) => vec![(first, gateway - 1), (gateway + 1, last)],
        None => vec![(first, last)],
    };
    let end = |number: u128| address(number, range.first()).to_string();
    let parts = parts.into_iter().filter(|(first, last)| first <= last);
    parts
        .map(|(first, last)| json!({ "start": end(first), "end": end(last) }))
        .collect()
}

fn check(subnet: &Shown, range: Range) -> Result<(), Failure> {
    let parse = |text: &str| text.parse::<IpAddr>().ok();
    let gateway = parse(text(subnet, "gateway_ip"));
    let is_end = |gateway: IpAddr| {
        gateway == range.first()
            || gateway == range.last() && gateway.is_ipv4() && range.bits() < 31
    };
    if let Some(gateway) = gateway
        && is_end(gateway)
    {
        return Err(invalid("Gateway is not valid on subnet"));
    }
    let mut seen: Vec<(u128, u128)> = Vec::new();
    for pool in list(subnet, "allocation_pools") {
        let end = |name: &str| pool[name].as_str().and_then(parse);
        let (Some(start), Some(last)) = (end("start"), end("end")) else {
            return Err(invalid(format!(
                "Invalid data format for IP pool: '{pool}'"
            )));
        };
        let name = format!("{start}-{last}");
        if number(start) > number(last) {
            let message = format!("The allocation pool {name} is not valid.");
            return Err(Failure::of(400, "InvalidAllocationPool", message));
        }
        if !range.contains(start) || !range.contains(last) {
            let message =
                format!("The allocation pool {name} spans beyond the subnet cidr {range}.");
            return Err(Failure::of(400, "OutOfBoundsAllocationPool", message));
        }
        let (start, last) = (number(start), number(last));
        if gateway.is_some_and(|gateway| (start..=last).contains(&number(gateway))) {
            let message = format!(
                "Gateway ip {} conflicts with allocation pool {name}.",
                text(subnet, "gateway_ip")
            );
            return Err(Failure::of(
                409,
                "GatewayConflictWithAllocationPools",
                message,
            ));
        }
        if seen
            .iter()
            .any(|(first, end)| start <= *end && *first <= last)
        {
            let message = format!("Found overlapping allocation pools: {name} for subnet {range}.");
            return Err(Failure::of(409, "OverlappingAllocationPools", message));
        }
        seen.push((start, last));
    }
    Ok(())
}

fn change(call: &mut Call<'_>, id: &str, subnet: &mut Shown) -> Result<(), Failure> {
    let Some(range) = Range::parse(text(subnet, "cidr")) else {
        return Ok(());
    };
    let estate = &call.world.openstack;
    let before = estate.get(Kind::Subnet, id).cloned().unwrap_or_default();
    let is_moved = before.get("gateway_ip") != subnet.get("gateway_ip");
    let is_routed = estate.all(Kind::Port).into_iter().any(|(_, port)| {
        let fixed = list(&port.shown, "fixed_ips").iter();
        text(&port.shown, "device_owner") == "network:router_interface"
            && fixed.into_iter().any(|fixed| {
                fixed["subnet_id"] == id && Some(&fixed["ip_address"]) == before.get("gateway_ip")
            })
    });
    if is_moved && is_routed {
        return Err(Failure::of(
            409,
            "GatewayIpInUse",
            format!(
                "Current gateway ip {} already in use by a router. Unable to update.",
                text(&before, "gateway_ip")
            ),
        ));
    }
    check(subnet, range)
}

fn remove(call: &mut Call<'_>, id: &str) -> Result<(), Failure> {
    let estate = &mut call.world.openstack;
    let has_it = |fixed: &Value| fixed["subnet_id"] == id;
    let mut ports = estate.all(Kind::Port).into_iter();
    let mut routers = estate.all(Kind::Router).into_iter();
    let is_used = ports.any(|(_, port)| list(&port.shown, "fixed_ips").iter().any(has_it))
        || routers.any(|(_, router)| {
            let fixed = router.shown["external_gateway_info"]["external_fixed_ips"].as_array();
            fixed.is_some_and(|fixed| fixed.iter().any(has_it))
        });
    if is_used {
        return Err(Failure::of(
            409,
            "SubnetInUse",
            format!(
                "Unable to complete operation on subnet {id}: One or more ports have an IP allocation from this subnet."
            ),
        ));
    }
    let network = estate
        .get(Kind::Subnet, id)
        .map(|subnet| text(subnet, "network_id").to_owned());
    if let Some(network) = network.and_then(|id| estate.get_mut(Kind::Network, &id)) {
        let left: Vec<Value> = list(network, "subnets")
            .iter()
            .filter(|it| **it != id)
            .cloned()
            .collect();
        network.insert("subnets".into(), left.into());
        touch(network);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(gateway: &str, pools: &Value) -> Shown {
        let subnet = json!({ "gateway_ip": gateway, "allocation_pools": pools });
        subnet.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn the_gateway_and_the_ends_are_in_no_pool() {
        let range = Range::parse("127.20.0.0/29").expect("a range");
        let pool = |start: &str, end: &str| json!({ "start": start, "end": end });
        assert_eq!(
            pools(range, "127.20.0.1"),
            json!([pool("127.20.0.2", "127.20.0.6")])
        );
        assert_eq!(
            pools(range, "127.20.0.3"),
            json!([
                pool("127.20.0.1", "127.20.0.2"),
                pool("127.20.0.4", "127.20.0.6")
            ])
        );
        assert_eq!(pools(range, ""), json!([pool("127.20.0.1", "127.20.0.6")]));
    }

    #[test]
    fn pools_lie_in_the_range_beside_each_other_and_the_gateway() {
        let range = Range::parse("127.20.0.0/24").expect("a range");
        let refused = |gateway: &str, pools: Value| {
            let checked = check(&subnet(gateway, &pools), range);
            checked.err().map(|failure| (failure.status, failure.kind))
        };
        let pool = |start: &str, end: &str| json!({ "start": start, "end": end });
        let good = json!([
            pool("127.20.0.10", "127.20.0.20"),
            pool("127.20.0.30", "127.20.0.40")
        ]);
        assert_eq!(refused("127.20.0.1", good), None);
        let wrong = |pools: Value| refused("127.20.0.1", pools);
        assert_eq!(
            wrong(json!([pool("127.20.1.10", "127.20.1.20")])),
            Some((400, "OutOfBoundsAllocationPool"))
        );
        assert_eq!(
            wrong(json!([pool("127.20.0.1", "127.20.0.20")])),
            Some((409, "GatewayConflictWithAllocationPools"))
        );
        assert_eq!(
            wrong(json!([
                pool("127.20.0.10", "127.20.0.20"),
                pool("127.20.0.20", "127.20.0.30")
            ])),
            Some((409, "OverlappingAllocationPools"))
        );
        assert_eq!(
            refused("127.20.0.0", json!([])),
            Some((400, "InvalidInput"))
        );
    }
}
