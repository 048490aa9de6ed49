//! Routers, with their way out, their interfaces and their routes.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::attributes::{Attribute, Rule, always, at_create, told};
use super::{Collection, nobody, plain, subnets, touch};
use crate::openstack::addresses::Range;
use crate::openstack::estate::{Estate, Kind, Shown, list, text};
use crate::openstack::{Answer, Call, Failure, Outcome};

const GATEWAY: Rule = Rule::Object(&[
    ("network_id", Rule::Uuid),
    ("enable_snat", Rule::Flag),
    (
        "external_fixed_ips",
        Rule::Objects(&[("subnet_id", Rule::Uuid), ("ip_address", Rule::Ip)]),
    ),
    ("qos_policy_id", Rule::Uuid),
]);

static ATTRIBUTES: [Attribute; 10] = [
    always("name", Rule::Text(255)).empty(),
    always("admin_state_up", Rule::Flag).or(true),
    always("external_gateway_info", GATEWAY),
    always("distributed", Rule::Flag).open().by_admin(),
    always("ha", Rule::Flag).open().by_admin(),
    at_create("availability_zone_hints", Rule::Texts).nothing(),
    always(
        "routes",
        Rule::Objects(&[("destination", Rule::Range), ("nexthop", Rule::Ip)]),
    )
    .nothing(),
    at_create("flavor_id", Rule::Uuid),
    told("status"),
    told("availability_zones"),
];

pub(super) static COLLECTION: Collection = Collection {
    kind: Kind::Router,
    path: "routers",
    one: "router",
    many: "routers",
    missing: ("RouterNotFound", "Router", "could not be found"),
    attributes: &ATTRIBUTES,
    make,
    change,
    remove,
    show: plain,
    follow: nobody,
};

pub(super) const INTERFACE: &str = "network:router_interface";

fn bad(why: impl std::fmt::Display) -> Failure {
    Failure::of(400, "BadRequest", format!("Bad router request: {why}."))
}

fn make(call: &mut Call<'_>, router: &mut Shown) -> Result<(), Failure> {
    router.insert("status".into(), json!("ACTIVE"));
    router.insert("availability_zones".into(), json!(["nova"]));
    if !list(router, "routes").is_empty() {
        return Err(Failure::bad("Attribute 'routes' not allowed in POST"));
    }
    let gateway = gateway(call, &router["external_gateway_info"], None)?;
    router.insert("external_gateway_info".into(), gateway);
    Ok(())
}

/// Works out the way out of a router. `before`: what it has.
fn gateway(call: &Call<'_>, wanted: &Value, before: Option<&Value>) -> Result<Value, Failure> {
    let Some(network) = wanted["network_id"].as_str() else {
        return Ok(Value::Null);
    };
    if wanted.get("enable_snat").is_some() && !call.caller.is_admin {
        let message =
            "(rule:update_router:external_gateway_info:enable_snat) is disallowed by policy";
        return Err(Failure::of(403, "PolicyNotAuthorized", message));
    }
    let found = super::networks::COLLECTION.find(call, network)?;
    if found.shown.get("router:external") != Some(&Value::Bool(true)) {
        return Err(bad(format!("Network {network} is not an external network")));
    }
    let wishes = wanted["external_fixed_ips"]
        .as_array()
        .filter(|wishes| !wishes.is_empty());
    let snat = wanted["enable_snat"].as_bool().unwrap_or(true);
    let fixed = match (wishes, before) {
        // Its address stays where nothing else is wished.
        (None, Some(before)) if before["network_id"] == network => {
            before["external_fixed_ips"].clone()
        }
        (Some(wishes), Some(before)) if before["external_fixed_ips"].as_array() == Some(wishes) => {
            before["external_fixed_ips"].clone()
        }
        (wishes, _) => {
            let estate = &call.world.openstack;
            estate.addresses_for(network, wishes.map(Vec::as_slice), None)?
        }
    };
    Ok(json!({ "network_id": network, "enable_snat": snat, "external_fixed_ips": fixed }))
}

