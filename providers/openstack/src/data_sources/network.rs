//! `openstack_network`: a network that is there, such as the one that leads out.

use dmp_sdk::{Attribute, Diagnostic, Layer, Schema, Type, Value};
use serde_json::Value as Json;

use super::{Listing, asked, not_one};
use crate::cloud::Question;
use crate::session::Service;
use crate::values::{items, number, text, text_at, texts_at};

const ASKED: &[&str] = &["id", "name", "external", "project_id", "tags"];

pub(super) fn network() -> Listing {
    let subnet = Type::object([
        ("id", Type::String),
        ("name", Type::String),
        ("cidr", Type::String),
        ("ip_version", Type::Number),
        ("gateway_ip", Type::String),
    ]);
    let schema = Schema::new("openstack_network", "A network of Neutron that is there.")
        .layer(Layer::Network)
        .attribute("id", Attribute::optional_computed(Type::String, "Its id."))
        .attribute("name", Attribute::optional_computed(Type::String, "Its name."))
        .attribute("external", Attribute::optional_computed(Type::Bool, "Whether routers and floating IPs lead out through it."))
        .attribute("project_id", Attribute::optional_computed(Type::String, "The project whose it is."))
        .attribute("tags", Attribute::optional(Type::set(Type::String), "Tags, all of which it has."))
        .attribute("mtu", Attribute::computed(Type::Number, "The largest packet in bytes."))
        .attribute("shared", Attribute::computed(Type::Bool, "Whether all projects may use it."))
        .attribute("subnet_ids", Attribute::computed(Type::set(Type::String), "Its subnets."))
        .attribute("subnets", Attribute::computed(Type::list(subnet), "Its subnets as far as they may be seen: `id`, `name`, `cidr`, `ip_version`, `gateway_ip`."));
    Listing {
        schema,
        questions: |_| {
            vec![
                Question::list(Service::Network, "/networks", "networks"),
                Question::list(Service::Network, "/subnets", "subnets"),
            ]
        },
        make,
    }
}

fn make(config: &Value, answers: &[&Json]) -> Result<Value, Diagnostic> {
    let listed = |at: usize| {
        answers
            .get(at)
            .map(|answer| items(answer))
            .unwrap_or_default()
    };
    let is = |item: &Json, name: &str| {
        text_at(config, name).is_none_or(|wanted| text(item, name) == Some(wanted))
    };
    let fits = |item: &&Json| {
        let tags: Vec<&str> = items(&item["tags"])
            .iter()
            .filter_map(Json::as_str)
            .collect();
        let external = item["router:external"].as_bool();
        ["id", "name", "project_id"]
            .iter()
            .all(|name| is(item, name))
            && config
                .get("external")
                .as_bool()
                .is_none_or(|wanted| external == Some(wanted))
            && texts_at(config, "tags")
                .iter()
                .all(|tag| tags.contains(&tag.as_str()))
    };
    let found: Vec<&Json> = listed(0).iter().filter(fits).collect();
    let [network] = found.as_slice() else {
        let names: Vec<String> = found
            .iter()
            .take(8)
            .map(|item| {
                format!(
                    "`{}` ({})",
                    text(item, "name").unwrap_or_default(),
                    text(item, "id").unwrap_or_default()
                )
            })
            .collect();
        return Err(not_one(
            "network",
            &asked(config, ASKED),
            &names,
            "name it by its `id`, or say whose it is: `project_id`",
        ));
    };
    let id = text(network, "id");
    let mut subnets: Vec<&Json> = listed(1)
        .iter()
        .filter(|subnet| text(subnet, "network_id") == id)
        .collect();
    subnets.sort_by_key(|subnet| (number(subnet, "ip_version"), text(subnet, "cidr")));
    let subnet = |subnet: &Json| {
        Value::object_of([
            ("id", text(subnet, "id").into()),
            ("name", text(subnet, "name").into()),
            ("cidr", text(subnet, "cidr").into()),
            ("ip_version", number(subnet, "ip_version").into()),
            ("gateway_ip", text(subnet, "gateway_ip").into()),
        ])
    };
    let ids = items(&network["subnets"]).iter();
    let ids = ids.filter_map(Json::as_str).map(Value::from);
    Ok(config
        .with("id", id.into())
        .with("name", text(network, "name").into())
        .with("external", network["router:external"].as_bool().into())
        .with("project_id", text(network, "project_id").into())
        .with("mtu", number(network, "mtu").into())
        .with("shared", network["shared"].as_bool().into())
        .with("subnet_ids", Value::set(ids.collect()))
        .with(
            "subnets",
            Value::list(subnets.into_iter().map(subnet).collect()),
        ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::read;
    use super::*;

    #[test]
    fn the_way_out_is_found_with_its_subnets() {
        let networks = json!([
            { "id": "a", "name": "public", "router:external": true, "subnets": ["s"] },
            { "id": "b", "name": "private", "router:external": false, "subnets": [] },
        ]);
        let subnets =
            json!([{ "id": "s", "network_id": "a", "cidr": "203.0.113.0/24", "ip_version": 4 }]);
        let external = Value::object_of([("external", true.into())]);
        let found =
            read(&network(), &external, &[networks.clone(), subnets.clone()]).expect("a network");
        assert_eq!(found.get("name"), "public".into());
        assert_eq!(
            found.get("subnets").as_items().expect("a list")[0].get("cidr"),
            "203.0.113.0/24".into()
        );
        let several =
            read(&network(), &Value::object_of([]), &[networks, subnets]).expect_err("two");
        assert!(several.detail.contains("2 have"), "{}", several.detail);
    }
}
