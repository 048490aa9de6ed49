//! A whole small stack: made, found as it was described, altered by strangers, mended, changed, imported, removed.

use serde_json::json;

use crate::program::{Stack, left, there};
use crate::world::clear;

const STACK: &str = r#"
data "openstack_image" "paper" {
  newest = true
}

data "openstack_flavor" "small" {
  min_memory_mib = 1
}

data "openstack_network" "external" {
  external = true
}

resource "openstack_network" "inside" {
  name = "inside"
}

resource "openstack_subnet" "inside" {
  network_id      = openstack_network.inside.id
  cidr            = "198.51.100.0/24"
  dns_nameservers = ["192.0.2.53"]
}

resource "openstack_router" "out" {
  name                = "out"
  external_network_id = data.openstack_network.external.id
}

resource "openstack_router_interface" "inside" {
  router_id = openstack_router.out.id
  subnet_id = openstack_subnet.inside.id
}

resource "openstack_security_group" "web" {
  name = "web"
}

resource "openstack_security_group_rule" "web" {
  for_each          = toset(["80", "443"])
  security_group_id = openstack_security_group.web.id
  direction         = "ingress"
  protocol          = "tcp"
  port_range_min    = tonumber(each.key)
  port_range_max    = tonumber(each.key)
}

resource "openstack_port" "web" {
  name               = "web"
  network_id         = openstack_network.inside.id
  security_group_ids = [openstack_security_group.web.id]
  fixed_ip {
    subnet_id  = openstack_subnet.inside.id
    ip_address = "198.51.100.10"
  }
}

resource "openstack_keypair" "me" {
  name       = "live-stack"
  public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0S8mJ5y6n2m2Cq0b4nL0m1C1QF4n7l0pW9v8X5x3aA me@example"
}

resource "openstack_server" "web" {
  name     = "web"
  flavor   = data.openstack_flavor.small.name
  image_id = data.openstack_image.paper.id
  key_name = openstack_keypair.me.name
  network {
    port_id = openstack_port.web.id
  }
  cloud_init {
    ssh_keys = [openstack_keypair.me.public_key]
  }
}

resource "openstack_volume" "data" {
  name     = "data"
  size_gib = 1
}

resource "openstack_volume_attachment" "data" {
  server_id = openstack_server.web.id
  volume_id = openstack_volume.data.id
}

resource "openstack_floating_ip" "web" {
  network_id = data.openstack_network.external.id
}

resource "openstack_floating_ip_association" "web" {
  floating_ip_id = openstack_floating_ip.web.id
  port_id        = openstack_port.web.id
  depends_on     = [openstack_router_interface.inside]
}

output "address" {
  value = openstack_server.web.address
}

