//! Takes secrets out of what others say: a cloud or a command may quote what it was given.

use dmp_sdk::{Diagnostic, Kind, Value};

/// Secrets that somebody else was given.
pub struct Secrets(Vec<String>);

impl Secrets {
    /// All sensitive texts and numbers of values, long ones first.
    #[must_use]
    pub fn of<'a>(values: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut found = Vec::new();
        for value in values {
            collect(value, false, &mut found);
        }
        found.sort_by_key(|text| std::cmp::Reverse(text.len()));
        found.dedup();
        Self(found)
    }

    /// A text without them.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        let hidden = |text: String, secret: &String| text.replace(secret, "(sensitive)");
        self.0.iter().fold(text.to_owned(), hidden)
    }

    /// A diagnostic without them.
    #[must_use]
    pub fn hide_in(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        if self.0.is_empty() {
            return diagnostic;
        }
        diagnostic.detail = self.hide(&diagnostic.detail);
        diagnostic.cause = diagnostic.cause.take().map(|cause| self.hide(&cause));
        diagnostic.state = diagnostic.state.take().map(|state| self.hide(&state));
        for help in &mut diagnostic.help {
            *help = self.hide(help);
        }
        diagnostic
    }
}

fn collect(value: &Value, is_inside: bool, into: &mut Vec<String>) {
    let is_secret = is_inside || value.marks().is_sensitive() || value.marks().is_ephemeral();
    for child in value.children() {
        collect(child, is_secret, into);
    }
    let text = match value.kind() {
        Kind::String(text) if is_secret => text.to_string(),
        Kind::Number(number) if is_secret => number.to_string(),
        _ => return,
    };
    // Of a key or a file a single line may be quoted.
    let lines = text.lines().filter(|line| line.len() >= LEAST_LINE);
    into.extend(lines.map(ToOwned::to_owned));
    // Without these every letter of an error would be hidden.
    if text.len() >= LEAST {
        into.push(text);
    }
}

const LEAST: usize = 3;
const LEAST_LINE: usize = 8;
