//! `test_entry`: an object at a natural key, whose earlier value is put back.

use async_trait::async_trait;

use super::cloud::Entry;
use super::provider::{Wire, failed};
use crate::diagnostic::Diagnostic;
use crate::resource::{
    Answers, Cx, Fetch, Job, Known, Object, Query, Reading, Resource, Verb, Work, configured,
};
use crate::schema::{Attribute, Layer, MarkWay, Quantifier, Schema};
use crate::types::{Member, Type};
use crate::value::Value;

/// The resource type.
#[derive(Debug)]
pub(super) struct TestEntry {
    schema: Schema,
}

impl Default for TestEntry {
    fn default() -> Self {
        let schema = Schema::new("test_entry", "A text at a key.")
            .layer(Layer::Host)
            .mark(MarkWay::NaturalKey(&["key"]))
            .on_delete("Puts back what was there before, or removes the entry.")
            .attribute(
                "key",
                Attribute::required(Type::String, "Where it stands.")
                    .replaces()
                    .unique(),
            )
            .attribute(
                "text",
                Attribute::required(Type::String, "What stands there."),
            )
            .attribute(
                "on",
                Attribute::optional(Type::String, "What it stands on.").hosting(Quantifier::All),
            )
            .attribute(
                "note",
                Attribute::optional(Type::list(note()), "Notes that the cloud has no place for.")
                    .block(),
            )
            .attribute(
                "length",
                Attribute::computed(Type::Number, "How long the text is."),
            );
        Self { schema }
    }
}

/// A note, with words in blocks of its own.
fn note() -> Type {
    let word = Type::object([("text", Type::String)]);
    let member = |ty, optional| Member {
        ty,
        optional,
        default: None,
    };
    Type::Object(
        [
            ("title".into(), member(Type::String, false)),
            ("word".into(), member(Type::list(word), true)),
        ]
        .into(),
    )
}

#[async_trait]
impl Resource for TestEntry {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        let key = known.attributes.get("key");
        Ok(if key.is_known() {
            vec![Fetch::Api(Query("entries".into()))]
        } else {
            Vec::new()
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let key = known.attributes.get("key");
        let entries = answers.json(0)?;
        let Some(entry) = entries.get(key.as_str().unwrap_or_default()) else {
            return Ok(Reading::Absent);
        };
        let entry: Entry = serde_json::from_value(entry.clone())
            .map_err(|error| Diagnostic::bug(error.to_string()))?;
        let length = i64::try_from(entry.text.len()).unwrap_or(i64::MAX);
        let attributes = Value::object_of([
            ("key", key),
            ("text", entry.text.into()),
            ("on", known.attributes.get("on")),
            ("note", known.attributes.get("note")),
            ("length", length.into()),
        ]);
        Ok(Reading::Found(Object {
            attributes,
            id: None,
        }))
    }

    fn plan(&self, change: &mut crate::change::Change<'_>) -> Result<(), Diagnostic> {
        if change.changes("text") {
            change.unknown("length");
        }
        Ok(())
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let wire: &Wire = configured(cx.provider())?;
        let subject = job.value()?;
        let key = subject.get("key").as_str().unwrap_or_default().to_owned();
        let text = match job.verb {
            Verb::Create | Verb::Update => job.wanted()?.get("text"),
            // What was there before comes back.
            Verb::Delete | Verb::Leave => job
                .earlier
                .map(|earlier| earlier.get("text"))
                .unwrap_or_default(),
        };
        cx.begin("write the entry").await?;
        wire.latency().await?;
        let written = wire.cloud.change(|state| {
            state.calls.push(format!("{} {key}", job.verb));
            match text.as_str() {
                Some(text) => state.entries.insert(
                    key.clone(),
                    Entry {
                        text: text.to_owned(),
                    },
                ),
                None => state.entries.remove(&key),
            };
        });
        written.map_err(|error| failed(&error))
    }
}
