//! Plans and readings of `host_filesystem`: above all, what it refuses.

use super::*;
use crate::on_host::tests::{a_machine, found, parse, plan, said, value};

fn config(given: &[(&str, Value)]) -> Value {
    let base: [(&str, Value); 3] = [
        ("host", a_machine().to_value()),
        ("device", "/dev/sdb".into()),
        ("type", "ext4".into()),
    ];
    value(HostFilesystem::new().schema(), &[given, &base].concat())
}

fn read(config: &Value, purpose: Purpose, stdout: &str) -> Result<Reading, Diagnostic> {
    parse(&HostFilesystem::new(), config, purpose, stdout.as_bytes())
}

fn there(config: &Value, stdout: &str) -> Value {
    found(read(config, Purpose::BeforeCreate, stdout).expect("parses"))
}

const EXT4: &str =
    "signature=ext4 1-2\ntype=ext4\nuuid=1-2\nsize=134217728\nused=134217728\nlabel=old\n";
const TABLE: &str = "signature=PMBR,gpt 3-4\ntype=\nuuid=3-4\nsize=134217728\nused=\nlabel=\n";

#[test]
fn a_device_with_anything_else_on_it_is_refused_unless_that_is_named() {
    let filesystem = HostFilesystem::new();
    let refused = |given: &[(&str, Value)], stdout: &str| {
        let config = config(given);
        let planned = plan(&filesystem, &config, None, Some(&there(&config, stdout)));
        planned.err().as_ref().map(said).unwrap_or_default()
    };
    let table = refused(&[], TABLE);
    assert!(table.contains("force = \"PMBR,gpt 3-4\""), "{table}");
    let swap = refused(&[("type", "swap".into())], EXT4);
    assert!(swap.contains("is `ext4 1-2`, not swap"), "{swap}");
    let other = refused(&[("force", "PMBR,gpt 9-9".into())], TABLE);
    assert!(other.contains("which is not what is there"), "{other}");
    // A name without its UUID would fit what is made later.
    assert!(!refused(&[("type", "xfs".into()), ("force", "ext4".into())], EXT4).is_empty());

    let config = config(&[("force", "PMBR,gpt 3-4".into())]);
    let planned = plan(&filesystem, &config, None, Some(&there(&config, TABLE))).expect("plans");
    assert_eq!(planned.effects, ["LOSES DATA: PMBR,gpt 3-4 on /dev/sdb"]);
}

#[test]
fn the_wanted_filesystem_is_taken_as_it_is() {
    let filesystem = HostFilesystem::new();
    let config = config(&[]);
    let earlier = there(&config, EXT4);
    let planned = plan(&filesystem, &config, None, Some(&earlier)).expect("plans");
    assert!(planned.effects.is_empty());
    assert_eq!(planned.value, earlier);
    assert!(
        planned.notes[0].contains("with its data"),
        "{:?}",
        planned.notes
    );
}

#[test]
fn a_disk_that_is_not_plugged_in_is_no_empty_one() {
    let config = config(&[]);
    assert!(read(&config, Purpose::Refresh, "missing\n").is_err());
    let before = read(&config, Purpose::BeforeCreate, "missing\n").expect("parses");
    assert!(matches!(before, Reading::Absent));
}

#[test]
fn another_type_replaces_and_a_grown_device_is_drift() {
    let filesystem = HostFilesystem::new();
    let config = config(&[]);
    let prior = found(read(&config, Purpose::Refresh, EXT4).expect("parses"));
    assert_eq!(
        plan(&filesystem, &config, Some(&prior), None)
            .expect("plans")
            .value,
        prior
    );
    let grown = EXT4.replace("size=134217728", "size=268435456");
    let grown = found(read(&config, Purpose::Refresh, &grown).expect("parses"));
    assert_ne!(
        plan(&filesystem, &config, Some(&grown), None)
            .expect("plans")
            .value,
        grown
    );
    let still = config.with("grow", false.into());
    let left = found(read(&still, Purpose::Refresh, EXT4).expect("parses"));
    assert_eq!(
        plan(&filesystem, &still, Some(&left), None)
            .expect("plans")
            .value,
        left
    );
    assert!(filesystem.schema().attributes["type"].replaces);
}

#[test]
fn the_uuid_follows_from_the_mark() {
    let mark = |instance: &str| Mark {
        lineage: "l".into(),
        instance: instance.into(),
    };
    let uuid = uuid_of(&mark("i"));
    assert_eq!((uuid.len(), &uuid[14..15]), (36, "8"));
    assert_ne!(uuid, uuid_of(&mark("j")));
}
