//! What tests of whole stacks on a cluster of the lab have in common.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part"
)]

use crate::lab::Lab;
use crate::support::Sandbox;

/// A stack on the lab's cluster.
pub fn stack(lab: &Lab, text: &str) -> Sandbox {
    Sandbox::stack(&format!("{}{text}", lab.block()))
}

/// The node and the id of the one guest that there is.
pub fn only(lab: &Lab) -> (String, i64) {
    let guests = lab.guests();
    let [guest] = guests.as_slice() else {
        panic!("one guest: {guests:?}")
    };
    let id = guest["vmid"].as_i64().expect("a number");
    (guest["node"].as_str().expect("a node").to_owned(), id)
}

/// How many seed images are on the nodes.
pub fn seeds(lab: &Lab) -> usize {
    let on = |node: &str| {
        let content = lab.api(
            "GET",
            &format!("/nodes/{node}/storage/local/content?content=iso"),
            "",
        );
        content.to_string().matches("dmp-seed").count()
    };
    ["pve1", "pve2", "pve3"].into_iter().map(on).sum()
}

/// Applies a stack anew for each place at which dmp may be killed, killed there, and applies it once more; `check` is
/// given what has come of it. There are more than `least` places.
#[expect(clippy::print_stdout, reason = "how many places there are")]
pub fn killed_at_every_place(lab: &Lab, text: &str, least: usize, check: impl Fn(&Sandbox, &str)) {
    for number in 1..1000 {
        lab.reset();
        let sandbox = stack(lab, text);
        let at = format!("*:{number}");
        let ran = sandbox.run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            assert!(number > least, "only {number} places");
            println!("killed at {} places", number - 1);
            return;
        }
        assert_eq!(ran.code, None, "it was killed at {at}: {}", ran.err);
        sandbox.run(&["apply", "--yes"]).expect_success();
        check(&sandbox, &at);
    }
    panic!("it never came to its end");
}
