//! What is there before anybody has made anything: the network that leads out, each project's default security group, and
//! images.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::addresses::Range;
use super::estate::{Estate, Kind, Shown, moment, shown, text};
use super::neutron;
use super::site::ExternalSite;
use crate::world::now;

/// Makes it.
pub(crate) fn fill(estate: &mut Estate) {
    let site = estate.ground.site.clone();
    let logins = estate.ground.logins.clone();
    external(estate, &site.external);
    for login in logins.all() {
        neutron::default_group(estate, &login.project);
    }
    for name in &site.images {
        image(estate, name, &logins.admin.project);
    }
}

fn external(estate: &mut Estate, site: &ExternalSite) {
    let name = &site.name;
    let owner = estate.ground.logins.admin.project.clone();
    let (network, subnet) = (estate.new_id(), estate.new_id());
    let common = neutron::standard(&owner);
    let mut made = common.clone();
    made.extend(shown(json!({
        "id": network, "name": name, "admin_state_up": true, "status": "ACTIVE", "shared": false, "router:external": true,
        "mtu": 1500, "port_security_enabled": true, "subnets": [subnet], "availability_zone_hints": [],
        "availability_zones": ["nova"], "ipv4_address_scope": null, "ipv6_address_scope": null, "is_default": true,
        "qos_policy_id": null, "dns_domain": "", "l2_adjacency": true,
    })));
    estate.put(Kind::Network, &network, &owner, made);
    let mut made = common;
    made.extend(addresses(site));
    made.extend(shown(json!({
        "id": subnet, "name": format!("{name}-addresses"), "network_id": network, "ip_version": 4, "enable_dhcp": false,
        "dns_nameservers": [], "host_routes": [], "service_types": [], "subnetpool_id": null,
        "ipv6_address_mode": null, "ipv6_ra_mode": null,
    })));
    estate.put(Kind::Subnet, &subnet, &owner, made);
}

/// Returns the id of the network of a name that leads out.
fn external_network(estate: &Estate, name: &str) -> Option<String> {
    let mut networks = estate.all(Kind::Network).into_iter();
    let found = networks.find(|(_, network)| {
        text(&network.shown, "name") == name
            && network.shown.get("router:external") == Some(&Value::Bool(true))
    });
    found.map(|(id, _)| id.to_owned())
}

/// Returns what of the external network's subnet tells its addresses.
fn addresses(site: &ExternalSite) -> Shown {
    let range = Range::parse(&site.cidr);
    // The first ones are left to whoever sets up a lab by hand.
    let pool = range.and_then(|range| {
        let last = range.last();
        let end = super::addresses::address(super::addresses::number(last) - 1, last);
        Some(json!([{ "start": range.at(10)?.to_string(), "end": end.to_string() }]))
    });
    let first = range.and_then(|range| range.at(1));
    let gateway = site.gateway.map(IpAddr::V4).or(first);
    shown(json!({
        "cidr": site.cidr, "gateway_ip": gateway.map(|gateway| gateway.to_string()),
        "allocation_pools": pool.unwrap_or_else(|| json!([])),
    }))
}

/// Lets the external network lie where the host is on it by an address of its own, `10.90.0.1/24`.
///
/// # Errors
/// Where somebody has an address of it already.
pub(crate) fn lie_at(estate: &mut Estate, address: &str) -> Result<(), String> {
    let mut site = estate.ground.site.external.clone();
    if !site.lie_at(address) {
        return Ok(());
    }
    let id = external_network(estate, &site.name).unwrap_or_default();
    if neutron::has_users(estate, &id) {
        return Err(format!(
            "addresses of the network `{}` are in use, so it can't have those of {address}: remove its floating IPs and the gateways \
             of routers first, or take another folder",
            site.name
        ));
    }
    let subnets = estate.having(Kind::Subnet, "network_id", &id);
    let subnet = subnets
        .first()
        .and_then(|id| estate.get_mut(Kind::Subnet, id));
    if let Some(subnet) = subnet {
        subnet.extend(addresses(&site));
    }
    estate.ground.site.external = site;
    Ok(())
}

/// An image has no content: what a server of the lab holds comes from the host, or is what the lab was told of by its name.
fn image(estate: &mut Estate, name: &str, owner: &str) {
    let id = estate.new_id();
    let moment = moment(now());
    let distribution = name.split('-').next().unwrap_or(name);
    let made = shown(json!({
        "id": id, "name": name, "status": "active", "visibility": "public", "owner": owner, "tags": [], "protected": true,
        "os_hidden": false, "min_disk": 4, "min_ram": 0, "disk_format": "qcow2", "container_format": "bare",
        "size": 0, "virtual_size": 4u64 << 30, "checksum": Value::Null, "os_hash_algo": Value::Null, "os_hash_value": Value::Null,
        "created_at": moment, "updated_at": moment, "os_distro": distribution, "os_type": "linux",
        "self": format!("/v2/images/{id}"), "file": format!("/v2/images/{id}/file"), "schema": "/v2/schemas/image",
    }));
    estate.put(Kind::Image, &id, owner, made);
}
