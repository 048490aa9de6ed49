//! Secrets that could show: in addresses, mistakes, errors of others, files.

use dmp_sdk::testing::State;

use crate::support::Sandbox;

#[test]
fn a_secret_never_becomes_part_of_an_address() {
    for for_each in [
        "toset([var.secret])",
        "{ (var.secret) = 1 }",
        "{ for s in [var.secret] : s => 1 }",
        "toset(split(\",\", var.secret))",
        "toset(keys({ (var.secret) = 1 }))",
    ] {
        let sandbox = Sandbox::stack(&format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
variable "secret" {{
  type      = string
  sensitive = true
  default   = "hunter2"
}}
resource "test_thing" "vm" {{
  for_each = {for_each}
  name     = "vm"
}}
"#
        ));
        let ran = sandbox.run(&["plan"]);
        assert_ne!(ran.code, Some(0), "{for_each}: {}", ran.out);
        let _ = ran.hides("hunter2");
    }
}

#[test]
fn no_mistake_shows_a_secret() {
    for expression in [
        "tonumber(var.secret)",
        "var.secret",
        "var.secret + 1",
        "{ a = 1 }[var.secret]",
        "{ a = 1 }[var.secret].b",
        "jsondecode(var.secret).x",
        "yamldecode(\"{${var.secret}\").x",
        "base64decode(var.secret)",
        "formatdate(\"YYYY\", var.secret)",
        "index([\"a\"], var.secret)",
        "regex(var.secret, \"x\")",
        "regex(\"x\", var.secret)",
        "lookup({ a = 1 }, var.secret)",
        "cidrhost(var.secret, 1)",
        "parseint(var.secret, 10)",
        "file(var.secret)",
        "templatefile(var.secret, {})",
        "[1, 2][var.secret]",
        "element([], var.secret)",
        "var.secret.hunter",
        "tobool(var.secret)",
        "{ for s in [var.secret, var.secret] : s => 1 }.x",
        "timeadd(var.secret, \"1h\")",
        "format(\"%d\", var.secret)",
        "one([var.secret, var.secret])",
        "zipmap([var.secret], [])",
        "tonumber({ a = var.secret }.a)",
        "max(var.secret, 1)",
        "pow(var.secret, 1)",
        "merge(var.secret, {})",
        "range(var.secret)",
        "-var.secret",
        "var.secret ? 1 : 2",
        "csvdecode(\"a,b\n${var.secret}\")[0].c",
        "substr(var.secret, var.secret, 1)",
    ] {
        let sandbox = Sandbox::stack(&format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
variable "secret" {{
  type      = string
  sensitive = true
}}
resource "test_thing" "vm" {{
  name = "vm"
  size = {}
}}
"#,
            expression.replace('\n', "\\n")
        ));
        let ran = sandbox.run(&["plan", "--var", "secret=hunter2"]);
        let shown = ran.out.contains("hunter2") || ran.err.contains("hunter2");
        assert!(!shown, "{expression}: {}{}", ran.out, ran.err);
        assert_ne!(ran.code, Some(0), "{expression}: {}", ran.out);
    }
}

#[test]
fn a_secret_variable_of_the_wrong_type_is_not_shown() {
    let sandbox = Sandbox::stack(
        r#"
variable "pin" {
  type      = number
  sensitive = true
  validation {
    condition     = var.pin > 5
    error_message = "pin is ${var.pin}"
  }
}
"#,
    );
    sandbox
        .run(&["plan", "--var", "pin=hunter2"])
        .expect_code(1)
        .hides("hunter2");
    sandbox
        .run_with(&["plan"], &[("DMP_VAR_pin", "hunter2")])
        .expect_code(1)
        .hides("hunter2");
}

#[test]
fn a_secret_is_nowhere_in_plain_text() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" {
  cloud = "CLOUD"
  token = var.secret
}
variable "secret" {
  type      = string
  sensitive = true
}
locals { derived = { inner = ["x-${var.secret}"] } }
resource "test_thing" "vm" {
  name   = "vm"
  secret = var.secret
}
resource "test_entry" "e" {
  key  = "e"
  text = local.derived.inner[0]
}
output "o" { value = local.derived }
output "l" { value = length(test_thing.vm.secret) }
"#,
    );
    let var = ["--var", "secret=hunter2"];
    let with = |first: &[&'static str]| -> Vec<&'static str> {
        first.iter().copied().chain(var).collect()
    };
    sandbox
        .run(&with(&["plan", "--json"]))
        .expect_success()
        .hides("hunter2");
    sandbox
        .run(&with(&["plan", "--out", "saved"]))
        .expect_success()
        .hides("hunter2");
    sandbox
        .run(&["show", "saved"])
        .expect_success()
        .hides("hunter2");
    sandbox
        .run(&["show", "--json", "saved"])
        .expect_success()
        .hides("hunter2");
    sandbox
        .run(&with(&["apply", "--yes", "--json"]))
        .expect_success()
        .hides("hunter2");
    let drift = |state: &mut State| {
        state.entries.get_mut("e").expect("is there").text = "x-hunter2 drifted".into();
        for thing in state.things.values_mut() {
            thing.secret = Some("hunter2 drifted".into());
        }
    };
    sandbox.cloud().change(drift).expect("writes");
    sandbox
        .run(&with(&["plan"]))
        .expect_success()
        .hides("hunter2");
    sandbox
        .run(&with(&["plan", "--json"]))
        .expect_success()
        .hides("hunter2");
    sandbox
        .run(&with(&["apply", "--yes", "-v"]))
        .hides("hunter2");
    sandbox.run(&["output"]).hides("hunter2");
    sandbox
        .run(&["state", "show", "test_entry.e"])
        .expect_success()
        .hides("hunter2");
    sandbox
        .run(&["state", "show", "test_thing.vm"])
        .expect_success()
        .hides("hunter2");
    let mut look = vec![sandbox.stack_folder()];
    while let Some(at) = look.pop() {
        for entry in std::fs::read_dir(at).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                look.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).expect("readable");
            let shown = bytes.windows(7).any(|window| window == b"hunter2");
            assert!(!shown, "{} shows a secret", path.display());
        }
    }
}

#[test]
fn a_remote_error_that_quotes_a_secret_shows_it_to_nobody() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
variable "secret" {
  type      = string
  sensitive = true
}
resource "test_thing" "vm" {
  name   = "vm"
  secret = var.secret
}
"#,
    );
    let refuse = |state: &mut State| state.faults.refuse.push("vm".into());
    sandbox.cloud().change(refuse).expect("writes");
    let arguments = ["apply", "--yes", "--var", "secret=hunter2"];
    sandbox
        .run(&arguments)
        .expect_code(3)
        .says("no room for")
        .hides("hunter2");
    let runs = std::fs::read_dir(sandbox.stack_folder().join(".dmp/runs")).expect("is there");
    for run in runs {
        let text = std::fs::read_to_string(run.expect("readable").path()).expect("readable");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
