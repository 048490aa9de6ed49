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

/// Many things in a file of others, and beside it.
const EDITS: &str = r#"
variable "password" {
  type      = string
  sensitive = true
}

resource "host" "box" {
  address  = "127.0.0.1"
  port     = PORT
  user     = "USER"
  key_file = "KEY"
  sudo     = false
}

resource "host_line" "colour" {
  for_each = toset(["red", "green", "blue"])
  host     = host.box.connection
  path     = "ROOT/motd"
  line     = "${each.key} = 1"
}

resource "host_block" "shapes" {
  host    = host.box.connection
  path    = "ROOT/motd"
  name    = "shapes"
  content = "round\nsquare\n"
}

resource "host_symlink" "link" {
  host   = host.box.connection
  path   = "ROOT/link"
  target = "motd"
}
"#;

#[test]
fn lines_of_one_file_come_in_one_run_have_one_owner_each_and_go_again() {
    let Some(site) = Site::with(EDITS) else {
        return;
    };
    site.run(&["apply", "--yes"]).expect_success();
    let text = site.text("motd");
    for line in ["theirs", "red = 1", "green = 1", "blue = 1", "round"] {
        assert_eq!(
            text.lines().filter(|there| *there == line).count(),
            1,
            "{text}"
        );
    }
    assert_eq!(site.text("link"), text);
    site.run(&["plan", "--counts"])
        .expect_success()
        .shows("Nothing to do")
        .says("1 logins, 1 exchanges with machines");

    let motd = site.on_machine("motd").display().to_string();
    let another = format!(
        "resource \"host_line\" \"another\" {{\n  host = host.box.connection\n  path = \"{motd}\"\n  line = \"red = 1\"\n}}\n"
    );
    site.sandbox.write("another.hcl", &another);
    let refused = site.run(&["plan"]);
    assert_ne!(refused.code, Some(0), "{}", refused.out);
    assert!(
        refused.err.contains("two instances are one object"),
        "{}",
        refused.err
    );

    site.sandbox.write("another.hcl", "");
    site.run(&["destroy", "--yes"]).expect_success();
    assert_eq!(
        (site.text("motd").as_str(), site.mode("motd")),
        ("theirs\n", 0o604)
    );
    assert!(site.on_machine("link").symlink_metadata().is_err());
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

#[test]
fn ssh_goes_by_keys_and_pins_of_each_machine_on_the_way_and_leaves_nothing_behind() {
    let (Some(gate), Some(sshd)) = (Sshd::start(), Sshd::start()) else {
        return;
    };
    let host = |name: &str, sshd: &Sshd, more: &str| {
        format!(
            "resource \"host\" \"{name}\" {{\n  address = \"127.0.0.1\"\n  port = {}\n  user = \"{}\"\n  \
             sudo = false\n  {more}\n}}\n",
            sshd.port,
            dmp_testkit::user()
        )
    };
    let text = "variable \"key\" {\n  type      = string\n  sensitive = true\n}\n".to_owned()
        + &host("gate", &gate, "private_key = var.key")
        + &host(
            "box",
            &sshd,
            &format!(
                "key_file = \"{}\"\n  bastion = host.gate.connection",
                sshd.path("user_key").display()
            ),
        );
    let sandbox = Sandbox::stack(&text);
    let key = std::fs::read_to_string(gate.path("user_key")).expect("is there");
    let run = |arguments: &[&str]| {
        let folder = sandbox.path().join("runtime");
        std::fs::create_dir_all(&folder).expect("writable");
        let folder = folder.display().to_string();
        sandbox.run_with(
            arguments,
            &[("DMP_VAR_key", &key), ("XDG_RUNTIME_DIR", &folder)],
        )
    };
    run(&["apply", "--yes"]).expect_success();
    let before = gate.log().matches("Accepted publickey").count();
    run(&["ssh", "host.box", "--", "echo over $SSH_CONNECTION; exit 9"])
        .expect_code(9)
        .shows(&format!(" {}", sshd.port));
    assert_eq!(gate.log().matches("Accepted publickey").count(), before + 1);
    run(&["ssh", "host.gate", "--", "echo in"])
        .expect_success()
        .shows("in");
    let left = std::fs::read_dir(sandbox.path().join("runtime")).expect("is there");
    assert_eq!(left.count(), 0, "the key lay there only as long as ssh ran");

    // Each pin counts by itself.
    let other = Sshd::start().expect("there was one");
    std::fs::copy(other.path("host_key"), gate.path("host_key")).expect("writable");
    let mut gate = gate;
    gate.stop();
    gate.start_again();
    run(&["ssh", "host.box", "--", "echo in"])
        .expect_code(255)
        .hides("in\n");
}

#[test]
fn facts_are_read_now_and_not_recorded() {
    let Some(site) = Site::new() else { return };
    site.run(&["apply", "--yes"]).expect_success();
    let serial = site.run(&["state", "verify"]).expect_success().out;
    let kernel = std::process::Command::new("uname")
        .arg("-r")
        .output()
        .expect("runs");
    let kernel = String::from_utf8_lossy(&kernel.stdout).trim().to_owned();
    site.run(&["facts", "host.box"])
        .expect_success()
        .shows(&format!("kernel = \"{kernel}\""))
        .shows("cores = ");
    let json = site
        .run(&["facts", "host.box", "--json"])
        .expect_success()
        .out;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["kernel"], kernel.as_str());
    site.run(&["facts", "host.other"])
        .expect_code(1)
        .says("machines of this stack: host.box");
    assert_eq!(site.run(&["state", "verify"]).expect_success().out, serial);
}

