//! Plans and readings of `host_file`.

use dmp_sdk::Purpose;

use super::*;
use crate::on_host::tests::{a_machine, found, parse, plan, value};

fn config(given: &[(&str, Value)]) -> Value {
    let base: [(&str, Value); 2] = [
        ("host", a_machine().to_value()),
        ("path", "/etc/motd".into()),
    ];
    let all = [given, &base].concat();
    value(HostFile::new().schema(), &all)
}

fn job<'a>(
    verb: Verb,
    prior: Option<&'a Value>,
    wanted: Option<&'a Value>,
    earlier: Option<&'a Value>,
    mark: &'a dmp_sdk::Mark,
    address: &'a dmp_sdk::Address,
    chosen: &'a Value,
) -> Job<'a> {
    Job {
        verb,
        address,
        mark,
        id: None,
        prior,
        wanted,
        chosen,
        earlier,
        is_dead: false,
        has_successor: false,
    }
}

fn titles(
    verb: Verb,
    prior: Option<&Value>,
    wanted: Option<&Value>,
    earlier: Option<&Value>,
) -> Vec<String> {
    let mark = dmp_sdk::Mark {
        lineage: "l".into(),
        instance: "i".into(),
    };
    let address = dmp_sdk::Address::managed("host_file", "x");
    let null = Value::null();
    let job = job(verb, prior, wanted, earlier, &mark, &address, &null);
    match HostFile::new().work(&job).expect("steps") {
        Work::Steps(steps) => steps.into_iter().map(|step| step.title).collect(),
        Work::Calls => panic!(),
    }
}

#[test]
fn what_was_just_written_is_no_change_however_the_mode_is_spelt() {
    let file = HostFile::new();
    let config = config(&[("content", "hi\n".into()), ("mode", "644".into())]);
    let prior = found(
        parse(
            &file,
            &config,
            Purpose::AfterWrite,
            b"file 644 0 0 3 root root\nhi\n",
        )
        .expect("parses"),
    );
    let planned = plan(&file, &config, Some(&prior), None).expect("plans");
    assert_eq!(planned.value, prior);
}

#[test]
fn only_what_differs_is_done() {
    let file = HostFile::new();
    let config = config(&[("content", "hi\n".into()), ("owner", "0".into())]);
    let read =
        |stdout: &[u8]| found(parse(&file, &config, Purpose::Refresh, stdout).expect("parses"));
    let planned = |prior: &Value| {
        plan(&file, &config, Some(prior), None)
            .expect("plans")
            .value
    };
    let drifted = read(b"file 600 0 0 3 root root\nhi\n");
    assert_eq!(
        titles(Verb::Update, Some(&drifted), Some(&planned(&drifted)), None),
        ["set mode and owner of /etc/motd"]
    );
    let edited = read(b"file 644 0 0 3 root root\nho\n");
    assert_eq!(edited.get("content"), "ho\n".into());
    assert_eq!(
        titles(Verb::Update, Some(&edited), Some(&planned(&edited)), None),
        ["write /etc/motd"]
    );
    // Another way of validating is recorded, and nothing is done.
    let whole = read(b"file 644 0 0 3 root root\nhi\n");
    let other = planned(&whole).with("validate", "true".into());
    assert!(titles(Verb::Update, Some(&whole), Some(&other), None).is_empty());
}

#[test]
fn what_is_there_before_dmp_is_named_and_put_back() {
    let file = HostFile::new();
    let config = config(&[("content", "hi\n".into())]);
    let earlier = found(
        parse(
            &file,
            &config,
            Purpose::BeforeCreate,
            b"file 600 5 5 3 www www\nold",
        )
        .expect("parses"),
    );
    let planned = plan(&file, &config, None, Some(&earlier)).expect("plans");
    assert_eq!(planned.value.get("owner"), "www".into());
    assert!(
        planned.notes[0].contains("kept on the machine and put back"),
        "{:?}",
        planned.notes
    );
    assert_eq!(
        titles(Verb::Delete, Some(&planned.value), None, Some(&earlier)),
        ["put back /etc/motd as it was before dmp"]
    );
    assert_eq!(
        titles(
            Verb::Delete,
            Some(&planned.value),
            None,
            Some(&Value::null())
        ),
        ["remove /etc/motd"]
    );
}

#[test]
fn a_secret_content_never_stands_in_the_plain_attribute() {
    let file = HostFile::new();
    let config = config(&[("sensitive_content", "hunter2".into())]);
    let planned = plan(&file, &config, None, None).expect("plans").value;
    assert!(planned.get("content").is_null());
    let read = found(
        parse(
            &file,
            &config,
            Purpose::Refresh,
            b"file 644 0 0 7 root root\nhunter2",
        )
        .expect("parses"),
    );
    assert!(read.get("content").is_null() && read.get("sha256").marks().is_sensitive());
    assert_eq!(read.get("sensitive_content"), "hunter2".into());
}

#[test]
fn a_large_content_is_compared_by_its_digest() {
    let file = HostFile::new();
    let large = "x".repeat(file::LIMIT + 1);
    let config = config(&[("content", large.as_str().into())]);
    let stdout = format!(
        "large 644 0 0 262145 root root\n{}\n",
        file::digest(large.as_bytes())
    );
    let prior = found(parse(&file, &config, Purpose::Refresh, stdout.as_bytes()).expect("parses"));
    assert_eq!(
        plan(&file, &config, Some(&prior), None)
            .expect("plans")
            .value,
        prior
    );
}

#[test]
fn mistakes_are_named() {
    let file = HostFile::new();
    let fails = |given: &[(&str, Value)]| {
        plan(&file, &config(given), None, None)
            .err()
            .expect("is wrong")
            .to_string()
    };
    assert!(fails(&[]).contains("none of `content`"));
    assert!(
        fails(&[("content", "a".into()), ("template", "b".into())]).contains("exclude each other")
    );
    assert!(
        fails(&[("content", "a".into()), ("mode", "rw".into())]).contains("not an octal number")
    );
    assert!(
        fails(&[("content", "a".into()), ("path", "motd".into())])
            .contains("does not begin with `/`")
    );
    let link =
        parse(&file, &config(&[]), Purpose::Refresh, b"link\n/run/motd\n").expect_err("refused");
    assert!(link.to_string().contains("symbolic link to `/run/motd`"));
}
