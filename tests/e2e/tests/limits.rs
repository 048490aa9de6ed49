//! How much is under way at once.

mod support;

use std::collections::BTreeSet;

use serde_json::Value as Json;
use support::Sandbox;

/// How many operations on a type were under way at once, at most.
fn most(events: &[Json], resource_type: &str) -> usize {
    let mut running = BTreeSet::new();
    let mut most = 0;
    for event in events {
        let address = event["address"].as_str().unwrap_or_default();
        if !address.starts_with(resource_type) {
            continue;
        }
        match event["event"].as_str().unwrap_or_default() {
            "operation_started" => {
                running.insert(address.to_owned());
            }
            "operation_ended" => {
                running.remove(address);
            }
            _ => {}
        }
        most = most.max(running.len());
    }
    most
}

fn applied(limits: &str) -> Vec<Json> {
    let stack = format!(
        r#"
stack {{ limits = {limits} }}
resource "core_sleep" "nap" {{
  count           = 8
  create_duration = "300ms"
}}
"#
    );
    let sandbox = Sandbox::stack(&stack);
    let ran = sandbox.run(&["apply", "--yes", "--json"]).expect_success();
    let lines = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    lines.collect()
}

#[test]
fn no_more_of_a_type_or_a_provider_is_under_way_than_the_stack_allows() {
    assert_eq!(most(&applied("{ core_sleep = 2 }"), "core_sleep"), 2);
    assert_eq!(
        most(&applied("{ core = 3, core_sleep = 5 }"), "core_sleep"),
        3
    );
    assert!(most(&applied("{}"), "core_sleep") > 3);
}

#[test]
fn a_limit_that_limits_nothing_is_refused() {
    let sandbox = Sandbox::stack("stack { limits = { core_slep = 2, core = 0 } }");
    sandbox
        .run(&["validate"])
        .expect_code(1)
        .says("the limit of `core` is not a whole number above zero");
    sandbox.write("main.hcl", "stack { limits = { core_slep = 2 } }");
    sandbox
        .run(&["validate"])
        .expect_code(1)
        .says("`core_slep` is neither a provider nor a resource type")
        .says("did you mean `core_sleep`");
}
