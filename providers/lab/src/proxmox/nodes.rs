//! Nodes: what they are like, their bridges.

use serde_json::{Value, json};

use super::{Answer, Call, Handler, Outcome, cluster};
use crate::world::now;

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("GET /nodes", nodes),
    ("GET /nodes/{node}/status", status),
    ("GET /nodes/{node}/time", time),
    ("GET /nodes/{node}/version", version),
    ("GET /nodes/{node}/network", network),
    ("GET /nodes/{node}/network/{iface}", interface),
];

fn nodes(call: &mut Call<'_>) -> Outcome {
    let names = call.world.cluster.nodes.keys();
    Answer::data(
        names
            .map(|name| cluster::node(call.world, name))
            .collect::<Vec<_>>(),
    )
}

fn status(call: &mut Call<'_>) -> Outcome {
    let name = call.node();
    let Some(node) = call.world.cluster.nodes.get(&name) else {
        return Answer::done();
    };
    let used = cluster::memory_in_use(call.world, &name);
    let (_, version, kernel) = call.world.cluster.site.release.words();
    Answer::data(json!({
        "pveversion": format!("pve-manager/{version}/1ab0000000000000"), "kversion": format!("Linux {kernel} #1 SMP PREEMPT_DYNAMIC"),
        "current-kernel": { "sysname": "Linux", "release": kernel, "version": "#1 SMP PREEMPT_DYNAMIC", "machine": "x86_64" },
        "uptime": now().saturating_sub(node.booted) / 1000, "loadavg": ["0.00", "0.00", "0.00"],
        "cpu": 0.01, "wait": 0, "idle": 0,
        "cpuinfo": { "cpus": node.cores, "cores": node.cores, "sockets": 1, "model": "lab", "mhz": "2400.000", "hvm": "1", "flags": "", "user_hz": 100 },
        "memory": { "total": node.memory, "used": used, "free": node.memory.saturating_sub(used), "available": node.memory.saturating_sub(used) },
        "swap": { "total": 0, "used": 0, "free": 0 },
        "rootfs": { "total": 100u64 << 30, "used": 8u64 << 30, "free": 92u64 << 30, "avail": 92u64 << 30 },
        "ksm": { "shared": 0 },
        "boot-info": { "mode": "efi", "secureboot": 0 },
    }))
}

/// What the node's clock shows; its zone is UTC.
fn time(call: &mut Call<'_>) -> Outcome {
    let shown = call.world.clock_of(&call.node()) / 1000;
    Answer::data(json!({ "timezone": "UTC", "time": shown, "localtime": shown }))
}

fn version(call: &mut Call<'_>) -> Outcome {
    super::access::version(call)
}

fn interfaces(call: &Call<'_>) -> Vec<Value> {
    let Some(node) = call.world.cluster.nodes.get(call.parameters.needed("node")) else {
        return Vec::new();
    };
    let bridges = node.bridges.iter().enumerate().map(|(index, bridge)| {
        let mut told = json!({
            "iface": bridge, "type": "bridge", "active": 1, "autostart": 1, "exists": 1, "method": "manual", "method6": "manual",
            "families": ["inet"], "priority": index + 3, "bridge_ports": "", "bridge_stp": "off", "bridge_fd": "0",
        });
        if index == 0 {
            told["method"] = json!("static");
            told["address"] = json!(node.address);
            told["netmask"] = json!("24");
            told["cidr"] = json!(format!("{}/24", node.address));
        }
        told
    });
    let vnets = call.world.cluster.sdn.running.vnets.keys().map(|vnet| {
        json!({ "iface": vnet, "type": "vnet", "active": 1, "exists": 1, "method": "manual", "method6": "manual", "families": ["inet"] })
    });
    bridges.chain(vnets).collect()
}

fn network(call: &mut Call<'_>) -> Outcome {
    let wanted = call.parameters.text("type").map(str::to_owned);
    let fits = |told: &Value| match wanted.as_deref() {
        None => told["type"] != "vnet",
        Some("any_bridge" | "any_local_bridge") => {
            told["type"] == "bridge"
                || told["type"] == "vnet" && wanted.as_deref() == Some("any_bridge")
        }
        Some("include_sdn") => true,
        Some(kind) => told["type"] == kind,
    };
    Answer::data(
        interfaces(call)
            .into_iter()
            .filter(fits)
            .collect::<Vec<_>>(),
    )
}

fn interface(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.needed("iface");
    let found = interfaces(call)
        .into_iter()
        .find(|told| told["iface"] == name);
    match found {
        Some(mut told) => {
            if let Some(told) = told.as_object_mut() {
                told.remove("iface");
            }
            Answer::data(told)
        }
        None => Err(super::Failure::parameter(
            "iface",
            "interface does not exist",
        )),
    }
}
