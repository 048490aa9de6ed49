//! dmp on a terminal, a pseudo-terminal of `script`: what is under way is shown by layer, the screen is clean in the end,
//! and Ctrl-C is heard at the question and at work.

mod support;

use std::process::Command;

use dmp_sdk::testing::{Entry, State};
use dmp_testkit::{Ended, Terminal};
use support::Sandbox;

const CTRL_C: &str = "\u{3}";
const SPINNERS: &str = "⠁⠂⠄⡀⢀⠠⠐⠈⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";

/// dmp with these words on a terminal, in a sandbox's stack.
fn on_a_terminal(
    sandbox: &Sandbox,
    words: &[&str],
    environment: &[(&str, &str)],
) -> Option<Terminal> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmp-e2e"));
    command
        .args(words)
        .current_dir(sandbox.stack_folder())
        .env("HOME", sandbox.path())
        .envs(environment.iter().copied());
    Terminal::run(&command)
}

/// Whether an output has sequences that set colours.
fn has_colours(output: &str) -> bool {
    let sequences = output.split("\u{1b}[").skip(1);
    let mut ends = sequences.map(|rest| {
        rest.find(|sign: char| !"0123456789;?".contains(sign))
            .map(|at| (&rest[..at], &rest[at..]))
    });
    ends.any(|end| {
        end.is_some_and(|(number, rest)| {
            rest.starts_with('m') && !number.is_empty() && number != "0"
        })
    })
}

const TWO_LAYERS: &str = r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" {
  count = 2
  name  = "vm-${count.index}"
}
resource "test_entry" "motd" {
  key  = "motd"
  text = "hello ${test_thing.vm[1].id}"
}
"#;

const QUESTION: &str = "Only `yes` is taken for a yes:";

/// A stack whose cloud takes its time.
fn slow(hcl: &str) -> Sandbox {
    let sandbox = Sandbox::stack(hcl);
    let slow = |state: &mut State| state.faults.latency = 400;
    sandbox.cloud().change(slow).expect("writes");
    sandbox
}

#[test]
fn what_is_under_way_is_shown_by_layer_and_the_screen_is_clean_in_the_end() {
    let sandbox = slow(TWO_LAYERS);
    let Some(mut terminal) = on_a_terminal(&sandbox, &["apply"], &[]) else {
        return;
    };
    terminal.wait_for(QUESTION);
    terminal.press("yes\r");
    let Ended {
        code,
        output,
        screen,
    } = terminal.end();
    assert_eq!(code, Some(0), "{output}");
    let drawn = output.split(['\r', '\n']);
    let is_live = |layer: &str, done: &str| {
        drawn
            .clone()
            .any(|line| line.contains(layer) && line.contains(done) && line.contains("test_"))
    };
    assert!(is_live("machine", "0 done"), "{output:?}");
    assert!(
        output.contains("test_thing.vm[0]: make the thing"),
        "{output:?}"
    );
    assert!(has_colours(&output), "{output:?}");
    let text = screen.join("\n");
    for made in ["test_thing.vm[0]", "test_thing.vm[1]", "test_entry.motd"] {
        let line = format!("✓ {made}   created in");
        assert_eq!(text.matches(&line).count(), 1, "{text}");
    }
    assert!(!text.contains(|sign| SPINNERS.contains(sign)), "{text}");
    assert!(!text.contains(" done   "), "{text}");
}

#[test]
fn without_colours_the_same_is_said() {
    let sandbox = slow(TWO_LAYERS);
    let Some(mut terminal) = on_a_terminal(&sandbox, &["apply"], &[("NO_COLOR", "1")]) else {
        return;
    };
    terminal.wait_for(QUESTION);
    terminal.press("yes\r");
    let Ended {
        code,
        output,
        screen,
    } = terminal.end();
    assert_eq!(code, Some(0), "{output}");
    assert!(!has_colours(&output), "{output:?}");
    assert!(output.contains("test_thing.vm[0]: make the thing"));
    let text = screen.join("\n");
    assert!(text.contains("✓ test_entry.motd   created in"), "{text}");
}

#[test]
fn ctrl_c_at_the_question_is_a_no() {
    let sandbox = slow(TWO_LAYERS);
    let Some(mut terminal) = on_a_terminal(&sandbox, &["apply"], &[]) else {
        return;
    };
    terminal.wait_for(QUESTION);
    terminal.press(CTRL_C);
    let Ended { code, output, .. } = terminal.end();
    assert_eq!(code, Some(130), "{output}");
    assert!(sandbox.look().things.is_empty(), "{output}");
    sandbox
        .run(&["state", "verify"])
        .shows("0 instances, 0 open intents");
}

