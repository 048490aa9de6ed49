//! The parser's place in the text: white space, comments, names, and how an error is worded.

use std::sync::Arc;

use dmp_sdk::{Diagnostic, Span};

use super::FileName;
use crate::Diagnostics;
use crate::ast::{Expr, ExprKind, Name};

/// What a name at the root of an expression means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// What the configuration declares: `var.x`, `type.name`.
    Configuration,
    /// Whatever the template is rendered with.
    Given,
}

/// A parser over one text.
pub(super) struct Parser<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    file: FileName,
    pub(super) names: Names,
    /// Names bound by the `for`s around, the innermost last.
    pub(super) bound: Vec<Arc<str>>,
    /// The name that stands for the element inside the `dynamic` block whose body this is directly.
    pub(super) iterator: Option<Arc<str>>,
    /// Whether the parser only looks ahead, and what it finds is not kept.
    pub(super) is_ahead: bool,
    /// Whether a line's end means nothing here.
    pub(super) lines_joined: bool,
    /// How deep the parser itself is.
    depth: usize,
    /// The height of the tree parsed last.
    pub(super) height: usize,
    pub(super) diagnostics: Diagnostics,
    /// The header of the outermost block that the end of the text left open.
    pub(super) unclosed: Option<Span>,
    /// How many bytes were looked at again because what they were part of was broken.
    pub(super) again: usize,
}

