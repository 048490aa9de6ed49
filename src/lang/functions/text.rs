//! Functions over texts.

use dmp_sdk::Value;

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
    Function::new("join", &[text("separator")], Gives::Text, join).variadic(texts("list")),
    Function::new("lower", &[text("text")], Gives::Text, |a| {
        Ok(one(a).to_lowercase().into())
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
        |a| Ok(one(a).starts_with(text_of(a, 1)).into()),
    ),
    Function::new(
        "strcontains",
        &[text("text"), text("part")],
        Gives::Bool,
        |a| Ok(one(a).contains(text_of(a, 1)).into()),
    ),
    Function::new("strrev", &[text("text")], Gives::Text, |a| {
        Ok(one(a).chars().rev().collect::<String>().into())
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
        Ok(one(a).to_uppercase().into())
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
    let parts: Vec<Value> = match separator {
        "" => given.chars().map(|c| Value::from(c.to_string())).collect(),
        separator => given.split(separator).map(Value::from).collect(),
    };
    Ok(Value::list(parts))
}

fn substr(arguments: &[Value]) -> Result<Value, Fault> {
    let given: Vec<char> = one(arguments).chars().collect();
    let (offset, length) = (whole_of(arguments, 1)?, whole_of(arguments, 2)?);
    let count = given.len();
    let start = match usize::try_from(offset) {
        Ok(offset) => offset.min(count),
        Err(_) => count.saturating_sub(usize::try_from(offset.unsigned_abs()).unwrap_or(count)),
    };
    let end = match usize::try_from(length) {
        Ok(length) => start.saturating_add(length).min(count),
        Err(_) => count,
    };
    Ok(given[start..end].iter().collect::<String>().into())
}

fn title(arguments: &[Value]) -> Result<Value, Fault> {
    let mut result = String::new();
    let mut inside_word = false;
    for c in one(arguments).chars() {
        match inside_word {
            true => result.push(c),
            false => result.extend(c.to_uppercase()),
        }
        inside_word = c.is_alphanumeric() || c == '_' || c == '\'';
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
