//! A group is changed a few members at a time, and the next is out only when the last is healthy.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;

use dmp_sdk::testing::Cloud;
use support::Sandbox;

/// Answers `GET /NAME` with 200 if the cloud has a whole thing of that name which is not sick, else with 503. It notes in
/// the cloud how many members were away whenever it was asked.
fn health_service(cloud: Cloud) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else {
                return;
            };
            let mut request = [0_u8; 1024];
            let length = connection.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            let name = text
                .split_whitespace()
                .nth(1)
                .unwrap_or("/")
                .trim_start_matches('/')
                .to_owned();
            let is_well = cloud.change(|state| {
                state.calls.push(format!("probe {name}"));
                let is_sick = state.entries.contains_key(&format!("sick-{name}"));
                let found = state.things.values().find(|thing| thing.name == name);
                !is_sick && found.is_some_and(|thing| thing.is_whole)
            });
            let status = match is_well.unwrap_or(false) {
                true => "200 OK",
                false => "503 Service Unavailable",
            };
            let _ = write!(
                connection,
                "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    });
    port
}

fn stack(max_out: u32, within: u32) -> Sandbox {
    let sandbox = Sandbox::stack("");
    let port = health_service(sandbox.cloud());
    sandbox.write(
        "main.hcl",
        &r#"
provider "test" { cloud = "CLOUD" }
variable "size" {
  type    = number
  default = 1
}
variable "secret" { default = "a" }
resource "test_thing" "web" {
  count  = 4
  name   = "web-${count.index}"
  size   = var.size
  secret = var.secret
  lifecycle {
    replace_triggered_by = [test_entry.version]
    rollout {
      max_out = MAX
      health {
        within_seconds = WITHIN
        data "core_http" "up" {
          url            = "http://127.0.0.1:PORT/${self.name}"
          within_seconds = 0
        }
        assert {
          condition     = data.core_http.up.status_code == 200
          error_message = "${self.name} does not answer"
        }
      }
    }
  }
}
variable "version" { default = "one" }
resource "test_entry" "version" {
  key  = "version"
  text = var.version
}
"#
        .replace("MAX", &max_out.to_string())
        .replace("WITHIN", &within.to_string())
        .replace("PORT", &port.to_string()),
    );
    let sandbox = sandbox.applied();
    sandbox
        .cloud()
        .change(|state| state.calls.clear())
        .expect("writes");
    sandbox
}

/// The calls that matter here, in order.
fn calls(sandbox: &Sandbox) -> Vec<String> {
    let kinds = ["change", "make", "delete", "finish", "probe"];
    let calls = sandbox.look().calls.into_iter();
    calls
        .filter(|call| kinds.iter().any(|kind| call.starts_with(kind)))
        .collect()
}

#[test]
fn members_are_changed_one_after_another_each_when_the_last_is_healthy() {
    let sandbox = stack(1, 30);
    sandbox
        .run(&["apply", "--yes", "--var", "size=2"])
        .expect_success();
    let calls = calls(&sandbox);
    let kinds: Vec<&str> = calls
        .iter()
        .map(|call| call.split(' ').next().unwrap_or_default())
        .collect();
    assert_eq!(kinds, ["change", "probe"].repeat(4), "{calls:?}");
}

#[test]
fn with_two_out_no_third_is_and_a_replaced_one_is_out_from_its_delete_on() {
    let sandbox = stack(2, 30);
    sandbox
        .run(&["apply", "--yes", "--var", "version=two"])
        .expect_success();
    let (mut out, mut most) = (0, 0);
    for call in calls(&sandbox) {
        match call.split(' ').next() {
            Some("delete") => out += 1,
            Some("probe") => out -= 1,
            _ => {}
        }
        most = most.max(out);
    }
    assert_eq!((out, most), (0, 2));
    assert_eq!(sandbox.look().things.len(), 4);
}

#[test]
fn a_member_that_does_not_become_healthy_stops_the_group_and_nothing_else() {
    let sandbox = stack(1, 2);
    let sicken = |state: &mut dmp_sdk::testing::State| {
        let text = String::new();
        state
            .entries
            .insert("sick-web-1".into(), dmp_sdk::testing::Entry { text });
    };
    sandbox.cloud().change(sicken).expect("writes");
    sandbox
        .run(&["apply", "--yes", "--var", "size=2"])
        .expect_code(3)
        .says("test_thing.web[1]: not healthy yet (at most 2 s): web-1 does not answer")
        .says("no further member of the group is taken out")
        .says("2 skipped");
    let changed = |sandbox: &Sandbox| {
        let cloud = sandbox.look();
        cloud
            .things
            .values()
            .filter(|thing| thing.size == 2)
            .count()
    };
    assert_eq!(changed(&sandbox), 2);
    // The next run looks at those that stay as they are before it takes another one out.
    sandbox
        .run(&["apply", "--yes", "--var", "size=2"])
        .expect_code(3)
        .says("test_thing.web[1]");
    assert_eq!(changed(&sandbox), 2);
    sandbox
        .cloud()
        .change(|state| state.entries.remove("sick-web-1"))
        .expect("writes");
    sandbox
        .run(&["apply", "--yes", "--var", "size=2"])
        .expect_success();
    assert_eq!(changed(&sandbox), 4);
}

