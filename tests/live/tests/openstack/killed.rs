//! dmp killed at each of its places while a stack is made and removed: the next run goes on, nothing is there twice, and
//! nothing is left.

use crate::program::{Stack, left, there};
use crate::world::clear;

const STACK: &str = r#"
data "openstack_image" "paper" {
  newest = true
}

data "openstack_flavor" "small" {
  min_memory_mib = 1
}

resource "openstack_network" "inside" {
  name = "inside"
}

resource "openstack_subnet" "inside" {
  network_id = openstack_network.inside.id
  cidr       = "198.51.100.0/24"
}

resource "openstack_security_group" "web" {
  name          = "web"
  default_rules = false
}

resource "openstack_security_group_rule" "web" {
  security_group_id = openstack_security_group.web.id
  direction         = "ingress"
}

resource "openstack_port" "web" {
  network_id         = openstack_subnet.inside.network_id
  security_group_ids = [openstack_security_group.web.id]
}

resource "openstack_server_group" "web" {
  name   = "web"
  policy = "soft-anti-affinity"
}

resource "openstack_server" "web" {
  name            = "web"
  flavor          = data.openstack_flavor.small.name
  image_id        = data.openstack_image.paper.id
  scheduler_hints = { group = openstack_server_group.web.id }
  network {
    port_id = openstack_port.web.id
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

resource "openstack_keypair" "me" {
  name       = "live-killed"
  public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0S8mJ5y6n2m2Cq0b4nL0m1C1QF4n7l0pW9v8X5x3aA me@example"
}
"#;

/// How many objects of the stack carry a mark: all but the key pair and the attachment, which are found by their keys.
const MARKED: usize = 8;

/// Runs the verb until it is killed at the pass of this number; `false` if it came to its end before.
fn is_killed(stack: &Stack, verb: &str, pass: usize) -> bool {
    let mut command = stack.command("DMP_LIVE_KILLABLE");
    command
        .args([verb, "--yes"])
        .env("DMP_FAIL_AT", format!("*:{pass}"));
    let output = command.output().expect("dmp starts");
    assert!(
        output.status.success() || output.status.code().is_none(),
        "{verb}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.status.code().is_none()
}

/// Every place is tried where `DMP_LIVE_STRIDE` is 1, as it is by default; a larger one leaves some out.
fn stride() -> usize {
    let given = std::env::var("DMP_LIVE_STRIDE").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(1).max(1)
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn an_apply_killed_anywhere_is_gone_on_with() {
    let world = there();
    clear(&world.cloud);
    let mut pass = 1;
    loop {
        let stack = Stack::of(STACK);
        let killed = is_killed(&stack, "apply", pass);
        stack.ends(&["apply", "--yes"], 0);
        let there = left(&world.cloud);
        assert_eq!(there.len(), MARKED, "killed at {pass}: {there:?}");
        stack.ends(&["plan", "--detailed-exitcode"], 0);
        stack.ends(&["destroy", "--yes"], 0);
        assert_eq!(left(&world.cloud), Vec::<String>::new(), "killed at {pass}");
        if !killed {
            return;
        }
        pass += stride();
    }
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_destroy_killed_anywhere_is_gone_on_with() {
    let world = there();
    clear(&world.cloud);
    let mut pass = 1;
    loop {
        let stack = Stack::of(STACK);
        stack.ends(&["apply", "--yes"], 0);
        let killed = is_killed(&stack, "destroy", pass);
        stack.ends(&["destroy", "--yes"], 0);
        assert_eq!(left(&world.cloud), Vec::<String>::new(), "killed at {pass}");
        if !killed {
            return;
        }
        pass += stride();
    }
}
