//! A stack of more than two hundred instances through all that happens to one: plan, apply, change, replace, move, import,
//! destroy; and killed at each place of each of these (`cargo xtask live crash`).

mod support;

use dmp_sdk::testing::{State, Thing};
use support::{Ran, Sandbox};

const STACK: &str = r#"
stack { limits = { test_member = 3 } }
provider "test" { cloud = "../cloud.json" }
provider "test" {
  alias = "late"
  cloud = "../cloud.json"
  token = test_member.node["m0"].name
}
variable "text" { default = "hello" }
variable "apps" { default = 30 }
variable "racks" {
  type    = set(string)
  default = ["a", "b", "c", "d"]
}
variable "token" {
  default   = "hunter2"
  sensitive = true
}
locals {
  machines = toset([for n in range(40) : "m${n}"])
  members  = toset([for n in range(4) : "m${n}"])
}
resource "test_thing" "vm" {
  for_each = local.machines
  name     = "vm-${each.key}"
  secret   = var.token
}
resource "test_entry" "motd" {
  for_each = test_thing.vm
  key      = "motd-${each.key}"
  text     = "${var.text} on ${each.value.name}"
  on       = each.value.id
}
resource "test_member" "node" {
  for_each   = local.members
  name       = each.key
  group      = test_thing.vm["m0"].id
  on         = test_thing.vm[each.key].id
  depends_on = [test_entry.motd]
}
module "rack" {
  for_each = var.racks
  source   = "./rack"
  name     = each.key
  text     = var.text
}
resource "test_entry" "app" {
  count    = var.apps
  provider = test.late
  layer    = "platform"
  key      = "app-${count.index}"
  text     = join(",", [for rack in module.rack : rack.size])
}
resource "core_value" "seen" {
  for_each = module.rack
  value    = each.value.names
  replace_on = each.value.size
}
output "token" {
  value     = var.token
  sensitive = true
}
output "racks" { value = { for key, rack in module.rack : key => rack.names } }
check "apps" {
  assert {
    condition     = length(test_entry.app) >= 20
    error_message = "there are too few apps"
  }
}
"#;

const RACK: &str = r#"
variable "name" {}
variable "text" {}
resource "test_thing" "disk" {
  count = 12
  name  = "disk-${var.name}-${count.index}"
}
resource "test_entry" "label" {
  for_each = { for disk in test_thing.disk : disk.name => disk.id }
  key      = "label-${each.key}"
  text     = "${var.text} on ${each.key}"
  on       = each.value
}
output "names" { value = sort([for label in test_entry.label : label.key]) }
output "size" { value = length(test_thing.disk) }
"#;

fn stack() -> Sandbox {
    let sandbox = Sandbox::stack(STACK);
    std::fs::create_dir(sandbox.stack_folder().join("rack")).expect("a folder");
    sandbox.write("rack/main.hcl", RACK);
    sandbox
}

/// A second description: fewer, other and renamed objects, and one that was there before.
fn changed(sandbox: &Sandbox) {
    let moved = STACK
        .replace("\"motd\"", "\"greeting\"")
        .replace("test_entry.motd", "test_entry.greeting");
    let more = r#"
moved {
  from = test_entry.motd
  to   = test_entry.greeting
}
import {
  to = test_thing.theirs
  id = "t-9000"
}
resource "test_thing" "theirs" { name = "theirs" }
"#;
    sandbox.write("main.hcl", &format!("{moved}{more}"));
    sandbox.write(
        "values.auto.hcl",
        "text = \"bye\"\napps = 24\nracks = [\"a\", \"b\", \"e\"]\n",
    );
    let theirs = |state: &mut State| {
        let thing = Thing {
            name: "theirs".into(),
            size: 1,
            is_whole: true,
            ..Thing::default()
        };
        state.things.insert("t-9000".into(), thing);
    };
    sandbox.cloud().change(theirs).expect("writes");
}

const CHANGE: &[&str] = &["apply", "--yes", "--replace", "test_thing.vm[\"m7\"]"];

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

const APPLIED: (usize, usize, usize, bool) = (40 + 48, 40 + 48 + 30, 4, true);
/// What lived on the disks of two racks is lost with them: nobody has called for it.
const CHANGED: (usize, usize, usize, bool) = (40 + 36 + 1, 40 + 36 + 24 + 24, 4, true);
fn is_settled(sandbox: &Sandbox) -> Ran {
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
}

