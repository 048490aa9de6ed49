//! The texts that were read, so that a diagnostic can show the lines it speaks of.

use std::sync::Arc;

use dmp_sdk::Span;
use indexmap::IndexMap;

/// The text of each file, by the name that spans carry.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: IndexMap<Arc<str>, Arc<str>>,
}

/// A place as a person counts: both from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Sources {
    /// No texts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file; a byte order mark counts as part of the text.
    pub fn add(&mut self, name: &str, text: impl Into<Arc<str>>) {
        self.files.insert(name.into(), text.into());
    }

    /// The text of a file.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&Arc<str>> {
        self.files.get(name)
    }

    /// All files with their texts, in the order read.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.files.iter()
    }

    /// The text that a span covers.
    #[must_use]
    pub fn excerpt(&self, span: &Span) -> Option<&str> {
        self.text(&span.file)?.get(span.start..span.end)
    }

    /// Where a span begins.
    #[must_use]
    pub fn position(&self, span: &Span) -> Option<Position> {
        let before = self.text(&span.file)?.get(..span.start)?;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Some(Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..]
                .trim_start_matches('\u{feff}')
                .chars()
                .count()
                + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let mut sources = Sources::new();
        sources.add("a.hcl", "x = 1\r\nü = y\n");
        let span = Span {
            file: "a.hcl".into(),
            start: 12,
            end: 13,
        };
        assert_eq!(sources.excerpt(&span), Some("y"));
        let position = Position { line: 2, column: 5 };
        assert_eq!(sources.position(&span), Some(position));
    }
}
