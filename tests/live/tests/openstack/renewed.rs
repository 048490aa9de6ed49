//! Tokens that end while an apply waits: a new one is got, and the apply goes on.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use dmp_live::Cloud;
use serde_json::{Value as Json, json};

use crate::program::{Stack, Undone, left, tell, there};
use crate::world::{VOLUMES, clear};

/// The network is made when the volume is there, by a service that was not asked before.
const STACK: &str = r#"
resource "openstack_volume" "data" {
  name     = "data"
  size_gib = 1
}

resource "openstack_network" "after" {
  name       = "after"
  depends_on = [openstack_volume.data]
}
"#;

/// How long a service believes in a token that it has looked at, in seconds: `token_cache_time` of the suite's cloud.
const BELIEVED: Duration = Duration::from_secs(5);

/// An apply that waits for a volume which does not come, since who makes volumes hangs.
fn begun(stack: &Stack, cloud: &Cloud) -> Child {
    let mut command: Command = stack.command("DMP_LIVE_BINARY");
    command.args(["apply", "--yes"]).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let apply = command.spawn().expect("dmp starts");
    cloud.until("the volume is asked for", || {
        let there = VOLUMES.marked(cloud);
        there.first().is_some_and(|it| it["status"] == "creating")
    });
    apply
}

/// The apply comes to its end, and all is as it was described.
fn ends_well(stack: &Stack, apply: Child) {
    let output = apply.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    stack.ends(&["plan", "--detailed-exitcode"], 0);
    stack.ends(&["destroy", "--yes"], 0);
    assert_eq!(left(&there().cloud), Vec::<String>::new());
}

/// Ends all tokens of the tests' user: with a new password, which is the old one.
fn take_back(cloud: &Cloud) {
    let user = cloud.user();
    let body = json!({ "user": { "password": cloud.setting("password") } });
    let admin = Cloud::of_this_suite("admin");
    admin.write("PATCH", "identity", &format!("/users/{user}"), &body);
    let is_over =
        |service: &str, path: &str| cloud.ask("GET", service, path, &Json::Null).status == 401;
    for (service, path) in [("block-storage", "/volumes"), ("network", "/networks")] {
        cloud.until("the token is refused", || is_over(service, path));
    }
    // By then every service has forgotten what it has looked at.
    thread::sleep(BELIEVED);
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_token_that_is_taken_back_in_mid_run_is_renewed() {
    let world = there();
    clear(&world.cloud);
    let stack = Stack::of(STACK);
    tell(&["pause", "cinder-volume"]);
    let hangs = Undone(&["resume", "cinder-volume"]);
    let apply = begun(&stack, &world.cloud);
    take_back(&world.cloud);
    drop(hangs);
    ends_well(&stack, apply);
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_token_that_ends_in_mid_run_is_renewed() {
    clear(&there().cloud);
    let stack = Stack::of(STACK);
    let stranger = there().cloud;
    // The stranger has a long one already.
    let _ = stranger.project();
    tell(&["tokens", "20"]);
    let long = Undone(&["tokens", "86400"]);
    tell(&["pause", "cinder-volume"]);
    let hangs = Undone(&["resume", "cinder-volume"]);
    let apply = begun(&stack, &stranger);
    thread::sleep(Duration::from_secs(45));
    drop(hangs);
    let output = apply.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    drop(long);
    stack.ends(&["plan", "--detailed-exitcode"], 0);
    stack.ends(&["destroy", "--yes"], 0);
    assert_eq!(left(&stranger), Vec::<String>::new());
}
