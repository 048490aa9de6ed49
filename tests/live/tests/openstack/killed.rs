//! dmp killed at each of its places while a stack is made and removed: the next run goes on, nothing is there twice, and
//! nothing is left.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use dmp_live::Cloud;

use crate::program::{Stack, left};
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

/// One round: what is killed at this pass as it is made, is made to its end; what is killed at it as it is removed, is removed. Whether
/// the making and the removing were killed.
fn round(cloud: &Cloud, pass: usize) -> [bool; 2] {
    let stack = Stack::on(cloud.clone(), STACK);
    let in_apply = is_killed(&stack, "apply", pass);
    stack.ends(&["apply", "--yes"], 0);
    let there = left(cloud);
    assert_eq!(there.len(), MARKED, "killed at {pass}: {there:?}");
    stack.ends(&["plan", "--detailed-exitcode"], 0);
    let in_destroy = is_killed(&stack, "destroy", pass);
    stack.ends(&["destroy", "--yes"], 0);
    assert_eq!(left(cloud), Vec::<String>::new(), "killed at {pass}");
    [in_apply, in_destroy]
}

/// Ends the other projects' rounds when one has failed.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

/// Each place once, in several projects side by side, none of which sees what is in another.
#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_stack_killed_anywhere_as_it_is_made_or_removed_is_gone_on_with() {
    let begun = Instant::now();
    let (next, is_over) = (AtomicUsize::new(1), AtomicBool::new(false));
    let killed = [AtomicUsize::new(0), AtomicUsize::new(0)];
    thread::scope(|scope| {
        for project in ["member", "second", "third"] {
            let (next, is_over, killed) = (&next, &is_over, &killed);
            scope.spawn(move || {
                let _ending = Ending(is_over);
                let cloud = Cloud::of_this_suite(project);
                clear(&cloud);
                while !is_over.load(Ordering::SeqCst) {
                    let pass = next.fetch_add(stride(), Ordering::SeqCst);
                    let found = round(&cloud, pass);
                    for (count, was_killed) in killed.iter().zip(found) {
                        count.fetch_add(usize::from(was_killed), Ordering::SeqCst);
                    }
                    if found == [false, false] {
                        is_over.store(true, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let [applies, destroys] = killed.map(AtomicUsize::into_inner);
    assert!(applies > 0 && destroys > 0);
    println!(
        "killed at {applies} places of an apply and {destroys} of a destroy, in {:.0} s",
        begun.elapsed().as_secs_f64()
    );
}
