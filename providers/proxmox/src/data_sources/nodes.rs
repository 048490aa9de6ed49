//! `data "proxmox_nodes"`: the nodes of a cluster.

use dmp_sdk::{Attribute, Layer, Schema, Type, Value};

use super::{Listing, mib, number, text};
use crate::client::items;

pub(super) fn nodes() -> Listing {
    let node = Type::object_of_optional([
        ("name", Type::String),
        ("online", Type::Bool),
        ("cores", Type::Number),
        ("memory_mib", Type::Number),
        ("free_memory_mib", Type::Number),
    ]);
    let schema = Schema::new("proxmox_nodes", "The nodes of a cluster of Proxmox VE.")
        .layer(Layer::Machine)
        .attribute(
            "nodes",
            Attribute::computed(Type::list(node), "Each node, by its name."),
        )
        .attribute(
            "online",
            Attribute::computed(
                Type::list(Type::String),
                "The names of those that are online.",
            ),
        );
    Listing {
        schema,
        path: "/cluster/resources",
        make,
    }
}

fn make(config: &Value, answer: &serde_json::Value) -> Value {
    let mut nodes: Vec<_> = items(answer)
        .iter()
        .filter(|item| item["type"] == "node")
        .collect();
    nodes.sort_by_key(|node| node["node"].as_str());
    let is_online = |node: &&serde_json::Value| node["status"] == "online";
    let online = nodes
        .iter()
        .copied()
        .filter(is_online)
        .map(|node| text(node, "node"));
    let online = Value::list(online.collect());
    let all = nodes.into_iter().map(|node| {
        Value::object_of([
            ("name", text(node, "node")),
            ("online", is_online(&node).into()),
            ("cores", number(node, "maxcpu")),
            ("memory_mib", mib(node, "maxmem").into()),
            (
                "free_memory_mib",
                (mib(node, "maxmem") - mib(node, "mem")).into(),
            ),
        ])
    });
    config
        .with("nodes", Value::list(all.collect()))
        .with("online", online)
}
