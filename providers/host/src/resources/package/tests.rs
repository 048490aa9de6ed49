//! Plans and readings of `host_package`.

use dmp_sdk::Purpose;

use super::*;
use crate::on_host::tests::{self, a_machine, found, parse, plan, steps, value};

fn config(names: &[&str], given: &[(&str, Value)]) -> Value {
    let names = Value::set(names.iter().map(|name| Value::from(*name)).collect());
    let all = [&[("host", a_machine().to_value()), ("names", names)], given].concat();
    value(HostPackage::new().schema(), &all)
}

fn read(config: &Value, stdout: &str) -> Reading {
    parse(
        &HostPackage::new(),
        config,
        Purpose::Refresh,
        stdout.as_bytes(),
    )
    .expect("parses")
}

fn titles(
    verb: Verb,
    prior: Option<&Value>,
    wanted: Option<&Value>,
    earlier: Option<&Value>,
) -> Vec<String> {
    tests::titles(steps(&HostPackage::new(), verb, prior, wanted, earlier))
}

#[test]
fn what_is_installed_as_wanted_is_no_change() {
    let versions = map_value([("kubelet".into(), "1.36.3-*".into())].into());
    let config = config(
        &["kubelet", "curl"],
        &[("versions", versions), ("hold", true.into())],
    );
    let whole = found(read(&config, "hi \tkubelet\t1.36.3-1.1\nhi \tcurl\t8.5\n"));
    let planned = plan(&HostPackage::new(), &config, Some(&whole), None)
        .expect("plans")
        .value;
    assert_eq!(planned, whole);
    assert_eq!(whole.get("installed").get("kubelet"), "1.36.3-1.1".into());
}

#[test]
fn another_version_a_missing_package_and_a_lost_hold_are_drift() {
    let versions = map_value([("kubelet".into(), "1.36.3-*".into())].into());
    let config = config(
        &["kubelet", "curl"],
        &[("versions", versions), ("hold", true.into())],
    );
    let older = found(read(&config, "hi \tkubelet\t1.36.2-1.1\n"));
    let planned = plan(&HostPackage::new(), &config, Some(&older), None).expect("plans");
    assert_eq!(planned.effects, ["restarts services of kubelet"]);
    assert!(!planned.value.get("installed").is_known());
    assert_eq!(
        titles(Verb::Update, Some(&older), Some(&planned.value), None),
        ["install 2 packages", "hold 2 packages"]
    );
    let released = found(read(&config, "ii \tkubelet\t1.36.3-1.1\nhi \tcurl\t8.5\n"));
    let planned = plan(&HostPackage::new(), &config, Some(&released), None)
        .expect("plans")
        .value;
    assert_eq!(
        titles(Verb::Update, Some(&released), Some(&planned), None),
        ["hold 2 packages"]
    );
}

#[test]
fn what_dpkg_has_not_finished_is_half_made_and_what_it_does_not_know_is_absent() {
    let config = config(&["postfix"], &[]);
    assert!(
        matches!(read(&config, "iF \tpostfix\t3.7\n"), Reading::HalfMade(_, why) if why.contains("postfix"))
    );
    assert!(matches!(
        read(&config, "rc \tpostfix\t3.7\n"),
        Reading::Absent
    ));
    assert!(matches!(read(&config, ""), Reading::Absent));
}

#[test]
fn a_delete_leaves_what_was_there_before() {
    let config = config(&["curl", "jq", "make"], &[]);
    let prior = found(read(&config, "ii \tcurl\t8\nii \tjq\t1\nii \tmake\t4\n"));
    let earlier = found(read(&config, "ii \tcurl\t8\n"));
    let planned = plan(&HostPackage::new(), &config, None, Some(&earlier)).expect("plans");
    assert_eq!(
        planned.notes,
        ["installed already, and left there by a delete: curl"]
    );
    assert_eq!(
        titles(Verb::Create, None, Some(&planned.value), Some(&earlier)),
        ["install 2 packages"]
    );
    assert_eq!(
        titles(Verb::Delete, Some(&prior), None, Some(&earlier)),
        ["purge 2 packages"]
    );
    assert_eq!(
        titles(Verb::Delete, Some(&prior), None, Some(&prior)),
        Vec::<String>::new()
    );
    let fewer = config.with("names", Value::set(vec!["curl".into(), "jq".into()]));
    assert_eq!(
        titles(Verb::Update, Some(&prior), Some(&fewer), Some(&earlier)),
        ["purge make"]
    );
}

#[test]
fn mistakes_are_named() {
    let fails = |config: &Value| {
        plan(&HostPackage::new(), config, None, None)
            .err()
            .expect("is wrong")
            .to_string()
    };
    assert!(fails(&config(&[], &[])).contains("the set is empty"));
    assert!(fails(&config(&["-o evil"], &[])).contains("`-o evil`"));
    let versions = map_value([("kublet".into(), "1".into())].into());
    assert!(
        fails(&config(&["kubelet"], &[("versions", versions)])).contains("`kublet` is not among")
    );
}
