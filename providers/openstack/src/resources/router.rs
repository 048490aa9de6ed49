//! `openstack_router`: leads packets between networks, and out of them.

use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Schema, Type, Value};
use serde_json::{Map, Value as Json, json};

use super::ports_in_words;
use crate::object::{Kind, Model, Place, State, Task, by, changing, fixed, told};
use crate::session::{Service, Verb};
use crate::values::{items, json_of, text, text_at, value_of};

/// The model.
pub(crate) struct Router;

static KIND: Kind = Kind {
    noun: "router",
    service: Service::Network,
    collection: "/routers",
    listing: "/routers",
    one: "router",
    many: "routers",
    listed_by: Some(by("openstack_routers", "routers", "name")),
    mark: Place::Description,
    changes: true,
    metadata_apart: false,
    has_tags: true,
    fields: &[
        changing("name").or_empty(),
        changing("admin_state_up"),
        fixed("distributed"),
        fixed("ha"),
        fixed("availability_zone_hints"),
        told("status"),
    ],
};

fn address_type() -> Type {
    Type::object_of_optional([("subnet_id", Type::String), ("ip_address", Type::String)])
}

/// The gateway as it is sent; null: none.
fn gateway(wanted: &Value) -> Json {
    let Some(network) = text_at(wanted, "external_network_id") else {
        return Json::Null;
    };
    let mut gateway = json!({ "network_id": network });
    if let Some(snat) = wanted.get("enable_snat").as_bool() {
        gateway["enable_snat"] = json!(snat);
    }
    let addresses = wanted.get("external_fixed_ip");
    if addresses.as_items().is_some_and(|items| !items.is_empty()) {
        gateway["external_fixed_ips"] = json_of(&addresses);
    }
    gateway
}

#[async_trait::async_trait]
impl Model for Router {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc);
        Schema::new("openstack_router", "A router of Neutron. Networks are joined to it by `openstack_router_interface`.")
            .layer(Layer::Network)
            .on_delete("The router is removed, which Neutron refuses while networks are joined to it; nothing gets out through it any more.")
            .counterpart("openstack_networking_router_v2", &["{id}"])
            .attribute("name", text("Its name."))
            .attribute("admin_state_up", Attribute::default(Type::Bool, "Whether it carries packets.", true))
            .attribute("external_network_id", text("The external network that it leads out to."))
            .attribute("enable_snat", Attribute::optional_computed(Type::Bool, "Whether machines without a floating IP get out by its address; to set it is for administrators."))
            .attribute("external_fixed_ip", Attribute::optional_computed(Type::list(address_type()), "Its addresses in the external network: `subnet_id`, `ip_address` or both.").block())
            .attribute("distributed", Attribute::optional_computed(Type::Bool, "Whether it is on every host; for administrators.").replaces())
            .attribute("ha", Attribute::optional_computed(Type::Bool, "Whether another takes over from it; for administrators.").replaces())
            .attribute("availability_zone_hints", Attribute::optional(Type::list(Type::String), "Zones that it shall be in.").replaces())
            .attribute("external_addresses", Attribute::computed(Type::list(Type::String), "Its addresses in the external network."))
            .attribute("status", Attribute::computed(Type::String, "`ACTIVE`, `ALLOCATING` or `ERROR`."))
    }

    fn fill(&self, wanted: &Value, body: &mut Map<String, Json>) {
        let gateway = gateway(wanted);
        if !gateway.is_null() {
            body.insert("external_gateway_info".into(), gateway);
        }
    }

    fn refine(&self, known: &Value, found: &Json, value: Value) -> Value {
        let gateway = &found["external_gateway_info"];
        let fixed = &gateway["external_fixed_ips"];
        let addresses = items(fixed)
            .iter()
            .filter_map(|one| text(one, "ip_address"));
        let addresses = Value::list(addresses.map(Value::from).collect());
        let found_fixed = match gateway.is_null() {
            true => Value::list(Vec::new()),
            false => value_of(fixed, &Type::list(address_type())),
        };
        let wished = known.get("external_fixed_ip");
        let fulfils = |wish: &Value, has: &Json| {
            ["subnet_id", "ip_address"].iter().all(|name| {
                text_at(wish, name).is_none_or(|wish| text(has, name).as_ref() == Some(&wish))
            })
        };
        let wishes = wished.as_items().unwrap_or_default();
        let is_fulfilled = wishes.len() == items(fixed).len()
            && wishes
                .iter()
                .zip(items(fixed))
                .all(|(wish, has)| fulfils(wish, has));
        // Without a way out there is nothing that could be translated.
        let snat = match &gateway["enable_snat"] {
            Json::Bool(snat) => (*snat).into(),
            _ => known.get("enable_snat"),
        };
        value
            .with("external_network_id", text(gateway, "network_id").into())
            .with("enable_snat", snat)
            .with("external_addresses", addresses)
            .with(
                "external_fixed_ip",
                if is_fulfilled && !wished.is_null() {
                    wished
                } else {
                    found_fixed
                },
            )
    }

    fn state(&self, found: &Json) -> State {
        match text(found, "status").as_deref() {
            Some("ALLOCATING") => State::UnderWay("the router is being placed".into()),
            Some("ERROR") => State::Failed("the router is in the state `ERROR`".into()),
            _ => State::Ready,
        }
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let Some(prior) = change.prior else {
            return Ok(());
        };
        if text_at(prior, "status").as_deref() == Some("ALLOCATING") {
            change.unknown("status");
        }
        if text_at(prior, "status").as_deref() == Some("ERROR") {
            change.replace("status", "the router is in the state `ERROR`");
        }
        if change.changes("admin_state_up") {
            change.unknown("status");
        }
        if change.changes("external_network_id") {
            if change.config.get("external_fixed_ip").is_null() {
                change.unknown("external_fixed_ip");
            }
            if change.config.get("enable_snat").is_null() {
                change.unknown("enable_snat");
            }
            change.unknown("external_addresses");
            change.effect(dmp_sdk::Effect::Downtime {
                what: "the way out of its networks".into(),
            });
        } else if change.changes("external_fixed_ip") {
            change.unknown("external_addresses");
        }
        Ok(())
    }

    async fn settle(
        &self,
        task: &Task<'_>,
        id: &str,
        found: &Json,
        wanted: &Value,
    ) -> Result<(), Diagnostic> {
        let has = &found["external_gateway_info"];
        let wants = gateway(wanted);
        let is_same = match (has.is_null(), wants.is_null()) {
            (true, true) => true,
            (false, false) => {
                let now = self.refine(wanted, found, wanted.clone());
                ["external_network_id", "enable_snat", "external_fixed_ip"]
                    .iter()
                    .all(|name| wanted.get(name).is_null() || now.get(name) == wanted.get(name))
            }
            _ => false,
        };
        if is_same {
            return Ok(());
        }
        let title = match wants.is_null() {
            true => "take a router off the external network",
            false => "join a router to the external network",
        };
        let body = json!({ "router": { "external_gateway_info": wants } });
        let set = task
            .change(
                title,
                Service::Network,
                Verb::Put,
                &format!("/routers/{id}"),
                &body,
            )
            .await;
        set.map(drop)
            .map_err(|error| error.diagnostic("cannot set a router's way out"))
    }

    async fn blockers(&self, task: &Task<'_>, id: &str) -> Vec<String> {
        ports_in_words(task, &format!("device_id={id}")).await
    }
}
