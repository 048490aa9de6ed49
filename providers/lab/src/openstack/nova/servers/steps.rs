//! What comes of what is under way with servers.

use crate::openstack::cinder;
use crate::openstack::estate::{Kind, text};
use crate::openstack::neutron;
use crate::openstack::nova::schedule::NO_HOST;
use crate::openstack::nova::server::{Disk, Doing, Fault, NewDisk, Server, State};
use crate::world::{World, now};

/// Ends what is under way with a server.
pub(in crate::openstack) fn finish(world: &mut World, id: &str, doing: Doing) {
    if world.openstack.server(id).is_none() {
        return;
    }
    match doing {
        Doing::Build(disks) => build(world, id, disks),
        Doing::Delete => super::change::gone(world, id),
        Doing::Start | Doing::Resume => run(world, id),
        Doing::Stop => rest(world, id, State::Stopped),
        Doing::Suspend => rest(world, id, State::Suspended),
        Doing::Reboot => {
            world.stop_machine(id);
            run(world, id);
        }
        Doing::Rebuild => rebuild(world, id),
        Doing::Pause => {
            world.hold_machine(id, true);
            settle(world, id, State::Paused);
        }
        Doing::Unpause => {
            world.hold_machine(id, false);
            settle(world, id, State::Active);
        }
        Doing::Resize(place) => resize(world, id, place),
        Doing::Confirm => {
            alter(world, id, |server| server.old_flavor = None);
            come_back(world, id);
        }
        Doing::Revert => revert(world, id),
        Doing::Attach(volume) => attached(world, id, &volume),
        Doing::Detach(volume) => detached(world, id, &volume),
    }
}

fn alter(world: &mut World, id: &str, change: impl FnOnce(&mut Server)) {
    if let Some(server) = world.openstack.server_mut(id) {
        change(server);
        server.updated = now();
    }
}

/// Nothing is under way any more.
fn settle(world: &mut World, id: &str, state: State) {
    alter(world, id, |server| {
        server.state = state;
        server.task = None;
    });
}

fn fail(world: &mut World, id: &str, message: String) {
    alter(world, id, |server| {
        if let Some(action) = server.actions.last_mut() {
            action.message = Some(message.clone());
        }
        server.fault = Some(Fault {
            message,
            moment: now(),
        });
        server.state = State::Error;
        server.task = None;
    });
}

/// Starts the machine of a server.
fn run(world: &mut World, id: &str) {
    match world.start_machine(id) {
        Ok(()) => settle(world, id, State::Active),
        Err(reason) => fail(world, id, reason),
    }
}

/// Stops the machine of a server.
fn rest(world: &mut World, id: &str, state: State) {
    world.stop_machine(id);
    settle(world, id, state);
}

fn build(world: &mut World, id: &str, disks: Vec<NewDisk>) {
    let Some(server) = world.openstack.server(id).cloned() else {
        return;
    };
    let failure = world.fails("nova:build");
    let node = world.node_for(&server, &server.flavor);
    let (Some(node), None) = (node, &failure) else {
        give_up(world, id, &disks);
        fail(world, id, failure.unwrap_or_else(|| NO_HOST.to_owned()));
        return;
    };
    alter(world, id, |server| server.node = Some(node));
    for disk in disks {
        if let Err(reason) = add_disk(world, &server, disk) {
            fail(world, id, reason);
            return;
        }
    }
    if let Err(reason) = world.make_machine(id) {
        fail(world, id, reason);
        return;
    }
    for port in neutron::ports_in_use(&world.openstack, id) {
        world.openstack.set(Kind::Port, &port, "status", "ACTIVE");
    }
    alter(world, id, |server| server.launched = Some(now()));
    settle(world, id, State::Active);
}

/// What a server was to have is free again.
fn give_up(world: &mut World, id: &str, disks: &[NewDisk]) {
    super::change::release_ports(world, id);
    for volume in disks.iter().filter_map(|disk| disk.volume.as_ref()) {
        world
            .openstack
            .set(Kind::Volume, volume, "status", "available");
    }
}

fn add_disk(world: &mut World, server: &Server, disk: NewDisk) -> Result<(), String> {
    let volume = match disk.volume {
        Some(volume) => volume,
        None => {
            let made = cinder::NewVolume {
                project: server.project.clone(),
                user: server.user.clone(),
                size: disk.size,
                image: disk.image,
                snapshot: disk.snapshot,
                kind: disk.kind,
            };
            cinder::make(world, made).map_err(|refused| refused.message)?
        }
    };
    let attachment = world.openstack.new_id();
    let id = &server.id;
    let device = world
        .openstack
        .server(id)
        .map(Server::next_device)
        .unwrap_or_default();
    alter(world, id, |server| {
        server.disks.push(Disk {
            volume: volume.clone(),
            device,
            tag: disk.tag,
            goes: disk.goes,
            attachment,
        });
    });
    take(world, id, &volume);
    Ok(())
}

