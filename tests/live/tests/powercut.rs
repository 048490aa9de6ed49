//! dmp in a virtual machine whose power is cut: `cargo xtask live powercut`.
//!
//! What dmp has told of as done, over the serial console, must be in the state after the next boot. The machine is ended by
//! SIGKILL, so its memory is gone, and with it every page that its kernel has not written yet; it writes none by time. What
//! it has written is in the host's memory and stays: this shows that dmp synchronises what it acknowledges, not that a
//! disk keeps what it is told to keep.

#![expect(
    clippy::print_stdout,
    reason = "the figures are for the person who runs it"
)]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// How often the power is cut; `DMP_LIVE_CUTS` says otherwise.
fn cuts() -> usize {
    let given = env::var("DMP_LIVE_CUTS").ok();
    given.and_then(|cuts| cuts.parse().ok()).unwrap_or(30)
}

const FILES: usize = 40;

const STACK: &str = r#"
variable "round" { type = string }
resource "core_local_file" "many" {
  count   = 40
  path    = "/out/${count.index}"
  content = "round ${var.round}\n"
}
"#;

/// What the machine does when it is switched on.
const START: &str = r#"
/bin/busybox --install -s /bin
export PATH=/bin HOME=/home
cd /stack
round=$(sed 's/.*round=\([0-9]*\).*/\1/' /proc/cmdline)
echo "UNSYNCED $(cat /unsynced-$((round - 1)))"
if [ -e .dmp/state.sqlite ]; then
    dmp state verify >/dev/null && echo "SOUND" || echo "UNSOUND"
    echo "EXPORT $(dmp state export)"
fi
# A new file: one that is written over is synchronised by the file system of its own accord.
echo "$round" >"/unsynced-$round"
echo "APPLY"
dmp apply --yes --json --parallelism 4 --var "round=$round"
echo "ENDED $?"
sync
poweroff -f
"#;

fn program(name: &str) -> PathBuf {
    env::var_os(name)
        .expect("started by `cargo xtask live powercut`")
        .into()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("`{program}`: {error}"));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {err}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A disk with dmp, the libraries that it is linked with, and the stack.
fn disk(folder: &Path) -> PathBuf {
    let root = folder.join("root");
    for name in ["bin", "proc", "dev", "home", "out", "stack", "tmp"] {
        fs::create_dir_all(root.join(name)).expect("writable");
    }
    let dmp = program("DMP_LIVE_BINARY");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let target = text(&root.join("bin/dmp"));
    run("strip", &["-o", &target, &text(&dmp)]);
    for line in run("ldd", &[&text(&dmp)]).lines() {
        let Some(library) = line.split_whitespace().find(|word| word.starts_with('/')) else {
            continue;
        };
        let place = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(place.parent().expect("a folder")).expect("writable");
        fs::copy(library, place).expect("copies");
    }
    fs::write(root.join("start"), START).expect("writable");
    fs::write(root.join("stack/main.hcl"), STACK).expect("writable");
    let disk = folder.join("disk");
    let (from, to) = (text(&root), text(&disk));
    run("mkfs.ext4", &["-q", "-d", &from, &to, "512M"]);
    disk
}

/// The machine, switched on. It loses its power when this is dropped.
struct Machine {
    child: Child,
    lines: Receiver<String>,
    deadline: Instant,
}

impl Machine {
    fn boot(disk: &Path, round: usize) -> Self {
        let made = program("DMP_LIVE_POWERCUT");
        let file = |name: &str| made.join(name).display().to_string();
        let drive = format!(
            "file={},if=virtio,format=raw,cache=writeback",
            disk.display()
        );
        // Whether the host's KVM can run this kernel is not asked: the processor is emulated.
        let mut child = Command::new("qemu-system-x86_64")
            .args(["-accel", "tcg", "-cpu", "max", "-m", "768", "-nodefaults"])
            .args(["-display", "none", "-serial", "stdio", "-no-reboot"])
            .args(["-kernel", &file("vmlinuz"), "-initrd", &file("initrd")])
            .args([
                "-append",
                &format!("console=ttyS0 quiet panic=-1 round={round}"),
            ])
            .args(["-drive", &drive])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("qemu-system-x86_64 starts");
        let out = child.stdout.take().expect("is piped");
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            lines,
            deadline: Instant::now() + Duration::from_secs(180),
        }
    }

    /// The next line of the console; `None` when the machine is off.
    fn line(&self) -> Option<String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the machine says nothing any more"),
        }
    }

    /// What is behind a word, at the beginning of the next line that has it.
    fn after(&self, word: &str) -> String {
        loop {
            let line = self.line().unwrap_or_else(|| panic!("off before {word}"));
            if let Some(rest) = line.strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The instance that a line tells to be done.
fn acknowledged(line: &str) -> Option<String> {
    let event: Json = serde_json::from_str(line).ok()?;
    let is_done = event["event"] == "operation_ended" && event["end"].to_string().contains("done");
    is_done.then(|| event["address"].as_str().unwrap_or_default().to_owned())
}

#[test]
#[ignore = "needs a virtual machine: cargo xtask live powercut"]
fn what_was_acknowledged_is_there_after_a_power_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = disk(folder.path());
    let cuts = cuts();
    let mut promised: Vec<(BTreeSet<String>, usize)> = Vec::new();
    let (mut checked, mut lost, mut cut) = (0, 0, 0);
    let mut round = 0;
    while cut < cuts {
        round += 1;
        let machine = Machine::boot(&disk, round);
        let unsynced = machine.after("UNSYNCED");
        if let Some((done, before)) = promised.pop() {
            lost += usize::from(unsynced != before.to_string());
            assert_eq!(machine.line().as_deref(), Some("SOUND"), "after cut {cut}");
            let export: Json = serde_json::from_str(&machine.after("EXPORT")).expect("JSON");
            for address in done {
                let content = &export["instances"][&address]["attributes"]["content"];
                assert_eq!(
                    *content,
                    format!("round {before}\n"),
                    "{address} was acknowledged in round {before} and is lost"
                );
                checked += 1;
            }
        }
        machine.after("APPLY");
        // At another place each time, before the first one and behind the last one included.
        let after = (cut * 13 + 7) % (FILES + 1);
        let mut done = BTreeSet::new();
        while done.len() < after {
            let Some(line) = machine.line() else { break };
            assert!(!line.starts_with("ENDED"), "it ended too soon: {line}");
            done.extend(acknowledged(&line));
        }
        std::thread::sleep(Duration::from_millis((cut as u64 * 37) % 150));
        // What it has said by then counts as well.
        while let Ok(line) = machine.lines.try_recv() {
            done.extend(acknowledged(&line));
        }
        drop(machine);
        cut += 1;
        promised.push((done, round));
    }
    println!(
        "{cuts} cuts, {checked} acknowledged changes looked for, none missing; what was not synchronised was gone {lost} times"
    );
    assert!(checked > cuts, "too little was acknowledged: {checked}");
    assert!(lost + 1 >= cuts / 2, "the cuts lose nothing: {lost}");
}