output "host_key" {
  value = openstack_server.web.host_key
}
"#;

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_stack_is_made_mended_changed_and_removed() {
    let world = there();
    clear(&world.cloud);
    let stack = Stack::of(STACK);
    stack.ends(&["apply", "--yes"], 0);
    let plan = stack.ends(&["plan", "--detailed-exitcode"], 0);
    assert!(!plan.contains("to change"), "{plan}");
    let address = stack.ends(&["output", "address"], 0);
    assert!(address.contains("198.51.100.10"), "{address}");
    let key = stack.ends(&["output", "host_key"], 0);
    assert!(key.contains("ssh-ed25519 "), "{key}");

    // Strangers, by the stock command line.
    let cloud = &world.cloud;
    cloud.openstack(&["server", "set", "--name", "renamed", "web"]);
    cloud.openstack(&["volume", "set", "--name", "renamed", "data"]);
    cloud.openstack(&["network", "set", "--disable", "inside"]);
    let rules = cloud.get("network", "/security-group-rules?port_range_min=443");
    let rule = rules["security_group_rules"][0]["id"]
        .as_str()
        .expect("a rule")
        .to_owned();
    cloud.openstack(&["security", "group", "rule", "delete", &rule]);
    let drifted = stack.ends(&["plan", "--detailed-exitcode"], 2);
    for part in ["1 to create", "3 to change"] {
        assert!(drifted.contains(part), "{part} in\n{drifted}");
    }
    stack.ends(&["apply", "--yes"], 0);
    stack.ends(&["plan", "--detailed-exitcode"], 0);

    // Another description.
    stack.edit("size_gib = 1", "size_gib = 2");
    stack.edit("min_memory_mib = 1\n", "min_memory_mib = 1024\n");
    stack.edit("[\"80\", \"443\"]", "[\"80\", \"8443\"]");
    let plan = stack.ends(&["plan"], 0);
    assert!(plan.contains("interrupts `web`"), "{plan}");
    stack.ends(&["apply", "--yes"], 0);
    stack.ends(&["plan", "--detailed-exitcode"], 0);

    // A server that a stranger has removed is made again, with what hangs on it.
    cloud.openstack(&["server", "delete", "--wait", "web"]);
    stack.ends(&["apply", "--yes"], 0);
    stack.ends(&["plan", "--detailed-exitcode"], 0);

    stack.ends(&["destroy", "--yes"], 0);
    assert_eq!(left(cloud), Vec::<String>::new());
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn what_is_there_is_imported() {
    let world = there();
    clear(&world.cloud);
    let cloud = &world.cloud;
    let network = cloud.write(
        "POST",
        "network",
        "/networks",
        &json!({ "network": { "name": "old", "description": "was there" } }),
    );
    let network = network["network"]["id"].as_str().expect("an id").to_owned();
    let volume = cloud.write(
        "POST",
        "block-storage",
        "/volumes",
        &json!({ "volume": { "name": "old", "size": 1 } }),
    );
    let volume = volume["volume"]["id"].as_str().expect("an id").to_owned();
    let flavor = cloud.get("compute", "/flavors/detail")["flavors"][0].clone();
    let server = cloud.write(
        "POST",
        "compute",
        "/servers",
        &json!({ "server": { "name": "old", "imageRef": world.image, "flavorRef": flavor["id"], "networks": [{ "uuid": world.network }] } }),
    );
    let server = server["server"]["id"].as_str().expect("an id").to_owned();
    let path = format!("/servers/{server}");
    cloud.until("the server runs", || {
        cloud.get("compute", &path)["server"]["status"] == "ACTIVE"
    });
    let text = format!(
        r#"
import {{
  to = openstack_network.old
  id = "{network}"
}}
resource "openstack_network" "old" {{
  name        = "old"
  description = "was there"
}}
import {{
  to = openstack_volume.old
  id = "{volume}"
}}
resource "openstack_volume" "old" {{
  name     = "old"
  size_gib = 2
}}
import {{
  to = openstack_server.old
  id = "{server}"
}}
resource "openstack_server" "old" {{
  name     = "old"
  flavor   = "{}"
  image_id = "{}"
  network {{
    network_id = "{}"
  }}
}}
"#,
        flavor["name"].as_str().expect("a name"),
        world.image,
        world.network
    );
    let stack = Stack::of(&text);
    let plan = stack.ends(&["plan"], 0);
    assert!(plan.contains("1 to change"), "{plan}");
    assert!(plan.contains("2 to import"), "{plan}");
    stack.ends(&["apply", "--yes"], 0);
    stack.ends(&["plan", "--detailed-exitcode"], 0);
    let grown = cloud.get("block-storage", &format!("/volumes/{volume}"));
    assert_eq!(grown["volume"]["size"], 2);
    assert!(
        grown["volume"]["metadata"]["dmp_mark"].is_string(),
        "its mark came with the change: {grown}"
    );
    stack.ends(&["destroy", "--yes"], 0);
    assert_eq!(
        cloud
            .ask(
                "GET",
                "network",
                &format!("/networks/{network}"),
                &serde_json::Value::Null
            )
            .status,
        404
    );
    assert_eq!(left(cloud), Vec::<String>::new());
}