fn change(call: &mut Call<'_>, id: &str, router: &mut Shown) -> Result<(), Failure> {
    let before = call
        .world
        .openstack
        .get(Kind::Router, id)
        .cloned()
        .unwrap_or_default();
    let had = &before["external_gateway_info"];
    if router["external_gateway_info"] != *had {
        let wanted = gateway(call, &router["external_gateway_info"], Some(had))?;
        if wanted["network_id"] != had["network_id"] {
            let estate = &call.world.openstack;
            let mut floating = estate.all(Kind::FloatingIp).into_iter();
            if floating.any(|(_, floating)| text(&floating.shown, "router_id") == id) {
                let network = had["network_id"].as_str().unwrap_or_default();
                return Err(Failure::of(
                    409,
                    "RouterExternalGatewayInUseByFloatingIp",
                    format!(
                        "Gateway cannot be updated for router {id}, since a gateway to external network {network} is required by one or more floating IPs."
                    ),
                ));
            }
        }
        router.insert("external_gateway_info".into(), wanted);
    }
    for route in list(router, "routes") {
        check_route(&call.world.openstack, id, route)?;
    }
    Ok(())
}

fn remove(call: &mut Call<'_>, id: &str) -> Result<(), Failure> {
    let ports = call.world.openstack.having(Kind::Port, "device_id", id);
    match ports.is_empty() {
        true => Ok(()),
        false => Err(Failure::of(
            409,
            "RouterInUse",
            format!("Router {id} has ports still attached: {}", ports.join(", ")),
        )),
    }
}

/// Returns the subnets that a router is joined to, with the ports.
fn joined(estate: &Estate, router: &str) -> Vec<(String, String)> {
    let mut joined = Vec::new();
    for id in estate.having(Kind::Port, "device_id", router) {
        let port = estate
            .get(Kind::Port, &id)
            .filter(|port| text(port, "device_owner") == INTERFACE);
        let fixed = port.map(|port| list(port, "fixed_ips")).unwrap_or_default();
        for fixed in fixed {
            let subnet = fixed["subnet_id"].as_str().unwrap_or_default();
            joined.push((subnet.to_owned(), id.clone()));
        }
    }
    joined
}

/// Returns the router that leads from a subnet to a network outside.
pub(super) fn leading_out(estate: &Estate, subnet: &str, network: &str) -> Option<String> {
    let mut routers = estate.all(Kind::Router).into_iter();
    let found = routers.find(|(id, router)| {
        router.shown["external_gateway_info"]["network_id"] == network
            && joined(estate, id)
                .iter()
                .any(|(joined, _)| joined == subnet)
    });
    found.map(|(id, _)| id.to_owned())
}

fn told_interface(call: &Call<'_>, router: &str, subnet: &str, port: &str) -> Outcome {
    let estate = &call.world.openstack;
    let project = estate
        .object(Kind::Router, router)
        .map_or("", |router| router.project.as_str());
    let network = estate
        .get(Kind::Subnet, subnet)
        .map_or("", |subnet| text(subnet, "network_id"));
    Answer::ok(json!({
        "id": router, "tenant_id": project, "port_id": port, "network_id": network, "subnet_id": subnet,
        "subnet_ids": [subnet],
    }))
}

/// Which of the two a call names: a subnet or a port.
fn named(call: &Call<'_>) -> Result<(Option<String>, Option<String>), Failure> {
    let text = |name: &str| call.body[name].as_str().map(str::to_owned);
    match (text("subnet_id"), text("port_id")) {
        (None, None) => Err(bad("Either subnet_id or port_id must be specified")),
        (Some(_), Some(_)) => Err(bad("Cannot specify both subnet-id and port-id")),
        named => Ok(named),
    }
}

