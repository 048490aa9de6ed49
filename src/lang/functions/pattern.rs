//! Functions over regular expressions, and `replace`, which may take one.

use std::sync::Arc;

use dmp_sdk::{Members, Type, Value};
use regex::{Captures, Regex, RegexBuilder};

use super::{Fault, Function, Gives, bounded, re2, text, text_of};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "regex",
        &[text("pattern"), text("text")],
        Gives::Like(match_type),
        regex,
    ),
    Function::new(
        "regexall",
        &[text("pattern"), text("text")],
        Gives::Like(|arguments| Type::list(match_type(arguments))),
        regexall,
    ),
    Function::new(
        "replace",
        &[text("text"), text("part"), text("replacement")],
        Gives::Text,
        replace,
    ),
];

fn compiled(pattern: &str, argument: usize) -> Result<Regex, Fault> {
    let wrong = |why: &str| {
        let why = format!("the pattern is not a regular expression: {why}");
        Fault::of(argument, why)
    };
    let translated = re2::translated(pattern).map_err(wrong)?;
    let built = RegexBuilder::new(&translated)
        .size_limit(LARGEST_PROGRAM)
        .build();
    let pattern = built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => wrong("it is too large"),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            wrong(last.trim_start_matches("error: "))
        }
    })?;
    let named = pattern.capture_names().flatten().count();
    if named > 0 && named + 1 < pattern.captures_len() {
        return Err(Fault::of(
            argument,
            "a pattern has either named groups or unnamed ones, not both",
        ));
    }
    Ok(pattern)
}

/// The type of a match, which the pattern alone decides.
fn match_type(arguments: &[Value]) -> Type {
    let pattern = arguments.first().and_then(Value::as_str);
    let Some(pattern) = pattern.and_then(|pattern| compiled(pattern, 0).ok()) else {
        return Type::Any;
    };
    let names: Vec<&str> = pattern.capture_names().flatten().collect();
    match pattern.captures_len() {
        1 => Type::String,
        _ if !names.is_empty() => Type::object(names.into_iter().map(|name| (name, Type::String))),
        count => Type::Tuple(vec![Type::String; count - 1]),
    }
}

fn regex(arguments: &[Value]) -> Result<Value, Fault> {
    let pattern = compiled(text_of(arguments, 0), 0)?;
    match pattern.captures(text_of(arguments, 1)) {
        Some(captures) => Ok(captured(&pattern, &captures)),
        None => Err(Fault::of(1, "the pattern does not match the text")
            .help("test with `can(regex(…))` first")),
    }
}

fn regexall(arguments: &[Value]) -> Result<Value, Fault> {
    let pattern = compiled(text_of(arguments, 0), 0)?;
    let found = pattern
        .captures_iter(text_of(arguments, 1))
        .map(|captures| captured(&pattern, &captures));
    super::listed(found)
}

/// The whole match, or a tuple of the groups, or an object of the named ones.
fn captured(pattern: &Regex, captures: &Captures<'_>) -> Value {
    let group = |index: usize| Value::from(captures.get(index).map(|found| found.as_str()));
    if pattern.captures_len() == 1 {
        return group(0);
    }
    let names: Vec<Option<&str>> = pattern.capture_names().collect();
    if names.iter().any(Option::is_some) {
        let members = names
            .iter()
            .enumerate()
            .filter_map(|(index, name)| Some((Arc::from((*name)?), group(index))));
        return Value::object(members.collect::<Members>());
    }
    Value::tuple((1..pattern.captures_len()).map(group).collect())
}

/// With a part between slashes it is a regular expression, and `$1` in the replacement is its first group.
fn replace(arguments: &[Value]) -> Result<Value, Fault> {
    let (given, part, replacement) = (
        text_of(arguments, 0),
        text_of(arguments, 1),
        text_of(arguments, 2),
    );
    let inner = part
        .strip_prefix('/')
        .and_then(|part| part.strip_suffix('/'));
    if let Some(pattern) = inner {
        let pattern = compiled(pattern, 1)?;
        let mut result = String::new();
        let mut end = 0;
        for captures in pattern.captures_iter(given) {
            let Some(found) = captures.get(0) else {
                continue;
            };
            result.push_str(&given[end..found.start()]);
            captures.expand(replacement, &mut result);
            bounded(result.len())?;
            end = found.end();
        }
        result.push_str(&given[end..]);
        return Ok(result.into());
    }
    let places = given.matches(part).count();
    bounded(
        places
            .saturating_mul(replacement.len())
            .saturating_add(given.len()),
    )?;
    Ok(given.replace(part, replacement).into())
}

const LARGEST_PROGRAM: usize = 4 << 20;
