//! Patterns of file names: `*`, `?`, `[…]`, `{…,…}`, and `**` for any folders between.

use std::fmt::Write;

use regex::Regex;

/// The names that a pattern means; `None` if it is no pattern.
pub(super) fn compiled(pattern: &str) -> Option<Regex> {
    let mut expression = String::from("^");
    let mut rest = pattern;
    let mut depth: usize = 0;
    while let Some(first) = rest.chars().next() {
        let mut taken = first.len_utf8();
        let begins_part =
            expression.len() == 1 || pattern[..pattern.len() - rest.len()].ends_with('/');
        match first {
            '*' if begins_part && rest.starts_with("**/") => {
                expression.push_str("(?:[^/]+/)*");
                taken = 3;
            }
            '*' if begins_part && rest == "**" => {
                expression.push_str(".*");
                taken = 2;
            }
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '[' => taken = class(rest, &mut expression)?,
            '{' => {
                depth += 1;
                expression.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                expression.push(')');
            }
            ',' if depth > 0 => expression.push('|'),
            '\\' => {
                let escaped = rest[1..].chars().next()?;
                expression.push_str(&regex::escape(escaped.encode_utf8(&mut [0; 4])));
                taken += escaped.len_utf8();
            }
            other => expression.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
        rest = &rest[taken..];
    }
    expression.push('$');
    match depth {
        0 => regex::RegexBuilder::new(&expression)
            .dot_matches_new_line(true)
            .size_limit(LARGEST_PROGRAM)
            .build()
            .ok(),
        _ => None,
    }
}

/// `[…]`; its length in the pattern.
fn class(text: &str, expression: &mut String) -> Option<usize> {
    let inner = text[1..].strip_prefix(['!', '^']);
    let (is_negated, inner) = (inner.is_some(), inner.unwrap_or(&text[1..]));
    let end = inner.char_indices().skip(1).find(|(_, c)| *c == ']')?.0;
    expression.push_str(if is_negated { "[^/" } else { "[" });
    for c in inner[..end].chars() {
        match c {
            '-' => expression.push('-'),
            c if c.is_alphanumeric() => expression.push(c),
            c => {
                let _ = write!(expression, "\\x{{{:x}}}", u32::from(c));
            }
        }
    }
    expression.push(']');
    Some(text.len() - inner.len() + end + 1)
}

const LARGEST_PROGRAM: usize = 1 << 20;
