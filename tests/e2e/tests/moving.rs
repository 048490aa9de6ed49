//! What is there already and becomes dmp's, and what gets another address: nothing outside is made or deleted.

mod support;

use dmp_sdk::testing::{Entry, Thing};
use support::Sandbox;

fn with_foreign_objects(hcl: &str) -> Sandbox {
    let sandbox = Sandbox::stack(hcl);
    let fill = |state: &mut dmp_sdk::testing::State| {
        let thing = Thing {
            name: "theirs".into(),
            size: 4,
            is_whole: true,
            ..Thing::default()
        };
        state.things.insert("t-77".into(), thing);
        let text = "theirs".into();
        state.entries.insert("motd".into(), Entry { text });
    };
    sandbox.cloud().change(fill).expect("writes");
    sandbox
}

/// The calls that change something.
fn changes(sandbox: &Sandbox) -> Vec<String> {
    let calls = sandbox.look().calls.into_iter();
    calls.filter(|call| !call.starts_with("list")).collect()
}

const IMPORT: &str = r#"
provider "test" { cloud = "CLOUD" }
variable "text" { default = "theirs" }
variable "size" {
  type    = number
  default = 4
}
import {
  to = test_thing.vm
  id = "t-77"
}
import {
  to = test_entry.motd
  id = "motd"
}
resource "test_thing" "vm" {
  name = "theirs"
  size = var.size
}
resource "test_entry" "motd" {
  key  = "motd"
  text = var.text
}
"#;

#[test]
fn what_is_there_becomes_dmps_as_it_is() {
    let sandbox = with_foreign_objects(IMPORT);
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("  = test_thing.vm   it is there already, as `t-77`")
        .shows("  = test_entry.motd   it is there already, as `motd`")
        .shows("0 to create, 0 to change, 0 to replace, 0 to delete, 2 to import");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(
        changes(&sandbox),
        ["change t-77"],
        "only the mark is written"
    );
    assert!(sandbox.look().things["t-77"].mark.starts_with("dmp.v1."));
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    // From then on it is dmp's: nothing is put back.
    sandbox.run(&["destroy", "--yes"]).expect_success();
    let cloud = sandbox.look();
    assert!(cloud.things.is_empty() && cloud.entries.is_empty());
}

#[test]
fn what_differs_is_changed_with_the_import() {
    let sandbox = with_foreign_objects(IMPORT);
    sandbox
        .run(&["plan", "--var", "size=8", "--var", "text=mine"])
        .expect_success()
        .shows("  ~ test_thing.vm   it is there already, as `t-77`; `size` differs")
        .shows("2 to change");
    sandbox
        .run(&["apply", "--yes", "--var", "size=8", "--var", "text=mine"])
        .expect_success();
    let cloud = sandbox.look();
    assert_eq!((cloud.things["t-77"].size, cloud.things.len()), (8, 1));
    assert_eq!(cloud.entries["motd"].text, "mine");
}

#[test]
fn killed_at_each_place_of_an_import_nothing_is_made_twice() {
    let arguments = ["apply", "--yes", "--var", "size=8", "--var", "text=mine"];
    for number in 1..100 {
        let sandbox = with_foreign_objects(IMPORT);
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&arguments, &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            assert!(number > 8, "only {number} places");
            return;
        }
        sandbox.run(&arguments).expect_success();
        let cloud = sandbox.look();
        assert_eq!((cloud.things.len(), cloud.entries.len()), (1, 1), "{at}");
        sandbox
            .run(&["state", "verify"])
            .expect_success()
            .shows("2 instances, 0 open intents");
        sandbox.run(&["destroy", "--yes"]).expect_success();
        assert!(sandbox.look().entries.is_empty(), "{at}: it was imported");
    }
    panic!("it never came to its end");
}

#[test]
fn an_import_that_cannot_be_is_refused_before_anything_is_done() {
    let sandbox = with_foreign_objects(&IMPORT.replace("t-77", "t-78"));
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("no object of type `test_thing` has the id `t-78`");
    let sandbox = with_foreign_objects(&IMPORT.replace("name = \"theirs\"", "name = \"mine\""));
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("an import would replace the object")
        .says("`name` differs and cannot change in place");
    let sandbox = with_foreign_objects(&IMPORT.replace("id = \"motd\"", "id = \"other\""));
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("its id is `other`, `key` in the configuration is `motd`");
}

