//! `core_time_static`: the time at which it was made.

use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Mark, Schema, Type, Value};

use super::{base, check_time, parts, triggers, with_parts, written};
use crate::record::{Chosen, no_such_id};

/// The type.
pub(crate) struct TimeStatic;

impl Chosen for TimeStatic {
    fn schema() -> Schema {
        let schema = Schema::new(
            "core_time_static",
            "The time at which it was made, which stays.",
        )
        .layer(Layer::Network)
        .on_delete("It leaves the state.")
        .counterpart("time_static", &["{rfc3339}"])
        .attribute(
            "rfc3339",
            Attribute::optional_computed(Type::String, "The time, as in RFC 3339. Not given: now.")
                .replaces(),
        )
        .attribute("triggers", triggers())
        .attribute("id", Attribute::computed(Type::String, "The time, in UTC."));
        parts(schema)
    }

    fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
        check_time(change, "rfc3339")
    }

    fn choose(_mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        results(base(wanted), wanted)
    }

    fn read(id: &str) -> Result<Value, Diagnostic> {
        let at = super::read(id).ok_or_else(|| no_such_id("`2026-02-12T06:36:13Z`"))?;
        results(at, &Value::object_of([("rfc3339", id.into())]))
    }
}

fn results(at: time::OffsetDateTime, wanted: &Value) -> Result<Value, Diagnostic> {
    let text = written(at)?;
    let given = wanted.get("rfc3339");
    let stays = if given.is_null() {
        text.as_str().into()
    } else {
        given
    };
    let value = Value::object_of([("id", text.into()), ("rfc3339", stays)]);
    Ok(with_parts(&value, at))
}
