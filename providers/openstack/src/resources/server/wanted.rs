//! What a configuration says of a server, and the call that makes it.

use dmp_cloud::FirstBoot;
use dmp_sdk::{AttributePath, Diagnostic, Mark, Value};
use serde_json::{Map, Value as Json, json};

use super::user_data;
use crate::marked;
use crate::values::{is_given, is_missing, json_of, object, text_at, texts_at};

/// One plug as it is wished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plug {
    pub network: Option<String>,
    pub port: Option<String>,
    pub address: Option<String>,
    pub tag: Option<String>,
}

/// The plugs that are wished; `None`: nothing is said.
pub(super) fn plugs(value: &Value) -> Option<Vec<Plug>> {
    let networks = value.get("network");
    let plug = |item: &Value| Plug {
        network: text_at(item, "network_id"),
        port: text_at(item, "port_id"),
        address: text_at(item, "fixed_ip"),
        tag: text_at(item, "tag"),
    };
    Some(networks.as_items()?.iter().map(plug).collect())
}

pub(super) fn check_plugs(value: &Value) -> Result<(), Diagnostic> {
    let networks = value.get("network");
    for (index, item) in networks.as_items().unwrap_or_default().iter().enumerate() {
        let path = AttributePath::of("network").index(index);
        let wrong = |name: &str, why: &str| {
            Err(Diagnostic::error("wrong-argument", "unusable argument")
                .detail(why)
                .path(path.member(name)))
        };
        let names = ["network_id", "port_id"];
        let both = names.iter().all(|name| is_given(item, name));
        let neither = names.iter().all(|name| is_missing(item, name));
        if both || neither {
            return wrong(
                "network_id",
                "a plug has either a `network_id` or a `port_id`",
            );
        }
        if is_given(item, "port_id") && is_given(item, "fixed_ip") {
            return wrong(
                "fixed_ip",
                "a port that is there has its address: leave `fixed_ip` out",
            );
        }
    }
    Ok(())
}

/// What it is told at its first boot.
pub(super) fn told(value: &Value, chosen: &Value) -> Option<FirstBoot> {
    let given = value.get("cloud_init");
    if given.is_null() || !given.is_known() {
        return None;
    }
    let wants_key = given.get("host_key").as_bool() != Some(false);
    let key = text_at(chosen, "private_key").zip(text_at(chosen, "public_key"));
    Some(FirstBoot {
        name: text_at(value, "name").unwrap_or_default(),
        user: user(value).unwrap_or_default(),
        keys: texts_at(&given, "ssh_keys"),
        host_key: key.filter(|_| wants_key),
        upgrade: given.get("upgrade").as_bool() == Some(true),
    })
}

/// The user who logs in; `None` without `cloud_init`.
pub(super) fn user(value: &Value) -> Option<String> {
    let given = value.get("cloud_init");
    if given.is_null() || !given.is_known() {
        return None;
    }
    Some(text_at(&given, "user").unwrap_or_else(|| "debian".into()))
}

/// Whether it gets a host key of dmp's making.
pub(super) fn makes_host_key(value: &Value) -> bool {
    let given = value.get("cloud_init");
    !given.is_null() && given.get("host_key").as_bool() != Some(false)
}

/// The metadata with the mark.
pub(super) fn metadata(value: &Value, mark: &Mark) -> Json {
    let mut metadata = match json_of(&value.get("metadata")) {
        Json::Object(members) => members,
        _ => Map::new(),
    };
    metadata.insert(marked::KEY.into(), json!(mark.to_string()));
    Json::Object(metadata)
}

fn networks(value: &Value) -> Json {
    let Some(plugs) = plugs(value) else {
        return json!("auto");
    };
    if plugs.is_empty() {
        return json!("none");
    }
    let plug = |plug: &Plug| {
        let mut one = Map::new();
        let pairs = [
            ("uuid", &plug.network),
            ("port", &plug.port),
            ("fixed_ip", &plug.address),
            ("tag", &plug.tag),
        ];
        for (name, value) in pairs {
            if let Some(value) = value {
                one.insert(name.to_owned(), json!(value));
            }
        }
        Json::Object(one)
    };
    Json::Array(plugs.iter().map(plug).collect())
}

fn devices(value: &Value) -> Vec<Json> {
    let given = value.get("block_device");
    let mut devices = Vec::new();
    for item in given.as_items().unwrap_or_default() {
        let mut one = Map::new();
        let texts = [
            ("source", "source_type"),
            ("id", "uuid"),
            ("volume_type", "volume_type"),
            ("disk_bus", "disk_bus"),
            ("device_type", "device_type"),
            ("guest_format", "guest_format"),
            ("tag", "tag"),
        ];
        for (name, member) in texts {
            if let Some(text) = text_at(item, name) {
                one.insert(member.into(), json!(text));
            }
        }
        let destination = text_at(item, "destination").unwrap_or_else(|| "volume".into());
        one.insert("destination_type".into(), json!(destination));
        let boot_index = item.get("boot_index").as_i64();
        one.insert(
            "boot_index".into(),
            boot_index.map_or(json!(-1), |index| json!(index)),
        );
        if let Some(size) = item.get("size_gib").as_i64() {
            one.insert("volume_size".into(), json!(size));
        }
        let goes = item.get("delete_on_termination").as_bool() == Some(true);
        one.insert(
            "delete_on_termination".into(),
            json!(goes || destination == "local"),
        );
        devices.push(Json::Object(one));
    }
    // A local disk of an image has to be named too where there are others.
    if let (Some(image), false) = (text_at(value, "image_id"), devices.is_empty()) {
        devices.insert(
            0,
            json!({
                "source_type": "image", "uuid": image, "destination_type": "local", "boot_index": 0,
                "delete_on_termination": true,
            }),
        );
    }
    devices
}

