//! Every script that the provider sends is one that every shell understands.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dmp_provider_host::HostProvider;
use dmp_sdk::machine::{Counts, Stream};
use dmp_sdk::{
    Address, Batch, Configured, Cx, DataSource, Diagnostic, Exchange, Fetch, ItemEnd, Job, Known,
    Machine, Machines, Mark, Output, Provider, Purpose, Report, Resource, Schema, Script, Type,
    Unreachable, Value, Verb, Work,
};
use tokio::sync::mpsc;

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
        ("allow", _) => {
            let ports = Value::list(vec![format!("{}", 80 + round).into()]);
            Value::list(vec![Value::object_of([("ports", ports)])])
        }
        ("run_as", _) => "alice".into(),
        ("content_base64", _) => "eA==".into(),
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

/// A value with everything that a schema has.
fn whole(schema: &Schema, round: i64) -> Value {
    let member = |(name, attribute): (&std::sync::Arc<str>, &dmp_sdk::Attribute)| {
        (
            std::sync::Arc::clone(name),
            some(name, &attribute.ty, round),
        )
    };
    Value::object(schema.attributes.iter().map(member).collect())
}

fn texts(fetches: Vec<Fetch>) -> Vec<String> {
    let text = |fetch| match fetch {
        Fetch::Script { script, .. } => Some(script.text().to_owned()),
        Fetch::Api(_) => None,
    };
    fetches.into_iter().filter_map(text).collect()
}

/// What reads data sources.
fn reading(source: &dyn DataSource) -> Vec<String> {
    let config = whole(source.schema(), 0);
    texts(source.fetches(&config).expect("can be asked"))
}

fn scripts(resource: &dyn Resource) -> Vec<String> {
    let schema = resource.schema();
    let address = Address::managed(&schema.name, "x");
    let mark = Mark {
        lineage: "l".into(),
        instance: "i".into(),
    };
    let (one, two, null) = (whole(schema, 0), whole(schema, 1), Value::null());
    let known = Known {
        address: &address,
        purpose: Purpose::Refresh,
        id: None,
        attributes: &one,
        chosen: &null,
        mark: Some(&mark),
    };
    let mut scripts = texts(resource.fetches(&known).expect("can be asked"));
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
        match resource.work(&job).expect("has steps") {
            Work::Steps(steps) => {
                scripts.extend(steps.iter().map(|step| step.run.text().to_owned()));
            }
            Work::Calls => scripts.extend(overheard(resource, &job)),
        }
    }
    scripts
}

/// The scripts that a work of calls sends to machines.
fn overheard(resource: &dyn Resource, job: &Job<'_>) -> Vec<String> {
    let ear = Arc::new(Ear::default());
    let machines = Arc::clone(&ear) as Arc<dyn Machines>;
    let provider = HostProvider::new().configure(&Value::null(), machines);
    let cx = Caller {
        mark: job.mark.clone(),
        provider: provider.expect("needs no configuration"),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(resource.call(&cx, job))
        .expect("goes well");
    let scripts = ear.0.lock().expect("nobody panicked");
    assert!(!scripts.is_empty(), "it calls and sends nothing");
    scripts.clone()
}

/// Machines that do all they are told at once, and remember it.
#[derive(Default)]
struct Ear(Mutex<Vec<String>>);

impl Ear {
    fn hear<'a>(&self, scripts: impl Iterator<Item = &'a Script>) {
        let texts = scripts.map(|script| script.text().to_owned());
        self.0.lock().expect("nobody panicked").extend(texts);
    }
}

#[async_trait]
impl Machines for Ear {
    async fn read(
        &self,
        _on: &Machine,
        scripts: &[Script],
        _deadline: Duration,
    ) -> Result<Exchange, Unreachable> {
        self.hear(scripts.iter());
        let output = Output {
            stdout: b"a-boot\nrunning\n".to_vec(),
            ..Output::default()
        };
        Ok(Exchange {
            outputs: vec![output; scripts.len()],
            host_key: String::new(),
        })
    }

    async fn run(
        &self,
        _on: &Machine,
        batch: &Batch,
        reports: mpsc::Sender<Report>,
    ) -> Result<(), Unreachable> {
        for item in &batch.items {
            self.hear(item.steps.iter().map(|step| &step.run));
            let end = Report::ItemEnded {
                item: item.key.clone(),
                end: ItemEnd::Done,
                read: Vec::new(),
            };
            reports.send(end).await.expect("is heard");
        }
        Ok(())
    }

    async fn settle(
        &self,
        _on: &Machine,
        _batch: &str,
        _reports: mpsc::Sender<Report>,
    ) -> Result<bool, Unreachable> {
        Ok(false)
    }

    async fn forget(&self, _on: &Machine, _batches: &[String]) -> Result<(), Unreachable> {
        Ok(())
    }

    async fn open_stream(
        &self,
        _on: &Machine,
        _host: &str,
        _port: u16,
    ) -> Result<Box<dyn Stream>, Unreachable> {
        Err(Unreachable::Cancelled)
    }

    async fn close(&self) {}

    fn counts(&self) -> Counts {
        Counts::default()
    }
}

/// A call that nobody stops.
struct Caller {
    mark: Mark,
    provider: Arc<dyn Configured>,
}

#[async_trait]
impl Cx for Caller {
    fn mark(&self) -> &Mark {
        &self.mark
    }

    fn provider(&self) -> &dyn Configured {
        self.provider.as_ref()
    }

    async fn begin(&self, _title: &str) -> Result<(), Diagnostic> {
        Ok(())
    }

    async fn record_id(&self, _id: &str) -> Result<(), Diagnostic> {
        Ok(())
    }

    fn waiting(&self, _what: &str, _deadline: Duration) {}

    fn is_cancelled(&self) -> bool {
        false
    }
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
        let provider = HostProvider::new();
        let written = provider
            .resources()
            .into_iter()
            .map(|resource| (resource.schema().name.clone(), scripts(resource.as_ref())));
        let read = provider
            .data_sources()
            .into_iter()
            .map(|source| (source.schema().name.clone(), reading(source.as_ref())));
        for (name, scripts) in written.chain(read) {
            for script in scripts {
                understands(&shell, &name, &script);
            }
        }
    }
}

fn understands(shell: &[&str], name: &str, script: &str) {
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
        "{shell:?} {name}: {errors}\n{script}"
    );
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
