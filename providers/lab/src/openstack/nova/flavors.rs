//! Flavors: those of the site, by numbers in their order.

use serde_json::{Value, json};

use crate::openstack::estate::{Ground, Shown, shown};
use crate::openstack::listing::Listing;
use crate::openstack::{Answer, Call, Failure, FlavorSite, Outcome, Version};

/// Returns a flavor, with its place, by its id.
pub(super) fn find<'g>(ground: &'g Ground, id: &str) -> Option<(usize, &'g FlavorSite)> {
    let place = id.parse::<usize>().ok()?.checked_sub(1)?;
    Some((place, ground.site.flavors.get(place)?))
}

/// Returns the id of the flavor of a name.
pub(super) fn id_of(ground: &Ground, name: &str) -> String {
    let place = ground
        .site
        .flavors
        .iter()
        .position(|flavor| flavor.name == name);
    place.map_or_else(String::new, |place| (place + 1).to_string())
}

/// Returns the ways to an object of Nova.
pub(super) fn links(base: &str, path: &str) -> Value {
    json!([
        { "rel": "self", "href": format!("{base}/compute/v2.1/{path}") },
        { "rel": "bookmark", "href": format!("{base}/compute/{path}") },
    ])
}

fn whole(call: &Call<'_>, place: usize, flavor: &FlavorSite) -> Shown {
    let id = (place + 1).to_string();
    let mut whole = shown(json!({
        "id": id, "name": flavor.name, "vcpus": flavor.vcpus, "ram": flavor.ram, "disk": flavor.disk, "swap": "", "rxtx_factor": 1.0,
        "OS-FLV-EXT-DATA:ephemeral": 0, "OS-FLV-DISABLED:disabled": false, "os-flavor-access:is_public": true,
        "links": links(call.base, &format!("flavors/{id}")),
    }));
    if call.version >= Version(2, 55) {
        whole.insert("description".into(), Value::Null);
    }
    if call.version >= Version(2, 61) {
        whole.insert("extra_specs".into(), json!({}));
    }
    if call.version >= Version(2, 75) {
        whole.insert("swap".into(), json!(0));
    }
    whole
}

fn all(call: &Call<'_>) -> Vec<Shown> {
    let flavors = call.world.openstack.ground.site.flavors.iter().enumerate();
    let number = |name: &str| {
        call.asked(name)
            .and_then(|text| text.parse::<i64>().ok())
            .unwrap_or(0)
    };
    let (disk, ram) = (number("minDisk"), number("minRam"));
    let fit = flavors.filter(|(_, flavor)| flavor.disk >= disk && flavor.ram >= ram);
    fit.map(|(place, flavor)| whole(call, place, flavor))
        .collect()
}

/// `GET /v2.1/flavors/detail`.
pub(super) fn list_whole(call: &mut Call<'_>) -> Outcome {
    let listing = Listing {
        many: "flavors",
        path: "/compute/v2.1/flavors/detail".into(),
        items: all(call),
    };
    Answer::ok(listing.page(call)?)
}

/// `GET /v2.1/flavors`.
pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let mut items = all(call);
    for item in &mut items {
        item.retain(|name, _| matches!(name.as_str(), "id" | "name" | "links" | "description"));
    }
    let listing = Listing {
        many: "flavors",
        path: "/compute/v2.1/flavors".into(),
        items,
    };
    Answer::ok(listing.page(call)?)
}

fn missing(id: &str) -> Failure {
    Failure::missing(format!("Flavor {id} could not be found."))
}

/// `GET /v2.1/flavors/{id}`.
pub(super) fn show(call: &mut Call<'_>) -> Outcome {
    let id = call.id();
    let (place, flavor) = find(&call.world.openstack.ground, &id).ok_or_else(|| missing(&id))?;
    Answer::ok(json!({ "flavor": whole(call, place, flavor) }))
}

/// `GET /v2.1/flavors/{id}/os-extra_specs`.
pub(super) fn extra_specs(call: &mut Call<'_>) -> Outcome {
    let id = call.id();
    find(&call.world.openstack.ground, &id).ok_or_else(|| missing(&id))?;
    Answer::ok(json!({ "extra_specs": {} }))
}
