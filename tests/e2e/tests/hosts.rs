//! A machine over a real sshd, from the first plan to the last destroy: what is there before is shown, kept and put back,
//! a plan costs one exchange, secrets stay secret, and a run that is killed anywhere is gone on with.

#[path = "hosts/commands.rs"]
mod commands;
#[path = "hosts/killed.rs"]
mod killed;
#[path = "hosts/reached.rs"]
mod reached;
#[path = "hosts/site.rs"]
mod site;
mod support;

use std::path::{Path, PathBuf};

use dmp_testkit::Sshd;

use site::{SECRET, STACK, Site};
use support::Sandbox;

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

/// However many changes there are: one exchange that looks, one that does them all, reads back what they made and clears up.
#[test]
fn changes_cost_one_login_and_two_exchanges() {
    let Some(site) = Site::new() else { return };
    let costs = |command: &str, exchanges: u32| {
        site.run(&[command, "--yes", "--counts"])
            .expect_success()
            .says(&format!("1 logins, {exchanges} exchanges with machines"));
    };
    site.run(&["apply", "--yes"]).expect_success();
    // Two files are changed, and a command runs after one of them.
    site.edit("content = \"ours\\n\"", "content = \"changed\\n\"");
    site.edit("content = \"on ${", "content = \"changed on ${");
    site.edit("default = \"1\"", "default = \"2\"");
    costs("apply", 2);
    assert_eq!(site.text("motd"), "changed\n");
    assert!(site.text("site/page").starts_with("changed on "));
    assert_eq!(site.text("count"), "made\nupdated\n");
    site.run(&["plan", "--counts"])
        .expect_success()
        .shows("Nothing to do")
        .says("1 logins, 1 exchanges with machines");

    site.run(&["apply", "--refresh-only", "--yes", "--counts"])
        .expect_success()
        .says("1 logins, 1 exchanges with machines");

    // What is there before something is made is told by the plan: foreseen, and asked along with all that is recorded.
    let root = site.on_machine("").display().to_string();
    let new = |name: &str| {
        format!(
            "resource \"host_file\" \"{name}\" {{\n  host = host.box.connection\n  path = \"{root}{name}\"\n  content = \"x\"\n}}\n"
        )
    };
    site.sandbox.write("new.hcl", &(new("one") + &new("two")));
    site.run(&["plan", "--counts"])
        .expect_success()
        .shows("2 to create")
        .says("1 logins, 1 exchanges with machines");
    // A file of somebody else that stands there is shown in the plan: its text is fetched because it differs.
    std::fs::write(site.on_machine("one"), "theirs\n").expect("a file on the machine");
    site.run(&["plan", "--counts"])
        .expect_success()
        .shows("is there already")
        .says("1 logins, 2 exchanges with machines");
    std::fs::remove_file(site.on_machine("one")).expect("a file on the machine");
    costs("apply", 2);
    assert_eq!(
        (site.text("one"), site.text("two")),
        ("x".into(), "x".into())
    );
    costs("destroy", 2);
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
