//! `test_thing`: made by two calls, with an id that the cloud gives and a mark in a field. `test_late_thing` is the same, and may come
//! about when who has asked for it is gone.

use std::time::Duration;

use async_trait::async_trait;

use super::cloud::Thing;
use super::provider::{Wire, failed};
use crate::diagnostic::Diagnostic;
use crate::resource::{
    Answers, Candidate, Cx, FailureDomain, Fetch, Job, Known, Object, Purpose, Query, Reading,
    Resource, Verb, Work, configured,
};
use crate::schema::{Attribute, Layer, MarkWay, Quantifier, Schema};
use crate::types::Type;
use crate::value::Value;

/// The resource type.
#[derive(Debug)]
pub(super) struct TestThing {
    schema: Schema,
    comes_within: Duration,
}

impl Default for TestThing {
    fn default() -> Self {
        Self::named("test_thing", Duration::ZERO)
    }
}

impl TestThing {
    /// One that comes about within some seconds after its call.
    pub(super) fn late() -> Self {
        Self::named("test_late_thing", Duration::from_secs(10))
    }

    fn named(name: &'static str, comes_within: Duration) -> Self {
        let schema = Schema::new(name, "An object of the cloud in a file.")
            .layer(Layer::Machine)
            .mark(MarkWay::Field("mark"))
            .ends_hosted()
            .on_delete("Removes the object from the file.")
            .attribute(
                "name",
                Attribute::required(Type::String, "Its name.").replaces(),
            )
            .attribute("size", Attribute::default(Type::Number, "Its size.", 1))
            .attribute(
                "secret",
                Attribute::optional(Type::String, "A secret.").sensitive(),
            )
            .attribute(
                "on",
                Attribute::optional(Type::String, "What it stands on.").hosting(Quantifier::All),
            )
            .attribute(
                "id",
                Attribute::computed(Type::String, "The id that the cloud gave."),
            );
        Self {
            schema,
            comes_within,
        }
    }
}

fn object(id: &str, thing: &Thing, known: &Value) -> Object {
    let attributes = Value::object_of([
        ("name", thing.name.as_str().into()),
        ("size", thing.size.into()),
        ("secret", thing.secret.clone().into()),
        ("on", known.get("on")),
        ("id", id.into()),
    ]);
    Object {
        attributes,
        id: Some(id.to_owned()),
    }
}

impl TestThing {
    fn things(answers: Answers<'_>) -> Result<Vec<(String, Thing)>, Diagnostic> {
        let things = answers.json(0)?.as_object().cloned().unwrap_or_default();
        let parse = |(id, json)| {
            let thing =
                serde_json::from_value(json).map_err(|error| Diagnostic::bug(error.to_string()))?;
            Ok((id, thing))
        };
        things.into_iter().map(parse).collect()
    }
}

#[async_trait]
impl Resource for TestThing {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn comes_within(&self) -> Duration {
        self.comes_within
    }

    fn fetches(&self, _known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        Ok(vec![Fetch::Api(Query("things".into()))])
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        if known.purpose == Purpose::Settle {
            return Ok(Reading::Absent);
        }
        let found = Self::things(answers)?
            .into_iter()
            .find(|(id, _)| Some(id.as_str()) == known.id);
        Ok(match found {
            Some((id, thing)) if thing.is_whole => {
                Reading::Found(object(&id, &thing, known.attributes))
            }
            Some((id, thing)) => Reading::HalfMade(
                object(&id, &thing, known.attributes),
                "its second call is missing".into(),
            ),
            None => Reading::Absent,
        })
    }

