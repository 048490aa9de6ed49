//! `data "proxmox_capacity"`: what a cluster has altogether, and what of it is free.

use std::collections::BTreeMap;

use dmp_sdk::{Attribute, Layer, Schema, Type, Value};

use super::{Listing, gib, mib};
use crate::client::items;
use crate::values;

type Json = serde_json::Value;

pub(super) fn capacity() -> Listing {
    let schema = Schema::new("proxmox_capacity", "What the online nodes of a cluster of Proxmox VE have, and what of it is free.")
        .layer(Layer::Machine)
        .attribute("cores", Attribute::computed(Type::Number, "Processors of all online nodes."))
        .attribute("memory_mib", Attribute::computed(Type::Number, "Memory of all online nodes, in MiB."))
        .attribute("free_memory_mib", Attribute::computed(Type::Number, "What of it is free."))
        .attribute("largest_free_memory_mib", Attribute::computed(Type::Number, "The most that is free on one node: no larger machine fits."))
        .attribute("free_gib", Attribute::computed(Type::map(Type::Number), "Free space of each storage in GiB: of a shared one once, of one that each node has by itself the most that is free on one node."));
    Listing {
        schema,
        path: "/cluster/resources",
        make,
    }
}

fn make(config: &Value, answer: &Json) -> Value {
    let online: Vec<&Json> = items(answer)
        .iter()
        .filter(|item| item["type"] == "node" && item["status"] == "online")
        .collect();
    let free = |node: &&Json| mib(node, "maxmem") - mib(node, "mem");
    let cores: i64 = online
        .iter()
        .filter_map(|node| values::number(node, "maxcpu"))
        .sum();
    let memory: i64 = online.iter().map(|node| mib(node, "maxmem")).sum();
    let mut space: BTreeMap<String, i64> = BTreeMap::new();
    let storages = items(answer)
        .iter()
        .filter(|item| item["type"] == "storage" && item["status"] == "available");
    for storage in storages {
        let free = gib(storage, "maxdisk") - gib(storage, "disk");
        if let Some(name) = values::text(storage, "storage") {
            let most = space.entry(name).or_insert(free);
            *most = free.max(*most);
        }
    }
    let space = space
        .into_iter()
        .map(|(name, free)| (name.into(), free.into()));
    config
        .with("cores", cores.into())
        .with("memory_mib", memory.into())
        .with(
            "free_memory_mib",
            online.iter().map(free).sum::<i64>().into(),
        )
        .with(
            "largest_free_memory_mib",
            online.iter().map(free).max().unwrap_or(0).into(),
        )
        .with("free_gib", Value::map(space.collect()))
}
