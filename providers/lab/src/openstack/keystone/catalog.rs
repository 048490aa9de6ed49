//! The catalog: where the services are.

use serde_json::{Value, json};

use crate::openstack::estate::Ground;
use crate::openstack::{Answer, Call, Outcome};

/// The services: type, name, and the path at which each is.
const SERVICES: [(&str, &str, &str); 5] = [
    ("identity", "keystone", "identity"),
    ("compute", "nova", "compute/v2.1"),
    ("network", "neutron", "network"),
    ("block-storage", "cinder", "volume/v3/{project}"),
    ("image", "glance", "image"),
];

const INTERFACES: [&str; 3] = ["public", "internal", "admin"];

fn id(text: &str) -> String {
    crate::hash::sha1(text).chars().take(32).collect()
}

fn endpoints_of(ground: &Ground, base: &str, project: &str, kind: &str, path: &str) -> Vec<Value> {
    let region = &ground.site.region;
    let url = format!("{base}/{}", path.replace("{project}", project));
    let one = |interface: &&str| {
        json!({
            "id": id(&format!("{kind} {interface}")), "interface": interface, "region": region, "region_id": region, "url": url,
        })
    };
    INTERFACES.iter().map(one).collect()
}

/// Returns the catalog of a token.
pub(super) fn of(ground: &Ground, base: &str, project: &str) -> Value {
    let service = |(kind, name, path): &(&str, &str, &str)| {
        json!({
            "id": id(kind), "type": kind, "name": name, "endpoints": endpoints_of(ground, base, project, kind, path),
        })
    };
    SERVICES.iter().map(service).collect()
}

/// `GET /v3/auth/catalog`.
pub(super) fn show(call: &mut Call<'_>) -> Outcome {
    let catalog = of(
        &call.world.openstack.ground,
        call.base,
        &call.caller.project,
    );
    Answer::ok(json!({ "catalog": catalog }))
}

/// `GET /v3/regions`.
pub(super) fn regions(call: &mut Call<'_>) -> Outcome {
    let region = &call.world.openstack.ground.site.region;
    Answer::ok(
        json!({ "regions": [{ "id": region, "description": "", "parent_region_id": null }] }),
    )
}

/// `GET /v3/services`.
pub(super) fn services(_: &mut Call<'_>) -> Outcome {
    let service = |(kind, name, _): &(&str, &str, &str)| json!({ "id": id(kind), "type": kind, "name": name, "enabled": true, "description": "" });
    Answer::ok(json!({ "services": SERVICES.iter().map(service).collect::<Vec<_>>() }))
}

/// `GET /v3/endpoints`.
pub(super) fn endpoints(call: &mut Call<'_>) -> Outcome {
    let ground = &call.world.openstack.ground;
    let mut all = Vec::new();
    for (kind, _, path) in SERVICES {
        for mut endpoint in endpoints_of(ground, call.base, &call.caller.project, kind, path) {
            endpoint["service_id"] = json!(id(kind));
            endpoint["enabled"] = json!(true);
            all.push(endpoint);
        }
    }
    Answer::ok(json!({ "endpoints": all }))
}
