//! `openstack_availability_zones`: the zones of servers, volumes and networks.

use dmp_sdk::{Attribute, Layer, Schema, Type, Value};
use serde_json::Value as Json;

use super::Listing;
use crate::cloud::Question;
use crate::session::Service;
use crate::values::{items, text};

pub(super) fn zones() -> Listing {
    let list = |doc| Attribute::computed(Type::list(Type::String), doc);
    let schema = Schema::new(
        "openstack_availability_zones",
        "The availability zones that can be used now.",
    )
    .layer(Layer::Machine)
    .attribute("compute", list("Those of servers."))
    .attribute("volume", list("Those of volumes."))
    .attribute("network", list("Those of networks."))
    .attribute("router", list("Those of routers."));
    Listing {
        schema,
        questions: |_| {
            let one = |service, path: &str| Question::One {
                service,
                path: path.to_owned(),
            };
            vec![
                one(Service::Compute, "/os-availability-zone"),
                one(Service::BlockStorage, "/os-availability-zone"),
                // Not every Neutron has zones.
                one(Service::Network, "/availability_zones"),
            ]
        },
        make: |config, answers| {
            let of = |at: usize, member: &str| {
                answers
                    .get(at)
                    .map(|answer| items(&answer[member]))
                    .unwrap_or_default()
            };
            let available = |zones: &[Json]| {
                let up = zones
                    .iter()
                    .filter(|zone| zone["zoneState"]["available"] == true);
                sorted(up.filter_map(|zone| text(zone, "zoneName")))
            };
            let network = |kind: &str| {
                let zones = of(2, "availability_zones").iter();
                let zones =
                    zones.filter(|zone| zone["resource"] == kind && zone["state"] == "available");
                sorted(zones.filter_map(|zone| text(zone, "name")))
            };
            Ok(config
                .with("compute", available(of(0, "availabilityZoneInfo")))
                .with("volume", available(of(1, "availabilityZoneInfo")))
                .with("network", network("network"))
                .with("router", network("router")))
        },
    }
}

fn sorted(names: impl Iterator<Item = String>) -> Value {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    Value::list(names.into_iter().map(Value::from).collect())
}
