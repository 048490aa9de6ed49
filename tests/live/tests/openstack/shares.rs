//! Shares and who may mount them, at a real Manila whose shares are on paper.

use dmp_live::Cloud;
use dmp_sdk::Value;
use serde_json::{Value as Json, json};

use crate::contract::{Tried, keeps_the_contract};
use crate::program::{Stack, there};
use crate::world::{Collection, World};

const SERVICE: &str = "shared-file-system";

const SHARES: Collection = Collection {
    service: SERVICE,
    path: "/shares",
    listing: "/shares/detail",
    many: "shares",
};

/// A share of strangers, which no mark is on.
fn share(cloud: &Cloud) -> String {
    let listed = cloud.get(SERVICE, "/shares?name=strangers");
    let found = listed["shares"].as_array().and_then(|all| all.first());
    let share = found.cloned().unwrap_or_else(|| {
        let body = json!({ "share": { "name": "strangers", "size": 1, "share_proto": "NFS" } });
        cloud.write("POST", SERVICE, "/shares", &body)["share"].clone()
    });
    let id = share["id"].as_str().expect("an id").to_owned();
    let path = format!("/shares/{id}");
    cloud.until("the share is there", || {
        cloud.get(SERVICE, &path)["share"]["status"] == "available"
    });
    id
}

fn metadata(text: &str) -> Value {
    Value::map([("for".into(), text.into())].into_iter().collect())
}

async fn openstack_share_keeps_the_contract(world: World) {
    let config = Value::object_of([
        ("name", "home".into()),
        ("description", "of the institute".into()),
        ("share_proto", "NFS".into()),
        ("size_gib", 1.into()),
        ("metadata", metadata("web")),
    ]);
    let changed = config
        .with("name", "homes".into())
        .with("description", Value::null())
        .with("size_gib", 2.into())
        .with("metadata", metadata("mail"));
    let tried = Tried::of("openstack_share_keeps_the_contract", config)
        .changing(changed)
        .within(SHARES, |cloud, path, _| {
            let body = json!({ "share": { "display_name": "altered" } });
            cloud.write("PUT", SERVICE, path, &body);
        });
    SHARES.clear(&world.cloud);
    keeps_the_contract(world.clone(), tried).await;
    SHARES.clear(&world.cloud);
}

/// Takes back all access to a share, and waits until that is done.
fn take_back(cloud: &Cloud, share: &str) {
    let listing = format!("/share-access-rules?share_id={share}");
    let action = format!("/shares/{share}/action");
    cloud.until("nobody has access", || {
        let listed = cloud.get(SERVICE, &listing);
        let rules = listed["access_list"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for rule in &rules {
            let body = json!({ "deny_access": { "access_id": rule["id"] } });
            // What is under way already is refused.
            let _ = cloud.ask("POST", SERVICE, &action, &body);
        }
        rules.is_empty()
    });
}

async fn openstack_share_access_keeps_the_contract(world: World) {
    let share = share(&world.cloud);
    let (prepared, strange) = (share.clone(), share.clone());
    let rules = Collection {
        service: SERVICE,
        path: "/share-access-rules",
        listing: format!("/share-access-rules?share_id={share}").leak(),
        many: "access_list",
    };
    let config = Value::object_of([
        ("share_id", share.as_str().into()),
        ("access_type", "ip".into()),
        ("access_to", "192.0.2.0/24".into()),
        ("metadata", metadata("web")),
    ]);
    let changed = config.with("metadata", metadata("mail"));
    let mut tried = Tried::of("openstack_share_access_keeps_the_contract", config)
        .changing(changed)
        .within(rules, |_, _, _| {})
        .prepared(move |world| take_back(&world.cloud, &prepared));
    tried = tried.with(move |world, stranger| match stranger {
        dmp_sdk::testing::conformance::Stranger::Deletes => take_back(&world.cloud, &strange),
        dmp_sdk::testing::conformance::Stranger::Alters => {
            let rule = rules.only(&world.cloud);
            let path = format!("{}/metadata", rules.path_of(&rule));
            let body = json!({ "metadata": { "for": "others" } });
            world.cloud.write("PUT", SERVICE, &path, &body);
        }
    });
    keeps_the_contract(world.clone(), tried).await;
    take_back(&world.cloud, &share);
}

trials! {
    openstack_share_keeps_the_contract
    openstack_share_access_keeps_the_contract
}

const HOME: &str = r#"
resource "openstack_share" "home" {
  name        = "home"
  share_proto = "NFS"
  size_gib    = 1
}

resource "openstack_share_access" "home" {
  count       = 3
  share_id    = openstack_share.home.id
  access_type = "ip"
  access_to   = "192.0.2.${count.index}"
}

data "openstack_share_locations" "home" {
  share_id = openstack_share.home.id
}

output "paths" {
  value = data.openstack_share_locations.home.paths
}
"#;

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_share_is_made_grown_shown_and_removed() {
    let cloud = there().cloud;
    SHARES.clear(&cloud);
    let stack = Stack::of(HOME);
    stack.ends(&["apply", "--yes"], 0);
    stack.ends(&["plan", "--detailed-exitcode"], 0);
    let paths = stack.run(&["output", "--json", "paths"]).stdout;
    let paths: Json = serde_json::from_slice(&paths).expect("JSON");
    assert!(!paths.as_array().expect("a list").is_empty(), "{paths}");
    let listed = cloud.openstack(&["share", "access", "list", "home", "-f", "value"]);
    assert_eq!(listed.lines().count(), 3, "{listed}");

    // Drift, by the stock command line, and a larger one.
    cloud.openstack(&["share", "set", "home", "--name", "homes"]);
    let said = stack.ends(&["plan", "--detailed-exitcode"], 2);
    assert!(said.contains("homes"), "{said}");
    stack.edit("size_gib    = 1", "size_gib    = 2");
    stack.ends(&["apply", "--yes"], 0);
    stack.ends(&["plan", "--detailed-exitcode"], 0);
    let share = SHARES.only(&cloud);
    assert!(share["size"] == 2 && share["name"] == "home", "{share}");

    stack.ends(&["destroy", "--yes"], 0);
    assert!(SHARES.marked(&cloud).is_empty());
}
