//! Plans and readings of `host_archive`.

use dmp_sdk::Purpose;

use super::*;
use crate::on_host::tests::{a_machine, found, parse, plan, said, value};

const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn config(given: &[(&str, Value)]) -> Value {
    let base: [(&str, Value); 2] = [
        ("host", a_machine().to_value()),
        ("path", "/opt/tool".into()),
    ];
    value(HostArchive::new().schema(), &[given, &base].concat())
}

fn from_url() -> Value {
    config(&[
        ("url", "https://example.org/tool-1.2.tar.gz?x=1".into()),
        ("sha256", DIGEST.to_uppercase().as_str().into()),
        ("strip_components", 1.into()),
    ])
}

fn read(config: &Value, stdout: &str) -> Value {
    let archive = HostArchive::new();
    found(parse(&archive, config, Purpose::Refresh, stdout.as_bytes()).expect("parses"))
}

#[test]
fn what_was_unpacked_is_no_change_and_anything_else_there_is() {
    let archive = HostArchive::new();
    let config = from_url();
    let planned = |prior: &Value| plan(&archive, &config, Some(prior), None).expect("plans");
    let first = plan(&archive, &config, None, None).expect("plans").value;
    assert_eq!(first.get("format"), "tar.gz".into());
    let written = first.with("manifest", Value::null());
    let whole = read(&written, &format!("unpacked {DIGEST} 1\nmanifest aa\n"));
    assert_eq!(planned(&whole).value, whole);
    let altered = read(&whole, &format!("unpacked {DIGEST} 1\nmanifest bb\n"));
    assert!(!flag(&altered, "intact"));
    let mended = planned(&altered);
    assert!(!mended.value.get("manifest").is_known());
    assert_eq!(
        mended.notes,
        ["what was changed or added in /opt/tool is lost"]
    );
    let older = read(&whole, "unpacked ff 1\nmanifest aa\n");
    assert_ne!(planned(&older).value, older);
}

#[test]
fn a_file_on_the_machine_that_became_another_is_unpacked_again() {
    let archive = HostArchive::new();
    let config = config(&[("file", "/srv/site.zip".into())]);
    let stdout = |source: &str| format!("unpacked ab 0\nmanifest aa\nsource {source}\n");
    let written = plan(&archive, &config, None, None).expect("plans").value;
    let written = written.with("manifest", Value::null());
    let whole = read(&written, &stdout("ab"));
    assert_eq!(
        plan(&archive, &config, Some(&whole), None)
            .expect("plans")
            .value,
        whole
    );
    let other = read(&whole, &stdout("cd"));
    let planned = plan(&archive, &config, Some(&other), None)
        .expect("plans")
        .value;
    assert!(!planned.get("sha256").is_known());
}

#[test]
fn a_directory_of_others_is_refused() {
    let error = parse(
        &HostArchive::new(),
        &from_url(),
        Purpose::BeforeCreate,
        b"has something in it that no archive of dmp's has brought\n",
    );
    let error = error.expect_err("refused").to_string();
    assert!(error.contains("`/opt/tool` has something in it"), "{error}");
}

#[test]
fn an_archive_has_one_source_a_digest_and_a_format() {
    let error = |given: &[(&str, Value)]| {
        let planned = plan(&HostArchive::new(), &config(given), None, None);
        planned.err().as_ref().map(said).unwrap_or_default()
    };
    let url = |url: &str| ("url", Value::from(url));
    assert!(error(&[]).contains("none of `url`"));
    assert!(
        error(&[url("https://x/a.zip"), ("file", "/a.zip".into())]).contains("exclude each other")
    );
    assert!(error(&[url("https://x/a.zip")]).contains("has to be the one that was meant"));
    assert!(
        error(&[url("https://x/a"), ("sha256", DIGEST.into())]).contains("does not end like one")
    );
    assert!(
        error(&[("content_base64", "!".into()), ("format", "tar".into())]).contains("filebase64")
    );
    let other = [
        ("content_base64", "YQ==".into()),
        ("format", "tar".into()),
        ("sha256", DIGEST.into()),
    ];
    assert!(error(&other).contains("the digest of `content_base64` is ca978112"));
}
