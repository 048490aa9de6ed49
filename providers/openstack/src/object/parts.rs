//! Objects that are part of others, against a cloud of these tests: where they are made, what is recorded of them, and that a
//! call which comes while the whole is changing is sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dmp_sdk::{Resource, Value, Verb};
use serde_json::{Value as Json, json};

use super::tests::carry_out_on;
use super::{ByKey, Objects};
use crate::resources::balancer::{OfBalancer, member::Member};
use crate::resources::recordset::Recordset;
use crate::resources::share::access::ShareAccess;
use crate::resources::store::object::StoredObject;
use crate::session::server::{Heard, Reply, Server, says};

fn path(heard: &Heard) -> (&str, &str) {
    let mut words = heard.line.split(' ');
    (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    )
}

fn member() -> Value {
    Value::object_of([
        ("pool_id", "p".into()),
        ("address", "192.0.2.7".into()),
        ("protocol_port", 80.into()),
        ("admin_state_up", true.into()),
    ])
}

fn of_member() -> Arc<dyn Resource> {
    Arc::new(Objects::of(OfBalancer(Member)))
}

/// A balancer that takes no change for so many looks, and then is in this state.
fn balancer(looks: usize, then: &'static str) -> impl Fn(&Heard) -> Reply + Send + Sync {
    let looked = AtomicUsize::new(0);
    let immutable = json!({ "faultcode": "Client", "debuginfo": null,
        "faultstring": "Load Balancer b is immutable and cannot be updated." });
    move |heard| match path(heard) {
        ("POST", "/load-balancer/v2/lbaas/pools/p/members") => {
            match then == "ACTIVE" && looked.load(Ordering::SeqCst) >= looks {
                false => says(409, immutable.clone()),
                true => {
                    let mut made = heard.json()["member"].clone();
                    made["id"] = json!("m");
                    says(201, json!({ "member": made }))
                }
            }
        }
        ("GET", "/load-balancer/v2/lbaas/loadbalancers/b") => {
            let status = match looked.fetch_add(1, Ordering::SeqCst) + 1 < looks {
                true => "PENDING_UPDATE",
                false => then,
            };
            says(
                200,
                json!({ "loadbalancer": { "id": "b", "provisioning_status": status } }),
            )
        }
        ("GET", "/load-balancer/v2/lbaas/pools/p/members/m") => says(
            200,
            json!({ "member": { "id": "m", "provisioning_status": "ACTIVE" } }),
        ),
        _ => says(404, Json::Null),
    }
}

#[tokio::test]
async fn a_part_of_what_is_just_changing_waits_for_that() {
    let server = Server::cloud(balancer(2, "ACTIVE")).await;
    let made = carry_out_on(&server, of_member(), Verb::Create, None, &member()).await;
    assert_eq!(made.expect("it is made").as_deref(), Some("p/m"));
    let sent = server.heard("POST /load-balancer/");
    assert_eq!(sent.len(), 2);
    let tags = sent[1].json()["member"]["tags"].clone();
    let tag = tags[0].as_str().expect("a tag");
    assert!(tag.starts_with("dmp.v1."), "{tag}");
}

#[tokio::test]
async fn a_part_of_what_has_failed_is_not_waited_for() {
    let server = Server::cloud(balancer(1, "ERROR")).await;
    let made = carry_out_on(&server, of_member(), Verb::Create, None, &member()).await;
    let said = format!("{:?}", made.expect_err("it takes no change"));
    assert!(
        said.contains("loadbalancers/b") && said.contains("ERROR"),
        "{said}"
    );
    assert_eq!(server.heard("POST /load-balancer/").len(), 1);
}