const BEFORE: &str = r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" { name = "vm" }
resource "test_entry" "motd" {
  key  = "motd"
  text = "hello"
  on   = test_thing.vm.id
}
"#;

#[test]
fn an_object_moves_to_another_name_key_and_module_without_being_touched() {
    let sandbox = Sandbox::stack(BEFORE).applied();
    let before = changes(&sandbox);
    std::fs::create_dir(sandbox.stack_folder().join("site")).expect("a folder");
    sandbox.write(
        "site/main.hcl",
        r#"
variable "on" {}
moved {
  from = test_entry.motd
  to   = test_entry.welcome["motd"]
}
resource "test_entry" "welcome" {
  for_each = toset(["motd"])
  key      = each.key
  text     = "hello"
  on       = var.on
}
"#,
    );
    sandbox.write(
        "main.hcl",
        r#"
provider "test" { cloud = "CLOUD" }
moved {
  from = test_thing.vm
  to   = test_thing.machine
}
moved {
  from = test_entry.motd
  to   = module.site.test_entry.motd
}
resource "test_thing" "machine" { name = "vm" }
module "site" {
  source = "./site"
  on     = test_thing.machine.id
}
"#,
    );
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("it moves here from test_thing.vm")
        .shows("module.site.test_entry.welcome[\"motd\"]")
        .shows("0 to create, 0 to change, 0 to replace, 0 to delete, 2 to move");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(changes(&sandbox), before, "nothing outside was touched");
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    sandbox.run(&["state", "verify"]).expect_success();
    sandbox
        .run(&["state", "show", "module.site.test_entry.welcome[\"motd\"]"])
        .expect_success()
        .shows("lives on all of test_thing.machine");
    // What it lives on is known by its new name: it is lost with it.
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert!(sandbox.look().things.is_empty());
}

#[test]
fn killed_in_a_move_nothing_is_made_twice() {
    let after = BEFORE
        .replace("\"vm\" {", "\"machine\" {")
        .replace("test_thing.vm.id", "test_thing.machine.id")
        + "moved {\n  from = test_thing.vm\n  to = test_thing.machine\n}\n";
    for number in 1..50 {
        let sandbox = Sandbox::stack(BEFORE).applied();
        sandbox.write("main.hcl", &after);
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            assert!(number > 2, "only {number} places");
            return;
        }
        sandbox.run(&["apply", "--yes"]).expect_success();
        assert_eq!(sandbox.look().things.len(), 1, "{at}");
        sandbox
            .run(&["plan", "--detailed-exitcode"])
            .expect_success();
    }
}

#[test]
fn a_move_between_a_cut_off_create_and_the_next_run_finds_the_object() {
    let one = "provider \"test\" { cloud = \"CLOUD\" }\nresource \"test_thing\" \"vm\" { name = \"vm\" }\n";
    let two = "provider \"test\" { cloud = \"CLOUD\" }\nresource \"test_thing\" \"other\" { name = \"vm\" }\n\
               moved {\n  from = test_thing.vm\n  to   = test_thing.other\n}\n";
    for number in 1..50 {
        let sandbox = Sandbox::stack(one);
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            assert!(number > 8, "only {number} places");
            return;
        }
        sandbox.write("main.hcl", two);
        sandbox.run(&["apply", "--yes"]).expect_success();
        let cloud = sandbox.look();
        assert_eq!(cloud.things.len(), 1, "killed at {at}: {:?}", cloud.calls);
        assert!(cloud.things.values().all(|thing| thing.is_whole), "{at}");
        sandbox
            .run(&["plan", "--detailed-exitcode"])
            .expect_success();
    }
}

