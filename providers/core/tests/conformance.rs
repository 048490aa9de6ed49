//! The contract's clauses over the types of the provider.

use std::sync::Arc;

use dmp_provider_core::CoreProvider;
use dmp_sdk::testing::conformance::{Case, check};
use dmp_sdk::{Machines, Provider, Resource, Value};

fn resource(name: &str) -> Arc<dyn Resource> {
    let resources = CoreProvider::new().resources();
    let found = resources
        .into_iter()
        .find(|resource| resource.schema().name.as_ref() == name);
    found.expect("is offered")
}

/// Tries every clause of a type that is nothing but its record. Nobody outside can do anything to it.
async fn keeps_the_contract<const N: usize>(name: &str, config: [(&str, Value); N]) {
    let config = Value::object_of(config);
    let machines: Arc<dyn Machines> = Arc::new(dmp_testkit::ssh());
    let make = || {
        let provider = CoreProvider::new();
        let wire = provider.configure(&Value::null(), Arc::clone(&machines));
        Case::new(
            resource(name),
            wire.expect("needs no configuration"),
            config.clone(),
            |_| {},
        )
        .never_altered()
        .never_deleted()
    };
    let test = format!("{name}_keeps_the_contract");
    let report = check(make).await;
    report.judge(&test).unwrap_or_else(|why| panic!("{why}"));
}

fn texts<const N: usize>(texts: [&str; N]) -> Value {
    Value::list(texts.into_iter().map(Value::from).collect())
}

fn keepers() -> Value {
    Value::map([("release".into(), "1".into())].into())
}

#[tokio::test]
async fn core_random_id_keeps_the_contract() {
    let config = [
        ("byte_length", 8.into()),
        ("prefix", "web-".into()),
        ("keepers", keepers()),
    ];
    keeps_the_contract("core_random_id", config).await;
}

#[tokio::test]
async fn core_random_uuid_keeps_the_contract() {
    keeps_the_contract("core_random_uuid", [("keepers", keepers())]).await;
}

#[tokio::test]
async fn core_random_integer_keeps_the_contract() {
    let config = [("min", (-5).into()), ("max", 5000.into())];
    keeps_the_contract("core_random_integer", config).await;
}

#[tokio::test]
async fn core_random_string_keeps_the_contract() {
    let config = [("length", 12.into()), ("special", false.into())];
    keeps_the_contract("core_random_string", config).await;
}

#[tokio::test]
async fn core_random_password_keeps_the_contract() {
    let config = [("length", 20.into()), ("min_special", 2.into())];
    keeps_the_contract("core_random_password", config).await;
}

#[tokio::test]
async fn core_random_pet_keeps_the_contract() {
    keeps_the_contract("core_random_pet", [("length", 3.into())]).await;
}

#[tokio::test]
async fn core_random_shuffle_keeps_the_contract() {
    let config = [
        ("input", texts(["a", "b", "c"])),
        ("result_count", 5.into()),
    ];
    keeps_the_contract("core_random_shuffle", config).await;
}
