//! Whole configurations, as they stand in a folder.

use std::fs;
use std::path::Path;

use dmp_sdk::schema::Attribute;
use dmp_sdk::{Schema, Type};

use super::*;
use crate::config::{Endpoint, IgnoreChanges};
use crate::load_stack;

struct OneType {
    vm: Schema,
    provider: Schema,
}

impl OneType {
    fn new() -> Self {
        Self {
            vm: Schema::new("vm", "A machine.")
                .attribute("name", Attribute::required(Type::String, "Name."))
                .attribute("cores", Attribute::optional(Type::Number, "Cores."))
                .attribute("address", Attribute::computed(Type::String, "Address.")),
            provider: Schema::new("cloud", "A cloud.")
                .attribute("url", Attribute::optional(Type::String, "Url.")),
        }
    }
}

impl Schemas for OneType {
    fn resource(&self, mode: Mode, resource_type: &str) -> Option<&Schema> {
        (mode == Mode::Managed && resource_type == "vm").then_some(&self.vm)
    }

    fn provider(&self, name: &str) -> Option<&Schema> {
        (name == "cloud").then_some(&self.provider)
    }

    fn resource_types(&self, mode: Mode) -> Vec<&str> {
        if mode == Mode::Managed {
            vec!["vm"]
        } else {
            Vec::new()
        }
    }

    fn provider_names(&self) -> Vec<&str> {
        vec!["cloud"]
    }
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).expect("folders");
        fs::write(path, text).expect("a file");
    }
    folder
}

/// Each error with the text at its place.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let folder = folder(files);
    let (configuration, sources, mut failed) = load_stack(folder.path());
    failed.extend(check(&configuration, &OneType::new()));
    failed
        .iter()
        .map(|failed| {
            let place = failed
                .span
                .as_ref()
                .and_then(|span| sources.excerpt(span))
                .unwrap_or("?");
            let help = failed
                .help
                .first()
                .map(|help| format!(" ({help})"))
                .unwrap_or_default();
            format!("{place}: {}{help}", failed.detail)
        })
        .collect()
}

const GOOD: &str = r#"
stack {
  required_version = ">= 0.1"
  backend "local" {}
}
variable "names" {
  type        = map(object({ cores = optional(number, 2) }))
  default     = { a = {} }
  description = "Machines."
  validation {
    condition     = length(var.names) > 0
    error_message = "At least one machine is needed, not ${length(var.names)}."
  }
}
locals {
  all = [for vm in vm.web : vm.address]
}
provider "cloud" {
  url = vm.one.address
}
provider "cloud" {
  alias = "east"
}
resource "vm" "one" {
  name     = "one"
  provider = cloud.east
  layer    = "machine"
  lifecycle {
    prevent_destroy      = true
    ignore_changes       = [cores, name]
    replace_triggered_by = [vm.web["a"].name]
    hosted_on            = [vm.web]
    rollout {
      group   = "all"
      max_out = 1
    }
    postcondition {
      condition     = self.address != ""
      error_message = "No address."
    }
  }
  timeouts {
    create = "5m"
  }
}
resource "vm" "web" {
  for_each   = var.names
  name       = each.key
  cores      = each.value.cores
  depends_on = [module.net]
}
module "net" {
  source    = "./net"
  count     = 2
  size      = count.index
  providers = { cloud = cloud.east }
}
output "address" {
  value     = "${vm.one.address} ${module.net[0].id} ${join(",", local.all)}"
  sensitive = true
}
check "up" {
  assert {
    condition     = vm.one.address != ""
    error_message = "Down."
  }
}
moved {
  from = vm.old["a"]
  to   = module.net[0].vm.new
}
removed {
  from = module.gone
  lifecycle {
    destroy = false
  }
}
import {
  to = vm.one
  id = "123"
}
"#;
const NET: &str =
    "variable \"size\" {\n  type = number\n}\noutput \"id\" {\n  value = var.size\n}\n";

