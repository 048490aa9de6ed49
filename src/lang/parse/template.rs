//! Texts with `${…}` and `%{…}` in them: quoted, heredocs, template files.
//!
//! First a flat run of pieces, each line of a heredoc its own; then a `<<-` heredoc loses its common indentation,
//! strip markers take white space from the piece beside them, and the directives are folded into a tree.

use dmp_sdk::{Span, Value};

use super::cursor::{Parsed, Parser, syntax_error};
use crate::ast::{Expr, ExprKind, Name, Template, TemplateFor, TemplateIf, TemplatePart};

impl Parser<'_> {
    /// A quoted text; without anything to evaluate it is a literal.
    pub(super) fn quoted(&mut self) -> Parsed<Expr> {
        let start = self.at;
        self.at += 1;
        let mut pieces = self.pieces(&Until::Quote(start))?;
        strip(&mut pieces);
        self.text_expression(pieces, start)
    }

    /// `<<NAME` or `<<-NAME`, its lines, and the name again alone on a line.
    pub(super) fn heredoc(&mut self) -> Parsed<Expr> {
        let start = self.at;
        self.at += 2;
        let is_flush = self.take("-");
        let Some(marker) = self.name() else {
            return Err(self.unexpected("the name that ends the heredoc"));
        };
        self.take("\r");
        if !self.take("\n") {
            return Err(self.unexpected("the end of the line"));
        }
        let mut pieces = self.pieces(&Until::Marker(marker))?;
        strip(&mut pieces);
        if is_flush {
            remove_indentation(&mut pieces);
        }
        self.text_expression(pieces, start)
    }

    /// A whole file as a template.
    pub(super) fn file_template(&mut self) -> Parsed<Template> {
        let mut pieces = self.pieces(&Until::End)?;
        strip(&mut pieces);
        self.template(pieces)
    }

    fn text_expression(&mut self, pieces: Vec<Piece>, start: usize) -> Parsed<Expr> {
        let tallest = self.height;
        let template = self.template(pieces)?;
        let kind = match template.parts.as_slice() {
            [] => ExprKind::Literal(Value::from("")),
            [TemplatePart::Text(text)] => {
                ExprKind::Literal(Value::from(crate::evaluate::composed(text.to_string())))
            }
            _ => ExprKind::Template(template),
        };
        self.node(kind, start, tallest)
    }

    fn template(&mut self, pieces: Vec<Piece>) -> Parsed<Template> {
        let mut folding = Folding {
            pieces: pieces.into_iter().peekable(),
        };
        let (parts, end) = folding.parts(0)?;
        match end {
            None => Ok(Template { parts }),
            Some(end) => Err(Box::new(syntax_error(
                format!("`{}` ends nothing here", end.word()),
                end.span,
            ))),
        }
    }

    /// The pieces up to the end, which is taken too. The height is that of the tallest expression inside, and of the
    /// directives around it.
    fn pieces(&mut self, until: &Until) -> Parsed<Vec<Piece>> {
        let bound = self.bound.len();
        let parsed = self.with_lines_joined(true, |parser| {
            parser.deeper(|parser| parser.pieces_inside(until))
        });
        self.bound.truncate(bound);
        parsed
    }

    fn pieces_inside(&mut self, until: &Until) -> Parsed<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut text_start = self.at;
        let mut fors: Vec<usize> = Vec::new();
        let mut tallest = 0;
        let mut nesting: usize = 0;
        let mut deepest: usize = 0;
        let mut at_line_start = true;
        let mut is_closed = false;
        loop {
            if at_line_start && self.take_marker(until) {
                is_closed = true;
                break;
            }
            at_line_start = false;
            let piece_start = self.at;
            if self.take("$${") {
                text.push_str("${");
            } else if self.take("%%{") {
                text.push_str("%{");
            } else if self.looking_at("${") || self.looking_at("%{") {
                flush(&mut text, self.span(text_start, self.at), &mut pieces);
                let piece = self.sequence(&mut fors)?;
                tallest = tallest.max(self.height);
                match piece.kind {
                    PieceKind::If(_) | PieceKind::For { .. } => nesting += 1,
                    PieceKind::EndIf | PieceKind::EndFor => nesting = nesting.saturating_sub(1),
                    _ => {}
                }
                deepest = deepest.max(nesting);
                if deepest > MOST_DIRECTIVES {
                    let detail = "directives are nested too deeply here";
                    return Err(Box::new(syntax_error(detail, piece.span)));
                }
                pieces.push(piece);
                text_start = self.at;
            } else if matches!(until, Until::Quote(_)) {
                if self.take("\"") {
                    break;
                }
                self.quoted_character(until, &mut text)?;
            } else {
                match self.bump() {
                    None => break,
                    Some('\r') if self.looking_at("\n") => {}
                    Some('\n') => {
                        text.push('\n');
                        flush(&mut text, self.span(text_start, self.at), &mut pieces);
                        text_start = self.at;
                        at_line_start = true;
                    }
                    Some(c) => text.push(c),
                }
            }
            if self.at == piece_start && self.rest().is_empty() {
                break;
            }
        }
        if let Until::Marker(marker) = until
            && !is_closed
        {
            return Err(Box::new(unclosed_heredoc(marker)));
        }
        flush(&mut text, self.span(text_start, self.at), &mut pieces);
        self.height = tallest + 2 * deepest;
        Ok(pieces)
    }

    /// The line that ends a heredoc; only white space may stand beside the name.
    fn take_marker(&mut self, until: &Until) -> bool {
        let Until::Marker(marker) = until else {
            return false;
        };
        let line = self.rest().split('\n').next().unwrap_or_default();
        let found = line.trim() == marker.text.as_ref();
        if found {
            self.at += line.trim_end().len();
        }
        found
    }

    fn quoted_character(&mut self, until: &Until, text: &mut String) -> Parsed<()> {
        let start = self.at;
        match self.bump() {
            None | Some('\n') => {
                self.at = start;
                let opened = match until {
                    Until::Quote(opened) => *opened,
                    _ => start,
                };
                let failed = syntax_error(
                    "the closing `\"` is missing on this line",
                    self.span(opened, start),
                );
                Err(Box::new(
                    failed.help("a text of several lines is a heredoc: `<<-EOT`"),
                ))
            }
            Some('\\') => self.escape(start, text),
            Some(c) => {
                text.push(c);
                Ok(())
            }
        }
    }

    fn escape(&mut self, start: usize, text: &mut String) -> Parsed<()> {
        let escaped = match self.bump() {
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('"') => Some('"'),
            Some('\\') => Some('\\'),
            Some('u') => self.code_point(4),
            Some('U') => self.code_point(8),
            _ => None,
        };
        let Some(c) = escaped else {
            let failed = syntax_error("this is no escape sequence", self.span(start, self.at));
            let help = "write one of `\\n`, `\\r`, `\\t`, `\\\"`, `\\\\`, `\\uNNNN`, `\\UNNNNNNNN`";
            return Err(Box::new(failed.help(help)));
        };
        text.push(c);
        Ok(())
    }

    fn code_point(&mut self, digits: usize) -> Option<char> {
        let text = self.rest().get(..digits)?;
        if !text.chars().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        let code = u32::from_str_radix(text, 16).ok()?;
        self.at += digits;
        char::from_u32(code)
    }

    /// `${…}` or `%{…}`.
    fn sequence(&mut self, fors: &mut Vec<usize>) -> Parsed<Piece> {
        let start = self.at;
        let is_directive = self.looking_at("%{");
        self.at += 2;
        let strip_before = self.take("~");
        self.skip_space();
        self.height = 0;
        let kind = match is_directive {
            true => self.directive(fors)?,
            false => PieceKind::Interpolation(self.expression()?),
        };
        self.skip_space();
        let strip_after = self.looking_at("~}") && self.take("~");
        self.expect_close("}", start + 1)?;
        Ok(Piece {
            kind,
            span: self.span_from(start),
            strip_before,
            strip_after,
        })
    }

    fn directive(&mut self, fors: &mut Vec<usize>) -> Parsed<PieceKind> {
        if self.take_word("if") {
            return Ok(PieceKind::If(self.expression()?));
        }
        if self.take_word("else") {
            return Ok(PieceKind::Else);
        }
        if self.take_word("endif") {
            return Ok(PieceKind::EndIf);
        }
        if self.take_word("endfor") {
            if let Some(bound) = fors.pop() {
                self.bound.truncate(bound);
            }
            return Ok(PieceKind::EndFor);
        }
        if !self.take_word("for") {
            return Err(self.unexpected("`if`, `else`, `endif`, `for` or `endfor`"));
        }
        let (key_name, value_name) = self.for_names()?;
        let collection = self.expression()?;
        fors.push(self.bound.len());
        self.bind(key_name.as_ref(), &value_name);
        Ok(PieceKind::For {
            key_name,
            value_name,
            collection,
        })
    }
}

