//! dmp killed at every commit and before every call: the next run goes on, nothing is lost, nothing is made twice.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use dmp_sdk::testing::{Faults, State};
use support::Sandbox;

const STACK: &str = r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" {
  count = 3
  name  = "vm-${count.index}"
}
resource "test_entry" "motd" {
  count = 3
  key   = "motd-${count.index}"
  text  = "on ${test_thing.vm[count.index].id}"
  on    = test_thing.vm[count.index].id
}
resource "test_entry" "last" {
  key  = "last"
  text = join(",", test_entry.motd[*].text)
}
"#;

fn check_whole(sandbox: &Sandbox, at: &str) {
    let cloud = sandbox.look();
    assert_eq!(cloud.things.len(), 3, "killed at {at}: {:?}", cloud.calls);
    assert_eq!(cloud.entries.len(), 4, "killed at {at}: {:?}", cloud.calls);
    assert!(
        cloud.things.values().all(|thing| thing.is_whole),
        "killed at {at}"
    );
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("7 instances, 0 open intents");
}

#[test]
fn killed_at_each_place_of_an_apply_the_next_one_goes_on() {
    let mut places = 0;
    for number in 1..200 {
        let sandbox = Sandbox::stack(STACK);
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            places = number - 1;
            break;
        }
        assert_eq!(ran.code, None, "it was killed at {at}: {}", ran.err);
        sandbox.run(&["apply", "--yes"]).expect_success();
        check_whole(&sandbox, &at);
    }
    assert!(places > 40, "only {places} places");
}

/// A cloud works on when its caller is gone: what it was asked for is there a while after the kill, and no listing shows it before.
#[test]
fn what_comes_about_after_the_kill_is_taken_up_and_not_made_twice() {
    let sandbox = Sandbox::stack(
        "provider \"test\" { cloud = \"CLOUD\" }\nresource \"test_late_thing\" \"vm\" {\n  name = \"vm\"\n}\n",
    );
    let slow = |cloud: &mut State| {
        cloud.faults.latency = 1000;
        cloud.faults.late = 2;
    };
    sandbox.cloud().change(slow).expect("writable");
    let mut apply = sandbox.command(&["apply", "--yes"]);
    let mut apply = apply.spawn().expect("dmp starts");
    let begun = Instant::now();
    while sandbox.look().coming.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is made");
        thread::sleep(Duration::from_millis(20));
    }
    apply.kill().expect("it runs");
    apply.wait().expect("it ends");
    assert!(sandbox.look().things.is_empty(), "nobody sees it yet");

    let quick = |cloud: &mut State| cloud.faults = Faults::default();
    sandbox.cloud().change(quick).expect("writable");
    sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .says("may still come about");
    let cloud = sandbox.look();
    assert_eq!(cloud.things.len(), 1, "{:?}", cloud.calls);
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("1 instance, 0 open intents");
}

#[test]
fn killed_at_each_place_of_a_destroy_the_next_one_goes_on() {
    for number in 1..200 {
        let sandbox = Sandbox::stack(STACK).applied();
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&["destroy", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            assert!(number > 10, "only {number} places");
            return;
        }
        sandbox.run(&["destroy", "--yes"]).expect_success();
        assert!(sandbox.look().things.is_empty(), "killed at {at}");
        sandbox
            .run(&["state", "verify"])
            .expect_success()
            .shows("0 instances, 0 open intents");
    }
}

#[test]
fn two_runs_at_once_are_refused_and_the_living_one_is_named() {
    let sandbox = Sandbox::stack(STACK);
    sandbox
        .cloud()
        .change(|state| state.faults.latency = 300)
        .expect("writes");
    let mut first = sandbox
        .command(&["apply", "--yes"])
        .spawn()
        .expect("starts");
    let lock = sandbox.stack_folder().join(".dmp/lock");
    while !std::fs::read_to_string(&lock).is_ok_and(|text| text.contains("pid")) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let pid = first.id().to_string();
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(5)
        .says("another run holds the state")
        .says(&pid);
    sandbox
        .run(&["state", "unlock"])
        .expect_code(5)
        .says("another run holds the state")
        .says(&pid);
    assert!(first.wait().expect("ends").success());
    sandbox
        .run(&["state", "unlock"])
        .expect_success()
        .shows("Nobody holds the state.");
    let change = ["destroy", "--yes"];
    let cut = sandbox.run_with(&change, &[("DMP_FAIL_AT", "call.before:1")]);
    assert_eq!(cut.code, None, "{}", cut.err);
    for _ in 0..2 {
        sandbox
            .run(&["state", "unlock"])
            .expect_success()
            .shows("Nobody holds the state. `dmp destroy`, process")
            .shows("ended without giving it back");
    }
    sandbox
        .run(&change)
        .expect_success()
        .says("ended without a word");
}
