//! Times that stay: `core_time_…` and `core_sleep`. Arguments and results are named as those of Terraform's provider `time`.

mod offset;
mod rotating;
mod sleep;
mod statics;

use dmp_sdk::{Attribute, Change, Diagnostic, Schema, Type, Value};
use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, Month, OffsetDateTime, UtcOffset};

pub(crate) use offset::TimeOffset;
pub(crate) use rotating::TimeRotating;
pub(crate) use sleep::Sleep;
pub(crate) use statics::TimeStatic;

use crate::record::{text, whole, wrong};

/// Units of an offset: the name's end and how much of it there may be.
const UNITS: [&str; 6] = ["years", "months", "days", "hours", "minutes", "seconds"];

/// The argument that makes a new time when it changes.
fn triggers() -> Attribute {
    Attribute::optional(
        Type::map(Type::String),
        "Any values: when one changes, a new time is taken.",
    )
    .replaces()
}

/// Adds the parts of a time to a schema.
fn parts(schema: Schema) -> Schema {
    let part = |doc| Attribute::computed(Type::Number, doc);
    schema
        .attribute("unix", part("Seconds since 1970."))
        .attribute("year", part("The year."))
        .attribute("month", part("The month, from 1."))
        .attribute("day", part("The day of the month."))
        .attribute("hour", part("The hour."))
        .attribute("minute", part("The minute."))
        .attribute("second", part("The second."))
}

/// The value with the parts of a time.
fn with_parts(value: &Value, at: OffsetDateTime) -> Value {
    let parts: [(&str, i64); 7] = [
        ("unix", at.unix_timestamp()),
        ("year", at.year().into()),
        ("month", u8::from(at.month()).into()),
        ("day", at.day().into()),
        ("hour", at.hour().into()),
        ("minute", at.minute().into()),
        ("second", at.second().into()),
    ];
    parts
        .into_iter()
        .fold(value.clone(), |value, (name, part)| {
            value.with(name, part.into())
        })
}

fn written(at: OffsetDateTime) -> Result<String, Diagnostic> {
    at.format(&Rfc3339)
        .map_err(|error| Diagnostic::bug(error.to_string()))
}

/// A time as it is written; in UTC and to the second.
fn read(written: &str) -> Option<OffsetDateTime> {
    let at = OffsetDateTime::parse(written, &Rfc3339).ok()?;
    at.to_offset(UtcOffset::UTC).replace_nanosecond(0).ok()
}

/// Refuses an argument that is no time.
fn check_time(change: &Change<'_>, name: &str) -> Result<(), Diagnostic> {
    let value = change.planned.get(name);
    match value.as_str() {
        Some(given) if read(given).is_none() => Err(wrong(
            name,
            "not a time",
            format!("`{given}` is not of the form `2026-02-12T06:36:13Z`"),
        )),
        _ => Ok(()),
    }
}

/// Whether one of the offsets with this prefix is given; refuses those that are none.
fn check_offsets(change: &Change<'_>, prefix: &str, least: i64) -> Result<bool, Diagnostic> {
    let mut is_given = false;
    for unit in UNITS {
        let name = format!("{prefix}{unit}");
        if change.schema.attributes.contains_key(name.as_str()) {
            whole(change, &name, least, 1_000_000_000)?;
            is_given |= !change.planned.get(&name).is_null();
        }
    }
    Ok(is_given)
}

/// A time and the offsets with this prefix together: years and months by the calendar, the rest as it passes.
fn moved(value: &Value, prefix: &str, from: OffsetDateTime) -> Option<OffsetDateTime> {
    let of = |unit: &str| value.get(&format!("{prefix}{unit}")).as_i64().unwrap_or(0);
    let months = of("years").checked_mul(12)?.checked_add(of("months"))?;
    let by_days = Duration::days(1).checked_mul(i32::try_from(of("days")).ok()?)?;
    let seconds = of("hours")
        .checked_mul(3600)?
        .checked_add(of("minutes").checked_mul(60)?)?
        .checked_add(of("seconds"))?;
    let at = by_months(from, months)?;
    at.checked_add(by_days)?
        .checked_add(Duration::seconds(seconds))
}

/// Some months later; a day that the month does not have goes into the next one, as in Go.
fn by_months(from: OffsetDateTime, months: i64) -> Option<OffsetDateTime> {
    let month = i64::from(from.year()) * 12 + i64::from(u8::from(from.month())) - 1;
    let month = month.checked_add(months)?;
    let year = i32::try_from(month.div_euclid(12)).ok()?;
    let number = u8::try_from(month.rem_euclid(12) + 1).ok()?;
    let first = Date::from_calendar_date(year, Month::try_from(number).ok()?, 1).ok()?;
    let date = first.checked_add(Duration::days(i64::from(from.day()) - 1))?;
    Some(from.replace_date(date))
}

fn too_far(name: &str) -> Diagnostic {
    wrong(
        name,
        "not a time",
        "the time that it comes to is beyond the year 9999",
    )
}

/// The time that an object was made for: the given one, or now.
fn base(wanted: &Value) -> OffsetDateTime {
    read(&text(wanted, "rfc3339"))
        .or_else(|| read(&text(wanted, "base_rfc3339")))
        .unwrap_or_else(crate::wire::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_go_by_the_calendar() {
        let moved_by = |from: &str, offsets: &[(&str, i64)]| {
            let value = offsets
                .iter()
                .fold(Value::object_of([]), |value, (name, count)| {
                    value.with(name, (*count).into())
                });
            let at = moved(&value, "offset_", read(from).expect("a time")).expect("in range");
            written(at).expect("is written")
        };
        let one = |unit, count| moved_by("2024-01-31T23:00:00Z", &[(unit, count)]);
        // As Go's `AddDate` has it: February 2024 has no 31st, which is two days into March.
        assert_eq!(one("offset_months", 1), "2024-03-02T23:00:00Z");
        assert_eq!(one("offset_years", 1), "2025-01-31T23:00:00Z");
        assert_eq!(one("offset_months", -2), "2023-12-01T23:00:00Z");
        assert_eq!(one("offset_hours", 2), "2024-02-01T01:00:00Z");
        assert_eq!(one("offset_days", -31), "2023-12-31T23:00:00Z");
    }
}
