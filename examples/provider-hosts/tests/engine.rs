//! The whole program with this provider in it: plan, apply, drift, destroy.

use std::path::PathBuf;
use std::process::Command;

use dmp_testkit::Sshd;

struct Site {
    sshd: Sshd,
    stack: tempfile::TempDir,
}

const STACK: &str = r#"
resource "host" "box" {
  address  = "127.0.0.1"
  port     = PORT
  user     = "USER"
  key_file = "KEY"
  sudo     = false
}

resource "hosts_entry" "storage" {
  host    = host.box.connection
  name    = "storage.lab"
  address = "192.0.2.7"
  file    = "FILE"
}
"#;

const BEFORE: &str = "127.0.0.1 localhost\n198.51.100.1 nfs storage.lab # old\n";

impl Site {
    fn new() -> Option<Self> {
        let sshd = Sshd::start()?;
        let stack = tempfile::tempdir().expect("a folder");
        let site = Self { sshd, stack };
        std::fs::write(site.file(), BEFORE).expect("writable");
        let hcl = STACK
            .replace("PORT", &site.sshd.port.to_string())
            .replace("USER", &dmp_testkit::user())
            .replace("KEY", &site.sshd.path("user_key").display().to_string())
            .replace("FILE", &site.file().display().to_string());
        std::fs::write(site.stack.path().join("main.hcl"), hcl).expect("writable");
        Some(site)
    }

    fn file(&self) -> PathBuf {
        self.sshd.path("hosts")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).expect("is there")
    }

    /// What dmp prints, if it ends with this code.
    fn dmp(&self, words: &[&str], code: i32) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_example-provider-hosts"))
            .args(words)
            .current_dir(self.stack.path())
            .env("HOME", self.stack.path())
            .output()
            .expect("it starts");
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words}{errors}");
        words
    }
}

#[test]
fn an_entry_is_planned_made_mended_and_put_back() {
    let Some(site) = Site::new() else { return };
    let plan = site.dmp(&["plan"], 0);
    assert!(plan.contains("it leads to 198.51.100.1 now"), "{plan}");
    assert_eq!(site.text(), BEFORE, "a plan changes nothing");

    site.dmp(&["apply", "--yes"], 0);
    let made = "127.0.0.1 localhost\n198.51.100.1 nfs # old\n192.0.2.7\tstorage.lab\n";
    assert_eq!(site.text(), made);
    site.dmp(&["plan", "--detailed-exitcode"], 0);

    std::fs::write(site.file(), made.replace("192.0.2.7", "192.0.2.66")).expect("writable");
    let plan = site.dmp(&["plan", "--detailed-exitcode"], 2);
    assert!(plan.contains("~ hosts_entry.storage"), "{plan}");
    site.dmp(&["apply", "--yes"], 0);
    assert_eq!(site.text(), made);

    site.dmp(&["destroy", "--yes"], 0);
    let back = "127.0.0.1 localhost\n198.51.100.1 nfs # old\n198.51.100.1\tstorage.lab\n";
    assert_eq!(site.text(), back, "the name leads where it led before");
}
