//! A part of a stack: named with what it needs, left out with what needs it, a range of layers, and replaced on demand.

mod support;

use support::{Ran, Sandbox};

const STACK: &str = r#"
provider "test" { cloud = "CLOUD" }
variable "text" { default = "hello" }
resource "test_thing" "vm" {
  for_each = toset(["a", "b"])
  name     = each.key
}
resource "test_entry" "on" {
  for_each = test_thing.vm
  key      = "on-${each.key}"
  text     = var.text
  on       = each.value.id
}
resource "test_bucket" "data" { label = "data" }
module "site" {
  source = "./site"
  text   = test_bucket.data.name
}
resource "test_entry" "apart" {
  key  = "apart"
  text = var.text
}
check "apart" {
  assert {
    condition     = test_entry.apart.length > 100
    error_message = "it is too short"
  }
}
output "lengths" { value = { for key, entry in test_entry.on : key => entry.length } }
"#;

fn stack() -> Sandbox {
    let sandbox = Sandbox::stack(STACK);
    std::fs::create_dir(sandbox.stack_folder().join("site")).expect("a folder");
    sandbox.write(
        "site/main.hcl",
        r#"
variable "text" {}
resource "test_entry" "page" {
  key  = "page"
  text = var.text
}
"#,
    );
    sandbox
}

fn apply(sandbox: &Sandbox, flags: &[&str]) -> Ran {
    let arguments: Vec<&str> = ["apply", "--yes"].iter().chain(flags).copied().collect();
    sandbox.run(&arguments).expect_success()
}

fn there(sandbox: &Sandbox) -> Vec<String> {
    let cloud = sandbox.look();
    let things = cloud.things.into_values().map(|thing| thing.name);
    let buckets = cloud.buckets.into_values().map(|bucket| bucket.label);
    let mut all: Vec<_> = things
        .chain(cloud.entries.into_keys())
        .chain(buckets)
        .collect();
    all.sort();
    all
}

const ALL: &[&str] = &["a", "apart", "b", "data", "on-a", "on-b", "page"];

#[test]
fn a_target_brings_what_it_needs_and_nothing_else() {
    let sandbox = stack();
    apply(&sandbox, &["-target=module.site"])
        .says("a part of the stack only")
        .hides("it is too short");
    assert_eq!(there(&sandbox), ["data", "page"]);
    // Nor is an output waited for that only what is left out could tell.
    sandbox
        .run(&["plan", "--detailed-exitcode", "--target=module.site"])
        .expect_success()
        .hides("lengths");
    apply(&sandbox, &["--target", "test_entry.on[\"a\"]"]);
    assert_eq!(there(&sandbox), ["a", "b", "data", "on-a", "page"]);
    apply(&sandbox, &[]).says("it is too short");
    assert_eq!(there(&sandbox), ALL);
}

#[test]
fn what_is_left_out_is_neither_read_nor_changed() {
    let sandbox = stack().applied();
    let clear = |state: &mut dmp_sdk::testing::State| {
        state.calls.clear();
        state.things.clear();
    };
    sandbox.cloud().change(clear).expect("writes");
    let changed = ["--target", "test_entry.apart", "--var", "text=other"];
    apply(&sandbox, &changed).says("1 changed");
    let cloud = sandbox.look();
    assert!(cloud.things.is_empty(), "nobody has looked");
    assert!(
        cloud.calls.iter().all(|call| !call.contains("things")),
        "{:?}",
        cloud.calls
    );
    assert_eq!(cloud.entries["apart"].text, "other");
    assert_eq!(cloud.entries["on-a"].text, "hello");
    sandbox
        .run(&["plan", "--var", "text=other"])
        .expect_success()
        .shows("+ test_thing.vm[\"a\"]");
}

#[test]
fn what_needs_something_excluded_is_left_out_too() {
    let sandbox = stack();
    apply(
        &sandbox,
        &["--exclude", "test_thing.vm", "--exclude", "module.site"],
    );
    assert_eq!(there(&sandbox), ["apart", "data"]);
    apply(&sandbox, &["--exclude", "test_entry.on[\"b\"]"]);
    assert_eq!(there(&sandbox), ["a", "apart", "b", "data", "on-a", "page"]);
}

#[test]
fn layers_are_made_from_the_ground_up() {
    let sandbox = stack();
    apply(&sandbox, &["--through", "machine"]);
    assert_eq!(there(&sandbox), ["a", "b"]);
    sandbox
        .run(&["apply", "--yes", "--from", "host", "--through", "host"])
        .expect_success();
    assert_eq!(
        there(&sandbox),
        ["a", "apart", "b", "data", "on-a", "on-b", "page"]
    );
    let unmade = stack();
    unmade
        .run(&["plan", "--from", "host"])
        .expect_code(1)
        .says("something is needed that is left out")
        .says("test_thing.vm[\"a\"]");
}

