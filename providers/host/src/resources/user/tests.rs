//! Plans, readings and steps of `host_user`.

use dmp_sdk::Purpose;

use super::*;
use crate::on_host::tests::{a_machine, found, parse, plan, said, steps, value};

fn config(given: &[(&str, Value)]) -> Value {
    let base: [(&str, Value); 2] = [("host", a_machine().to_value()), ("name", "alice".into())];
    value(HostUser::new().schema(), &[given, &base].concat())
}

fn set(names: &[&str]) -> Value {
    Value::set(names.iter().map(|name| Value::from(*name)).collect())
}

const ALICE: &str = "uid=1001\ngid=1001\ncomment=\nhome=/home/alice\nshell=/bin/sh\ngroup=alice\nmember=adm\nmember=sudo\nlocked=yes\n";

fn read(config: &Value, stdout: &str) -> Value {
    let user = HostUser::new();
    found(parse(&user, config, Purpose::Refresh, stdout.as_bytes()).expect("parses"))
}

/// The variables of the one step that a work has.
fn variables(
    verb: Verb,
    prior: Option<&Value>,
    wanted: Option<&Value>,
    earlier: Option<&Value>,
) -> Vec<(String, String)> {
    let steps = steps(&HostUser::new(), verb, prior, wanted, earlier);
    let variables = steps[0].run.variables();
    variables
        .map(|(name, content)| (name.to_owned(), content.to_owned()))
        .collect()
}

fn of<'a>(variables: &'a [(String, String)], wanted: &str) -> &'a str {
    let found = variables.iter().find(|(name, _)| name == wanted);
    found.map_or("", |(_, content)| content)
}

#[test]
fn memberships_beside_those_named_stay_and_with_exclusive_they_are_drift() {
    let user = HostUser::new();
    let additive = config(&[("groups", set(&["sudo"]))]);
    let there = read(&additive, ALICE);
    assert_eq!(there.get("groups"), set(&["sudo"]));
    let planned = plan(&user, &additive, Some(&there), None).expect("plans");
    assert_eq!(planned.value, there);
    let exclusive = additive.with("groups_exclusive", true.into());
    let there = read(&exclusive, ALICE);
    assert_eq!(there.get("groups"), set(&["adm", "sudo"]));
    let planned = plan(&user, &exclusive, Some(&there), None).expect("plans");
    assert_ne!(planned.value, there);
}

#[test]
fn a_group_that_is_no_longer_named_is_left_unless_it_was_there_before_dmp() {
    let prior = config(&[("groups", set(&["adm", "docker", "sudo"]))]);
    let wanted = config(&[("groups", set(&["sudo"]))]);
    let earlier = config(&[("groups", set(&["adm"]))]);
    let update = variables(Verb::Update, Some(&prior), Some(&wanted), Some(&earlier));
    assert_eq!(
        (of(&update, "left"), of(&update, "groups")),
        ("docker", "sudo")
    );
    let delete = variables(Verb::Delete, Some(&prior), None, Some(&earlier));
    assert_eq!(
        (of(&delete, "left"), of(&delete, "groups")),
        ("docker\nsudo", "adm")
    );
    // What was exclusive and is no more does not say who made the other memberships.
    let exclusive = prior.with("groups_exclusive", true.into());
    let update = variables(Verb::Update, Some(&exclusive), Some(&wanted), None);
    assert_eq!(of(&update, "left"), "");
}

#[test]
fn a_new_user_is_locked_unless_it_has_a_digest_and_that_is_on_standard_input_alone() {
    let user = HostUser::new();
    let planned = plan(&user, &config(&[]), None, None).expect("plans").value;
    assert_eq!(planned.get("locked"), true.into());
    let secret = Value::from("$6$salt$digest").marked(&Marks::sensitive());
    let with_password = config(&[("password_hash", secret)]);
    let planned = plan(&user, &with_password, None, None)
        .expect("plans")
        .value;
    assert_eq!(planned.get("locked"), false.into());
    let null = Value::null();
    let create = variables(Verb::Create, None, Some(&planned), Some(&null));
    assert_eq!(
        (of(&create, "lock"), of(&create, "has_password")),
        ("no", "yes")
    );
    assert!(
        create
            .iter()
            .all(|(_, content)| !content.contains("digest"))
    );
    let unlocked = config(&[("locked", false.into())]);
    assert!(plan(&user, &unlocked, None, None).is_err());
}

#[test]
fn a_password_in_place_of_its_digest_is_refused_and_not_quoted() {
    let config = config(&[("password_hash", "hunter2".into())]);
    let error = plan(&HostUser::new(), &config, None, None);
    let error = said(&error.err().expect("is wrong"));
    assert!(
        error.contains("mkpasswd") && !error.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn what_a_delete_does_to_the_home_directory_is_told_when_it_is_asked_for() {
    let user = HostUser::new();
    let config = config(&[("remove_home", true.into()), ("home", "/srv/alice".into())]);
    let notes = plan(&user, &config, None, None).expect("plans").notes;
    assert_eq!(
        notes,
        ["a delete will remove /srv/alice with all that is in it"]
    );
    // One that was there before is never removed.
    let earlier = read(&config, ALICE);
    let notes = plan(&user, &config, None, Some(&earlier))
        .expect("plans")
        .notes;
    assert!(
        notes.iter().all(|note| !note.contains("will remove")),
        "{notes:?}"
    );
}
