//! What clients ask beside the objects: extensions and zones.

use serde_json::{Value, json};

use crate::openstack::{Answer, Call, Failure, Outcome};

/// The extensions that the lab has, by alias and name.
const EXTENSIONS: [(&str, &str); 24] = [
    ("address-scope", "Address scope"),
    ("allowed-address-pairs", "Allowed Address Pairs"),
    ("availability_zone", "Availability Zone"),
    ("binding", "Port Binding"),
    ("dns-integration", "DNS Integration"),
    ("external-net", "Neutron external network"),
    ("extraroute", "Neutron Extra Route"),
    ("extraroute-atomic", "Atomically add/remove extra routes"),
    ("filter-validation", "Filter parameters validation"),
    ("fip-port-details", "Floating IP Port Details Extension"),
    ("net-mtu", "Network MTU"),
    ("net-mtu-writable", "Network MTU (writable)"),
    ("pagination", "Pagination support"),
    ("port-security", "Port Security"),
    ("project-id", "project_id field enabled"),
    ("quota_details", "Quota details management support"),
    ("quotas", "Quota management support"),
    ("router", "Neutron L3 Router"),
    ("security-group", "security-group"),
    ("sorting", "Sorting support"),
    ("standard-attr-description", "standard-attr-description"),
    ("standard-attr-revisions", "Resource revision numbers"),
    (
        "standard-attr-tag",
        "Tag support for resources with standard attribute",
    ),
    ("standard-attr-timestamp", "Resource timestamps"),
];

fn told((alias, name): &(&str, &str)) -> Value {
    json!({ "alias": alias, "name": name, "description": name, "links": [], "updated": "2022-10-05T00:00:00-00:00" })
}

/// `GET /v2.0/extensions`.
pub(super) fn extensions(_: &mut Call<'_>) -> Outcome {
    let all: Vec<Value> = EXTENSIONS.iter().map(told).collect();
    Answer::ok(json!({ "extensions": all }))
}

/// `GET /v2.0/extensions/{alias}`.
pub(super) fn extension(call: &mut Call<'_>) -> Outcome {
    let alias = call.at("alias");
    match EXTENSIONS.iter().find(|(known, _)| *known == alias) {
        Some(found) => Answer::ok(json!({ "extension": told(found) })),
        None => Err(Failure::missing(format!(
            "Extension with alias {alias} does not exist"
        ))),
    }
}

/// `GET /v2.0/availability_zones`.
pub(super) fn zones(_: &mut Call<'_>) -> Outcome {
    let zone =
        |resource: &str| json!({ "name": "nova", "resource": resource, "state": "available" });
    Answer::ok(json!({ "availability_zones": [zone("network"), zone("router")] }))
}
