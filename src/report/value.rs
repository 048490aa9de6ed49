//! Values and their differences, as a person reads them. Secrets are never shown, nor how they differ.

use dmp_sdk::{Kind, Value};
use similar::{ChangeTag, TextDiff};

use crate::style::Style;

const SENSITIVE: &str = "(sensitive)";
const UNKNOWN: &str = "(known after apply)";

/// A value in the form of the language.
#[must_use]
pub fn render(value: &Value, indent: usize) -> String {
    if value.marks().is_sensitive() || value.marks().is_ephemeral() {
        return SENSITIVE.into();
    }
    let pad = " ".repeat(indent + 2);
    let end = " ".repeat(indent);
    match value.kind() {
        Kind::Null => "null".into(),
        Kind::Unknown(_) => UNKNOWN.into(),
        Kind::Bool(value) => value.to_string(),
        Kind::Number(number) => number.to_string(),
        Kind::String(text) if text.contains('\n') => {
            let lines: String = text.lines().map(|line| format!("{pad}{line}\n")).collect();
            format!("<<-EOT\n{lines}{end}EOT")
        }
        Kind::String(text) => format!("{text:?}"),
        Kind::List(items) | Kind::Set(items) | Kind::Tuple(items) => {
            if items.is_empty() {
                return "[]".into();
            }
            let one_line: Vec<String> = items.iter().map(|item| render(item, 0)).collect();
            let joined = one_line.join(", ");
            if joined.len() < 60 && !joined.contains('\n') {
                return format!("[{joined}]");
            }
            let lines: String = items
                .iter()
                .map(|item| format!("{pad}{},\n", render(item, indent + 2)))
                .collect();
            format!("[\n{lines}{end}]")
        }
        Kind::Map(members) | Kind::Object(members) => {
            let shown: Vec<_> = members
                .iter()
                .filter(|(_, member)| !member.is_null())
                .collect();
            if shown.is_empty() {
                return "{}".into();
            }
            let width = shown
                .iter()
                .map(|(name, _)| key(name).len())
                .max()
                .unwrap_or(0);
            let lines: String = shown
                .iter()
                .map(|(name, member)| {
                    format!(
                        "{pad}{:width$} = {}\n",
                        key(name),
                        render(member, indent + 2)
                    )
                })
                .collect();
            format!("{{\n{lines}{end}}}")
        }
    }
}

fn key(name: &str) -> String {
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if plain {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}

/// All attributes of an object that are set, one per line.
#[must_use]
pub fn render_attributes(value: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let members = value.as_members().into_iter().flatten();
    let shown: Vec<_> = members.filter(|(_, member)| !member.is_null()).collect();
    let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, member): &(&std::sync::Arc<str>, &Value)| {
        let member = (*member).clone().marked(value.marks());
        format!("{pad}{name:width$} = {}\n", render(&member, indent))
    };
    shown.iter().map(line).collect()
}

/// How one attribute changes.
pub(crate) fn change(
    name: &str,
    width: usize,
    before: &Value,
    after: &Value,
    indent: usize,
    style: Style,
) -> String {
    let pad = " ".repeat(indent);
    let is_secret = before.deep_marks().is_sensitive() || after.deep_marks().is_sensitive();
    let is_secret =
        is_secret || before.deep_marks().is_ephemeral() || after.deep_marks().is_ephemeral();
    if is_secret && after.is_wholly_known() {
        return format!(
            "{pad}{name:width$} = {SENSITIVE} {} {SENSITIVE}\n",
            style.notable("->")
        );
    }
    if let (Some(before), Some(after)) = (before.as_str(), after.as_str())
        && (before.contains('\n') || after.contains('\n'))
    {
        return format!(
            "{pad}{name}:\n{}",
            text_change(before, after, indent + 2, style)
        );
    }
    if let (Some(one), Some(two)) = (before.as_members(), after.as_members()) {
        let mut names: Vec<_> = one.keys().chain(two.keys()).collect();
        names.sort();
        names.dedup();
        names.retain(|name| before.get(name) != after.get(name));
        let width = names.iter().map(|name| key(name).len()).max().unwrap_or(0);
        let inside: String = names
            .iter()
            .map(|name| {
                change(
                    &key(name),
                    width,
                    &before.get(name),
                    &after.get(name),
                    indent + 2,
                    style,
                )
            })
            .collect();
        return format!("{pad}{name}:\n{inside}");
    }
    let (before, after) = (render(before, indent), render(after, indent));
    format!(
        "{pad}{name:width$} = {before} {} {after}\n",
        style.notable("->")
    )
}

/// The lines that differ, with two lines around them.
fn text_change(before: &str, after: &str, indent: usize, style: Style) -> String {
    let pad = " ".repeat(indent);
    let diff = TextDiff::from_lines(before, after);
    let mut text = String::new();
    for (at, group) in diff.grouped_ops(2).iter().enumerate() {
        if at > 0 {
            text.push_str(&format!("{pad}…\n"));
        }
        for op in group {
            for change in diff.iter_changes(op) {
                let line = change.value().trim_end_matches('\n');
                let line = match change.tag() {
                    ChangeTag::Delete => style.bad(&format!("- {line}")),
                    ChangeTag::Insert => style.good(&format!("+ {line}")),
                    ChangeTag::Equal => format!("  {line}"),
                };
                text.push_str(&format!("{pad}{line}\n"));
            }
        }
    }
    if before.ends_with('\n') != after.ends_with('\n') {
        let words = if after.ends_with('\n') {
            "a line end is added"
        } else {
            "the last line end goes"
        };
        text.push_str(&format!("{pad}({words})\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use dmp_sdk::{Marks, Type};

    #[test]
    fn secrets_and_unknowns_are_named_not_shown() {
        let secret = Value::from("hunter2").marked(&Marks::sensitive());
        let value = Value::object_of([
            ("token", secret.clone()),
            ("id", Value::unknown(Type::String)),
        ]);
        let text = render(&value, 0);
        assert!(
            text.contains("(sensitive)") && text.contains("(known after apply)"),
            "{text}"
        );
        assert!(!text.contains("hunter2"));
        let changed = change("token", 5, &secret, &"other".into(), 0, Style::Plain);
        assert!(
            !changed.contains("hunter2") && !changed.contains("other"),
            "{changed}"
        );
    }

    #[test]
    fn a_text_shows_the_lines_that_differ() {
        let changed = change(
            "content",
            7,
            &"a\nb\nc\n".into(),
            &"a\nB\nc\n".into(),
            0,
            Style::Plain,
        );
        assert_eq!(changed, "content:\n    a\n  - b\n  + B\n    c\n");
    }
}
