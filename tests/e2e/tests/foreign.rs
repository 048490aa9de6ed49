//! Coming from Terraform or OpenTofu: `import` blocks for what their state has, and the objects taken over by them.

mod support;

use support::Sandbox;

const SECRET: &str = "hunter2-in-tfstate";

/// A state as OpenTofu writes it. ROOT is a folder with the file `motd`.
const TFSTATE: &str = r#"{
  "version": 4, "terraform_version": "1.9.0", "serial": 12, "lineage": "5d1e6c2c-0000-0000-0000-000000000000",
  "outputs": {},
  "resources": [
    { "mode": "managed", "type": "random_id", "name": "plain", "provider": "provider[\"registry.opentofu.org/hashicorp/random\"]",
      "instances": [ { "schema_version": 0, "attributes": { "b64_std": "3q2+7w==", "b64_url": "3q2-7w", "byte_length": 4, "dec": "3735928559", "hex": "deadbeef", "id": "3q2-7w", "keepers": null, "prefix": null }, "sensitive_attributes": [] } ] },
    { "mode": "managed", "type": "random_id", "name": "prefixed", "provider": "provider[\"registry.opentofu.org/hashicorp/random\"]",
      "instances": [ { "index_key": "a \"b\"", "schema_version": 0, "attributes": { "b64_url": "p-3q2-7w", "byte_length": 4, "hex": "p-deadbeef", "id": "3q2-7w", "keepers": null, "prefix": "p-" }, "sensitive_attributes": [] } ] },
    { "module": "module.site[\"eu\"]", "mode": "managed", "type": "random_integer", "name": "port", "provider": "provider[\"registry.opentofu.org/hashicorp/random\"]",
      "instances": [
        { "index_key": 0, "schema_version": 0, "attributes": { "id": "8080", "keepers": null, "max": 9000, "min": 8000, "result": 8080, "seed": null }, "sensitive_attributes": [] },
        { "index_key": 1, "schema_version": 0, "attributes": { "id": "8081", "keepers": null, "max": 9000, "min": 8000, "result": 8081, "seed": null }, "sensitive_attributes": [] } ] },
    { "mode": "managed", "type": "random_uuid", "name": "u", "provider": "provider[\"registry.opentofu.org/hashicorp/random\"]",
      "instances": [ { "schema_version": 0, "attributes": { "id": "aabbccdd-eeff-0011-2233-445566778899", "keepers": null, "result": "aabbccdd-eeff-0011-2233-445566778899" }, "sensitive_attributes": [] } ] },
    { "mode": "managed", "type": "random_string", "name": "s", "provider": "provider[\"registry.opentofu.org/hashicorp/random\"]",
      "instances": [ { "schema_version": 2, "attributes": { "id": "abc${x}1", "keepers": null, "length": 8, "result": "abc${x}1", "special": true }, "sensitive_attributes": [] } ] },
    { "mode": "managed", "type": "time_static", "name": "born", "provider": "provider[\"registry.opentofu.org/hashicorp/time\"]",
      "instances": [ { "schema_version": 0, "attributes": { "id": "2024-02-12T06:36:13Z", "rfc3339": "2024-02-12T06:36:13Z", "triggers": null, "unix": 1707719773 }, "sensitive_attributes": [] } ] },
    { "mode": "managed", "type": "local_file", "name": "motd", "provider": "provider[\"registry.opentofu.org/hashicorp/local\"]",
      "instances": [ { "schema_version": 0, "attributes": { "filename": "ROOT/motd", "content": "welcome\n", "file_permission": "0644" }, "sensitive_attributes": [] } ] },
    { "mode": "managed", "type": "local_file", "name": "relative", "provider": "provider[\"registry.opentofu.org/hashicorp/local\"]",
      "instances": [ { "schema_version": 0, "attributes": { "filename": "./motd", "content": "SECRET" }, "sensitive_attributes": [[{ "type": "get_attr", "value": "content" }]] } ] },
    { "mode": "managed", "type": "local_file", "name": "hidden", "provider": "provider[\"registry.opentofu.org/hashicorp/local\"]",
      "instances": [ { "schema_version": 0, "attributes": { "filename": "/SECRET" }, "sensitive_attributes": [[{ "type": "get_attr", "value": "filename" }]] } ] },
    { "mode": "managed", "type": "random_password", "name": "db", "provider": "provider[\"registry.opentofu.org/hashicorp/random\"]",
      "instances": [ { "schema_version": 3, "attributes": { "result": "SECRET", "length": 18 }, "sensitive_attributes": [] } ] },
    { "mode": "managed", "type": "aws_instance", "name": "web", "provider": "provider[\"registry.opentofu.org/hashicorp/aws\"]",
      "instances": [ { "schema_version": 1, "attributes": { "id": "i-0abc", "user_data": "SECRET" }, "sensitive_attributes": [] } ] },
    { "mode": "managed", "type": "random_uuid", "name": "old", "provider": "provider[\"registry.opentofu.org/hashicorp/random\"]",
      "instances": [ { "deposed": "0a1b2c3d", "schema_version": 0, "attributes": { "result": "aabbccdd-eeff-0011-2233-445566778800" }, "sensitive_attributes": [] } ] },
    { "mode": "data", "type": "local_file", "name": "read", "provider": "provider[\"registry.opentofu.org/hashicorp/local\"]",
      "instances": [ { "schema_version": 0, "attributes": { "filename": "x" }, "sensitive_attributes": [] } ] }
  ],
  "check_results": null
}"#;

