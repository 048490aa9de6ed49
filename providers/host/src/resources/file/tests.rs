//! Plans and readings of `host_file`.

use dmp_sdk::{Answer, Output, Purpose};

use super::*;
use crate::on_host::tests::{self, a_machine, found, parse, plan, steps, value};

fn config(given: &[(&str, Value)]) -> Value {
    let base: [(&str, Value); 2] = [
        ("host", a_machine().to_value()),
        ("path", "/etc/motd".into()),
    ];
    let all = [given, &base].concat();
    value(HostFile::new().schema(), &all)
}

/// Reads a file with these facts and this content, which is fetched only if it is asked for.
fn read(config: &Value, purpose: Purpose, facts: &str, content: &str) -> Value {
    let file = HostFile::new();
    let address = dmp_sdk::Address::managed("host_file", "x");
    let known = Known {
        address: &address,
        purpose,
        id: None,
        attributes: config,
        chosen: &Value::null(),
        mark: None,
    };
    let answer = |stdout: String| Answer::Script {
        output: Output {
            status: 0,
            stdout: stdout.into_bytes(),
            stderr: String::new(),
        },
        host_key: "ssh-ed25519 AAAA".into(),
    };
    let sum = file::digest(content.as_bytes());
    let mut answers = vec![answer(format!("file\n{facts}\n{sum}  /etc/motd\n"))];
    let mut reading = file.parse(&known, Answers(&answers)).expect("parses");
    if let Reading::More(fetches) = &reading {
        assert_eq!(fetches.len(), 1);
        answers.push(answer(content.to_owned()));
        reading = file.parse(&known, Answers(&answers)).expect("parses");
    }
    found(reading)
}

fn titles(
    verb: Verb,
    prior: Option<&Value>,
    wanted: Option<&Value>,
    earlier: Option<&Value>,
) -> Vec<String> {
    tests::titles(steps(&HostFile::new(), verb, prior, wanted, earlier))
}

#[test]
fn what_was_just_written_is_no_change_however_the_mode_is_spelt() {
    let file = HostFile::new();
    let config = config(&[("content", "hi\n".into()), ("mode", "644".into())]);
    let prior = read(&config, Purpose::AfterWrite, "644 0 0 3 root root", "hi\n");
    let planned = plan(&file, &config, Some(&prior), None).expect("plans");
    assert_eq!(planned.value, prior);
}

#[test]
fn only_what_differs_is_done() {
    let file = HostFile::new();
    let config = config(&[("content", "hi\n".into()), ("owner", "0".into())]);
    let read = |facts: &str, content: &str| read(&config, Purpose::Refresh, facts, content);
    let planned = |prior: &Value| {
        plan(&file, &config, Some(prior), None)
            .expect("plans")
            .value
    };
    let drifted = read("600 0 0 3 root root", "hi\n");
    assert_eq!(
        titles(Verb::Update, Some(&drifted), Some(&planned(&drifted)), None),
        ["set mode and owner of /etc/motd"]
    );
    let edited = read("644 0 0 3 root root", "ho\n");
    assert_eq!(edited.get("content"), "ho\n".into());
    assert_eq!(
        titles(Verb::Update, Some(&edited), Some(&planned(&edited)), None),
        ["write /etc/motd"]
    );
    // Another way of validating is recorded, and nothing is done.
    let whole = read("644 0 0 3 root root", "hi\n");
    let other = planned(&whole).with("validate", "true".into());
    assert!(titles(Verb::Update, Some(&whole), Some(&other), None).is_empty());
}

#[test]
fn what_is_there_before_dmp_is_named_and_put_back() {
    let file = HostFile::new();
    let config = config(&[("content", "hi\n".into())]);
    let earlier = read(&config, Purpose::BeforeCreate, "600 5 5 3 www www", "old");
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
    let read = read(&config, Purpose::Refresh, "644 0 0 7 root root", "hunter2");
    assert!(read.get("content").is_null() && read.get("sha256").marks().is_sensitive());
    assert_eq!(read.get("sensitive_content"), "hunter2".into());
}

#[test]
fn a_large_content_is_compared_by_its_digest() {
    let file = HostFile::new();
    let large = "x".repeat(file::LIMIT + 1);
    let config = config(&[("content", large.as_str().into())]);
    let wanted = plan(&file, &config, None, None).expect("plans").value;
    let prior = read(
        &wanted,
        Purpose::Refresh,
        "644 0 0 262145 root root",
        &large,
    );
    assert_eq!(prior.get("content"), large.as_str().into());
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
    let said = b"link /run/motd\n";
    let link = parse(&file, &config(&[]), Purpose::Refresh, said).expect_err("refused");
    assert!(link.to_string().contains("symbolic link to `/run/motd`"));
}
