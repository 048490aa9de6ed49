//! Plugs of servers that run.

use serde_json::{Value, json};

use super::create::{check_network, check_port, in_novas_words};
use super::{alter, find, note, word};
use crate::openstack::Version;
use crate::openstack::estate::{Kind, Shown, list as items, text};
use crate::openstack::neutron::{self, NewPort};
use crate::openstack::nova::readdress;
use crate::openstack::nova::server::State;
use crate::openstack::shape::{MANY, Member, Object, Shape, check};
use crate::openstack::{Answer, Call, Failure, Outcome};

/// `nova/api/openstack/compute/schemas/attach_interfaces.py`.
static PLUG: Object = Object {
    members: &[Member("interfaceAttachment", 1, Shape::Object(&PLUGGED))],
    needed: &[],
    is_open: false,
};

static PLUGGED: Object = Object {
    members: &[
        Member("net_id", 1, Shape::Uuid),
        Member("port_id", 1, Shape::Uuid),
        Member("fixed_ips", 1, Shape::List(&Shape::Object(&FIXED), MANY)),
        Member("tag", 49, super::tags::TAG),
    ],
    needed: &[],
    is_open: false,
};

static FIXED: Object = Object {
    members: &[Member("ip_address", 1, Shape::Ip)],
    needed: &["ip_address"],
    is_open: false,
};

const STATES: [State; 3] = [State::Active, State::Paused, State::Stopped];

fn told(port: &Shown, version: Version) -> Value {
    let mut told = json!({
        "port_id": text(port, "id"), "net_id": text(port, "network_id"), "mac_addr": text(port, "mac_address"),
        "port_state": text(port, "status"), "fixed_ips": items(port, "fixed_ips"),
    });
    if version >= Version(2, 70) {
        told["tag"] = Value::Null;
    }
    told
}

/// `GET /v2.1/servers/{id}/os-interface`.
pub(in crate::openstack::nova) fn list(call: &mut Call<'_>) -> Outcome {
    let id = find(call)?.id.clone();
    let estate = &call.world.openstack;
    let ports = neutron::ports_in_use(estate, &id);
    let ports = ports
        .iter()
        .filter_map(|id| estate.get(Kind::Port, id))
        .map(|port| told(port, call.version));
    Answer::ok(json!({ "interfaceAttachments": ports.collect::<Vec<_>>() }))
}

fn port(call: &Call<'_>) -> Result<(String, String), Failure> {
    let server = find(call)?.id.clone();
    let port = call.at("port").to_owned();
    let found = neutron::ports_in_use(&call.world.openstack, &server);
    match found.contains(&port) {
        true => Ok((server, port)),
        false => Err(Failure::missing(format!(
            "Instance {server} does not have a port with id {port}"
        ))),
    }
}

fn shown(call: &Call<'_>, port: &str) -> Outcome {
    let port = call.world.openstack.get(Kind::Port, port);
    Answer::ok(json!({ "interfaceAttachment": port.map(|port| told(port, call.version)) }))
}

/// `GET /v2.1/servers/{id}/os-interface/{port}`.
pub(in crate::openstack::nova) fn show(call: &mut Call<'_>) -> Outcome {
    let (_, port) = port(call)?;
    shown(call, &port)
}

/// `POST /v2.1/servers/{id}/os-interface`.
pub(in crate::openstack::nova) fn plug(call: &mut Call<'_>) -> Outcome {
    let server = find(call)?;
    check(&PLUG, &call.body, call.version)?;
    let sent = call.body["interfaceAttachment"].clone();
    let (network, given) = (word(&sent, "net_id"), word(&sent, "port_id"));
    if network.is_some() && given.is_some() {
        return Err(Failure::bad("Must not input both network_id and port_id"));
    }
    server.must_be_unlocked(call.caller.is_admin)?;
    server.must_be(&STATES, "attach_interface")?;
    let (id, project) = (server.id.clone(), server.project.clone());
    let zone = server
        .node
        .as_deref()
        .map_or_else(|| "nova".to_owned(), |node| call.world.zone_of(node));
    let port = match (given, network) {
        (Some(port), _) => {
            check_port(call, &port)?;
            let owner = format!("compute:{zone}");
            call.world.openstack.bind(&port, &id, &owner, true);
            port
        }
        (None, Some(network)) => {
            check_network(call, &network)?;
            let address = sent["fixed_ips"][0]["ip_address"]
                .as_str()
                .map(str::to_owned);
            let new = NewPort {
                project,
                network,
                address: address.clone(),
                groups: None,
                device: id.clone(),
                zone,
            };
            let made = neutron::make_port(call, new)
                .map_err(|refused| in_novas_words(refused, address))?;
            call.world
                .openstack
                .set(Kind::Port, &made, "status", "ACTIVE");
            alter(call, |server| {
                server.own_ports.insert(made.clone());
            });
            made
        }
        (None, None) => return Err(Failure::bad("The lab takes a `port_id` or a `net_id`.")),
    };
    note(call, "attach_interface");
    readdress(call.world, &id);
    shown(call, &port)
}

/// `DELETE /v2.1/servers/{id}/os-interface/{port}`.
pub(in crate::openstack::nova) fn pull(call: &mut Call<'_>) -> Outcome {
    let (id, port) = port(call)?;
    let server = find(call)?;
    server.must_be_unlocked(call.caller.is_admin)?;
    server.must_be(&STATES, "detach_interface")?;
    match server.own_ports.contains(&port) {
        true => {
            neutron::remove_port(call.world, &port);
            alter(call, |server| {
                server.own_ports.remove(&port);
            });
        }
        false => call.world.openstack.bind(&port, "", "", false),
    }
    note(call, "detach_interface");
    readdress(call.world, &id);
    Answer::empty(202)
}

/// `GET /v2.1/servers/{id}/os-security-groups`.
pub(in crate::openstack::nova) fn groups(call: &mut Call<'_>) -> Outcome {
    let id = find(call)?.id.clone();
    let estate = &call.world.openstack;
    let mut ids: Vec<String> = Vec::new();
    for port in neutron::ports_in_use(estate, &id) {
        let groups = estate
            .get(Kind::Port, &port)
            .map(|port| items(port, "security_groups"));
        for group in groups.unwrap_or_default().iter().filter_map(Value::as_str) {
            if !ids.iter().any(|known| known == group) {
                ids.push(group.to_owned());
            }
        }
    }
    let groups = ids
        .iter()
        .filter_map(|id| estate.get(Kind::SecurityGroup, id));
    let told = |group: &Shown| {
        json!({
            "id": text(group, "id"), "name": text(group, "name"), "description": text(group, "description"),
            "tenant_id": text(group, "project_id"), "rules": [],
        })
    };
    Answer::ok(json!({ "security_groups": groups.map(told).collect::<Vec<_>>() }))
}
