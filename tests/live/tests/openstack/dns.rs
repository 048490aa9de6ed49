//! Zones and record sets at a real Designate, with BIND behind it.

use dmp_live::Cloud;
use dmp_sdk::Value;
use serde_json::json;

use crate::contract::{Tried, keeps_the_contract};
use crate::program::{Stack, there};
use crate::world::{Collection, World};

const ZONES: Collection = Collection {
    service: "dns",
    path: "/zones",
    listing: "/zones?limit=1000",
    many: "zones",
};

const RECORDSETS: Collection = Collection {
    service: "dns",
    path: "/zones/{zone_id}/recordsets",
    listing: "/recordsets?limit=1000",
    many: "recordsets",
};

/// Waits until name servers have taken over what a stranger has done.
fn settled(cloud: &Cloud, path: &str) {
    cloud.until("the name servers have it", || {
        cloud.get("dns", path)["status"] == "ACTIVE"
    });
}

/// A zone of strangers, which no mark is on.
fn zone(cloud: &Cloud) -> String {
    let listed = cloud.get("dns", "/zones?name=strangers.example.");
    let found = listed["zones"].as_array().and_then(|all| all.first());
    let zone = found.cloned().unwrap_or_else(|| {
        let body = json!({ "name": "strangers.example.", "email": "strangers@example.org" });
        cloud.write("POST", "dns", "/zones", &body)
    });
    let id = zone["id"].as_str().expect("an id").to_owned();
    settled(cloud, &format!("/zones/{id}"));
    id
}

async fn openstack_zone_keeps_the_contract(world: World) {
    let config = Value::object_of([
        ("name", "tried.example.".into()),
        ("email", "hostmaster@example.org".into()),
        ("description", "of the institute".into()),
        ("ttl", 600.into()),
    ]);
    let changed = config
        .with("email", "postmaster@example.org".into())
        .with("description", Value::null())
        .with("ttl", 1200.into());
    let tried = Tried::of("openstack_zone_keeps_the_contract", config)
        .changing(changed)
        .within(ZONES, |cloud, path, _| {
            cloud.write("PATCH", "dns", path, &json!({ "ttl": 30 }));
            settled(cloud, path);
        });
    ZONES.clear(&world.cloud);
    keeps_the_contract(world.clone(), tried).await;
    ZONES.clear(&world.cloud);
}

async fn openstack_recordset_keeps_the_contract(world: World) {
    let records = |all: &[&str]| Value::set(all.iter().map(|one| Value::from(*one)).collect());
    let config = Value::object_of([
        ("zone_id", zone(&world.cloud).into()),
        ("name", "www.strangers.example.".into()),
        ("type", "A".into()),
        ("records", records(&["192.0.2.7", "192.0.2.8"])),
        ("ttl", 300.into()),
        ("description", "the web".into()),
    ]);
    let changed = config
        .with("records", records(&["192.0.2.9"]))
        .with("ttl", Value::null())
        .with("description", Value::null());
    let tried = Tried::of("openstack_recordset_keeps_the_contract", config)
        .changing(changed)
        .within(RECORDSETS, |cloud, path, _| {
            cloud.write("PUT", "dns", path, &json!({ "records": ["203.0.113.1"] }));
            settled(cloud, path);
        });
    RECORDSETS.clear(&world.cloud);
    keeps_the_contract(world.clone(), tried).await;
    RECORDSETS.clear(&world.cloud);
}

trials! {
    openstack_zone_keeps_the_contract
    openstack_recordset_keeps_the_contract
}

const NAMES: &str = r#"
resource "openstack_zone" "institute" {
  name  = "institute.example."
  email = "hostmaster@institute.example"
}

resource "openstack_recordset" "host" {
  count   = 12
  zone_id = openstack_zone.institute.id
  name    = "host-${count.index}.${openstack_zone.institute.name}"
  type    = "A"
  records = ["192.0.2.${count.index}"]
}

resource "openstack_recordset" "text" {
  zone_id = openstack_zone.institute.id
  name    = openstack_zone.institute.name
  type    = "TXT"
  records = ["\"two words\"", "one"]
}
"#;

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_zone_with_its_names_is_made_changed_seen_and_removed() {
    let cloud = there().cloud;
    for collection in [RECORDSETS, ZONES] {
        collection.clear(&cloud);
    }
    let stack = Stack::of(NAMES);
    stack.ends(&["apply", "--yes"], 0);
    stack.ends(&["plan", "--detailed-exitcode"], 0);
    assert_eq!(RECORDSETS.marked(&cloud).len(), 13);
    let listed = cloud.openstack(&["recordset", "list", "institute.example.", "--type", "A"]);
    assert!(listed.contains("host-11.institute.example."), "{listed}");

    // Drift, by the stock command line.
    cloud.openstack(&[
        "recordset",
        "set",
        "institute.example.",
        "host-3.institute.example.",
        "--record",
        "198.51.100.3",
    ]);
    let said = stack.ends(&["plan", "--detailed-exitcode"], 2);
    assert!(said.contains("openstack_recordset.host[3]"), "{said}");
    stack.edit("\"one\"", "\"two\"");
    stack.ends(&["apply", "--yes"], 0);
    stack.ends(&["plan", "--detailed-exitcode"], 0);

    // What a stranger has made is found, and adopted with the zone that it is in.
    let zone = ZONES.only(&cloud)["id"].as_str().expect("an id").to_owned();
    let body = json!({ "name": "old.institute.example.", "type": "A", "records": ["192.0.2.77"] });
    let made = cloud.write("POST", "dns", &format!("/zones/{zone}/recordsets"), &body);
    settled(
        &cloud,
        &format!(
            "/zones/{zone}/recordsets/{}",
            made["id"].as_str().expect("an id")
        ),
    );
    let condition = "each.value.name == \"old.institute.example.\"";
    stack.ends(
        &[
            "query",
            "openstack_recordset",
            "--where",
            condition,
            "--out",
            "imported.hcl",
        ],
        0,
    );
    stack.ends(&["apply", "--yes"], 0);
    stack.ends(&["plan", "--detailed-exitcode"], 0);

    // A name that can't be one is refused before anything is done.
    stack.edit("\"institute.example.\"", "\"institute.example\"");
    let said = stack.ends(&["plan"], 1);
    assert!(said.contains("does not end with a dot"), "{said}");
    stack.edit("\"institute.example\"", "\"institute.example.\"");

    stack.ends(&["destroy", "--yes"], 0);
    assert!(ZONES.marked(&cloud).is_empty() && RECORDSETS.marked(&cloud).is_empty());
}