/// Lets Cinder know that a server has a volume.
fn take(world: &mut World, id: &str, volume: &str) {
    let server = world.openstack.server(id);
    let disk = server.and_then(|server| {
        server
            .disks
            .iter()
            .find(|disk| disk.volume == volume)
            .cloned()
    });
    if let Some(disk) = disk {
        cinder::attach(world, volume, id, &disk.device, &disk.attachment);
    }
}

fn attached(world: &mut World, id: &str, volume: &str) {
    match world.fails("nova:attach") {
        None => take(world, id, volume),
        Some(reason) => {
            alter(world, id, |server| {
                server.disks.retain(|disk| disk.volume != volume);
            });
            cinder::free(world, volume, id, Some(reason));
        }
    }
}

fn detached(world: &mut World, id: &str, volume: &str) {
    alter(world, id, |server| {
        server.disks.retain(|disk| disk.volume != volume);
    });
    cinder::free(world, volume, id, None);
}

/// A server's local disk is of another image, or begins anew; it is running or off as before, and out of what it has failed in.
fn rebuild(world: &mut World, id: &str) {
    if let Some(reason) = world.fails("nova:rebuild") {
        fail(world, id, reason);
        return;
    }
    let was_stopped = world
        .openstack
        .server(id)
        .is_some_and(|server| server.state == State::Stopped);
    match world.renew_machine(id, !was_stopped) {
        Ok(()) => {
            alter(world, id, |server| {
                server.fault = None;
                server.launched = Some(now());
            });
            let state = if was_stopped {
                State::Stopped
            } else {
                State::Active
            };
            settle(world, id, state);
        }
        Err(reason) => fail(world, id, reason),
    }
}

fn resize(world: &mut World, id: &str, place: usize) {
    let server = world.openstack.server(id).cloned();
    let flavor = world.openstack.ground.site.flavors.get(place).cloned();
    let (Some(server), Some(flavor)) = (server, flavor) else {
        return;
    };
    let failure = world.fails("nova:resize");
    let node = world.node_for(&server, &flavor);
    let (Some(node), None) = (node, &failure) else {
        // It stays as it was; only its list of actions says why.
        let message = failure.unwrap_or_else(|| NO_HOST.to_owned());
        alter(world, id, |server| {
            if let Some(action) = server.actions.last_mut() {
                action.message = Some(message);
            }
            server.task = None;
        });
        return;
    };
    let was_running = server.state == State::Active;
    alter(world, id, |server| {
        server.old_flavor = Some(std::mem::replace(&mut server.flavor, flavor));
        server.node = Some(node);
    });
    if move_machine(world, id, was_running) {
        settle(world, id, State::Resized);
    }
}

fn revert(world: &mut World, id: &str) {
    alter(world, id, |server| {
        if let Some(flavor) = server.old_flavor.take() {
            server.flavor = flavor;
        }
    });
    let server = world.openstack.server(id);
    let is_running = server.is_some_and(|server| !world.has_lost_power(server));
    if move_machine(world, id, is_running) {
        come_back(world, id);
    }
}

/// Starts a machine anew with another size; whether it could be.
fn move_machine(world: &mut World, id: &str, runs: bool) -> bool {
    world.stop_machine(id);
    world.size_machine(id);
    let started = if runs {
        world.start_machine(id)
    } else {
        Ok(())
    };
    match started {
        Ok(()) => true,
        Err(reason) => {
            fail(world, id, reason);
            false
        }
    }
}

/// A server that was resized is as it was, running or not.
fn come_back(world: &mut World, id: &str) {
    let server = world.openstack.server(id);
    let is_off = server.is_some_and(|server| world.has_lost_power(server));
    settle(
        world,
        id,
        if is_off {
            State::Stopped
        } else {
            State::Active
        },
    );
}

/// Whether a volume is one that a server may have.
pub(super) fn is_usable(world: &World, volume: &str) -> bool {
    let volume = world.openstack.get(Kind::Volume, volume);
    volume.is_some_and(|volume| {
        let is_shared = volume
            .get("multiattach")
            .and_then(serde_json::Value::as_bool)
            == Some(true);
        text(volume, "status") == "available" || is_shared && text(volume, "status") == "in-use"
    })
}