#[test]
fn what_lives_on_a_replaced_host_leaves_the_state_though_it_is_left_out() {
    let sandbox = stack().applied();
    apply(
        &sandbox,
        &[
            "--replace",
            "test_thing.vm[\"a\"]",
            "--target",
            "test_thing.vm",
        ],
    )
    .says("test_thing.vm[\"a\"]");
    sandbox
        .run(&["state", "list"])
        .expect_success()
        .hides("test_entry.on[\"a\"]")
        .shows("test_entry.on[\"b\"]");
    apply(&sandbox, &[]);
    assert_eq!(there(&sandbox), ALL);
}

#[test]
fn what_is_asked_for_is_replaced_once() {
    let sandbox = stack().applied();
    sandbox
        .run(&["plan", "--replace", "test_thing.vm[\"a\"]"])
        .expect_success()
        .shows("asked for")
        .shows("1 to replace");
    let before: Vec<_> = sandbox.look().things.into_keys().collect();
    apply(&sandbox, &["--replace", "test_thing.vm[\"a\"]"]);
    let after: Vec<_> = sandbox.look().things.into_keys().collect();
    let kept = after.iter().filter(|id| before.contains(id));
    assert_eq!((after.len(), kept.count()), (2, 1));
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
}

#[test]
fn a_target_is_removed_with_what_needs_it() {
    let sandbox = stack().applied();
    sandbox
        .run(&["destroy", "--yes", "--target", "test_bucket.data"])
        .expect_success();
    assert_eq!(there(&sandbox), ["a", "apart", "b", "on-a", "on-b"]);
    sandbox
        .run(&["destroy", "--yes", "--exclude", "test_entry.on[\"a\"]"])
        .expect_success();
    assert_eq!(there(&sandbox), ["a", "b", "on-a"]);
}

#[test]
fn a_saved_plan_knows_its_part() {
    let sandbox = stack();
    sandbox
        .run(&["plan", "--target", "module.site", "--out", "saved"])
        .expect_success();
    sandbox.run(&["apply", "saved"]).expect_success();
    assert_eq!(there(&sandbox), ["data", "page"]);
}

#[test]
fn what_is_recorded_may_be_taken_for_what_is_there() {
    let sandbox = stack().applied();
    let gone = |state: &mut dmp_sdk::testing::State| {
        state.things.clear();
        state.calls.clear();
    };
    sandbox.cloud().change(gone).expect("writes");
    sandbox
        .run(&["plan", "--no-refresh"])
        .expect_success()
        .shows("Nothing to do");
    assert!(sandbox.look().calls.is_empty());
}

#[test]
fn what_names_nothing_is_refused() {
    let sandbox = stack();
    for flag in ["--target", "--exclude", "--replace"] {
        sandbox
            .run(&["plan", flag, "test_thing.vn"])
            .expect_code(1)
            .says("neither the configuration nor the state has `test_thing.vn`");
    }
    sandbox
        .run(&["plan", "--target", "test_thing vm"])
        .expect_code(1)
        .says("this is not an address");
    sandbox
        .run(&["plan", "--through", "attic"])
        .expect_code(1)
        .says("the layers are network, machine, host, cluster, storage, platform");
}

const ON_A_CLOUD: &str = r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" { name = "vm" }
resource "test_entry" "on" {
  key  = "on"
  text = "hello"
  on   = test_thing.vm.id
}
"#;

fn silent(sandbox: &Sandbox, is_silent: bool) {
    let change = |state: &mut dmp_sdk::testing::State| state.faults.unreachable = is_silent;
    sandbox.cloud().change(change).expect("writes");
}

