//! Ports.

use serde_json::{Value, json};

use super::attributes::{Attribute, Rule, always, at_create, told};
use super::{Collection, floating_ips, networks, security_groups, touch};
use crate::openstack::estate::{Estate, Kind, Shown, list, text};
use crate::openstack::{Call, Failure, nova};
use crate::world::World;

static ATTRIBUTES: [Attribute; 24] = [
    always("name", Rule::Text(255)).empty(),
    at_create("network_id", Rule::Uuid).needed(),
    always("admin_state_up", Rule::Flag).or(true),
    always(
        "fixed_ips",
        Rule::Objects(&[("subnet_id", Rule::Uuid), ("ip_address", Rule::Ip)]),
    )
    .open(),
    always("security_groups", Rule::Uuids).open(),
    always(
        "allowed_address_pairs",
        Rule::Objects(&[("ip_address", Rule::Text(64)), ("mac_address", Rule::Mac)]),
    )
    .nothing(),
    always("port_security_enabled", Rule::Flag).open(),
    at_create("mac_address", Rule::Mac).open(),
    at_create(
        "binding:vnic_type",
        Rule::Word(&[
            "normal",
            "direct",
            "macvtap",
            "baremetal",
            "direct-physical",
            "virtio-forwarder",
            "smart-nic",
            "vdpa",
        ]),
    )
    .open(),
    always("binding:host_id", Rule::Text(255)).open().by_admin(),
    always("binding:profile", Rule::Any).open().by_admin(),
    always("dns_name", Rule::Text(255)).empty(),
    always("dns_domain", Rule::Text(255)).empty(),
    always("qos_policy_id", Rule::Uuid),
    always("device_id", Rule::Text(255)).empty(),
    always("device_owner", Rule::Text(255)).empty(),
    always("extra_dhcp_opts", Rule::Any).nothing(),
    at_create("propagate_uplink_status", Rule::Flag).open(),
    at_create(
        "numa_affinity_policy",
        Rule::Word(&["required", "preferred", "legacy"]),
    )
    .open(),
    told("status"),
    told("dns_assignment"),
    told("binding:vif_type"),
    told("binding:vif_details"),
    told("qos_network_policy_id"),
];

pub(super) static COLLECTION: Collection = Collection {
    kind: Kind::Port,
    path: "ports",
    one: "port",
    many: "ports",
    missing: ("PortNotFound", "Port", "could not be found."),
    attributes: &ATTRIBUTES,
    make: complete,
    change,
    remove: refuse_or_let_go,
    show,
    follow,
};

/// A port that Nova makes.
#[derive(Clone, Debug)]
pub(in crate::openstack) struct NewPort {
    pub project: String,
    pub network: String,
    pub address: Option<String>,
    pub groups: Option<Vec<String>>,
    pub device: String,
    pub zone: String,
}

/// Makes a port for a server, and returns its id.
///
/// # Errors
/// Where the network has no address for it.
pub(in crate::openstack) fn make(call: &mut Call<'_>, new: NewPort) -> Result<String, Failure> {
    let mut sent = json!({
        "network_id": new.network, "device_id": new.device, "device_owner": format!("compute:{}", new.zone), "project_id": new.project,
    });
    if let Some(address) = new.address {
        sent["fixed_ips"] = json!([{ "ip_address": address }]);
    }
    if let Some(groups) = new.groups {
        sent["security_groups"] = json!(groups);
    }
    let sent = sent.as_object().cloned().unwrap_or_default();
    super::make(call, &COLLECTION, &sent)
}

/// Removes a port, with what leads to it.
pub(in crate::openstack) fn remove(world: &mut World, id: &str) {
    floating_ips::let_go(world, id);
    world.openstack.take(Kind::Port, id);
}

/// Returns the ids of the ports of a server or a router, the oldest first.
pub(in crate::openstack) fn in_use(estate: &Estate, device: &str) -> Vec<String> {
    estate.having(Kind::Port, "device_id", device)
}