#[test]
fn one_command_runs_on_many_machines_and_each_line_says_where_it_comes_from() {
    let (Some(one), Some(two), Some(down)) = (Sshd::start(), Sshd::start(), Sshd::start()) else {
        return;
    };
    let host = |key: &str, sshd: &Sshd| {
        format!(
            "{key} = {{ port = {}, key = \"{}\" }}\n",
            sshd.port,
            sshd.path("user_key").display()
        )
    };
    let text = format!(
        "locals {{\n  hosts = {{\n{}{}{}  }}\n}}\nresource \"host\" \"node\" {{\n  for_each = local.hosts\n  address = \"127.0.0.1\"\n  \
         port = each.value.port\n  key_file = each.value.key\n  user = \"{}\"\n  sudo = false\n}}\n",
        host("a", &one),
        host("b", &two),
        host("gone", &down),
        dmp_testkit::user()
    );
    let sandbox = Sandbox::stack(&text);
    sandbox.run(&["apply", "--yes"]).expect_success();
    let command =
        "echo out; echo \"port ${SSH_CONNECTION##* }\"; echo err >&2; printf 'no end\\033[1m'";
    let ran = sandbox
        .run(&["ssh", "host.node[\"?\"]", "--", command])
        .expect_success()
        .shows(&format!("host.node[\"a\"] | port {}\n", one.port))
        .shows(&format!("host.node[\"b\"] | port {}\n", two.port))
        .shows("host.node[\"a\"] | no end?[1m\n")
        .says("host.node[\"b\"] | err\n");
    assert_eq!(ran.out.matches("| out\n").count(), 2);

    sandbox
        .run(&[
            "ssh",
            "--all",
            "--parallelism",
            "1",
            "--",
            &format!("test \"${{SSH_CONNECTION##* }}\" = {}", one.port),
        ])
        .expect_code(3)
        .says("host.node[\"b\"] ended with 1\n")
        .says("2 of 3 machines failed")
        .hides("host.node[\"a\"] ended");
    drop(down);
    let ran = sandbox
        .run(&[
            "ssh",
            "--layer",
            "machine",
            "--json",
            "--",
            "echo \"$((6 * 7))\"",
        ])
        .expect_code(3);
    let lines: Vec<serde_json::Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let of = |address: &str, name: &str| {
        let mut found = lines
            .iter()
            .filter(|line| line["address"] == address && !line[name].is_null());
        found.next().map(|line| line[name].clone())
    };
    assert_eq!(of("host.node[\"a\"]", "line"), Some("42".into()));
    assert_eq!(of("host.node[\"a\"]", "status"), Some(0.into()));
    assert!(of("host.node[\"gone\"]", "error").is_some());

    sandbox
        .run(&["ssh", "host.other[*]", "--", "true"])
        .expect_code(1)
        .says("no machine fits");
    sandbox
        .run(&["ssh", "--all"])
        .expect_code(1)
        .says("no command for many machines");
    sandbox
        .run(&["ssh", "--layer", "floor", "--", "true"])
        .expect_code(1)
        .says("the layers are");
}

