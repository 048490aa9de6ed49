//! Plans and readings of `host_reboot`.

use dmp_sdk::Address;

use super::*;
use crate::on_host::tests::{a_machine, plan, value};

fn config(given: &[(&str, Value)]) -> Value {
    let base: [(&str, Value); 1] = [("host", a_machine().to_value())];
    value(HostReboot::new().schema(), &[given, &base].concat())
}

fn triggers(kernel: &str) -> (&'static str, Value) {
    (
        "triggers",
        Value::map([("kernel".into(), kernel.into())].into()),
    )
}

fn mark() -> Mark {
    Mark {
        lineage: "l".into(),
        instance: "i".into(),
    }
}

/// Reads with the mark of the instance.
fn read(attributes: &Value, purpose: Purpose, stdout: &str) -> Option<Value> {
    let (address, mark) = (Address::managed("host_reboot", "x"), mark());
    let known = Known {
        address: &address,
        purpose,
        id: None,
        attributes,
        chosen: &Value::null(),
        mark: Some(&mark),
    };
    let output = dmp_sdk::Output {
        stdout: stdout.into(),
        ..dmp_sdk::Output::default()
    };
    let answer = dmp_sdk::Answer::Script {
        output,
        host_key: "".into(),
    };
    match HostReboot::new()
        .parse(&known, Answers(&[answer]))
        .expect("parses")
    {
        Reading::Found(object) => Some(object.attributes),
        Reading::Absent => None,
        other => panic!("{other:?}"),
    }
}

fn noted(config: &Value, before: &str, wish: &str) -> String {
    format!(
        "boot=b2\ndone={}\nbefore={before}\n{wish}",
        token(&mark(), config)
    )
}

const WISH: &str = "wish=packages ask for it: linux\n";

#[test]
fn a_machine_that_wants_it_is_rebooted_and_the_plan_says_why() {
    let reboot = HostReboot::new();
    let config = config(&[]);
    let rest = read(&config, Purpose::Refresh, &noted(&config, "b1", "")).expect("is there");
    let planned = plan(&reboot, &config, Some(&rest), None).expect("plans");
    assert_eq!((planned.value, planned.effects.len()), (rest, 0));
    let wants = read(&config, Purpose::Refresh, &noted(&config, "b1", WISH)).expect("is there");
    let planned = plan(&reboot, &config, Some(&wants), None).expect("plans");
    assert_eq!(planned.effects, ["reboots 10.0.0.1"]);
    assert_eq!(planned.notes, ["packages ask for it: linux"]);
    assert!(!planned.value.get("pending").is_known());
    let never = config.with("required", false.into());
    let wants = wants.with("required", false.into());
    let planned = plan(&reboot, &never, Some(&wants), None).expect("plans");
    assert_eq!((planned.value, planned.effects.len()), (wants, 0));
}

#[test]
fn other_triggers_reboot_and_the_first_ones_do_not() {
    let reboot = HostReboot::new();
    let one = config(&[triggers("6.1")]);
    let earlier = read(&one, Purpose::BeforeCreate, "boot=b2\ndone=\nbefore=\n").expect("is there");
    let planned = plan(&reboot, &one, None, Some(&earlier)).expect("plans");
    assert!(planned.effects.is_empty());
    let prior = read(&one, Purpose::Refresh, &noted(&one, "-", "")).expect("is there");
    let two = config(&[triggers("6.12")]);
    let planned = plan(&reboot, &two, Some(&prior), None).expect("plans");
    assert_eq!(planned.effects, ["reboots 10.0.0.1"]);
    assert_eq!(
        read(&one, Purpose::Refresh, "boot=b2\ndone=\nbefore=\n"),
        None
    );
}

#[test]
fn what_was_asked_for_is_through_only_in_another_boot() {
    let wanted = config(&[triggers("6.12")]);
    let settle = |stdout: &str| {
        let found = read(&wanted, Purpose::Settle, stdout).expect("is there");
        found.get("triggers") == wanted.get("triggers")
    };
    assert!(settle(&noted(&wanted, "b1", "")));
    assert!(settle(&noted(&wanted, "-", "")));
    assert!(!settle(&noted(&wanted, "b2", "")), "it has not gone down");
    let older = config(&[triggers("6.1")]);
    assert!(
        !settle(&noted(&older, "b1", "")),
        "that was for something else"
    );
}
