//! What an apply does, seen from outside.

mod support;

use support::Sandbox;

const TWO_LAYERS: &str = r#"
provider "test" {
  cloud = "CLOUD"
}

variable "count" {
  type    = number
  default = 2
}

resource "test_thing" "vm" {
  count  = var.count
  name   = "vm-${count.index}"
  secret = "hunter2"
}

resource "test_entry" "motd" {
  for_each = { for i, vm in test_thing.vm : vm.name => vm.id }
  key      = "motd-${each.key}"
  text     = "hello ${each.value}"
  on       = each.value
}

output "ids" {
  value = test_thing.vm[*].id
}
"#;

#[test]
fn what_is_described_is_made_and_then_nothing_is_left_to_do() {
    let sandbox = Sandbox::stack(TWO_LAYERS);
    sandbox.run(&["validate"]).expect_success().shows("valid");
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("+ test_thing.vm[0]   new")
        .shows("(sensitive)")
        .shows("Plan: 4 to create, 0 to change, 0 to replace, 0 to delete.")
        .hides("hunter2");
    assert!(sandbox.look().things.is_empty(), "a plan changes nothing");
    sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .says("Done: 4 changed")
        .hides("hunter2");
    let cloud = sandbox.look();
    assert_eq!(cloud.things.len(), 2);
    assert_eq!(
        cloud.entries["motd-vm-0"].text,
        format!("hello {}", id_of(&sandbox, "vm-0"))
    );
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("4 instances, 0 open intents");
    sandbox
        .run(&["output", "ids", "--json"])
        .expect_success()
        .shows("\"t-");
}

fn id_of(sandbox: &Sandbox, name: &str) -> String {
    let things = sandbox.look().things;
    things
        .into_iter()
        .find(|(_, thing)| thing.name == name)
        .expect("is there")
        .0
}

#[test]
fn a_number_that_changes_is_the_only_change() {
    let sandbox = Sandbox::stack(TWO_LAYERS).applied();
    sandbox
        .run(&["plan", "-var", "count=3"])
        .expect_success()
        .shows("+ test_thing.vm[2]")
        .shows("+ test_entry.motd[\"vm-2\"]")
        .shows("Plan: 2 to create, 0 to change, 0 to replace, 0 to delete.");
    sandbox
        .run(&["apply", "--yes", "--var", "count=1"])
        .expect_success();
    let cloud = sandbox.look();
    assert_eq!(
        (cloud.things.len(), cloud.entries.len()),
        (1, 1 + 1),
        "what is lost with its host gets no call"
    );
    assert!(
        !cloud.calls.iter().any(|call| call == "delete motd-vm-1"),
        "{:?}",
        cloud.calls
    );
    sandbox.run(&["plan"]).expect_success().shows("2 to create");
}

#[test]
fn drift_is_shown_and_mended() {
    let sandbox = Sandbox::stack(TWO_LAYERS).applied();
    let changed = |state: &mut dmp_sdk::testing::State| {
        state.entries.get_mut("motd-vm-0").expect("is there").text = "changed".into();
    };
    sandbox.cloud().change(changed).expect("writes");
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_code(2)
        .shows("Changed outside of dmp since the last run:")
        .shows("~ test_entry.motd[\"vm-0\"]")
        .shows("Plan: 0 to create, 1 to change");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert!(
        sandbox.look().entries["motd-vm-0"]
            .text
            .starts_with("hello")
    );
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
}

#[test]
fn destroy_leaves_what_was_there_before() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_entry" "a" {
  key  = "a"
  text = "mine"
}
resource "test_entry" "b" {
  key  = "b"
  text = "mine"
}
"#,
    );
    let before = |state: &mut dmp_sdk::testing::State| {
        state.entries.insert(
            "a".into(),
            dmp_sdk::testing::Entry {
                text: "theirs".into(),
            },
        );
    };
    sandbox.cloud().change(before).expect("writes");
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("it is there already; this changes:")
        .shows("\"theirs\" -> \"mine\"");
    let sandbox = sandbox.applied();
    assert_eq!(sandbox.look().entries["a"].text, "mine");
    sandbox.run(&["destroy", "--yes"]).expect_success();
    let cloud = sandbox.look();
    assert_eq!(cloud.entries["a"].text, "theirs");
    assert_eq!(cloud.entries.len(), 1);
    sandbox
        .run(&["state", "list"])
        .expect_success()
        .hides("test_entry");
}

#[test]
fn a_failure_stops_what_needs_it_and_nothing_else() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" {
  count = 2
  name  = "vm-${count.index}"
}
resource "test_entry" "motd" {
  count = 2
  key   = "motd-${count.index}"
  text  = test_thing.vm[count.index].id
}
"#,
    );
    sandbox
        .cloud()
        .change(|state| state.faults.refuse.push("vm-1".into()))
        .expect("writes");
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(3)
        .says("the cloud refused")
        .says("nothing is recorded of it")
        .says("test_entry.motd[1]   skipped");
    assert_eq!(sandbox.look().entries.len(), 1, "the other branch went on");
    sandbox
        .cloud()
        .change(|state| state.faults.refuse.clear())
        .expect("writes");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(
        (sandbox.look().things.len(), sandbox.look().entries.len()),
        (2, 2)
    );
}

