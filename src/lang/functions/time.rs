//! Moments, as texts in the form of RFC 3339.

use dmp_sdk::{Span, Value};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use super::{Failure, Fault, Function, Gives, text, text_of};
use crate::evaluate::{Evaluation, unknown_not_null};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "formatdate",
        &[text("format"), text("timestamp")],
        Gives::Text,
        formatdate,
    ),
    Function::inside("plantimestamp", &[], Gives::Text, plantimestamp),
    Function::new(
        "timeadd",
        &[text("timestamp"), text("duration")],
        Gives::Text,
        timeadd,
    ),
    Function::new(
        "timecmp",
        &[text("timestamp"), text("other")],
        Gives::Number,
        |a| Ok((moment(a, 0)?.cmp(&moment(a, 1)?) as i64).into()),
    ),
    Function::inside("timestamp", &[], Gives::Text, timestamp),
];

fn plantimestamp(evaluation: &mut Evaluation, _: &[Value], _: &Span) -> Result<Value, Failure> {
    Ok(evaluation
        .scope
        .planned_at()
        .map_or_else(later, |moment| written(moment).into()))
}

/// Known while something is applied: the moment at which that began.
fn timestamp(evaluation: &mut Evaluation, _: &[Value], _: &Span) -> Result<Value, Failure> {
    Ok(evaluation
        .scope
        .chance()
        .map_or_else(later, |chance| written(chance.began).into()))
}

fn later() -> Value {
    unknown_not_null(dmp_sdk::Type::String)
}

fn moment(arguments: &[Value], index: usize) -> Result<OffsetDateTime, Fault> {
    let wrong = || {
        Fault::of(index, "a moment in the form of RFC 3339 is required")
            .help("write it like `2026-01-31T23:59:00Z`")
    };
    parsed(text_of(arguments, index)).ok_or_else(wrong)
}

/// `YYYY-MM-DDThh:mm:ss`, perhaps a fraction, and `Z` or an offset.
fn parsed(text: &str) -> Option<OffsetDateTime> {
    let number = |from: usize, length: usize| -> Option<u16> {
        let digits = text.get(from..from + length)?;
        let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        are_digits.then(|| digits.parse().ok()).flatten()
    };
    let small = |from: usize| number(from, 2).and_then(|number| u8::try_from(number).ok());
    let marks = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    if !marks
        .iter()
        .all(|(at, mark)| text.get(*at..*at + 1) == Some(mark))
    {
        return None;
    }
    let month = Month::try_from(small(5)?).ok()?;
    let date = Date::from_calendar_date(number(0, 4)?.into(), month, small(8)?).ok()?;
    let rest = text.get(19..)?;
    let (nanoseconds, zone) = match rest.strip_prefix('.') {
        Some(fraction) => {
            let end = fraction.find(|c: char| !c.is_ascii_digit())?;
            let digits = fraction
                .get(..end.min(9))
                .filter(|digits| !digits.is_empty())?;
            (format!("{digits:0<9}").parse().ok()?, &fraction[end..])
        }
        None => (0, rest),
    };
    let time = Time::from_hms_nano(small(11)?, small(14)?, small(17)?, nanoseconds).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_offset(offset(zone)?))
}

fn offset(text: &str) -> Option<UtcOffset> {
    if text == "Z" {
        return Some(UtcOffset::UTC);
    }
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let part = |text: &str, most: i32| -> Option<i32> {
        let is_part = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_part.then(|| text.parse().ok()).flatten()?;
        (number <= most).then_some(number)
    };
    let seconds = part(hours, 23)? * 3600 + part(minutes, 59)? * 60;
    match text.as_bytes().first()? {
        b'+' => UtcOffset::from_whole_seconds(seconds).ok(),
        b'-' => UtcOffset::from_whole_seconds(-seconds).ok(),
        _ => None,
    }
}

/// A moment as YAML writes it, in the form of RFC 3339: fields may have one digit, and the time may be missing.
pub(super) fn of_yaml(text: &str) -> Option<String> {
    let (date, rest) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    };
    let field = |text: &str| match text.len() {
        1 | 2 if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(format!("{text:0>2}")),
        _ => None,
    };
    let mut parts = date.splitn(3, '-');
    let year = parts.next().filter(|year| year.len() == 4)?;
    let (month, day) = (field(parts.next()?)?, field(parts.next()?)?);
    let Some(rest) = rest else {
        return parsed(&format!("{year}-{month}-{day}T00:00:00Z")).map(written);
    };
    let (time, is_zoned) = (&rest[1..], !rest.starts_with(' '));
    let end = match is_zoned {
        true => time.find(['Z', '+', '-'])?,
        false => time.len(),
    };
    let (clock, zone) = time.split_at(end);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.splitn(3, ':');
    let (hour, minute) = (field(parts.next()?)?, field(parts.next()?)?);
    let second = field(parts.next()?)?;
    let dot = if fraction.is_empty() { "" } else { "." };
    let zone = if is_zoned { zone } else { "Z" };
    parsed(&format!(
        "{year}-{month}-{day}T{hour}:{minute}:{second}{dot}{fraction}{zone}"
    ))
    .map(written)
}

