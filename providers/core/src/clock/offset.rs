//! `core_time_offset`: a time some while before or after the one at which it was made.

use dmp_sdk::{Answers, Attribute, Change, Diagnostic, Layer, Mark, Schema, Type, Value};

use super::{
    UNITS, base, check_offsets, check_time, moved, parts, too_far, triggers, with_parts, written,
};
use crate::record::{Chosen, text, wrong};

/// The type.
pub(crate) struct TimeOffset;

impl Chosen for TimeOffset {
    fn schema() -> Schema {
        let schema = Schema::new("core_time_offset", "A time some while before or after the one at which it was made. A changed offset is counted from the same time.")
            .layer(Layer::Network)
            .on_delete("It leaves the state.")
            .attribute("base_rfc3339", Attribute::optional_computed(Type::String, "The time from which is counted, as in RFC 3339. Not given: when it was made.").replaces())
            .attribute("triggers", triggers())
            .attribute("rfc3339", Attribute::computed(Type::String, "The time that it comes to, in UTC."))
            .attribute("id", Attribute::computed(Type::String, "The time from which is counted, in UTC."));
        let schema = UNITS.into_iter().fold(schema, |schema, unit| {
            let doc = "How many of these later; below zero: earlier.";
            schema.attribute(
                &format!("offset_{unit}"),
                Attribute::optional(Type::Number, doc),
            )
        });
        parts(schema)
    }

    fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
        check_time(change, "base_rfc3339")?;
        if !check_offsets(change, "offset_", -1_000_000_000)? {
            return Err(wrong(
                "offset_days",
                "no offset",
                "none of the arguments `offset_…` is given",
            ));
        }
        let is_offset = |unit: &&str| change.changes(&format!("offset_{unit}"));
        if change.prior.is_some() && UNITS.iter().any(is_offset) {
            for name in [
                "rfc3339", "unix", "year", "month", "day", "hour", "minute", "second",
            ] {
                change.unknown(name);
            }
        }
        Ok(())
    }

    fn choose(_mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let from = base(&wanted.with("rfc3339", Value::null()));
        // What is beyond all years is to be refused before it is recorded.
        moved(wanted, "offset_", from).ok_or_else(|| too_far("offset_days"))?;
        let text = written(from)?;
        let given = wanted.get("base_rfc3339");
        let stays = if given.is_null() {
            text.as_str().into()
        } else {
            given
        };
        Ok(Value::object_of([
            ("id", text.into()),
            ("base_rfc3339", stays),
        ]))
    }

    fn derive(attributes: Value, _answers: Answers<'_>) -> Result<Value, Diagnostic> {
        let from = super::read(&text(&attributes, "id"));
        let from = from.ok_or_else(|| Diagnostic::bug("the time from which is counted is none"))?;
        let at = moved(&attributes, "offset_", from).ok_or_else(|| too_far("offset_days"))?;
        let value = attributes.with("rfc3339", written(at)?.into());
        Ok(with_parts(&value, at))
    }
}
