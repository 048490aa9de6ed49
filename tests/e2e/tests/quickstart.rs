//! The example `quickstart` as a newcomer runs it: on the lab, from nothing to a page that answers, a machine that dies, and
//! nothing left; on each ground that the lab has.

#[path = "support/example.rs"]
mod example;
mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use example::Example;

/// Where the machines come from, and what is to be seen there.
struct Ground {
    kind: &'static str,
    /// How many things the stack is made of.
    things: usize,
    /// What makes a machine, in the module of that name.
    machine: &'static str,
    /// What a plan says of one whose plug was pulled.
    is_off: &'static str,
    /// What the bastion is lost with.
    domain: &'static str,
    /// What `dmp lab status` counts when the stack is gone.
    left: &'static str,
}

/// Its machines have the same addresses on each ground.
static ADDRESSES: Mutex<()> = Mutex::new(());

/// Who serves the page, in so many requests to the balancer.
fn visitors(stack: &Example, count: usize) -> Vec<String> {
    let url = stack.run(&["output", "--raw", "url"]).expect_success().out;
    let balancer = url.trim().trim_start_matches("http://");
    let balancer = balancer.trim_end_matches('/');
    let ask = |_| {
        let mut text = String::new();
        let mut connection = TcpStream::connect(balancer).expect("the balancer answers");
        let wait = Some(Duration::from_secs(10));
        connection.set_read_timeout(wait).expect("can be set");
        let request = b"GET / HTTP/1.0\r\nHost: page\r\n\r\n";
        connection.write_all(request).expect("sends");
        connection.read_to_string(&mut text).expect("answers");
        let page = text.split("\r\n\r\n").nth(1).unwrap_or_default();
        page.trim().trim_start_matches("hello from ").to_owned()
    };
    let mut all: Vec<String> = (0..count).map(ask).collect();
    all.sort();
    all.dedup();
    all
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn comes_up_repairs_itself_and_goes_again(ground: &Ground) {
    let _one_at_a_time = ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner);
    let stack = Example::of("quickstart", &format!("kind = \"{}\"\n", ground.kind));
    stack.run(&["--lab", "plan"]).expect_success();
    let status = stack.run(&["lab", "status", "--json"]).expect_success();
    let status: serde_json::Value = serde_json::from_str(&status.out).expect("JSON");
    if let Some(reason) = status["no_machines"].as_str() {
        eprintln!("SKIPPED: {reason}");
        return;
    }
    stack
        .run(&["--lab", "apply", "--yes"])
        .expect_success()
        .shows(&format!("Plan: {} to create, 0 to change", ground.things))
        .says("check page");
    assert_eq!(visitors(&stack, 9), ["web-1", "web-2", "web-3"]);
    let nothing_to_do = || {
        stack
            .run(&["plan", "--detailed-exitcode"])
            .expect_success()
            .shows("Nothing to do");
    };
    nothing_to_do();
    // Through the bastion: nobody else leads inside.
    let web = "module.web.module.machine[\"2\"]";
    stack
        .run(&["ssh", &format!("{web}.host.this"), "--", "hostname"])
        .expect_success()
        .shows("web-2");

    // The plug is pulled, and the next apply puts it back.
    stack.run(&["lab", "kill", "web-2"]).expect_success();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(visitors(&stack, 6), ["web-1", "web-3"], "the others serve");
    stack
        .run(&["apply", "--yes"])
        .expect_success()
        .shows(&format!(
            "{web}.{}.this[0]   {}",
            ground.machine, ground.is_off
        ))
        .says("check page");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(visitors(&stack, 9), ["web-1", "web-2", "web-3"]);
    nothing_to_do();

    // Which loss would be too much is said without touching anything.
    stack
        .run(&["what-if", ground.domain])
        .shows(&format!("{} of {}", ground.domain, ground.kind))
        .shows(&format!("dies: module.bastion.{}.this[0]", ground.machine));

    stack.run(&["destroy", "--yes"]).expect_success();
    stack
        .run(&["lab", "status"])
        .expect_success()
        .shows(ground.left);
}

#[test]
fn the_quickstart_comes_up_on_proxmox_repairs_itself_and_goes_again() {
    comes_up_repairs_itself_and_goes_again(&Ground {
        kind: "proxmox",
        things: 35,
        machine: "proxmox_vm",
        is_off: "`started` differs",
        domain: "node/pve1",
        left: "1 machines",
    });
}

#[test]
fn the_quickstart_comes_up_on_openstack_repairs_itself_and_goes_again() {
    comes_up_repairs_itself_and_goes_again(&Ground {
        kind: "openstack",
        things: 53,
        machine: "openstack_server",
        is_off: "`started`, `status` differ",
        domain: "zone/nova",
        left: "1 machines",
    });
}
