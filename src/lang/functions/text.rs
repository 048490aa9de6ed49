//! Functions over texts.

use dmp_sdk::{Kind, Type, Value};
use unicode_segmentation::UnicodeSegmentation;

use crate::evaluate::unknown_not_null;

use super::{Fault, Function, Gives, bounded, number, text, text_of, texts, whole_of};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("chomp", &[text("text")], Gives::Text, |a| {
        Ok(one(a).trim_end_matches(['\n', '\r']).into())
    }),
    Function::new(
        "endswith",
        &[text("text"), text("suffix")],
        Gives::Bool,
        |a| Ok(one(a).ends_with(text_of(a, 1)).into()),
    ),
    Function::new(
        "indent",
        &[number("spaces"), text("text")],
        Gives::Text,
        indent,
    ),
    Function::new(
        "join",
        &[text("separator"), texts("list")],
        Gives::Text,
        join,
    )
    .variadic(texts("list")),
    Function::new("lower", &[text("text")], Gives::Text, |a| {
        Ok(one(a).chars().map(lower).collect::<String>().into())
    }),
    Function::new(
        "split",
        &[text("separator"), text("text")],
        Gives::Texts,
        split,
    ),
    Function::new(
        "startswith",
        &[text("text"), text("prefix")],
        Gives::Bool,
        startswith,
    )
    .own(),
    Function::new(
        "strcontains",
        &[text("text"), text("part")],
        Gives::Bool,
        |a| Ok(one(a).contains(text_of(a, 1)).into()),
    ),
    Function::new("strrev", &[text("text")], Gives::Text, |a| {
        Ok(one(a).graphemes(true).rev().collect::<String>().into())
    }),
    Function::new(
        "substr",
        &[text("text"), number("offset"), number("length")],
        Gives::Text,
        substr,
    ),
    Function::new("title", &[text("text")], Gives::Text, title),
    Function::new(
        "trim",
        &[text("text"), text("characters")],
        Gives::Text,
        trim,
    ),
    Function::new(
        "trimprefix",
        &[text("text"), text("prefix")],
        Gives::Text,
        trimprefix,
    ),
    Function::new("trimspace", &[text("text")], Gives::Text, |a| {
        Ok(one(a).trim().into())
    }),
    Function::new(
        "trimsuffix",
        &[text("text"), text("suffix")],
        Gives::Text,
        trimsuffix,
    ),
    Function::new("upper", &[text("text")], Gives::Text, |a| {
        Ok(one(a).chars().map(upper).collect::<String>().into())
    }),
];

fn one(arguments: &[Value]) -> &str {
    text_of(arguments, 0)
}

fn indent(arguments: &[Value]) -> Result<Value, Fault> {
    let spaces = usize::try_from(whole_of(arguments, 0)?)
        .map_err(|_| Fault::of(0, "the number of spaces can't be negative"))?;
    let given = text_of(arguments, 1);
    bounded(
        given
            .matches('\n')
            .count()
            .saturating_mul(spaces)
            .saturating_add(given.len()),
    )?;
    bounded(spaces)?;
    Ok(given
        .replace('\n', &format!("\n{}", " ".repeat(spaces)))
        .into())
}

fn join(arguments: &[Value]) -> Result<Value, Fault> {
    let separator = text_of(arguments, 0);
    let mut joined = String::new();
    let mut is_first = true;
    for (index, list) in arguments.iter().enumerate().skip(1) {
        for item in list.as_items().unwrap_or_default() {
            let Some(item) = item.as_str() else {
                return Err(Fault::of(index, "null can't be joined"));
            };
            if !is_first {
                joined.push_str(separator);
            }
            is_first = false;
            joined.push_str(item);
            bounded(joined.len())?;
        }
    }
    Ok(joined.into())
}

fn split(arguments: &[Value]) -> Result<Value, Fault> {
    let (separator, given) = (text_of(arguments, 0), text_of(arguments, 1));
    match separator {
        "" => super::listed(given.chars().map(|c| Value::from(c.to_string()))),
        separator => super::listed(given.split(separator).map(Value::from)),
    }
}

