//! What is decided later, while an apply runs.

use crate::put;
use crate::support::Sandbox;

#[test]
fn a_block_whose_name_only_begins_like_one_that_was_decided_later_is_asked_for() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" { name = "vm" }
resource "test_entry" "a" {
  for_each = toset([test_thing.vm.id])
  key      = "late-${each.key}"
  text     = "x"
}
resource "test_entry" "ab" {
  key  = "at-${test_thing.vm.id}"
  text = "mine"
}
"#,
    );
    put(&sandbox, "at-t-1", "theirs");
    sandbox.run(&["plan", "--out", "saved"]).expect_success();
    sandbox.run(&["apply", "saved"]).expect_code(4);
    assert_eq!(sandbox.look().entries["at-t-1"].text, "theirs");
}

#[test]
fn what_is_decided_later_may_not_overwrite_what_nobody_has_seen() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" { name = "vm" }
resource "test_entry" "a" {
  for_each = toset([test_thing.vm.id])
  key      = "at-${each.key}"
  text     = "x"
}
"#,
    );
    put(&sandbox, "at-t-1", "theirs");
    sandbox.run(&["plan", "--out", "saved"]).expect_success();
    sandbox.run(&["apply", "saved"]).expect_code(4);
    assert_eq!(sandbox.look().entries["at-t-1"].text, "theirs");
}

#[test]
fn who_uses_an_output_waits_for_what_the_output_depends_on() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
module "base" { source = "./base" }
module "user" {
  source = "./user"
  key    = local.key
}
locals { key = module.base.name }
"#,
    );
    for folder in ["base", "user"] {
        std::fs::create_dir_all(sandbox.stack_folder().join(folder)).expect("a folder");
    }
    sandbox.write(
        "base/main.hcl",
        r#"
resource "core_sleep" "while" { create_duration = "700ms" }
resource "test_thing" "made" {
  name       = "made"
  depends_on = [core_sleep.while]
}
output "name" {
  value      = "known"
  depends_on = [test_thing.made]
}
"#,
    );
    sandbox.write(
        "user/main.hcl",
        r#"
variable "key" { type = string }
resource "test_entry" "e" {
  key  = var.key
  text = "x"
}
"#,
    );
    let said = sandbox.run(&["apply", "--yes"]).expect_success();
    let at = |name: &str| {
        let line = said
            .err
            .lines()
            .position(|line| line.contains(name) && line.contains("created"));
        line.unwrap_or_else(|| panic!("{name} is created:\n{}", said.err))
    };
    assert!(at("test_thing.made") < at("test_entry.e"), "{}", said.err);
}

#[test]
fn what_is_replaced_stays_while_its_successor_is_decided_later() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_entry" "e" {
  key  = "first"
  text = "x"
}
"#,
    );
    sandbox.run(&["apply", "--yes"]).expect_success();
    let text = std::fs::read_to_string(sandbox.stack_folder().join("main.hcl")).expect("is there");
    let late = r#"
resource "test_thing" "vm" { name = "vm" }
resource "core_value" "late" {
  for_each = toset([test_thing.vm.id])
  value    = each.key
}
"#;
    let key = r#""at-${join("", [for late in core_value.late : late.value])}""#;
    sandbox.write("main.hcl", &(text.replace(r#""first""#, key) + late));
    sandbox.run(&["apply", "--yes"]).expect_code(4);
    let cloud = sandbox.look();
    assert_eq!(cloud.things.len(), 1, "what is known is made");
    assert_eq!(cloud.entries["first"].text, "x", "the old one stands");
    sandbox.run(&["apply", "--yes"]).expect_success();
    let cloud = sandbox.look();
    assert_eq!(cloud.entries.keys().collect::<Vec<_>>(), ["at-t-1"]);
}

#[test]
fn instances_of_a_module_that_is_not_decided_yet_are_not_deleted() {
    let stack = |name: &str| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
resource "test_thing" "vm" {{ name = "{name}" }}
module "outer" {{
  source   = "./outer"
  for_each = {{ late = [test_thing.vm.id], known = ["k"] }}
  keys     = each.value
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack("one"));
    std::fs::create_dir_all(sandbox.stack_folder().join("outer/inner")).expect("a folder");
    sandbox.write(
        "outer/main.hcl",
        r#"
variable "keys" { type = list(string) }
module "inner" {
  source   = "./inner"
  for_each = toset(var.keys)
  key      = each.key
}
"#,
    );
    sandbox.write(
        "outer/inner/main.hcl",
        r#"
variable "key" { type = string }
resource "test_entry" "e" {
  key  = "e-${var.key}"
  text = "x"
}
"#,
    );
    let sandbox = sandbox.applied();
    assert_eq!(sandbox.look().entries.len(), 2);
    sandbox.write("main.hcl", &stack("two"));
    sandbox
        .run(&["plan"])
        .expect_success()
        .hides("- module.outer")
        .shows("0 to delete");
}

#[test]
fn a_replacement_at_another_key_does_not_overwrite_what_nobody_has_seen() {
    let stack = |key: &str| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
resource "test_entry" "a" {{
  key  = "{key}"
  text = "mine"
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack("a")).applied();
    put(&sandbox, "b", "theirs");
    sandbox.write("main.hcl", &stack("b"));
    sandbox.run(&["plan", "--out", "saved"]).expect_success();
    sandbox.run(&["apply", "saved"]).expect_code(4);
    assert_eq!(sandbox.look().entries["b"].text, "theirs");
}
