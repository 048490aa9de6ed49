//! What is lost comes back: with what lived on it, after it has left where it was known, and however often dmp is killed.

mod support;

use support::Sandbox;

const STACK: &str = r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "plane" { name = "plane" }
resource "test_thing" "worker" {
  for_each = toset(["w1", "w2"])
  name     = each.key
}
resource "test_member" "node" {
  for_each = test_thing.worker
  name     = each.key
  group    = test_thing.plane.id
  on       = each.value.id
}
resource "test_entry" "motd" {
  for_each = test_thing.worker
  key      = "motd-${each.key}"
  text     = "hello"
  on       = each.value.id
}
"#;

/// The machine is gone, with its entry; its membership is still known.
fn lose_w1(sandbox: &Sandbox) {
    let lose = |state: &mut dmp_sdk::testing::State| {
        state.things.retain(|_, thing| thing.name != "w1");
        state.entries.remove("motd-w1");
        state.calls.clear();
    };
    sandbox.cloud().change(lose).expect("writes");
}

fn changes(sandbox: &Sandbox) -> Vec<String> {
    let calls = sandbox.look().calls.into_iter();
    calls.filter(|call| !call.starts_with("list")).collect()
}

fn is_whole(sandbox: &Sandbox, at: &str) {
    let cloud = sandbox.look();
    let new = cloud.things.iter().find(|(_, thing)| thing.name == "w1");
    let (id, thing) = new.unwrap_or_else(|| panic!("{at}: {:?}", cloud.calls));
    assert!(thing.is_whole, "{at}");
    assert_eq!(cloud.things.len(), 3, "{at}: {:?}", cloud.calls);
    assert_eq!(cloud.members["w1"].on, *id, "{at}: {:?}", cloud.calls);
    assert_eq!(
        (cloud.members.len(), cloud.entries.len()),
        (2, 2),
        "{at}: {:?}",
        cloud.calls
    );
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("7 instances, 0 open intents");
}

#[test]
fn a_lost_worker_leaves_the_group_and_comes_back_with_all_that_was_on_it() {
    let sandbox = Sandbox::stack(STACK).applied();
    lose_w1(&sandbox);
    sandbox
        .run(&["rebuild", "--dry-run"])
        .expect_success()
        .says("test_thing.worker[\"w1\"]   lost   it is gone")
        .says(
            "test_member.node[\"w1\"]   lost with its host   it lived on test_thing.worker[\"w1\"]",
        )
        .says("4 intact, 1 lost, 2 lost with their host.")
        .shows("+ test_thing.worker[\"w1\"]   it is gone");
    assert_eq!(changes(&sandbox), [""; 0], "a dry run changes nothing");
    sandbox
        .run(&["rebuild", "--yes"])
        .expect_success()
        .says("3 of 3 that were lost are back");
    let calls = changes(&sandbox);
    assert_eq!(calls[0], "leave w1, dead: true, successor: true");
    assert_eq!(
        calls
            .iter()
            .filter(|call| call.starts_with("leave"))
            .count(),
        1
    );
    is_whole(&sandbox, "whole");
    sandbox
        .run(&["rebuild", "--yes"])
        .expect_success()
        .says("7 intact.")
        .says("Nothing was lost.");
}

#[test]
fn killed_at_each_place_of_a_rebuild_an_apply_goes_on() {
    for number in 1..200 {
        let sandbox = Sandbox::stack(STACK).applied();
        lose_w1(&sandbox);
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&["rebuild", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            assert!(number > 20, "only {number} places");
            return;
        }
        sandbox.run(&["apply", "--yes"]).expect_success();
        is_whole(&sandbox, &at);
    }
    panic!("it never came to its end");
}

#[test]
fn what_is_called_lost_is_not_asked_for_and_an_apply_goes_on_after_a_kill() {
    let arguments = ["rebuild", "--yes", "--lost", "test_thing.worker[\"w1\"]"];
    for number in 1..200 {
        let sandbox = Sandbox::stack(STACK).applied();
        lose_w1(&sandbox);
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&arguments, &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            assert!(number > 20, "only {number} places");
            return;
        }
        sandbox.run(&["apply", "--yes"]).expect_success();
        is_whole(&sandbox, &at);
    }
    panic!("it never came to its end");
}

#[test]
fn what_is_guarded_and_dead_comes_back_all_the_same() {
    let guarded = STACK.replace(
        "name     = each.key\n}\nresource \"test_member\"",
        "name     = each.key\n  lifecycle { prevent_destroy = true }\n}\nresource \"test_member\"",
    );
    let sandbox = Sandbox::stack(&guarded).applied();
    lose_w1(&sandbox);
    sandbox.run(&["rebuild", "--yes"]).expect_success();
    is_whole(&sandbox, "guarded");
}

#[test]
fn a_lost_worker_that_is_no_longer_wanted_leaves_and_is_forgotten() {
    let sandbox = Sandbox::stack(STACK).applied();
    lose_w1(&sandbox);
    sandbox.write("main.hcl", &STACK.replace("\"w1\", \"w2\"", "\"w2\""));
    sandbox
        .run(&["rebuild", "--yes", "--lost", "test_thing.worker[\"w1\"]"])
        .expect_success()
        .says("no longer in the configuration: ");
    assert_eq!(
        changes(&sandbox),
        ["leave w1, dead: true, successor: false"]
    );
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("4 instances, 0 open intents");
}