/// Of a text that is known later the beginning may be known by now.
fn startswith(arguments: &[Value]) -> Result<Value, Fault> {
    let (given, prefix) = (&arguments[0], &arguments[1]);
    let marks = given.deep_marks().union(&prefix.deep_marks());
    let known = match given.kind() {
        Kind::Null => return Err(Fault::of(0, "it is null")),
        Kind::Unknown(unknown) => unknown.prefix.as_deref().unwrap_or_default(),
        _ => one(arguments),
    };
    let starts = match (prefix.kind(), prefix.as_str()) {
        (Kind::Null, _) => return Err(Fault::of(1, "it is null")),
        (_, Some(prefix)) if known.starts_with(prefix) => Some(true),
        (_, Some(prefix)) if given.is_known() || !prefix.starts_with(known) => Some(false),
        _ => None,
    };
    let result = starts.map_or_else(|| unknown_not_null(Type::Bool), Value::from);
    Ok(result.marked(&marks))
}

fn substr(arguments: &[Value]) -> Result<Value, Fault> {
    let given: Vec<&str> = one(arguments).graphemes(true).collect();
    let (offset, length) = (whole_of(arguments, 1)?, whole_of(arguments, 2)?);
    let count = given.len();
    let start = match usize::try_from(offset) {
        Ok(offset) => offset.min(count),
        Err(_) => count.saturating_sub(usize::try_from(offset.unsigned_abs()).unwrap_or(count)),
    };
    let end = match usize::try_from(length) {
        // As in Terraform: no length, counted from the end, is all that is left.
        Ok(0) if offset < 0 => count,
        Ok(length) => start.saturating_add(length).min(count),
        Err(_) => count,
    };
    Ok(given[start..end].concat().into())
}

/// The small letter of one character; never more than one, as Terraform has it.
fn lower(c: char) -> char {
    let mut small = c.to_lowercase();
    match (small.next(), small.next()) {
        (Some(one), None) => one,
        // The only one whose full form has two characters.
        _ => 'i',
    }
}

/// The capital letter of one character, if that is one character.
fn upper(c: char) -> char {
    let mut capital = c.to_uppercase();
    match (capital.next(), capital.next()) {
        (Some(one), None) => one,
        _ => match c {
            // Greek vowels with a small iota below have capitals with one beside.
            '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
                char::from_u32(u32::from(c) + 8).unwrap_or(c)
            }
            '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => char::from_u32(u32::from(c) + 9).unwrap_or(c),
            c => c,
        },
    }
}

/// The form of a letter that begins a word: of those that look like two, only the first half is a capital.
fn initial(c: char) -> char {
    match c {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        '\u{10d0}'..='\u{10ff}' => c,
        c => upper(c),
    }
}

fn title(arguments: &[Value]) -> Result<Value, Fault> {
    let mut result = String::new();
    let mut inside_word = false;
    for c in one(arguments).chars() {
        result.push(if inside_word { c } else { initial(c) });
        inside_word = match c.is_ascii() {
            true => c.is_ascii_alphanumeric() || c == '_',
            false => !c.is_whitespace(),
        };
    }
    Ok(result.into())
}

fn trim(arguments: &[Value]) -> Result<Value, Fault> {
    let characters: Vec<char> = text_of(arguments, 1).chars().collect();
    Ok(one(arguments).trim_matches(characters.as_slice()).into())
}

fn trimprefix(arguments: &[Value]) -> Result<Value, Fault> {
    let given = one(arguments);
    Ok(given
        .strip_prefix(text_of(arguments, 1))
        .unwrap_or(given)
        .into())
}

fn trimsuffix(arguments: &[Value]) -> Result<Value, Fault> {
    let given = one(arguments);
    Ok(given
        .strip_suffix(text_of(arguments, 1))
        .unwrap_or(given)
        .into())
}