#[test]
fn a_good_stack_has_no_errors_and_every_part_of_it_is_there() {
    let folder = folder(&[("main.hcl", GOOD), ("net/main.hcl", NET)]);
    let (configuration, sources, failed) = load_stack(folder.path());
    assert_eq!(failed, []);
    assert_eq!(check(&configuration, &OneType::new()), []);
    let root = configuration.root();
    assert_eq!(
        (
            root.variables.len(),
            root.providers.len(),
            root.resources.len()
        ),
        (1, 2, 2)
    );
    let one = &root.resources[0];
    let IgnoreChanges::Paths(paths) = &one.lifecycle.ignore_changes else {
        panic!("paths were written");
    };
    assert_eq!(paths.len(), 2);
    assert!(
        one.body
            .attributes
            .keys()
            .all(|name| name.as_ref() == "name")
            && one.body.blocks.is_empty()
    );
    assert_eq!(root.moved[0].to.to_string(), "module.net[0].vm.new");
    assert!(
        matches!(&root.removed[0].from, Endpoint::Module(path) if path.to_string() == "module.gone")
    );
    assert!(!root.removed[0].destroy);
    assert_eq!(
        configuration
            .module(root.calls[0].module.expect("was loaded"))
            .outputs
            .len(),
        1
    );
    assert_eq!(sources.iter().count(), 2);
    let (again, _, _) = load_stack(folder.path());
    assert_eq!(again.digest, configuration.digest);
}

#[test]
fn all_errors_of_a_stack_come_at_once_with_their_places() {
    let text = r#"
resource "vmm" "a" {
}
resource "vm" "b" {
  nam   = var.nope
  cores = each.key
}
resource "vm" "c" {
  count = "x"
  name  = vm.b.adress
  cores = local.missing + lengt([])
}
resource "vm" "d" {
  name = "${vm.c.name} ${module.net.idd} ${self.x}"
}
module "net" {
  source = "./net"
  sise   = 1
}
local {
}
output "o" {
  vlaue = foo
}
"#;
    assert_eq!(
        found(&[("main.hcl", text), ("net/main.hcl", NET)]),
        [
            "local: a stack has no block `local` (did you mean `locals`?)",
            "output \"o\": `value` must be set",
            "vlaue: an output has no argument `vlaue` (did you mean `value`?)",
            "\"vmm\": there is no resource type `vmm` (did you mean `vm`?)",
            "var.nope: there is no input variable `var.nope`",
            "each.key: `each` is known only inside a block with `for_each`",
            "{: `name` of `vm` must be set",
            "nam: `vm` has no argument `nam` (did you mean `name`?)",
            "\"x\": a number is required",
            "adress: `vm` has no attribute `adress` (did you mean `address`?)",
            "local.missing: there is no local value `local.missing`",
            "lengt: there is no function `lengt` (did you mean `length`?)",
            "name: `vm.c` has several instances, so `.name` of which one? (write `vm.c[0].name` for one, `[for …]` for all of them)",
            "idd: the module `net` has no output value `idd` (did you mean `id`?)",
            "self: `self` is known only in postconditions",
            "sise: the module `net` has no input variable `sise` (did you mean `size`?)",
            "module \"net\": the module `net` needs its input variable `size`",
        ]
    );
}

#[test]
fn definitions_of_one_name_point_at_the_first() {
    let text =
        "variable \"a\" {\n}\nvariable \"a\" {\n}\nlocals {\n  x = 1\n}\nlocals {\n  x = 2\n}\n";
    let folder = folder(&[("main.hcl", text)]);
    let (_, sources, failed) = load_stack(folder.path());
    assert_eq!(failed.len(), 2);
    for failed in failed {
        assert_eq!(failed.code, "duplicate-definition");
        let first = &failed.labels[0].span;
        assert!(
            first.start < failed.span.as_ref().expect("has a place").start
                && sources.excerpt(first).is_some()
        );
    }
}

#[test]
fn a_module_that_calls_itself_is_an_error_with_the_path() {
    let failed = found(&[
        ("main.hcl", "module \"a\" {\n  source = \"./a\"\n}\n"),
        ("a/main.hcl", "module \"b\" {\n  source = \"../b\"\n}\n"),
        ("b/main.hcl", "module \"a\" {\n  source = \"../a\"\n}\n"),
    ]);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].contains("`a` → `b` → `a`"), "{failed:?}");
}

#[test]
fn sources_that_lead_nowhere_are_told_of() {
    let failed = found(&[(
        "main.hcl",
        "module \"a\" {\n  source = \"a/b\"\n}\nmodule \"b\" {\n  source = \"./none\"\n}\n",
    )]);
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(
        failed[0].contains("write `./a/b`") && failed[1].contains("there is no such file"),
        "{failed:?}"
    );
}
