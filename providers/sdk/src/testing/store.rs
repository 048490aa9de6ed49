//! `test_store` holds data that nobody can make again, and its schema has had another version; `test_group` lives on
//! several things at once.

use async_trait::async_trait;

use super::cloud::Store;
use super::provider::{Wire, failed};
use crate::diagnostic::Diagnostic;
use crate::resource::{
    Answers, Cx, Fetch, Job, Known, Object, Query, Reading, Resource, Verb, Work, configured,
};
use crate::schema::{Attribute, HoldsData, Layer, MarkWay, Quantifier, Schema};
use crate::types::Type;
use crate::value::Value;

/// The resource type `test_store`.
#[derive(Debug)]
pub(super) struct TestStore {
    schema: Schema,
}

impl Default for TestStore {
    fn default() -> Self {
        let schema = Schema::new("test_store", "A place for data.")
            .version(2)
            .layer(Layer::Storage)
            .mark(MarkWay::NaturalKey(&["name"]))
            .holds_data(HoldsData::Primary)
            .on_delete("Removes the place and all data in it.")
            .attribute(
                "name",
                Attribute::required(Type::String, "Its name.")
                    .replaces()
                    .unique(),
            )
            .attribute(
                "size",
                Attribute::default(
                    Type::Number,
                    "Its size; version 1 called it `gigabytes`.",
                    1,
                ),
            );
        Self { schema }
    }
}

/// The resource type `test_group`.
#[derive(Debug)]
pub(super) struct TestGroup {
    schema: Schema,
}

impl Default for TestGroup {
    fn default() -> Self {
        let schema = Schema::new("test_group", "Something that lives on several things.")
            .layer(Layer::Cluster)
            .mark(MarkWay::NaturalKey(&["name"]))
            .on_delete("Removes it.")
            .attribute(
                "name",
                Attribute::required(Type::String, "Its name.")
                    .replaces()
                    .unique(),
            )
            .attribute(
                "quorum",
                Attribute::optional(Type::list(Type::String), "It needs a quorum of these.")
                    .hosting(Quantifier::Quorum),
            )
            .attribute(
                "either",
                Attribute::optional(Type::list(Type::String), "It needs any of these.")
                    .hosting(Quantifier::Any),
            );
        Self { schema }
    }
}

fn key(known: &Value) -> Option<String> {
    known.get("name").as_str().map(ToOwned::to_owned)
}

fn fetches(known: &Known<'_>, what: &str) -> Vec<Fetch> {
    let name = known.attributes.get("name");
    match name.is_known() {
        true => vec![Fetch::Api(Query(what.into()))],
        false => Vec::new(),
    }
}

/// Writes or removes what stands at a name.
async fn change(
    cx: &dyn Cx,
    job: &Job<'_>,
    apply: impl FnOnce(&mut super::cloud::State, String, Option<i64>) + Send,
) -> Result<(), Diagnostic> {
    let wire: &Wire = configured(cx.provider())?;
    let subject = job.value()?;
    let name = key(subject).unwrap_or_default();
    let size = match job.verb {
        Verb::Create | Verb::Update => Some(subject.get("size").as_i64().unwrap_or(1)),
        Verb::Delete | Verb::Leave => None,
    };
    cx.begin(&format!("{} it", job.verb)).await?;
    wire.latency().await?;
    let changed = wire.cloud.change(|state| {
        state.calls.push(format!("{} {name}", job.verb));
        apply(state, name, size);
    });
    changed.map_err(|error| failed(&error))
}

#[async_trait]
impl Resource for TestStore {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        Ok(fetches(known, "stores"))
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let name = key(known.attributes).unwrap_or_default();
        let Some(store) = answers.json(0)?.get(&name) else {
            return Ok(Reading::Absent);
        };
        let store: Store = serde_json::from_value(store.clone())
            .map_err(|error| Diagnostic::bug(error.to_string()))?;
        let attributes = known.attributes.with("size", store.size.into());
        Ok(Reading::Found(Object {
            attributes,
            id: None,
        }))
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        change(cx, job, |state, name, size| match size {
            Some(size) => {
                state.stores.insert(name, Store { size });
            }
            None => {
                state.stores.remove(&name);
            }
        })
        .await
    }

    fn upgrade(&self, from: u32, attributes: Value) -> Result<Value, Diagnostic> {
        match from {
            1 => Ok(Value::object_of([
                ("name", attributes.get("name")),
                ("size", attributes.get("gigabytes")),
            ])),
            other => Err(Diagnostic::bug(format!("there was no version {other}"))),
        }
    }
}

#[async_trait]
impl Resource for TestGroup {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        Ok(fetches(known, "groups"))
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let name = key(known.attributes).unwrap_or_default();
        Ok(match answers.json(0)?.get(&name) {
            Some(_) => Reading::Found(Object {
                attributes: known.attributes.clone(),
                id: None,
            }),
            None => Reading::Absent,
        })
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        change(cx, job, |state, name, size| match size {
            Some(_) => {
                state.groups.insert(name, Store::default());
            }
            None => {
                state.groups.remove(&name);
            }
        })
        .await
    }
}
