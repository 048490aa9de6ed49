//! Objects against a cloud of these tests: what becomes of a create whose answer is lost, and what an update sends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dmp_sdk::{Address, Configured, Cx, Diagnostic, Job, Mark, Resource, Value, Verb};
use serde_json::{Value as Json, json};

use super::Objects;
use crate::cloud::Cloud;
use crate::resources::network::Network;
use crate::session::server::{Heard, Reply, Server, says};

/// A work that is let through, and what it has recorded.
struct Calls {
    mark: Mark,
    cloud: Cloud,
    id: Mutex<Option<String>>,
}

#[async_trait]
impl Cx for Calls {
    fn mark(&self) -> &Mark {
        &self.mark
    }

    fn provider(&self) -> &dyn Configured {
        &self.cloud
    }

    async fn begin(&self, _title: &str) -> Result<(), Diagnostic> {
        Ok(())
    }

    async fn record_id(&self, id: &str) -> Result<(), Diagnostic> {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
        Ok(())
    }

    fn waiting(&self, _what: &str, _deadline: Duration) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Networks that are kept; the first answers to a POST are these.
#[derive(Default)]
struct Kept {
    networks: Mutex<Vec<Json>>,
    answers: Mutex<Vec<Reply>>,
}

impl Kept {
    fn answer(&self, heard: &Heard) -> Reply {
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let path = heard.line.split(' ').nth(1).unwrap_or_default();
        let id = path
            .strip_prefix("/network/v2.0/networks/")
            .map(ToOwned::to_owned);
        if heard.line.starts_with("POST ") {
            let mut made = heard.json()["network"].clone();
            made["id"] = json!(format!("n{}", networks.len() + 1));
            networks.push(made.clone());
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            return match answers.pop() {
                Some(reply) => reply,
                None => says(201, json!({ "network": made })),
            };
        }
        let Some(id) = id else {
            return says(200, json!({ "networks": *networks }));
        };
        let Some(network) = networks
            .iter_mut()
            .find(|network| network["id"] == id.as_str())
        else {
            return says(
                404,
                json!({ "NeutronError": { "type": "NetworkNotFound", "message": "none" } }),
            );
        };
        if heard.line.starts_with("PUT ") {
            for (name, value) in heard.json()["network"].as_object().into_iter().flatten() {
                network[name] = value.clone();
            }
        }
        says(200, json!({ "network": network }))
    }
}

fn wanted(name: &str) -> Value {
    Value::object_of([
        ("name", name.into()),
        ("admin_state_up", true.into()),
        ("description", "a text".into()),
    ])
}

async fn carry_out(
    server: &Server,
    verb: Verb,
    id: Option<&str>,
    wanted: &Value,
) -> Result<Option<String>, Diagnostic> {
    carry_out_on(server, Arc::new(Objects::of(Network)), verb, id, wanted).await
}

/// Does one piece of work of a type; the id that it has recorded.
pub(super) async fn carry_out_on(
    server: &Server,
    resource: Arc<dyn Resource>,
    verb: Verb,
    id: Option<&str>,
    wanted: &Value,
) -> Result<Option<String>, Diagnostic> {
    let cx = Calls {
        mark: Mark {
            lineage: "l".into(),
            instance: "i".into(),
        },
        cloud: Cloud {
            session: server.session(),
        },
        id: Mutex::default(),
    };
    let address = Address::managed(&resource.schema().name, "tried");
    let job = Job {
        verb,
        address: &address,
        mark: &cx.mark,
        id,
        prior: Some(wanted),
        wanted: Some(wanted),
        chosen: &Value::null(),
        earlier: None,
        is_dead: false,
        has_successor: false,
    };
    resource.call(&cx, &job).await?;
    let id = cx.id.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(id)
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_looked_for_and_not_repeated() {
    for reply in [Reply::Breaks, says(503, json!({})), says(500, json!({}))] {
        let kept = Arc::new(Kept::default());
        kept.answers.lock().expect("a lock").push(reply);
        let there = Arc::clone(&kept);
        let server = Server::cloud(move |heard| there.answer(heard)).await;
        let id = carry_out(&server, Verb::Create, None, &wanted("inside")).await;
        assert_eq!(id.expect("it is found").as_deref(), Some("n1"));
        assert_eq!(server.heard("POST /network/").len(), 1);
        let description = kept.networks.lock().expect("a lock")[0]["description"].clone();
        assert_eq!(description, "a text [dmp.v1.l.i]");
    }
}

#[tokio::test]
async fn a_create_that_is_refused_is_an_error() {
    let server = Server::cloud(|heard| match heard.line.starts_with("POST ") {
        true => says(409, json!({ "NeutronError": { "type": "OverQuota", "message": "Quota exceeded for resources: ['network']." } })),
        false => says(200, json!({ "networks": [] })),
    })
    .await;
    let error = carry_out(&server, Verb::Create, None, &wanted("inside"))
        .await
        .expect_err("it is refused");
    assert_eq!(error.summary, "cannot create a network");
    assert!(error.help[0].contains("quota"), "{:?}", error.help);
}

#[tokio::test]
async fn an_update_sends_what_differs_and_brings_the_mark() {
    let kept = Arc::new(Kept::default());
    let old = json!({ "id": "n1", "name": "old", "admin_state_up": true, "description": "a text", "tags": [] });
    kept.networks.lock().expect("a lock").push(old);
    let there = Arc::clone(&kept);
    let server = Server::cloud(move |heard| there.answer(heard)).await;
    carry_out(&server, Verb::Update, Some("n1"), &wanted("new"))
        .await
        .expect("it is changed");
    let sent = server.heard("PUT /network/");
    assert_eq!(sent.len(), 1);
    assert_eq!(
        sent[0].json(),
        json!({ "network": { "name": "new", "description": "a text [dmp.v1.l.i]" } })
    );
    carry_out(&server, Verb::Update, Some("n1"), &wanted("new"))
        .await
        .expect("nothing is to be done");
    assert_eq!(server.heard("PUT /network/").len(), 1);
}
