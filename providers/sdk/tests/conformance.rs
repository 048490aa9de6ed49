//! The provider for tests keeps the contract, and the suite notices one that does not.

use std::path::Path;
use std::sync::Arc;

use dmp_sdk::testing::conformance::{Broken, Case, Stranger, check};
use dmp_sdk::testing::{Cloud, Entry, State, TestProvider};
use dmp_sdk::{Configured, FetchFailure, Machines, Provider, Query, Resource, Value};

fn resource(name: &str) -> Arc<dyn Resource> {
    let resources = TestProvider::default().resources();
    let found = resources
        .into_iter()
        .find(|resource| resource.schema().name.as_ref() == name);
    found.expect("is offered")
}

struct NoMachines;

#[async_trait::async_trait]
impl Machines for NoMachines {
    async fn read(
        &self,
        _on: &dmp_sdk::Machine,
        _scripts: &[dmp_sdk::Script],
        _deadline: std::time::Duration,
    ) -> Result<dmp_sdk::Exchange, dmp_sdk::Unreachable> {
        unreachable!("the cloud is a file")
    }

    async fn run(
        &self,
        _on: &dmp_sdk::Machine,
        _batch: &dmp_sdk::Batch,
        _reports: tokio::sync::mpsc::Sender<dmp_sdk::Report>,
    ) -> Result<(), dmp_sdk::Unreachable> {
        unreachable!("the cloud is a file")
    }

    async fn settle(
        &self,
        _on: &dmp_sdk::Machine,
        _batch: &str,
        _reports: tokio::sync::mpsc::Sender<dmp_sdk::Report>,
    ) -> Result<bool, dmp_sdk::Unreachable> {
        unreachable!("the cloud is a file")
    }

    async fn forget(
        &self,
        _on: &dmp_sdk::Machine,
        _batches: &[String],
    ) -> Result<(), dmp_sdk::Unreachable> {
        Ok(())
    }

    async fn open_stream(
        &self,
        _on: &dmp_sdk::Machine,
        _host: &str,
        _port: u16,
    ) -> Result<Box<dyn dmp_sdk::machine::Stream>, dmp_sdk::Unreachable> {
        unreachable!("the cloud is a file")
    }

    async fn close(&self) {}

    fn counts(&self) -> dmp_sdk::machine::Counts {
        dmp_sdk::machine::Counts::default()
    }
}

fn configured(cloud: &Path) -> Arc<dyn Configured> {
    let config = Value::object_of([("cloud", cloud.display().to_string().into())]);
    let provider = TestProvider::default().configure(&config, Arc::new(NoMachines));
    provider.expect("is usable")
}

/// A case in a fresh cloud.
fn case(
    folder: &Path,
    resource: Arc<dyn Resource>,
    config: Value,
    changed: Value,
    change: impl Fn(&mut State, Stranger) + Send + Sync + 'static,
) -> Case {
    let path = folder.join("cloud.json");
    let earlier = std::fs::read(folder.join("earlier.json")).unwrap_or_default();
    std::fs::write(&path, earlier).expect("writable");
    let cloud = Cloud::at(&path);
    let outside = move |stranger| {
        cloud
            .change(|state| change(state, stranger))
            .expect("writes");
    };
    Case {
        resource,
        provider: configured(&path),
        machines: None,
        config,
        changed: Some(changed),
        outside: Box::new(outside),
    }
}

fn thing(folder: &Path) -> Case {
    let config = Value::object_of([("name", "a".into()), ("secret", "hunter2".into())]);
    let changed = config.with("size", 2.into());
    let change = |state: &mut State, stranger| match stranger {
        Stranger::Deletes => state.things.clear(),
        Stranger::Alters => state.things.values_mut().for_each(|thing| thing.size = 7),
    };
    case(folder, resource("test_thing"), config, changed, change)
}

fn entry(folder: &Path) -> Case {
    let config = Value::object_of([("key", "k".into()), ("text", "mine".into())]);
    let changed = config.with("text", "mine too".into());
    let change = |state: &mut State, stranger| match stranger {
        Stranger::Deletes => state.entries.clear(),
        Stranger::Alters => {
            let text = "theirs".into();
            state.entries.insert("k".into(), Entry { text });
        }
    };
    case(folder, resource("test_entry"), config, changed, change)
}

fn in_words(broken: &[Broken]) -> String {
    let lines: Vec<_> = broken.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[tokio::test]
async fn test_thing_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = check(|| thing(folder.path()))
        .await
        .err()
        .unwrap_or_default();
    assert!(broken.is_empty(), "{}", in_words(&broken));
}

#[tokio::test]
async fn test_entry_keeps_the_contract_at_an_empty_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = check(|| entry(folder.path()))
        .await
        .err()
        .unwrap_or_default();
    assert!(broken.is_empty(), "{}", in_words(&broken));
}

#[tokio::test]
async fn test_entry_keeps_the_contract_where_something_stood_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = |state: &mut State| {
        let text = "before".into();
        state.entries.insert("k".into(), Entry { text });
    };
    Cloud::at(&folder.path().join("earlier.json"))
        .change(before)
        .expect("writes");
    let broken = check(|| entry(folder.path()))
        .await
        .err()
        .unwrap_or_default();
    assert!(broken.is_empty(), "{}", in_words(&broken));
}

/// Takes every change and shows nothing of it.
struct Forgetful(Arc<dyn Configured>);

#[async_trait::async_trait]
impl Configured for Forgetful {
    fn as_any(&self) -> &dyn std::any::Any {
        self.0.as_any()
    }

    async fn fetch(&self, queries: &[Query]) -> Vec<Result<serde_json::Value, FetchFailure>> {
        queries.iter().map(|_| Ok(serde_json::json!({}))).collect()
    }
}

#[tokio::test]
async fn a_cloud_that_forgets_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let forgetful = || {
        let mut case = entry(folder.path());
        case.provider = Arc::new(Forgetful(case.provider));
        case
    };
    let broken = check(forgetful).await.expect_err("it forgets");
    let names: Vec<_> = broken.iter().map(|broken| broken.clause).collect();
    assert!(
        names.contains(&"what_was_created_is_found_as_it_was_wanted"),
        "{names:?}"
    );
}
