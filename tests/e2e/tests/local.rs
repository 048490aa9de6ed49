//! The provider `core` on the machine that dmp runs on: files, directories, commands, programs.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use dmp_testkit::Canary;
use support::Sandbox;

const TOKEN: &str = "t0ken-'with\"quotes%-8c1f";

const STACK: &str = r#"
variable "text" { default = "one" }
variable "release" { default = "1" }
variable "token" {
  type      = string
  sensitive = true
}
resource "core_local_directory" "out" {
  path = "ROOT/out"
  mode = "0750"
}
resource "core_local_file" "plain" {
  path    = "${core_local_directory.out.path}/plain"
  content = "${var.text}\n"
}
resource "core_local_file" "secret" {
  path              = "${core_local_directory.out.path}/secret"
  sensitive_content = "token=${var.token}\n"
  mode              = "600"
}
resource "core_local_file" "earlier" {
  path    = "ROOT/earlier"
  content = "dmp's\n"
}
resource "core_local_command" "made" {
  create            = "printf '%s' \"$TOKEN $RELEASE\" >made; echo \"said $TOKEN\" >&2; [ -z \"$FAILS\" ]"
  check             = "[ -e made ] && [ -z \"$DMP_VAR_token$DMP_LOCAL_SCRIPT\" ]"
  destroy           = "rm -f made"
  environment       = { TOKEN = var.token, RELEASE = var.release, FAILS = FAILS }
  working_directory = core_local_directory.out.path
}
"#;

struct Site {
    sandbox: Sandbox,
}

impl Site {
    fn new() -> Self {
        let site = Self {
            sandbox: Sandbox::stack(""),
        };
        std::fs::create_dir(site.root()).expect("writable");
        std::fs::write(site.root().join("earlier"), "theirs\n").expect("writable");
        site.describe("\"\"");
        site
    }

    fn describe(&self, fails: &str) {
        let root = self.root().display().to_string();
        let hcl = STACK
            .replace("ROOT", &root)
            .replace("= FAILS", &format!("= {fails}"));
        self.sandbox.write("main.hcl", &hcl);
    }

    fn root(&self) -> PathBuf {
        self.sandbox.path().join("here")
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.root().join(name)).ok()
    }

    fn mode(&self, name: &str) -> u32 {
        let metadata = std::fs::metadata(self.root().join(name)).expect("is there");
        metadata.permissions().mode() & 0o7777
    }

    /// Runs dmp; the secret is nowhere but where it belongs.
    fn run(&self, arguments: &[&str]) -> support::Ran {
        let ran = self
            .sandbox
            .run_with(arguments, &[("DMP_VAR_token", TOKEN)]);
        let canary = Canary::new(TOKEN);
        for text in [&ran.out, &ran.err] {
            let found = canary.found_in(text.as_bytes());
            assert!(
                found.is_empty(),
                "{arguments:?} prints it {found:?}:\n{text}"
            );
        }
        let all = canary.found_below(self.sandbox.path()).into_iter();
        let wrong: Vec<_> = all
            .filter(|(path, _)| !path.starts_with(self.root()))
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        ran
    }
}

#[test]
fn files_directories_and_commands_are_made_changed_mended_and_taken_back() {
    let site = Site::new();
    site.run(&["plan"])
        .expect_success()
        .shows("Plan: 5 to create, 0 to change, 0 to replace, 0 to delete.")
        .shows("it is recorded and put back by a delete");
    site.run(&["apply", "--yes"]).expect_success();
    assert_eq!(site.read("out/plain").as_deref(), Some("one\n"));
    assert_eq!(site.read("out/secret"), Some(format!("token={TOKEN}\n")));
    assert_eq!(site.read("earlier").as_deref(), Some("dmp's\n"));
    assert_eq!(site.read("out/made"), Some(format!("{TOKEN} 1")));
    let modes = ["out", "out/plain", "out/secret"].map(|name| site.mode(name));
    assert_eq!(modes, [0o750, 0o644, 0o600]);
    site.run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");

    // What somebody changed or removed is seen and mended.
    std::fs::write(site.root().join("out/plain"), "theirs\n").expect("writable");
    std::fs::remove_file(site.root().join("out/secret")).expect("is there");
    std::fs::remove_file(site.root().join("out/made")).expect("is there");
    site.run(&["plan"])
        .expect_success()
        .shows("Plan: 2 to create, 1 to change, 0 to replace, 0 to delete.");
    site.run(&["apply", "--yes"]).expect_success();
    assert_eq!(site.read("out/plain").as_deref(), Some("one\n"));
    assert_eq!(site.mode("out/secret"), 0o600);

    // A text is changed in place; a command without an `update` is made anew.
    let other = ["--var", "text=two", "--var", "release=2"];
    site.run(&[["plan"].as_slice(), &other].concat())
        .expect_success()
        .shows("Plan: 0 to create, 1 to change, 1 to replace, 0 to delete.");
    site.run(&[["apply", "--yes"].as_slice(), &other].concat())
        .expect_success();
    assert_eq!(site.read("out/plain").as_deref(), Some("two\n"));
    assert_eq!(site.read("out/made"), Some(format!("{TOKEN} 2")));

    site.run(&["destroy", "--yes"]).expect_success();
    assert_eq!(site.read("earlier").as_deref(), Some("theirs\n"));
    assert!(!site.root().join("out").exists());
}