#[test]
fn a_worker_that_is_taken_away_leaves_while_it_lives() {
    let sandbox = Sandbox::stack(STACK).applied();
    sandbox
        .cloud()
        .change(|state| state.calls.clear())
        .expect("writes");
    sandbox.write("main.hcl", &STACK.replace("\"w1\", \"w2\"", "\"w2\""));
    sandbox.run(&["apply", "--yes"]).expect_success();
    let calls = changes(&sandbox);
    assert_eq!(calls[0], "leave w1, dead: false, successor: false");
    assert!(calls[1].starts_with("delete t-"), "{calls:?}");
    assert_eq!(calls.len(), 2, "{calls:?}");
}

#[test]
fn nobody_leaves_a_group_that_ends_itself() {
    let sandbox = Sandbox::stack(STACK).applied();
    sandbox
        .cloud()
        .change(|state| state.calls.clear())
        .expect("writes");
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert!(sandbox.look().things.is_empty());
    assert!(
        changes(&sandbox)
            .iter()
            .all(|call| call.starts_with("delete")),
        "{:?}",
        changes(&sandbox)
    );
}

#[test]
fn an_address_that_is_not_recorded_is_refused() {
    let sandbox = Sandbox::stack(STACK).applied();
    sandbox
        .run(&["rebuild", "--lost", "test_thing.worker[\"w3\"]"])
        .expect_code(1)
        .says("the state has no `test_thing.worker[\"w3\"]`")
        .says("did you mean");
    // A program reads it where it reads everything else.
    let told = sandbox
        .run(&["rebuild", "--json", "--lost", "test_thing.worker[\"w3\"]"])
        .expect_code(1);
    let event: serde_json::Value = serde_json::from_str(told.out.trim()).expect("one event");
    assert_eq!(event["diagnostic"]["severity"], "error", "{event}");
}

#[test]
fn what_is_called_lost_may_move_in_the_same_run() {
    let sandbox = Sandbox::stack(STACK).applied();
    lose_w1(&sandbox);
    let moved = STACK
        .replace("test_thing\" \"worker\"", "test_thing\" \"machine\"")
        .replace("test_thing.worker", "test_thing.machine");
    let moved = moved + "moved {\n  from = test_thing.worker\n  to = test_thing.machine\n}\n";
    sandbox.write("main.hcl", &moved);
    sandbox
        .run(&["rebuild", "--yes", "--lost", "test_thing.worker[\"w1\"]"])
        .expect_success()
        .says("test_thing.machine[\"w1\"]   lost   as you said");
    is_whole(&sandbox, "moved");
}

#[test]
fn a_silent_api_is_no_lost_machine() {
    let sandbox = Sandbox::stack(STACK).applied();
    sandbox
        .cloud()
        .change(|state| state.faults.unreachable = true)
        .expect("writes");
    sandbox
        .run(&["rebuild", "--yes"])
        .expect_code(3)
        .says("7 unreachable.")
        .says("object: test_thing.worker[\"w2\"]")
        .says("cannot reach the cloud")
        .hides("--lost");
    assert!(sandbox.look().things.len() == 3, "nothing was done");
}

#[test]
fn what_is_made_anew_is_not_lost_again_where_a_second_round_follows() {
    let hcl = format!(
        "{STACK}resource \"test_entry\" \"late\" {{\n  for_each = toset([test_thing.worker[\"w1\"].id])\n  \
         key = \"late-${{each.key}}\"\n  text = each.key\n}}\n"
    );
    let sandbox = Sandbox::stack(&hcl).applied();
    lose_w1(&sandbox);
    let ran = sandbox
        .run(&["rebuild", "--yes", "--lost", "test_thing.worker[\"w1\"]"])
        .expect_code(4);
    let planned = ran
        .out
        .matches("test_thing.worker[\"w1\"]   it is lost")
        .count();
    assert_eq!(planned, 1, "{}", ran.out);
    sandbox.run(&["apply", "--yes"]).expect_success();
    let made = changes(&sandbox).into_iter();
    let made = made.filter(|call| call == "make w1").count();
    assert_eq!(made, 1, "{:?}", changes(&sandbox));
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
}

/// The same group, its members kept apart from the names of their machines.
const NAMED: &str = r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "plane" { name = "plane" }
resource "test_thing" "worker" {
  for_each = toset(["w1", "w2"])
  name     = each.key
}
resource "test_member" "node" {
  for_each = toset(["NODE"])
  name     = "w"
  group    = test_thing.plane.id
  on       = test_thing.worker[each.key].id
}
"#;

#[test]
fn a_name_is_free_before_another_member_takes_it() {
    for is_lost in [false, true] {
        let sandbox = Sandbox::stack(&NAMED.replace("NODE", "w1")).applied();
        if is_lost {
            lose_w1(&sandbox);
        }
        sandbox.write("main.hcl", &NAMED.replace("NODE", "w2"));
        let slow = |state: &mut dmp_sdk::testing::State| {
            state.calls.clear();
            state.faults.latency = 100;
        };
        sandbox.cloud().change(slow).expect("writes");
        sandbox.run(&["rebuild", "--yes"]).expect_success();
        let calls = changes(&sandbox);
        let at = |word: &str| calls.iter().position(|call| call.starts_with(word));
        let (left, joined) = (at("leave w"), at("join w"));
        assert!(left.is_some() && left < joined, "{calls:?}");
        if !is_lost {
            assert!(at("reset w") < joined, "{calls:?}");
        }
        let on = sandbox.look().members["w"].on.clone();
        assert_eq!(sandbox.look().things[&on].name, "w2");
    }
}