const DESCRIBED: &str = r#"
resource "core_random_id" "plain" { byte_length = 4 }
resource "core_random_id" "prefixed" {
  for_each    = toset(["a \"b\""])
  byte_length = 4
  prefix      = "p-"
}
module "site" {
  source   = "./site"
  for_each = toset(["eu"])
}
resource "core_random_uuid" "u" {}
resource "core_random_string" "s" { length = 8 }
resource "core_time_static" "born" {}
resource "core_local_file" "motd" {
  path    = "ROOT/motd"
  content = "welcome\n"
}
output "all" {
  value = [core_random_id.plain.hex, core_random_id.prefixed["a \"b\""].hex, core_random_string.s.result, core_time_static.born.unix, module.site["eu"].ports]
}
"#;

fn sandbox() -> (Sandbox, String) {
    let sandbox = Sandbox::stack("");
    let root = sandbox.path().display().to_string();
    std::fs::write(sandbox.path().join("motd"), "welcome\n").expect("writable");
    let state = TFSTATE.replace("ROOT", &root).replace("SECRET", SECRET);
    let file = sandbox.path().join("terraform.tfstate");
    std::fs::write(&file, state).expect("writable");
    (sandbox, file.display().to_string())
}

#[test]
fn what_a_foreign_state_has_is_imported_by_the_blocks_that_are_made_of_it() {
    let (sandbox, file) = sandbox();
    sandbox
        .run(&["state", "import", &file, "--out", "imports.hcl"])
        .expect_success()
        .says("`import` blocks for 8 objects")
        .says("random_password.db: its value is a secret")
        .says("aws_instance.web: dmp has no counterpart of `aws_instance`")
        .says("local_file.relative: what its id is made of is not recorded, is a secret, or is a relative path")
        .says("local_file.hidden: what its id is made of")
        .says("random_uuid.old: it was replaced there")
        .says("1 data source")
        .hides(SECRET);
    let written = sandbox.stack_folder().join("imports.hcl");
    let text = std::fs::read_to_string(&written).expect("is there");
    assert!(!text.contains(SECRET), "{text}");
    assert!(
        text.contains(
            "to = module.site[\"eu\"].core_random_integer.port[1]\n  id = \"8081,8000,9000\""
        ),
        "{text}"
    );
    sandbox.run(&["fmt", "--check"]).expect_success();
    sandbox
        .run(&["state", "import", &file, "--out", "imports.hcl"])
        .expect_code(1)
        .says("cannot write the `import` blocks");

    let root = sandbox.path().display().to_string();
    sandbox.write("main.hcl", &DESCRIBED.replace("ROOT", &root));
    std::fs::create_dir(sandbox.stack_folder().join("site")).expect("writable");
    sandbox.write(
        "site/main.hcl",
        r#"
resource "core_random_integer" "port" {
  count = 2
  min   = 8000
  max   = 9000
}
output "ports" { value = core_random_integer.port[*].result }
"#,
    );
    sandbox.run(&["apply", "--yes"]).expect_success();
    let all = sandbox
        .run(&["output", "--json", "all"])
        .expect_success()
        .out;
    for value in [
        "\"deadbeef\"",
        "p-deadbeef",
        "abc${x}1",
        "1707719773",
        "8080",
        "8081",
    ] {
        assert!(all.contains(value), "no {value} in {all}");
    }
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
    let motd = std::fs::read_to_string(sandbox.path().join("motd"));
    assert_eq!(motd.expect("is there"), "welcome\n");
}

#[test]
fn what_is_no_state_is_refused_and_nothing_of_it_shown() {
    let (sandbox, _) = sandbox();
    for (text, why) in [
        ("{ \"version\": 3, \"x\": \"hunter2\" }", "it has version 3"),
        ("{ \"hunter2\": }", "it is no JSON (line 1"),
        ("{ \"x\": \"hunter2\" }", "it has no `version`"),
        (
            "{ \"version\": 4, \"resources\": \"hunter2\" }",
            "no list of `resources`",
        ),
        (
            "{ \"version\": 4, \"encrypted_data\": \"hunter2\" }",
            "it is encrypted",
        ),
    ] {
        let file = sandbox.path().join("other.tfstate");
        std::fs::write(&file, text).expect("writable");
        sandbox
            .run(&["state", "import", &file.display().to_string()])
            .expect_code(1)
            .says(why)
            .hides("hunter2");
    }
    sandbox
        .run(&["state", "import", "no-such-file"])
        .expect_code(1)
        .says("no-such-file");
}
