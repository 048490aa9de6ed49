//! A stack of thirty instances through all layers, killed at every place of an apply: the next one goes on, nothing is
//! made twice, nothing is left over, and the state is that of a run which was never killed.

mod support;

use serde_json::Value as Json;
use support::Sandbox;

const STACK: &str = r#"
provider "test" { cloud = "CLOUD" }
provider "test" {
  alias = "late"
  cloud = "CLOUD"
  token = test_member.node["a"].name
}
locals {
  machines = toset(["a", "b", "c", "d"])
}
resource "test_thing" "network" {
  count = 2
  layer = "network"
  name  = "net-${count.index}"
}
resource "test_thing" "vm" {
  for_each = local.machines
  name     = "vm-${each.key}"
  secret   = test_thing.network[0].id
}
resource "test_entry" "motd" {
  for_each = test_thing.vm
  key      = "motd-${each.key}"
  text     = "on ${each.value.id}"
  on       = each.value.id
}
resource "test_entry" "config" {
  for_each = test_entry.motd
  key      = "config-${each.key}"
  text     = "after ${each.value.length}"
  on       = test_thing.vm[each.key].id
}
resource "test_member" "node" {
  for_each   = test_thing.vm
  name       = each.key
  group      = test_thing.vm["a"].id
  on         = each.value.id
  depends_on = [test_entry.config]
}
resource "test_thing" "volume" {
  for_each = test_thing.vm
  layer    = "storage"
  name     = "volume-${each.key}"
  on       = each.value.id
}
resource "test_entry" "app" {
  count    = 8
  provider = test.late
  layer    = "platform"
  key      = "app-${count.index}"
  text     = join(",", [for volume in test_thing.volume : volume.name])
}
output "nodes" {
  value = [for node in test_member.node : node.on]
}
"#;

fn counts(sandbox: &Sandbox) -> (usize, usize, usize, bool) {
    let cloud = sandbox.look();
    let whole = cloud.things.values().all(|thing| thing.is_whole);
    (
        cloud.things.len(),
        cloud.entries.len(),
        cloud.members.len(),
        whole,
    )
}

/// Kills at every second place from `first` on. Returns how many there were.
fn kill_from(first: usize, unkilled: &Json) -> usize {
    for number in (first..1000).step_by(2) {
        let sandbox = Sandbox::stack(STACK);
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            return number - 1;
        }
        assert_eq!(ran.code, None, "it was killed at {at}: {}", ran.err);
        sandbox.run(&["apply", "--yes"]).expect_success();
        assert_eq!(counts(&sandbox), (10, 16, 4, true), "killed at {at}");
        assert_eq!(sandbox.essence(), *unkilled, "killed at {at}");
        sandbox
            .run(&["plan", "--detailed-exitcode"])
            .expect_success();
    }
    panic!("it never came to its end");
}

#[test]
#[expect(clippy::print_stdout, reason = "how many places there are")]
fn thirty_instances_killed_at_each_place_end_as_if_nothing_had_happened() {
    let sandbox = Sandbox::stack(STACK).applied();
    assert_eq!(counts(&sandbox), (10, 16, 4, true));
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("30 instances, 0 open intents");
    let unkilled = sandbox.essence();
    let again = Sandbox::stack(STACK).applied();
    assert_eq!(again.essence(), unkilled, "two runs come to the same");
    let places = std::thread::scope(|scope| {
        let odd = scope.spawn(|| kill_from(1, &unkilled));
        let even = kill_from(2, &unkilled);
        odd.join().expect("it went well").max(even)
    });
    assert!(places > 150, "only {places} places");
    println!("killed at {places} places");
}
