//! What the engine promises to every provider, each promise by a stack that would break if it did not hold.

mod support;

use dmp_sdk::testing::{State, Store};
use support::{Ran, Sandbox};

fn change(sandbox: &Sandbox, change: impl FnOnce(&mut State)) {
    sandbox.cloud().change(change).expect("writes");
}

fn lose(sandbox: &Sandbox, names: &[&str]) {
    change(sandbox, |state| {
        state
            .things
            .retain(|_, thing| !names.contains(&thing.name.as_str()));
    });
}

fn shown(sandbox: &Sandbox, address: &str) -> Ran {
    sandbox.run(&["state", "show", address]).expect_success()
}

#[test]
fn hosting_follows_origins_through_locals_modules_loops_and_providers() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
provider "test" {
  alias = "inside"
  cloud = "CLOUD"
  token = local.token
}
resource "test_thing" "vm" {
  for_each = toset(["a", "b"])
  name     = each.key
}
resource "test_thing" "other" { name = "other" }
locals {
  ids   = { for key, vm in test_thing.vm : upper(key) => "${vm.id}" }
  token = lower(local.ids["B"])
}
module "site" {
  source = "./site"
  on     = local.ids["A"]
  text   = test_thing.other.id
}
resource "test_entry" "through" {
  provider = test.inside
  key      = "through"
  text     = "hello"
}
resource "test_entry" "told" {
  key  = "told"
  text = test_thing.other.id
  lifecycle { hosted_on = [test_thing.vm["a"]] }
}
"#,
    );
    std::fs::create_dir(sandbox.stack_folder().join("site")).expect("a folder");
    sandbox.write(
        "site/main.hcl",
        r#"
variable "on" {}
variable "text" {}
resource "test_entry" "motd" {
  for_each = toset(["x"])
  key      = each.key
  text     = var.text
  on       = substr(var.on, 0, 100)
}
"#,
    );
    let sandbox = sandbox.applied();
    shown(&sandbox, "module.site.test_entry.motd[\"x\"]")
        .shows("lives on all of test_thing.vm[\"a\"]")
        .hides("test_thing.other");
    shown(&sandbox, "test_entry.through").shows("lives on all of test_thing.vm[\"b\"]");
    shown(&sandbox, "test_entry.told")
        .shows("lives on all of test_thing.vm[\"a\"]")
        .hides("test_thing.other");
    lose(&sandbox, &["a"]);
    sandbox
        .run(&["rebuild", "--dry-run"])
        .expect_success()
        .says("module.site.test_entry.motd[\"x\"]   lost with its host")
        .says("test_entry.told   lost with its host")
        .says("3 intact, 1 lost, 2 lost with their host.");
}

#[test]
fn a_quorum_and_any_of_several_hosts_are_counted() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "plane" {
  count = 3
  name  = "plane-${count.index}"
}
resource "test_group" "cluster" {
  name   = "cluster"
  quorum = test_thing.plane[*].id
}
resource "test_group" "mirror" {
  name   = "mirror"
  either = [test_thing.plane[0].id, test_thing.plane[1].id]
}
"#,
    )
    .applied();
    shown(&sandbox, "test_group.cluster").shows("lives on a quorum of");
    lose(&sandbox, &["plane-0"]);
    sandbox
        .run(&["rebuild", "--dry-run"])
        .expect_success()
        .says("4 intact, 1 lost.");
    lose(&sandbox, &["plane-2"]);
    sandbox
        .run(&["rebuild", "--dry-run"])
        .expect_success()
        .says("test_group.cluster   lost with its host")
        .says("2 intact, 2 lost, 1 lost with their host.");
    lose(&sandbox, &["plane-1"]);
    sandbox
        .run(&["rebuild", "--dry-run"])
        .expect_success()
        .says("3 lost, 2 lost with their host.");
    sandbox
        .run(&["rebuild", "--yes"])
        .expect_success()
        .says("5 of 5 that were lost are back");
}

#[test]
fn a_handle_goes_after_all_that_is_on_it() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_entry" "handle" {
  key  = "a-handle"
  text = "only a handle: its end ends nothing"
}
resource "test_entry" "on_it" {
  key  = "on-it"
  text = "hello"
  on   = test_entry.handle.key
}
"#,
    )
    .applied();
    sandbox.run(&["destroy", "--yes"]).expect_success();
    let calls = sandbox.look().calls;
    let deletes: Vec<_> = calls
        .iter()
        .filter(|call| call.starts_with("delete"))
        .collect();
    assert_eq!(deletes, ["delete on-it", "delete a-handle"]);
}

