//! `test_slot`: at a number that is chosen and recorded before the call, as machines have one in some clouds. Numbers
//! are given out again; a second identity tells whether it is ours.

use async_trait::async_trait;

use super::cloud::Slot;
use super::provider::{Wire, failed};
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
pub(super) struct TestSlot {
    schema: Schema,
}

impl Default for TestSlot {
    fn default() -> Self {
        let schema = Schema::new("test_slot", "A numbered place of the cloud in a file.")
            .layer(Layer::Machine)
            .mark(MarkWay::IdBefore {
                id: "number",
                second: "identity",
            })
            .ends_hosted()
            .on_delete("Empties the place.")
            .attribute("text", Attribute::required(Type::String, "What is in it."))
            .attribute(
                "number",
                Attribute::computed(Type::String, "Its number, from 100 to 999."),
            )
            .attribute(
                "identity",
                Attribute::computed(Type::String, "The second identity, that no other has."),
            );
        Self { schema }
    }
}

#[async_trait]
impl Resource for TestSlot {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, _known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        Ok(vec![Fetch::Api(Query("slots".into()))])
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let chosen = known.chosen.get("number");
        let Some(number) = chosen.as_str().or(known.id).map(ToOwned::to_owned) else {
            return Ok(Reading::Absent);
        };
        let Some(slot) = answers.json(0)?.get(&number) else {
            return Ok(Reading::Absent);
        };
        let slot: Slot = serde_json::from_value(slot.clone())
            .map_err(|error| Diagnostic::bug(error.to_string()))?;
        let ours = known.mark.map(ToString::to_string);
        let is_ours = known.purpose == Purpose::Import || ours.as_ref() == Some(&slot.identity);
        if !is_ours {
            return Ok(Reading::Absent);
        }
        Ok(Reading::Found(Object {
            attributes: Value::object_of([
                ("text", slot.text.into()),
                ("number", number.as_str().into()),
                ("identity", slot.identity.into()),
            ]),
            id: Some(number),
        }))
    }

    fn choose(&self, mark: &Mark, _wanted: &Value) -> Result<Value, Diagnostic> {
        let spread = mark.instance.bytes().fold(0_u32, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u32::from(byte))
        });
        let number = 100 + spread % 900;
        Ok(Value::object_of([
            ("number", number.to_string().into()),
            ("identity", mark.to_string().into()),
        ]))
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let wire: &Wire = configured(cx.provider())?;
        let number = job.id.unwrap_or_default().to_owned();
        let identity = job.mark.to_string();
        cx.begin(&format!("{} the place", job.verb)).await?;
        wire.latency().await?;
        let changed = wire.cloud.change(|state| {
            let found = state.slots.get(&number);
            let is_anothers = found.is_some_and(|slot| slot.identity != identity);
            match job.verb {
                Verb::Create if is_anothers => Err(Diagnostic::remote(
                    "taken",
                    format!("the number {number} is taken"),
                )),
                Verb::Create | Verb::Update => {
                    state.calls.push(format!("{} slot {number}", job.verb));
                    let text = job.wanted()?.get("text");
                    let text = text.as_str().unwrap_or_default().to_owned();
                    let slot = Slot {
                        identity: identity.clone(),
                        text,
                    };
                    state.slots.insert(number, slot);
                    match state.faults.lose_answer.is_empty() {
                        true => Ok(()),
                        false => Err(Diagnostic::remote("lost", "the cloud gave no answer")),
                    }
                }
                // The number may have been given out again.
                Verb::Delete | Verb::Leave if is_anothers => Ok(()),
                Verb::Delete | Verb::Leave => {
                    state.calls.push(format!("{} slot {number}", job.verb));
                    state.slots.remove(&number);
                    Ok(())
                }
            }
        });
        changed.map_err(|error| failed(&error))?
    }
}
