//! `data "proxmox_storages"`: the storages of a cluster, node by node.

use std::collections::BTreeSet;

use dmp_sdk::{Attribute, Layer, Schema, Type, Value};

use super::{Listing, gib, is_wanted, text};
use crate::client::items;
use crate::values;

pub(super) fn storages() -> Listing {
    let storage = Type::object_of_optional([
        ("name", Type::String),
        ("node", Type::String),
        ("shared", Type::Bool),
        ("content", Type::list(Type::String)),
        ("size_gib", Type::Number),
        ("free_gib", Type::Number),
    ]);
    let schema = Schema::new("proxmox_storages", "The storages of a cluster of Proxmox VE that can be used now, once for each node that has them.")
        .layer(Layer::Machine)
        .attribute("content", Attribute::optional(Type::String, "Only those that take this: `images`, `iso`, `import`, `backup` …"))
        .attribute("node", Attribute::optional(Type::String, "Only those of this node."))
        .attribute("storages", Attribute::computed(Type::list(storage), "Each storage on each node."))
        .attribute("names", Attribute::computed(Type::list(Type::String), "Their names, each once."));
    Listing {
        schema,
        path: "/cluster/resources",
        make,
    }
}

fn make(config: &Value, answer: &serde_json::Value) -> Value {
    let wanted = config.get("content");
    let contents = |item: &serde_json::Value| -> Vec<String> {
        let text = item["content"].as_str().unwrap_or_default();
        text.split(',')
            .map(|kind| kind.trim().to_owned())
            .filter(|kind| !kind.is_empty())
            .collect()
    };
    let takes = |item: &serde_json::Value| {
        wanted
            .as_str()
            .is_none_or(|kind| contents(item).iter().any(|has| has == kind))
    };
    let mut found: Vec<_> = items(answer)
        .iter()
        .filter(|item| item["type"] == "storage" && item["status"] == "available")
        .filter(|item| takes(item) && is_wanted(config, "node", item["node"].as_str()))
        .collect();
    found.sort_by_key(|item| (item["storage"].as_str(), item["node"].as_str()));
    let names: BTreeSet<String> = found
        .iter()
        .filter_map(|item| values::text(item, "storage"))
        .collect();
    let all = found.into_iter().map(|item| {
        Value::object_of([
            ("name", text(item, "storage")),
            ("node", text(item, "node")),
            ("shared", values::flag(item, "shared").into()),
            (
                "content",
                Value::list(contents(item).into_iter().map(Value::from).collect()),
            ),
            ("size_gib", gib(item, "maxdisk").into()),
            (
                "free_gib",
                (gib(item, "maxdisk") - gib(item, "disk")).into(),
            ),
        ])
    });
    config.with("storages", Value::list(all.collect())).with(
        "names",
        Value::list(names.into_iter().map(Value::from).collect()),
    )
}
