//! YAML: written in block form with every text quoted, as Terraform writes it.

use std::sync::Arc;

use dmp_sdk::{Kind, Members, Value};
use serde_yaml_ng::Value as Yaml;

use super::encoding::{number_of, write_string};
use super::{Fault, Function, Gives, nullable, text, text_of};
use crate::evaluate::LONGEST_TEXT;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("yamldecode", &[text("text")], Gives::Any, yamldecode),
    Function::new("yamlencode", &[nullable("value")], Gives::Text, yamlencode),
];

fn yamlencode(arguments: &[Value]) -> Result<Value, Fault> {
    let mut text = String::new();
    write(&arguments[0], 0, &mut text).map_err(Fault::new)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text.trim_start_matches('\n').into())
}

/// Writes a value; a collection that is not empty begins on a line of its own, indented by `depth` spaces.
fn write(value: &Value, depth: usize, text: &mut String) -> Result<(), String> {
    if text.len() > LONGEST_TEXT {
        return Err("the text would be longer than 16 MiB".into());
    }
    match value.kind() {
        Kind::Null | Kind::Unknown(_) => text.push_str("null"),
        Kind::Bool(truth) => text.push_str(if *truth { "true" } else { "false" }),
        Kind::Number(number) => text.push_str(&number.to_string()),
        Kind::String(string) => write_text(string, depth, text),
        Kind::List(items) | Kind::Set(items) | Kind::Tuple(items) => {
            write_items(items, depth, text)?;
        }
        Kind::Map(members) | Kind::Object(members) => write_members(members, depth, text)?,
    }
    Ok(())
}

fn write_items(items: &[Value], depth: usize, text: &mut String) -> Result<(), String> {
    if items.is_empty() {
        text.push_str("[]");
    }
    for item in items {
        new_line(depth, text);
        text.push_str("- ");
        let inside = text.len();
        write(item, depth + 2, text)?;
        join_first_line(inside, text);
    }
    Ok(())
}

fn write_members(members: &Members, depth: usize, text: &mut String) -> Result<(), String> {
    if members.is_empty() {
        text.push_str("{}");
    }
    for (name, member) in members {
        new_line(depth, text);
        write_quoted(name, text);
        text.push(':');
        let is_sequence = member.as_items().is_some_and(|items| !items.is_empty());
        let is_mapping = member
            .as_members()
            .is_some_and(|members| !members.is_empty());
        if !is_sequence && !is_mapping {
            text.push(' ');
        }
        // A list stands as deep as the name it belongs to, an object deeper.
        write(member, if is_sequence { depth } else { depth + 2 }, text)?;
    }
    Ok(())
}

fn new_line(depth: usize, text: &mut String) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&" ".repeat(depth));
}

/// The first entry of a collection inside a list stands on the line of its dash.
fn join_first_line(start: usize, text: &mut String) {
    if text[start..].starts_with('\n') {
        let line = text[start + 1..].trim_start_matches(' ').len();
        text.replace_range(start..text.len() - line, "");
    }
}

/// Lines as a literal block where that is possible, else quoted.
fn write_text(string: &str, depth: usize, text: &mut String) {
    let is_block = string.contains('\n')
        && !string.starts_with([' ', '\n', '\t'])
        && string
            .chars()
            .all(|c| c == '\n' || c == '\t' || !c.is_control())
        && !string.ends_with("\n\n")
        && !string
            .lines()
            .any(|line| line.ends_with([' ', '\t']) || line.trim().is_empty() && !line.is_empty());
    if !is_block {
        write_quoted(string, text);
        return;
    }
    text.push_str(if string.ends_with('\n') { "|" } else { "|-" });
    let depth = depth.max(2);
    for line in string.lines() {
        text.push('\n');
        if !line.is_empty() {
            text.push_str(&" ".repeat(depth));
            text.push_str(line);
        }
    }
}

fn write_quoted(string: &str, text: &mut String) {
    let start = text.len();
    write_string(string, text);
    // What JSON escapes for browsers' sake YAML shows as it is.
    let plain = text[start..]
        .replace("\\u003c", "<")
        .replace("\\u003e", ">")
        .replace("\\u0026", "&");
    text.replace_range(start.., &plain);
}

fn yamldecode(arguments: &[Value]) -> Result<Value, Fault> {
    let parsed: Yaml = serde_yaml_ng::from_str(text_of(arguments, 0)).map_err(|error| {
        let place = error.location().map_or_else(String::new, |at| {
            format!(": line {}, column {}", at.line(), at.column())
        });
        Fault::of(0, format!("the text is not YAML{place}"))
    })?;
    from_yaml(&parsed).map_err(|why| Fault::of(0, why))
}

fn from_yaml(parsed: &Yaml) -> Result<Value, String> {
    Ok(match parsed {
        Yaml::Null => Value::null(),
        Yaml::Bool(truth) => (*truth).into(),
        Yaml::Number(number) => number_of(&number.to_string())?,
        Yaml::String(text) => text.as_str().into(),
        Yaml::Sequence(items) => {
            Value::tuple(items.iter().map(from_yaml).collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(members) => {
            let mut found = Members::new();
            for (key, value) in members {
                found.insert(key_of(key)?, from_yaml(value)?);
            }
            Value::object(found)
        }
        Yaml::Tagged(tagged) => {
            return Err(format!("the tag `{}` has no meaning here", tagged.tag));
        }
    })
}

fn key_of(key: &Yaml) -> Result<Arc<str>, String> {
    match key {
        Yaml::String(text) => Ok(text.as_str().into()),
        Yaml::Bool(truth) => Ok(truth.to_string().into()),
        Yaml::Number(number) => Ok(number.to_string().into()),
        _ => Err("a key in it is not a text".into()),
    }
}
