//! What each single loss would take along is said without touching anything.

mod support;

use serde_json::Value as Json;
use support::Sandbox;

/// Three members in two racks, of which a group needs two; what stands on one; a group that is changed one at a time.
const STACK: &str = r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "plane" {
  for_each = toset(["a@r1", "b@r1", "c@r2"])
  name     = each.key
  lifecycle {
    rollout {
      max_out = 1
    }
  }
}
resource "test_group" "cluster" {
  name   = "cluster"
  quorum = [for plane in test_thing.plane : plane.id]
}
resource "test_entry" "motd" {
  key  = "motd"
  text = "hello"
  on   = test_thing.plane["c@r2"].id
}
"#;

fn json(sandbox: &Sandbox, more: &[&str]) -> Json {
    let arguments = [&["what-if", "--json"], more].concat();
    let ran = sandbox.run(&arguments);
    serde_json::from_str(&ran.out).expect("JSON")
}

fn loss<'a>(json: &'a Json, member: &str, value: &str) -> &'a Json {
    let losses = json["losses"].as_array().expect("a list");
    let mut losses = losses.iter();
    let found = losses.find(|loss| loss["lost"][member] == value);
    found.unwrap_or_else(|| panic!("no {value} in {json:#}"))
}

#[test]
fn a_rack_takes_the_quorum_along_and_a_single_member_does_not() {
    let sandbox = Sandbox::stack(STACK).applied();
    let before = sandbox.look().calls.len();
    let ran = sandbox.run(&["what-if"]);
    assert_eq!(ran.code, Some(2), "{}\n{}", ran.out, ran.err);
    let ran = ran
        .shows("✗ rack/r1 of test")
        .shows("test_group.cluster: 1 of 3 left, needs 2")
        .shows("✓ test_thing.plane[\"a@r1\"]")
        .shows("test_group.cluster: 2 of 3 left, needs 2")
        .shows("test_thing.plane: 2 of 3 left, needs 2")
        .shows("1 of 5 losses can't be borne.");
    assert!(
        ran.out.find("rack/r1") < ran.out.find("rack/r2"),
        "{}",
        ran.out
    );
    assert_eq!(sandbox.look().calls.len(), before, "nothing is asked");

    let all = json(&sandbox, &[]);
    assert_eq!(all["survivable"], false);
    let rack = loss(&all, "name", "r1");
    assert_eq!(
        rack["dies"],
        serde_json::json!([
            "test_group.cluster",
            "test_thing.plane[\"a@r1\"]",
            "test_thing.plane[\"b@r1\"]"
        ])
    );
    assert_eq!(rack["made_again"], rack["dies"]);
    let member = loss(&all, "address", "test_thing.plane[\"c@r2\"]");
    assert_eq!(member["survivable"], true);
    assert_eq!(
        member["dies"],
        serde_json::json!(["test_entry.motd", "test_thing.plane[\"c@r2\"]"])
    );
    assert_eq!(member["without_recorded_time"], 0);
}

#[test]
fn the_stack_as_planned_is_judged_before_it_is_there() {
    let sandbox = Sandbox::stack(STACK);
    sandbox
        .run(&["what-if"])
        .expect_success()
        .shows("there is nothing to lose");
    let planned = json(&sandbox, &["--planned"]);
    assert_eq!(loss(&planned, "name", "r1")["survivable"], false);
    // What has never been made has no time.
    assert_eq!(loss(&planned, "name", "r1")["without_recorded_time"], 3);
    assert_eq!(sandbox.look().things.len(), 0);

    // A third rack for the third member.
    sandbox.write("main.hcl", &STACK.replace("\"b@r1\"", "\"b@r3\""));
    sandbox
        .run(&["what-if", "--planned"])
        .expect_success()
        .shows("Each of 6 losses can be borne");
}

#[test]
fn one_loss_is_told_in_full_and_an_unknown_one_is_refused() {
    let sandbox = Sandbox::stack(STACK).applied();
    sandbox
        .run(&["what-if", "rack/r2"])
        .expect_success()
        .shows("dies: test_entry.motd")
        .shows("dies: test_thing.plane[\"c@r2\"]");
    // What nobody describes any more stays away.
    let without = STACK.split("resource \"test_entry\"").next();
    sandbox.write("main.hcl", without.expect("is there"));
    sandbox
        .run(&["what-if", "rack/r2"])
        .expect_success()
        .shows("dies: test_entry.motd   not described any more, stays away");
    let unknown = sandbox.run(&["what-if", "rack/r9"]);
    assert_eq!(unknown.code, Some(1));
    unknown
        .says("`rack/r9` is neither a machine")
        .says("rack/r");
}
