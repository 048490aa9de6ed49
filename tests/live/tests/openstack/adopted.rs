//! What strangers have made, found by `dmp query` and taken over by the blocks that it writes.

use serde_json::{Value as Json, json};

use crate::program::{Stack, left, there};
use crate::world::{Collection, GROUPS, NETWORKS, SERVERS, VOLUMES, World, clear};

/// Removes what was left of an earlier run, which no mark is on.
fn forget(world: &World) {
    for collection in [SERVERS, VOLUMES, NETWORKS, GROUPS] {
        let listed = world.cloud.get(collection.service, collection.listing);
        let all = listed[collection.many].as_array().cloned();
        for one in all.unwrap_or_default() {
            let name = one["name"].as_str().unwrap_or_default();
            if name.starts_with("asked-") {
                let path = collection.path_of(&one);
                world.cloud.remove(collection.service, &path);
            }
        }
    }
}

fn make(world: &World, collection: Collection, one: &str, body: &Json) -> Json {
    let cloud = &world.cloud;
    let body = json!({ one: body });
    let made = cloud.write("POST", collection.service, collection.path, &body)[one].clone();
    let path = collection.path_of(&made);
    cloud.until("it is there", || {
        let now = cloud.get(collection.service, &path)[one]["status"].clone();
        now.is_null() || ["ACTIVE", "available"].contains(&now.as_str().unwrap_or_default())
    });
    made
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn what_a_query_finds_is_taken_over_by_the_blocks_that_it_writes() {
    let world = there();
    clear(&world.cloud);
    forget(&world);
    for (name, size) in [("asked-1", 1), ("asked-2", 2), ("asked-not", 1)] {
        let body = json!({ "name": name, "size": size, "metadata": { "for": "a query" } });
        make(&world, VOLUMES, "volume", &body);
    }
    let body = json!({ "name": "asked-network", "description": "was there" });
    make(&world, NETWORKS, "network", &body);
    let body = json!({ "name": "asked-group", "description": "was there" });
    make(&world, GROUPS, "security_group", &body);
    let flavor = world.cloud.get("compute", "/flavors/detail")["flavors"][0]["id"].clone();
    let body = json!({ "name": "asked-server", "imageRef": world.image, "flavorRef": flavor,
        "networks": [{ "uuid": world.network }], "metadata": { "for": "a query" } });
    make(&world, SERVERS, "server", &body);

    let stack = Stack::of("");
    for (kind, condition, count) in [
        (
            "openstack_volume",
            "contains([\"asked-1\", \"asked-2\"], each.value.name)",
            2,
        ),
        (
            "openstack_network",
            "each.value.name == \"asked-network\"",
            1,
        ),
        (
            "openstack_security_group",
            "each.value.name == \"asked-group\"",
            1,
        ),
        ("openstack_server", "each.value.name == \"asked-server\"", 1),
    ] {
        let file = format!("{kind}.hcl");
        let words = ["query", kind, "--where", condition, "--out", &file];
        let said = stack.ends(&words, 0);
        let written = format!("blocks for {count} of {count} objects");
        assert!(said.contains(&written), "{said}");
    }
    let plan = stack.ends(&["plan"], 0);
    assert!(plan.contains("5 to import"), "{plan}");
    assert!(plan.contains("0 to change"), "{plan}");
    stack.ends(&["apply", "--yes"], 0);
    stack.ends(&["plan", "--detailed-exitcode"], 0);
    stack.ends(&["destroy", "--yes"], 0);

    let volumes = world.cloud.get("block-storage", "/volumes?name=asked-not");
    let kept = volumes["volumes"].as_array().expect("a list").len();
    assert_eq!(kept, 1, "nobody asked for it");
    forget(&world);
    assert_eq!(left(&world.cloud), Vec::<String>::new());
}
