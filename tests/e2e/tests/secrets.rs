//! Secrets are where `docs/operations/secrets.md` says, and nowhere else: every output, every file and the arguments of
//! every process on the machine are searched, in all forms that programs write a text in.

mod support;

use std::path::Path;

use dmp_testkit::{Canary, Sshd};
use support::{Ran, Sandbox};

/// Quotes, percent and a letter beyond ASCII: each form of it is another text.
const PASSWORD: &str = "Ka\"na'rie%&$x/<ü>-9f3a1c";
const TOKEN: &str = "token'of\"the%cloud/ö-77b1";
const KEPT: &str = "what-'stood'-there-\"before\"-5d";

const STACK: &str = r#"
variable "password" {
  type      = string
  sensitive = true
}
variable "token" {
  type      = string
  sensitive = true
  ephemeral = true
}
variable "broken" {
  type    = bool
  default = false
}
provider "test" {
  cloud = "CLOUD"
  token = var.token
}
resource "test_thing" "vm" {
  name   = "vm"
  secret = var.password
}
resource "host" "box" {
  address  = "127.0.0.1"
  port     = PORT
  user     = "USER"
  key_file = "KEY"
  sudo     = false
}
resource "host_file" "secret" {
  host     = host.box.connection
  path     = "ROOT/secret"
  content  = "password=${var.password}\n"
  mode     = "0600"
  validate = var.broken ? "cat \"$file\" >&2; cat \"$file\"; exit 3" : null
}
resource "host_command" "login" {
  host        = host.box.connection
  create      = var.broken ? "echo \"no: $PASSWORD\" >&2; exit 4" : "printf %s \"$PASSWORD\" >ROOT/login"
  check       = "[ -e ROOT/login ]"
  destroy     = "rm -f ROOT/login"
  environment = { PASSWORD = var.password }
}
output "password" {
  value     = var.password
  sensitive = true
}
check "login" {
  assert {
    condition     = var.password == "another"
    error_message = "The password is ${var.password}."
  }
}
"#;

struct Site {
    sshd: Sshd,
    sandbox: Sandbox,
    canaries: Vec<Canary>,
    /// Whether a batch may lie in the machine's memory.
    is_cut_off: std::cell::Cell<bool>,
}

impl Site {
    fn new() -> Option<Self> {
        let sshd = Sshd::start_traced()?;
        let root = sshd.path("machine");
        std::fs::create_dir(&root).expect("writable");
        std::fs::write(root.join("secret"), format!("{KEPT}\n")).expect("writable");
        let hcl = STACK
            .replace("PORT", &sshd.port.to_string())
            .replace("USER", &dmp_testkit::user())
            .replace("KEY", &sshd.path("user_key").display().to_string())
            .replace("ROOT", &root.display().to_string());
        Some(Self {
            sshd,
            sandbox: Sandbox::stack(&hcl),
            canaries: [PASSWORD, TOKEN, KEPT].map(Canary::new).into(),
            is_cut_off: std::cell::Cell::new(false),
        })
    }

    /// Runs dmp with the secrets in its environment; nothing of them may be in what it prints.
    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Ran {
        let mut environment = vec![
            ("DMP_VAR_password", PASSWORD),
            ("DMP_VAR_token", TOKEN),
            ("RUST_BACKTRACE", "full"),
            ("DMP_LOG", "trace"),
        ];
        environment.extend(more);
        let ran = self.sandbox.run_with(arguments, &environment);
        self.is_cut_off.set(ran.code.is_none());
        for text in [&ran.out, &ran.err] {
            for canary in &self.canaries {
                let found = canary.found_in(text.as_bytes());
                assert!(
                    found.is_empty(),
                    "{arguments:?} prints it {found:?}:\n{text}"
                );
            }
        }
        self.search();
        ran
    }

