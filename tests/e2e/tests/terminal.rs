//! dmp on a terminal, a pseudo-terminal of `script`: what is under way is shown by layer, the screen is clean in the end,
//! and Ctrl-C is heard at the question and at work.

mod support;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dmp_sdk::testing::{Entry, State};
use support::Sandbox;

/// A command on a terminal of 30 lines and 100 columns.
struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    output: Arc<Mutex<Vec<u8>>>,
}

const COLUMNS: usize = 100;
const CTRL_C: &str = "\u{3}";
const SPINNERS: &str = "⠁⠂⠄⡀⢀⠠⠐⠈⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";

impl Terminal {
    /// `None` where there is no `script`, which is said loudly.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn run(sandbox: &Sandbox, words: &str, environment: &[(&str, &str)]) -> Option<Self> {
        if !Path::new("/usr/bin/script").exists() {
            eprintln!("SKIPPED: script is not installed");
            assert!(std::env::var_os("CI").is_none(), "CI needs script");
            return None;
        }
        let dmp = env!("CARGO_BIN_EXE_dmp-e2e");
        let mut child = Command::new("/usr/bin/script")
            .args(["--quiet", "--flush", "--return", "--command"])
            .arg(format!("stty rows 30 cols {COLUMNS}; exec {dmp} {words}"))
            .arg("/dev/null")
            .current_dir(sandbox.stack_folder())
            .env_clear()
            .env("HOME", sandbox.path())
            .env("PATH", "/usr/bin:/bin")
            .env("TERM", "xterm-256color")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("script starts");
        let keyboard = child.stdin.take().expect("piped");
        let mut screen = child.stdout.take().expect("piped");
        let output = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&output);
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut part) {
                let mut output = into.lock().unwrap_or_else(PoisonError::into_inner);
                output.extend_from_slice(&part[..length]);
            }
        });
        Some(Self {
            child,
            keyboard,
            output,
        })
    }

    /// All that was written to the terminal so far.
    fn output(&self) -> String {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&output).into_owned()
    }

    /// Waits until a text was written.
    fn wait_for(&self, text: &str) {
        self.wait_for_times(text, 1);
    }

    /// Waits until a text was written so many times.
    fn wait_for_times(&self, text: &str, times: usize) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.output().matches(text).count() < times {
            assert!(Instant::now() < until, "no `{text}` in {}", self.output());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("it reads");
        self.keyboard.flush().expect("it reads");
    }

    /// The exit code, all that was written, and what is left of it on the screen.
    fn end(mut self) -> (Option<i32>, String, Vec<String>) {
        let code = self.child.wait().expect("it ends").code();
        // The last bytes may still be on their way.
        std::thread::sleep(Duration::from_millis(100));
        let output = self.output();
        let screen = screen(&output);
        (code, output, screen)
    }
}

/// What stands on a terminal after an output: enough of a terminal for lines that are drawn over and cleared.
fn screen(output: &str) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut signs = output.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '\r' => column = 0,
            '\n' => row += 1,
            '\u{1b}' if signs.peek() == Some(&'[') => {
                signs.next();
                let mut number = String::new();
                let end = loop {
                    match signs.next() {
                        Some(sign @ ('0'..='9' | ';' | '?')) => number.push(sign),
                        end => break end,
                    }
                };
                let count: usize = number.parse().unwrap_or(1);
                match end {
                    Some('A') => row = row.saturating_sub(count),
                    Some('B') => row += count,
                    Some('C') => column += count,
                    Some('D') => column = column.saturating_sub(count),
                    Some('K') if number == "2" => lines[row].clear(),
                    Some('K') => lines[row].truncate(column),
                    Some('J') => {
                        lines.truncate(row + 1);
                        lines[row].truncate(column);
                    }
                    _ => {}
                }
            }
            sign if sign.is_control() => {}
            sign => {
                // The line is full: the next sign begins another.
                if column == COLUMNS {
                    (row, column) = (row + 1, 0);
                    lines.resize(lines.len().max(row + 1), Vec::new());
                }
                let line = &mut lines[row];
                if line.len() <= column {
                    line.resize(column + 1, ' ');
                }
                line[column] = sign;
                column += 1;
            }
        }
        while lines.len() <= row {
            lines.push(Vec::new());
        }
    }
    let text = |line: Vec<char>| line.into_iter().collect::<String>().trim_end().to_owned();
    lines.into_iter().map(text).collect()
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
    let Some(mut terminal) = Terminal::run(&sandbox, "apply", &[]) else {
        return;
    };
    terminal.wait_for(QUESTION);
    terminal.press("yes\r");
    let (code, output, screen) = terminal.end();
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
    let Some(mut terminal) = Terminal::run(&sandbox, "apply", &[("NO_COLOR", "1")]) else {
        return;
    };
    terminal.wait_for(QUESTION);
    terminal.press("yes\r");
    let (code, output, screen) = terminal.end();
    assert_eq!(code, Some(0), "{output}");
    assert!(!has_colours(&output), "{output:?}");
    assert!(output.contains("test_thing.vm[0]: make the thing"));
    let text = screen.join("\n");
    assert!(text.contains("✓ test_entry.motd   created in"), "{text}");
}

#[test]
fn ctrl_c_at_the_question_is_a_no() {
    let sandbox = slow(TWO_LAYERS);
    let Some(mut terminal) = Terminal::run(&sandbox, "apply", &[]) else {
        return;
    };
    terminal.wait_for(QUESTION);
    terminal.press(CTRL_C);
    let (code, output, _) = terminal.end();
    assert_eq!(code, Some(130), "{output}");
    assert!(sandbox.look().things.is_empty(), "{output}");
    sandbox
        .run(&["state", "verify"])
        .shows("0 instances, 0 open intents");
}

#[test]
fn ctrl_c_at_work_finishes_what_is_under_way_and_leaves_a_clean_screen() {
    let sandbox = slow(TWO_LAYERS);
    let Some(mut terminal) = Terminal::run(&sandbox, "apply --yes", &[]) else {
        return;
    };
    terminal.wait_for("test_thing.vm[0]: make the thing");
    terminal.press(CTRL_C);
    let (code, output, screen) = terminal.end();
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
    let Some(mut terminal) = Terminal::run(&sandbox, "apply", &[]) else {
        return;
    };
    terminal.wait_for(QUESTION);
    terminal.press("yes\r");
    terminal.wait_for_times(QUESTION, 2);
    assert!(terminal.output().contains("theirs"), "it is shown");
    terminal.press("no\r");
    let (code, output, _) = terminal.end();
    assert_eq!(code, Some(4), "{output}");
    assert!(output.contains("nothing more was changed"), "{output}");
    let cloud = sandbox.look();
    assert_eq!(cloud.things.len(), 1, "the first stage is done");
    assert_eq!(cloud.entries["at-t-1"].text, "theirs");
}

#[test]
fn a_second_stage_that_is_approved_is_done() {
    let sandbox = in_two_stages();
    let Some(mut terminal) = Terminal::run(&sandbox, "apply", &[]) else {
        return;
    };
    for times in 1..=2 {
        terminal.wait_for_times(QUESTION, times);
        terminal.press("yes\r");
    }
    let (code, output, _) = terminal.end();
    assert_eq!(code, Some(0), "{output}");
    assert_eq!(sandbox.look().entries["at-t-1"].text, "ours");
}
