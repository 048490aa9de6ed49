//! The wish to stop, at any time.

use dmp_sdk::testing::State;

use crate::THREE_IN_A_ROW;
use crate::support::Sandbox;

fn interrupt(child: &std::process::Child) {
    let pid = child.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(sent.expect("starts").success());
}

fn interrupted(times: usize) -> (Sandbox, Option<i32>) {
    let sandbox = Sandbox::stack(THREE_IN_A_ROW);
    let slow = |state: &mut State| state.faults.latency = 400;
    sandbox.cloud().change(slow).expect("writes");
    let mut child = sandbox
        .command(&["apply", "--yes"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    while !sandbox.look().calls.iter().any(|call| call == "make a") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for _ in 0..times {
        interrupt(&child);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let code = child.wait().expect("ends").code();
    let fast = |state: &mut State| state.faults.latency = 0;
    sandbox.cloud().change(fast).expect("writes");
    (sandbox, code)
}

#[test]
fn the_first_wish_to_stop_finishes_what_is_under_way_and_begins_nothing() {
    let (sandbox, code) = interrupted(1);
    assert_eq!(code, Some(130));
    let cloud = sandbox.look();
    assert_eq!(cloud.things.len(), 1, "{:?}", cloud.calls);
    assert!(cloud.things.values().all(|thing| thing.is_whole));
    sandbox
        .run(&["state", "verify"])
        .shows("1 instance, 0 open intents");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(sandbox.look().things.len(), 3);
}

#[test]
fn the_second_wish_to_stop_leaves_it_and_the_next_run_goes_on() {
    let (sandbox, code) = interrupted(2);
    assert_eq!(code, Some(130));
    sandbox.run(&["state", "verify"]).shows("1 open intent");
    sandbox.run(&["apply", "--yes"]).expect_success();
    let cloud = sandbox.look();
    assert_eq!(cloud.things.len(), 3, "{:?}", cloud.calls);
    assert!(cloud.things.values().all(|thing| thing.is_whole));
}

#[test]
fn a_wish_to_stop_is_heard_while_it_is_planned() {
    let sandbox = Sandbox::stack(THREE_IN_A_ROW).applied();
    let slow = |state: &mut State| {
        state.faults.latency = 30_000;
        state.calls.clear();
    };
    sandbox.cloud().change(slow).expect("writes");
    let mut child = sandbox
        .command(&["apply", "--yes"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    // Its log says when it has begun to read: from then on it hears.
    let runs = sandbox.stack_folder().join(".dmp/runs");
    let is_reading = || {
        let logs = std::fs::read_dir(&runs).expect("is there").flatten();
        let reading = logs
            .filter(|log| log.path().extension().is_some_and(|kind| kind == "jsonl"))
            .filter_map(|log| std::fs::read_to_string(log.path()).ok())
            .filter(|log| log.contains("\"refreshing\"") && !log.contains("\"refreshed\""));
        reading.count() > 0
    };
    while !is_reading() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let began = std::time::Instant::now();
    interrupt(&child);
    let code = child.wait().expect("ends").code();
    assert_eq!(code, Some(130));
    assert!(began.elapsed().as_secs() < 10);
}