#[test]
fn what_is_no_longer_set_goes_back_to_its_default_and_what_is_computed_stays_known() {
    let stack = |size: &str| {
        format!(
            "provider \"test\" {{ cloud = \"CLOUD\" }}\nresource \"test_thing\" \"vm\" {{\n  name = \"vm\"\n  {size}\n}}\n\
             resource \"test_entry\" \"user\" {{\n  key = \"user\"\n  text = test_thing.vm.id\n}}\n"
        )
    };
    let sandbox = Sandbox::stack(&stack("size = 5")).applied();
    sandbox.write("main.hcl", &stack(""));
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("size = 5 -> 1")
        .shows("Plan: 0 to create, 1 to change, 0 to replace, 0 to delete.");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert!(sandbox.look().things.values().all(|thing| thing.size == 1));
}

#[test]
fn primary_data_is_not_deleted_but_may_be_left() {
    let all = "provider \"test\" { cloud = \"CLOUD\" }\nresource \"test_store\" \"data\" { name = \"data\" }\n";
    let sandbox = Sandbox::stack(all).applied();
    sandbox
        .run(&["destroy", "--yes"])
        .expect_code(1)
        .says("refused to delete primary data");
    sandbox.write("main.hcl", &all.replace("\"data\" }", "\"other\" }"));
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(1)
        .says("refused to delete primary data");
    let left = "provider \"test\" { cloud = \"CLOUD\" }\nremoved {\n  from = test_store.data\n  lifecycle { destroy = false }\n}\n";
    sandbox.write("main.hcl", left);
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(sandbox.look().stores["data"], Store { size: 1 });
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("0 instances, 0 open intents");
}

/// Rewrites the record of an instance as another dmp would have written it.
fn record(sandbox: &Sandbox, address: &str, rewrite: impl FnOnce(&mut dmp_state::Instance)) {
    let outside = dmp_state::Outside {
        identity_file: sandbox.path().join(".config/dmp/identity.txt"),
        passphrase: None,
        seen_folder: sandbox.path().join(".local/state/dmp/seen"),
    };
    let local = dmp_state::Local::open(&sandbox.stack_folder().join(".dmp/state.sqlite"));
    let mut store =
        dmp_state::Store::open(Box::new(local.expect("opens")), outside).expect("opens");
    let address = address.parse().expect("an address");
    let mut instance = store.snapshot().instances[&address].as_ref().clone();
    rewrite(&mut instance);
    let put = dmp_state::Record::InstancePut(Box::new(instance));
    store
        .commit(vec![put], "test", "2026-01-01T00:00:00Z")
        .expect("commits");
}

#[test]
fn what_an_older_version_recorded_is_upgraded_and_what_a_newer_one_did_is_refused() {
    let sandbox = Sandbox::stack(
        "provider \"test\" { cloud = \"CLOUD\" }\nresource \"test_store\" \"data\" {\n  name = \"data\"\n  size = 7\n}\n",
    )
    .applied();
    record(&sandbox, "test_store.data", |instance| {
        instance.schema_version = 1;
        instance.attributes =
            dmp_sdk::Value::object_of([("name", "data".into()), ("gigabytes", 7.into())]);
    });
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    sandbox.run(&["apply", "--yes"]).expect_success();
    shown(&sandbox, "test_store.data").shows("size = 7");
    sandbox
        .run(&["state", "show", "test_store.data", "--json"])
        .expect_success()
        .shows("\"schema_version\":2");
    record(&sandbox, "test_store.data", |instance| {
        instance.schema_version = 3;
    });
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(1)
        .says("was recorded with version 3 of its schema, this dmp knows version 2")
        .says("use a newer dmp");
    assert_eq!(sandbox.look().stores["data"], Store { size: 7 });
}

#[test]
fn a_copy_that_inherits_the_mark_is_never_picked() {
    let stack = "provider \"test\" { cloud = \"CLOUD\" }\nresource \"test_thing\" \"vm\" { name = \"vm\" }\n";
    for number in 1..40 {
        let sandbox = Sandbox::stack(stack);
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        assert_ne!(
            ran.code,
            Some(0),
            "no place is between the create and its id"
        );
        let cloud = sandbox.look();
        let Some((id, thing)) = cloud.things.iter().next() else {
            continue;
        };
        // A clone carries its template's description, and the mark in it.
        let (id, copy) = (id.clone(), thing.clone());
        change(&sandbox, |state| {
            state.things.insert("t-900".into(), copy);
        });
        let ran = sandbox.run(&["apply", "--yes"]);
        if ran.code == Some(0) {
            // The id was recorded: it decides.
            let left = sandbox.look();
            assert!(left.things[&id].is_whole, "{:?}", left.calls);
            assert_eq!(left.things.len(), 2, "the copy is somebody else's");
            return;
        }
        let ran = ran.expect_code(3);
        assert!(
            ran.err.contains("several objects carry the same mark")
                && ran.err.contains("t-900")
                && ran.err.contains(&id),
            "{}",
            ran.err
        );
        assert_eq!(
            sandbox.look().things.len(),
            2,
            "nothing was made or deleted"
        );
        change(&sandbox, |state| {
            state.things.remove("t-900");
        });
        sandbox.run(&["apply", "--yes"]).expect_success();
        let left = sandbox.look();
        assert_eq!(left.things.len(), 1);
        assert!(left.things[&id].is_whole);
    }
    panic!("the id was never recorded");
}

