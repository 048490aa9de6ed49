//! The cluster as a whole: status, resources, numbers, options.

use serde_json::{Map, Value, json};

use super::{Answer, Call, Failure, Handler, Outcome};
use crate::world::guest::{Guest, Power, Seen};
use crate::world::{World, now};

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("GET /cluster/status", status),
    ("GET /cluster/resources", resources),
    ("GET /cluster/nextid", next_id),
    ("GET /cluster/options", options),
    ("PUT /cluster/options", change_options),
];

fn status(call: &mut Call<'_>) -> Outcome {
    let world = &*call.world;
    let mut told = vec![json!({
        "type": "cluster", "id": "cluster", "name": world.cluster.site.cluster, "nodes": world.cluster.nodes.len(),
        "version": world.cluster.nodes.len(), "quorate": i32::from(world.is_quorate()),
    })];
    told.extend(world.cluster.nodes.iter().map(|(name, node)| {
        json!({
            "type": "node", "id": format!("node/{name}"), "name": name, "nodeid": node.id, "ip": node.address, "level": "",
            "online": i32::from(world.is_up(name)), "local": i32::from(name == call.entry),
        })
    }));
    Answer::data(told)
}

fn resources(call: &mut Call<'_>) -> Outcome {
    let wanted = call.parameters.text("type").map(str::to_owned);
    let wants = |kind: &str| wanted.as_deref().is_none_or(|wanted| wanted == kind);
    let mut told = Vec::new();
    if wants("vm") {
        let numbers: Vec<u32> = call.world.guests.iter().map(|(vmid, _)| *vmid).collect();
        let is_all =
            call.caller.is_root() || call.may("/vms", &["VM.Audit"]) && !has_narrower(call);
        let shown = numbers
            .into_iter()
            .filter(|vmid| is_all || call.may(&format!("/vms/{vmid}"), &["VM.Audit"]));
        told.extend(shown.filter_map(|vmid| guest_resource(call.world, vmid)));
    }
    if wants("node") {
        told.extend(
            call.world
                .cluster
                .nodes
                .keys()
                .map(|name| node(call.world, name)),
        );
    }
    if wants("storage") {
        for name in call.world.cluster.nodes.keys() {
            let storages = call.world.cluster.storages.iter().filter(|(storage, it)| {
                it.is_on(name)
                    && call.may(
                        &format!("/storage/{storage}"),
                        &["Datastore.Audit", "Datastore.AllocateSpace"],
                    )
            });
            told.extend(storages.map(|(storage, it)| {
                let is_up = call.world.is_up(name);
                json!({
                    "type": "storage", "id": format!("storage/{name}/{storage}"), "node": name, "storage": storage,
                    "status": if is_up { "available" } else { "unknown" }, "plugintype": it.kind,
                    "content": it.content.iter().cloned().collect::<Vec<_>>().join(","),
                    "shared": i32::from(it.is_shared),
                    "disk": if is_up { call.world.used(name, storage) } else { 0 },
                    "maxdisk": if is_up { it.size } else { 0 },
                })
            }));
        }
    }
    if wants("sdn") {
        for zone in call.world.cluster.sdn.running.zone_names() {
            told.extend(call.world.cluster.nodes.keys().map(|name| {
                json!({ "type": "sdn", "id": format!("sdn/{name}/{zone}"), "node": name, "sdn": zone, "status": "ok" })
            }));
        }
    }
    if wanted.is_none() {
        let pools = call.world.cluster.pools.keys();
        told.extend(
            pools
                .map(|pool| json!({ "type": "pool", "id": format!("/pool/{pool}"), "pool": pool })),
        );
    }
    Answer::data(told)
}

/// Whether rules for single guests or pools may take away what the rule for all gives.
fn has_narrower(call: &Call<'_>) -> bool {
    let rules = &call.world.cluster.access.rules;
    rules
        .iter()
        .any(|rule| rule.path.starts_with("/vms/") || rule.path.starts_with("/pool/"))
}

/// Returns a guest as the cluster knows it: what its node told last.
pub(super) fn guest_resource(world: &World, vmid: u32) -> Option<Value> {
    let guest = world.guests.get(&vmid)?;
    let mut told =
        json!({ "id": format!("qemu/{vmid}"), "type": "qemu", "vmid": vmid, "node": guest.node });
    match world.seen.get(&vmid) {
        Some(seen) => fill(&mut told, guest, seen),
        None => told["status"] = json!("unknown"),
    }
    for key in ["tags", "lock"] {
        if let Some(value) = guest.config.get(key) {
            told[key] = json!(value);
        }
    }
    if let Some(pool) = world.pool_of(vmid) {
        told["pool"] = json!(pool);
    }
    Some(told)
}