#[test]
fn a_create_whose_answer_was_lost_is_found_by_its_mark_and_not_repeated() {
    let sandbox = Sandbox::stack(TWO_LAYERS);
    sandbox
        .cloud()
        .change(|state| state.faults.lose_answer.push("vm-0".into()))
        .expect("writes");
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(3)
        .says("the cloud gave no answer");
    sandbox
        .cloud()
        .change(|state| state.faults.lose_answer.clear())
        .expect("writes");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(sandbox.look().things.len(), 2, "{:?}", sandbox.look().calls);
    assert!(sandbox.look().things.values().all(|thing| thing.is_whole));
}

#[test]
fn a_provider_may_be_configured_by_what_the_same_run_makes() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
provider "test" {
  alias = "inner"
  cloud = "CLOUD"
  token = test_thing.cluster.id
}
resource "test_thing" "cluster" { name = "cluster" }
resource "test_entry" "manifest" {
  provider = test.inner
  key      = "manifest"
  text     = "hello"
}
"#,
    );
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Plan: 2 to create");
    let sandbox = sandbox.applied();
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
    sandbox
        .run(&["state", "show", "test_entry.manifest"])
        .expect_success()
        .shows("lives on all of test_thing.cluster");
    sandbox
        .run(&["plan", "--destroy"])
        .expect_success()
        .shows("x test_entry.manifest   test_thing.cluster ends");
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert!(
        sandbox.look().entries.contains_key("manifest"),
        "no call was made for what ended with its host"
    );
}

#[test]
fn a_saved_plan_is_applied_as_it_was_approved_or_not_at_all() {
    let sandbox = Sandbox::stack(TWO_LAYERS);
    sandbox
        .run(&["plan", "-out=plan", "--var", "count=1"])
        .expect_success();
    let text = std::fs::read_to_string(sandbox.stack_folder().join("plan")).expect("is there");
    assert!(
        !text.contains("hunter2") && !text.contains("vm-0"),
        "all of a saved plan is sealed"
    );
    sandbox
        .run(&["show", "plan"])
        .expect_success()
        .shows("Plan: 2 to create");
    sandbox.run(&["apply", "plan"]).expect_success();
    assert_eq!(sandbox.look().things.len(), 1);
    sandbox
        .run(&["apply", "plan"])
        .expect_code(1)
        .says("the state has changed");
    sandbox
        .run(&["plan", "--out", "plan", "--var", "count=1"])
        .expect_success();
    sandbox
        .cloud()
        .change(|state| state.entries.clear())
        .expect("writes");
    sandbox
        .run(&["apply", "plan"])
        .expect_code(4)
        .says("what is there has changed since the plan was made");
}

#[test]
fn nobody_is_asked_where_there_is_no_terminal() {
    let sandbox = Sandbox::stack(TWO_LAYERS);
    sandbox
        .run(&["apply"])
        .expect_code(1)
        .says("there is no terminal to ask on");
    assert!(sandbox.look().things.is_empty());
}

#[test]
fn what_is_not_carried_out_yet_is_refused_and_not_passed_over() {
    let sandbox = Sandbox::stack(
        r#"
stack {
  backend "s3" {}
}
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" {
  name = "vm"
}
environment "prod" {}
"#,
    );
    sandbox
        .run(&["validate"])
        .expect_code(1)
        .says("`backend` of the `stack` block");
    let held = "stack {\n  backend \"local\" {}\n}\nenvironment \"prod\" {}\n";
    sandbox.write("main.hcl", held);
    for command in ["validate", "plan"] {
        let ran = sandbox.run(&[command]).expect_success();
        ran.says("an environment is held, not carried out");
    }
    for command in ["apply", "destroy"] {
        let ran = sandbox.run(&[command, "--yes"]).expect_code(1);
        ran.says("environments are not carried out yet");
    }
}

#[test]
fn a_provider_in_a_module_is_read_by_its_present_configuration() {
    let sandbox = Sandbox::stack(
        "variable \"cloud\" { default = \"CLOUD\" }\nmodule \"site\" {\n  source = \"./site\"\n  \
         cloud  = var.cloud\n}\n",
    );
    std::fs::create_dir(sandbox.stack_folder().join("site")).expect("a folder");
    sandbox.write(
        "site/main.hcl",
        "variable \"cloud\" {}\nprovider \"test\" { cloud = var.cloud }\n\
         resource \"test_thing\" \"vm\" { name = \"vm\" }\n",
    );
    let sandbox = sandbox.applied();
    // The same cloud is reached by another way now, and no longer by the old one.
    let moved = sandbox.path().join("moved.json");
    std::fs::rename(sandbox.path().join("cloud.json"), &moved).expect("is there");
    let variable = format!("cloud={}", moved.display());
    sandbox
        .run(&["plan", "--detailed-exitcode", "--var", &variable])
        .expect_success()
        .shows("Nothing to do");
}

#[test]
fn what_is_not_known_yet_may_still_be_tried_in_vain() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" {
  for_each = toset(["a"])
  name     = each.key
}
output "ids" {
  value = join(",", [for vm in flatten([test_thing.vm]) : try(vm.id, "none")])
}
"#,
    )
    .applied();
    sandbox
        .run(&["output", "ids"])
        .expect_success()
        .shows("none");
}