#[test]
fn what_cannot_be_reached_is_forgotten_when_the_person_says_so() {
    let sandbox = Sandbox::stack(ON_A_CLOUD).applied();
    let before = there(&sandbox);
    sandbox.write("main.hcl", r#"provider "test" { cloud = "CLOUD" }"#);
    silent(&sandbox, true);
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(3)
        .says("--forget-unreachable 'test_thing.vm'");
    // Of what is named, what lives on it goes along.
    let flags = ["--forget-unreachable", "test_thing.vm"];
    let plan: Vec<&str> = ["plan"].iter().chain(&flags).copied().collect();
    sandbox
        .run(&plan)
        .expect_success()
        .shows("it can't be reached, and is forgotten as you said")
        .shows("2 to forget");
    apply(&sandbox, &flags);
    silent(&sandbox, false);
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
    assert_eq!(there(&sandbox), before, "nothing was called");
}

#[test]
fn what_answers_is_not_forgotten_and_what_is_described_is_neither() {
    let sandbox = Sandbox::stack(ON_A_CLOUD).applied();
    silent(&sandbox, true);
    sandbox
        .run(&["apply", "--yes", "--forget-unreachable=test_thing.vm"])
        .expect_code(3)
        .says("cannot read an object");
    silent(&sandbox, false);
    sandbox
        .run(&["plan", "--forget-unreachable=test_thing.wm"])
        .expect_code(1)
        .says("nothing has this address");
    sandbox
        .run(&["destroy", "--yes", "--forget-unreachable=test_thing.vm"])
        .expect_success()
        .shows("it answers: it is deleted, not forgotten");
    assert!(sandbox.look().things.is_empty());
}

fn json(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(&ran.out).expect("JSON")
}

#[test]
fn what_was_changed_outside_is_recorded_and_nothing_else_is_done() {
    let sandbox = stack().applied();
    let change = |state: &mut dmp_sdk::testing::State| {
        state.calls.clear();
        state.entries.get_mut("apart").expect("is there").text = "by hand".into();
        state.entries.remove("page");
    };
    sandbox.cloud().change(change).expect("writes");
    let serial = |sandbox: &Sandbox| {
        json(&sandbox.run(&["state", "export"]).expect_success())["serial"].clone()
    };
    let before = serial(&sandbox);
    sandbox
        .run(&["plan", "-refresh-only", "--detailed-exitcode"])
        .expect_code(2)
        .shows("Changed outside of dmp since the last run:")
        .shows("~ test_entry.apart")
        .shows("- module.site.test_entry.page   gone")
        .shows("2 had changed");
    assert_eq!(serial(&sandbox), before, "a plan records nothing");
    sandbox
        .run(&["apply", "--refresh-only"])
        .expect_code(1)
        .says("there is no terminal to ask on");
    let ran = sandbox.run(&["refresh", "--target=test_entry.apart", "--json"]);
    let json = json(&ran.expect_success());
    assert_eq!(
        json["resource_drift"].as_array().map(Vec::len),
        Some(1),
        "{json}"
    );
    apply(&sandbox, &["--refresh-only"]).shows("1 had changed");
    let calls = sandbox.look().calls;
    let is_read = |call: &&String| call.starts_with("list") || call.starts_with("get");
    assert!(calls.iter().all(|call| is_read(&call)), "{calls:?}");
    sandbox
        .run(&["plan", "--refresh-only", "--detailed-exitcode"])
        .expect_success()
        .shows("0 had changed");
    // What is described is wanted as before.
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("~ test_entry.apart")
        .shows("+ module.site.test_entry.page");
    sandbox
        .run(&["destroy", "--refresh-only"])
        .expect_code(1)
        .says("is for `dmp plan` and `dmp apply`");
}

const CHECKED: &str = r#"
provider "test" { cloud = "CLOUD" }
resource "test_entry" "page" {
  key  = "page"
  text = "short"
}
check "length" {
  assert {
    condition     = test_entry.page.length > 100
    error_message = "The page is too short."
  }
}
check "text" {
  assert {
    condition     = test_entry.page.text != "short"
    error_message = "The text is short."
  }
}
check "file" {
  data "core_file" "marker" { path = "CLOUD-marker" }
  assert {
    condition     = data.core_file.marker.content == "right"
    error_message = "The marker is wrong."
  }
}
"#;

/// What is known before anything is applied is told by a plan; a check with data asks outside only where nothing changes.
#[test]
fn a_plan_tells_of_checks_that_do_not_hold() {
    let sandbox = Sandbox::stack(CHECKED);
    let marker = sandbox.stack_folder().join("cloud-marker");
    sandbox.write(
        "main.hcl",
        &CHECKED.replace("CLOUD-marker", &marker.display().to_string()),
    );
    std::fs::write(&marker, "wrong").expect("writable");
    sandbox
        .run(&["plan"])
        .expect_success()
        .says("The text is short.")
        .hides("The page is too short.")
        .hides("The marker is wrong.");
    apply(&sandbox, &[]);
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do")
        .says("The text is short.")
        .says("The page is too short.")
        .says("The marker is wrong.");
    sandbox
        .run(&["plan", "--no-refresh"])
        .expect_success()
        .says("The page is too short.")
        .hides("The marker is wrong.");
    std::fs::write(&marker, "right").expect("writable");
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .hides("The marker is wrong.");
    sandbox
        .run(&["plan", "--destroy"])
        .expect_success()
        .hides("The page is too short.");
}
