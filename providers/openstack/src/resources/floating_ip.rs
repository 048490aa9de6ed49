//! `openstack_floating_ip`: an address of an external network. What it leads to is said by `openstack_floating_ip_association`.

use dmp_sdk::{Attribute, Layer, Schema, Type, Value};
use serde_json::{Map, Value as Json, json};

use crate::object::{Kind, Model, Place, by, changing, fixed};
use crate::session::{Refusal, Service};
use crate::values::text_at;

/// The model.
pub(crate) struct FloatingIp;

static KIND: Kind = Kind {
    noun: "floating IP",
    service: Service::Network,
    collection: "/floatingips",
    listing: "/floatingips",
    one: "floatingip",
    many: "floatingips",
    listed_by: Some(by("openstack_floating_ips", "floating_ips", "address")),
    mark: Place::Description,
    changes: true,
    metadata_apart: false,
    has_tags: true,
    fields: &[
        fixed("network_id").named("floating_network_id"),
        fixed("address").named("floating_ip_address"),
        fixed("dns_name"),
        fixed("dns_domain"),
        changing("qos_policy_id"),
    ],
};

#[async_trait::async_trait]
impl Model for FloatingIp {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc);
        Schema::new(
            "openstack_floating_ip",
            "An address of an external network, which leads to a port once it is associated.",
        )
        .layer(Layer::Network)
        .on_delete("The address goes back to the cloud; whoever asks for one next may get it.")
        .counterpart("openstack_networking_floatingip_v2", &["{id}"])
        .attribute(
            "network_id",
            Attribute::required(Type::String, "The external network.").replaces(),
        )
        .attribute(
            "subnet_id",
            text("The subnet of it that the address is of.").replaces(),
        )
        .attribute(
            "address",
            Attribute::optional_computed(
                Type::String,
                "The address; to choose it is for administrators in most clouds.",
            )
            .replaces(),
        )
        .attribute(
            "dns_name",
            text("Its name in DNS, where the cloud has that.").replaces(),
        )
        .attribute("dns_domain", text("The domain of that name.").replaces())
        .attribute("qos_policy_id", text("The policy of its bandwidth."))
    }

    fn fill(&self, wanted: &Value, body: &mut Map<String, Json>) {
        if let Some(subnet) = text_at(wanted, "subnet_id") {
            body.insert("subnet_id".into(), json!(subnet));
        }
    }

    fn explain(&self, refused: &Refusal) -> Option<String> {
        refused
            .says(&["IpAddressGenerationFailure", "No more IP addresses"])
            .then(|| {
                "the external network has no free address: take another one, or release some".into()
            })
    }
}
