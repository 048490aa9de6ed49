//! `openstack_server`: one machine of Nova.
//!
//! The call that makes it carries the mark among the metadata; its id is recorded before anything is waited for. Nova answers
//! long before it is done, so every write waits for its end. It is read out of three listings: servers, ports and, where a
//! configuration names flavors by id, flavors.

mod change;
mod plan;
mod plugs;
mod power;
mod read;
mod rebuild;
mod resize;
mod schema;
mod user_data;
mod wanted;

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Candidate, Change, Cx, Diagnostic, Effect, FailureDomain, Fetch, HoldsData, Job,
    Known, Mark, Object, Purpose, Reading, Resource, Schema, Value, Work, configured,
};
use serde_json::Value as Json;

use super::primary;
use crate::cloud::{Cloud, Question, believe, found};
use crate::data_sources::Listed;
use crate::marked;
use crate::object::{State, Task};
use crate::session::Service;
use crate::values::{items, segment, text_at, texts_at};

/// The resource type.
pub(crate) struct Server {
    schema: Schema,
}

impl Server {
    /// The type.
    pub(crate) fn new() -> Self {
        Self {
            schema: schema::schema(),
        }
    }
}

/// The path of a server.
fn path(id: &str) -> String {
    format!("/servers/{}", segment(id))
}

fn all_servers() -> Question {
    Question::list(Service::Compute, "/servers/detail", "servers")
}

fn all_ports() -> Question {
    Question::list(Service::Network, "/ports", "ports")
}

fn all_flavors() -> Question {
    Question::list(Service::Compute, "/flavors/detail", "flavors")
}

fn one_server(id: &str) -> Question {
    Question::One {
        service: Service::Compute,
        path: path(id),
    }
}

fn ports_of(id: &str) -> Question {
    Question::list(
        Service::Network,
        &format!("/ports?device_id={}", segment(id)),
        "ports",
    )
}

fn fetches(questions: &[Question]) -> Result<Vec<Fetch>, Diagnostic> {
    questions.iter().map(Question::fetch).collect()
}

fn object(known: &Known<'_>, server: &Json, ports: &Json, flavors: Option<&Json>) -> Object {
    let beside = read::Beside {
        known: known.attributes,
        ports,
        flavors,
        chosen_key: text_at(known.chosen, "public_key"),
    };
    Object {
        attributes: read::attributes(server, &beside),
        id: server["id"].as_str().map(ToOwned::to_owned),
    }
}

impl Listed for Server {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn listings(&self) -> Vec<Question> {
        vec![all_servers(), all_ports(), all_flavors()]
    }

    fn objects(&self, nothing: &Value, answers: &[&Json]) -> Vec<Value> {
        let &[servers, ports, flavors] = answers else {
            return Vec::new();
        };
        let beside = read::Beside {
            known: nothing,
            ports,
            flavors: Some(flavors),
            chosen_key: None,
        };
        let servers = items(servers).iter();
        let servers = servers.filter(|server| !read::is_deleted(server));
        servers
            .map(|server| read::attributes(server, &beside))
            .collect()
    }
}

#[async_trait]
impl Resource for Server {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn comes_within(&self) -> std::time::Duration {
        crate::object::COMES_WITHIN
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        match (known.purpose, known.id) {
            (Purpose::DryRun | Purpose::BeforeCreate, _) => Ok(Vec::new()),
            (Purpose::Settle, _) => fetches(&[all_servers(), all_ports(), all_flavors()]),
            (Purpose::Refresh, Some(_)) => fetches(&[all_servers(), all_ports()]),
            (_, Some(id)) => fetches(&[one_server(id), ports_of(id)]),
            (_, None) => Ok(Vec::new()),
        }
    }

    /// The answers are: servers or the server, ports, then what was asked for in addition: the server alone, flavors.
    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let Some(id) = known.id.filter(|_| !answers.is_empty()) else {
            return Ok(Reading::Absent);
        };
        if known.purpose == Purpose::Settle {
            // `find` looks for it.
            return Ok(Reading::Absent);
        }
        let mut last = answers.json(0)?;
        let mut flavors = None;
        for at in 2..answers.len() {
            let answer = answers.json(at)?;
            match found(answer).is_array() {
                true => flavors = Some(found(answer)),
                false => last = answer,
            }
        }
        let server = match found(last) {
            Json::Array(listed) => match listed.iter().find(|item| item["id"] == id) {
                Some(listed) => listed,
                // A page may have been turned while something went: what is gone says so itself.
                None => return Ok(Reading::More(fetches(&[one_server(id)])?)),
            },
            one => &one["server"],
        };
        if server.is_null() || read::is_deleted(server) {
            believe(last, known.attributes)?;
            return Ok(Reading::Absent);
        }
        if !read::knows_flavor(known.attributes, server, flavors) {
            return Ok(Reading::More(fetches(&[all_flavors()])?));
        }
        let object = object(known, server, found(answers.json(1)?), flavors);
        Ok(match read::state(server) {
            State::Ready => Reading::Found(object),
            _ if known.purpose == Purpose::Import => Reading::Found(object),
            State::UnderWay(why) | State::Failed(why) => Reading::HalfMade(object, why),
        })
    }

    fn find(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Vec<Candidate>, Diagnostic> {
        let mark = known.mark.map(ToString::to_string);
        let (ports, flavors) = (found(answers.json(1)?), found(answers.json(2)?));
        let is_it = |server: &&Json| {
            let is_marked = mark.is_some() && marked::in_metadata(&server["metadata"]) == mark;
            let is_id = known.id.is_some() && server["id"].as_str() == known.id;
            (is_marked || is_id) && !read::is_deleted(server)
        };
        let candidate = |server: &Json| Candidate {
            object: object(known, server, ports, Some(flavors)),
            half_made: match read::state(server) {
                State::Ready => None,
                State::UnderWay(why) | State::Failed(why) => Some(why),
            },
        };
        let servers = items(found(answers.json(0)?)).iter();
        Ok(servers.filter(is_it).map(candidate).collect())
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan::plan(change)
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        plan::plan_delete(prior)
    }

    fn holds_data(&self, value: &Value) -> HoldsData {
        primary::holds_data(value)
    }

    fn is_off(&self, value: &Value) -> bool {
        value.get("started").as_bool() == Some(false)
    }

    fn failure_domains(&self, value: &Value) -> Vec<FailureDomain> {
        let named = |text: String| {
            let (kind, name) = text.split_once(':')?;
            Some(FailureDomain {
                kind: kind.to_owned(),
                name: name.to_owned(),
            })
        };
        let texts = texts_at(value, "failure_domains").into_iter();
        texts.filter_map(named).collect()
    }

    /// The host key of the first boot.
    fn choose(&self, _mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        if !wanted::makes_host_key(wanted) {
            return Ok(Value::null());
        }
        dmp_cloud::host_key()
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let cloud: &Cloud = configured(cx.provider())?;
        change::carry_out(&Task { cx, job, cloud }).await
    }
}
