//! The state by hand: addresses that change, objects that are forgotten, and what the log tells.

mod support;

use support::Sandbox;

const STACK: &str = r#"
provider "test" { cloud = "CLOUD" }
variable "text" { default = "hello" }
resource "test_thing" "vm" {
  for_each = toset(["a", "b"])
  name     = each.key
}
resource "test_entry" "motd" {
  key  = "motd"
  text = var.text
  on   = test_thing.vm["a"].id
}
"#;

fn calls(sandbox: &Sandbox) -> Vec<String> {
    let calls = sandbox.look().calls.into_iter();
    calls.filter(|call| !call.starts_with("list")).collect()
}

#[test]
fn what_has_moved_is_found_at_its_new_address_and_nothing_is_touched() {
    let sandbox = Sandbox::stack(STACK).applied();
    let before = calls(&sandbox);
    sandbox
        .run(&["state", "mv", "test_thing.vm[\"a\"]", "test_thing.first"])
        .expect_success()
        .shows("test_thing.vm[\"a\"] is now test_thing.first");
    sandbox
        .run(&["state", "show", "test_entry.motd"])
        .expect_success()
        .shows("lives on all of test_thing.first");
    sandbox.write(
        "main.hcl",
        &STACK
            .replace("[\"a\", \"b\"]", "[\"b\"]")
            .replace("test_thing.vm[\"a\"].id", "test_thing.first.id")
            .replace(
                "resource \"test_entry\"",
                "resource \"test_thing\" \"first\" { name = \"a\" }\nresource \"test_entry\"",
            ),
    );
    sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .shows("Nothing to do");
    assert_eq!(calls(&sandbox), before);
    sandbox
        .run(&["state", "mv", "test_thing.first", "test_thing.vm[\"b\"]"])
        .expect_code(1)
        .says("two objects would have one address");
    sandbox
        .run(&["state", "mv", "test_thing.frist", "test_thing.x"])
        .expect_code(1)
        .says("the state has no `test_thing.frist`");
}

#[test]
fn what_is_forgotten_stays_outside() {
    let sandbox = Sandbox::stack(STACK).applied();
    let before = calls(&sandbox);
    sandbox
        .run(&["state", "rm", "test_thing.vm", "test_entry.motd"])
        .expect_success()
        .shows("test_thing.vm[\"a\"] is forgotten; the object stays")
        .shows("test_entry.motd is forgotten");
    assert_eq!(calls(&sandbox), before);
    sandbox
        .run(&["state", "list"])
        .expect_success()
        .hides("test_");
    sandbox.run(&["state", "verify"]).expect_success();
    sandbox
        .run(&["state", "rm", "test_thing.vm"])
        .expect_code(1)
        .says("the state has no `test_thing.vm`");
    sandbox
        .run(&["destroy", "--yes"])
        .expect_success()
        .shows("nothing is recorded that could be removed");
}

#[test]
fn what_is_not_settled_is_not_edited() {
    let sandbox = Sandbox::stack(STACK).applied();
    let change = ["apply", "--yes", "--var", "text=other"];
    let cut = sandbox.run_with(&change, &[("DMP_FAIL_AT", "call.before:1")]);
    assert_eq!(cut.code, None, "{}", cut.err);
    for edit in [
        vec!["state", "rm", "test_entry.motd"],
        vec!["state", "mv", "test_entry.motd", "test_entry.other"],
    ] {
        sandbox
            .run(&edit)
            .expect_code(1)
            .says("an earlier run is not settled")
            .says("its update was begun");
    }
    sandbox.run(&change).expect_success();
    sandbox
        .run(&["state", "rm", "test_entry.motd"])
        .expect_success();
}

#[test]
fn the_log_tells_run_by_run_what_has_changed() {
    let sandbox = Sandbox::stack(STACK).applied();
    sandbox
        .run(&["state", "rm", "test_entry.motd"])
        .expect_success();
    let history = sandbox
        .run(&["state", "history"])
        .expect_success()
        .shows("apply: applied")
        .shows("recorded test_thing.vm[\"a\"]")
        .shows("state rm: done")
        .shows("removed test_entry.motd (forgotten)");
    assert!(history.out.find("apply:") < history.out.find("state rm:"));
    let lines = sandbox
        .run(&["state", "history", "--json"])
        .expect_success();
    let last = lines.out.lines().last().expect("a line");
    let json: serde_json::Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(json["command"], "state rm");
    assert_eq!(json["changes"][0], "removed test_entry.motd (forgotten)");
}

