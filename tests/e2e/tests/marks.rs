//! Marks that no field can carry: a name that dmp chooses, and a number chosen before the call with a second identity.

mod support;

use dmp_sdk::testing::{Bucket, Slot, State};
use support::Sandbox;

const BUCKET: &str = r#"
provider "test" { cloud = "CLOUD" }
variable "size" { default = 1 }
resource "test_bucket" "data" {
  label = "data"
  size  = var.size
}
output "name" { value = test_bucket.data.name }
"#;

const SLOT: &str = r#"
provider "test" { cloud = "CLOUD" }
variable "text" { default = "mine" }
resource "test_slot" "vm" { text = var.text }
output "number" { value = test_slot.vm.number }
"#;

fn change(sandbox: &Sandbox, change: impl FnOnce(&mut State)) {
    sandbox.cloud().change(change).expect("writes");
}

fn settled(sandbox: &Sandbox, at: &str) {
    let plan = sandbox.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{at}\n{}{}", plan.out, plan.err);
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("1 instance, 0 open intents");
}

/// Kills an apply at each of its places, and goes on each time.
fn killed_at_each_place(stack: &str, check: impl Fn(&State, &str)) -> u32 {
    for number in 1..100 {
        let sandbox = Sandbox::stack(stack);
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            return number - 1;
        }
        assert_eq!(ran.code, None, "killed at {at}: {}", ran.err);
        sandbox.run(&["apply", "--yes"]).expect_success();
        check(&sandbox.look(), &at);
        settled(&sandbox, &at);
        sandbox.run(&["destroy", "--yes"]).expect_success();
        let left = sandbox.look();
        assert!(left.buckets.is_empty() && left.slots.is_empty(), "{at}");
    }
    panic!("it never came to its end");
}

#[test]
fn a_chosen_name_carries_the_mark_and_is_found_by_it_after_a_kill_anywhere() {
    let places = killed_at_each_place(BUCKET, |cloud, at| {
        assert_eq!(cloud.buckets.len(), 1, "{at}: {:?}", cloud.calls);
        let creates = cloud.calls.iter().filter(|call| call.contains("create"));
        assert!(creates.count() <= 2, "{at}: {:?}", cloud.calls);
    });
    assert!(places > 6, "only {places} places");
}

#[test]
fn a_name_is_chosen_once_and_no_other_bucket_is_touched() {
    let sandbox = Sandbox::stack(BUCKET);
    let theirs = Bucket {
        label: "data".into(),
        size: 9,
        is_ready: true,
    };
    change(&sandbox, |state| {
        state.buckets.insert("data-theirs".into(), theirs.clone());
    });
    let sandbox = sandbox.applied();
    let name = |sandbox: &Sandbox| {
        sandbox
            .run(&["output", "--raw", "name"])
            .expect_success()
            .out
    };
    let first = name(&sandbox);
    sandbox
        .run(&["apply", "--yes", "--var", "size=2"])
        .expect_success();
    assert_eq!(name(&sandbox), first);
    assert_eq!(sandbox.look().buckets[first.trim()].size, 2);
    sandbox.run(&["destroy", "--yes"]).expect_success();
    let left: Vec<_> = sandbox.look().buckets.into_iter().collect();
    assert_eq!(left, [("data-theirs".to_owned(), theirs)]);
}

#[test]
fn a_number_is_recorded_before_the_call_and_found_after_a_kill_anywhere() {
    let places = killed_at_each_place(SLOT, |cloud, at| {
        assert_eq!(cloud.slots.len(), 1, "{at}: {:?}", cloud.calls);
        assert!(cloud.slots.values().all(|slot| slot.text == "mine"), "{at}");
    });
    assert!(places > 6, "only {places} places");
}

#[test]
fn a_create_at_a_number_whose_answer_was_lost_is_not_repeated_elsewhere() {
    let sandbox = Sandbox::stack(SLOT);
    change(&sandbox, |state| {
        state.faults.lose_answer = vec!["any".into()];
    });
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(3)
        .says("is recorded as suspect");
    change(&sandbox, |state| state.faults.lose_answer.clear());
    sandbox.run(&["apply", "--yes"]).expect_success();
    let cloud = sandbox.look();
    assert_eq!(cloud.slots.len(), 1, "{:?}", cloud.calls);
    settled(&sandbox, "a lost answer");
}

#[test]
fn a_number_that_was_given_out_again_is_another_object_and_stays() {
    let sandbox = Sandbox::stack(SLOT).applied();
    let number = sandbox.run(&["output", "--raw", "number"]).expect_success();
    let number = number.out.trim().to_owned();
    let theirs = Slot {
        identity: "somebody else's".into(),
        text: "theirs".into(),
    };
    change(&sandbox, |state| {
        state.slots.insert(number.clone(), theirs.clone());
    });
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("+ test_slot.vm");
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert_eq!(sandbox.look().slots[&number], theirs, "it is not ours");
}

#[test]
fn a_number_that_another_has_taken_is_refused_and_theirs_stays() {
    // The number follows from the instance's id: what an apply would take is seen in its intent.
    let sandbox = Sandbox::stack(SLOT);
    let killed = sandbox.run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", "commit.after:2")]);
    assert_eq!(killed.code, None, "{}", killed.err);
    let taken = (100..1000).map(|number| {
        let slot = Slot {
            identity: "somebody else's".into(),
            text: "theirs".into(),
        };
        (number.to_string(), slot)
    });
    change(&sandbox, |state| state.slots.extend(taken));
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(3)
        .says("is taken")
        .says("`test_slot.vm` does not exist, nothing is recorded of it");
    let cloud = sandbox.look();
    assert!(cloud.slots.values().all(|slot| slot.text == "theirs"));
}