#[test]
fn what_a_command_says_is_told_without_its_secrets() {
    let site = Site::new();
    site.describe("\"yes\"");
    let ran = site.run(&["apply", "--yes"]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    ran.says("`create` failed").says("status 1").says("said ");
}

#[test]
fn nothing_is_thrown_away_that_could_not_be_put_back() {
    let site = Site::new();
    std::fs::write(site.root().join("earlier"), [0xff, 0xfe, 0]).expect("writable");
    site.run(&["plan"])
        .expect_code(1)
        .says("something stands there that could not be put back");
    std::fs::remove_file(site.root().join("earlier")).expect("is there");
    std::os::unix::fs::symlink("elsewhere", site.root().join("earlier")).expect("writable");
    let ran = site.run(&["plan"]);
    assert_ne!(ran.code, Some(0));
    ran.says("a symbolic link to `elsewhere`");
    // What lies in a directory is left there.
    std::fs::remove_file(site.root().join("earlier")).expect("is there");
    site.run(&["apply", "--yes"]).expect_success();
    std::fs::write(site.root().join("out/theirs"), "theirs\n").expect("writable");
    site.run(&["destroy", "--yes"]).expect_success();
    assert_eq!(site.read("out/theirs").as_deref(), Some("theirs\n"));
    assert_eq!(site.read("out/plain"), None);
}

#[test]
fn a_file_that_is_there_is_imported() {
    let site = Site::new();
    let path = site.root().join("earlier").display().to_string();
    site.sandbox.write(
        "main.hcl",
        &format!(
            "variable \"token\" {{ sensitive = true }}\n\
             import {{\n  to = core_local_file.earlier\n  id = \"{path}\"\n}}\n\
             resource \"core_local_file\" \"earlier\" {{\n  path = \"{path}\"\n  content = \"theirs\\n\"\n  mode = \"MODE\"\n}}\n"
        )
        .replace("MODE", &format!("{:04o}", site.mode("earlier"))),
    );
    site.run(&["plan"]).expect_success().shows("1 to import");
    site.run(&["apply", "--yes"]).expect_success();
    site.run(&["destroy", "--yes"]).expect_success();
    assert_eq!(site.read("earlier"), None);
}

const ASKING: &str = r#"
variable "token" {
  type      = string
  sensitive = true
}
variable "script" { default = "cat" }
resource "core_local_file" "made" {
  path    = "ROOT/made"
  content = "made\n"
}
data "core_file" "made" {
  path       = core_local_file.made.path
  depends_on = [core_local_file.made]
}
data "core_file" "none" { path = "ROOT/none" }
data "core_file" "secret" {
  path      = "ROOT/secret"
  sensitive = true
}
data "core_environment" "set" { name = "GREETING" }
data "core_environment" "unset" {
  name    = "GREETING_OF_NOBODY"
  default = "none"
}
data "core_external" "echo" {
  program = ["sh", "-c", var.script]
  query   = { greeting = "hello", token = var.token }
}
output "seen" {
  value = {
    made  = data.core_file.made.content
    none  = data.core_file.none.exists
    set   = nonsensitive(data.core_environment.set.value)
    unset = nonsensitive(data.core_environment.unset.value)
    hello = nonsensitive(data.core_external.echo.result.greeting)
  }
}
output "secret" {
  value     = "${data.core_file.secret.sensitive_content}${data.core_external.echo.result.token}"
  sensitive = true
}
"#;

#[test]
fn files_variables_and_programs_are_asked() {
    let site = Site::new();
    let root = site.root().display().to_string();
    site.sandbox
        .write("main.hcl", &ASKING.replace("ROOT", &root));
    std::fs::write(site.root().join("secret"), TOKEN).expect("writable");
    let environment = [("DMP_VAR_token", TOKEN), ("GREETING", "good day")];
    let run = |arguments: &[&str]| {
        let ran = site.sandbox.run_with(arguments, &environment);
        let canary = Canary::new(TOKEN);
        for text in [&ran.out, &ran.err] {
            let found = canary.found_in(text.as_bytes());
            assert!(
                found.is_empty(),
                "{arguments:?} prints it {found:?}:\n{text}"
            );
        }
        let all = canary.found_below(&site.sandbox.stack_folder()).into_iter();
        assert_eq!(all.count(), 0);
        ran
    };
    run(&["plan"]).expect_success().shows("Plan: 1 to create");
    run(&["apply", "--yes"]).expect_success();
    run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    let seen = run(&["output", "--json"]).expect_success().out;
    for part in ["made\\n", "false", "good day", "none", "hello"] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    let secret = site.sandbox.run(&["output", "--raw", "secret"]);
    assert_eq!(secret.out, format!("{TOKEN}{TOKEN}"));

    for (script, why) in [
        ("cat >&2; exit 7", "it ended with status 7"),
        (
            "echo '{\"number\": 1}'",
            "no object whose members are texts",
        ),
        ("echo hello", "its answer is no JSON"),
    ] {
        let script = format!("script={script}");
        let ran = run(&["plan", "--var", &script]);
        assert_ne!(ran.code, Some(0));
        ran.says(why);
    }
    site.sandbox.write(
        "main.hcl",
        &ASKING
            .replace("ROOT", &root)
            .replace("var.script]", "\"cat\", var.token]"),
    );
    run(&["plan"])
        .expect_code(1)
        .says("a secret among a program's arguments");
}
