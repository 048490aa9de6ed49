//! What an administrator fears: things that are lost, done twice, deleted unasked or shown to everybody.

mod support;

use dmp_sdk::testing::{Entry, State};
use support::Sandbox;

fn put(sandbox: &Sandbox, key: &str, text: &str) {
    let put = |state: &mut State| {
        let text = text.into();
        state.entries.insert(key.into(), Entry { text });
    };
    sandbox.cloud().change(put).expect("writes");
}

#[test]
fn what_lived_on_a_host_that_is_gone_leaves_the_state_when_the_host_is_made_anew() {
    let host = r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" { name = "vm" }
"#;
    let sandbox = Sandbox::stack(&format!(
        r#"{host}
resource "test_entry" "on" {{
  key  = "on"
  text = "x"
  on   = test_thing.vm.id
}}"#
    ))
    .applied();
    let lose = |state: &mut State| state.things.clear();
    sandbox.cloud().change(lose).expect("writes");
    sandbox.write("main.hcl", host);
    sandbox.run(&["apply", "--yes"]).expect_success();
    sandbox
        .run(&["state", "list"])
        .expect_success()
        .hides("test_entry.on");
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
}

#[test]
fn what_is_between_a_replaced_object_and_its_new_user_can_go() {
    let before = r#"
provider "test" { cloud = "CLOUD" }
resource "test_entry" "c" {
  key  = "c"
  text = "c"
}
resource "test_entry" "a" {
  key  = "a"
  text = test_entry.c.key
}
resource "test_entry" "b" {
  key  = "b"
  text = test_entry.a.key
}
"#;
    let sandbox = Sandbox::stack(before).applied();
    sandbox.write(
        "main.hcl",
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_entry" "c" {
  key  = "c2"
  text = "c"
}
resource "test_entry" "b" {
  key  = "b"
  text = test_entry.c.key
}
"#,
    );
    sandbox.run(&["apply", "--yes"]).expect_success();
    let keys: Vec<_> = sandbox.look().entries.into_keys().collect();
    assert_eq!(keys, ["b", "c2"]);
}

#[test]
fn a_secret_never_becomes_part_of_an_address() {
    for for_each in [
        "toset([var.secret])",
        "{ (var.secret) = 1 }",
        "{ for s in [var.secret] : s => 1 }",
        "toset(split(\",\", var.secret))",
        "toset(keys({ (var.secret) = 1 }))",
    ] {
        let sandbox = Sandbox::stack(&format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
variable "secret" {{
  type      = string
  sensitive = true
  default   = "hunter2"
}}
resource "test_thing" "vm" {{
  for_each = {for_each}
  name     = "vm"
}}
"#
        ));
        let ran = sandbox.run(&["plan"]);
        assert_ne!(ran.code, Some(0), "{for_each}: {}", ran.out);
        let _ = ran.hides("hunter2");
    }
}

#[test]
fn no_mistake_shows_a_secret() {
    for expression in [
        "tonumber(var.secret)",
        "var.secret",
        "var.secret + 1",
        "{ a = 1 }[var.secret]",
        "{ a = 1 }[var.secret].b",
        "jsondecode(var.secret).x",
        "yamldecode(\"{${var.secret}\").x",
        "base64decode(var.secret)",
        "formatdate(\"YYYY\", var.secret)",
        "index([\"a\"], var.secret)",
        "regex(var.secret, \"x\")",
        "regex(\"x\", var.secret)",
        "lookup({ a = 1 }, var.secret)",
        "cidrhost(var.secret, 1)",
        "parseint(var.secret, 10)",
        "file(var.secret)",
        "templatefile(var.secret, {})",
        "[1, 2][var.secret]",
        "element([], var.secret)",
        "var.secret.hunter",
        "tobool(var.secret)",
        "{ for s in [var.secret, var.secret] : s => 1 }.x",
        "timeadd(var.secret, \"1h\")",
        "format(\"%d\", var.secret)",
        "one([var.secret, var.secret])",
        "zipmap([var.secret], [])",
        "tonumber({ a = var.secret }.a)",
        "max(var.secret, 1)",
        "pow(var.secret, 1)",
        "merge(var.secret, {})",
        "range(var.secret)",
        "-var.secret",
        "var.secret ? 1 : 2",
        "csvdecode(\"a,b\n${var.secret}\")[0].c",
        "substr(var.secret, var.secret, 1)",
    ] {
        let sandbox = Sandbox::stack(&format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
variable "secret" {{
  type      = string
  sensitive = true
}}
resource "test_thing" "vm" {{
  name = "vm"
  size = {}
}}
"#,
            expression.replace('\n', "\\n")
        ));
        let ran = sandbox.run(&["plan", "--var", "secret=hunter2"]);
        let shown = ran.out.contains("hunter2") || ran.err.contains("hunter2");
        assert!(!shown, "{expression}: {}{}", ran.out, ran.err);
        assert_ne!(ran.code, Some(0), "{expression}: {}", ran.out);
    }
}

