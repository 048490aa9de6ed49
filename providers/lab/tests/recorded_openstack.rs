//! Exchanges recorded from a real OpenStack (by `cargo xtask live openstack`), replayed against the lab's: the status, the words of a
//! refusal and the shape of an answer agree.

#[path = "../../../tests/live/tests/openstack/exchanges.rs"]
mod exchanges;
mod support;

use std::path::Path;

use dmp_lab::{OpenStackSite, Site};
use exchanges::{Exchange, FILE, Play, differences, parse};
use serde_json::Value as Json;
use support::{Cloud, Running};

/// The same things by the same names as the real one has.
fn site() -> Site {
    let mut openstack = OpenStackSite::default();
    openstack.external.name = "external".into();
    openstack.images = vec!["paper".into()];
    openstack.volume_types = vec!["files".into(), "more".into()];
    Site {
        speed: 400.0,
        openstack: Some(openstack),
        ..Site::default()
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that counts says what")]
fn recorded_exchanges_with_an_openstack_go_the_same_way() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(FILE);
    let text = std::fs::read_to_string(file).expect("the recording");
    let folder = tempfile::tempdir().expect("a folder");
    let lab = Running::begin(&folder.path().join("lab"), site());
    let cloud = Cloud::of(&lab.written);
    let volumes = cloud.of_volumes();
    let project = cloud.project.clone();
    let mut play = Play::with(|exchange: &Exchange, path: &str, body: &Json| {
        let service = exchange.text("service");
        let base = match service {
            "compute" => "/compute/v2.1".to_owned(),
            "network" => "/network/v2.0".to_owned(),
            "image" => "/image/v2".to_owned(),
            _ => format!("/volume/v3/{project}"),
        };
        let client = if service == "block-storage" {
            &volumes
        } else {
            &cloud
        };
        let answer = client.call(exchange.text("method"), &format!("{base}{path}"), body);
        let told = match answer.body.is_empty() {
            true => Json::Null,
            false => answer.value(),
        };
        (u64::from(answer.status), told)
    });
    let (mut agree, mut differ) = (0, Vec::new());
    for exchange in parse(&text) {
        let (status, answer) = play.exchange(&exchange);
        let found = differences(&exchange, status, &answer);
        match found.is_empty() {
            true => agree += 1,
            false => differ.push(format!(
                "{}\n    {}",
                exchange.text("name"),
                found.join("\n    ")
            )),
        }
    }
    eprintln!("{agree} agree, {} differ", differ.len());
    assert!(
        differ.is_empty(),
        "{} differ:\n{}",
        differ.len(),
        differ.join("\n")
    );
}