/// What ends a template.
enum Until {
    /// The closing quote of the one opened here.
    Quote(usize),
    /// A line with this name alone.
    Marker(Name),
    /// The end of the text.
    End,
}

struct Piece {
    kind: PieceKind,
    span: Span,
    strip_before: bool,
    strip_after: bool,
}

enum PieceKind {
    Text(String),
    Interpolation(Expr),
    If(Expr),
    Else,
    EndIf,
    For {
        key_name: Option<Name>,
        value_name: Name,
        collection: Expr,
    },
    EndFor,
}

impl Piece {
    fn word(&self) -> &'static str {
        match self.kind {
            PieceKind::If(_) => "%{if}",
            PieceKind::Else => "%{else}",
            PieceKind::EndIf => "%{endif}",
            PieceKind::For { .. } => "%{for}",
            PieceKind::EndFor => "%{endfor}",
            PieceKind::Text(_) | PieceKind::Interpolation(_) => "${}",
        }
    }
}

fn flush(text: &mut String, span: Span, pieces: &mut Vec<Piece>) {
    if text.is_empty() {
        return;
    }
    pieces.push(Piece {
        kind: PieceKind::Text(std::mem::take(text)),
        span,
        strip_before: false,
        strip_after: false,
    });
}

/// Takes from every line the white space that all of them begin with. Blank lines do not count and stay as they are.
fn remove_indentation(pieces: &mut [Piece]) {
    let mut smallest = usize::MAX;
    let mut beginnings = Vec::new();
    let mut at_line_start = true;
    for (index, piece) in pieces.iter().enumerate() {
        let PieceKind::Text(text) = &piece.kind else {
            if at_line_start {
                smallest = 0;
            }
            at_line_start = false;
            continue;
        };
        let indentation = text.chars().take_while(|c| c.is_whitespace()).count();
        let is_blank = text.ends_with('\n') && indentation == text.chars().count();
        if at_line_start && !is_blank {
            smallest = smallest.min(indentation);
            beginnings.push(index);
        }
        at_line_start = text.ends_with('\n');
    }
    for index in beginnings {
        if let PieceKind::Text(text) = &mut pieces[index].kind {
            let length: usize = text.chars().take(smallest).map(char::len_utf8).sum();
            text.drain(..length);
        }
    }
}