fn fill(told: &mut Value, guest: &Guest, seen: &Seen) {
    let is_running = seen.power != Power::Stopped;
    let memory = if is_running { seen.memory / 3 } else { 0 };
    let filled = json!({
        "name": seen.name, "status": if is_running { "running" } else { "stopped" },
        "template": i32::from(guest.is_template()), "maxcpu": seen.cores, "maxmem": seen.memory, "maxdisk": seen.disk,
        "mem": memory, "memhost": memory, "cpu": 0, "disk": 0, "diskread": 0, "diskwrite": 0, "netin": 0, "netout": 0,
        "uptime": if is_running { now().saturating_sub(seen.started) / 1000 } else { 0 },
    });
    if let (Some(told), Value::Object(filled)) = (told.as_object_mut(), filled) {
        told.extend(filled);
    }
}

/// Returns a node as the cluster knows it.
pub(super) fn node(world: &World, name: &str) -> Value {
    let Some(node) = world.cluster.nodes.get(name) else {
        return Value::Null;
    };
    let mut told = Map::new();
    let mut put = |key: &str, value: Value| told.insert(key.to_owned(), value);
    put("type", json!("node"));
    put("id", json!(format!("node/{name}")));
    put("node", json!(name));
    put("ssl_fingerprint", json!(node.fingerprint));
    put("level", json!(""));
    put("maxcpu", json!(node.cores));
    put("maxmem", json!(node.memory));
    put("maxdisk", json!(100u64 << 30));
    if !world.is_up(name) {
        put("status", json!("offline"));
        return Value::Object(told);
    }
    put("status", json!("online"));
    put("cpu", json!(0.01));
    put("mem", json!(memory_in_use(world, name)));
    put("disk", json!(8u64 << 30));
    put("uptime", json!(now().saturating_sub(node.booted) / 1000));
    Value::Object(told)
}

/// Returns how much memory of a node its running guests and the node itself take.
pub(super) fn memory_in_use(world: &World, name: &str) -> u64 {
    let running = world
        .guests
        .values()
        .filter(|guest| guest.node == name && guest.is_running());
    running.map(Guest::memory).sum::<u64>() + (1 << 30)
}

fn next_id(call: &mut Call<'_>) -> Outcome {
    if let Some(vmid) = call.parameters.number::<u32>("vmid") {
        if call.world.guests.contains(&vmid) {
            return Err(Failure::parameter(
                "vmid",
                format!("VM {vmid} already exists"),
            ));
        }
        return Answer::data(vmid.to_string());
    }
    let bounds = call
        .world
        .cluster
        .options
        .get("next-id")
        .cloned()
        .unwrap_or_default();
    let bound = |name: &str, other: u32| {
        let mut parts = bounds.split(',').filter_map(|part| part.split_once('='));
        parts
            .find(|(key, _)| *key == name)
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(other)
    };
    let (lower, upper) = (bound("lower", 100), bound("upper", 1_000_000));
    match (lower..upper).find(|vmid| !call.world.guests.contains(vmid)) {
        Some(vmid) => Answer::data(vmid.to_string()),
        None => Err(format!(
            "unable to get any free VMID in range [{lower},{}]",
            upper - 1
        )
        .into()),
    }
}

fn options(call: &mut Call<'_>) -> Outcome {
    let mut told = json!({ "description": "", "mac_prefix": "BC:24:11", "allowed-tags": [] });
    for (key, value) in &call.world.cluster.options {
        told[key] = json!(value);
    }
    Answer::data(told)
}

fn change_options(call: &mut Call<'_>) -> Outcome {
    call.needs_quorum(|| "cfs-lock 'file-datacenter_cfg' error: no quorum!".into())?;
    let drops = call.parameters.list("delete");
    let set: Vec<_> = call
        .parameters
        .0
        .keys()
        .filter(|key| *key != "delete")
        .cloned()
        .collect();
    for key in set {
        let value = call.parameters.needed(&key).to_owned();
        call.world.cluster.options.insert(key, value);
    }
    call.world
        .cluster
        .options
        .retain(|key, _| !drops.contains(key));
    Answer::done()
}
