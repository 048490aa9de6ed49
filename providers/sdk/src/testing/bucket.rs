//! `test_bucket`: found by a name that dmp chooses. Its listing tells names alone, so each that is there is asked for by
//! itself; a create waits until the bucket is ready.

use std::time::Duration;

use async_trait::async_trait;

use super::cloud::Bucket;
use super::provider::{Wire, failed};
use crate::change::{Change, Effect};
use crate::diagnostic::Diagnostic;
use crate::resource::{
    Answers, Cx, Fetch, Job, Known, Mark, Object, Purpose, Query, Reading, Resource, Verb, Work,
    configured,
};
use crate::schema::{Attribute, Layer, MarkWay, Schema};
use crate::types::Type;
use crate::value::Value;

/// The resource type.
#[derive(Debug)]
pub(super) struct TestBucket {
    schema: Schema,
}

impl Default for TestBucket {
    fn default() -> Self {
        let schema = Schema::new("test_bucket", "A bucket, under a name that dmp chooses.")
            .layer(Layer::Storage)
            .mark(MarkWay::ChosenName("name"))
            .on_delete("Removes the bucket.")
            .attribute(
                "label",
                Attribute::required(Type::String, "What its name begins with.").replaces(),
            )
            .attribute(
                "size",
                Attribute::default(
                    Type::Number,
                    "Its size. A change restarts the gateway, a smaller one loses data.",
                    1,
                ),
            )
            .attribute(
                "name",
                Attribute::computed(Type::String, "Its name: the label and the mark."),
            );
        Self { schema }
    }
}

/// The name that was chosen, or that an `import` block gives.
fn name(known: &Known<'_>) -> Option<String> {
    let chosen = known.chosen.get("name");
    chosen.as_str().or(known.id).map(ToOwned::to_owned)
}

#[async_trait]
impl Resource for TestBucket {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, _known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        Ok(vec![Fetch::Api(Query("buckets".into()))])
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let names = answers
            .json(0)?
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let Some(name) = name(known).filter(|name| names.iter().any(|found| found == name)) else {
            return Ok(Reading::Absent);
        };
        if answers.len() == 1 {
            let more = Query(format!("bucket {name}"));
            return Ok(Reading::More(vec![Fetch::Api(more)]));
        }
        // Between the two answers it may have gone.
        let bucket: Option<Bucket> = serde_json::from_value(answers.json(1)?.clone())
            .map_err(|error| Diagnostic::bug(error.to_string()))?;
        let Some(bucket) = bucket else {
            return Ok(Reading::Absent);
        };
        let object = Object {
            attributes: Value::object_of([
                ("label", bucket.label.as_str().into()),
                ("size", bucket.size.into()),
                ("name", name.as_str().into()),
            ]),
            id: Some(name),
        };
        Ok(match known.purpose {
            Purpose::Settle | Purpose::Suspect if !bucket.is_ready => {
                Reading::HalfMade(object, "it is not ready yet".into())
            }
            _ => Reading::Found(object),
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let size = |value: &Value| value.get("size").as_i64();
        let Some(prior) = change.prior else {
            return Ok(());
        };
        let label = prior.get("label").as_str().unwrap_or_default().to_owned();
        if change.changes("size") {
            let what = format!("the gateway of {label}");
            change.effect(Effect::Restart { what });
        }
        if size(&change.planned) < size(prior) {
            change.effect(Effect::DataLoss { what: label });
        }
        Ok(())
    }

    fn choose(&self, mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let label = wanted.get("label");
        let name = format!(
            "{}-{}-{}",
            label.as_str().unwrap_or_default(),
            mark.lineage,
            mark.instance
        );
        Ok(Value::object_of([("name", name.into())]))
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let wire: &Wire = configured(cx.provider())?;
        let chosen = job.chosen.get("name");
        let name = chosen.as_str().or(job.id).unwrap_or_default().to_owned();
        cx.begin(&format!("{} the bucket", job.verb)).await?;
        wire.latency().await?;
        let changed = wire.cloud.change(|state| {
            state.calls.push(format!("{} {name}", job.verb));
            let Some(wanted) = job.wanted else {
                state.buckets.remove(&name);
                return;
            };
            let label = wanted.get("label").as_str().unwrap_or_default().to_owned();
            let is_ready = !state.faults.slow.contains(&label);
            let bucket = Bucket {
                size: wanted.get("size").as_i64().unwrap_or(1),
                label,
                is_ready,
            };
            state.buckets.insert(name.clone(), bucket);
        });
        changed.map_err(|error| failed(&error))?;
        if matches!(job.verb, Verb::Delete | Verb::Leave) {
            return Ok(());
        }
        cx.record_id(&name).await?;
        cx.waiting("until the bucket is ready", Duration::from_secs(60));
        loop {
            let state = wire.cloud.look().map_err(|error| failed(&error))?;
            match state.buckets.get(&name) {
                Some(bucket) if bucket.is_ready => return Ok(()),
                Some(_) if cx.is_cancelled() => {
                    return Err(Diagnostic::remote("stopped", "it is not ready yet"));
                }
                Some(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                None => return Err(Diagnostic::remote("gone", "the bucket is gone")),
            }
        }
    }
}
