//! What an administrator fears: things that are lost, done twice, deleted unasked or shown to everybody.

#[path = "hostile/hosted.rs"]
mod hosted;
#[path = "hostile/later.rs"]
mod later;
#[path = "hostile/secrets.rs"]
mod secrets;
#[path = "hostile/stopped.rs"]
mod stopped;
mod support;

use dmp_sdk::testing::{Entry, State};
use support::Sandbox;

const THREE_IN_A_ROW: &str = r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "a" { name = "a" }
resource "test_thing" "b" { name = "b-${test_thing.a.id}" }
resource "test_thing" "c" { name = "c-${test_thing.b.id}" }
"#;

fn put(sandbox: &Sandbox, key: &str, text: &str) {
    let put = |state: &mut State| {
        let text = text.into();
        state.entries.insert(key.into(), Entry { text });
    };
    sandbox.cloud().change(put).expect("writes");
}

#[test]
fn an_alias_that_is_not_declared_deletes_nothing() {
    let stack = |provider: &str| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
resource "test_entry" "a" {{
  {provider}
  key  = "a"
  text = "x"
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack("")).applied();
    sandbox.write("main.hcl", &stack("provider = test.nobody"));
    sandbox.run(&["apply", "--yes"]).expect_code(1);
    assert_eq!(sandbox.look().entries.len(), 1);
}

#[test]
fn a_provider_that_changes_does_not_delete_in_the_new_place() {
    let stack = |provider: &str, key: &str| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
provider "test" {{
  alias = "other"
  cloud = "CLOUD.other"
}}
resource "test_entry" "a" {{
  provider = {provider}
  key      = "{key}"
  text     = "mine"
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack("test", "a")).applied();
    let other = dmp_sdk::testing::Cloud::at(&sandbox.path().join("cloud.json.other"));
    let put = |state: &mut State| {
        let text = "theirs".into();
        state.entries.insert("a".into(), Entry { text });
    };
    other.change(put).expect("writes");
    sandbox.write("main.hcl", &stack("test.other", "b"));
    sandbox.run(&["apply", "--yes"]).expect_success();
    let there = other.look().expect("readable").entries;
    assert_eq!(there["a"].text, "theirs", "it is not dmp's");
    assert_eq!(there["b"].text, "mine");
    assert!(sandbox.look().entries.is_empty(), "the old one is gone");
}

#[test]
fn an_object_whose_provider_changes_is_not_lost_from_sight() {
    let stack = |provider: &str| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
provider "test" {{
  alias = "other"
  cloud = "CLOUD.other"
}}
provider "test" {{
  alias = "same"
  cloud = "CLOUD"
}}
resource "test_entry" "a" {{
  provider = {provider}
  key      = "a"
  text     = "mine"
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack("test")).applied();
    sandbox.write("main.hcl", &stack("test.same"));
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
    sandbox.write("main.hcl", &stack("test.other"));
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("1 to replace");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert!(sandbox.look().entries.is_empty(), "the old one is gone");
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
}

#[test]
fn what_is_half_made_is_finished_as_the_configuration_now_is() {
    let stack = |size: u32| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
resource "test_thing" "vm" {{
  name = "vm"
  size = {size}
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack(1));
    let lose = |state: &mut State| state.faults.lose_answer.push("vm".into());
    sandbox.cloud().change(lose).expect("writes");
    sandbox.run(&["apply", "--yes"]).expect_code(3);
    let find = |state: &mut State| state.faults.lose_answer.clear();
    sandbox.cloud().change(find).expect("writes");
    sandbox.write("main.hcl", &stack(2));
    for _ in 0..2 {
        let _ = sandbox.run(&["apply", "--yes"]);
    }
    let cloud = sandbox.look();
    assert_eq!(cloud.things.len(), 1);
    assert!(
        cloud
            .things
            .values()
            .all(|thing| thing.size == 2 && thing.is_whole)
    );
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
}

#[test]
fn what_a_removed_block_names_stays_outside() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" { name = "vm" }
resource "test_entry" "on" {
  key  = "on"
  text = "x"
  on   = test_thing.vm.id
}
"#,
    )
    .applied();
    sandbox.write(
        "main.hcl",
        r#"
provider "test" { cloud = "CLOUD" }
removed {
  from = test_thing.vm
  lifecycle { destroy = false }
}
removed {
  from = test_entry.on
  lifecycle { destroy = false }
}
"#,
    );
    sandbox.run(&["apply", "--yes"]).expect_success();
    let cloud = sandbox.look();
    assert_eq!((cloud.things.len(), cloud.entries.len()), (1, 1));
    sandbox
        .run(&["state", "list"])
        .expect_success()
        .hides("test_");
}

#[test]
fn a_guard_in_the_state_holds_where_its_block_is_gone_or_its_host_ends() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" { name = "vm" }
resource "test_entry" "on" {
  key  = "on"
  text = "x"
  on   = test_thing.vm.id
  lifecycle { prevent_destroy = true }
}
"#,
    )
    .applied();
    sandbox.run(&["destroy", "--yes"]).expect_code(1);
    sandbox.write("main.hcl", r#"provider "test" { cloud = "CLOUD" }"#);
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(1)
        .says("prevent_destroy");
    assert_eq!(sandbox.look().things.len(), 1);
}

#[test]
fn a_cloud_that_does_not_answer_deletes_and_creates_nothing() {
    let sandbox = Sandbox::stack(THREE_IN_A_ROW).applied();
    let fall_silent = |state: &mut State| state.faults.unreachable = true;
    sandbox.cloud().change(fall_silent).expect("writes");
    sandbox.run(&["apply", "--yes"]).expect_code(3);
    sandbox.run(&["destroy", "--yes"]).expect_code(3);
    let answer = |state: &mut State| state.faults.unreachable = false;
    sandbox.cloud().change(answer).expect("writes");
    assert_eq!(sandbox.look().things.len(), 3);
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
}

#[test]
fn from_count_to_for_each_and_back_nothing_stays_behind() {
    let stack = |repetition: &str, name: &str| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
resource "test_thing" "vm" {{
  {repetition}
  name = {name}
}}
resource "test_entry" "all" {{
  key  = "all"
  text = jsonencode(test_thing.vm)
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack("count = 2", "\"vm-${count.index}\"")).applied();
    for (repetition, name, things) in [
        ("for_each = toset([\"0\", \"1\"])", "\"vm-${each.key}\"", 2),
        ("", "\"vm\"", 1),
        ("count = 0", "\"vm\"", 0),
        ("for_each = { a = 1 }", "\"vm\"", 1),
    ] {
        sandbox.write("main.hcl", &stack(repetition, name));
        sandbox.run(&["apply", "--yes"]).expect_success();
        assert_eq!(sandbox.look().things.len(), things, "{repetition}");
        sandbox
            .run(&["plan"])
            .expect_success()
            .shows("Nothing to do");
    }
}

#[test]
fn a_saved_replacement_is_not_made_with_other_values() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_entry" "source" {
  key  = "source"
  text = "one"
  lifecycle { ignore_changes = [text] }
}
resource "test_thing" "vm" {
  name = test_entry.source.text
  size = length(test_entry.source.text)
}
"#,
    )
    .applied();
    put(&sandbox, "source", "two");
    sandbox
        .run(&["plan", "--out", "saved"])
        .expect_success()
        .shows("1 to replace");
    put(&sandbox, "source", "three");
    sandbox.run(&["apply", "saved"]).expect_code(4);
    assert!(
        sandbox
            .look()
            .things
            .values()
            .all(|thing| thing.name == "one")
    );
}

#[test]
fn two_that_change_places_are_refused_before_one_deletes_the_other() {
    let stack = |one: &str, two: &str| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
resource "test_entry" "one" {{
  key  = "{one}"
  text = "one"
}}
resource "test_entry" "two" {{
  key  = "{two}"
  text = "two"
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack("x", "y")).applied();
    sandbox.write("main.hcl", &stack("y", "x"));
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(1)
        .says("two instances are one object");
    assert_eq!(sandbox.look().entries["x"].text, "one");
    assert_eq!(sandbox.look().entries["y"].text, "two");
}

#[test]
fn without_any_block_left_everything_is_deleted_through_what_is_recorded() {
    let sandbox = Sandbox::stack(THREE_IN_A_ROW).applied();
    sandbox.write("main.hcl", "");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert!(sandbox.look().things.is_empty());
    let calls = sandbox.look().calls;
    let deletes: Vec<_> = calls
        .iter()
        .filter(|call| call.starts_with("delete"))
        .collect();
    assert_eq!(deletes, ["delete t-3", "delete t-2", "delete t-1"]);
}
