//! Providers with `for_each`: instances, who uses which, and what becomes of those that are gone.

mod support;

use dmp_sdk::testing::{Cloud, State};
use support::Sandbox;

const STACK: &str = r#"
variable "clouds" {
  type    = set(string)
  default = ["a", "b"]
}
variable "things" {
  type    = set(string)
  default = ["a", "b"]
}
provider "test" {
  alias    = "by"
  for_each = var.clouds
  cloud    = "CLOUD-${each.key}"
}
resource "test_thing" "one" {
  for_each = var.things
  provider = test.by[each.key]
  name     = "one-${each.key}"
}
module "inner" {
  source    = "./inner"
  for_each  = var.things
  name      = "inner-${each.key}"
  providers = {
    test = test.by[each.value]
  }
}
"#;

const INNER: &str = r#"
variable "name" {}
resource "test_thing" "two" {
  name = var.name
}
"#;

fn prepared(hcl: &str) -> Sandbox {
    let sandbox = Sandbox::stack(hcl);
    std::fs::create_dir(sandbox.stack_folder().join("inner")).expect("writable");
    sandbox.write("inner/main.hcl", INNER);
    sandbox
}

fn names(sandbox: &Sandbox, cloud: &str) -> Vec<String> {
    let path = sandbox.path().join(format!("cloud.json-{cloud}"));
    let state: State = Cloud::at(&path).look().unwrap_or_default();
    let mut names: Vec<String> = state.things.into_values().map(|thing| thing.name).collect();
    names.sort();
    names
}

#[test]
fn each_object_goes_through_its_instance_also_in_a_module() {
    let sandbox = prepared(STACK).applied();
    assert_eq!(names(&sandbox, "a"), ["inner-a", "one-a"]);
    assert_eq!(names(&sandbox, "b"), ["inner-b", "one-b"]);
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    let ran = sandbox.run(&["state", "export"]).expect_success();
    assert!(ran.out.contains(r#"test.by[\"a\"]"#), "{}", ran.out);
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert!(names(&sandbox, "a").is_empty() && names(&sandbox, "b").is_empty());
}

#[test]
fn what_was_made_through_an_instance_that_is_gone_is_deleted_through_what_is_recorded() {
    let sandbox = prepared(STACK).applied();
    sandbox.write("less.auto.hcl", "clouds = [\"a\"]\nthings = [\"a\"]\n");
    sandbox.run(&["plan"]).expect_success().shows("2 to delete");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(names(&sandbox, "a"), ["inner-a", "one-a"]);
    assert!(names(&sandbox, "b").is_empty());
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
}

#[test]
fn an_instance_that_is_still_used_can_not_go() {
    let sandbox = prepared(STACK).applied();
    sandbox.write("less.auto.hcl", "clouds = [\"a\"]\n");
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("`test.by` has no instance [\"b\"]")
        .says("there are `test.by[\"a\"]`");
    assert_eq!(names(&sandbox, "b"), ["inner-b", "one-b"]);
}

#[test]
fn instances_that_are_not_known_yet_are_decided_later() {
    let hcl = r#"
provider "test" { cloud = "CLOUD" }
resource "test_entry" "clouds" {
  key  = "clouds"
  text = "ab"
}
locals { clouds = toset([for n in range(test_entry.clouds.length) : "c${n}"]) }
provider "test" {
  alias    = "by"
  for_each = local.clouds
  cloud    = "CLOUD-${each.key}"
}
resource "test_thing" "one" {
  for_each = toset(["c0", "c1"])
  provider = test.by[each.key]
  name     = "one-${each.key}"
}
"#;
    let sandbox = prepared(hcl);
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("provider.test.by")
        .shows("test_entry.clouds");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(names(&sandbox, "c0"), ["one-c0"]);
    assert_eq!(names(&sandbox, "c1"), ["one-c1"]);
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert!(names(&sandbox, "c1").is_empty());
}

#[test]
fn mistakes_are_told_before_anything_is_planned() {
    let cases = [
        ("alias    = \"by\"", "", "needs an `alias`"),
        ("test.by[each.key]", "test.by", "which one?"),
        ("test.by[each.key]", "test.other[each.key]", "no provider"),
        ("test = test.by[each.value]", "test = test.by", "which one?"),
        (
            "test = test.by[each.value]",
            "test.x[each.key] = test.by[each.key]",
            "without a key",
        ),
        (
            "name     = \"one-${each.key}\"",
            "name     = each.kez",
            "each.key",
        ),
    ];
    for (from, to, expected) in cases {
        assert!(STACK.contains(from), "{from}");
        let sandbox = prepared(&STACK.replace(from, to));
        sandbox.run(&["validate"]).expect_code(1).says(expected);
    }
    let sandbox = prepared(&STACK.replace("for_each = var.clouds", ""));
    sandbox
        .run(&["validate"])
        .expect_code(1)
        .says("has no `for_each`");
}

#[test]
fn what_is_wrong_with_a_provider_is_told_once_something_goes_through_it() {
    let sandbox = Sandbox::stack(
        r#"
variable "endpoints" {
  type    = list(string)
  default = []
}
variable "pools" {
  type    = set(string)
  default = []
}
provider "proxmox" {
  endpoints = var.endpoints
  api_token = null
}
resource "proxmox_pool" "one" {
  for_each = var.pools
  name     = each.key
}
"#,
    );
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    sandbox.write("more.auto.hcl", "pools = [\"web\"]\n");
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("`endpoints` names no node");
}
