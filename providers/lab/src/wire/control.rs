//! The lab's own calls, below `/lab/`: what goes on, faults, machines. Only who can read `lab.json` has the key.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::AUTHORIZATION;
use hyper::{Request, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{gate, respond};
use crate::faults::{CallFault, MachineClock, NodeClock, TaskFault};
use crate::lab::Shared;
use crate::world::roots::Strength;
use crate::world::{Order, World, now};

type Told = Result<Value, String>;

/// Answers one of the lab's own calls.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    method: &str,
    path: &str,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let sent = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let key = sent.strip_prefix("Bearer ").unwrap_or_default().to_owned();
    if !shared.with(|world| gate::same(&key, &world.cluster.secret)) {
        return respond::value(401, &json!({ "error": "the key in `lab.json` is needed" }));
    }
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return respond::value(400, &json!({ "error": error.to_string() })),
    };
    let value = if body.is_empty() {
        Ok(Value::Null)
    } else {
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    };
    let told = value.and_then(|value| match (method, path) {
        ("GET", "/lab/status") => Ok(shared.status()),
        ("GET", "/lab/faults") => Ok(shared.with(|world| json!(world.cluster.faults))),
        ("POST", "/lab/faults") => add(shared, &value),
        ("DELETE", "/lab/faults") => {
            shared.change(World::clear_faults);
            Ok(Value::Null)
        }
        ("POST", "/lab/machines/kill") => machine(shared, &value, Shared::kill),
        ("POST", "/lab/reset") => shared
            .reset()
            .map(|()| Value::Null)
            .map_err(|error| error.to_string()),
        ("POST", "/lab/stop") => {
            let shared = shared.clone();
            tokio::spawn(async move {
                // Whoever asked is answered first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                shared.stop.notify_waiters();
            });
            Ok(Value::Null)
        }
        _ => Err(format!("there is no `{method} {path}`")),
    });
    match told {
        Ok(value) => respond::value(200, &value),
        Err(error) => respond::value(400, &json!({ "error": error })),
    }
}

fn machine(
    shared: &Shared,
    value: &Value,
    act: fn(&Shared, &str) -> Result<String, String>,
) -> Told {
    let name = value["machine"].as_str().ok_or("`machine` is missing")?;
    act(shared, name).map(Value::String)
}

/// Begins a fault, or ends one that lasts.
fn add(shared: &Shared, value: &Value) -> Told {
    let faults = match value {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    };
    for fault in &faults {
        shared.change(|world| apply(world, fault))?;
    }
    Ok(json!(faults.len()))
}

/// Applies one fault: `{"call": …}`, `{"task": …}`, or a lasting one with its name.
pub(crate) fn apply(world: &mut World, fault: &Value) -> Result<(), String> {
    let Some((name, value)) = fault
        .as_object()
        .filter(|all| all.len() == 1)
        .and_then(|all| all.iter().next())
    else {
        return Err("a fault is an object with one member".into());
    };
    let text = || {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or(format!("`{name}` is a name"))
    };
    match name.as_str() {
        "call" => {
            let fault: CallFault = members(name, value)?;
            world.cluster.faults.calls.push(fault);
        }
        "task" => {
            let fault: TaskFault = members(name, value)?;
            world.cluster.faults.tasks.push(fault);
        }
        "clock" => machine_clock(world, members(name, value)?)?,
        "node-clock" => {
            let NodeClock { node, seconds } = members(name, value)?;
            if !world.cluster.nodes.contains_key(&node) {
                return Err(format!("there is no node `{node}`"));
            }
            let faults = &mut world.cluster.faults;
            match faults.skew(seconds)? {
                0 => faults.node_clocks.remove(&node),
                ahead => faults.node_clocks.insert(node, ahead),
            };
        }
        "node-down" => {
            let node = text()?;
            if !world.cluster.nodes.contains_key(&node) {
                return Err(format!("there is no node `{node}`"));
            }
            world.node_down(&node);
        }
        "node-up" => {
            let node = text()?;
            world.cluster.faults.down.remove(&node);
        }
        "no-quorum" => world.cluster.faults.no_quorum = value.as_bool().unwrap_or(true),
        "full" | "room" => {
            let storage = text()?;
            if !world.cluster.storages.contains_key(&storage) {
                return Err(format!("there is no storage `{storage}`"));
            }
            if name == "full" {
                world.cluster.faults.full.insert(storage);
            } else {
                world.cluster.faults.full.remove(&storage);
            }
        }
        "hang" | "answer" | "cut" | "join" => {
            let vmid = named(world, value)?;
            let faults = &mut world.cluster.faults;
            match name.as_str() {
                "hang" => faults.hanging.insert(vmid),
                "answer" => faults.hanging.remove(&vmid),
                "cut" => faults.cut.insert(vmid),
                _ => faults.cut.remove(&vmid),
            };
        }
        "wipe" => {
            let vmid = named(world, value)?;
            world.orders.push(Order::Wipe(vmid));
        }
        "host-key" => {
            let vmid = named(world, value)?;
            world.orders.push(Order::NewHostKey(vmid));
        }
        "stale" => {
            let seconds = value.as_u64().ok_or("`stale` is a number of seconds")?;
            world.cluster.faults.stale_until = now() + seconds * 1000;
        }
        other => return Err(format!("there is no fault `{other}`")),
    }
    Ok(())
}

/// Returns a fault that has members.
fn members<T: DeserializeOwned>(name: &str, value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|error| format!("{name}: {error}"))
}

/// Has the clock of a machine be off, if it has one of its own.
fn machine_clock(world: &mut World, fault: MachineClock) -> Result<(), String> {
    let MachineClock { machine, seconds } = fault;
    let vmid = named(world, &machine)?;
    let guest = world.guests.get(&vmid);
    let strength = guest.map_or(Strength::Process, |guest| world.strength_of(guest));
    if strength != Strength::Vm {
        return Err(format!(
            "machine {vmid} has no clock of its own: that of a `{}` machine is the host's, since namespaces of the kernel have none; make it of a \
             disk image, which gives a `vm` machine, or shift the clock of a node by `node-clock`",
            strength.name()
        ));
    }
    let faults = &mut world.cluster.faults;
    match faults.skew(seconds)? {
        0 => faults.clocks.remove(&vmid),
        ahead => faults.clocks.insert(vmid, ahead),
    };
    // One that runs is told; all others begin with it.
    world.orders.push(Order::SetClock(vmid));
    Ok(())
}

/// Returns the machine that a fault names, by its name or number.
fn named(world: &World, value: &Value) -> Result<u32, String> {
    let name = match value {
        Value::Number(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    world
        .vmid_of(&name)
        .ok_or(format!("there is no machine `{name}`"))
}