#[test]
fn the_graph_is_told_in_three_forms_and_from_another_folder() {
    let sandbox = Sandbox::stack(STACK);
    sandbox
        .run(&["graph"])
        .expect_success()
        .shows("\"test_entry.motd\" -> \"test_thing.vm\";");
    let mermaid = sandbox
        .run(&["graph", "--format", "mermaid"])
        .expect_success()
        .shows("flowchart RL")
        .out;
    let number = |name: &str| {
        let line = mermaid
            .lines()
            .find(|line| line.contains(name))
            .expect("a node");
        line.trim().split_once('[').expect("a text").0.to_owned()
    };
    let edge = format!(
        "{} --> {}",
        number("test_entry.motd"),
        number("test_thing.vm")
    );
    assert!(mermaid.contains(&edge), "{mermaid}");
    let mut command = sandbox.command(&["graph", "-C", "stack", "--format=json"]);
    let output = command
        .current_dir(sandbox.path())
        .output()
        .expect("starts");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let blocks = json["blocks"].as_array().expect("a list");
    let entry = blocks
        .iter()
        .find(|block| block["block"] == "test_entry.motd");
    let needs = entry.expect("is there")["needs"].to_string();
    assert!(
        needs.contains("test_thing.vm") && needs.contains("var.text"),
        "{needs}"
    );
}

#[test]
fn a_large_stack_says_at_once_what_it_is_about_and_goes_as_a_whole() {
    let sandbox = Sandbox::stack(
        r#"
resource "core_value" "many" {
  for_each = toset([for n in range(1000) : tostring(n)])
  value    = { name = "n-${each.key}", list = [each.key] }
}
resource "core_value" "sum" { value = length([for value in core_value.many : value.id]) }
output "sum" { value = core_value.sum.value }
"#,
    )
    .applied();
    sandbox
        .run(&["output", "--raw", "sum"])
        .expect_success()
        .shows("1000");
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .says("looking at 1001 recorded instances")
        .shows("Nothing to do");
    sandbox
        .run(&["apply", "--yes", "--replace", "core_value.many[\"7\"]"])
        .expect_success()
        .shows("1 to replace");
    sandbox.run(&["destroy", "--yes"]).expect_success();
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("0 instances, 0 open intents");
}

const LATER: &str = r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "old" { name = "old" }
resource "test_entry" "old" {
  key  = "old"
  text = "old"
}
"#;

const SINCE: &str = r#"
resource "test_thing" "new" { name = "new" }
resource "test_entry" "new" {
  key  = "new"
  text = "new"
}
resource "core_random_password" "new" { length = 20 }
resource "core_value" "new" { value = "x" }
"#;

#[test]
fn an_older_copy_is_gone_on_from_only_when_a_person_says_so_and_what_it_cannot_know_is_told() {
    let sandbox = Sandbox::stack(LATER).applied();
    let file = sandbox.stack_folder().join(".dmp/state.sqlite");
    let older = std::fs::read(&file).expect("is there");
    sandbox
        .run(&["state", "reconcile"])
        .expect_success()
        .shows("there is nothing to reconcile");
    sandbox.write("since.hcl", SINCE);
    sandbox.run(&["apply", "--yes"]).expect_success();
    std::fs::write(&file, older).expect("writable");
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(1)
        .says("the state is an older copy")
        .says("dmp state reconcile");
    let before = calls(&sandbox);
    sandbox
        .run(&["state", "reconcile"])
        .expect_code(1)
        .says("there is no terminal to ask on");
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("the state is an older copy");
    let told = sandbox
        .run(&["state", "reconcile", "--yes"])
        .expect_success();
    let under = |title: &str| {
        let (_, rest) = told.out.split_once(title).expect(title);
        let lines = rest.lines().skip(1);
        let found = lines.take_while(|line| line.starts_with("  "));
        found.map(str::trim).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(under("Found by its path or name"), "test_entry.new");
    assert_eq!(under("Found only by a mark"), "test_thing.new");
    assert_eq!(
        under("Secrets that were recorded"),
        "core_random_password.new"
    );
    assert_eq!(
        under("Recorded in the state alone, and made anew"),
        "core_value.new"
    );
    assert_eq!(calls(&sandbox), before, "nothing outside was changed");

    // The hint is followed: what has only a mark is imported, nothing is there twice.
    let id = sandbox
        .look()
        .things
        .iter()
        .find_map(|(id, thing)| (thing.name == "new").then(|| id.clone()));
    let id = id.expect("was made");
    sandbox.write(
        "import.hcl",
        &format!("import {{\n  to = test_thing.new\n  id = \"{id}\"\n}}\n"),
    );
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(sandbox.look().things.len(), 2);
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
    sandbox.run(&["state", "verify"]).expect_success();
    sandbox
        .run(&["state", "history"])
        .expect_success()
        .shows("state reconcile: reconciled")
        .shows("went on from an older copy (commit");
}
