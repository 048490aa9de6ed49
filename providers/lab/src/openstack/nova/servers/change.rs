//! A server's name and description, and its end.

use serde_json::json;

use super::{alter, find, read, word};
use crate::openstack::cinder;
use crate::openstack::neutron;
use crate::openstack::nova::server::{Doing, State};
use crate::openstack::shape::{Member, Object, Shape, TEXT_OR_NULL, check};
use crate::openstack::steps::Doing as Step;
use crate::openstack::{Answer, Call, Outcome};
use crate::world::World;

/// `nova/api/openstack/compute/schemas/servers.py`.
static UPDATE: Object = Object {
    members: &[Member("server", 1, Shape::Object(&SERVER))],
    needed: &["server"],
    is_open: false,
};

static SERVER: Object = Object {
    members: &[
        Member("name", 1, Shape::Name),
        Member("OS-DCF:diskConfig", 1, Shape::Word(&["AUTO", "MANUAL"])),
        Member("accessIPv4", 1, Shape::Any),
        Member("accessIPv6", 1, Shape::Any),
        Member("description", 19, TEXT_OR_NULL),
        Member("hostname", 90, Shape::Text(2, 63)),
    ],
    needed: &[],
    is_open: false,
};

/// `PUT /v2.1/servers/{id}`.
pub(in crate::openstack::nova) fn update(call: &mut Call<'_>) -> Outcome {
    find(call)?;
    check(&UPDATE, &call.body, call.version)?;
    let sent = call.body["server"].clone();
    alter(call, |server| {
        if let Some(name) = word(&sent, "name") {
            server.name = name;
        }
        if sent.get("description").is_some() {
            server.description = word(&sent, "description");
        }
    });
    let id = call.id();
    call.world.name_machine(&id);
    let server = find(call)?;
    Answer::ok(json!({ "server": read::with_groups(call, server) }))
}

/// How long a server takes to go, in seconds of life.
const GONE: f64 = 5.0;

/// `DELETE /v2.1/servers/{id}`.
pub(in crate::openstack::nova) fn delete(call: &mut Call<'_>) -> Outcome {
    let server = find(call)?;
    server.must_be_unlocked(call.caller.is_admin)?;
    if server.task.as_deref() != Some("deleting") {
        let (id, is_resized) = (server.id.clone(), server.state == State::Resized);
        call.world.drop_steps_of(&id);
        super::note(call, "delete");
        alter(call, |server| {
            server.task = Some("deleting".into());
            // What waited for a word is as it was confirmed.
            if is_resized {
                server.old_flavor = None;
            }
        });
        call.world.begin_step(Step::Server(id, Doing::Delete), GONE);
    }
    Answer::empty(204)
}

/// Frees the ports of a server; those that Nova has made go.
pub(super) fn release_ports(world: &mut World, id: &str) {
    let own = world
        .openstack
        .server(id)
        .map(|server| server.own_ports.clone());
    let own = own.unwrap_or_default();
    for port in neutron::ports_in_use(&world.openstack, id) {
        match own.contains(&port) {
            true => neutron::remove_port(world, &port),
            false => world.openstack.bind(&port, "", "", false),
        }
    }
}

/// A server is gone, with what goes along.
pub(super) fn gone(world: &mut World, id: &str) {
    world.forget_machine(id);
    release_ports(world, id);
    let Some(server) = world.openstack.servers.remove(&id.to_owned()) else {
        return;
    };
    for disk in server.disks {
        cinder::free(world, &disk.volume, id, None);
        if disk.goes {
            cinder::remove(world, &disk.volume);
        }
    }
}
