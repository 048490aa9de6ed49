//! The example `quickstart` as a newcomer runs it: on the lab, from nothing to a page that answers, a machine that dies, and
//! nothing left.

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::Ran;
use tempfile::TempDir;

/// A copy of the example, with the modules that it calls, as somebody has it in their home.
struct Quickstart(TempDir);

impl Quickstart {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for part in ["modules", "examples/quickstart"] {
            copy(&root.join(part), &home.path().join(part));
        }
        Self(home)
    }

    fn run(&self, words: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_dmp-e2e"))
            .args(["-C", "examples/quickstart"])
            .args(words)
            .current_dir(self.0.path())
            .env("HOME", self.0.path())
            .env_remove("XDG_STATE_HOME")
            .output()
            .expect("dmp runs");
        Ran {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }
}

impl Drop for Quickstart {
    fn drop(&mut self) {
        self.run(&["lab", "stop"]);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let name = entry.file_name();
        let (from, to) = (entry.path(), to.join(&name));
        match from.is_dir() {
            true if name == ".dmp" => {}
            true => copy(&from, &to),
            false => drop(std::fs::copy(from, to).expect("copies")),
        }
    }
}

/// Who serves the page, in so many requests to the balancer.
fn visitors(count: usize) -> Vec<String> {
    let ask = |_| {
        let mut text = String::new();
        let mut connection = TcpStream::connect("127.10.0.6:8080").expect("the balancer answers");
        let wait = Some(Duration::from_secs(10));
        connection.set_read_timeout(wait).expect("can be set");
        let request = b"GET / HTTP/1.0\r\nHost: page\r\n\r\n";
        connection.write_all(request).expect("sends");
        connection.read_to_string(&mut text).expect("answers");
        let page = text.split("\r\n\r\n").nth(1).unwrap_or_default();
        page.trim().trim_start_matches("hello from ").to_owned()
    };
    let mut all: Vec<String> = (0..count).map(ask).collect();
    all.sort();
    all.dedup();
    all
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn the_quickstart_comes_up_repairs_itself_and_goes_again() {
    let stack = Quickstart::new();
    stack.run(&["--lab", "plan"]).expect_success();
    let status = stack.run(&["lab", "status", "--json"]).expect_success();
    let status: serde_json::Value = serde_json::from_str(&status.out).expect("JSON");
    if let Some(reason) = status["no_machines"].as_str() {
        eprintln!("SKIPPED: {reason}");
        return;
    }
    stack
        .run(&["--lab", "apply", "--yes"])
        .expect_success()
        .shows("Plan: 35 to create, 0 to change")
        .says("check page");
    assert_eq!(visitors(9), ["web-1", "web-2", "web-3"]);
    stack
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    // Through the bastion: nobody else leads inside.
    stack
        .run(&[
            "ssh",
            "module.web.module.machine[\"2\"].host.this",
            "--",
            "hostname",
        ])
        .expect_success()
        .shows("web-2");
    assert!(TcpStream::connect("127.10.0.5:2222").is_ok());

    // The plug is pulled, and the next apply puts it back.
    stack.run(&["lab", "kill", "web-2"]).expect_success();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(visitors(6), ["web-1", "web-3"], "the others serve");
    stack
        .run(&["apply", "--yes"])
        .expect_success()
        .shows("module.web.module.machine[\"2\"].proxmox_vm.this[0]   `started` differs")
        .says("check page");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(visitors(9), ["web-1", "web-2", "web-3"]);
    stack
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");

    // Which loss would be too much is said without touching anything.
    stack
        .run(&["what-if", "node/pve1"])
        .shows("node/pve1 of proxmox")
        .shows("dies: module.bastion.proxmox_vm.this[0]");

    stack.run(&["destroy", "--yes"]).expect_success();
    stack
        .run(&["lab", "status"])
        .expect_success()
        .shows("1 machines");
}
