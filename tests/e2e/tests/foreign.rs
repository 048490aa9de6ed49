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
    { "mode": "managed", "type": "random_uuid", "name": "a.b", "instances": [ { "attributes": { "result": "aabbccdd-eeff-0011-2233-445566778800" } } ] },
    { "mode": "managed", "type": "random_uuid", "name": "below", "instances": [ { "index_key": -1, "attributes": { "result": "aabbccdd-eeff-0011-2233-445566778800" } } ] },
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
        .says("random_uuid.a.b: its name can't be that of a block")
        .says("random_uuid.below[-1]: its key is neither a number")
        .says("1 data source is read anew")
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

const CLOUD: &str = "provider \"test\" { cloud = \"CLOUD\" }\n";

/// A stack whose cloud has a thing `t-77` that nobody here has made.
fn with_a_thing(hcl: &str) -> Sandbox {
    let sandbox = Sandbox::stack(&format!("{CLOUD}{hcl}"));
    let thing = dmp_sdk::testing::Thing {
        name: "old".into(),
        size: 3,
        is_whole: true,
        ..Default::default()
    };
    let change = |state: &mut dmp_sdk::testing::State| state.things.insert("t-77".into(), thing);
    sandbox.cloud().change(change).expect("writable");
    sandbox
}

#[test]
fn an_object_is_taken_over_by_a_command() {
    let sandbox =
        with_a_thing("resource \"test_thing\" \"vm\" {\n  name = \"old\"\n  size = 3\n}\n");
    sandbox
        .run(&["import", "test_thing.other", "t-77", "--yes"])
        .expect_code(1)
        .says("neither the configuration nor the state has `test_thing.other`");
    sandbox
        .run(&["import", "test_thing.vm", "t-78", "--yes"])
        .expect_code(1)
        .says("there is nothing to import");
    sandbox
        .run(&["import", "test_thing.vm", "t-77"])
        .expect_code(1)
        .shows("1 to import")
        .says("there is no terminal to ask on");
    sandbox
        .run(&["import", "test_thing.vm", "t-77", "--yes"])
        .expect_success();
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
    assert_eq!(sandbox.look().things.len(), 1);
    sandbox
        .run(&["import", "test_thing.vm", "t-77", "--yes"])
        .expect_code(1)
        .says("the state has it already");
    sandbox
        .run(&["state", "history"])
        .expect_success()
        .shows("import: applied");
}

#[test]
fn blocks_are_generated_whose_plan_is_nothing_but_the_import() {
    let sandbox = with_a_thing("");
    let motd = sandbox.path().join("motd").display().to_string();
    std::fs::write(&motd, "a \"quote\", ${x} and %{y}\nand a second line\n").expect("writable");
    sandbox.write(
        "import.hcl",
        &format!(
            r#"
import {{
  to = test_thing.vm
  id = "t-77"
}}
import {{
  to = core_random_string.s
  id = "abc"
}}
import {{
  to = core_local_file.motd
  id = "{motd}"
}}
"#
        ),
    );
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("an import of what is not described");
    sandbox
        .run(&["plan", "-generate-config-out=generated.hcl"])
        .expect_success()
        .says("Written to")
        .shows("0 to create, 0 to change, 0 to replace, 0 to delete, 3 to import");
    let file = sandbox.stack_folder().join("generated.hcl");
    let text = std::fs::read_to_string(&file).expect("is there");
    assert!(text.contains("resource \"test_thing\" \"vm\" {"), "{text}");
    assert!(!text.contains("t-77"), "what only the server fills: {text}");
    sandbox.run(&["fmt", "--check"]).expect_success();
    // A second time nothing is missing, and nothing is written.
    sandbox
        .run(&["plan", "--generate-config-out", "generated.hcl"])
        .expect_success();
    assert_eq!(std::fs::read_to_string(&file).expect("is there"), text);
    let calls = sandbox.look().calls.len();
    sandbox.run(&["apply", "--yes"]).expect_success();
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
    let changes = &sandbox.look().calls[calls..];
    assert!(
        !changes.iter().any(|call| call.starts_with("create")),
        "{changes:?}"
    );
    let after = std::fs::read_to_string(&motd).expect("is there");
    assert!(after.contains("${x} and %{y}"), "{after}");
}

#[test]
fn a_secret_is_generated_as_a_variable_and_what_cannot_be_read_is_refused() {
    let sandbox = with_a_thing("");
    let change = |state: &mut dmp_sdk::testing::State| {
        if let Some(thing) = state.things.get_mut("t-77") {
            thing.secret = Some(SECRET.into());
        }
    };
    sandbox.cloud().change(change).expect("writable");
    let import = |to: &str, id: &str| format!("import {{\n  to = {to}\n  id = \"{id}\"\n}}\n");
    for (to, id, why) in [
        ("test_thing.vm", "t-78", "there is nothing with this id"),
        ("core_random_password.p", "x", "it can't be imported"),
        ("core_value.v", "x", "it can't be imported"),
        ("host_file.motd", "/etc/motd", "`host` says where it is"),
        (
            "test_thing.vm[0]",
            "t-77",
            "only a block in the stack itself",
        ),
    ] {
        sandbox.write("import.hcl", &import(to, id));
        sandbox
            .run(&["plan", "--generate-config-out", "generated.hcl"])
            .expect_code(1)
            .says(why);
        assert!(!sandbox.stack_folder().join("generated.hcl").exists());
    }
    sandbox.write("import.hcl", &import("test_thing.vm", "t-77"));
    sandbox
        .run(&["plan", "--generate-config-out", "generated.hcl"])
        .expect_code(1)
        .says("vm_secret")
        .hides(SECRET);
    let text = std::fs::read_to_string(sandbox.stack_folder().join("generated.hcl"));
    let text = text.expect("is there");
    assert!(text.contains("secret = var.vm_secret"), "{text}");
    assert!(!text.contains(SECRET), "{text}");
    let given = format!("vm_secret={SECRET}");
    sandbox
        .run(&["plan", "--var", &given])
        .expect_success()
        .shows("0 to create, 0 to change, 0 to replace, 0 to delete, 1 to import")
        .hides(SECRET);
}
