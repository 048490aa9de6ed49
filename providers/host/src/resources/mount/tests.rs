//! Plans, readings and steps of `host_mount`.

use dmp_sdk::Purpose;

use super::*;
use crate::on_host::tests::{a_machine, found, parse, plan, steps, value};

fn config(given: &[(&str, Value)]) -> Value {
    let base: [(&str, Value); 4] = [
        ("host", a_machine().to_value()),
        ("path", "/srv/data".into()),
        ("device", "LABEL=data".into()),
        ("type", "ext4".into()),
    ];
    value(HostMount::new().schema(), &[given, &base].concat())
}

fn read(config: &Value, stdout: &str) -> Value {
    let mount = HostMount::new();
    found(parse(&mount, config, Purpose::Refresh, stdout.as_bytes()).expect("parses"))
}

const LIVE: &str = "live 61 60 8:17 / /srv/data rw,noatime - ext4 /dev/sdb1 rw\n";
const FIXED: &str = "fstab LABEL=data\t/srv/data ext4 defaults 0 0\n";
const DEVICE: &str = "device /dev/sdb1\n";

/// How the one step of an update goes about it.
fn how(prior: &Value, wanted: &Value) -> String {
    let steps = steps(
        &HostMount::new(),
        Verb::Update,
        Some(prior),
        Some(wanted),
        None,
    );
    let Some(step) = steps.first() else {
        return String::new();
    };
    let mut variables = step.run.variables();
    let (_, how) = variables
        .find(|(name, _)| *name == "how")
        .expect("is given");
    how.to_owned()
}

#[test]
fn both_tables_are_compared_and_spaces_make_no_difference() {
    let mount = HostMount::new();
    let config = config(&[]);
    let planned = |prior: &Value| {
        plan(&mount, &config, Some(prior), None)
            .expect("plans")
            .value
    };
    let whole = read(&config, &format!("{LIVE}{FIXED}{DEVICE}"));
    assert_eq!(planned(&whole), whole);
    for drifted in [
        format!("{FIXED}{DEVICE}"),
        format!("{LIVE}{DEVICE}"),
        format!(
            "{}{FIXED}{DEVICE}",
            LIVE.replace("rw,noatime", "ro,noatime")
        ),
        format!("{LIVE}{FIXED}device /dev/sdc1\n"),
        format!("{LIVE}{}{DEVICE}", FIXED.replace("defaults", "noatime")),
    ] {
        let drifted = read(&config, &drifted);
        assert_ne!(planned(&drifted), drifted);
    }
    let none = parse(&mount, &config, Purpose::Refresh, DEVICE.as_bytes()).expect("parses");
    assert!(matches!(none, Reading::Absent));
}

#[test]
fn options_are_changed_in_place_and_another_device_is_mounted_anew() {
    let prior = read(&config(&[]), &format!("{LIVE}{FIXED}{DEVICE}"));
    let planned = |given: &[(&str, Value)]| {
        plan(&HostMount::new(), &config(given), Some(&prior), None).expect("plans")
    };
    let options = planned(&[("options", "noatime".into())]);
    assert!(options.effects.is_empty());
    assert_eq!(how(&prior, &options.value), "remount");
    let device = planned(&[("device", "/dev/sdz1".into())]);
    assert_eq!(device.effects, ["interrupts /srv/data for a while"]);
    assert_eq!(how(&prior, &device.value), "again");
    assert_eq!(
        how(&prior, &planned(&[("pass", 2.into())]).value),
        "nothing"
    );
    assert_eq!(how(&prior, &planned(&[]).value), "");
}

#[test]
fn a_boot_that_would_hang_is_told_of() {
    let notes = |given: &[(&str, Value)]| {
        plan(&HostMount::new(), &config(given), None, None)
            .expect("plans")
            .notes
    };
    assert!(notes(&[])[0].contains("`nofail`"));
    assert!(notes(&[("options", "nofail".into())]).is_empty());
    let nfs: [(&str, Value); 2] = [("device", "nas:/x".into()), ("type", "nfs".into())];
    assert!(notes(&nfs)[1].contains("`_netdev`"));
    let tmpfs: [(&str, Value); 2] = [("device", "tmpfs".into()), ("type", "tmpfs".into())];
    assert!(notes(&tmpfs).is_empty());
}

#[test]
fn what_can_not_be_mounted_is_refused() {
    let refused =
        |given: &[(&str, Value)]| plan(&HostMount::new(), &config(given), None, None).is_err();
    assert!(refused(&[("type", "swap".into())]));
    assert!(refused(&[("options", "a b".into())]));
    assert!(refused(&[
        ("boot", false.into()),
        ("mounted", false.into())
    ]));
}
