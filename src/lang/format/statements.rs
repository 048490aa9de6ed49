//! What is written otherwise than it was: labels, texts that are nothing but one `${…}`, and blank lines.

use super::tokens::{Kind, Token};

/// Writes labels in quotes, `"${x}"` as `x` where it is all of an argument, and runs of blank lines as one.
pub(super) fn tidy(tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    let tokens = without_blank_runs(tokens);
    let mut tidier = Tidier {
        tokens: &tokens,
        at: 0,
        tidied: Vec::with_capacity(tokens.len()),
    };
    tidier.body();
    tidier.tidied
}

fn without_blank_runs(mut tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    let mut at_line_start = true;
    let mut after_blank = false;
    tokens.retain(|token| {
        let is_blank = at_line_start && token.kind == Kind::Newline;
        let keep = !(is_blank && after_blank);
        after_blank = is_blank;
        at_line_start = token.ends_line();
        keep
    });
    tokens
}

struct Tidier<'a, 't> {
    tokens: &'a [Token<'t>],
    at: usize,
    tidied: Vec<Token<'t>>,
}

impl Tidier<'_, '_> {
    fn take(&mut self) {
        self.tidied.push(self.tokens[self.at]);
        self.at += 1;
    }

    /// The statements of a file or a block, with the brace that ends it.
    fn body(&mut self) {
        while let Some(token) = self.tokens.get(self.at) {
            match token.kind {
                Kind::CloseBrace => return self.take(),
                Kind::Name => self.statement(),
                _ => self.take(),
            }
        }
    }

    fn statement(&mut self) {
        self.take();
        let mut after = self.tokens[self.at..].iter();
        let next = after.find(|token| token.kind != Kind::BlockComment);
        if next.is_some_and(|token| token.kind == Kind::Equal) {
            self.attribute();
        } else {
            self.block();
        }
    }

    fn attribute(&mut self) {
        while self.tokens[self.at].kind != Kind::Equal {
            self.take();
        }
        self.take();
        let tokens = self.tokens;
        let length = expression_length(&tokens[self.at..]);
        unwrap(&tokens[self.at..self.at + length], &mut self.tidied);
        self.at += length;
    }

    /// The labels of a block, and its body.
    fn block(&mut self) {
        while let Some(token) = self.tokens.get(self.at) {
            match token.kind {
                Kind::Name => {
                    self.tidied.push(Token::new(Kind::OpenQuote, "\""));
                    self.tidied.push(Token::new(Kind::Text, token.text));
                    self.tidied.push(Token::new(Kind::CloseQuote, "\""));
                    self.at += 1;
                }
                Kind::OpenBrace => {
                    self.take();
                    return self.body();
                }
                _ => self.take(),
            }
        }
    }
}

/// How many tokens an argument's value has: up to the end of the line, or of the block that it stands in.
fn expression_length(tokens: &[Token<'_>]) -> usize {
    let mut open = 0;
    let is_end = |token: &Token<'_>| {
        open += token.opens();
        open < 0 || (open == 0 && matches!(token.kind, Kind::Newline | Kind::LineComment))
    };
    tokens.iter().position(is_end).unwrap_or(tokens.len())
}

/// Adds what `"${…}"` holds, in parentheses if it goes over several lines; anything else as it is.
fn unwrap<'t>(value: &[Token<'t>], tidied: &mut Vec<Token<'t>>) {
    let (before, text, after) = without(Kind::BlockComment, value);
    let Some(inside) = only_interpolation(text) else {
        tidied.extend(value);
        return;
    };
    tidied.extend(before);
    let (_, inside, _) = without(Kind::Newline, inside);
    let has_lines = inside
        .iter()
        .any(|token| matches!(token.kind, Kind::Newline | Kind::LineComment));
    if !has_lines {
        unwrap(inside, tidied);
    } else if is_parenthesis(inside) {
        tidied.extend(inside);
    } else {
        tidied.push(Token::new(Kind::OpenParenthesis, "("));
        tidied.extend(inside);
        tidied.push(Token::new(Kind::CloseParenthesis, ")"));
    }
    tidied.extend(after);
}

/// Tokens in three parts: those of a kind at the beginning, the rest, and those of the kind at the end.
fn without<'a, 't>(
    kind: Kind,
    tokens: &'a [Token<'t>],
) -> (&'a [Token<'t>], &'a [Token<'t>], &'a [Token<'t>]) {
    let is_other = |token: &Token<'_>| token.kind != kind;
    let start = tokens.iter().position(is_other).unwrap_or(tokens.len());
    let end = tokens
        .iter()
        .rposition(is_other)
        .map_or(start, |last| last + 1);
    (&tokens[..start], &tokens[start..end], &tokens[end..])
}

/// What stands in the one `${…}` that a quoted text consists of. A heredoc stays in it: behind one the line must end.
fn only_interpolation<'a, 't>(expression: &'a [Token<'t>]) -> Option<&'a [Token<'t>]> {
    let [quote, interpolation, inside @ .., end, _] = expression else {
        return None;
    };
    let begins = quote.kind == Kind::OpenQuote && interpolation.kind == Kind::Interpolation;
    if !begins || end.kind != Kind::SequenceEnd {
        return None;
    }
    // The sequence that begins first is also the one that ends last.
    let mut open = 0;
    let stays_inside = inside.iter().all(|token| {
        open += token.opens();
        open >= 0 && token.kind != Kind::Heredoc
    });
    stays_inside.then_some(inside)
}

/// Whether one pair of parentheses holds all of it.
fn is_parenthesis(tokens: &[Token<'_>]) -> bool {
    let [first, inside @ .., last] = tokens else {
        return false;
    };
    let mut open = 0;
    let stays_inside = inside.iter().all(|token| {
        open += token.opens();
        open >= 0
    });
    first.kind == Kind::OpenParenthesis && last.kind == Kind::CloseParenthesis && stays_inside
}
