//! A stack of thirty instances through all layers, killed at every place of an apply: the next one goes on, nothing is
//! made twice, nothing is left over, and the state is that of a run which was never killed.

mod support;

use std::collections::BTreeMap;

use serde_json::Value as Json;
use support::Sandbox;

const STACK: &str = r#"
provider "test" { cloud = "CLOUD" }
provider "test" {
  alias = "late"
  cloud = "CLOUD"
  token = test_member.node["a"].name
}
locals {
  machines = toset(["a", "b", "c", "d"])
}
resource "test_thing" "network" {
  count = 2
  layer = "network"
  name  = "net-${count.index}"
}
resource "test_thing" "vm" {
  for_each = local.machines
  name     = "vm-${each.key}"
  secret   = test_thing.network[0].id
}
resource "test_entry" "motd" {
  for_each = test_thing.vm
  key      = "motd-${each.key}"
  text     = "on ${each.value.id}"
  on       = each.value.id
}
resource "test_entry" "config" {
  for_each = test_entry.motd
  key      = "config-${each.key}"
  text     = "after ${each.value.length}"
  on       = test_thing.vm[each.key].id
}
resource "test_member" "node" {
  for_each   = test_thing.vm
  name       = each.key
  group      = test_thing.vm["a"].id
  on         = each.value.id
  depends_on = [test_entry.config]
}
resource "test_thing" "volume" {
  for_each = test_thing.vm
  layer    = "storage"
  name     = "volume-${each.key}"
  on       = each.value.id
}
resource "test_entry" "app" {
  count    = 8
  provider = test.late
  layer    = "platform"
  key      = "app-${count.index}"
  text     = join(",", [for volume in test_thing.volume : volume.name])
}
output "nodes" {
  value = [for node in test_member.node : node.on]
}
"#;

/// What a state holds, without what is minted, counted or measured anew in each run. Ids of the cloud stand as names.
fn essence(sandbox: &Sandbox) -> Json {
    let exported = sandbox.run(&["state", "export"]).expect_success();
    let mut text = exported.out;
    // Longer ids first: `t-1` is the beginning of `t-12`.
    let things: BTreeMap<_, _> = sandbox
        .look()
        .things
        .into_iter()
        .map(|(id, thing)| ((std::cmp::Reverse(id.len()), id), thing.name))
        .collect();
    for ((_, id), name) in things {
        text = text.replace(&format!("\"{id}\""), &format!("\"the id of {name}\""));
        text = text.replace(&format!("on {id}\""), &format!("on the id of {name}\""));
    }
    let mut state: Json = serde_json::from_str(&text).expect("JSON");
    for generated in ["serial", "hash", "lineage", "meta", "providers"] {
        state.as_object_mut().expect("an object").remove(generated);
    }
    let instances = state["instances"].as_object_mut().expect("an object");
    for instance in instances.values_mut() {
        let members = instance.as_object_mut().expect("an object");
        members.remove("id");
        members.remove("create_milliseconds");
        // Sealed anew each time.
        if let Some(secret) = members["attributes"].pointer_mut("/object/secret") {
            *secret = Json::Null;
        }
        let attributes = members["attributes"].to_string();
        if attributes.contains("sealed") {
            members["attributes"] = without_sealed(&members["attributes"]);
        }
    }
    state
}

fn without_sealed(json: &Json) -> Json {
    match json {
        Json::Object(members) if members.keys().any(|name| name.contains("sealed")) => Json::Null,
        Json::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), without_sealed(member)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Json::Array(items) => items.iter().map(without_sealed).collect(),
        other => other.clone(),
    }
}

fn counts(sandbox: &Sandbox) -> (usize, usize, usize, bool) {
    let cloud = sandbox.look();
    let whole = cloud.things.values().all(|thing| thing.is_whole);
    (
        cloud.things.len(),
        cloud.entries.len(),
        cloud.members.len(),
        whole,
    )
}

/// Kills at every second place from `first` on. Returns how many there were.
fn kill_from(first: usize, unkilled: &Json) -> usize {
    for number in (first..1000).step_by(2) {
        let sandbox = Sandbox::stack(STACK);
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            return number - 1;
        }
        assert_eq!(ran.code, None, "it was killed at {at}: {}", ran.err);
        sandbox.run(&["apply", "--yes"]).expect_success();
        assert_eq!(counts(&sandbox), (10, 16, 4, true), "killed at {at}");
        assert_eq!(essence(&sandbox), *unkilled, "killed at {at}");
        sandbox
            .run(&["plan", "--detailed-exitcode"])
            .expect_success();
    }
    panic!("it never came to its end");
}

#[test]
#[expect(clippy::print_stdout, reason = "how many places there are")]
fn thirty_instances_killed_at_each_place_end_as_if_nothing_had_happened() {
    let sandbox = Sandbox::stack(STACK).applied();
    assert_eq!(counts(&sandbox), (10, 16, 4, true));
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("30 instances, 0 open intents");
    let unkilled = essence(&sandbox);
    let again = Sandbox::stack(STACK).applied();
    assert_eq!(essence(&again), unkilled, "two runs come to the same");
    let places = std::thread::scope(|scope| {
        let odd = scope.spawn(|| kill_from(1, &unkilled));
        let even = kill_from(2, &unkilled);
        odd.join().expect("it went well").max(even)
    });
    assert!(places > 150, "only {places} places");
    println!("killed at {places} places");
}
