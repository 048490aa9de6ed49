//! `yamlencode`: block form, every text in quotes or as a literal block.

use std::fmt::Write;

use dmp_sdk::{Kind, Members, Value};

use crate::evaluate::LONGEST_TEXT;
use crate::functions::Fault;

pub(super) fn yamlencode(arguments: &[Value]) -> Result<Value, Fault> {
    let mut text = String::new();
    write(&arguments[0], 0, &mut text).map_err(Fault::new)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    // A plain word alone could go on in the next line; this ends it.
    if matches!(
        arguments[0].kind(),
        Kind::Null | Kind::Bool(_) | Kind::Number(_)
    ) {
        text.push_str("...\n");
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
        Kind::String(string) => write_text(string, depth.max(2), text),
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
        write_quoted(name, None, text);
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
    if !text.is_empty() && !text.ends_with('\n') {
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
fn write_text(string: &str, indentation: usize, text: &mut String) {
    let ends_in_space = |line: &str| line.ends_with(' ');
    let is_block = string.contains('\n')
        && string.chars().all(|c| is_printable(c) || c == '\n')
        && !string.split('\n').any(ends_in_space);
    if !is_block {
        write_quoted(string, Some(indentation), text);
        return;
    }
    text.push('|');
    if string.starts_with([' ', '\n']) {
        text.push('2');
    }
    match string.strip_suffix('\n') {
        None => text.push('-'),
        Some("") => text.push('+'),
        Some(rest) if rest.ends_with('\n') => text.push('+'),
        Some(_) => {}
    }
    text.push('\n');
    for line in string.split_inclusive('\n') {
        if line != "\n" {
            text.push_str(&" ".repeat(indentation));
        }
        text.push_str(line);
    }
}

/// In quotes. With an indentation long texts go on in lines of their own, broken at single spaces.
fn write_quoted(string: &str, indentation: Option<usize>, text: &mut String) {
    let line_start = text.rfind('\n').map_or(0, |at| at + 1);
    let mut column = text[line_start..].chars().count() + 1;
    text.push('"');
    let mut after_space = false;
    let count = string.chars().count();
    let mut characters = string.chars().enumerate().peekable();
    while let Some((at, c)) = characters.next() {
        let start = text.len();
        let may_break = at > 0 && at + 1 < count && !after_space && column > WIDTH;
        if let (' ', true, Some(indentation)) = (c, may_break, indentation) {
            text.push('\n');
            text.push_str(&" ".repeat(indentation));
            column = indentation;
            if characters.peek().is_some_and(|(_, next)| *next == ' ') {
                text.push('\\');
                column += 1;
            }
        } else {
            write_character(c, text);
            column += text[start..].chars().count();
        }
        after_space = c == ' ';
    }
    text.push('"');
}

fn write_character(c: char, text: &mut String) {
    let escaped = match c {
        '\0' => "\\0",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\t' => "\\t",
        '\n' => "\\n",
        '\u{b}' => "\\v",
        '\u{c}' => "\\f",
        '\r' => "\\r",
        '\u{1b}' => "\\e",
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{85}' => "\\N",
        '\u{2028}' => "\\L",
        '\u{2029}' => "\\P",
        c if is_printable(c) => {
            text.push(c);
            return;
        }
        c => {
            let code = u32::from(c);
            let _ = match code {
                0..=0xff => write!(text, "\\x{code:02X}"),
                0x100..=0xffff => write!(text, "\\u{code:04X}"),
                _ => write!(text, "\\U{code:08X}"),
            };
            return;
        }
    };
    text.push_str(escaped);
}

/// Whether a character stands for itself; line breaks of all kinds do not.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Columns after which a text may go on in a new line.
const WIDTH: usize = 80;
