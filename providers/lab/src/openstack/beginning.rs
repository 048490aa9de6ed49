//! What is there before anybody has made anything: the network that leads out, each project's default security group, and
//! images.

use serde_json::{Value, json};

use super::addresses::Range;
use super::estate::{Estate, Kind, moment, shown};
use super::neutron;
use crate::world::now;

/// Makes it.
pub(crate) fn fill(estate: &mut Estate) {
    let site = estate.ground.site.clone();
    let logins = estate.ground.logins.clone();
    external(estate, &site.external.name, &site.external.cidr);
    for login in logins.all() {
        neutron::default_group(estate, &login.project);
    }
    for name in &site.images {
        image(estate, name, &logins.admin.project);
    }
}

fn external(estate: &mut Estate, name: &str, cidr: &str) {
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
    let range = Range::parse(cidr);
    // The first ones are left to whoever sets up a lab by hand.
    let pool = range.and_then(|range| {
        let last = range.last();
        let end = super::addresses::address(super::addresses::number(last) - 1, last);
        Some(json!([{ "start": range.at(10)?.to_string(), "end": end.to_string() }]))
    });
    let gateway = range.and_then(|range| range.at(1));
    let mut made = common;
    made.extend(shown(json!({
        "id": subnet, "name": format!("{name}-addresses"), "network_id": network, "cidr": cidr, "ip_version": 4,
        "gateway_ip": gateway.map(|gateway| gateway.to_string()), "enable_dhcp": false, "allocation_pools": pool.unwrap_or_else(|| json!([])),
        "dns_nameservers": [], "host_routes": [], "service_types": [], "subnetpool_id": null,
        "ipv6_address_mode": null, "ipv6_ra_mode": null,
    })));
    estate.put(Kind::Subnet, &subnet, &owner, made);
}

/// An image has no content: what a server of the lab holds comes from the host.
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
