//! The contract's clauses over the types of the provider.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dmp_provider_core::CoreProvider;
use dmp_sdk::testing::conformance::{Case, Stranger, check};
use dmp_sdk::{
    Address, Answer, Answers, Change, DryRun, Known, Machines, Mark, Provider, Purpose, Reading,
    Resource, Value,
};

fn resource(name: &str) -> Arc<dyn Resource> {
    let resources = CoreProvider::new().resources();
    let found = resources
        .into_iter()
        .find(|resource| resource.schema().name.as_ref() == name);
    found.expect("is offered")
}

/// Tries every clause of a type that is nothing but its record. Nobody outside can do anything to it.
async fn keeps_the_contract<const N: usize>(name: &str, config: [(&str, Value); N]) {
    keeps_the_contract_changing(name, config, None).await;
}

/// The same, where an argument can be changed in place.
async fn keeps_the_contract_changing<const N: usize>(
    name: &str,
    config: [(&str, Value); N],
    change: Option<(&str, Value)>,
) {
    let config = Value::object_of(config);
    let machines: Arc<dyn Machines> = Arc::new(dmp_testkit::ssh());
    let make = || {
        let provider = CoreProvider::new();
        let wire = provider.configure(&Value::null(), Arc::clone(&machines));
        let mut case = Case::new(
            resource(name),
            wire.expect("needs no configuration"),
            config.clone(),
            |_| {},
        )
        .never_altered()
        .never_deleted();
        case.changed = change
            .as_ref()
            .map(|(name, value)| config.with(name, value.clone()));
        case
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

/// A type of the machine that dmp runs on: how its place is made, what is wanted there, and what a stranger does.
struct Local<P, C, H> {
    prepare: P,
    config: C,
    change: H,
    outside: fn(&Path, Stranger),
    can_be_altered: bool,
}

/// Tries every clause of such a type, each at paths of their own.
async fn keeps_the_contract_here(
    name: &str,
    suffix: &str,
    tried: Local<impl Fn(&Path), impl Fn(&Path) -> Value, impl Fn(Value) -> Value>,
) {
    let folder = tempfile::tempdir().expect("a folder");
    let count = AtomicU32::new(0);
    let machines: Arc<dyn Machines> = Arc::new(dmp_testkit::ssh());
    let make = || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let path = folder.path().join(format!("tried-{number}"));
        (tried.prepare)(&path);
        let config = (tried.config)(&path);
        let changed = (tried.change)(config.clone());
        let wire = CoreProvider::new().configure(&Value::null(), Arc::clone(&machines));
        let (outside, counted) = (tried.outside, path.clone());
        let mut case = Case::new(
            resource(name),
            wire.expect("needs no configuration"),
            config,
            move |stranger| outside(&path, stranger),
        )
        .changing(changed)
        .counted(move || usize::from(counted.exists()));
        case.can_be_altered = tried.can_be_altered;
        case
    };
    let test = format!("{name}_keeps_the_contract{suffix}");
    let report = check(make).await;
    report.judge(&test).unwrap_or_else(|why| panic!("{why}"));
}

fn at(path: &Path, name: &str, value: &str) -> Value {
    Value::object_of([
        ("path", path.display().to_string().into()),
        (name, value.into()),
    ])
}

fn alter_file(path: &Path, stranger: Stranger) {
    match stranger {
        Stranger::Deletes => std::fs::remove_file(path).expect("is there"),
        Stranger::Alters => std::fs::write(path, "theirs\n").expect("writable"),
    }
}

#[tokio::test]
async fn core_local_file_keeps_the_contract() {
    let tried = Local {
        prepare: |_: &Path| {},
        config: |path: &Path| at(path, "content", "mine\n"),
        change: |config: Value| config.with("content", "mine too\n".into()),
        outside: alter_file,
        can_be_altered: true,
    };
    keeps_the_contract_here("core_local_file", "", tried).await;
}

#[tokio::test]
async fn core_local_file_keeps_the_contract_where_something_stood_before() {
    let tried = Local {
        prepare: |path: &Path| std::fs::write(path, "before\n").expect("writable"),
        config: |path: &Path| at(path, "content", "mine\n"),
        change: |config: Value| config.with("mode", "0600".into()),
        outside: alter_file,
        can_be_altered: true,
    };
    let suffix = "_where_something_stood_before";
    keeps_the_contract_here("core_local_file", suffix, tried).await;
}

#[tokio::test]
async fn core_local_file_keeps_the_contract_with_a_secret() {
    let tried = Local {
        prepare: |_: &Path| {},
        config: |path: &Path| at(path, "sensitive_content", "hunter2-and-more"),
        change: |config: Value| config.with("sensitive_content", "hunter3-and-more".into()),
        outside: alter_file,
        can_be_altered: true,
    };
    keeps_the_contract_here("core_local_file", "_with_a_secret", tried).await;
}

#[tokio::test]
async fn core_local_directory_keeps_the_contract() {
    use std::os::unix::fs::PermissionsExt;
    let tried = Local {
        prepare: |_: &Path| {},
        config: |path: &Path| at(path, "mode", "0750"),
        change: |config: Value| config.with("mode", "0700".into()),
        outside: |path: &Path, stranger: Stranger| match stranger {
            Stranger::Deletes => std::fs::remove_dir(path).expect("is there"),
            Stranger::Alters => {
                let mode = std::fs::Permissions::from_mode(0o711);
                std::fs::set_permissions(path, mode).expect("ours");
            }
        },
        can_be_altered: true,
    };
    keeps_the_contract_here("core_local_directory", "", tried).await;
}

/// A command that leaves a file. Each run of `create` is a line in it: a second one would be seen.
fn command(path: &Path) -> Value {
    let path = path.display();
    Value::object_of([
        ("create", format!("echo made >>{path}").into()),
        ("check", format!("[ \"$(cat {path})\" = made ]").into()),
        ("update", ":".into()),
        ("destroy", format!("rm -f {path}").into()),
    ])
}

#[tokio::test]
async fn core_local_command_keeps_the_contract() {
    let environment = || Value::map([("RELEASE".into(), "2".into())].into());
    let tried = Local {
        prepare: |_: &Path| {},
        config: command,
        change: |config: Value| config.with("environment", environment()),
        outside: |path: &Path, _: Stranger| std::fs::remove_file(path).expect("is there"),
        can_be_altered: false,
    };
    keeps_the_contract_here("core_local_command", "", tried).await;
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

#[tokio::test]
async fn core_secret_keeps_the_contract() {
    keeps_the_contract("core_secret", [("keepers", keepers())]).await;
}

#[tokio::test]
async fn core_ssh_key_keeps_the_contract() {
    keeps_the_contract("core_ssh_key", [("comment", "deploy".into())]).await;
}

#[tokio::test]
async fn core_private_key_keeps_the_contract() {
    let config = [
        ("algorithm", "ECDSA".into()),
        ("ecdsa_curve", "P384".into()),
    ];
    keeps_the_contract("core_private_key", config).await;
}

/// What a type makes of a configuration.
fn made(name: &str, config: &Value) -> Value {
    let mark = Mark {
        lineage: "tried".into(),
        instance: "tried".into(),
    };
    let chosen = resource(name).choose(&mark, config);
    chosen.expect("chooses")
}

fn key() -> Value {
    made(
        "core_private_key",
        &Value::object_of([("algorithm", "ED25519".into())]),
    )
    .get("private_key_pem")
}

fn subject() -> Value {
    Value::object_of([("common_name", "box".into()), ("country", "DE".into())])
}

#[tokio::test]
async fn core_cert_request_keeps_the_contract() {
    let config = [
        ("private_key_pem", key()),
        ("subject", subject()),
        ("dns_names", texts(["box.example"])),
        ("ip_addresses", texts(["192.0.2.1", "2001:db8::1"])),
        ("uris", texts(["spiffe://example/box"])),
    ];
    keeps_the_contract("core_cert_request", config).await;
}

fn authority() -> [(&'static str, Value); 5] {
    [
        ("private_key_pem", key()),
        ("subject", subject()),
        ("validity_period_hours", 48.into()),
        ("allowed_uses", texts(["cert_signing", "crl_signing"])),
        ("is_ca_certificate", true.into()),
    ]
}

#[tokio::test]
async fn core_self_signed_cert_keeps_the_contract() {
    let change = Some(("early_renewal_hours", 12.into()));
    keeps_the_contract_changing("core_self_signed_cert", authority(), change).await;
}

#[tokio::test]
async fn core_signed_cert_keeps_the_contract() {
    let authority = Value::object_of(authority());
    let certificate = made("core_self_signed_cert", &authority).get("cert_pem");
    let wanted = Value::object_of([("private_key_pem", key()), ("subject", subject())]);
    let request = made("core_cert_request", &wanted).get("cert_request_pem");
    let config = [
        ("cert_request_pem", request),
        ("ca_cert_pem", certificate),
        ("ca_private_key_pem", authority.get("private_key_pem")),
        ("validity_period_hours", 24.into()),
        ("allowed_uses", texts(["server_auth", "digital_signature"])),
    ];
    let change = Some(("early_renewal_hours", 12.into()));
    keeps_the_contract_changing("core_signed_cert", config, change).await;
}

#[test]
fn a_certificate_is_replaced_when_the_time_of_its_renewal_has_come() {
    const HOUR: i64 = 3600;
    let cert = resource("core_self_signed_cert");
    let config = Value::object_of(authority()).with("early_renewal_hours", 3.into());
    let address = Address::managed("core_self_signed_cert", "ca");
    let chosen = made("core_self_signed_cert", &config);
    let read_at = |now: i64| {
        let known = Known {
            address: &address,
            purpose: Purpose::Refresh,
            id: None,
            attributes: &config,
            chosen: &chosen,
            mark: None,
        };
        let answer = Answer::Api(Arc::new(serde_json::json!({ "now": now })));
        match cert.parse(&known, Answers(&[answer])).expect("parses") {
            Reading::Found(object) => object.attributes,
            other => panic!("{other:?}"),
        }
    };
    let replacements = |prior: &Value| {
        let mut change = Change {
            address: &address,
            schema: cert.schema(),
            prior: Some(prior),
            is_half_made: false,
            earlier: None,
            config: &config,
            planned: prior.clone(),
            replacements: Vec::new(),
            effects: Vec::new(),
            notes: Vec::new(),
            dry_run: DryRun::NotAsked,
        };
        cert.plan(&mut change).expect("plans");
        change.replacements
    };
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).expect("later");
    let now = i64::try_from(now.as_secs()).expect("small");
    let early = read_at(now + 44 * HOUR);
    assert_eq!(early.get("ready_for_renewal"), false.into());
    assert!(replacements(&early).is_empty());
    let due = read_at(now + 46 * HOUR);
    assert_eq!(due.get("ready_for_renewal"), true.into());
    let (path, why) = replacements(&due).remove(0);
    assert_eq!(path.to_string(), "ready_for_renewal");
    let end = due.get("validity_end_time");
    let end = end.as_str().expect("a time");
    assert_eq!(
        why,
        Some(format!("it ends on {end}, and is renewed 3 hours before"))
    );
}

#[tokio::test]
async fn core_time_static_keeps_the_contract() {
    let config = [("rfc3339", "2026-02-12T06:36:13Z".into())];
    keeps_the_contract("core_time_static", config).await;
}

#[tokio::test]
async fn core_time_offset_keeps_the_contract() {
    let config = [("offset_days", 3.into()), ("offset_hours", (-4).into())];
    let change = Some(("offset_months", 2.into()));
    keeps_the_contract_changing("core_time_offset", config, change).await;
}

#[tokio::test]
async fn core_time_rotating_keeps_the_contract() {
    let change = Some(("rotation_hours", 12.into()));
    let config = [("rotation_days", 30.into())];
    keeps_the_contract_changing("core_time_rotating", config, change).await;
}

#[tokio::test]
async fn core_sleep_keeps_the_contract() {
    let config = [
        ("create_duration", "20ms".into()),
        ("destroy_duration", "10ms".into()),
    ];
    keeps_the_contract("core_sleep", config).await;
}