/// The body of the creating call. `flavor` is the flavor's id.
pub(super) fn body(value: &Value, chosen: &Value, mark: &Mark, flavor: &str) -> Json {
    let mut server = object([
        ("name", json!(text_at(value, "name"))),
        ("flavorRef", json!(flavor)),
        ("networks", networks(value)),
        ("metadata", metadata(value, mark)),
    ]);
    let texts = [
        ("description", "description"),
        ("availability_zone", "availability_zone"),
        ("key_name", "key_name"),
        ("image_id", "imageRef"),
    ];
    for (name, member) in texts {
        if let Some(text) = text_at(value, name) {
            server.insert(member.into(), json!(text));
        }
    }
    if let Some(drive) = value.get("config_drive").as_bool() {
        server.insert("config_drive".into(), json!(drive));
    }
    let tags = texts_at(value, "tags");
    if !tags.is_empty() {
        server.insert("tags".into(), json!(tags));
    }
    let groups = value.get("security_group_ids");
    if groups.as_items().is_some() {
        let groups: Vec<Json> = texts_at(value, "security_group_ids")
            .iter()
            .map(|id| json!({ "name": id }))
            .collect();
        // Nova takes an empty list for the default group; then the groups are taken off afterwards.
        if !groups.is_empty() {
            server.insert("security_groups".into(), Json::Array(groups));
        }
    }
    let devices = devices(value);
    if !devices.is_empty() {
        server.insert("block_device_mapping_v2".into(), Json::Array(devices));
    }
    let written = text_at(value, "user_data");
    let told = told(value, chosen);
    if let Some(encoded) = user_data::encoded(told.as_ref(), written.as_deref()) {
        server.insert("user_data".into(), json!(encoded));
    }
    let mut body = object([("server", Json::Object(server))]);
    let hints = json_of(&value.get("scheduler_hints"));
    if hints.as_object().is_some_and(|hints| !hints.is_empty()) {
        body.insert("os:scheduler_hints".into(), hints);
    }
    Json::Object(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        Mark {
            lineage: "l".into(),
            instance: "i".into(),
        }
    }

    fn made(pairs: &[(&'static str, Value)]) -> Json {
        let members = pairs
            .iter()
            .map(|(name, value)| ((*name).into(), value.clone()));
        let value = Value::object(members.collect()).with("name", "web".into());
        body(&value, &Value::null(), &mark(), "f")["server"].clone()
    }

    #[test]
    fn the_call_carries_the_mark() {
        let server = made(&[]);
        assert_eq!(server["metadata"]["dmp_mark"], "dmp.v1.l.i");
        assert_eq!(server["networks"], "auto");
        assert!(server.get("user_data").is_none());
    }

    #[test]
    fn plugs_are_ports_or_networks() {
        let plug = |name: &str, value: &str| Value::object_of([(name, value.into())]);
        let network = Value::list(vec![plug("port_id", "p"), plug("network_id", "n")]);
        let server = made(&[("network", network)]);
        assert_eq!(
            server["networks"],
            json!([{ "port": "p" }, { "uuid": "n" }])
        );
        assert_eq!(
            made(&[("network", Value::list(vec![]))])["networks"],
            "none"
        );
        let neither = Value::object_of([("network", Value::list(vec![plug("tag", "t")]))]);
        assert!(check_plugs(&neither).is_err());
    }

    #[test]
    fn disks_are_volumes_unless_it_is_said() {
        let device = Value::object_of([
            ("source", "image".into()),
            ("id", "x".into()),
            ("boot_index", 0.into()),
            ("size_gib", 10.into()),
        ]);
        let server = made(&[("block_device", Value::list(vec![device]))]);
        assert_eq!(
            server["block_device_mapping_v2"],
            json!([{ "source_type": "image", "uuid": "x", "destination_type": "volume", "boot_index": 0,
                "volume_size": 10, "delete_on_termination": false }])
        );
        let blank = Value::object_of([("source", "blank".into()), ("size_gib", 1.into())]);
        let server = made(&[
            ("image_id", "i".into()),
            ("block_device", Value::list(vec![blank])),
        ]);
        assert_eq!(server["block_device_mapping_v2"][0]["uuid"], "i");
        assert_eq!(server["block_device_mapping_v2"][1]["boot_index"], -1);
    }
}