#[test]
fn moves_that_contradict_are_refused() {
    let twice =
        BEFORE.to_owned() + "moved {\n  from = test_thing.vm\n  to = test_thing.machine\n}\n";
    Sandbox::stack(&twice)
        .run(&["plan"])
        .expect_code(1)
        .says("what has moved is still described");
    let sandbox = Sandbox::stack(BEFORE).applied();
    sandbox.write(
        "main.hcl",
        r#"
provider "test" { cloud = "CLOUD" }
moved {
  from = test_thing.vm
  to   = test_thing.a
}
moved {
  from = test_thing.a
  to   = test_thing.vm
}
"#,
    );
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("go round in a circle");
}

const LATE: &str = r#"
provider "test" { cloud = "CLOUD" }
provider "test" {
  alias = "late"
  cloud = "CLOUD"
  token = test_thing.vm.id
}
resource "test_thing" "vm" { name = "vm" }
import {
  to = test_entry.motd
  id = "motd"
}
resource "test_entry" "motd" {
  provider = test.late
  key      = "motd"
  text     = "TEXT"
}
"#;

#[test]
fn through_a_provider_that_the_same_run_configures_it_is_imported_as_it_is() {
    let sandbox = with_foreign_objects(&LATE.replace("TEXT", "theirs"));
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("= test_entry.motd   it is there already, as `motd`");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(
        changes(&sandbox),
        ["make vm", "finish t-1"],
        "the entry is only taken over"
    );
    for arguments in [["refresh"].as_slice(), &["plan", "--detailed-exitcode"]] {
        sandbox.run(arguments).expect_success();
    }
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert!(sandbox.look().things.len() == 1 && sandbox.look().things.contains_key("t-77"));
}

#[test]
fn a_late_import_that_would_change_the_object_is_asked_for_on_its_own() {
    let sandbox = with_foreign_objects(&LATE.replace("TEXT", "mine"));
    // Nobody has seen what it would change: `--yes` approved another thing.
    sandbox
        .run(&["apply", "--yes"])
        .says("test_entry.motd   not done: it would be changed in place, approved was taken over as it is");
    let ran = sandbox.run(&["apply", "--yes"]).expect_success();
    assert!(ran.code == Some(0));
    assert_eq!(sandbox.look().entries["motd"].text, "mine");
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
}

const THING: &str =
    "provider \"test\" { cloud = \"CLOUD\" }\nresource \"test_thing\" \"vm\" { name = \"vm\" }\n";

#[test]
fn a_block_and_a_module_get_keys_under_their_own_names() {
    let sandbox = Sandbox::stack(THING).applied();
    let before = changes(&sandbox);
    sandbox.write(
        "main.hcl",
        "provider \"test\" { cloud = \"CLOUD\" }\n\
         moved {\n  from = test_thing.vm\n  to   = test_thing.vm[\"a.b\\\"c\"]\n}\n\
         resource \"test_thing\" \"vm\" {\n  for_each = toset([\"a.b\\\"c\"])\n  name     = \"vm\"\n}\n",
    );
    sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .shows("0 to delete, 1 to move");
    assert_eq!(changes(&sandbox), before);
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();

    let sandbox = Sandbox::stack("module \"site\" { source = \"./site\" }\n");
    std::fs::create_dir(sandbox.stack_folder().join("site")).expect("a folder");
    sandbox.write("site/main.hcl", THING);
    let sandbox = sandbox.applied();
    sandbox.write(
        "main.hcl",
        "module \"site\" {\n  source   = \"./site\"\n  for_each = toset([\"a\", \"b\"])\n}\n\
         moved {\n  from = module.site\n  to   = module.site[\"a\"]\n}\n",
    );
    sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .shows("1 to create, 0 to change, 0 to replace, 0 to delete, 1 to move");
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
}

#[test]
fn a_key_that_has_moved_and_is_still_described_is_refused_at_once() {
    let keyed = |keys: &str| {
        format!(
            "provider \"test\" {{ cloud = \"CLOUD\" }}\nresource \"test_thing\" \"vm\" {{\n  \
             for_each = toset([{keys}])\n  name = each.key\n}}\n"
        )
    };
    let sandbox = Sandbox::stack(&keyed("\"a\"")).applied();
    let moved = "moved {\n  from = test_thing.vm[\"a\"]\n  to = test_thing.vm[\"b\"]\n}\n";
    sandbox.write("main.hcl", &(keyed("\"a\", \"b\"") + moved));
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(1)
        .says("`test_thing.vm[\"a\"]` moves to `test_thing.vm[\"b\"]`, and is described");
    assert_eq!(sandbox.look().things.len(), 1);
}