#[test]
fn two_hundred_instances_go_through_all_that_happens_to_a_stack() {
    let sandbox = stack();
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Plan: 214 to create")
        .shows("known after apply")
        .hides("hunter2");
    sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .says("214 changed, 0 failed, 0 skipped")
        .hides("hunter2");
    assert_eq!(counts(&sandbox), APPLIED);
    is_settled(&sandbox).shows("Nothing to do");
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("214 instances, 0 open intents");
    sandbox
        .run(&["output"])
        .expect_success()
        .shows("label-disk-a-11")
        .hides("hunter2");

    changed(&sandbox);
    sandbox
        .run(&["plan", "--replace", "test_thing.vm[\"m7\"]"])
        .expect_success()
        .shows("test_entry.motd[\"m3\"]")
        .shows("test_thing.theirs")
        .shows("1 to import")
        .shows("test_thing.vm[\"m7\"]");
    sandbox.run(CHANGE).expect_success().hides("hunter2");
    assert_eq!(counts(&sandbox), CHANGED);
    is_settled(&sandbox).shows("Nothing to do");
    sandbox
        .run(&["apply", "--yes", "--var", "apps=3"])
        .expect_success()
        .says("there are too few apps");
    sandbox.run(&["destroy", "--yes"]).expect_success();
    // What lived on machines and disks is lost with them: nobody has called for it.
    assert!(sandbox.look().things.is_empty());
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("0 instances, 0 open intents");
}

/// Kills one command at every place, from `first` on in steps. The next run of it ends as one that was never killed.
/// Returns how many places there are.
fn killed_at_each(
    from: &Sandbox,
    command: &[&str],
    (first, step): (usize, usize),
    check: &(dyn Fn(&Sandbox, &str) + Sync),
) -> usize {
    for number in (first..).step_by(step) {
        let sandbox = from.copied();
        let at = format!("*:{number}");
        let ran = sandbox.run_with(command, &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            return number - 1;
        }
        assert_eq!(ran.code, None, "it was killed at {at}: {}", ran.err);
        // What was replaced before the kill is not to be replaced once more.
        let again: Vec<&str> = command.iter().copied().take(2).collect();
        sandbox.run(&again).expect_success();
        check(&sandbox, &at);
    }
    0
}

fn in_two_threads(
    from: &Sandbox,
    command: &[&str],
    check: &(dyn Fn(&Sandbox, &str) + Sync),
) -> usize {
    std::thread::scope(|scope| {
        let odd = scope.spawn(|| killed_at_each(from, command, (1, 2), check));
        let even = killed_at_each(from, command, (2, 2), check);
        odd.join().expect("it went well").max(even)
    })
}

#[test]
#[ignore = "takes long: cargo xtask live crash"]
fn two_hundred_instances_killed_at_each_place_of_an_apply() {
    let essence = stack().applied().essence();
    let check = |sandbox: &Sandbox, at: &str| {
        assert_eq!(counts(sandbox), APPLIED, "killed at {at}");
        assert_eq!(sandbox.essence(), essence, "killed at {at}");
        is_settled(sandbox);
    };
    survives(&stack(), &["apply", "--yes"], 800, &check);
}

#[test]
#[ignore = "takes long: cargo xtask live crash"]
fn two_hundred_instances_killed_at_each_place_of_a_change() {
    let unkilled = stack().applied();
    changed(&unkilled);
    let check = |sandbox: &Sandbox, at: &str| {
        assert_eq!(counts(sandbox), CHANGED, "killed at {at}");
        is_settled(sandbox);
    };
    survives(&unkilled, CHANGE, 400, &check);
}

#[test]
#[ignore = "takes long: cargo xtask live crash"]
fn two_hundred_instances_killed_at_each_place_of_a_destroy() {
    let unkilled = stack().applied();
    changed(&unkilled);
    unkilled.run(CHANGE).expect_success();
    let check = |sandbox: &Sandbox, at: &str| {
        assert!(sandbox.look().things.is_empty(), "killed at {at}");
        let state = sandbox.run(&["state", "list"]).expect_success();
        assert_eq!(state.out, "", "killed at {at}");
    };
    // What ends with its host takes no call of its own.
    survives(&unkilled, &["destroy", "--yes"], 300, &check);
}

/// Kills the command at each place there is, at least at `least` of them.
#[expect(clippy::print_stdout, reason = "how many places there are")]
fn survives(
    from: &Sandbox,
    command: &[&str],
    least: usize,
    check: &(dyn Fn(&Sandbox, &str) + Sync),
) {
    let begun = std::time::Instant::now();
    let places = in_two_threads(from, command, check);
    assert!(places > least, "only {places} places");
    println!(
        "dmp {}: killed at {places} places, {:.0} s",
        command.join(" "),
        begun.elapsed().as_secs_f64()
    );
}
