//! Many servers at once, each with a port and a volume, on paper: made, found again by few requests, and removed.

use std::time::Instant;

use dmp_live::Cloud;

use crate::program::{Stack, Undone, left, requests, tell, there};
use crate::world::clear;

const SERVERS: usize = 100;

const STACK: &str = r#"
data "openstack_image" "paper" {
  newest = true
}

data "openstack_flavor" "small" {
  min_memory_mib = 1
}

resource "openstack_network" "many" {
  name = "many"
}

resource "openstack_subnet" "many" {
  network_id = openstack_network.many.id
  cidr       = "10.20.0.0/16"
}

locals {
  numbers = toset([for number in range(SERVERS) : tostring(number)])
}

resource "openstack_port" "m" {
  for_each   = local.numbers
  name       = "m-${each.key}"
  network_id = openstack_subnet.many.network_id
}

resource "openstack_server" "m" {
  for_each = local.numbers
  name     = "m-${each.key}"
  flavor   = data.openstack_flavor.small.name
  image_id = data.openstack_image.paper.id
  network {
    port_id = openstack_port.m[each.key].id
  }
}

resource "openstack_volume" "m" {
  for_each = local.numbers
  name     = "m-${each.key}"
  size_gib = 1
}

resource "openstack_volume_attachment" "m" {
  for_each  = local.numbers
  server_id = openstack_server.m[each.key].id
  volume_id = openstack_volume.m[each.key].id
}
"#;

/// Runs it to its end, prints what it took, and returns how many requests.
fn measured(stack: &Stack, words: &[&str]) -> u64 {
    let (begun, before) = (Instant::now(), requests());
    stack.ends(words, 0);
    let asked = requests() - before;
    println!(
        "{SERVERS} servers, {}: {:.1} s, {asked} requests",
        words.join(" "),
        begun.elapsed().as_secs_f64()
    );
    asked
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_hundred_servers_with_ports_and_volumes_are_made_found_and_removed() {
    let world = there();
    clear(&world.cloud);
    tell(&["room", &SERVERS.to_string()]);
    let _room = Undone(&["room", "40"]);
    let text = STACK.replace("SERVERS", &SERVERS.to_string());
    let stack = Stack::on(Cloud::of_this_suite("guarded"), &text);
    measured(&stack, &["apply", "--yes"]);
    // The network and its subnet; a port, a server and a volume for each.
    assert_eq!(left(&world.cloud).len(), 2 + 3 * SERVERS);
    let asked = measured(&stack, &["plan", "--detailed-exitcode"]);
    assert!(asked < 40, "it asks for each: {asked} requests");
    measured(&stack, &["destroy", "--yes"]);
    assert_eq!(left(&world.cloud), Vec::<String>::new());
}
