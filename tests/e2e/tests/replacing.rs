//! `create_before_destroy`: the new object stands before the old one goes, whatever happens in between.

mod support;

use support::Sandbox;

const STACK: &str = r#"
provider "test" { cloud = "CLOUD" }
variable "name" {
  type    = string
  default = "old"
}
resource "test_thing" "base" {
  name = "base-${var.name}"
}
resource "test_thing" "front" {
  name   = "front-${var.name}"
  secret = test_thing.base.id
  lifecycle { create_before_destroy = true }
}
resource "test_entry" "address" {
  key  = "address"
  text = "front is ${test_thing.front.id}"
}
"#;

const NEW: [&str; 4] = ["apply", "--yes", "--var", "name=new"];

/// The calls that make and delete, in order.
fn calls(sandbox: &Sandbox) -> Vec<String> {
    let wanted = |call: &String| {
        ["make", "delete", "update address"]
            .iter()
            .any(|verb| call.starts_with(verb))
    };
    sandbox.look().calls.into_iter().filter(wanted).collect()
}

fn is_new(sandbox: &Sandbox, at: &str) {
    let cloud = sandbox.look();
    let mut names: Vec<_> = cloud
        .things
        .values()
        .map(|thing| thing.name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["base-new", "front-new"], "{at}: {:?}", cloud.calls);
    assert!(cloud.things.values().all(|thing| thing.is_whole), "{at}");
    sandbox
        .run(&["plan", "--var", "name=new", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("3 instances, 0 open intents");
    let listed = sandbox.run(&["state", "list"]).expect_success();
    assert_eq!(listed.out.lines().count(), 3, "{at}: {}", listed.out);
}

#[test]
fn the_new_ones_are_made_first_and_what_they_use_as_well() {
    let sandbox = Sandbox::stack(STACK).applied();
    sandbox
        .run(&["plan", "--var", "name=new"])
        .expect_success()
        .shows("+/- test_thing.base")
        .shows("it is created first because test_thing.front is")
        .shows("+/- test_thing.front")
        .shows("2 to replace");
    sandbox.run(&NEW).expect_success();
    is_new(&sandbox, "whole");
    assert_eq!(
        calls(&sandbox)[2..],
        [
            "make base-new",
            "make front-new",
            "update address",
            "delete t-2",
            "delete t-1",
        ]
    );
}

#[test]
fn killed_at_each_place_both_objects_are_known_and_one_is_left_in_the_end() {
    for number in 1..200 {
        let sandbox = Sandbox::stack(STACK).applied();
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&NEW, &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            assert!(number > 25, "only {number} places");
            return;
        }
        sandbox.run(&NEW).expect_success();
        is_new(&sandbox, &at);
    }
    panic!("it never came to its end");
}

#[test]
fn a_new_one_that_cannot_be_made_leaves_the_old_one_alone() {
    let sandbox = Sandbox::stack(STACK).applied();
    sandbox
        .cloud()
        .change(|state| state.faults.refuse.push("front-new".into()))
        .expect("writes");
    sandbox.run(&NEW).expect_code(3);
    let cloud = sandbox.look();
    assert!(cloud.things.values().any(|thing| thing.name == "front-old"));
    assert!(
        cloud.entries["address"].text.ends_with("t-2"),
        "nobody was pointed elsewhere"
    );
    let shown = sandbox.run(&["state", "list"]).expect_success();
    assert!(
        shown
            .out
            .contains("test_thing.base (replaced, not deleted yet"),
        "what it used is still needed: {}",
        shown.out
    );
    sandbox
        .cloud()
        .change(|state| state.faults.refuse.clear())
        .expect("writes");
    sandbox
        .run(&["plan", "--var", "name=new"])
        .expect_success()
        .shows("it was replaced, and the old object is still there");
    sandbox.run(&NEW).expect_success();
    is_new(&sandbox, "after a refusal");
}

#[test]
fn what_was_replaced_and_not_deleted_goes_with_a_destroy() {
    let sandbox = Sandbox::stack(STACK).applied();
    // Killed when both are there.
    for number in 1..200 {
        let at = format!("*:{number}");
        let _ = sandbox.run_with(&NEW, &[("DMP_FAIL_AT", &at)]);
        if sandbox.look().things.len() > 2 {
            break;
        }
    }
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert!(sandbox.look().things.is_empty());
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("0 instances, 0 open intents");
}

#[test]
fn what_others_live_on_cannot_be_made_first() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
variable "name" { default = "old" }
resource "test_thing" "vm" {
  name = var.name
  lifecycle { create_before_destroy = true }
}
resource "test_entry" "motd" {
  key  = "motd"
  text = "hello"
  on   = test_thing.vm.id
}
"#,
    )
    .applied();
    sandbox
        .run(&NEW)
        .expect_code(1)
        .says("`test_entry.motd` live on `test_thing.vm`")
        .says("add a new key to `for_each`");
    assert_eq!(sandbox.look().things.len(), 1);
}