#[test]
fn a_module_with_keys_is_forgotten_with_all_that_is_in_it() {
    let sandbox = Sandbox::stack(
        "module \"site\" {\n  source   = \"./site\"\n  for_each = toset([\"a\", \"b\"])\n}\n",
    );
    std::fs::create_dir(sandbox.stack_folder().join("site")).expect("a folder");
    sandbox.write("site/main.hcl", THING);
    let sandbox = sandbox.applied();
    sandbox.write(
        "main.hcl",
        "removed {\n  from = module.site\n  lifecycle { destroy = false }\n}\n",
    );
    sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .shows("0 to delete, 2 to forget");
    assert_eq!(sandbox.look().things.len(), 2, "the objects stay");
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("0 instances");
}

#[test]
fn an_object_is_not_imported_to_a_second_address() {
    let import = |name: &str| {
        format!(
            "import {{\n  to = test_thing.{name}\n  id = \"t-77\"\n}}\n\
             resource \"test_thing\" \"{name}\" {{\n  name = \"theirs\"\n  size = 4\n}}\n"
        )
    };
    let provider = "provider \"test\" { cloud = \"CLOUD\" }\n";
    let both = format!("{provider}{}{}", import("one"), import("two"));
    let sandbox = with_foreign_objects(&both);
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("`t-77` is `test_thing.one` already");
    sandbox.write("main.hcl", &format!("{provider}{}", import("one")));
    let sandbox = sandbox.applied();
    sandbox.write("main.hcl", &both);
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(1)
        .says("`t-77` is `test_thing.one` already");
    // Nor while the first address goes: the object would be deleted, and believed to be there.
    sandbox.write("main.hcl", &format!("{provider}{}", import("two")));
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(1)
        .says("write a `moved` block");
    let forget = "removed {\n  from = test_thing.one\n  lifecycle { destroy = false }\n}\n";
    sandbox.write("main.hcl", &format!("{provider}{}{forget}", import("two")));
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert!(sandbox.look().things.contains_key("t-77"));
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
}

#[test]
fn an_import_block_that_would_be_passed_over_is_refused() {
    let undescribed = IMPORT.replace("to = test_entry.motd", "to = test_entry.other");
    with_foreign_objects(&undescribed)
        .run(&["plan"])
        .expect_code(1)
        .says("the configuration has no `test_entry.other`");
    let twice = IMPORT.to_owned() + "import {\n  to = test_thing.vm\n  id = \"t-78\"\n}\n";
    with_foreign_objects(&twice)
        .run(&["plan"])
        .expect_code(1)
        .says("two `import` blocks for one address");
    let secret = IMPORT.replace("id = \"t-77\"", "id = sensitive(\"t-77\")");
    with_foreign_objects(&secret)
        .run(&["plan"])
        .expect_code(1)
        .says("the id is secret")
        .hides("as `t-77`");
    let provider = IMPORT.replace("id = \"t-77\"", "id = \"t-77\"\n  provider = test.other");
    with_foreign_objects(&provider)
        .run(&["plan"])
        .expect_code(1)
        .says("goes through the default one, this says `test.other`");
    let same = IMPORT.replace("id = \"t-77\"", "id = \"t-77\"\n  provider = test");
    with_foreign_objects(&same).run(&["plan"]).expect_success();
}

#[test]
fn what_was_imported_and_destroyed_can_be_destroyed_again() {
    let sandbox = with_foreign_objects(IMPORT).applied();
    sandbox.run(&["destroy", "--yes"]).expect_success();
    sandbox.run(&["destroy", "--yes"]).expect_success();
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("there is nothing to import")
        .says("main.hcl:8:1");
}