#[tokio::test]
async fn a_record_set_is_made_within_its_zone_and_recorded_with_it() {
    let server = Server::cloud(|heard| match path(heard) {
        ("POST", "/dns/v2/zones/z/recordsets") => {
            let mut made = heard.json();
            made["id"] = json!("r");
            says(202, made)
        }
        ("GET", "/dns/v2/zones/z/recordsets/r") => says(
            200,
            json!({ "id": "r", "zone_id": "z", "status": "ACTIVE", "action": "NONE" }),
        ),
        _ => says(404, Json::Null),
    })
    .await;
    let wanted = Value::object_of([
        ("zone_id", "z".into()),
        ("name", "www.example.org.".into()),
        ("type", "A".into()),
        ("records", Value::set(vec!["192.0.2.7".into()])),
    ]);
    let resource: Arc<dyn Resource> = Arc::new(Objects::of(Recordset));
    let made = carry_out_on(&server, resource, Verb::Create, None, &wanted).await;
    assert_eq!(made.expect("it is made").as_deref(), Some("z/r"));
    let sent = server.heard("POST /dns/")[0].json();
    assert_eq!(sent["records"], json!(["192.0.2.7"]));
    assert!(
        sent.get("zone_id").is_none() && sent["description"].is_string(),
        "{sent}"
    );
}

#[tokio::test]
async fn access_to_a_share_is_given_and_taken_back_by_actions() {
    let is_there = AtomicUsize::new(0);
    let server = Server::cloud(move |heard| match path(heard) {
        ("POST", "/share/v2/p/shares/s/action") => {
            let taken = !heard.json()["deny_access"].is_null();
            is_there.store(usize::from(!taken), Ordering::SeqCst);
            match taken {
                true => says(202, Json::Null),
                false => says(
                    200,
                    json!({ "access": { "id": "a", "state": "queued_to_apply" } }),
                ),
            }
        }
        ("GET", "/share/v2/p/share-access-rules/a") if is_there.load(Ordering::SeqCst) == 1 => {
            says(
                200,
                json!({ "access": { "id": "a", "share_id": "s", "state": "active" } }),
            )
        }
        _ => says(404, Json::Null),
    })
    .await;
    let wanted = Value::object_of([
        ("share_id", "s".into()),
        ("access_type", "ip".into()),
        ("access_to", "192.0.2.7".into()),
    ]);
    let resource: Arc<dyn Resource> = Arc::new(Objects::of(ShareAccess));
    let made = carry_out_on(&server, Arc::clone(&resource), Verb::Create, None, &wanted).await;
    assert_eq!(made.expect("it is made").as_deref(), Some("s/a"));
    let sent = &server.heard("POST /share/")[0];
    assert_eq!(sent.header("X-OpenStack-Manila-API-Version"), Some("2.60"));
    assert_eq!(sent.json()["allow_access"]["access_to"], "192.0.2.7");
    let gone = carry_out_on(&server, resource, Verb::Delete, Some("s/a"), &wanted).await;
    gone.expect("it is taken back");
    let sent = server.heard("POST /share/")[1].json();
    assert_eq!(sent, json!({ "deny_access": { "access_id": "a" } }));
}

#[tokio::test]
async fn an_object_is_sent_with_its_etag_and_only_described_where_its_content_is_the_same() {
    let answer = |heard: &Heard| match path(heard) {
        ("HEAD", "/store/v1/AUTH_p/c/a%2Fb") => Reply::Says(
            200,
            vec![
                ("etag", "5d41402abc4b2a76b9719d911017c592".into()),
                ("content-type", "text/plain".into()),
            ],
            Json::Null,
        ),
        ("HEAD", _) => says(404, Json::Null),
        _ => says(201, Json::Null),
    };
    let wanted = |name: &str| {
        let metadata = Value::map([("for".into(), "the web".into())].into_iter().collect());
        Value::object_of([
            ("container", "c".into()),
            ("name", name.into()),
            ("content", "hello".into()),
            ("metadata", metadata),
        ])
    };
    let server = Server::cloud(answer).await;
    let put = |name| {
        let (server, wanted) = (&server, wanted(name));
        async move {
            let resource = ByKey::of(StoredObject);
            let done = carry_out_on(server, resource, Verb::Create, None, &wanted).await;
            done.expect("it is brought about");
        }
    };
    put("new").await;
    let sent = &server.heard("PUT /store/")[0];
    assert_eq!(
        sent.header("etag"),
        Some("5d41402abc4b2a76b9719d911017c592")
    );
    put("a/b").await;
    assert_eq!(server.heard("PUT /store/").len(), 1);
    let told = &server.heard("POST /store/")[0];
    assert_eq!(told.header("x-object-meta-for"), Some("the web"));
}
