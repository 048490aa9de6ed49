//! `timeouts`: how long work may take, and what becomes of work that takes longer.

mod support;

use dmp_sdk::testing::State;
use support::Sandbox;

const STACK: &str = r#"
provider "test" { cloud = "CLOUD" }
variable "patience" { default = "600ms" }
variable "size" { default = 1 }
variable "number" { default = 1 }
resource "test_thing" "a" {
  count = var.number
  name  = "a"
  size  = var.size
  timeouts {
    create = var.patience
    update = "600ms"
    delete = "600ms"
  }
}
"#;

fn slow(sandbox: &Sandbox, milliseconds: u64) {
    let change = |state: &mut State| state.faults.latency = milliseconds;
    sandbox.cloud().change(change).expect("writable");
}

#[test]
fn a_create_that_takes_too_long_is_ended_and_finished_by_the_next_apply() {
    let sandbox = Sandbox::stack(STACK);
    // The first of three calls is through when the time is over: the thing is there, and not whole.
    slow(&sandbox, 400);
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(3)
        .says("the time for the work is over")
        .says("the create was not done within 0.6 s, the time that `timeouts` gives")
        .says("is recorded as suspect");
    assert_eq!(sandbox.look().things.len(), 1);
    slow(&sandbox, 0);
    let sandbox = sandbox.applied();
    let things = sandbox.look().things;
    assert_eq!(things.len(), 1);
    assert!(things.values().all(|thing| thing.is_whole));
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
}

#[test]
fn a_create_of_which_nothing_is_there_yet_is_looked_for_by_the_next_run() {
    let sandbox = Sandbox::stack(STACK);
    slow(&sandbox, 1500);
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(3)
        .says("nothing of it is there yet; its intent is open and is settled by the next run");
    slow(&sandbox, 0);
    let sandbox = sandbox.applied();
    assert_eq!(sandbox.look().things.len(), 1);
}

#[test]
fn updates_and_deletes_end_when_their_time_is_over() {
    let sandbox = Sandbox::stack(STACK).applied();
    slow(&sandbox, 1000);
    sandbox
        .run(&["apply", "--yes", "--var", "size=2"])
        .expect_code(3)
        .says("the update was not done within 0.6 s");
    sandbox
        .run(&["apply", "--yes", "--var", "number=0"])
        .expect_code(3)
        .says("the delete was not done within 0.6 s")
        .says("stays in the state");
    slow(&sandbox, 0);
    sandbox
        .run(&["apply", "--yes", "--var", "size=2"])
        .expect_success();
    assert!(sandbox.look().things.values().all(|thing| thing.size == 2));
    sandbox
        .run(&["apply", "--yes", "--var", "number=0"])
        .expect_success();
    assert!(sandbox.look().things.is_empty());
}

#[test]
fn reading_ends_when_its_time_is_over() {
    let hcl = STACK.replace("create =", "read = \"300ms\"\n    create =");
    let sandbox = Sandbox::stack(&hcl).applied();
    slow(&sandbox, 1000);
    sandbox
        .run(&["plan"])
        .expect_code(3)
        .says("not read within 0.3 s, the time that `timeouts` gives");
}

#[test]
fn what_is_no_time_and_no_work_is_refused() {
    let sandbox = Sandbox::stack(STACK);
    sandbox
        .run(&["plan", "--var", "patience=soon"])
        .expect_code(1)
        .says("`create` of `timeouts` is a text like `30s` or `1h30m`");
    let hcl = STACK.replace("update = \"600ms\"", "updat = \"1m\"\n    delete_all = 3");
    sandbox.write("main.hcl", &hcl);
    sandbox
        .run(&["validate"])
        .expect_code(1)
        .says("`timeouts` has no argument `updat`")
        .says("did you mean `update`?")
        .says("`timeouts` has no argument `delete_all`");
    sandbox.write(
        "main.hcl",
        &STACK.replace("delete = \"600ms\"", "delete = -1"),
    );
    sandbox
        .run(&["validate"])
        .expect_code(1)
        .says("`delete` of `timeouts` is a text like");
}