#[test]
fn an_ephemeral_value_is_in_no_plan_and_asked_for_again() {
    let stack = r#"
variable "token" {
  type      = string
  ephemeral = true
}
provider "test" {
  cloud = "CLOUD"
  token = var.token
}
resource "test_entry" "motd" {
  key  = "motd"
  text = "hello"
}
"#;
    let sandbox = Sandbox::stack(stack);
    sandbox
        .run(&["plan", "--var", "token=s3cret-token", "--out", "kept.plan"])
        .expect_success();
    sandbox
        .run(&["apply", "kept.plan"])
        .expect_code(1)
        .says("token");
    sandbox
        .run(&["apply", "--var", "token=s3cret-token", "kept.plan"])
        .expect_success();
    // The block is gone, and with it the way to the token.
    sandbox.write("main.hcl", "");
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("has values that are in no state");
    assert_eq!(sandbox.look().entries.len(), 1, "nothing is deleted unseen");
}

const BUCKETS: &str = r#"
provider "test" { cloud = "CLOUD" }
variable "size" { default = 4 }
resource "test_bucket" "data" {
  for_each = toset(["a", "b"])
  label    = each.key
  size     = var.size
}
"#;

#[test]
fn more_is_fetched_of_what_is_there_and_of_nothing_else() {
    let sandbox = Sandbox::stack(BUCKETS).applied();
    change(&sandbox, |state| {
        state.calls.clear();
        let gone = state.buckets.keys().find(|name| name.starts_with("b-"));
        let gone = gone.cloned().expect("is there");
        state.buckets.remove(&gone);
    });
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Plan: 1 to create");
    let calls = sandbox.look().calls;
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert_eq!(calls[0], "list buckets");
    assert!(calls[1].starts_with("list bucket a-"), "{calls:?}");
}

#[test]
fn effects_stand_in_the_plan_and_in_its_sum() {
    let sandbox = Sandbox::stack(BUCKETS).applied();
    let smaller = ["plan", "--var", "size=2"];
    sandbox
        .run(&smaller)
        .expect_success()
        .shows("restarts the gateway of a")
        .shows("LOSES DATA: a")
        .shows("LOSES DATA: b");
    sandbox
        .run(&["plan", "--var", "size=8"])
        .expect_success()
        .shows("restarts the gateway of b")
        .hides("LOSES DATA");
    sandbox
        .run(&["plan"])
        .expect_success()
        .hides("restarts the gateway");
    sandbox
        .run(&["plan", "--json", "--var", "size=2"])
        .expect_success()
        .shows(r#"{"kind":"data-loss","what":"a"}"#);
    sandbox
        .run(&["plan", "--out", "saved", "--var", "size=2"])
        .expect_success();
    sandbox
        .run(&["show", "saved"])
        .expect_success()
        .shows("LOSES DATA: b");
}

#[test]
fn what_cannot_succeed_is_said_before_the_first_change() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
variable "count" { default = 3 }
resource "test_entry" "first" {
  key  = "first"
  text = "x"
}
resource "test_thing" "vm" {
  count = var.count
  name  = "vm-${count.index}"
}
"#,
    );
    change(&sandbox, |state| state.faults.quota = 2);
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(1)
        .says("the quota is too small")
        .says("test_thing.vm[2]")
        .says("the cloud allows 2 things; with this plan there would be 3");
    let cloud = sandbox.look();
    assert!(cloud.entries.is_empty() && cloud.things.is_empty());
    sandbox
        .run(&["apply", "--yes", "--var", "count=2"])
        .expect_success();
}