#[test]
fn killed_at_each_place_of_a_rollout_never_more_is_out_than_allowed() {
    for number in (1..200).step_by(3) {
        let sandbox = stack(1, 30);
        let arguments = ["apply", "--yes", "--var", "version=two"];
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&arguments, &[("DMP_FAIL_AT", &at)]);
        let is_through = ran.code == Some(0);
        if !is_through {
            let away = 4 - sandbox
                .look()
                .things
                .values()
                .filter(|thing| thing.is_whole)
                .count();
            assert!(away <= 1, "{away} are away, killed at {at}");
            sandbox.run(&arguments).expect_success();
        }
        let cloud = sandbox.look();
        assert_eq!(cloud.things.len(), 4, "killed at {at}: {:?}", cloud.calls);
        if is_through {
            assert!(number > 20, "only {number} places");
            return;
        }
    }
    panic!("it never came to its end");
}

#[test]
fn what_a_rollout_may_say_is_checked() {
    let wrong = |inner: &str, said: &str| {
        let stack = format!(
            "provider \"test\" {{ cloud = \"CLOUD\" }}\nresource \"test_thing\" \"a\" {{\n  name = \"a\"\n  \
             lifecycle {{\n    rollout {{\n      {inner}\n    }}\n  }}\n}}\n"
        );
        Sandbox::stack(&stack)
            .run(&["plan"])
            .expect_code(1)
            .says(said);
    };
    wrong("max_out = 0", "`max_out` a whole number from 1");
    wrong("surge = 1", "surge");
    wrong("health { }", "`health` needs an `assert` block");
    wrong(
        "health {\n        assert {\n          condition = self.nme == \"a\"\n          error_message = \"no\"\n        }\n      }\n      maxout = 1",
        "maxout",
    );
    wrong(
        "health {\n        data \"core_htp\" \"up\" {}\n        assert {\n          condition = true\n          error_message = \"no\"\n        }\n      }",
        "core_htp",
    );
}

/// Two blocks in one group; a member of the first uses one of the second.
const TIERS: &str = r#"
provider "test" { cloud = "CLOUD" }
variable "size" { default = 1 }
variable "name" { default = "old" }
resource "test_thing" "app" {
  count  = 2
  name   = "${var.name}-app-${count.index}"
  size   = var.size
  secret = test_thing.store[count.index].id
  lifecycle {
    rollout { group = "site" }
  }
}
resource "test_thing" "store" {
  count  = 2
  name   = "${var.name}-store-${count.index}"
  size   = var.size
  lifecycle {
    rollout { group = "site" }
  }
}
"#;

#[test]
fn what_a_member_needs_is_changed_before_it() {
    let sandbox = Sandbox::stack(TIERS).applied();
    let before = calls(&sandbox).len();
    let id = |name: &str| {
        let things = sandbox.look().things.into_iter();
        let mut found = things.filter(|(_, thing)| thing.name == name);
        found.next().expect("it is there").0
    };
    let names = ["old-store-0", "old-store-1", "old-app-0", "old-app-1"];
    let wanted = names.map(|name| format!("change {}", id(name)));
    sandbox
        .run(&["apply", "--yes", "--var", "size=2"])
        .expect_success();
    assert_eq!(calls(&sandbox)[before..], wanted);
}

#[test]
fn members_that_can_only_be_out_together_are_refused_by_the_plan() {
    let sandbox = Sandbox::stack(TIERS).applied();
    sandbox
        .run(&["plan", "--var", "name=new"])
        .expect_code(1)
        .says("members of a group wait for one another")
        .says("`test_thing.app[0]`, `test_thing.app[1]`, `test_thing.store[0]`")
        .hides("ModulePath");
}

#[test]
fn a_member_is_not_judged_by_what_is_just_made_anew() {
    let sandbox = Sandbox::stack("");
    let port = health_service(sandbox.cloud());
    let text = r#"
provider "test" { cloud = "CLOUD" }
variable "name" { default = "old" }
resource "test_thing" "front" { name = "front-${var.name}" }
resource "test_thing" "web" {
  count = 2
  name  = "web-${count.index}"
  size  = var.name == "old" ? 1 : 2
  lifecycle {
    rollout {
      health {
        within_seconds = 30
        data "core_http" "up" {
          url            = "http://127.0.0.1:PORT/${test_thing.front.name}"
          headers        = { front = test_thing.front.id }
          within_seconds = 0
        }
        assert {
          condition     = data.core_http.up.status_code == 200
          error_message = "the front does not answer"
        }
      }
    }
  }
}
"#;
    sandbox.write("main.hcl", &text.replace("PORT", &port.to_string()));
    let sandbox = sandbox.applied();
    sandbox
        .cloud()
        .change(|state| state.faults.latency = 150)
        .expect("writes");
    sandbox
        .run(&["apply", "--yes", "--var", "name=new"])
        .expect_success();
    sandbox
        .run(&["plan", "--detailed-exitcode", "--var", "name=new"])
        .expect_success();
}
