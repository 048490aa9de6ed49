//! Containers and objects at a real Swift.

use std::fs;

use dmp_live::Cloud;
use dmp_sdk::Value;
use dmp_sdk::testing::conformance::Stranger;
use serde_json::Value as Json;

use crate::contract::{Tried, keeps_the_contract};
use crate::program::{Stack, there};
use crate::world::World;

/// Removes a container with all that is in it.
fn remove(cloud: &Cloud, container: &str) {
    let listed = cloud.ask(
        "GET",
        "object-store",
        &format!("/{container}?format=json"),
        &Json::Null,
    );
    for object in listed.body.as_array().into_iter().flatten() {
        let name = object["name"].as_str().expect("a name");
        cloud.remove(
            "object-store",
            &format!("/{container}/{}", name.replace(' ', "%20")),
        );
    }
    cloud.remove("object-store", &format!("/{container}"));
}

fn metadata(name: &str, text: &str) -> Value {
    Value::map([(name.into(), text.into())].into_iter().collect())
}

async fn openstack_container_keeps_the_contract(world: World) {
    let config = Value::object_of([
        ("name", "tried".into()),
        ("container_read", ".r:*".into()),
        ("metadata", metadata("for", "the web")),
    ]);
    let changed = config
        .with("container_read", Value::null())
        .with("container_write", "*:*".into())
        .with("metadata", metadata("quota-bytes", "1000000"));
    let tried = Tried::of("openstack_container_keeps_the_contract", config)
        .changing(changed)
        .prepared(|world| remove(&world.cloud, "tried"))
        .with(|world, stranger| match stranger {
            Stranger::Deletes => remove(&world.cloud, "tried"),
            Stranger::Alters => {
                world
                    .cloud
                    .openstack(&["container", "set", "tried", "--property", "For=others"]);
            }
        });
    keeps_the_contract(world.clone(), tried).await;
    remove(&world.cloud, "tried");
}

async fn openstack_container_keeps_the_contract_where_it_was_before(world: World) {
    let config = Value::object_of([
        ("name", "tried".into()),
        ("metadata", metadata("for", "the web")),
    ]);
    let tried = Tried::of(
        "openstack_container_keeps_the_contract_where_it_was_before",
        config,
    )
    .prepared(|world| {
        remove(&world.cloud, "tried");
        world.cloud.openstack(&["container", "create", "tried"]);
        world
            .cloud
            .openstack(&["container", "set", "tried", "--property", "For=others"]);
    })
    .with(|world, stranger| match stranger {
        Stranger::Deletes => remove(&world.cloud, "tried"),
        Stranger::Alters => {
            world
                .cloud
                .openstack(&["container", "set", "tried", "--property", "For=nobody"]);
        }
    });
    keeps_the_contract(world.clone(), tried).await;
    remove(&world.cloud, "tried");
}

async fn openstack_object_keeps_the_contract(world: World) {
    world.cloud.openstack(&["container", "create", "strangers"]);
    let config = Value::object_of([
        ("container", "strangers".into()),
        ("name", "a b/c.txt".into()),
        ("content", "hello".into()),
        ("content_type", "text/plain".into()),
        ("metadata", metadata("for", "the web")),
    ]);
    let changed = config
        .with("content", "good bye".into())
        .with("content_disposition", "attachment".into())
        .with("metadata", Value::null());
    let path = "/strangers/a%20b/c.txt";
    let tried = Tried::of("openstack_object_keeps_the_contract", config)
        .changing(changed)
        .prepared(|world| world.cloud.remove("object-store", path))
        .with(|world, stranger| match stranger {
            Stranger::Deletes => world.cloud.remove("object-store", path),
            Stranger::Alters => {
                let altered = Json::String("altered".into());
                world.cloud.write("PUT", "object-store", path, &altered);
            }
        });
    keeps_the_contract(world.clone(), tried).await;
    remove(&world.cloud, "strangers");
}

trials! {
    openstack_container_keeps_the_contract
    openstack_container_keeps_the_contract_where_it_was_before
    openstack_object_keeps_the_contract
}

const SITE: &str = r#"
resource "openstack_container" "site" {
  name           = "site"
  container_read = ".r:*,.rlistings"
  force_destroy  = true
  metadata = {
    web-index = "index.html"
  }
}

resource "openstack_object" "index" {
  container = openstack_container.site.name
  name      = "index.html"
  content   = "<h1>${openstack_container.site.name}</h1>"
}

resource "openstack_object" "large" {
  container = openstack_container.site.name
  name      = "large/file.bin"
  source    = "file.bin"
  metadata = {
    kind = "bytes"
  }
}
"#;

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_container_with_its_objects_is_made_changed_seen_and_removed() {
    let cloud = there().cloud;
    remove(&cloud, "site");
    let stack = Stack::of(SITE);
    fs::write(stack.folder().join("file.bin"), vec![7; 3 << 20]).expect("it is written");
    stack.ends(&["apply", "--yes"], 0);
    stack.ends(&["plan", "--detailed-exitcode"], 0);
    let told = cloud.openstack(&["object", "show", "site", "large/file.bin", "-f", "json"]);
    let told: Json = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["content-length"], "3145728", "{told}");
    assert_eq!(told["properties"]["Kind"], "bytes", "{told}");
    let told = cloud.openstack(&["object", "show", "site", "index.html", "-f", "json"]);
    assert!(told.contains("text/html"), "{told}");

    // Another content of the file, a name that somebody has changed, and an object that nobody has made.
    fs::write(stack.folder().join("file.bin"), vec![8; 1 << 20]).expect("it is written");
    cloud.openstack(&[
        "container",
        "set",
        "site",
        "--property",
        "Web-Index=other.html",
    ]);
    cloud.write(
        "PUT",
        "object-store",
        "/site/strangers",
        &Json::String("x".into()),
    );
    let said = stack.ends(&["plan", "--detailed-exitcode"], 2);
    assert!(
        said.contains("openstack_object.large") && said.contains("web-index"),
        "{said}"
    );
    stack.ends(&["apply", "--yes"], 0);
    stack.ends(&["plan", "--detailed-exitcode"], 0);

    // It goes with all that is in it, since it was said so.
    stack.ends(&["destroy", "--yes"], 0);
    let gone = cloud.ask("GET", "object-store", "/site", &Json::Null);
    assert_eq!(gone.status, 404);
}
