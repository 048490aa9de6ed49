//! `core_time_rotating`: a time that is taken anew when it has become too old.

use dmp_sdk::{Answers, Attribute, Change, Diagnostic, Fetch, Layer, Mark, Schema, Type, Value};

use super::{
    base, check_offsets, check_time, moved, parts, too_far, triggers, with_parts, written,
};
use crate::record::{Chosen, text, wrong};
use crate::wire::{Question, asked_at};

/// The type.
pub(crate) struct TimeRotating;

const UNITS: [&str; 5] = ["years", "months", "days", "hours", "minutes"];

impl Chosen for TimeRotating {
    fn schema() -> Schema {
        let schema = Schema::new("core_time_rotating", "A time that is taken anew by the first plan after its rotation is due. Others are replaced with it by `keepers`, `triggers` or `replace_triggered_by`.")
            .layer(Layer::Network)
            .on_delete("It leaves the state.")
            .attribute("rfc3339", Attribute::optional_computed(Type::String, "The time from which is counted, as in RFC 3339. Not given: when it was made.").replaces())
            .attribute("triggers", triggers())
            .attribute("rotation_rfc3339", Attribute::optional_computed(Type::String, "When it is taken anew: given, or computed from the other `rotation_…`."))
            .attribute("is_due", Attribute::computed(Type::Bool, "Whether the time of the rotation has come; the plan then takes a new time."))
            .attribute("id", Attribute::computed(Type::String, "The time from which is counted, in UTC."));
        let schema = UNITS.into_iter().fold(schema, |schema, unit| {
            let doc = "After how many of these, counted together, it is taken anew.";
            schema.attribute(
                &format!("rotation_{unit}"),
                Attribute::optional(Type::Number, doc),
            )
        });
        parts(schema)
    }

    fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
        check_time(change, "rfc3339")?;
        check_time(change, "rotation_rfc3339")?;
        let is_counted = check_offsets(change, "rotation_", 0)?;
        let is_given = !change.config.get("rotation_rfc3339").is_null();
        if is_counted == is_given {
            return Err(wrong(
                "rotation_rfc3339",
                "no rotation, or two",
                "either `rotation_rfc3339` is given, or some of the other `rotation_…`",
            ));
        }
        let Some(prior) = change.prior else {
            return Ok(());
        };
        let is_changed = UNITS
            .iter()
            .any(|unit| change.changes(&format!("rotation_{unit}")))
            || change.changes("rotation_rfc3339");
        if prior.get("is_due").as_bool() == Some(true) && !is_changed {
            let when = text(prior, "rotation_rfc3339");
            change.replace("is_due", format!("it was to be taken anew from {when} on"));
        } else if is_changed {
            change.unknown("is_due");
            if is_counted {
                change.unknown("rotation_rfc3339");
            }
        }
        Ok(())
    }

    fn choose(_mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let from = base(wanted);
        moved(wanted, "rotation_", from).ok_or_else(|| too_far("rotation_days"))?;
        let text = written(from)?;
        let given = wanted.get("rfc3339");
        let stays = if given.is_null() {
            text.as_str().into()
        } else {
            given
        };
        let value = Value::object_of([("id", text.into()), ("rfc3339", stays)]);
        Ok(with_parts(&value, from))
    }

    fn fetches() -> Result<Vec<Fetch>, Diagnostic> {
        Ok(vec![Question::Time.fetch()?])
    }

    fn derive(attributes: Value, answers: Answers<'_>) -> Result<Value, Diagnostic> {
        let is_counted = UNITS
            .iter()
            .any(|unit| !attributes.get(&format!("rotation_{unit}")).is_null());
        let no_time = || Diagnostic::bug("the time of a rotation is none");
        let (attributes, due) = if is_counted {
            let from = super::read(&text(&attributes, "id")).ok_or_else(no_time)?;
            let due = moved(&attributes, "rotation_", from);
            let due = due.ok_or_else(|| too_far("rotation_days"))?;
            (
                attributes.with("rotation_rfc3339", written(due)?.into()),
                due,
            )
        } else {
            let due = super::read(&text(&attributes, "rotation_rfc3339")).ok_or_else(no_time)?;
            (attributes, due)
        };
        let is_due = asked_at(answers)? >= due;
        Ok(attributes.with("is_due", is_due.into()))
    }
}