/// `PUT /v2.0/routers/{id}/add_router_interface`.
pub(super) fn add_interface(call: &mut Call<'_>) -> Outcome {
    let id = call.id();
    let project = COLLECTION.own(call, &id)?.project.clone();
    let (subnet, port) = named(call)?;
    let (subnet, port) = match (subnet, port) {
        (_, Some(port)) => (by_port(call, &port)?, Some(port)),
        (subnet, None) => (subnet.unwrap_or_default(), None),
    };
    let found = subnets::COLLECTION.find(call, &subnet)?.shown.clone();
    let estate = &call.world.openstack;
    let all = joined(estate, &id);
    if all.iter().any(|(known, _)| *known == subnet) {
        return Err(bad(format!("Router already has a port on subnet {subnet}")));
    }
    let range = Range::parse(text(&found, "cidr"));
    for (other, _) in &all {
        let other_range = estate
            .get(Kind::Subnet, other)
            .and_then(|it| Range::parse(text(it, "cidr")));
        if let (Some(range), Some(other_range)) = (range, other_range)
            && range.overlaps(other_range)
        {
            return Err(bad(format!(
                "Cidr {range} of subnet {subnet} overlaps with cidr {other_range} of subnet {other}"
            )));
        }
    }
    let port = match port {
        Some(port) => port,
        None => {
            let gateway = text(&found, "gateway_ip");
            if gateway.is_empty() {
                return Err(bad("Subnet for router interface must have a gateway IP"));
            }
            let sent = json!({
                "network_id": text(&found, "network_id"), "project_id": project, "security_groups": [], "port_security_enabled": false,
                "fixed_ips": [{ "subnet_id": subnet, "ip_address": gateway }],
            });
            let sent = sent.as_object().cloned().unwrap_or_default();
            super::make(call, &super::ports::COLLECTION, &sent)?
        }
    };
    call.world.openstack.bind(&port, &id, INTERFACE, true);
    touch_router(call, &id);
    told_interface(call, &id, &subnet, &port)
}

/// Returns the subnet of a port that nobody has.
fn by_port(call: &Call<'_>, id: &str) -> Result<String, Failure> {
    let port = &super::ports::COLLECTION.own(call, id)?.shown;
    let device = text(port, "device_id");
    if !device.is_empty() {
        let network = text(port, "network_id");
        return Err(Failure::of(
            409,
            "PortInUse",
            format!(
                "Unable to complete operation on port {id} for network {network}. Port already has an attached device {device}."
            ),
        ));
    }
    let subnet = list(port, "fixed_ips")
        .first()
        .and_then(|fixed| fixed["subnet_id"].as_str());
    let subnet = subnet.map(str::to_owned);
    subnet.ok_or_else(|| bad("Router port must have at least one fixed IP"))
}

/// `PUT /v2.0/routers/{id}/remove_router_interface`.
pub(super) fn remove_interface(call: &mut Call<'_>) -> Outcome {
    let id = call.id();
    COLLECTION.own(call, &id)?;
    let (subnet, port) = named(call)?;
    let estate = &call.world.openstack;
    let all = joined(estate, &id);
    let found = all.into_iter().find(|(known, by)| {
        subnet.as_ref().is_none_or(|subnet| subnet == known)
            && port.as_ref().is_none_or(|port| port == by)
    });
    let Some((subnet, port)) = found else {
        return Err(match (port, subnet) {
            (Some(port), _) => Failure::of(
                404,
                "RouterInterfaceNotFound",
                format!("Router {id} does not have an interface with id {port}"),
            ),
            (None, subnet) => Failure::of(
                404,
                "RouterInterfaceNotFoundForSubnet",
                format!(
                    "Router {id} has no interface on subnet {}",
                    subnet.unwrap_or_default()
                ),
            ),
        });
    };
    let is_needed = |kind, by: &str| {
        Failure::of(
            409,
            kind,
            format!(
                "Router interface for subnet {subnet} on router {id} cannot be deleted, as it is required by one or more {by}."
            ),
        )
    };
    let mut floating = estate.all(Kind::FloatingIp).into_iter();
    let leads_there = floating.any(|(_, floating)| {
        let port = estate.get(Kind::Port, text(&floating.shown, "port_id"));
        let fixed = port.map(|port| list(port, "fixed_ips")).unwrap_or_default();
        text(&floating.shown, "router_id") == id
            && fixed
                .iter()
                .any(|fixed| fixed["subnet_id"] == subnet.as_str())
    });
    if leads_there {
        return Err(is_needed(
            "RouterInterfaceInUseByFloatingIP",
            "floating IPs",
        ));
    }
    let range = estate
        .get(Kind::Subnet, &subnet)
        .and_then(|it| Range::parse(text(it, "cidr")));
    let routes = estate
        .get(Kind::Router, &id)
        .map(|router| list(router, "routes"))
        .unwrap_or_default();
    let is_by = |route: &Value| {
        let hop = route["nexthop"]
            .as_str()
            .and_then(|text| text.parse::<IpAddr>().ok());
        range
            .zip(hop)
            .is_some_and(|(range, hop)| range.contains(hop))
    };
    if routes.iter().any(is_by) {
        return Err(is_needed("RouterInterfaceInUseByRoute", "routes"));
    }
    let answer = told_interface(call, &id, &subnet, &port);
    super::remove_port(call.world, &port);
    touch_router(call, &id);
    answer
}