/// Applies, and kills dmp when the cloud has so many buckets.
fn kill_when_there_are(sandbox: &Sandbox, buckets: usize) {
    let mut child = sandbox
        .command(&["apply", "--yes"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    while sandbox.look().buckets.len() < buckets {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().expect("ours");
    child.wait().expect("ends");
}

#[test]
fn a_wait_that_was_cut_off_is_waited_for_again() {
    let stack = r#"
provider "test" { cloud = "CLOUD" }
resource "test_bucket" "data" { label = "slow" }
resource "test_entry" "after" {
  key  = "after"
  text = test_bucket.data.name
}
"#;
    let sandbox = Sandbox::stack(stack);
    change(&sandbox, |state| state.faults.slow = vec!["slow".into()]);
    kill_when_there_are(&sandbox, 1);
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("~ test_bucket.data")
        .shows("it is not ready yet");
    change(&sandbox, |state| {
        state.faults.slow.clear();
        state.calls.clear();
    });
    sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .says("test_bucket.data");
    let cloud = sandbox.look();
    assert!(cloud.buckets.values().all(|bucket| bucket.is_ready));
    assert!(cloud.entries.contains_key("after"));
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
}

#[test]
fn what_has_come_about_after_a_kill_needs_nothing_more() {
    let sandbox = Sandbox::stack(BUCKETS);
    change(&sandbox, |state| state.faults.slow = vec!["a".into()]);
    kill_when_there_are(&sandbox, 2);
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("it is not ready yet");
    change(&sandbox, |state| {
        let buckets = state.buckets.values_mut();
        buckets.for_each(|bucket| bucket.is_ready = true);
        state.calls.clear();
    });
    sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .shows("Nothing to do");
    let calls = sandbox.look().calls;
    assert!(
        !calls.iter().any(|call| call.contains("create")),
        "{calls:?}"
    );
}

#[test]
fn a_provider_whose_source_is_gone_is_reached_as_recorded() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "source" { name = "token" }
provider "test" {
  alias  = "late"
  cloud  = "CLOUD"
  region = test_thing.source.id
}
resource "test_slot" "through" {
  provider = test.late
  text     = "x"
}
"#,
    )
    .applied();
    lose(&sandbox, &["token"]);
    // It is asked for through what is recorded, and stays as it is.
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("+ test_thing.source")
        .shows("Plan: 1 to create, 0 to change, 0 to replace, 0 to delete.");
    sandbox.run(&["destroy", "--yes"]).expect_success();
    let cloud = sandbox.look();
    assert!(cloud.slots.is_empty() && cloud.things.is_empty());
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("0 instances, 0 open intents");
}

#[test]
fn what_is_not_enabled_is_not_there_and_null_to_others() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
variable "on" { default = true }
resource "test_thing" "vm" {
  name = "vm"
  lifecycle { enabled = var.on }
}
module "site" {
  source = "./site"
  lifecycle { enabled = var.on }
}
resource "test_entry" "told" {
  key  = "told"
  text = try(test_thing.vm.id, "none")
}
output "site" { value = try(module.site.name, "none") }
"#,
    );
    std::fs::create_dir(sandbox.stack_folder().join("site")).expect("a folder");
    sandbox.write(
        "site/main.hcl",
        "resource \"test_thing\" \"in\" { name = \"in\" }\noutput \"name\" { value = test_thing.in.name }\n",
    );
    let sandbox = sandbox.applied();
    assert_eq!(sandbox.look().things.len(), 2);
    let off = ["apply", "--yes", "--var", "on=false"];
    sandbox
        .run(&off)
        .expect_success()
        .shows("- test_thing.vm   it is not enabled any more");
    let cloud = sandbox.look();
    assert!(cloud.things.is_empty());
    assert_eq!(cloud.entries["told"].text, "none");
    sandbox
        .run(&["output", "--raw", "site"])
        .expect_success()
        .shows("none");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(sandbox.look().things.len(), 2);
}

#[test]
fn a_guard_is_any_expression_and_stays_when_its_block_is_gone() {
    let stack = r#"
provider "test" { cloud = "CLOUD" }
variable "stage" { default = "prod" }
resource "test_thing" "vm" {
  for_each = toset(["data", "other"])
  name     = each.key
  lifecycle { prevent_destroy = var.stage == "prod" && each.key == "data" }
}
"#;
    let sandbox = Sandbox::stack(stack).applied();
    sandbox.write("main.hcl", "provider \"test\" { cloud = \"CLOUD\" }\n");
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("refused to delete a guarded object")
        .says("test_thing.vm[\"data\"]");
    sandbox.write("main.hcl", stack);
    let dev = ["apply", "--yes", "--var", "stage=dev"];
    sandbox.run(&dev).expect_success();
    sandbox.write("main.hcl", "provider \"test\" { cloud = \"CLOUD\" }\n");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert!(sandbox.look().things.is_empty());
}