#[test]
fn copies_are_whole_verified_and_gone_on_with() {
    let Some(site) = Site::new() else { return };
    site.run(&["apply", "--yes"]).expect_success();
    let content: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    let local = site.sandbox.path().join("big");
    std::fs::write(&local, &content).expect("writable");
    let local = local.display().to_string();
    let there = site.on_machine("copied file's name");
    let to = format!("host.box:{}", there.display());
    site.run(&["copy", &local, &to, "--mode", "0640"])
        .expect_success()
        .says("host.box: 3000000 bytes\n");
    assert!(std::fs::read(&there).expect("is there") == content);
    let mode = std::fs::metadata(&there)
        .expect("is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);

    // An earlier attempt was cut off: what is there is kept if it is the beginning of this file, and only then.
    let other: Vec<u8> = content.iter().map(|byte| byte.wrapping_add(1)).collect();
    std::fs::write(&local, &other).expect("writable");
    let sum = std::process::Command::new("sha256sum")
        .arg(&local)
        .output()
        .expect("runs");
    let sum = String::from_utf8_lossy(&sum.stdout)[..16].to_owned();
    let part = there.with_file_name(format!(".copied file's name.{sum}.dmp-part"));
    for (begun, expected) in [
        (
            &other[..1_000_000],
            "host.box: 3000000 bytes, 1000000 of them were there from before\n",
        ),
        (&content[..1_000_000], "host.box: 3000000 bytes\n"),
    ] {
        std::fs::write(&there, "before").expect("writable");
        std::fs::write(&part, begun).expect("writable");
        site.run(&["copy", &local, &to])
            .expect_success()
            .says(expected);
        assert!(std::fs::read(&there).expect("is there") == other);
        assert!(!part.exists());
    }

    let folder = site.on_machine("folder");
    std::fs::create_dir(&folder).expect("writable");
    site.run(&["copy", &local, &format!("host.box:{}", folder.display())])
        .expect_code(3)
        .says("is a folder");
    site.run(&["copy", &local, &format!("host.*:{}/", folder.display())])
        .expect_success();
    assert!(std::fs::read(folder.join("big")).expect("is there") == other);
    site.run(&["copy", &local, "host.box:/no/such/folder/x"])
        .expect_code(3)
        .says("there is no folder `/no/such/folder`");
    site.run(&["copy", &local, "host.box:relative"])
        .expect_code(1)
        .says("begins with `/`");
    site.run(&["copy", &local, &local])
        .expect_code(1)
        .says("as `ADDRESS:/path`");

    // And back.
    let back = site.sandbox.path().join("back");
    let to_here = back.display().to_string();
    site.run(&["copy", &to, &to_here]).expect_success();
    assert!(std::fs::read(&back).expect("is there") == other);
    std::fs::write(
        back.with_file_name(format!(".back.{sum}.dmp-part")),
        &other[..2_000_000],
    )
    .expect("writable");
    site.run(&["copy", &to, &to_here])
        .expect_success()
        .says("2000000 of them were there from before");
    assert!(std::fs::read(&back).expect("is there") == other);
    site.run(&["copy", "host.box:/no/such/file", &to_here])
        .expect_code(3)
        .says("there is no file");
    assert!(
        std::fs::read(&back).expect("is there") == other,
        "what was here is here still"
    );
}

#[test]
fn ctrl_c_ends_the_command_on_every_machine() {
    let Some(site) = Site::new() else { return };
    site.run(&["apply", "--yes"]).expect_success();
    let pid = site.on_machine("pid");
    let command = format!("echo $$ >{}; exec sleep 300", pid.display());
    let mut child = site
        .sandbox
        .command(&["ssh", "--all", "--", &command])
        .env("DMP_VAR_password", SECRET)
        .spawn()
        .expect("starts");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let read = || {
        std::fs::read_to_string(&pid)
            .ok()?
            .trim()
            .parse::<u32>()
            .ok()
    };
    let remote = loop {
        if let Some(pid) = read() {
            break pid;
        }
        assert!(
            std::time::Instant::now() < until,
            "the command does not begin"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    dmp_testkit::kill(child.id(), "INT");
    assert_eq!(child.wait().expect("ends").code(), Some(130));
    while dmp_testkit::is_alive(remote) {
        assert!(std::time::Instant::now() < until, "it goes on there");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn with_an_authority_nothing_is_pinned_and_a_machine_may_have_another_key_tomorrow() {
    let Some(mut sshd) = Sshd::start() else {
        return;
    };
    let ca = sshd.path("ca");
    dmp_testkit::keygen(&ca, "");
    let sign = |sshd: &Sshd| {
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-h", "-I", "test", "-n", "127.0.0.1", "-s"])
            .arg(&ca)
            .arg(sshd.path("host_key.pub"))
            .status();
        assert!(made.expect("ssh-keygen runs").success());
    };
    sign(&sshd);
    sshd.configure(&format!(
        "HostCertificate {}",
        sshd.path("host_key-cert.pub").display()
    ));
    let public = std::fs::read_to_string(sshd.path("ca.pub")).expect("is there");
    let sandbox = Sandbox::stack(&format!(
        "resource \"host\" \"box\" {{\n  address = \"127.0.0.1\"\n  port = {}\n  user = \"{}\"\n  sudo = false\n  key_file = \"{}\"\n  \
         host_ca = [\"{}\"]\n}}\nresource \"host_file\" \"motd\" {{\n  host = host.box.connection\n  path = \"{}\"\n  content = \"x\"\n}}\n",
        sshd.port,
        dmp_testkit::user(),
        sshd.path("user_key").display(),
        public.trim(),
        sshd.path("motd").display()
    ));
    sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .hides("will be pinned");
    sandbox
        .run(&["ssh", "host.box", "--", "echo in"])
        .expect_success()
        .shows("in");
    for name in ["host_key", "host_key.pub"] {
        std::fs::remove_file(sshd.path(name)).expect("is there");
    }
    dmp_testkit::keygen(&sshd.path("host_key"), "");
    sign(&sshd);
    sshd.stop();
    sshd.start_again();
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    sandbox
        .run(&["ssh", "host.box", "--", "echo in"])
        .expect_success()
        .shows("in");
    std::fs::remove_file(sshd.path("host_key-cert.pub")).expect("is there");
    sshd.stop();
    sshd.start_again();
    sandbox
        .run(&["plan"])
        .expect_code(3)
        .says("it shows no certificate");
}

#[test]
fn a_password_for_sudo_is_sealed_in_the_state_and_shown_nowhere_and_no_ephemeral_one_is_taken() {
    let Some(sshd) = Sshd::start() else { return };
    let stack = |more: &str| {
        format!(
            "variable \"password\" {{\n  type      = string\n  sensitive = true\n{more}}}\nresource \"host\" \"box\" {{\n  \
             address = \"127.0.0.1\"\n  port = {}\n  user = \"{}\"\n  sudo = false\n  key_file = \"{}\"\n  \
             sudo_password = var.password\n}}\nresource \"host_file\" \"motd\" {{\n  host = host.box.connection\n  path = \"{}\"\n  \
             content = \"x\"\n}}\n",
            sshd.port,
            dmp_testkit::user(),
            sshd.path("user_key").display(),
            sshd.path("motd").display()
        )
    };
    let sandbox = Sandbox::stack(&stack(""));
    let run = |arguments: &[&str]| {
        let ran = sandbox.run_with(arguments, &[("DMP_VAR_password", SECRET)]);
        ran.hides(SECRET)
    };
    run(&["plan"]).expect_success();
    run(&["apply", "--yes"]).expect_success();
    run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    run(&["state", "export"]).expect_success();
    run(&["show", "--json"]).expect_success();
    let state = std::fs::read(sandbox.stack_folder().join(".dmp/state.sqlite")).expect("is there");
    let holds = state
        .windows(SECRET.len())
        .any(|window| window == SECRET.as_bytes());
    assert!(!holds, "it is sealed");

    sandbox.write("main.hcl", &stack("  ephemeral = true\n"));
    run(&["plan"])
        .expect_code(1)
        .says("a secret of a connection has to be recorded");
}
