//! Files and blocks, and how the parser goes on after a broken statement.
//!
//! What a `dynamic` block calls its element is a name only inside `content` and `labels`, and may be said after them:
//! the parser looks for it before it goes into the block.

use std::sync::Arc;

use indexmap::IndexMap;

use super::cursor::{Parsed, Parser, is_name_start, syntax_error};
use super::term::text_of;
use crate::ast::{Attribute, Block, Body, ExprKind, Name};

impl Parser<'_> {
    /// A whole file.
    pub(super) fn file(&mut self) -> Body {
        let start = self.at;
        let mut body = Body::empty(self.span(start, self.text.len()));
        loop {
            self.skip_lines();
            if self.rest().is_empty() {
                return body;
            }
            if self.looking_at("}") {
                let span = self.span(self.at, self.at + 1);
                self.complain(syntax_error("this `}` closes nothing", span));
                self.at += 1;
                continue;
            }
            self.statement_of_file(&mut body);
        }
    }

    /// A statement of the file itself; if it is a block that nothing closes, what follows is looked at again.
    fn statement_of_file(&mut self, body: &mut Body) {
        let start = self.at;
        let known = self.diagnostics.len();
        self.unclosed = None;
        self.statement(body);
        let Some(span) = self.unclosed.take() else {
            return;
        };
        self.diagnostics.truncate(known);
        let failed = syntax_error("the block that begins here is not closed", span);
        self.complain(failed.help("add a `}` after its last line"));
        self.at = self.back_to(self.next_top_level(start));
    }

    /// Where to go on: at a place that was passed already, as long as not too much is looked at again. Broken blocks inside
    /// of broken blocks would double the work with each level.
    fn back_to(&mut self, at: usize) -> usize {
        self.again += self.at.saturating_sub(at);
        match self.again > LOOKED_AT_AGAIN * self.text.len() {
            true => self.at.max(at),
            false => at,
        }
    }

    /// The next line that begins, without indentation, as a statement does.
    fn next_top_level(&self, after: usize) -> usize {
        let mut at = after;
        while let Some(line) = self.text[at..].find('\n') {
            at += line + 1;
            if self.text[at..].starts_with(is_name_start) {
                return at;
            }
        }
        self.text.len()
    }

    fn statement(&mut self, body: &mut Body) {
        let start = self.at;
        if let Err(failed) = self.statement_inside(body) {
            self.complain(*failed);
            self.lines_joined = false;
            self.at = self.back_to(self.after_statement(start, self.at));
        }
    }

    fn statement_inside(&mut self, body: &mut Body) -> Parsed<()> {
        let Some(name) = self.name() else {
            return Err(self.unexpected("the name of an argument or a block"));
        };
        self.skip_space();
        if self.looking_at("=") && !self.looking_at("==") {
            self.at += 1;
            let expr = match name.text.as_ref() {
                "labels" => self.with_iterator(Self::expression)?,
                _ => self.expression()?,
            };
            self.add_attribute(body, name, expr);
        } else {
            let block = match name.text.as_ref() {
                "content" => self.with_iterator(|parser| parser.block(name))?,
                _ => self.block(name)?,
            };
            body.blocks.push(block);
        }
        self.skip_space();
        match self.peek() {
            None | Some('\n' | '}') => Ok(()),
            Some(_) => Err(self.unexpected("the end of the line")),
        }
    }

    fn add_attribute(&mut self, body: &mut Body, name: Name, expr: crate::ast::Expr) {
        if let Some(first) = body.attributes.get(&name.text) {
            let first = first.name_span.clone();
            self.complain(
                dmp_sdk::Diagnostic::error("duplicate-argument", "argument is set twice")
                    .detail(format!("`{}` is set already", name.text))
                    .at(name.span)
                    .label(first, "first set here"),
            );
            return;
        }
        let attribute = Attribute {
            name_span: name.span,
            expr,
        };
        body.attributes.insert(name.text, attribute);
    }

    /// Runs a part in which the element of the `dynamic` block around, if it is one, has its name.
    fn with_iterator<T>(&mut self, part: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let before = self.bound.len();
        self.bound.extend(self.iterator.clone());
        let parsed = part(self);
        self.bound.truncate(before);
        parsed
    }

    /// What the `dynamic` block whose body begins here calls its element.
    fn iterator_of(&self, labels: &[Name], header: &dmp_sdk::Span) -> Option<Arc<str>> {
        let label = labels.first().map(|label| Arc::clone(&label.text));
        // Looking ahead inside of looking ahead would cost twice as much with each level.
        if self.is_ahead {
            return label;
        }
        let body = self.ahead().block_body(header.clone()).ok()?;
        match body.expr("iterator").map(|expr| &expr.bare().kind) {
            Some(ExprKind::Variable(name)) => Some(Arc::clone(name)),
            _ => label,
        }
    }

    /// The labels and the body of a block.
    fn block(&mut self, kind: Name) -> Parsed<Block> {
        let start = kind.span.start;
        let mut labels = Vec::new();
        loop {
            self.skip_space();
            if self.looking_at("{") {
                break;
            }
            labels.push(self.label()?);
        }
        let header = self.span(start, self.text[..self.at].trim_end().len());
        let iterator = match kind.text.as_ref() {
            "dynamic" => self.iterator_of(&labels, &header),
            _ => None,
        };
        let around = std::mem::replace(&mut self.iterator, iterator);
        let body = self.deeper(|parser| {
            parser.with_lines_joined(false, |parser| parser.block_body(header.clone()))
        });
        self.iterator = around;
        let body = body?;
        Ok(Block {
            kind,
            labels,
            body,
            span: header,
        })
    }

    fn label(&mut self) -> Parsed<Name> {
        let start = self.at;
        if self.looking_at("\"") {
            let quoted = self.quoted()?;
            return match text_of(&quoted) {
                Some(text) => Ok(Name {
                    text: text.clone(),
                    span: quoted.span,
                }),
                None => {
                    let span = self.span_from(start);
                    Err(Box::new(syntax_error(
                        "a label is a text without `${…}`",
                        span,
                    )))
                }
            };
        }
        match self.name() {
            Some(name) => Ok(name),
            None => Err(self.unexpected("`=`, `{` or a label")),
        }
    }

    fn block_body(&mut self, header: dmp_sdk::Span) -> Parsed<Body> {
        let start = self.at;
        self.at += 1;
        let mut body = Body {
            attributes: IndexMap::new(),
            blocks: Vec::new(),
            span: self.span(start, start),
        };
        loop {
            self.skip_lines();
            if self.take("}") {
                body.span = self.span_from(start);
                // Most blocks have one or two arguments, and there may be thousands of blocks.
                body.attributes.shrink_to_fit();
                return Ok(body);
            }
            if self.rest().is_empty() {
                // The outermost block is the one told of: any of them may be what lacks its end.
                self.unclosed = Some(header);
                return Ok(body);
            }
            self.statement(&mut body);
        }
    }

    /// Where the statement that begins at one place and failed at another ends: the end of its line, or of the
    /// brackets that are open there, but never a bracket that was opened before it.
    fn after_statement(&self, start: usize, failed: usize) -> usize {
        let bytes = self.text.as_bytes();
        let mut open: usize = 0;
        let mut at = start;
        while at < bytes.len() {
            match bytes[at] {
                b'"' => at = skip_quoted(bytes, at),
                b'#' => at = line_end(bytes, at),
                b'/' if bytes.get(at + 1) == Some(&b'/') => at = line_end(bytes, at),
                b'/' if bytes.get(at + 1) == Some(&b'*') => {
                    let rest = &self.text[at..];
                    at += rest.find("*/").map_or(rest.len(), |end| end + 2);
                }
                b'<' if bytes.get(at + 1) == Some(&b'<') => at = self.skip_heredoc(at),
                b'{' | b'[' | b'(' => {
                    open += 1;
                    at += 1;
                }
                b'}' | b']' | b')' => {
                    if open == 0 && at >= failed && bytes[at] == b'}' {
                        return at;
                    }
                    open = open.saturating_sub(1);
                    at += 1;
                }
                b'\n' if open == 0 && at >= failed => return at,
                b'\n' if self.begins_block(at + 1) => return at,
                _ => at += 1,
            }
        }
        bytes.len()
    }

    /// Whether a line without indentation begins with one of the words that begin a statement of a file.
    fn begins_block(&self, at: usize) -> bool {
        let line = self.text.get(at..).unwrap_or_default();
        TOP_LEVEL.iter().any(|word| {
            line.strip_prefix(word)
                .is_some_and(|after| after.starts_with([' ', '{', '"']))
        })
    }

    fn skip_heredoc(&self, at: usize) -> usize {
        let rest = &self.text[at..];
        let header = rest.split('\n').next().unwrap_or_default();
        let marker = header.trim_start_matches(['<', '-']).trim();
        if marker.is_empty() || !marker.starts_with(is_name_start) {
            return at + 2;
        }
        let mut end = at + header.len();
        for line in rest[header.len()..].split_inclusive('\n').skip(1) {
            end += line.len();
            if line.trim() == marker {
                break;
            }
        }
        (end + 1).min(self.text.len())
    }
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..]
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(bytes.len(), |length| at + length)
}

/// One past a quoted text, or the end of its line if nothing closes it.
fn skip_quoted(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            b'\n' => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// How often, on average, a byte of a broken file may be looked at again.
const LOOKED_AT_AGAIN: usize = 8;

/// The words that begin a block of a file.
const TOP_LEVEL: [&str; 13] = [
    "resource",
    "data",
    "variable",
    "locals",
    "output",
    "module",
    "provider",
    "check",
    "moved",
    "removed",
    "import",
    "stack",
    "environment",
];
