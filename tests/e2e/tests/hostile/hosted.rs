//! What lives on others, when those are replaced or gone.

use dmp_sdk::testing::State;

use crate::support::Sandbox;

#[test]
fn what_lived_on_a_host_that_is_gone_leaves_the_state_when_the_host_is_made_anew() {
    let host = r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" { name = "vm" }
"#;
    let sandbox = Sandbox::stack(&format!(
        r#"{host}
resource "test_entry" "on" {{
  key  = "on"
  text = "x"
  on   = test_thing.vm.id
}}"#
    ))
    .applied();
    let lose = |state: &mut State| state.things.clear();
    sandbox.cloud().change(lose).expect("writes");
    sandbox.write("main.hcl", host);
    sandbox.run(&["apply", "--yes"]).expect_success();
    sandbox
        .run(&["state", "list"])
        .expect_success()
        .hides("test_entry.on");
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
}

#[test]
fn what_is_between_a_replaced_object_and_its_new_user_can_go() {
    let before = r#"
provider "test" { cloud = "CLOUD" }
resource "test_entry" "c" {
  key  = "c"
  text = "c"
}
resource "test_entry" "a" {
  key  = "a"
  text = test_entry.c.key
}
resource "test_entry" "b" {
  key  = "b"
  text = test_entry.a.key
}
"#;
    let sandbox = Sandbox::stack(before).applied();
    sandbox.write(
        "main.hcl",
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_entry" "c" {
  key  = "c2"
  text = "c"
}
resource "test_entry" "b" {
  key  = "b"
  text = test_entry.c.key
}
"#,
    );
    sandbox.run(&["apply", "--yes"]).expect_success();
    let keys: Vec<_> = sandbox.look().entries.into_keys().collect();
    assert_eq!(keys, ["b", "c2"]);
}

const HOST_AND_HOSTED: &str = r#"
provider "test" { cloud = "CLOUD" }
provider "test" {
  alias = "inner"
  cloud = "CLOUD"
  token = test_thing.vm.id
}
resource "test_thing" "vm" { name = "NAME" }
resource "test_entry" "on" {
  provider = test.inner
  key      = "on"
  text     = "x"
}
resource "test_entry" "after" {
  key        = "after"
  text       = "y"
  depends_on = [test_entry.on]
}
"#;

/// The runs of `first` that are killed at each place, each followed by `then`.
fn killed_everywhere(before: &str, after: &str, then: impl Fn(&Sandbox, &str)) {
    for number in 1..200 {
        let sandbox = Sandbox::stack(before).applied();
        sandbox.write("main.hcl", after);
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        then(&sandbox, &at);
        if ran.code == Some(0) {
            assert!(number > 5, "only {number} places");
            return;
        }
    }
}

#[test]
fn killed_in_a_replacement_of_a_host_what_lived_on_it_is_made_anew() {
    let one = HOST_AND_HOSTED.replace("NAME", "one");
    let two = HOST_AND_HOSTED.replace("NAME", "two");
    killed_everywhere(&one, &two, |sandbox, at| {
        let before = sandbox.look().calls.len();
        sandbox.run(&["apply", "--yes"]).expect_success();
        let cloud = sandbox.look();
        assert_eq!(cloud.things.len(), 1, "{at}: {:?}", cloud.calls);
        let calls = cloud.calls.iter();
        let of = |what: &str| calls.clone().filter(|call| *call == what).count();
        assert_eq!(of("make two"), 1, "{at}: {:?}", cloud.calls);
        assert!(of("create on") >= 2, "{at} ({before}): {:?}", cloud.calls);
        sandbox
            .run(&["plan"])
            .expect_success()
            .shows("Nothing to do");
        sandbox
            .run(&["state", "verify"])
            .expect_success()
            .shows("3 instances, 0 open intents");
    });
}

#[test]
fn what_moved_to_another_host_is_kept_when_its_old_host_is_made_anew() {
    let stack = |host: &str| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
resource "test_thing" "one" {{ name = "one" }}
resource "test_thing" "two" {{ name = "two" }}
resource "test_entry" "on" {{
  key  = "on"
  text = "x"
  on   = test_thing.{host}.id
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack("one")).applied();
    let lose = |state: &mut State| state.things.retain(|_, thing| thing.name != "one");
    sandbox.cloud().change(lose).expect("writes");
    sandbox.write("main.hcl", &stack("two"));
    sandbox.run(&["apply", "--yes"]).expect_success();
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("3 instances, 0 open intents");
}