#[test]
fn a_new_object_at_the_place_of_the_old_one_is_refused() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
variable "name" { default = "old" }
resource "test_thing" "vm" { name = var.name }
resource "test_entry" "motd" {
  key  = "motd"
  text = "hello"
  lifecycle {
    create_before_destroy = true
    replace_triggered_by  = [test_thing.vm]
  }
}
"#,
    )
    .applied();
    sandbox
        .run(&NEW)
        .expect_code(1)
        .says("the new object would be the old one");
}

/// A stack in which an apply was killed while an old object and its successor stood side by side.
fn killed_with_both(hcl: &str, module: Option<&str>) -> Sandbox {
    for number in 1..200 {
        let sandbox = Sandbox::stack(hcl);
        if let Some(module) = module {
            std::fs::create_dir(sandbox.stack_folder().join("site")).expect("a folder");
            sandbox.write("site/main.hcl", module);
        }
        let sandbox = sandbox.applied();
        let at = format!("*:{number}");
        let _ = sandbox.run_with(&NEW, &[("DMP_FAIL_AT", &at)]);
        let listed = sandbox.run(&["state", "list"]).expect_success();
        if listed.out.contains("replaced, not deleted yet") {
            return sandbox;
        }
    }
    panic!("the two never stood side by side");
}

#[test]
fn what_was_replaced_moves_along_and_still_goes_after_what_used_it() {
    let sandbox = killed_with_both(STACK, None);
    let moved = STACK
        .replace("test_thing\" \"base\"", "test_thing\" \"ground\"")
        .replace("test_thing.base", "test_thing.ground");
    let moved = moved + "moved {\n  from = test_thing.base\n  to = test_thing.ground\n}\n";
    sandbox.write("main.hcl", &moved);
    sandbox.run(&NEW).expect_success();
    is_new(&sandbox, "moved");
    let calls = calls(&sandbox);
    assert_eq!(calls[calls.len() - 2..], ["delete t-2", "delete t-1"]);
}

#[test]
fn what_was_replaced_in_a_module_is_deleted_when_the_module_has_moved() {
    let call = |name: &str| {
        format!(
            "variable \"name\" {{ default = \"old\" }}\nmodule \"{name}\" {{\n  source = \"./site\"\n  \
             name   = var.name\n}}\n"
        )
    };
    let module = "provider \"test\" { cloud = \"CLOUD\" }\nvariable \"name\" {}\n\
                  resource \"test_thing\" \"vm\" {\n  name = var.name\n  \
                  lifecycle { create_before_destroy = true }\n}\n";
    let sandbox = killed_with_both(&call("one"), Some(module));
    let moved = call("two") + "moved {\n  from = module.one\n  to = module.two\n}\n";
    sandbox.write("main.hcl", &moved);
    sandbox.run(&NEW).expect_success();
    let cloud = sandbox.look();
    let names: Vec<_> = cloud.things.values().map(|thing| &thing.name).collect();
    assert_eq!(names, ["new"], "{:?}", cloud.calls);
    sandbox
        .run(&["plan", "--detailed-exitcode", "--var", "name=new"])
        .expect_success();
}

#[test]
fn what_was_replaced_on_a_host_goes_with_the_host() {
    let sandbox = killed_with_both(
        r#"
provider "test" { cloud = "CLOUD" }
variable "name" { default = "old" }
resource "test_thing" "host" { name = "host" }
resource "test_thing" "vm" {
  name = var.name
  on   = test_thing.host.id
  lifecycle { create_before_destroy = true }
}
"#,
        None,
    );
    sandbox.run(&["destroy", "--yes"]).expect_success();
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("0 instances, 0 open intents");
    let listed = sandbox.run(&["state", "list"]).expect_success();
    assert_eq!(listed.out, "");
}

#[test]
fn nothing_is_made_where_a_replaced_object_is_still_to_be_deleted() {
    let hcl = r#"
provider "test" { cloud = "CLOUD" }
variable "name" { default = "old" }
resource "test_entry" "motd" {
  key  = var.name
  text = "hello"
  lifecycle { create_before_destroy = true }
}
"#;
    let sandbox = killed_with_both(hcl, None);
    // Back to the old key: it would be taken over, and then deleted as the old object.
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(1)
        .says("what is made is still to be deleted");
    sandbox.run(&NEW).expect_success();
    sandbox.run(&["apply", "--yes"]).expect_success();
    let cloud = sandbox.look();
    assert_eq!(cloud.entries.keys().collect::<Vec<_>>(), ["old"]);
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
}
