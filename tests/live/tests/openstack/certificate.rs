//! A cloud behind TLS, with certificates of an authority of its own: whoever knows the authority gets in, and whoever does not
//! sends nothing, neither a password nor a request.

use std::time::{Duration, Instant};

use dmp_live::Cloud;
use serde_json::json;

use crate::program::{Other, Stack, left, requests, there};
use crate::world::clear;

const STACK: &str = r#"
data "openstack_network" "external" {
  external = true
}

resource "openstack_network" "inside" {
  name        = "inside"
  description = "beside ${data.openstack_network.external.name}"
}

resource "openstack_volume" "data" {
  name     = "data"
  size_gib = 1
}
"#;

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn who_knows_the_authority_gets_in() {
    let world = there();
    clear(&world.cloud);
    let before = requests();
    let stack = Stack::on(Cloud::of_this_suite("guarded"), STACK);
    stack.ends(&["apply", "--yes"], 0);
    assert_eq!(left(&world.cloud).len(), 2);
    stack.ends(&["plan", "--detailed-exitcode"], 0);
    stack.ends(&["destroy", "--yes"], 0);
    assert_eq!(left(&world.cloud), Vec::<String>::new());
    assert!(requests() > before, "it went by another way");
}

/// A plan that is refused at once, before anything was sent; what it says.
fn refused(other: &Other) -> String {
    let before = requests();
    let begun = Instant::now();
    let said = Stack::on(other.cloud(), STACK).ends(&["plan"], 3);
    // It is told at once: no waiting mends a certificate.
    assert!(begun.elapsed() < Duration::from_secs(30), "{said}");
    assert_eq!(requests(), before, "something was sent:\n{said}");
    assert!(said.contains("certificate"), "{said}");
    assert!(said.contains("`cacert`"), "{said}");
    said
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn who_does_not_know_the_authority_sends_nothing() {
    let other = Other::of("guarded", |cloud| {
        let removed = cloud.as_object_mut().and_then(|it| it.remove("cacert"));
        assert!(removed.is_some());
    });
    refused(&other);
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_certificate_for_another_name_is_refused() {
    let other = Other::of("guarded", |cloud| {
        let url = &mut cloud["auth"]["auth_url"];
        let by_name = url.as_str().expect("an address");
        *url = json!(by_name.replace("localhost", "127.0.0.1"));
    });
    let said = refused(&other);
    assert!(said.contains("localhost"), "it says for which: {said}");
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn certificates_that_go_unchecked_are_warned_of() {
    let world = there();
    clear(&world.cloud);
    let other = Other::of("guarded", |cloud| {
        cloud["verify"] = json!(false);
        cloud.as_object_mut().and_then(|it| it.remove("cacert"));
    });
    let plan = Stack::on(other.cloud(), STACK).ends(&["plan"], 0);
    assert!(plan.contains("certificates go unchecked"), "{plan}");
}
