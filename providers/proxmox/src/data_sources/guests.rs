//! `data "proxmox_guests"` and `data "proxmox_templates"`: what there is in a cluster, dmp's own and others'.

use dmp_sdk::{Attribute, Layer, Schema, Type, Value};

use super::{Listing, is_wanted, mib, number, text};
use crate::client::items;
use crate::values;

type Json = serde_json::Value;

fn guest_type() -> Type {
    Type::object_of_optional([
        ("vmid", Type::Number),
        ("name", Type::String),
        ("node", Type::String),
        ("kind", Type::String),
        ("status", Type::String),
        ("pool", Type::String),
        ("tags", Type::list(Type::String)),
        ("cores", Type::Number),
        ("memory_mib", Type::Number),
    ])
}

pub(super) fn guests() -> Listing {
    let schema = Schema::new("proxmox_guests", "The machines and containers of a cluster of Proxmox VE, without templates. States are told up to ten seconds late.")
        .layer(Layer::Machine)
        .attribute("node", Attribute::optional(Type::String, "Only those on this node."))
        .attribute("pool", Attribute::optional(Type::String, "Only those in this pool."))
        .attribute("status", Attribute::optional(Type::String, "Only those in this state: `running`, `stopped`."))
        .attribute("kind", Attribute::optional(Type::String, "`qemu` for machines, `lxc` for containers."))
        .attribute("tag", Attribute::optional(Type::String, "Only those with this tag."))
        .attribute("guests", Attribute::computed(Type::list(guest_type()), "Each guest, by its id."));
    Listing {
        schema,
        path: "/cluster/resources?type=vm",
        make: make_guests,
    }
}

pub(super) fn templates() -> Listing {
    let schema = Schema::new(
        "proxmox_templates",
        "The templates of a cluster of Proxmox VE.",
    )
    .layer(Layer::Machine)
    .attribute(
        "node",
        Attribute::optional(Type::String, "Only those on this node."),
    )
    .attribute(
        "tag",
        Attribute::optional(Type::String, "Only those with this tag."),
    )
    .attribute(
        "templates",
        Attribute::computed(Type::list(guest_type()), "Each template, by its id."),
    )
    .attribute(
        "ids",
        Attribute::computed(
            Type::map(Type::Number),
            "The id of each name; of several with one name the highest.",
        ),
    );
    Listing {
        schema,
        path: "/cluster/resources?type=vm",
        make: make_templates,
    }
}

fn tags(item: &Json) -> Vec<String> {
    values::tags(item["tags"].as_str().unwrap_or_default())
        .into_iter()
        .collect()
}

fn found<'a>(config: &Value, answer: &'a Json, is_template: bool) -> Vec<&'a Json> {
    let tag = config.get("tag");
    let has_tag = |item: &Json| {
        tag.as_str()
            .is_none_or(|tag| tags(item).iter().any(|has| has.eq_ignore_ascii_case(tag)))
    };
    let mut found: Vec<&Json> = items(answer)
        .iter()
        .filter(|item| matches!(item["type"].as_str(), Some("qemu" | "lxc")))
        .filter(|item| values::flag(item, "template") == is_template && has_tag(item))
        .filter(|item| is_wanted(config, "node", item["node"].as_str()))
        .filter(|item| is_wanted(config, "pool", item["pool"].as_str()))
        .filter(|item| is_wanted(config, "status", item["status"].as_str()))
        .filter(|item| is_wanted(config, "kind", item["type"].as_str()))
        .collect();
    found.sort_by_key(|item| values::number(item, "vmid"));
    found
}

fn guest(item: &Json) -> Value {
    Value::object_of([
        ("vmid", number(item, "vmid")),
        ("name", text(item, "name")),
        ("node", text(item, "node")),
        ("kind", text(item, "type")),
        ("status", text(item, "status")),
        ("pool", text(item, "pool")),
        (
            "tags",
            Value::list(tags(item).into_iter().map(Value::from).collect()),
        ),
        ("cores", number(item, "maxcpu")),
        ("memory_mib", mib(item, "maxmem").into()),
    ])
}

fn make_guests(config: &Value, answer: &Json) -> Value {
    let all = found(config, answer, false).into_iter().map(guest);
    config.with("guests", Value::list(all.collect()))
}

fn make_templates(config: &Value, answer: &Json) -> Value {
    let found = found(config, answer, true);
    let ids = found.iter().filter_map(|item| {
        let name = values::text(item, "name")?;
        Some((name.into(), number(item, "vmid")))
    });
    let ids = Value::map(ids.collect());
    let all = found.into_iter().map(guest);
    config
        .with("templates", Value::list(all.collect()))
        .with("ids", ids)
}