/// Applies the strip markers to the pieces beside them.
fn strip(pieces: &mut [Piece]) {
    for index in 0..pieces.len() {
        if pieces[index].strip_before
            && index > 0
            && let PieceKind::Text(text) = &mut pieces[index - 1].kind
        {
            text.truncate(text.trim_end().len());
        }
        if pieces[index].strip_after
            && let Some(Piece {
                kind: PieceKind::Text(text),
                ..
            }) = pieces.get_mut(index + 1)
        {
            *text = text.trim_start().to_owned();
        }
    }
}

/// Makes a tree of a run of pieces.
struct Folding {
    pieces: std::iter::Peekable<std::vec::IntoIter<Piece>>,
}

impl Folding {
    /// The parts up to a directive that ends or divides what is around them.
    fn parts(&mut self, depth: usize) -> Parsed<(Vec<TemplatePart>, Option<Piece>)> {
        let mut parts: Vec<TemplatePart> = Vec::new();
        let mut text = String::new();
        while let Some(piece) = self.pieces.next() {
            let part = match piece.kind {
                PieceKind::Text(more) => {
                    text.push_str(&more);
                    continue;
                }
                PieceKind::Interpolation(expr) => TemplatePart::Interpolation(expr),
                PieceKind::If(condition) => self.branches(condition, piece.span, depth)?,
                PieceKind::For {
                    key_name,
                    value_name,
                    collection,
                } => {
                    let (body, end) = self.parts(depth + 1)?;
                    if !matches!(
                        end,
                        Some(Piece {
                            kind: PieceKind::EndFor,
                            ..
                        })
                    ) {
                        return Err(unended(end, piece.span, "%{endfor}"));
                    }
                    TemplatePart::For(Box::new(TemplateFor {
                        key_name,
                        value_name,
                        collection,
                        body: Template { parts: body },
                    }))
                }
                PieceKind::Else | PieceKind::EndIf | PieceKind::EndFor => {
                    add_text(&mut parts, text);
                    return Ok((parts, Some(piece)));
                }
            };
            add_text(&mut parts, std::mem::take(&mut text));
            parts.push(part);
        }
        add_text(&mut parts, text);
        Ok((parts, None))
    }

    fn branches(&mut self, condition: Expr, span: Span, depth: usize) -> Parsed<TemplatePart> {
        let (yes, mut end) = self.parts(depth + 1)?;
        let mut no = Vec::new();
        if matches!(
            end,
            Some(Piece {
                kind: PieceKind::Else,
                ..
            })
        ) {
            (no, end) = self.parts(depth + 1)?;
        }
        if !matches!(
            end,
            Some(Piece {
                kind: PieceKind::EndIf,
                ..
            })
        ) {
            return Err(unended(end, span, "%{endif}"));
        }
        Ok(TemplatePart::If(Box::new(TemplateIf {
            condition,
            yes: Template { parts: yes },
            no: Template { parts: no },
        })))
    }
}

fn add_text(parts: &mut Vec<TemplatePart>, text: String) {
    if !text.is_empty() {
        parts.push(TemplatePart::Text(text.into()));
    }
}

fn unended(found: Option<Piece>, opened: Span, wanted: &str) -> super::cursor::Failed {
    let failed = match found {
        Some(piece) => {
            let detail = format!("`{wanted}` is expected here, not `{}`", piece.word());
            syntax_error(detail, piece.span).label(opened, "opened here")
        }
        None => syntax_error(format!("`{wanted}` is missing for this directive"), opened),
    };
    Box::new(failed)
}

fn unclosed_heredoc(marker: &Name) -> dmp_sdk::Diagnostic {
    let detail = format!(
        "the heredoc that begins here has no line with `{}` alone",
        marker.text
    );
    syntax_error(detail, marker.span.clone())
}

const MOST_DIRECTIVES: usize = 30;