/// What stopped the parser.
pub(super) type Failed = Box<Diagnostic>;
pub(super) type Parsed<T> = Result<T, Failed>;

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str, name: &str, names: Names) -> Self {
        Self {
            text,
            at: if text.starts_with(BYTE_ORDER_MARK) {
                BYTE_ORDER_MARK.len_utf8()
            } else {
                0
            },
            file: name.into(),
            names,
            bound: Vec::new(),
            iterator: None,
            is_ahead: false,
            lines_joined: false,
            depth: 0,
            height: 0,
            diagnostics: Vec::new(),
            unclosed: None,
            again: 0,
        }
    }

    /// A parser at the same place, whose findings are not kept.
    pub(super) fn ahead(&self) -> Self {
        Self {
            at: self.at,
            file: Arc::clone(&self.file),
            bound: self.bound.clone(),
            is_ahead: true,
            depth: self.depth,
            ..Self::new(self.text, "", self.names)
        }
    }

    pub(super) fn finish<T>(mut self, parsed: Parsed<T>) -> Result<T, Diagnostics> {
        match parsed {
            Ok(found) if self.diagnostics.is_empty() => Ok(found),
            Ok(_) => Err(self.diagnostics),
            Err(failed) => {
                self.diagnostics.push(*failed);
                Err(self.diagnostics)
            }
        }
    }

    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn looking_at(&self, text: &str) -> bool {
        self.rest().starts_with(text)
    }

    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.looking_at(text);
        if found {
            self.at += text.len();
        }
        found
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    pub(super) fn span(&self, start: usize, end: usize) -> Span {
        Span {
            file: Arc::clone(&self.file),
            start,
            end,
        }
    }

    pub(super) fn span_from(&self, start: usize) -> Span {
        self.span(start, self.at)
    }

    /// Skips white space and comments, and line ends where they mean nothing.
    pub(super) fn skip_space(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\n') if self.lines_joined => self.at += 1,
                Some('#') => self.skip_line(),
                Some('/') if self.looking_at("//") => self.skip_line(),
                Some('/') if self.looking_at("/*") => {
                    let end = self
                        .rest()
                        .find("*/")
                        .map_or(self.rest().len(), |at| at + 2);
                    self.at += end;
                }
                _ => return,
            }
        }
    }

    /// Skips white space, comments and line ends, wherever it is.
    pub(super) fn skip_lines(&mut self) {
        let joined = std::mem::replace(&mut self.lines_joined, true);
        self.skip_space();
        self.lines_joined = joined;
    }

    fn skip_line(&mut self) {
        self.at += self.rest().find('\n').unwrap_or(self.rest().len());
    }

    /// Runs a part in which line ends do or do not mean something.
    pub(super) fn with_lines_joined<T>(
        &mut self,
        joined: bool,
        part: impl FnOnce(&mut Self) -> Parsed<T>,
    ) -> Parsed<T> {
        let before = std::mem::replace(&mut self.lines_joined, joined);
        let parsed = part(self);
        self.lines_joined = before;
        parsed
    }

    /// Runs a part one level deeper.
    pub(super) fn deeper<T>(&mut self, part: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.too_deep(self.at, self.at));
        }
        self.depth += 1;
        let parsed = part(self);
        self.depth -= 1;
        parsed
    }

    /// An expression whose tallest child has the given height.
    pub(super) fn node(&mut self, kind: ExprKind, start: usize, tallest: usize) -> Parsed<Expr> {
        self.height = tallest + 1;
        if self.height > MAX_HEIGHT {
            return Err(self.too_deep(start, self.at));
        }
        Ok(Expr {
            kind,
            span: self.span_from(start),
        })
    }

    fn too_deep(&self, start: usize, end: usize) -> Failed {
        Box::new(
            Diagnostic::error("too-deep", "expression is nested too deeply")
                .detail("no expression may be nested as deeply as this one")
                .at(self.span(start, end))
                .help("give its parts names with `locals`"),
        )
    }

    /// A name, if one begins here.
    pub(super) fn name(&mut self) -> Option<Name> {
        let start = self.at;
        let rest = self.rest();
        if !rest.starts_with(is_name_start) {
            return None;
        }
        let end = rest.find(|c| !is_name_part(c)).unwrap_or(rest.len());
        self.at += end;
        Some(Name {
            text: rest[..end].into(),
            span: self.span_from(start),
        })
    }

    pub(super) fn expect_name(&mut self, wanted: &str) -> Parsed<Name> {
        self.skip_space();
        match self.name() {
            Some(name) => Ok(name),
            None => Err(self.unexpected(wanted)),
        }
    }

    /// A word that is not only the beginning of a longer one.
    pub(super) fn looking_at_word(&self, word: &str) -> bool {
        self.rest()
            .strip_prefix(word)
            .is_some_and(|after| !after.starts_with(is_name_part))
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.looking_at_word(word);
        if found {
            self.at += word.len();
        }
        found
    }

    pub(super) fn expect(&mut self, text: &str) -> Parsed<()> {
        self.skip_space();
        if self.take(text) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{text}`")))
    }

    /// The same, saying where the bracket was opened that is to be closed.
    pub(super) fn expect_close(&mut self, text: &str, opened: usize) -> Parsed<()> {
        self.skip_space();
        if self.take(text) {
            return Ok(());
        }
        let mut failed = self.unexpected(&format!("`{text}`"));
        *failed = failed.label(self.span(opened, opened + 1), "opened here");
        Err(failed)
    }

    /// The error that something else stands here than what is wanted.
    pub(super) fn unexpected(&self, wanted: &str) -> Failed {
        let (found, end) = self.found_here();
        Box::new(syntax_error(
            format!("{wanted} is expected here, not {found}"),
            self.span(self.at, end),
        ))
    }

    fn found_here(&self) -> (String, usize) {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return ("the end of the text".into(), self.at);
        };
        if first == '\n' || rest.starts_with("\r\n") {
            return ("the end of the line".into(), self.at);
        }
        let length = match is_name_part(first) {
            true => rest.find(|c| !is_name_part(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let word: String = rest[..length].chars().take(LONGEST_SHOWN).collect();
        (format!("`{word}`"), self.at + length)
    }
}

pub(super) fn syntax_error(detail: impl Into<String>, span: Span) -> Diagnostic {
    Diagnostic::error("syntax-error", "syntax error")
        .detail(detail)
        .at(span)
}

pub(crate) fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

pub(crate) fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

const BYTE_ORDER_MARK: char = '\u{feff}';
/// How deep brackets may be nested.
const MAX_DEPTH: usize = 80;
/// How tall a tree may be: what walks it recursively relies on that.
const MAX_HEIGHT: usize = 240;
const LONGEST_SHOWN: usize = 40;