fn complete(call: &mut Call<'_>, port: &mut Shown) -> Result<(), Failure> {
    let network = text(port, "network_id").to_owned();
    let found = networks::COLLECTION.find(call, &network)?;
    let is_guarded = found
        .shown
        .get("port_security_enabled")
        .and_then(Value::as_bool)
        .unwrap_or(true);
    if found.shown.get("router:external") == Some(&Value::Bool(true)) && !call.sees(&found.project)
    {
        let message = "(rule:create_port) is disallowed by policy";
        return Err(Failure::of(403, "PolicyNotAuthorized", message));
    }
    port.entry("port_security_enabled")
        .or_insert(json!(is_guarded));
    let wishes = port.get("fixed_ips").and_then(Value::as_array).cloned();
    let estate = &call.world.openstack;
    let fixed = estate.addresses_for(&network, wishes.as_deref(), None)?;
    port.insert("fixed_ips".into(), fixed);
    let mac = match text(port, "mac_address") {
        "" => call.world.openstack.ground.mac(),
        mac => {
            let is_taken = estate.all(Kind::Port).into_iter().any(|(_, other)| {
                text(&other.shown, "mac_address") == mac
                    && text(&other.shown, "network_id") == network
            });
            if is_taken {
                let message = format!(
                    "Unable to complete operation for network {network}. The mac address {mac} is in use."
                );
                return Err(Failure::of(409, "MacAddressInUse", message));
            }
            mac.to_owned()
        }
    };
    port.insert("mac_address".into(), json!(mac));
    if port.get("security_groups").is_none_or(Value::is_null) {
        let is_guarded = port["port_security_enabled"] == true;
        let project = match text(port, "project_id") {
            "" => call.caller.project.clone(),
            project => project.to_owned(),
        };
        let usual = call
            .world
            .openstack
            .default_group_of(&project)
            .filter(|_| is_guarded);
        port.insert("security_groups".into(), usual.into_iter().collect());
    }
    for (name, value) in [
        ("status", json!("DOWN")),
        ("dns_assignment", json!([])),
        ("qos_network_policy_id", Value::Null),
        ("binding:host_id", json!("")),
        ("binding:profile", json!({})),
        ("binding:vif_type", json!("unbound")),
        ("binding:vif_details", json!({})),
        ("binding:vnic_type", json!("normal")),
    ] {
        port.entry(name).or_insert(value);
    }
    check(call, port)
}

fn check(call: &Call<'_>, port: &mut Shown) -> Result<(), Failure> {
    let is_guarded = port["port_security_enabled"] == true;
    if !is_guarded && !list(port, "security_groups").is_empty() {
        return Err(Failure::of(
            409,
            "PortSecurityPortHasSecurityGroup",
            "Port has security group associated. Cannot disable port security or IP address until security group is removed.",
        ));
    }
    if !is_guarded && !list(port, "allowed_address_pairs").is_empty() {
        return Err(Failure::of(
            409,
            "AddressPairAndPortSecurityRequired",
            "Port Security must be enabled in order to have allowed address pairs on a port.",
        ));
    }
    for group in list(port, "security_groups") {
        let id = group.as_str().unwrap_or_default();
        security_groups::COLLECTION.find(call, id)?;
    }
    // A pair without a MAC address is one with the port's own.
    let mac = port["mac_address"].clone();
    if let Some(pairs) = port
        .get_mut("allowed_address_pairs")
        .and_then(Value::as_array_mut)
    {
        for pair in pairs {
            if pair["ip_address"].is_null() {
                return Err(Failure::bad("AllowedAddressPair must contain ip_address"));
            }
            if pair["mac_address"].is_null() {
                pair["mac_address"] = mac.clone();
            }
        }
    }
    Ok(())
}

fn change(call: &mut Call<'_>, id: &str, port: &mut Shown) -> Result<(), Failure> {
    let network = text(port, "network_id").to_owned();
    let estate = &call.world.openstack;
    let before = estate.get(Kind::Port, id).cloned().unwrap_or_default();
    if before.get("fixed_ips") != port.get("fixed_ips") {
        let wishes = list(port, "fixed_ips").to_vec();
        let fixed = estate.addresses_for(&network, Some(&wishes), Some(id))?;
        port.insert("fixed_ips".into(), fixed);
    }
    if port.get("security_groups").is_none_or(Value::is_null) {
        port.insert("security_groups".into(), json!([]));
    }
    check(call, port)
}

fn refuse_or_let_go(call: &mut Call<'_>, id: &str) -> Result<(), Failure> {
    let port = call
        .world
        .openstack
        .get(Kind::Port, id)
        .cloned()
        .unwrap_or_default();
    let owner = text(&port, "device_owner");
    if owner.starts_with("network:router") {
        return Err(Failure::of(
            409,
            "ServicePortInUse",
            format!(
                "Port {id} cannot be deleted directly via the port API: has device owner {owner}."
            ),
        ));
    }
    floating_ips::let_go(call.world, id);
    Ok(())
}

/// The machine that has a port is at its addresses.
fn follow(world: &mut World, port: &Shown) {
    nova::readdress(world, text(port, "device_id"));
}

/// What of the binding only administrators see is never told; nobody needs it.
fn show(_: &Estate, port: &mut Shown) {
    for name in [
        "binding:host_id",
        "binding:profile",
        "binding:vif_type",
        "binding:vif_details",
    ] {
        port.remove(name);
    }
}

impl Estate {
    /// Gives a port to a device, or takes it back.
    pub(in crate::openstack) fn bind(
        &mut self,
        port: &str,
        device: &str,
        owner: &str,
        is_up: bool,
    ) {
        if let Some(port) = self.get_mut(Kind::Port, port) {
            port.insert("device_id".into(), json!(device));
            port.insert("device_owner".into(), json!(owner));
            port.insert(
                "status".into(),
                json!(if is_up { "ACTIVE" } else { "DOWN" }),
            );
            touch(port);
        }
    }
}
