//! `openstack_network`: a network of Neutron.

use dmp_sdk::{Attribute, Layer, Schema, Type};

use super::ports_in_words;
use crate::object::{Kind, Model, Place, Task, by, changing, fixed};
use crate::session::Service;

/// The model.
pub(crate) struct Network;

static KIND: Kind = Kind {
    noun: "network",
    service: Service::Network,
    collection: "/networks",
    listing: "/networks",
    one: "network",
    many: "networks",
    listed_by: Some(by("openstack_networks", "networks", "name")),
    mark: Place::Description,
    changes: true,
    metadata_apart: false,
    has_tags: true,
    fields: &[
        changing("name").or_empty(),
        changing("admin_state_up"),
        changing("shared"),
        changing("external").named("router:external"),
        changing("mtu"),
        changing("port_security_enabled"),
        changing("dns_domain").or_empty(),
        changing("qos_policy_id"),
        fixed("availability_zone_hints"),
        fixed("network_type").named("provider:network_type"),
        fixed("physical_network").named("provider:physical_network"),
        fixed("segmentation_id").named("provider:segmentation_id"),
        fixed("vlan_transparent"),
    ],
};

#[async_trait::async_trait]
impl Model for Network {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc);
        Schema::new("openstack_network", "A network of Neutron. Its addresses come with subnets.")
            .layer(Layer::Network)
            .on_delete("The network is removed, which Neutron refuses while ports are on it; its subnets go with it.")
            .counterpart("openstack_networking_network_v2", &["{id}"])
            .attribute("name", text("Its name."))
            .attribute("admin_state_up", Attribute::default(Type::Bool, "Whether it carries packets.", true))
            .attribute("shared", Attribute::default(Type::Bool, "Whether all projects may use it; for administrators.", false))
            .attribute("external", Attribute::default(Type::Bool, "Whether routers and floating IPs lead out through it; for administrators.", false))
            .attribute("mtu", Attribute::optional_computed(Type::Number, "The largest packet in bytes."))
            .attribute("port_security_enabled", Attribute::optional_computed(Type::Bool, "Whether new ports get security groups and no foreign addresses."))
            .attribute("dns_domain", text("The domain of names of its ports, with a full stop at its end, where the cloud has DNS."))
            .attribute("qos_policy_id", text("The policy of its ports' bandwidth."))
            .attribute("availability_zone_hints", Attribute::optional(Type::list(Type::String), "Zones that it shall be in.").replaces())
            .attribute("network_type", Attribute::optional_computed(Type::String, "`vxlan`, `vlan`, `flat` or another; for administrators.").replaces())
            .attribute("physical_network", Attribute::optional_computed(Type::String, "The physical network below; for administrators.").replaces())
            .attribute("segmentation_id", Attribute::optional_computed(Type::Number, "Its VLAN or tunnel; for administrators.").replaces())
            .attribute("vlan_transparent", Attribute::optional_computed(Type::Bool, "Whether machines may tag VLANs themselves, where the cloud knows that.").replaces())
    }

    async fn blockers(&self, task: &Task<'_>, id: &str) -> Vec<String> {
        ports_in_words(task, &format!("network_id={id}")).await
    }
}
