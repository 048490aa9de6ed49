//! `openstack_loadbalancer`: a load balancer of Octavia, at an address of a network.

use dmp_sdk::{Attribute, Change, Diagnostic, Effect, Layer, Schema, Type, Value};
use serde_json::Value as Json;

use super::Part;
use crate::object::{Kind, Place, Task, by, changing, fixed};
use crate::session::Service;
use crate::values::{is_missing, items, text, text_at, wrong};

/// The model.
pub(crate) struct LoadBalancer;

static KIND: Kind = Kind {
    noun: "load balancer",
    service: Service::LoadBalancer,
    collection: "/lbaas/loadbalancers",
    listing: "/lbaas/loadbalancers",
    one: "loadbalancer",
    many: "loadbalancers",
    listed_by: Some(by("openstack_loadbalancers", "loadbalancers", "name")),
    mark: Place::Tags,
    changes: true,
    metadata_apart: false,
    has_tags: false,
    fields: &[
        changing("name").or_empty(),
        changing("description").or_empty(),
        changing("admin_state_up"),
        changing("vip_qos_policy_id"),
        fixed("vip_subnet_id"),
        fixed("vip_network_id"),
        fixed("vip_port_id"),
        fixed("vip_address"),
        fixed("additional_vip").named("additional_vips"),
        fixed("loadbalancer_provider").named("provider"),
        fixed("flavor_id"),
        fixed("availability_zone"),
    ],
};

#[async_trait::async_trait]
impl Part for LoadBalancer {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc);
        let filled = |doc| Attribute::optional_computed(Type::String, doc).replaces();
        let more =
            Type::object_of_optional([("subnet_id", Type::String), ("ip_address", Type::String)]);
        Schema::new("openstack_loadbalancer", "A load balancer of Octavia. What it listens at is an `openstack_listener`, where that leads an `openstack_pool`.")
            .layer(Layer::Network)
            .on_delete("The load balancer and its address are gone, which Octavia refuses while it has listeners or pools.")
            .counterpart("openstack_lb_loadbalancer_v2", &["{id}"])
            .attribute("description", text("A text about it."))
            .attribute("vip_subnet_id", filled("The subnet that its address is of; one of the three says where it is."))
            .attribute("vip_network_id", filled("The network that its address is of."))
            .attribute("vip_port_id", filled("The port that is its address."))
            .attribute("vip_address", filled("Its address; the network gives one where nothing is said."))
            .attribute("additional_vip", Attribute::optional(Type::list(more), "More addresses of the same network: `subnet_id`, and `ip_address` where it is to be this one. Octavia has them since Zed.").block().replaces())
            .attribute("vip_qos_policy_id", text("The policy of its bandwidth."))
            .attribute("loadbalancer_provider", filled("Who makes it: `amphora`, `ovn` or another that the cloud has."))
            .attribute("flavor_id", text("Its flavor, of Octavia's own.").replaces())
            .attribute("availability_zone", text("Its zone, of Octavia's own.").replaces())
    }

    fn refine(&self, known: &Value, found: &Json, value: Value) -> Value {
        let wished = known.get("additional_vip");
        let wishes = wished.as_items().unwrap_or_default();
        let has = items(&found["additional_vips"]);
        let fulfils = |wish: &Value, has: &Json| {
            ["subnet_id", "ip_address"].iter().all(|name| {
                text_at(wish, name).is_none_or(|wish| text(has, name).as_ref() == Some(&wish))
            })
        };
        let is_fulfilled = wishes.len() == has.len()
            && wishes.iter().zip(has).all(|(wish, has)| fulfils(wish, has));
        match is_fulfilled && !wished.is_null() {
            true => value.with("additional_vip", wished),
            false => value,
        }
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let places = ["vip_subnet_id", "vip_network_id", "vip_port_id"];
        if places.iter().all(|name| is_missing(change.config, name)) {
            return Err(wrong(
                "vip_subnet_id",
                "a load balancer is somewhere: name a subnet, a network or a port",
            ));
        }
        Ok(())
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        let address = text_at(prior, "vip_address").unwrap_or_default();
        let what = format!("what is reached at {address}");
        (vec![Effect::Downtime { what }], Vec::new())
    }

    async fn blockers(&self, task: &Task<'_>, id: &str) -> Vec<String> {
        let path = format!("/lbaas/loadbalancers/{id}");
        let found = task.look(Service::LoadBalancer, &path, KIND.one).await;
        let Ok(Some(found)) = found else {
            return Vec::new();
        };
        let parts = [("listener", "listeners"), ("pool", "pools")];
        let parts = parts.iter().flat_map(|(noun, many)| {
            let ids = items(&found[*many]).iter();
            ids.filter_map(move |one| Some(format!("the {noun} `{}`", text(one, "id")?)))
        });
        parts.collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn more_addresses_that_are_as_wished_are_no_change() {
        let wish = Value::object_of([("subnet_id", "s".into())]);
        let known = Value::object_of([("additional_vip", Value::list(vec![wish]))]);
        let refined = |subnet: &str| {
            let found =
                json!({ "additional_vips": [{ "subnet_id": subnet, "ip_address": "192.0.2.9" }] });
            LoadBalancer.refine(
                &known,
                &found,
                Value::object_of([("additional_vip", Value::null())]),
            )
        };
        assert_eq!(
            refined("s").get("additional_vip"),
            known.get("additional_vip")
        );
        assert!(refined("t").get("additional_vip").is_null());
    }
}
