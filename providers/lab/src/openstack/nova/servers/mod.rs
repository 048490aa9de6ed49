//! Servers, by what is done with them.

pub(super) mod actions;
pub(super) mod change;
pub(super) mod create;
pub(super) mod interfaces;
pub(super) mod metadata;
pub(super) mod read;
mod rebuild;
mod steps;
pub(super) mod tags;
pub(super) mod volumes;

use serde_json::Value;

pub(in crate::openstack) use steps::finish;

use super::server::{Action, Doing, Server};
use crate::openstack::steps::Doing as Step;
use crate::openstack::{Call, Failure};
use crate::world::draw::Draw;
use crate::world::now;

/// Returns the server that the path names.
fn find<'c>(call: &'c Call<'_>) -> Result<&'c Server, Failure> {
    let id = call.at("id");
    let found = call.world.openstack.server(id);
    found
        .filter(|server| call.sees(&server.project))
        .ok_or_else(|| Failure::missing(format!("Instance {id} could not be found.")))
}

/// Changes the server that the path names.
fn alter(call: &mut Call<'_>, change: impl FnOnce(&mut Server)) {
    let id = call.id();
    if let Some(server) = call.world.openstack.server_mut(&id) {
        change(server);
        server.updated = now();
    }
}

/// Begins something with the server that the path names.
fn begin(call: &mut Call<'_>, action: &str, task: &str, doing: Doing, seconds: f64) {
    let id = call.id();
    note(call, action);
    alter(call, |server| server.task = Some(task.to_owned()));
    call.world.begin_step(Step::Server(id, doing), seconds);
}

/// Notes what was asked of the server that the path names.
fn note(call: &mut Call<'_>, action: &str) {
    let id = call.id();
    let noted = Action {
        request: format!("req-{}", Draw::secret_uuid().unwrap_or_default()),
        action: action.to_owned(),
        moment: now(),
        message: None,
    };
    if let Some(server) = call.world.openstack.server_mut(&id) {
        server.actions.push(noted);
    }
}

/// Returns a text of a JSON object.
fn word(value: &Value, name: &str) -> Option<String> {
    value[name].as_str().map(str::to_owned)
}
