//! Whether there is room: memory on nodes, space on storages.

use std::collections::BTreeMap;

use dmp_sdk::{Diagnostic, Intended, Value};
use serde_json::Value as Json;

use super::{Facts, machines};
use crate::resources::vm::wanted;
use crate::values;

/// Memory and space that are wanted, held against what is there.
pub(super) fn judge(facts: &Facts, changes: &[&Intended<'_>]) -> Vec<Diagnostic> {
    let mut memory: BTreeMap<Option<String>, u64> = BTreeMap::new();
    let mut space: BTreeMap<String, u64> = BTreeMap::new();
    for (change, planned) in machines(changes) {
        let node = wanted::text(planned, "node");
        let runs = planned.get("started").as_bool() != Some(false);
        let more = growth(change.prior, planned, mib);
        if runs {
            *memory.entry(node).or_default() += more << 20;
        }
        for (storage, gib) in disks(planned) {
            let before = change.prior.map(disks).unwrap_or_default();
            let before = before.get(&storage).copied().unwrap_or(0);
            *space.entry(storage).or_default() += gib.saturating_sub(before) << 30;
        }
    }
    let mut found = too_much_memory(facts, &memory);
    found.extend(too_little_space(facts, &space));
    found
}

fn mib(value: &Value) -> u64 {
    let mib = value.get("memory_mib").as_i64();
    mib.and_then(|mib| u64::try_from(mib).ok()).unwrap_or(0)
}

fn growth(prior: Option<&Value>, planned: &Value, of: fn(&Value) -> u64) -> u64 {
    of(planned).saturating_sub(prior.map_or(0, of))
}

fn disks(value: &Value) -> BTreeMap<String, u64> {
    let mut sizes = BTreeMap::new();
    for disk in wanted::disks(value) {
        let size = disk.size_gib.and_then(|size| u64::try_from(size).ok());
        if let (Some(storage), Some(size)) = (disk.storage, size) {
            *sizes.entry(storage).or_default() += size;
        }
    }
    sizes
}

fn bytes(item: &Json, key: &str) -> u64 {
    values::number(item, key)
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or(0)
}

fn too_much_memory(facts: &Facts, wanted: &BTreeMap<Option<String>, u64>) -> Vec<Diagnostic> {
    let online: Vec<&Json> = facts
        .of("node")
        .filter(|node| node["status"] == "online")
        .collect();
    let free = |node: &Json| bytes(node, "maxmem").saturating_sub(bytes(node, "mem"));
    let mut found = Vec::new();
    for (node, wants) in wanted
        .iter()
        .filter_map(|(node, wants)| Some((node.as_ref()?, *wants)))
    {
        let Some(item) = online.iter().find(|item| item["node"] == node.as_str()) else {
            continue;
        };
        if wants > bytes(item, "maxmem") {
            found.push(
                Diagnostic::error("no-memory", "not enough memory")
                    .detail(format!(
                        "new machines on `{node}` want {} MiB more, and it has {} MiB altogether",
                        wants >> 20,
                        bytes(item, "maxmem") >> 20
                    ))
                    .help("spread them over other nodes, or give them less"),
            );
        } else if wants > free(item) {
            found.push(crowded(&format!("`{node}`"), wants, free(item)));
        }
    }
    let all: u64 = wanted.values().sum();
    let total: u64 = online.iter().map(|node| bytes(node, "maxmem")).sum();
    let free: u64 = online.iter().map(|node| free(node)).sum();
    if all > total {
        found.push(
            Diagnostic::error("no-memory", "not enough memory")
                .detail(format!(
                    "the machines want {} MiB more, and the online nodes have {} MiB altogether",
                    all >> 20,
                    total >> 20
                ))
                .help("make fewer machines, or give them less"),
        );
    } else if all > free && found.is_empty() {
        found.push(crowded("the cluster", all, free));
    }
    found
}

/// Memory may be given out twice, by ballooning and by sharing equal pages.
fn crowded(place: &str, wants: u64, free: u64) -> Diagnostic {
    Diagnostic::warning("little-memory", "more memory is wanted than is free").detail(format!(
        "{place} has {} MiB free, and the machines want {} MiB more",
        free >> 20,
        wants >> 20
    ))
}

/// Thin volumes may be given out twice as well, but a whole copy is not to be had without room.
fn too_little_space(facts: &Facts, wanted: &BTreeMap<String, u64>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (storage, wants) in wanted {
        let here: Vec<&Json> = facts
            .of("storage")
            .filter(|item| item["storage"] == storage.as_str())
            .collect();
        let free = |item: &&Json| bytes(item, "maxdisk").saturating_sub(bytes(item, "disk"));
        let is_shared = here.iter().any(|item| values::flag(item, "shared"));
        let room: u64 = match is_shared {
            true => here.iter().map(free).max().unwrap_or(0),
            false => here.iter().map(free).sum(),
        };
        let total = here.iter().map(|item| bytes(item, "maxdisk")).sum::<u64>();
        // A storage that does not tell how large it is says nothing of its room.
        if total > 0 && *wants > room {
            found.push(
                Diagnostic::warning("little-space", "more space is wanted than is free").detail(
                    format!(
                        "`{storage}` has {} GiB free, and the machines want up to {} GiB",
                        room >> 30,
                        wants >> 30
                    ),
                ),
            );
        }
    }
    found
}