#[test]
fn a_plan_in_json_says_where_an_object_was() {
    let sandbox = Sandbox::stack(THING).applied();
    let moved = THING.replace("\"vm\" {", "\"other\" {")
        + "moved {\n  from = test_thing.vm\n  to = test_thing.other\n}\n";
    sandbox.write("main.hcl", &moved);
    let ran = sandbox.run(&["plan", "--json"]).expect_success();
    let plan: serde_json::Value = serde_json::from_str(&ran.out).expect("one line of JSON");
    let change = &plan["resource_changes"][0];
    assert_eq!(change["address"], "test_thing.other");
    assert_eq!(change["previous_address"], "test_thing.vm");
}

const EACH: &str = r#"
variable "adopted" {
  default = { a = "first", "b.c" = "second" }
}
variable "clouds" {
  type    = set(string)
  default = ["x"]
}
provider "test" {
  alias    = "by"
  for_each = var.clouds
  cloud    = "CLOUD"
}
import {
  for_each = var.adopted
  to       = module.inner["m-${each.key}"].test_entry.one[0]
  id       = each.value
}
module "inner" {
  source    = "./inner"
  for_each  = { for name, key in var.adopted : "m-${name}" => key }
  key       = each.value
  providers = { test = test.by["x"] }
}
import {
  for_each = toset(["third"])
  to       = test_entry.own[each.key]
  id       = each.value
  provider = test.by[local.cloud]
}
locals { cloud = "x" }
resource "test_entry" "own" {
  for_each = toset(["third"])
  provider = test.by["x"]
  key      = each.key
  text     = "kept"
}
"#;

const EACH_INNER: &str = r#"
variable "key" {}
resource "test_entry" "one" {
  count = 1
  key   = var.key
  text  = "kept"
}
"#;

fn with_three_entries(hcl: &str) -> Sandbox {
    let sandbox = Sandbox::stack(hcl);
    std::fs::create_dir(sandbox.stack_folder().join("inner")).expect("writable");
    sandbox.write("inner/main.hcl", EACH_INNER);
    let change = |state: &mut dmp_sdk::testing::State| {
        for key in ["first", "second", "third"] {
            let text = "kept".into();
            state.entries.insert(key.into(), Entry { text });
        }
    };
    sandbox.cloud().change(change).expect("writable");
    sandbox
}

#[test]
fn an_import_block_with_for_each_adopts_an_object_for_each_member() {
    let sandbox = with_three_entries(EACH);
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("module.inner[\"m-b.c\"].test_entry.one[0]")
        .shows("3 to import");
    let sandbox = sandbox.applied();
    let ran = sandbox.run(&["state", "list"]).expect_success();
    assert_eq!(ran.out.lines().count(), 3, "{}", ran.out);
    // What is adopted stays adopted, and nothing was written.
    assert_eq!(changes(&sandbox), Vec::<String>::new());
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
}

#[test]
fn what_is_wrong_with_an_import_of_many_is_told() {
    for (from, to, expected) in [
        ("toset([\"third\"])\n  to", "[1]\n  to", "toset"),
        ("own[each.key]\n", "own[each.value.x]\n", "each.value"),
        (
            "own[each.key]\n",
            "own[\"same\"]\n",
            "has no `test_entry.own[\"same\"]`",
        ),
        (
            "test.by[local.cloud]",
            "test.by[\"y\"]",
            "this says `test.by[\"y\"]`",
        ),
        ("test.by[local.cloud]", "test.by", "which one?"),
        (
            "  id       = each.value\n}\nmodule",
            "  id       = each.value\n  provider = test.by[\"x\"]\n}\nmodule",
            "is said where it is called",
        ),
        (
            "var.adopted\n  to",
            "{ a = \"first\", \"b.c\" = uuid() }\n  to",
            "`id` of an `import` block has to be known",
        ),
        (
            "var.adopted\n  to",
            "{ for name in [uuid()] : name => name }\n  to",
            "`for_each` of an `import` block has to be known",
        ),
    ] {
        assert!(EACH.contains(from), "{from}");
        let sandbox = with_three_entries(&EACH.replace(from, to));
        sandbox.run(&["plan"]).expect_code(1).says(expected);
    }
}
