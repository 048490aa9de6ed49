//! A machine over a real sshd, and a stack for it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use dmp_testkit::Sshd;

use crate::support::{Ran, Sandbox};

/// A stack for one machine, with what was on the machine before.
pub(crate) struct Site {
    pub(crate) sshd: Sshd,
    pub(crate) sandbox: Sandbox,
}

pub(crate) const STACK: &str = r#"
variable "password" {
  type      = string
  sensitive = true
}

variable "release" {
  default = "1"
}

resource "host" "box" {
  address  = "127.0.0.1"
  port     = PORT
  user     = "USER"
  key_file = "KEY"
  sudo     = false
}

resource "host_directory" "site" {
  host = host.box.connection
  path = "ROOT/site"
  mode = "0750"
}

resource "host_file" "motd" {
  host    = host.box.connection
  path    = "ROOT/motd"
  content = "ours\n"
}

resource "host_file" "page" {
  host    = host.box.connection
  path    = "${host_directory.site.path}/page"
  content = "on ${host.box.hostname}\n"
}

resource "host_file" "secret" {
  host    = host.box.connection
  path    = "${host_directory.site.path}/secret"
  content = "password=${var.password}\n"
  mode    = "0600"
}

resource "host_command" "count" {
  host    = host.box.connection
  create  = "echo made >>ROOT/count; sleep 0.1"
  update  = "echo updated >>ROOT/count; sleep 0.1"
  destroy = "echo undone >>ROOT/count"

  environment = { RELEASE = var.release }
  depends_on  = [host_file.page, host_file.secret]
}
"#;

pub(crate) const SECRET: &str = "correct-horse-battery";

impl Site {
    /// `None` where there is no sshd, which is said loudly.
    pub(crate) fn new() -> Option<Self> {
        Self::with(STACK)
    }

    pub(crate) fn with(hcl: &str) -> Option<Self> {
        let sshd = Sshd::start()?;
        let root = sshd.path("machine");
        std::fs::create_dir(&root).expect("writable");
        let hcl = hcl
            .replace("PORT", &sshd.port.to_string())
            .replace("USER", &dmp_testkit::user())
            .replace("KEY", &sshd.path("user_key").display().to_string())
            .replace("ROOT", &root.display().to_string());
        let sandbox = Sandbox::stack(&hcl);
        sandbox.write("values.auto.hcl", &format!("password = \"{SECRET}\"\n"));
        let site = Self { sshd, sandbox };
        std::fs::write(site.on_machine("motd"), "theirs\n").expect("writable");
        let mode = std::fs::Permissions::from_mode(0o604);
        std::fs::set_permissions(site.on_machine("motd"), mode).expect("ours");
        Some(site)
    }

    pub(crate) fn on_machine(&self, name: &str) -> PathBuf {
        self.sshd.path("machine").join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.on_machine(name)).unwrap_or_default()
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        let metadata = std::fs::metadata(self.on_machine(name)).expect("is there");
        metadata.permissions().mode() & 0o7777
    }

    /// Puts another text in the stack in the place of one.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let main = self.sandbox.stack_folder().join("main.hcl");
        let stack = std::fs::read_to_string(&main).expect("is there");
        assert!(stack.contains(from), "the stack has {from}");
        self.sandbox.write("main.hcl", &stack.replace(from, to));
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.sandbox.run(arguments)
    }

    pub(crate) fn check_applied(&self, at: &str) {
        assert_eq!(self.text("motd"), "ours\n", "{at}");
        assert!(self.text("site/page").starts_with("on "), "{at}");
        assert_eq!(
            self.text("site/secret"),
            format!("password={SECRET}\n"),
            "{at}"
        );
        assert_eq!(
            (self.mode("site"), self.mode("site/secret")),
            (0o750, 0o600),
            "{at}"
        );
        assert_eq!(self.text("count"), "made\n", "{at}");
        let nothing = self.run(&["plan", "--detailed-exitcode"]);
        assert_eq!(
            nothing.code,
            Some(0),
            "{at}\n{}{}",
            nothing.out,
            nothing.err
        );
        self.run(&["state", "verify"])
            .expect_success()
            .shows("6 instances, 0 open intents");
    }

    pub(crate) fn check_destroyed(&self, at: &str) {
        assert_eq!(
            (self.text("motd").as_str(), self.mode("motd")),
            ("theirs\n", 0o604),
            "{at}"
        );
        assert!(!self.on_machine("site").exists(), "{at}");
        assert_eq!(self.text("count"), "made\nundone\n", "{at}");
        self.run(&["state", "verify"])
            .expect_success()
            .shows("0 instances, 0 open intents");
    }
}
