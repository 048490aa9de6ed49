//! Every script that the provider sends is one that every shell understands.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use dmp_provider_host::HostProvider;
use dmp_sdk::{
    Address, Fetch, Job, Known, Machine, Mark, Provider, Purpose, Resource, Type, Value, Verb, Work,
};

/// Some value of a type; `round` makes different ones.
fn some(name: &str, ty: &Type, round: i64) -> Value {
    match (name, ty) {
        ("host" | "bastion" | "connection", _) => Machine {
            address: "192.0.2.1".into(),
            port: 22,
            user: "root".into(),
            key_file: None,
            private_key: None,
            host_keys: vec!["ssh-ed25519 AAAA".into()],
            sudo: false,
            ..Machine::default()
        }
        .to_value(),
        ("run_as", _) => "nobody".into(),
        (_, Type::Bool) => (round == 0).into(),
        (_, Type::Number) => (22 + round).into(),
        (_, Type::List(element)) => Value::list(vec![some("", element, round)]),
        (_, Type::Set(element)) => Value::set(vec![some("", element, round)]),
        (_, Type::Map(element)) => {
            Value::map([(format!("k{round}").into(), some("", element, round))].into())
        }
        _ => format!("/x{round}").into(),
    }
}

fn scripts(resource: &dyn Resource) -> Vec<String> {
    let schema = resource.schema();
    let address = Address::managed(&schema.name, "x");
    let mark = Mark {
        lineage: "l".into(),
        instance: "i".into(),
    };
    let value = |round| {
        let member = |(name, attribute): (&std::sync::Arc<str>, &dmp_sdk::Attribute)| {
            (
                std::sync::Arc::clone(name),
                some(name, &attribute.ty, round),
            )
        };
        Value::object(schema.attributes.iter().map(member).collect())
    };
    let (one, two, null) = (value(0), value(1), Value::null());
    let known = Known {
        address: &address,
        purpose: Purpose::Refresh,
        id: None,
        attributes: &one,
        chosen: &null,
        mark: Some(&mark),
    };
    let mut scripts = Vec::new();
    for fetch in resource.fetches(&known).expect("can be asked") {
        if let Fetch::Script { script, .. } = fetch {
            scripts.push(script.text().to_owned());
        }
    }
    let jobs = [
        (Verb::Create, None, Some(&one), Some(&null)),
        (Verb::Create, None, Some(&one), Some(&two)),
        (Verb::Update, Some(&one), Some(&two), None),
        (Verb::Update, Some(&two), Some(&one), None),
        (Verb::Delete, Some(&one), None, Some(&null)),
        (Verb::Delete, Some(&one), None, Some(&two)),
    ];
    for (verb, prior, wanted, earlier) in jobs {
        let job = Job {
            verb,
            address: &address,
            mark: &mark,
            id: None,
            prior,
            wanted,
            chosen: &null,
            earlier,
            is_dead: false,
            has_successor: false,
        };
        let Work::Steps(steps) = resource.work(&job).expect("has steps") else {
            panic!("no calls on a machine")
        };
        scripts.extend(steps.iter().map(|step| step.run.text().to_owned()));
    }
    scripts
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn every_script_is_understood_by_every_shell() {
    let shells = [
        vec!["/bin/dash"],
        vec!["/bin/bash"],
        vec!["/bin/busybox", "ash"],
    ];
    for shell in shells {
        if !Path::new(shell[0]).exists() {
            eprintln!("SKIPPED: `{}` is not installed", shell[0]);
            assert!(std::env::var_os("CI").is_none(), "CI needs every shell");
            continue;
        }
        for resource in HostProvider::new().resources() {
            for script in scripts(resource.as_ref()) {
                let mut child = Command::new(shell[0])
                    .args(&shell[1..])
                    .arg("-n")
                    .stdin(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .expect("starts");
                child
                    .stdin
                    .take()
                    .expect("is piped")
                    .write_all(script.as_bytes())
                    .expect("is read");
                let output = child.wait_with_output().expect("ends");
                let errors = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(
                    output.status.success() && errors.is_empty(),
                    "{shell:?} {}: {errors}\n{script}",
                    resource.schema().name
                );
            }
        }
    }
}

#[test]
fn every_attribute_is_documented_and_every_type_says_what_a_delete_does() {
    for resource in HostProvider::new().resources() {
        let schema = resource.schema();
        assert!(
            !schema.on_delete.is_empty() && schema.doc.ends_with('.'),
            "{}",
            schema.name
        );
        assert!(
            schema
                .attributes
                .values()
                .any(|attribute| attribute.hosting.is_some()),
            "{}",
            schema.name
        );
        for (name, attribute) in &schema.attributes {
            assert!(attribute.doc.len() > 10, "{}.{name}", schema.name);
        }
    }
}
