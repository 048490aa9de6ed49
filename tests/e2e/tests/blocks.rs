//! Nested blocks and `dynamic`, end to end.

mod support;

use support::Sandbox;

const STACK: &str = r#"
provider "test" { cloud = "CLOUD" }
variable "notes" {
  default = { b = ["x", "y"], a = [] }
}
resource "test_entry" "one" {
  key  = "one"
  text = "1"
  note {
    title = "first"
  }
  dynamic "note" {
    for_each = var.notes
    content {
      title = "${note.key} of ${length(note.value)}"
      dynamic "word" {
        for_each = note.value
        content {
          text = "${note.key}${w.key}${w.value}"
        }
        iterator = w
      }
    }
  }
}
output "notes" {
  value = [for n in test_entry.one.note : "${n.title}: ${join(" ", [for w in coalesce(n.word, []) : w.text])}"]
}
"#;

fn notes(sandbox: &Sandbox) -> serde_json::Value {
    let ran = sandbox.run(&["output", "--json", "notes"]).expect_success();
    serde_json::from_str(&ran.out).expect("is JSON")
}

#[test]
fn dynamic_blocks_are_made_of_a_collection_also_inside_each_other() {
    let sandbox = Sandbox::stack(STACK).applied();
    assert_eq!(
        notes(&sandbox),
        serde_json::json!(["first: ", "a of 0: ", "b of 2: b0x b1y"])
    );
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
    sandbox.write("more.auto.hcl", "notes = { c = [\"z\"] }");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(
        notes(&sandbox),
        serde_json::json!(["first: ", "c of 1: c0z"])
    );
}

#[test]
fn blocks_whose_number_is_not_known_yet_are_known_after_apply() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_entry" "one" {
  key  = "one"
  text = "123"
}
resource "test_entry" "two" {
  key  = "two"
  text = "2"
  dynamic "note" {
    for_each = range(test_entry.one.length)
    content {
      title = "n${note.value}"
    }
  }
}
output "notes" {
  value = test_entry.two.note[*].title
}
"#,
    );
    let ran = sandbox.run(&["plan"]).expect_success();
    let line = ran.out.lines().find(|line| line.contains("note "));
    let line = line.expect("the plan shows it");
    assert!(line.contains("known after apply"), "{line}");
    let sandbox = sandbox.applied();
    assert_eq!(notes(&sandbox), serde_json::json!(["n0", "n1", "n2"]));
}

#[test]
fn a_sensitive_collection_makes_sensitive_blocks() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
variable "notes" {
  type      = list(string)
  sensitive = true
}
resource "test_entry" "one" {
  key  = "one"
  text = "1"
  dynamic "note" {
    for_each = var.notes
    content {
      title = note.value
    }
  }
}
"#,
    );
    let arguments = ["apply", "--yes", "--var", "notes=[\"hunter2\"]"];
    sandbox.run(&arguments).expect_success().hides("hunter2");
    sandbox.run(&["show"]).expect_success().hides("hunter2");
}

#[test]
fn an_iterator_is_known_only_in_its_block() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_entry" "one" {
  key  = "one"
  text = note.value
  dynamic "note" {
    for_each = [note.key]
    content {
      title = other.value
    }
  }
}
"#,
    );
    let ran = sandbox.run(&["validate"]).expect_code(1);
    for expected in [
        "there is no resource `note.value`",
        "there is no resource `note.key`",
        "there is no resource `other.value`",
    ] {
        assert!(ran.err.contains(expected), "{expected}: {}", ran.err);
    }
}
