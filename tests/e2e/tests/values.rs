//! The provider `core`, end to end: what is chosen once stays, a keeper chooses anew, secrets are sealed.

mod support;

use dmp_testkit::Canary;
use support::Sandbox;

/// What an output is now, as JSON.
fn output(sandbox: &Sandbox, name: &str) -> serde_json::Value {
    let ran = sandbox.run(&["output", "--json"]).expect_success();
    let all: serde_json::Value = serde_json::from_str(&ran.out).expect("is JSON");
    let output = &all[name];
    output.get("value").unwrap_or(output).clone()
}

fn nothing_to_do(sandbox: &Sandbox) {
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
}

/// Nothing of a secret is in what dmp has written or prints.
fn is_sealed(sandbox: &Sandbox, secret: &str) {
    let canary = Canary::new(secret);
    let found: Vec<_> = canary.found_below(sandbox.path()).into_iter().collect();
    assert!(found.is_empty(), "it is in {found:?}");
    for arguments in [
        ["plan"].as_slice(),
        &["plan", "--json"],
        &["show"],
        &["show", "--json"],
        &["output"],
        &["state", "export"],
    ] {
        let ran = sandbox.run(arguments).expect_success();
        for text in [&ran.out, &ran.err] {
            let found = canary.found_in(text.as_bytes());
            assert!(found.is_empty(), "{arguments:?} prints it: {found:?}");
        }
    }
}

fn raw(sandbox: &Sandbox, name: &str) -> String {
    sandbox.run(&["output", "--raw", name]).expect_success().out
}

const RANDOM: &str = r#"
variable "release" { default = "1" }
locals { keepers = { release = var.release } }
resource "core_random_id" "one" {
  byte_length = 8
  prefix      = "web-"
  keepers     = local.keepers
}
resource "core_random_uuid" "one" { keepers = local.keepers }
resource "core_random_integer" "one" {
  min     = 10000
  max     = 9000000000000
  keepers = local.keepers
}
resource "core_random_string" "one" {
  length    = 32
  upper     = false
  min_lower = 20
  keepers   = local.keepers
}
resource "core_random_password" "one" {
  length  = 24
  keepers = local.keepers
}
resource "core_random_pet" "one" {
  length    = 12
  separator = "."
  prefix    = "dmp"
  keepers   = local.keepers
}
resource "core_random_shuffle" "one" {
  input   = [for number in range(40) : "n${number}"]
  keepers = local.keepers
}
output "seen" {
  value = {
    id      = core_random_id.one.b64_url
    uuid    = core_random_uuid.one.result
    integer = core_random_integer.one.result
    string  = core_random_string.one.result
    pet     = core_random_pet.one.id
    shuffle = core_random_shuffle.one.result
  }
}
output "password" {
  value     = core_random_password.one.result
  sensitive = true
}
output "hash" {
  value     = core_random_password.one.bcrypt_hash
  sensitive = true
}
"#;

#[test]
fn what_is_random_is_chosen_once_and_anew_with_its_keepers() {
    let sandbox = Sandbox::stack(RANDOM);
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Plan: 7 to create, 0 to change, 0 to replace, 0 to delete.");
    let sandbox = sandbox.applied();
    nothing_to_do(&sandbox);
    let first = output(&sandbox, "seen");
    let text = |name: &str| first[name].as_str().expect("a text").to_owned();
    assert_eq!(text("id").len(), "web-".len() + 11, "{first}");
    assert_eq!((text("uuid").len(), &text("uuid")[14..15]), (36, "4"));
    let integer = first["integer"].as_i64().expect("a number");
    assert!((10_000..=9_000_000_000_000).contains(&integer), "{first}");
    assert_eq!(text("string").len(), 32);
    let small = |letter: &char| letter.is_ascii_lowercase();
    assert!(text("string").chars().filter(small).count() >= 20);
    assert_eq!(text("pet").split('.').count(), 13, "{first}");
    assert_eq!(first["shuffle"].as_array().map(Vec::len), Some(40));
    let (password, hash) = (raw(&sandbox, "password"), raw(&sandbox, "hash"));
    assert_eq!(password.chars().count(), 24);
    assert!(hash.starts_with("$2a$10$"), "{hash}");
    is_sealed(&sandbox, &password);
    is_sealed(&sandbox, &hash);

    // A second apply chooses nothing; a keeper does.
    let sandbox = sandbox.applied();
    assert_eq!(output(&sandbox, "seen"), first);
    sandbox
        .run(&["plan", "--var", "release=2"])
        .expect_success()
        .shows("Plan: 0 to create, 0 to change, 7 to replace, 0 to delete.");
    sandbox
        .run(&["apply", "--yes", "--var", "release=2"])
        .expect_success();
    let second = output(&sandbox, "seen");
    for (name, value) in second.as_object().expect("an object") {
        assert_ne!(*value, first[name], "{name}");
    }
    assert_ne!(raw(&sandbox, "password"), password);
    sandbox
        .run(&["destroy", "--yes", "--var", "release=2"])
        .expect_success();
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Plan: 7 to create");
}

#[test]
fn random_values_that_were_used_before_are_imported() {
    let sandbox = Sandbox::stack(
        r#"
import {
  to = core_random_id.one
  id = "my-prefix-,p-9hUg"
}
resource "core_random_id" "one" {
  byte_length = 4
  prefix      = "my-prefix-"
}
import {
  to = core_random_uuid.one
  id = "AABBCCDD-EEFF-0011-2233-445566778899"
}
resource "core_random_uuid" "one" {}
import {
  to = core_random_integer.one
  id = "15390,1,50000"
}
resource "core_random_integer" "one" {
  min = 1
  max = 50000
}
import {
  to = core_random_string.one
  id = "test"
}
resource "core_random_string" "one" { length = 4 }
output "seen" {
  value = [core_random_id.one.hex, core_random_uuid.one.id, core_random_integer.one.result, core_random_string.one.result]
}
"#,
    );
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("0 to create, 0 to change, 0 to replace, 0 to delete, 4 to import");
    let sandbox = sandbox.applied();
    nothing_to_do(&sandbox);
    let expected = serde_json::json!([
        "my-prefix-a7ef6152",
        "aabbccdd-eeff-0011-2233-445566778899",
        15390,
        "test"
    ]);
    assert_eq!(output(&sandbox, "seen"), expected);

    let sandbox = Sandbox::stack(
        r#"
import {
  to = core_random_pet.one
  id = "calm-otter"
}
resource "core_random_pet" "one" {}
"#,
    );
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("it can't be imported");
}

#[test]
fn what_can_never_be_chosen_is_refused_while_planning() {
    for (block, why) in [
        (
            "\"core_random_integer\" \"one\" {\n min = 2\n max = 1\n}",
            "an empty range",
        ),
        (
            "\"core_random_id\" \"one\" {\n byte_length = 0\n}",
            "from 1 to 1024",
        ),
        (
            "\"core_random_string\" \"one\" {\n length = 3\n min_lower = 2\n min_upper = 2\n}",
            "too short",
        ),
        (
            "\"core_random_password\" \"one\" {\n length = 3\n lower = false\n min_lower = 2\n}",
            "left out",
        ),
        (
            "\"core_random_pet\" \"one\" {\n length = 1.5\n}",
            "a whole number",
        ),
    ] {
        Sandbox::stack(&format!("resource {block}\n"))
            .run(&["plan"])
            .expect_code(1)
            .says(why);
    }
}