fn touch_router(call: &mut Call<'_>, id: &str) {
    if let Some(router) = call.world.openstack.get_mut(Kind::Router, id) {
        touch(router);
    }
}

/// Refuses a route by an address that the router does not reach.
fn check_route(estate: &Estate, router: &str, route: &Value) -> Result<(), Failure> {
    let hop = route["nexthop"]
        .as_str()
        .and_then(|text| text.parse::<IpAddr>().ok());
    let outside = estate.get(Kind::Router, router).map(|router| {
        let fixed = router["external_gateway_info"]["external_fixed_ips"].as_array();
        let fixed = fixed.map(Vec::as_slice).unwrap_or_default().iter();
        fixed
            .filter_map(|fixed| Some(fixed["subnet_id"].as_str()?.to_owned()))
            .collect::<Vec<_>>()
    });
    let subnets = joined(estate, router).into_iter().map(|(subnet, _)| subnet);
    let mut ranges = subnets
        .chain(outside.unwrap_or_default())
        .filter_map(|id| Range::parse(text(estate.get(Kind::Subnet, &id)?, "cidr")));
    let is_reached = hop.is_some_and(|hop| ranges.any(|range| range.contains(hop)));
    match is_reached {
        true => Ok(()),
        false => Err(Failure::of(
            400,
            "InvalidRoutes",
            format!("Invalid format for routes: {route}, the nexthop is not connected with router"),
        )),
    }
}

fn routes_of(call: &Call<'_>) -> Result<Vec<Value>, Failure> {
    let routes = call.body["router"]["routes"].as_array();
    routes
        .cloned()
        .ok_or_else(|| Failure::bad("Unable to find 'router' in request body"))
}

fn set_routes(call: &mut Call<'_>, id: &str, routes: Vec<Value>) -> Outcome {
    call.world.openstack.set(Kind::Router, id, "routes", routes);
    touch_router(call, id);
    COLLECTION.told(call, id, 200)
}

/// `PUT /v2.0/routers/{id}/add_extraroutes`.
pub(super) fn add_routes(call: &mut Call<'_>) -> Outcome {
    let id = call.id();
    let mut routes = list(&COLLECTION.own(call, &id)?.shown, "routes").to_vec();
    for route in routes_of(call)? {
        check_route(&call.world.openstack, &id, &route)?;
        if !routes.contains(&route) {
            routes.push(route);
        }
    }
    set_routes(call, &id, routes)
}

/// `PUT /v2.0/routers/{id}/remove_extraroutes`.
pub(super) fn remove_routes(call: &mut Call<'_>) -> Outcome {
    let id = call.id();
    let mut routes = list(&COLLECTION.own(call, &id)?.shown, "routes").to_vec();
    let gone = routes_of(call)?;
    routes.retain(|route| !gone.contains(route));
    set_routes(call, &id, routes)
}
