//! A machine over a real sshd, from the first plan to the last destroy: what is there before is shown, kept and put back,
//! a plan costs one exchange, secrets stay secret, and a run that is killed anywhere is gone on with.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dmp_testkit::Sshd;
use support::{Ran, Sandbox};

/// A stack for one machine, with what was on the machine before.
struct Site {
    sshd: Sshd,
    sandbox: Sandbox,
}

const STACK: &str = r#"
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

const SECRET: &str = "correct-horse-battery";

impl Site {
    /// `None` where there is no sshd, which is said loudly.
    fn new() -> Option<Self> {
        Self::with(STACK)
    }

    fn with(hcl: &str) -> Option<Self> {
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

    fn on_machine(&self, name: &str) -> PathBuf {
        self.sshd.path("machine").join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.on_machine(name)).unwrap_or_default()
    }

    fn mode(&self, name: &str) -> u32 {
        let metadata = std::fs::metadata(self.on_machine(name)).expect("is there");
        metadata.permissions().mode() & 0o7777
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.sandbox.run(arguments)
    }

    fn check_applied(&self, at: &str) {
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

    fn check_destroyed(&self, at: &str) {
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

#[test]
fn a_stack_on_a_machine_is_planned_applied_and_destroyed() {
    let Some(site) = Site::new() else { return };
    site.run(&["plan"])
        .expect_success()
        .shows("the host key of 127.0.0.1 will be pinned: SHA256:")
        .shows("it is there already; this changes:")
        .shows("theirs")
        .shows("Plan: 6 to create, 0 to change, 0 to replace, 0 to delete.")
        .hides(SECRET);
    assert_eq!(site.text("motd"), "theirs\n", "a plan changes nothing");
    site.run(&["apply", "--yes"]).expect_success().hides(SECRET);
    site.check_applied("an apply");
    site.run(&["destroy", "--yes"])
        .expect_success()
        .hides(SECRET);
    site.check_destroyed("a destroy");
}

#[test]
fn a_plan_without_changes_costs_one_login_and_one_exchange() {
    let Some(site) = Site::new() else { return };
    site.run(&["apply", "--yes"]).expect_success();
    site.run(&["plan", "--counts"])
        .expect_success()
        .shows("Nothing to do")
        .says("1 logins, 1 exchanges with machines");
}

#[test]
fn what_somebody_changed_on_the_machine_is_shown_and_mended() {
    let Some(site) = Site::new() else { return };
    site.run(&["apply", "--yes"]).expect_success();
    std::fs::write(site.on_machine("motd"), "somebody's\n").expect("writable");
    std::fs::remove_file(site.on_machine("site/page")).expect("is there");
    site.run(&["plan", "--detailed-exitcode"])
        .expect_code(2)
        .shows("Changed outside of dmp since the last run:")
        .shows("~ host_file.motd")
        .shows("somebody's")
        .shows("- host_file.page")
        .shows("Plan: 1 to create, 1 to change, 0 to replace, 0 to delete.");
    site.run(&["apply", "--yes"]).expect_success();
    site.check_applied("after drift");
}

#[test]
fn a_file_that_only_has_another_address_is_not_deleted() {
    let Some(site) = Site::new() else { return };
    site.run(&["apply", "--yes"]).expect_success();
    let main = site.sandbox.stack_folder().join("main.hcl");
    let hcl = std::fs::read_to_string(&main).expect("is there");
    let renamed = hcl.replace("\"host_file\" \"motd\"", "\"host_file\" \"welcome\"");
    site.sandbox.write("main.hcl", &renamed);
    site.run(&["apply", "--yes"])
        .expect_code(1)
        .says("two instances are one object")
        .says("from = host_file.motd");
    let forget =
        "removed {\n  from = host_file.motd\n  lifecycle { destroy = false }\n}\n".to_owned();
    site.sandbox.write("main.hcl", &(renamed + &forget));
    site.run(&["apply", "--yes"])
        .expect_success()
        .says("host_file.motd   forgotten")
        .hides("deleted");
    site.check_applied("another address");
}

#[test]
fn a_machine_that_is_silent_or_another_one_is_not_taken_for_an_empty_one() {
    let Some(mut site) = Site::new() else { return };
    site.run(&["apply", "--yes"]).expect_success();
    site.sshd.stop();
    site.run(&["plan"])
        .expect_code(3)
        .says("can't be reached")
        .hides("Nothing to do")
        .hides("to create");
    std::fs::remove_file(site.sshd.path("host_key")).expect("is there");
    dmp_testkit::keygen(&site.sshd.path("host_key"), "");
    site.sshd.start_again();
    site.run(&["apply", "--yes"])
        .expect_code(3)
        .says("shows another host key than the pinned one")
        .hides("Nothing to do");
    site.run(&["state", "verify"])
        .expect_success()
        .shows("6 instances, 0 open intents");
}

#[test]
fn a_secret_is_in_no_output_and_in_no_file_of_dmp() {
    let Some(site) = Site::new() else { return };
    site.run(&["plan", "--out", "plan"])
        .expect_success()
        .hides(SECRET);
    site.run(&["plan", "--json"]).expect_success().hides(SECRET);
    site.run(&["apply", "plan"]).expect_success().hides(SECRET);
    std::fs::write(site.on_machine("site/secret"), format!("old-{SECRET}")).expect("writable");
    site.run(&["plan"])
        .expect_success()
        .shows("~ host_file.secret")
        .hides(SECRET);
    site.run(&["apply", "--yes", "--verbose", "--json"])
        .expect_success()
        .hides(SECRET);
    let commands: [&[&str]; 5] = [
        &["show"],
        &["show", "--json"],
        &["show", "plan"],
        &["state", "export"],
        &["state", "show", "host_file.secret"],
    ];
    for command in commands {
        site.run(command).expect_success().hides(SECRET);
    }
    std::fs::remove_file(site.sandbox.stack_folder().join("values.auto.hcl")).expect("is there");
    let files = files_below(site.sandbox.path());
    assert!(
        files.iter().any(|file| file.ends_with("state.sqlite")),
        "{files:?}"
    );
    assert!(
        files
            .iter()
            .any(|file| file.extension().is_some_and(|end| end == "jsonl")),
        "{files:?}"
    );
    // What the runner leaves on the machine holds it neither.
    let kept = [
        files,
        files_below(&site.sshd.path("run")),
        files_below(&site.sshd.path("state")),
    ];
    for file in kept.concat() {
        let bytes = std::fs::read(&file).expect("readable");
        let holds = |text: &str| {
            bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        };
        assert!(!holds(SECRET), "{} holds the secret", file.display());
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut look = vec![folder.to_owned()];
    while let Some(folder) = look.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                look.push(path);
            } else if path.is_file() {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn killed_at_each_place_of_an_apply_the_next_one_goes_on_and_runs_nothing_twice() {
    for number in 1..100 {
        let Some(site) = Site::new() else { return };
        let at = format!("*:{number}");
        let ran = site
            .sandbox
            .run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            assert!(number > 8, "only {number} places");
            return;
        }
        assert_eq!(ran.code, None, "it was killed at {at}: {}", ran.err);
        site.run(&["apply", "--yes"]).expect_success();
        site.check_applied(&at);
    }
    panic!("more places than were looked at");
}

#[test]
fn killed_at_each_place_of_an_update_the_next_apply_goes_on_and_runs_nothing_twice() {
    for number in 1..100 {
        let Some(site) = Site::new() else { return };
        site.run(&["apply", "--yes"]).expect_success();
        site.sandbox.write("release.auto.hcl", "release = \"2\"\n");
        let at = format!("*:{number}");
        let ran = site
            .sandbox
            .run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            assert!(number > 3, "only {number} places");
            return;
        }
        assert_eq!(ran.code, None, "it was killed at {at}: {}", ran.err);
        site.run(&["apply", "--yes"]).expect_success();
        assert_eq!(site.text("count"), "made\nupdated\n", "{at}");
        site.run(&["plan", "--detailed-exitcode"]).expect_success();
    }
    panic!("more places than were looked at");
}

#[test]
fn what_runs_on_when_dmp_is_killed_is_waited_for_and_not_begun_again() {
    let Some(site) = Site::new() else { return };
    let main = site.sandbox.stack_folder().join("main.hcl");
    let hcl = std::fs::read_to_string(&main).expect("is there");
    site.sandbox
        .write("main.hcl", &hcl.replacen("sleep 0.1", "sleep 2", 1));
    let mut first = site
        .sandbox
        .command(&["apply", "--yes"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    while site.text("count").is_empty() {
        assert_eq!(first.try_wait().expect("is ours"), None, "it has ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    first.kill().expect("is ours");
    first.wait().expect("ends");
    site.run(&["apply", "--yes"])
        .expect_success()
        .says("it is there and recorded");
    site.check_applied("a kill in the middle of a command");
}

#[test]
fn killed_at_each_place_of_a_destroy_the_next_one_goes_on_and_runs_nothing_twice() {
    for number in 1..100 {
        let Some(site) = Site::new() else { return };
        site.run(&["apply", "--yes"]).expect_success();
        let at = format!("*:{number}");
        let ran = site
            .sandbox
            .run_with(&["destroy", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            assert!(number > 5, "only {number} places");
            return;
        }
        assert_eq!(ran.code, None, "it was killed at {at}: {}", ran.err);
        site.run(&["destroy", "--yes"]).expect_success();
        site.check_destroyed(&at);
    }
    panic!("more places than were looked at");
}

#[test]
fn dmp_ssh_reaches_an_instance_by_its_recorded_connection_and_ends_with_its_code() {
    let Some(mut site) = Site::new() else { return };
    site.run(&["apply", "--yes"]).expect_success();
    site.run(&["ssh", "host.box", "--", "echo said $((20 + 3)); exit 7"])
        .expect_code(7)
        .shows("said 23");
    site.run(&["ssh", "host.box", "--", "cat >&2; true"])
        .expect_success();
    site.run(&["ssh", "host.other", "--", "true"])
        .expect_code(1)
        .says("machines of this stack: host.box");
    site.run(&["ssh", "host_file.motd", "--", "true"])
        .expect_code(1)
        .says("`host_file.motd` has no usable `connection`");

    // Another machine on the same address is not logged in to.
    site.sshd.stop();
    for name in ["host_key", "host_key.pub"] {
        std::fs::remove_file(site.sshd.path(name)).expect("is there");
    }
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(site.sshd.path("host_key"))
        .status();
    assert!(made.expect("ssh-keygen runs").success());
    site.sshd.start_again();
    site.run(&["ssh", "host.box", "--", "echo reached"])
        .expect_code(255)
        .hides("reached");
}

#[test]
fn only_a_persons_word_drops_the_pin_of_a_machine_that_was_silent() {
    let Some(mut site) = Site::new() else { return };
    site.run(&["apply", "--yes"]).expect_success();
    site.sshd.stop();
    site.run(&["rebuild", "--yes"])
        .expect_code(6)
        .says("dmp rebuild --lost 'host.box'")
        .hides("--lost 'host_file");
    // Another machine takes its place: same address, another key, nothing on it.
    std::fs::remove_dir_all(site.on_machine("")).expect("is there");
    std::fs::create_dir(site.on_machine("")).expect("writable");
    std::fs::remove_file(site.sshd.path("host_key")).expect("is there");
    dmp_testkit::keygen(&site.sshd.path("host_key"), "");
    site.sshd.start_again();
    site.run(&["apply", "--yes"])
        .expect_code(3)
        .says("shows another host key than the pinned one");
    site.run(&["rebuild", "--yes"])
        .expect_code(6)
        .says("shows another host key than the pinned one");
    assert!(!site.on_machine("motd").exists(), "nothing was done on it");
    site.run(&["rebuild", "--yes", "--lost", "host.box"])
        .expect_success()
        .shows("will be pinned")
        .says("6 of 6 that were lost are back");
    site.check_applied("rebuilt");
    site.run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    site.run(&["state", "verify"])
        .expect_success()
        .shows("6 instances, 0 open intents");
}

#[test]
fn work_on_a_machine_ends_when_the_time_of_its_block_is_over() {
    let slow = STACK.replace(
        "  create  = \"echo made >>ROOT/count; sleep 0.1\"",
        "  create  = \"echo made >>ROOT/count; sleep 60\"\n  timeouts {\n    create = \"2s\"\n  }",
    );
    let Some(site) = Site::with(&slow) else {
        return;
    };
    site.run(&["apply", "--yes"])
        .expect_code(3)
        .says("the time for the work is over")
        .says("the create was not done within 2 s, the time that `timeouts` gives");
    assert_eq!(site.text("count"), "made\n");
}

/// Somebody's own SSH configuration, for the sandbox's home.
fn ssh_config(sandbox: &Sandbox, text: &str) {
    let folder = sandbox.path().join(".ssh");
    std::fs::create_dir_all(&folder).expect("writable");
    std::fs::write(folder.join("config"), text).expect("writable");
}

#[test]
fn a_machine_is_reached_by_what_the_ssh_configuration_calls_it_and_a_change_of_that_is_shown() {
    let (Some(gate), Some(sshd), Some(other)) = (Sshd::start(), Sshd::start(), Sshd::start())
    else {
        return;
    };
    let sandbox =
        Sandbox::stack("resource \"host\" \"box\" {\n  address = \"web\"\n  sudo    = false\n}\n");
    let config = |port: u16, by_gate: bool| {
        let block = |name: &str, sshd: &Sshd, port: u16| {
            format!(
                "Host {name}\n  HostName 127.0.0.1\n  User {}\n  Port {port}\n  IdentityFile {}\n",
                dmp_testkit::user(),
                sshd.path("user_key").display()
            )
        };
        let jump = if by_gate { "  ProxyJump gate\n" } else { "" };
        let web = block("web", &sshd, port) + jump;
        let text = web + &block("gate", &gate, gate.port);
        ssh_config(&sandbox, &text);
    };
    config(sshd.port, true);
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("the host key of web will be pinned: SHA256:")
        .shows(&format!(
            "by your SSH configuration `web` is {}@127.0.0.1:{} via",
            dmp_testkit::user(),
            sshd.port
        ));
    sandbox.run(&["apply", "--yes"]).expect_success();
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    assert!(
        gate.log().contains("Accepted publickey"),
        "the way leads through the gate"
    );

    // Now the name means another machine, whose key is not the pinned one: the plan tries the new way.
    config(other.port, true);
    for command in [&["plan"][..], &["apply", "--yes"]] {
        sandbox
            .run(command)
            .expect_code(3)
            .says("shows another host key than the pinned one");
    }
    // The same machine, without the gate.
    config(sshd.port, false);
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_code(2)
        .shows("~ host.box")
        .shows(&format!("@127.0.0.1:{}\n", sshd.port));
    sandbox.run(&["apply", "--yes"]).expect_success();
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");

    let file = sandbox.path().join(".ssh/config");
    let text = std::fs::read_to_string(&file).expect("is there");
    ssh_config(
        &sandbox,
        &text.replacen('\n', "\n  ProxyCommand nc %h %p\n", 1),
    );
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("the way to the machine is a command")
        .says("/.ssh/config:2");
    ssh_config(&sandbox, "Host web\n  Port x\n");
    sandbox
        .run(&["plan"])
        .says("/.ssh/config:2: `x` is no port");
    let none = [("DMP_SSH_CONFIG", "none")];
    sandbox.run_with(&["plan"], &none).hides("is no port");
}