    /// Nothing of a secret is in any file but those where it belongs, nor in any process's arguments.
    fn search(&self) {
        let belongs = |path: &Path| {
            let cloud = self.sandbox.path().join("cloud.");
            let machine = self.sshd.path("machine");
            // What stood there before is kept beside, for its owner alone.
            let kept = self.sshd.path("state").join("kept");
            let spool = self.sshd.path("run");
            path.display()
                .to_string()
                .starts_with(&cloud.display().to_string())
                || path.starts_with(machine)
                || path.starts_with(kept)
                || (self.is_cut_off.get() && path.starts_with(spool))
        };
        let trace = self.sshd.path("trace");
        let folder = trace.parent().expect("has one").to_owned();
        for canary in &self.canaries {
            let all = canary
                .found_below(self.sandbox.path())
                .into_iter()
                .chain(canary.found_below(&folder));
            let wrong: Vec<_> = all.filter(|(path, _)| !belongs(path)).collect();
            assert!(wrong.is_empty(), "{}: {wrong:?}", canary.secret);
            let found = canary.found_in(&self.sshd.arguments());
            assert!(found.is_empty(), "in arguments, {found:?}");
        }
    }
}

#[test]
fn a_secret_is_nowhere_but_where_it_belongs() {
    let Some(site) = Site::new() else { return };
    site.run(&["validate"]).expect_success();
    site.run(&["plan"]).expect_success();
    site.run(&["plan", "--json"]).expect_success();
    site.run(&["plan", "--out", "kept.plan"]).expect_success();
    site.run(&["show", "kept.plan"]).expect_success();
    site.run(&["show", "kept.plan", "--json"]).expect_success();
    site.run(&["apply", "--verbose", "--timeline", "kept.plan"])
        .expect_success();
    // It did arrive.
    let machine = site.sshd.path("machine");
    let secret = std::fs::read_to_string(machine.join("secret")).expect("is there");
    assert_eq!(secret, format!("password={PASSWORD}\n"));
    let login = std::fs::read_to_string(machine.join("login")).expect("is there");
    assert_eq!(login, PASSWORD);
    let is_started = String::from_utf8_lossy(&site.sshd.arguments()).contains("sh");
    assert!(is_started, "processes are seen");
    for arguments in [
        ["show", "--json"].as_slice(),
        &["show"],
        &["output"],
        &["output", "--json"],
        &["state", "list"],
        &["state", "show", "host_file.secret"],
        &["state", "show", "test_thing.vm", "--json"],
        &["state", "export"],
        &["state", "verify"],
        &["graph"],
        &["console", "--eval", "var.password"],
        &["console", "--eval", "host_file.secret"],
        &["refresh"],
        &["rebuild", "--dry-run"],
        &["plan", "--json"],
        &["apply", "--yes", "--json"],
    ] {
        site.run(arguments).expect_success();
    }
    // Asked for by name it is shown: that is where it belongs.
    let shown = site.sandbox.run(&["output", "--raw", "password"]);
    assert_eq!(shown.out, PASSWORD);
    // What somebody changed is shown without either value.
    std::fs::write(machine.join("secret"), format!("theirs {PASSWORD}\n")).expect("writable");
    site.run(&["plan"])
        .expect_success()
        .shows("host_file.secret");
    site.run(&["apply", "--yes"]).expect_success();
    site.run(&["destroy", "--yes"]).expect_success();
    let secret = std::fs::read_to_string(machine.join("secret")).expect("is back");
    assert_eq!(secret, format!("{KEPT}\n"));
}

#[test]
fn what_fails_with_a_secret_in_its_mouth_is_not_quoted() {
    let Some(site) = Site::new() else { return };
    site.sandbox
        .cloud()
        .change(|state| state.faults.refuse.push("vm".into()))
        .expect("writes");
    let ran = site.run(&["apply", "--yes", "--var", "broken=true"]);
    let ran = ran.expect_code(3);
    for said in [
        "the cloud refused",
        "host_file.secret",
        "host_command.login",
    ] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    site.run(&["plan"]).expect_success();
}

#[test]
fn a_killed_run_leaves_no_secret_behind() {
    let Some(site) = Site::new() else { return };
    for number in (2..60).step_by(4) {
        let at = format!("*:{number}");
        let ran = site.run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            break;
        }
    }
    site.run(&["apply", "--yes"]).expect_success();
    for number in (1..40).step_by(4) {
        let at = format!("*:{number}");
        let ran = site.run_with(&["destroy", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            break;
        }
    }
    site.run(&["destroy", "--yes"]).expect_success();
}