#[test]
fn a_secret_variable_of_the_wrong_type_is_not_shown() {
    let sandbox = Sandbox::stack(
        r#"
variable "pin" {
  type      = number
  sensitive = true
  validation {
    condition     = var.pin > 5
    error_message = "pin is ${var.pin}"
  }
}
"#,
    );
    sandbox
        .run(&["plan", "--var", "pin=hunter2"])
        .expect_code(1)
        .hides("hunter2");
    sandbox
        .run_with(&["plan"], &[("DMP_VAR_pin", "hunter2")])
        .expect_code(1)
        .hides("hunter2");
}

#[test]
fn a_secret_is_nowhere_in_plain_text() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" {
  cloud = "CLOUD"
  token = var.secret
}
variable "secret" {
  type      = string
  sensitive = true
}
locals { derived = { inner = ["x-${var.secret}"] } }
resource "test_thing" "vm" {
  name   = "vm"
  secret = var.secret
}
resource "test_entry" "e" {
  key  = "e"
  text = local.derived.inner[0]
}
output "o" { value = local.derived }
output "l" { value = length(test_thing.vm.secret) }
"#,
    );
    let var = ["--var", "secret=hunter2"];
    let with = |first: &[&'static str]| -> Vec<&'static str> {
        first.iter().copied().chain(var).collect()
    };
    sandbox
        .run(&with(&["plan", "--json"]))
        .expect_success()
        .hides("hunter2");
    sandbox
        .run(&with(&["plan", "--out", "saved"]))
        .expect_success()
        .hides("hunter2");
    sandbox
        .run(&["show", "saved"])
        .expect_success()
        .hides("hunter2");
    sandbox
        .run(&["show", "--json", "saved"])
        .expect_success()
        .hides("hunter2");
    sandbox
        .run(&with(&["apply", "--yes", "--json"]))
        .expect_success()
        .hides("hunter2");
    let drift = |state: &mut State| {
        state.entries.get_mut("e").expect("is there").text = "x-hunter2 drifted".into();
        for thing in state.things.values_mut() {
            thing.secret = Some("hunter2 drifted".into());
        }
    };
    sandbox.cloud().change(drift).expect("writes");
    sandbox
        .run(&with(&["plan"]))
        .expect_success()
        .hides("hunter2");
    sandbox
        .run(&with(&["plan", "--json"]))
        .expect_success()
        .hides("hunter2");
    sandbox
        .run(&with(&["apply", "--yes", "-v"]))
        .hides("hunter2");
    sandbox.run(&["output"]).hides("hunter2");
    sandbox
        .run(&["state", "show", "test_entry.e"])
        .expect_success()
        .hides("hunter2");
    sandbox
        .run(&["state", "show", "test_thing.vm"])
        .expect_success()
        .hides("hunter2");
    let mut look = vec![sandbox.stack_folder()];
    while let Some(at) = look.pop() {
        for entry in std::fs::read_dir(at).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                look.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).expect("readable");
            let shown = bytes.windows(7).any(|window| window == b"hunter2");
            assert!(!shown, "{} shows a secret", path.display());
        }
    }
}

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
fn an_alias_that_is_not_declared_deletes_nothing() {
    let stack = |provider: &str| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
resource "test_entry" "a" {{
  {provider}
  key  = "a"
  text = "x"
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack("")).applied();
    sandbox.write("main.hcl", &stack("provider = test.nobody"));
    sandbox.run(&["apply", "--yes"]).expect_code(1);
    assert_eq!(sandbox.look().entries.len(), 1);
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

#[test]
fn a_provider_that_changes_does_not_delete_in_the_new_place() {
    let stack = |provider: &str, key: &str| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
provider "test" {{
  alias = "other"
  cloud = "CLOUD.other"
}}
resource "test_entry" "a" {{
  provider = {provider}
  key      = "{key}"
  text     = "mine"
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack("test", "a")).applied();
    let other = dmp_sdk::testing::Cloud::at(&sandbox.path().join("cloud.json.other"));
    let put = |state: &mut State| {
        let text = "theirs".into();
        state.entries.insert("a".into(), Entry { text });
    };
    other.change(put).expect("writes");
    sandbox.write("main.hcl", &stack("test.other", "b"));
    sandbox.run(&["apply", "--yes"]).expect_success();
    let there = other.look().expect("readable").entries;
    assert_eq!(there["a"].text, "theirs", "it is not dmp's");
    assert_eq!(there["b"].text, "mine");
    assert!(sandbox.look().entries.is_empty(), "the old one is gone");
}

#[test]
fn an_object_whose_provider_changes_is_not_lost_from_sight() {
    let stack = |provider: &str| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
provider "test" {{
  alias = "other"
  cloud = "CLOUD.other"
}}
provider "test" {{
  alias = "same"
  cloud = "CLOUD"
}}
resource "test_entry" "a" {{
  provider = {provider}
  key      = "a"
  text     = "mine"
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack("test")).applied();
    sandbox.write("main.hcl", &stack("test.same"));
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
    sandbox.write("main.hcl", &stack("test.other"));
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("1 to replace");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert!(sandbox.look().entries.is_empty(), "the old one is gone");
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
}

const HOST_AND_HOSTED: &str = r#"
provider "test" { cloud = "CLOUD" }
provider "test" {
  alias = "inner"
  cloud = "CLOUD"
  token = test_thing.vm.id
}
resource "test_thing" "vm" { name = "NAME" }
resource "test_entry" "on" {
  provider = test.inner
  key      = "on"
  text     = "x"
}
resource "test_entry" "after" {
  key        = "after"
  text       = "y"
  depends_on = [test_entry.on]
}
"#;

/// The runs of `first` that are killed at each place, each followed by `then`.
fn killed_everywhere(before: &str, after: &str, then: impl Fn(&Sandbox, &str)) {
    for number in 1..200 {
        let sandbox = Sandbox::stack(before).applied();
        sandbox.write("main.hcl", after);
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        then(&sandbox, &at);
        if ran.code == Some(0) {
            assert!(number > 5, "only {number} places");
            return;
        }
    }
}

#[test]
fn killed_in_a_replacement_of_a_host_what_lived_on_it_is_made_anew() {
    let one = HOST_AND_HOSTED.replace("NAME", "one");
    let two = HOST_AND_HOSTED.replace("NAME", "two");
    killed_everywhere(&one, &two, |sandbox, at| {
        let before = sandbox.look().calls.len();
        sandbox.run(&["apply", "--yes"]).expect_success();
        let cloud = sandbox.look();
        assert_eq!(cloud.things.len(), 1, "{at}: {:?}", cloud.calls);
        let calls = cloud.calls.iter();
        let of = |what: &str| calls.clone().filter(|call| *call == what).count();
        assert_eq!(of("make two"), 1, "{at}: {:?}", cloud.calls);
        assert!(of("create on") >= 2, "{at} ({before}): {:?}", cloud.calls);
        sandbox
            .run(&["plan"])
            .expect_success()
            .shows("Nothing to do");
        sandbox
            .run(&["state", "verify"])
            .expect_success()
            .shows("3 instances, 0 open intents");
    });
}

fn interrupt(child: &std::process::Child) {
    let pid = child.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(sent.expect("starts").success());
}

const THREE_IN_A_ROW: &str = r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "a" { name = "a" }
resource "test_thing" "b" { name = "b-${test_thing.a.id}" }
resource "test_thing" "c" { name = "c-${test_thing.b.id}" }
"#;

fn interrupted(times: usize) -> (Sandbox, Option<i32>) {
    let sandbox = Sandbox::stack(THREE_IN_A_ROW);
    let slow = |state: &mut State| state.faults.latency = 400;
    sandbox.cloud().change(slow).expect("writes");
    let mut child = sandbox
        .command(&["apply", "--yes"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    while !sandbox.look().calls.iter().any(|call| call == "make a") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for _ in 0..times {
        interrupt(&child);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let code = child.wait().expect("ends").code();
    let fast = |state: &mut State| state.faults.latency = 0;
    sandbox.cloud().change(fast).expect("writes");
    (sandbox, code)
}

#[test]
fn the_first_wish_to_stop_finishes_what_is_under_way_and_begins_nothing() {
    let (sandbox, code) = interrupted(1);
    assert_eq!(code, Some(130));
    let cloud = sandbox.look();
    assert_eq!(cloud.things.len(), 1, "{:?}", cloud.calls);
    assert!(cloud.things.values().all(|thing| thing.is_whole));
    sandbox
        .run(&["state", "verify"])
        .shows("1 instance, 0 open intents");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(sandbox.look().things.len(), 3);
}

#[test]
fn the_second_wish_to_stop_leaves_it_and_the_next_run_goes_on() {
    let (sandbox, code) = interrupted(2);
    assert_eq!(code, Some(130));
    sandbox.run(&["state", "verify"]).shows("1 open intent");
    sandbox.run(&["apply", "--yes"]).expect_success();
    let cloud = sandbox.look();
    assert_eq!(cloud.things.len(), 3, "{:?}", cloud.calls);
    assert!(cloud.things.values().all(|thing| thing.is_whole));
}

#[test]
fn what_is_half_made_is_finished_as_the_configuration_now_is() {
    let stack = |size: u32| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
resource "test_thing" "vm" {{
  name = "vm"
  size = {size}
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack(1));
    let lose = |state: &mut State| state.faults.lose_answer.push("vm".into());
    sandbox.cloud().change(lose).expect("writes");
    sandbox.run(&["apply", "--yes"]).expect_code(3);
    let find = |state: &mut State| state.faults.lose_answer.clear();
    sandbox.cloud().change(find).expect("writes");
    sandbox.write("main.hcl", &stack(2));
    for _ in 0..2 {
        let _ = sandbox.run(&["apply", "--yes"]);
    }
    let cloud = sandbox.look();
    assert_eq!(cloud.things.len(), 1);
    assert!(
        cloud
            .things
            .values()
            .all(|thing| thing.size == 2 && thing.is_whole)
    );
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
}

#[test]
fn what_a_removed_block_names_stays_outside() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" { name = "vm" }
resource "test_entry" "on" {
  key  = "on"
  text = "x"
  on   = test_thing.vm.id
}
"#,
    )
    .applied();
    sandbox.write(
        "main.hcl",
        r#"
provider "test" { cloud = "CLOUD" }
removed {
  from = test_thing.vm
  lifecycle { destroy = false }
}
removed {
  from = test_entry.on
  lifecycle { destroy = false }
}
"#,
    );
    sandbox.run(&["apply", "--yes"]).expect_success();
    let cloud = sandbox.look();
    assert_eq!((cloud.things.len(), cloud.entries.len()), (1, 1));
    sandbox
        .run(&["state", "list"])
        .expect_success()
        .hides("test_");
}

#[test]
fn a_guard_in_the_state_holds_where_its_block_is_gone_or_its_host_ends() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_thing" "vm" { name = "vm" }
resource "test_entry" "on" {
  key  = "on"
  text = "x"
  on   = test_thing.vm.id
  lifecycle { prevent_destroy = true }
}
"#,
    )
    .applied();
    sandbox.run(&["destroy", "--yes"]).expect_code(1);
    sandbox.write("main.hcl", r#"provider "test" { cloud = "CLOUD" }"#);
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(1)
        .says("prevent_destroy");
    assert_eq!(sandbox.look().things.len(), 1);
}

#[test]
fn a_cloud_that_does_not_answer_deletes_and_creates_nothing() {
    let sandbox = Sandbox::stack(THREE_IN_A_ROW).applied();
    let fall_silent = |state: &mut State| state.faults.unreachable = true;
    sandbox.cloud().change(fall_silent).expect("writes");
    sandbox.run(&["apply", "--yes"]).expect_code(3);
    sandbox.run(&["destroy", "--yes"]).expect_code(3);
    let answer = |state: &mut State| state.faults.unreachable = false;
    sandbox.cloud().change(answer).expect("writes");
    assert_eq!(sandbox.look().things.len(), 3);
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
}

#[test]
fn from_count_to_for_each_and_back_nothing_stays_behind() {
    let stack = |repetition: &str, name: &str| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
resource "test_thing" "vm" {{
  {repetition}
  name = {name}
}}
resource "test_entry" "all" {{
  key  = "all"
  text = jsonencode(test_thing.vm)
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack("count = 2", "\"vm-${count.index}\"")).applied();
    for (repetition, name, things) in [
        ("for_each = toset([\"0\", \"1\"])", "\"vm-${each.key}\"", 2),
        ("", "\"vm\"", 1),
        ("count = 0", "\"vm\"", 0),
        ("for_each = { a = 1 }", "\"vm\"", 1),
    ] {
        sandbox.write("main.hcl", &stack(repetition, name));
        sandbox.run(&["apply", "--yes"]).expect_success();
        assert_eq!(sandbox.look().things.len(), things, "{repetition}");
        sandbox
            .run(&["plan"])
            .expect_success()
            .shows("Nothing to do");
    }
}

#[test]
fn a_saved_replacement_is_not_made_with_other_values() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_entry" "source" {
  key  = "source"
  text = "one"
  lifecycle { ignore_changes = [text] }
}
resource "test_thing" "vm" {
  name = test_entry.source.text
  size = length(test_entry.source.text)
}
"#,
    )
    .applied();
    put(&sandbox, "source", "two");
    sandbox
        .run(&["plan", "--out", "saved"])
        .expect_success()
        .shows("1 to replace");
    put(&sandbox, "source", "three");
    sandbox.run(&["apply", "saved"]).expect_code(4);
    assert!(
        sandbox
            .look()
            .things
            .values()
            .all(|thing| thing.name == "one")
    );
}

#[test]
fn two_that_change_places_are_refused_before_one_deletes_the_other() {
    let stack = |one: &str, two: &str| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
resource "test_entry" "one" {{
  key  = "{one}"
  text = "one"
}}
resource "test_entry" "two" {{
  key  = "{two}"
  text = "two"
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack("x", "y")).applied();
    sandbox.write("main.hcl", &stack("y", "x"));
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(1)
        .says("two instances are one object");
    assert_eq!(sandbox.look().entries["x"].text, "one");
    assert_eq!(sandbox.look().entries["y"].text, "two");
}

#[test]
fn a_remote_error_that_quotes_a_secret_shows_it_to_nobody() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
variable "secret" {
  type      = string
  sensitive = true
}
resource "test_thing" "vm" {
  name   = "vm"
  secret = var.secret
}
"#,
    );
    let refuse = |state: &mut State| state.faults.refuse.push("vm".into());
    sandbox.cloud().change(refuse).expect("writes");
    let arguments = ["apply", "--yes", "--var", "secret=hunter2"];
    sandbox
        .run(&arguments)
        .expect_code(3)
        .says("no room for")
        .hides("hunter2");
    let runs = std::fs::read_dir(sandbox.stack_folder().join(".dmp/runs")).expect("is there");
    for run in runs {
        let text = std::fs::read_to_string(run.expect("readable").path()).expect("readable");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn without_any_block_left_everything_is_deleted_through_what_is_recorded() {
    let sandbox = Sandbox::stack(THREE_IN_A_ROW).applied();
    sandbox.write("main.hcl", "");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert!(sandbox.look().things.is_empty());
    let calls = sandbox.look().calls;
    let deletes: Vec<_> = calls
        .iter()
        .filter(|call| call.starts_with("delete"))
        .collect();
    assert_eq!(deletes, ["delete t-3", "delete t-2", "delete t-1"]);
}

#[test]
fn a_wish_to_stop_is_heard_while_it_is_planned() {
    let sandbox = Sandbox::stack(THREE_IN_A_ROW).applied();
    let slow = |state: &mut State| {
        state.faults.latency = 30_000;
        state.calls.clear();
    };
    sandbox.cloud().change(slow).expect("writes");
    let mut child = sandbox
        .command(&["apply", "--yes"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    // Its log says when it has begun to read: from then on it hears.
    let runs = sandbox.stack_folder().join(".dmp/runs");
    let is_reading = || {
        let logs = std::fs::read_dir(&runs).expect("is there").flatten();
        let reading = logs
            .filter(|log| log.path().extension().is_some_and(|kind| kind == "jsonl"))
            .filter_map(|log| std::fs::read_to_string(log.path()).ok())
            .filter(|log| log.contains("\"refreshing\"") && !log.contains("\"refreshed\""));
        reading.count() > 0
    };
    while !is_reading() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let began = std::time::Instant::now();
    interrupt(&child);
    let code = child.wait().expect("ends").code();
    assert_eq!(code, Some(130));
    assert!(began.elapsed().as_secs() < 10);
}

#[test]
fn what_moved_to_another_host_is_kept_when_its_old_host_is_made_anew() {
    let stack = |host: &str| {
        format!(
            r#"
provider "test" {{ cloud = "CLOUD" }}
resource "test_thing" "one" {{ name = "one" }}
resource "test_thing" "two" {{ name = "two" }}
resource "test_entry" "on" {{
  key  = "on"
  text = "x"
  on   = test_thing.{host}.id
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack("one")).applied();
    let lose = |state: &mut State| state.things.retain(|_, thing| thing.name != "one");
    sandbox.cloud().change(lose).expect("writes");
    sandbox.write("main.hcl", &stack("two"));
    sandbox.run(&["apply", "--yes"]).expect_success();
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("3 instances, 0 open intents");
}
