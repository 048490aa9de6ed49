//! `core_sleep`: a while between what it waits for and what waits for it.

use std::time::Duration;

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Attribute, Change, Cx, Diagnostic, Fetch, Job, Known, Layer, Mark, MarkWay, Object,
    Purpose, Reading, Resource, Schema, Type, Value, Verb, Work,
};

use super::triggers;
use crate::record::{text, wrong};

/// The resource type.
pub(crate) struct Sleep {
    schema: Schema,
}

impl Sleep {
    pub(crate) fn new() -> Self {
        let duration = |doc| Attribute::optional(Type::String, doc);
        let schema = Schema::new("core_sleep", "A while of waiting when it is created or destroyed, between what it depends on and what depends on it. Where something can be asked whether it is ready, ask that instead.")
            .layer(Layer::Network)
            .mark(MarkWay::Record)
            .on_delete("It waits for `destroy_duration`, and leaves the state.")
            .attribute("create_duration", duration("How long a create waits: `30s`, `5m`, `1h30m`, `250ms`; at most a day."))
            .attribute("destroy_duration", duration("How long a delete waits."))
            .attribute("triggers", triggers())
            .attribute("id", Attribute::computed(Type::String, "An id that no other object has."));
        Self { schema }
    }
}

/// A length of time as Go writes it, without a sign.
fn duration(written: &str) -> Option<Duration> {
    let mut rest = written;
    let mut sum = Duration::ZERO;
    if rest == "0" {
        return Some(sum);
    }
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, behind) = rest.split_at(end);
        let number: f64 = number.parse().ok()?;
        let units = [("ms", 0.001), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];
        let (unit, seconds) = units.iter().find(|(unit, _)| behind.starts_with(unit))?;
        sum = sum.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = &behind[unit.len()..];
    }
    (!written.is_empty() && sum <= Duration::from_secs(86_400)).then_some(sum)
}

#[async_trait]
impl Resource for Sleep {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, _known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        Ok(Vec::new())
    }

    fn parse(&self, known: &Known<'_>, _answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let object = Object {
            attributes: known.attributes.with("id", known.chosen.get("id")),
            id: None,
        };
        Ok(match known.purpose {
            Purpose::Settle | Purpose::Suspect => {
                Reading::HalfMade(object, "its while of waiting was cut off".into())
            }
            _ => Reading::Found(object),
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let names = ["create_duration", "destroy_duration"];
        if names.iter().all(|name| change.planned.get(name).is_null()) {
            return Err(wrong(
                "create_duration",
                "nothing to wait for",
                "neither `create_duration` nor `destroy_duration` is given",
            ));
        }
        for name in names {
            let value = change.planned.get(name);
            if value
                .as_str()
                .is_some_and(|written| duration(written).is_none())
            {
                return Err(wrong(
                    name,
                    "not a length of time",
                    "it is written as `30s`, `5m` or `1h30m`, and at most a day",
                ));
            }
        }
        Ok(())
    }

    fn choose(&self, mark: &Mark, _wanted: &Value) -> Result<Value, Diagnostic> {
        Ok(Value::object_of([("id", mark.instance.as_str().into())]))
    }

    fn import(&self, _id: &str, _attributes: &Value) -> Result<Value, Diagnostic> {
        Err(Diagnostic::error(
            "no-import",
            "a while of waiting can't be imported",
        ))
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(match job.verb {
            Verb::Create | Verb::Delete => Work::Calls,
            Verb::Update | Verb::Leave => Work::Steps(Vec::new()),
        })
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let written = match job.verb {
            Verb::Create => text(job.wanted()?, "create_duration"),
            Verb::Delete => text(job.prior()?, "destroy_duration"),
            Verb::Update | Verb::Leave => String::new(),
        };
        let Some(length) = duration(&written) else {
            return Ok(());
        };
        cx.begin(&format!("wait for {written}")).await?;
        cx.record_id(&job.mark.instance).await?;
        cx.waiting(&format!("{written} pass"), length);
        tokio::time::sleep(length).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_go_writes_them() {
        let seconds = |written| duration(written).map(|length| length.as_secs_f64());
        assert_eq!(seconds("1h30m"), Some(5400.0));
        assert_eq!(seconds("1.5s"), Some(1.5));
        assert_eq!(seconds("250ms"), Some(0.25));
        for wrong in ["", "5", "s", "-5s", "25h", "5 s", "1e9h"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
