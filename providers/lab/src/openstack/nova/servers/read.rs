//! Servers as they are shown.

use regex::Regex;
use serde_json::{Map, Value, json};

use super::find;
use crate::openstack::estate::{Kind, Shown, fine_moment, list as items, moment, shown, text};
use crate::openstack::listing::Listing;
use crate::openstack::neutron;
use crate::openstack::nova::server::{Action, Server, State};
use crate::openstack::nova::{flavors, machine};
use crate::openstack::{Answer, Call, Failure, Outcome, Version};

/// Returns what is shown as the status of a server: one whose machine has no power says so.
fn status(call: &Call<'_>, server: &Server) -> &'static str {
    match server.status() {
        "ACTIVE" if server.task.is_none() && call.world.has_lost_power(server) => "SHUTOFF",
        status => status,
    }
}

fn addresses_of(call: &Call<'_>, server: &Server) -> Map<String, Value> {
    let estate = &call.world.openstack;
    let mut all = Map::new();
    for id in neutron::ports_in_use(estate, &server.id) {
        let Some(port) = estate.get(Kind::Port, &id) else {
            continue;
        };
        let network = estate.get(Kind::Network, text(port, "network_id"));
        let name = network
            .map_or("", |network| text(network, "name"))
            .to_owned();
        let mac = text(port, "mac_address");
        let one = |address: &str, kind: &str| {
            let version = if address.contains(':') { 6 } else { 4 };
            json!({ "addr": address, "version": version, "OS-EXT-IPS:type": kind, "OS-EXT-IPS-MAC:mac_addr": mac })
        };
        let fixed = items(port, "fixed_ips").iter();
        let fixed = fixed.filter_map(|fixed| Some(one(fixed["ip_address"].as_str()?, "fixed")));
        let floating = estate.floating_of(&id).into_iter();
        let floating = floating.map(|(outside, _)| one(&outside.to_string(), "floating"));
        let shown: Vec<Value> = fixed.chain(floating).collect();
        let entry = all.entry(name).or_insert_with(|| json!([]));
        if let Value::Array(known) = entry {
            known.extend(shown);
        }
    }
    all
}

/// Returns the names of the groups of a server's ports.
fn group_names(call: &Call<'_>, server: &Server) -> Vec<String> {
    let estate = &call.world.openstack;
    let mut names = Vec::new();
    for id in neutron::ports_in_use(estate, &server.id) {
        let groups = estate
            .get(Kind::Port, &id)
            .map(|port| items(port, "security_groups"));
        for group in groups.unwrap_or_default() {
            let group = estate.get(Kind::SecurityGroup, group.as_str().unwrap_or_default());
            let name = group.map_or("", |group| text(group, "name")).to_owned();
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

fn flavor(call: &Call<'_>, server: &Server) -> Value {
    let flavor = &server.flavor;
    if call.version < Version(2, 47) {
        let id = flavors::id_of(&call.world.openstack.ground, &flavor.name);
        let links = flavors::links(call.base, &format!("flavors/{id}"));
        return json!({ "id": id, "links": [links[1]] });
    }
    json!({
        "original_name": flavor.name, "vcpus": flavor.vcpus, "ram": flavor.ram, "disk": flavor.disk, "ephemeral": 0, "swap": 0,
        "extra_specs": {},
    })
}

fn volumes(call: &Call<'_>, server: &Server) -> Value {
    let disk = |disk: &crate::openstack::nova::server::Disk| match call.version >= Version(2, 3) {
        true => json!({ "id": disk.volume, "delete_on_termination": disk.goes }),
        false => json!({ "id": disk.volume }),
    };
    // Also those that are on their way in or out.
    server.disks.iter().map(disk).collect()
}

/// Returns a server as it is shown.
pub(super) fn whole(call: &Call<'_>, server: &Server) -> Shown {
    let status = status(call, server);
    let is_off = status == "SHUTOFF";
    let node = server.node.as_deref();
    let zone = node.map(|node| call.world.zone_of(node));
    let host = node.map(|node| crate::hash::sha256(format!("{}{node}", server.project).as_bytes()));
    let power = match server.state {
        State::Building | State::Error => 0,
        State::Paused => 3,
        State::Stopped | State::Suspended => 4,
        _ if is_off => 4,
        _ => 1,
    };
    let state = if is_off && server.state == State::Active {
        "stopped"
    } else {
        server.state.word()
    };
    let image = server.image.as_ref().map(|id| {
        json!({ "id": id, "links": [{ "rel": "bookmark", "href": format!("{}/compute/images/{id}", call.base) }] })
    });
    let groups: Vec<Value> = group_names(call, server)
        .iter()
        .map(|name| json!({ "name": name }))
        .collect();
    let mut whole = shown(json!({
        "id": server.id, "name": server.name, "status": status, "tenant_id": server.project, "user_id": server.user,
        "metadata": server.metadata, "hostId": host.map(|host| hex::encode(host.get(..28).unwrap_or_default())).unwrap_or_default(),
        "image": image.unwrap_or_else(|| json!("")), "flavor": flavor(call, server), "created": moment(server.created),
        "updated": moment(server.updated), "addresses": addresses_of(call, server), "accessIPv4": "", "accessIPv6": "",
        "links": flavors::links(call.base, &format!("servers/{}", server.id)), "OS-DCF:diskConfig": "MANUAL",
        "OS-EXT-AZ:availability_zone": zone.or_else(|| server.wanted_zone.clone()).unwrap_or_default(),
        "config_drive": if server.config_drive { "True" } else { "" }, "key_name": server.key_name,
        "OS-SRV-USG:launched_at": server.launched.map(fine_moment), "OS-SRV-USG:terminated_at": null,
        "OS-EXT-STS:task_state": server.task, "OS-EXT-STS:vm_state": state, "OS-EXT-STS:power_state": power,
        "os-extended-volumes:volumes_attached": volumes(call, server),
    }));
    if !groups.is_empty() {
        whole.insert("security_groups".into(), groups.into());
    }
    if matches!(
        status,
        "ACTIVE" | "BUILD" | "REBOOT" | "HARD_REBOOT" | "RESIZE" | "VERIFY_RESIZE"
    ) {
        whole.insert("progress".into(), json!(0));
    }
    if let Some(fault) = &server.fault {
        let told =
            json!({ "code": 500, "created": moment(fault.moment), "message": fault.message });
        whole.insert("fault".into(), told);
    }
    add_by_version(call, server, &mut whole);
    whole
}

/// Adds what a version shows more.
fn add_by_version(call: &Call<'_>, server: &Server, whole: &mut Shown) {
    let hostname = machine::hostname(server);
    let by_version = [
        (9, "locked", json!(server.is_locked)),
        (19, "description", json!(server.description)),
        (26, "tags", json!(server.tags)),
        (63, "trusted_image_certificates", Value::Null),
        (73, "locked_reason", Value::Null),
        (90, "OS-EXT-SRV-ATTR:hostname", json!(hostname)),
    ];
    for (since, name, value) in by_version {
        if call.version.1 >= since {
            whole.insert(name.to_owned(), value);
        }
    }
    if call.caller.is_admin {
        for (name, value) in [
            ("OS-EXT-SRV-ATTR:host", json!(server.node)),
            ("OS-EXT-SRV-ATTR:hypervisor_hostname", json!(server.node)),
            (
                "OS-EXT-SRV-ATTR:instance_name",
                json!(server.vmid.map(|vmid| format!("instance-{vmid:08x}"))),
            ),
        ] {
            whole.insert(name.to_owned(), value);
        }
    }
}

/// Returns the servers that a query asks for, the newest first.
fn asked<'c>(call: &'c Call<'_>) -> Result<Vec<&'c Server>, Failure> {
    let is_for_all = call
        .asked("all_tenants")
        .is_some_and(|text| text != "0" && text != "False");
    if is_for_all && !call.caller.is_admin {
        return Err(Failure::forbidden(
            "Policy doesn't allow os_compute_api:servers:detail:get_all_tenants to be performed.",
        ));
    }
    let name = call.asked("name").map(Regex::new).transpose();
    let name = name.map_err(|_| Failure::bad("Invalid input for query parameters name."))?;
    let is = |wanted: Option<&str>, has: &str| {
        wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(has))
    };
    let has_address = |server: &Server, wanted: &str| {
        let all = addresses_of(call, server);
        let mut all = all.values().filter_map(Value::as_array).flatten();
        all.any(|one| {
            one["addr"]
                .as_str()
                .is_some_and(|address| address.contains(wanted))
        })
    };
    let ground = &call.world.openstack.ground;
    let servers = call.world.openstack.servers.values();
    let mut found: Vec<&Server> = servers
        .filter(|server| is_for_all || server.project == call.caller.project)
        .filter(|server| name.as_ref().is_none_or(|name| name.is_match(&server.name)))
        .filter(|server| is(call.asked("status"), status(call, server)))
        .filter(|server| {
            is(
                call.asked("image"),
                server.image.as_deref().unwrap_or_default(),
            )
        })
        .filter(|server| {
            is(
                call.asked("flavor"),
                &flavors::id_of(ground, &server.flavor.name),
            )
        })
        .filter(|server| {
            call.asked("ip")
                .is_none_or(|wanted| has_address(server, wanted))
        })
        .filter(|server| {
            let tags = call
                .asked("tags")
                .filter(|_| call.version >= Version(2, 26));
            tags.is_none_or(|tags| tags.split(',').all(|tag| server.tags.contains(tag)))
        })
        .collect();
    found.sort_by_key(|server| std::cmp::Reverse(server.number));
    Ok(found)
}

/// `GET /v2.1/servers/detail`.
pub(in crate::openstack::nova) fn list_whole(call: &mut Call<'_>) -> Outcome {
    let listing = Listing {
        many: "servers",
        path: "/compute/v2.1/servers/detail".into(),
        items: asked(call)?
            .into_iter()
            .map(|server| whole(call, server))
            .collect(),
    };
    Answer::ok(listing.page(call)?)
}

/// `GET /v2.1/servers`.
pub(in crate::openstack::nova) fn list(call: &mut Call<'_>) -> Outcome {
    let short = |server: &Server| {
        let links = flavors::links(call.base, &format!("servers/{}", server.id));
        shown(json!({ "id": server.id, "name": server.name, "links": links }))
    };
    let listing = Listing {
        many: "servers",
        path: "/compute/v2.1/servers".into(),
        items: asked(call)?.into_iter().map(short).collect(),
    };
    Answer::ok(listing.page(call)?)
}

/// `GET /v2.1/servers/{id}`.
pub(in crate::openstack::nova) fn show(call: &mut Call<'_>) -> Outcome {
    let server = find(call)?;
    Answer::ok(json!({ "server": with_groups(call, server) }))
}

/// What is told of one server that is asked for or changed: the groups that it is in as well.
pub(super) fn with_groups(call: &Call<'_>, server: &Server) -> Map<String, Value> {
    let mut told = whole(call, server);
    if call.version >= Version(2, 71) {
        let groups: Vec<&String> = server.hints.group.iter().collect();
        told.insert("server_groups".into(), json!(groups));
    }
    told
}

/// `GET /v2.1/servers/{id}/ips`.
pub(in crate::openstack::nova) fn addresses(call: &mut Call<'_>) -> Outcome {
    let server = find(call)?;
    Answer::ok(json!({ "addresses": addresses_of(call, server) }))
}

fn told_action(server: &Server, action: &Action) -> Value {
    json!({
        "action": action.action, "instance_uuid": server.id, "request_id": action.request, "user_id": server.user,
        "project_id": server.project, "start_time": fine_moment(action.moment), "updated_at": fine_moment(action.moment),
        "message": action.message,
    })
}

/// `GET /v2.1/servers/{id}/os-instance-actions`.
pub(in crate::openstack::nova) fn actions(call: &mut Call<'_>) -> Outcome {
    let server = find(call)?;
    let newest = server.actions.iter().rev();
    let told: Vec<Value> = newest.map(|action| told_action(server, action)).collect();
    Answer::ok(json!({ "instanceActions": told }))
}

/// `GET /v2.1/servers/{id}/os-instance-actions/{request}`.
pub(in crate::openstack::nova) fn action(call: &mut Call<'_>) -> Outcome {
    let server = find(call)?;
    let request = call.at("request");
    let found = server
        .actions
        .iter()
        .find(|action| action.request == request);
    let found = found.ok_or_else(|| {
        Failure::missing(format!(
            "Action for request_id {request} on instance {} not found",
            server.id
        ))
    })?;
    let mut told = told_action(server, found);
    told["events"] = json!([]);
    Answer::ok(json!({ "instanceAction": told }))
}