#[test]
fn ctrl_c_at_work_finishes_what_is_under_way_and_leaves_a_clean_screen() {
    let sandbox = slow(TWO_LAYERS);
    let Some(mut terminal) = on_a_terminal(&sandbox, &["apply", "--yes"], &[]) else {
        return;
    };
    terminal.wait_for("test_thing.vm[0]: make the thing");
    terminal.press(CTRL_C);
    let Ended {
        code,
        output,
        screen,
    } = terminal.end();
    assert_eq!(code, Some(130), "{output}");
    let cloud = sandbox.look();
    assert!(!cloud.things.is_empty(), "{output}");
    assert!(cloud.things.values().all(|thing| thing.is_whole));
    assert!(cloud.entries.is_empty(), "nothing more was begun");
    sandbox.run(&["state", "verify"]).shows("0 open intents");
    // The terminal's own `^C` has moved what was drawn at that instant; from then on the screen is clean.
    let text = screen.join("\n");
    let (_, since) = text
        .split_once("stopping: nothing new is begun")
        .expect("it is said");
    assert!(!since.contains(|sign| SPINNERS.contains(sign)), "{text}");
    assert!(since.contains("Stopped on request"), "{text}");
    let fast = |state: &mut State| state.faults.latency = 0;
    sandbox.cloud().change(fast).expect("writes");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(sandbox.look().things.len(), 2);
}

const TWO_STAGES: &str = r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" { name = "vm" }
resource "test_entry" "late" {
  for_each = toset([test_thing.vm.id])
  key      = "at-${each.key}"
  text     = "ours"
}
"#;

/// A stack of which a part is decided in the middle of the apply, and overwrites there what somebody else has made.
fn in_two_stages() -> Sandbox {
    let sandbox = Sandbox::stack(TWO_STAGES);
    let theirs = |state: &mut State| {
        let text = "theirs".into();
        state.entries.insert("at-t-1".into(), Entry { text });
    };
    sandbox.cloud().change(theirs).expect("writes");
    sandbox
}

#[test]
fn a_second_stage_is_asked_for_and_a_no_leaves_it() {
    let sandbox = in_two_stages();
    let Some(mut terminal) = on_a_terminal(&sandbox, &["apply"], &[]) else {
        return;
    };
    terminal.wait_for(QUESTION);
    terminal.press("yes\r");
    terminal.wait_for_times(QUESTION, 2);
    assert!(terminal.output().contains("theirs"), "it is shown");
    terminal.press("no\r");
    let Ended { code, output, .. } = terminal.end();
    assert_eq!(code, Some(4), "{output}");
    assert!(output.contains("nothing more was changed"), "{output}");
    let cloud = sandbox.look();
    assert_eq!(cloud.things.len(), 1, "the first stage is done");
    assert_eq!(cloud.entries["at-t-1"].text, "theirs");
}

#[test]
fn a_second_stage_that_is_approved_is_done() {
    let sandbox = in_two_stages();
    let Some(mut terminal) = on_a_terminal(&sandbox, &["apply"], &[]) else {
        return;
    };
    for times in 1..=2 {
        terminal.wait_for_times(QUESTION, times);
        terminal.press("yes\r");
    }
    let Ended { code, output, .. } = terminal.end();
    assert_eq!(code, Some(0), "{output}");
    assert_eq!(sandbox.look().entries["at-t-1"].text, "ours");
}

#[test]
fn what_waits_for_a_block_that_is_decided_later_is_not_asked_for_again() {
    let sandbox = Sandbox::stack(
        r#"
resource "core_random_integer" "count" {
  min = 3
  max = 3
}
resource "core_value" "late" {
  count = core_random_integer.count.result
  value = count.index
}
resource "core_value" "sum" {
  value = sum(core_value.late[*].value)
}
resource "core_value" "after" {
  value = core_value.sum.value + 1
}
"#,
    );
    let Some(mut terminal) = on_a_terminal(&sandbox, &["apply"], &[]) else {
        return;
    };
    terminal.wait_for(QUESTION);
    terminal.press("yes\r");
    let Ended { code, output, .. } = terminal.end();
    assert_eq!(code, Some(0), "{output}");
    assert!(
        output.contains("6 changed, 0 failed, 0 skipped"),
        "{output}"
    );
    sandbox
        .run(&["console", "--eval", "core_value.after.value"])
        .expect_success()
        .shows("4");
}