    fn find(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Vec<Candidate>, Diagnostic> {
        let mark = known.mark.map(ToString::to_string);
        let things = Self::things(answers)?.into_iter();
        let ours = things.filter(|(id, thing)| {
            Some(id.as_str()) == known.id || Some(&thing.mark) == mark.as_ref()
        });
        let candidate = |(id, thing): (String, Thing)| Candidate {
            object: object(&id, &thing, known.attributes),
            half_made: (!thing.is_whole).then(|| "its second call is missing".into()),
        };
        Ok(ours.map(candidate).collect())
    }

    /// The part of its name behind an `@` is the rack that it stands in.
    fn failure_domains(&self, value: &Value) -> Vec<FailureDomain> {
        let name = value.get("name");
        let rack = name.as_str().and_then(|name| name.split_once('@'));
        let domain = rack.map(|(_, rack)| FailureDomain {
            kind: "rack".into(),
            name: rack.to_owned(),
        });
        domain.into_iter().collect()
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let wire: &Wire = configured(cx.provider())?;
        match job.verb {
            Verb::Create => self.create(cx, wire, job).await,
            Verb::Update => {
                cx.begin("change the thing").await?;
                wire.latency().await?;
                let (wanted, id) = (job.wanted()?, job.id.unwrap_or_default());
                let changed = wire.cloud.change(|state| {
                    state.calls.push(format!("change {id}"));
                    let thing = state.things.get_mut(id)?;
                    // What is imported carries no mark yet.
                    thing.mark = job.mark.to_string();
                    thing.size = wanted.get("size").as_i64().unwrap_or(1);
                    thing.secret = wanted.get("secret").as_str().map(ToOwned::to_owned);
                    Some(())
                });
                changed.map_err(|error| failed(&error))?;
                Ok(())
            }
            Verb::Delete | Verb::Leave => {
                cx.begin("delete the thing").await?;
                wire.latency().await?;
                let id = job.id.unwrap_or_default();
                let mark = job.mark.to_string();
                let removed = wire.cloud.change(|state| {
                    state.calls.push(format!("delete {id}"));
                    // An id may have been given out again: the mark must agree.
                    if state.things.get(id).is_some_and(|thing| thing.mark == mark) {
                        state.things.remove(id);
                    }
                });
                removed.map_err(|error| failed(&error))
            }
        }
    }
}

impl TestThing {
    async fn create(&self, cx: &dyn Cx, wire: &Wire, job: &Job<'_>) -> Result<(), Diagnostic> {
        let wanted = job.wanted()?;
        let name = wanted.get("name").as_str().unwrap_or_default().to_owned();
        let mut id = job.id.map(ToOwned::to_owned);
        if id.is_none() {
            cx.begin("make the thing").await?;
            wire.latency().await?;
            let thing = Thing {
                mark: job.mark.to_string(),
                name: name.clone(),
                size: wanted.get("size").as_i64().unwrap_or(1),
                secret: wanted.get("secret").as_str().map(ToOwned::to_owned),
                is_whole: false,
            };
            let made = wire.cloud.change(|state| {
                state.calls.push(format!("make {name}"));
                if state.faults.refuse.contains(&name) {
                    // Clouds quote what they were sent.
                    let cause = format!("no room for {thing:?}");
                    return Err(Diagnostic::remote("refused", "the cloud refused").cause(cause));
                }
                state.given += 1;
                let id = format!("t-{}", state.given);
                match state.faults.late {
                    0 => drop(state.things.insert(id.clone(), thing)),
                    late => drop(state.coming.insert(id.clone(), (late, thing))),
                }
                if state.faults.lose_answer.contains(&name) {
                    return Err(Diagnostic::remote("lost", "the cloud gave no answer")
                        .cause("connection reset"));
                }
                Ok(id)
            });
            let made = made.map_err(|error| failed(&error))??;
            // The answer is on its way.
            if !self.comes_within.is_zero() {
                wire.latency().await?;
            }
            cx.record_id(&made).await?;
            id = Some(made);
        }
        cx.waiting("the thing comes up", Duration::from_secs(60));
        wire.latency().await?;
        cx.begin("finish the thing").await?;
        wire.latency().await?;
        let id = id.unwrap_or_default();
        let finished = wire.cloud.change(|state| {
            state.calls.push(format!("finish {id}"));
            if let Some(thing) = state.things.get_mut(&id) {
                thing.is_whole = true;
            }
        });
        finished.map_err(|error| failed(&error))
    }
}