fn written(moment: OffsetDateTime) -> String {
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}",
        moment.year(),
        u8::from(moment.month()),
        moment.day(),
        moment.hour(),
        moment.minute(),
        moment.second(),
        zone(moment, ":", "Z")
    )
}

/// The offset, or a word of its own for that of UTC.
fn zone(moment: OffsetDateTime, separator: &str, utc: &str) -> String {
    let seconds = moment.offset().whole_seconds();
    if seconds == 0 {
        return utc.to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
}

fn timeadd(arguments: &[Value]) -> Result<Value, Fault> {
    let start = moment(arguments, 0)?;
    let nanoseconds = nanoseconds(text_of(arguments, 1)).ok_or_else(|| {
        Fault::of(1, "a duration is required").help("write it like `1h30m` or `-15s`")
    })?;
    let end = start.checked_add(time::Duration::nanoseconds(nanoseconds));
    match end.filter(|end| (0..=9999).contains(&end.year())) {
        Some(end) => Ok(written(end).into()),
        None => Err(Fault::of(1, "the result is beyond the year 9999")),
    }
}

/// A length of time as `timeadd` takes it: numbers with units, such as `1h30m`. Negative ones are none.
#[must_use]
pub(crate) fn duration(text: &str) -> Option<std::time::Duration> {
    let nanoseconds = u64::try_from(nanoseconds(text)?).ok()?;
    Some(std::time::Duration::from_nanos(nanoseconds))
}

/// A duration: numbers with units.
fn nanoseconds(text: &str) -> Option<i64> {
    let (is_negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let digits = |text: &str| match text {
            "" => Some(0),
            text if text.len() > 19 => None,
            text => text.parse::<i128>().ok(),
        };
        sum += digits(whole)? * unit;
        let fraction = fraction.get(..fraction.len().min(18))?;
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        sum += digits(fraction)? * unit / scale;
        rest = after;
    }
    i64::try_from(if is_negative { -sum } else { sum }).ok()
}

/// A letter, as often as its form says, stands for a part of the moment; what stands between quotes stands for itself.
fn formatdate(arguments: &[Value]) -> Result<Value, Fault> {
    let moment = moment(arguments, 1)?;
    let mut rest = text_of(arguments, 0);
    let mut result = String::new();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '\'' => {
                let (literal, end) = quoted(rest)
                    .ok_or_else(|| Fault::of(0, "a `'` has no other that ends its text"))?;
                result.push_str(&literal);
                end
            }
            'a'..='z' | 'A'..='Z' => {
                let end = rest.find(|c| c != first).unwrap_or(rest.len());
                let part = part(moment, first, end).ok_or_else(|| {
                    let why = format!("`{}` stands for nothing", &rest[..end]);
                    Fault::of(0, why).help("write letters that stand for themselves between `'`")
                })?;
                result.push_str(&part);
                end
            }
            other => {
                result.push(other);
                other.len_utf8()
            }
        };
        rest = &rest[end..];
        super::bounded(result.len())?;
    }
    Ok(result.into())
}

/// The text between quotes, and where it ends; two quotes stand for one.
fn quoted(text: &str) -> Option<(String, usize)> {
    if text.starts_with("''") {
        return Some(("'".to_owned(), 2));
    }
    let mut literal = String::new();
    let mut at = 1;
    loop {
        let length = text[at..].find('\'')?;
        literal.push_str(&text[at..at + length]);
        at += length + 1;
        if !text[at..].starts_with('\'') {
            return Some((literal, at));
        }
        literal.push('\'');
        at += 1;
    }
}

fn part(moment: OffsetDateTime, letter: char, count: usize) -> Option<String> {
    let hour = moment.hour();
    let half = (hour + 11) % 12 + 1;
    let number = |number: u8| match count {
        1 => Some(number.to_string()),
        2 => Some(format!("{number:02}")),
        _ => None,
    };
    let month = moment.month().to_string();
    let weekday = moment.weekday().to_string();
    match (letter, count) {
        ('Y', 2) => Some(format!("{:02}", moment.year().rem_euclid(100))),
        ('Y', 4) => Some(format!("{:04}", moment.year())),
        ('M', 3) => Some(month[..3].to_owned()),
        ('M', 4) => Some(month),
        ('M', _) => number(moment.month().into()),
        ('D', _) => number(moment.day()),
        ('E', 3) => Some(weekday[..3].to_owned()),
        ('E', 4) => Some(weekday),
        ('h', _) => number(hour),
        ('H', _) => number(half),
        ('A', 2) => Some(if hour < 12 { "AM" } else { "PM" }.to_owned()),
        ('a', 2) => Some(if hour < 12 { "am" } else { "pm" }.to_owned()),
        ('m', _) => number(moment.minute()),
        ('s', _) => number(moment.second()),
        ('Z', 1) => Some(zone(moment, ":", "Z")),
        ('Z', 3) => Some(zone(moment, "", "UTC")),
        ('Z', 4) => Some(zone(moment, "", "+0000")),
        ('Z', 5) => Some(zone(moment, ":", "+00:00")),
        _ => None,
    }
}
