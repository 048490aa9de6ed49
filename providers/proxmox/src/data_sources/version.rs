//! `data "proxmox_version"`: the release of Proxmox VE.

use dmp_sdk::{Attribute, Layer, Schema, Type, Value};

use super::{Listing, text};

pub(super) fn version() -> Listing {
    let schema = Schema::new("proxmox_version", "The release of Proxmox VE on the node that was asked; others of its cluster may differ during an upgrade.")
        .layer(Layer::Machine)
        .attribute("version", Attribute::computed(Type::String, "Such as `9.1.9`."))
        .attribute("release", Attribute::computed(Type::String, "Such as `9.1`."));
    Listing {
        schema,
        path: "/version",
        make,
    }
}

fn make(config: &Value, answer: &serde_json::Value) -> Value {
    config
        .with("version", text(answer, "version"))
        .with("release", text(answer, "release"))
}
