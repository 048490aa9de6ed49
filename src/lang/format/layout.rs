//! How much space stands before each token: the indentation of lines, the space inside them, and the columns in which
//! the `=` and the comments of neighbouring lines stand.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::tokens::{Kind, Token};

/// Sets the space before all tokens.
pub(super) fn place(tokens: &mut [Token<'_>]) {
    let lines = lines(tokens);
    indent(tokens, &lines);
    for line in &lines {
        space(&mut tokens[line.lead.clone()]);
        space(&mut tokens[line.value.clone()]);
    }
    let with_value = |line: &Line| (!line.value.is_empty()).then_some(line.value.start);
    align(tokens, &lines, with_value);
    let with_comment = |line: &Line| (!line.comment.is_empty()).then_some(line.comment.start);
    align(tokens, &lines, with_comment);
}

/// A line in up to three cells, as ranges of tokens that follow each other.
struct Line {
    /// Everything up to one of the others.
    lead: Range<usize>,
    /// From the `=` on, if what follows it ends on the line.
    value: Range<usize>,
    /// The comment at the end, if something stands before it.
    comment: Range<usize>,
}

fn lines(tokens: &[Token<'_>]) -> Vec<Line> {
    let mut start = 0;
    let ends = (1..=tokens.len()).filter(|end| *end == tokens.len() || tokens[end - 1].ends_line());
    ends.map(|end| {
        let all = start..end;
        start = end;
        line(tokens, all)
    })
    .collect()
}

fn line(tokens: &[Token<'_>], all: Range<usize>) -> Line {
    let has_comment = all.len() > 1 && tokens[all.end - 1].is_comment();
    let comment = all.end - usize::from(has_comment);
    let equal = (all.start + 1..comment).find(|at| tokens[*at].kind == Kind::Equal);
    let value = equal
        .filter(|at| open_brackets(&tokens[*at..comment]) == 0)
        .unwrap_or(comment);
    Line {
        lead: all.start..value,
        value: value..comment,
        comment: comment..all.end,
    }
}

fn open_brackets(tokens: &[Token<'_>]) -> isize {
    tokens.iter().map(Token::opens).sum()
}

/// A line that opens brackets indents what follows by one step, however many they are, until they are closed again.
fn indent(tokens: &mut [Token<'_>], lines: &[Line]) {
    let mut steps: Vec<isize> = Vec::new();
    for line in lines {
        let first = line.lead.start;
        if tokens[first].kind == Kind::Newline {
            continue;
        }
        let net = open_brackets(&tokens[first..line.value.end]);
        let mut closed = -net;
        while closed > 0
            && let Some(step) = steps.last_mut()
        {
            if closed < *step {
                *step -= closed;
                break;
            }
            closed -= *step;
            steps.pop();
        }
        tokens[first].space = INDENTATION * steps.len();
        if net > 0 {
            steps.push(net);
        }
    }
}

/// The space between the tokens of a cell.
fn space(cell: &mut [Token<'_>]) {
    for at in 1..cell.len() {
        let before = at.checked_sub(2).map(|at| cell[at].kind);
        let next = cell.get(at + 1).map(|token| token.kind);
        cell[at].space = usize::from(is_apart(before, &cell[at - 1], cell[at].kind, next));
    }
}

/// Whether a space stands between a token and the one after it. What stands before and behind the two decides some cases.
fn is_apart(before: Option<Kind>, token: &Token<'_>, after: Kind, behind: Option<Kind>) -> bool {
    use Kind::{
        CloseBrace, CloseQuote, Comma, Directive, Dot, DoubleColon, Ellipsis, Interpolation, Name,
        Newline, Not, Number, OpenBrace, OpenBracket, OpenParenthesis, OpenQuote, SequenceEnd,
        Text,
    };
    match (token.kind, after) {
        (_, Newline) | (Name, OpenParenthesis | DoubleColon) | (DoubleColon, Name) => false,
        // Together they would be one number.
        (Number, Dot) if behind == Some(Number) && before != Some(Dot) => true,
        (Dot, _) | (_, Dot | Comma | Ellipsis) => false,
        (Comma, _) => true,
        (Text | OpenQuote, _) | (_, Text | CloseQuote) => false,
        // `for x in [1]` goes through a tuple, while `x[1]` is an element.
        (Name, _) if token.text == "in" && before == Some(Name) => true,
        (Name | Number, OpenBracket) | (Not, _) => false,
        (_, OpenBracket) if token.opens() < 0 => false,
        (Kind::Minus, _) => is_subtraction(before),
        (OpenBrace, CloseBrace) => false,
        (OpenBrace, _) | (_, CloseBrace) => true,
        (Interpolation | Directive, OpenBrace) | (CloseBrace, SequenceEnd) => true,
        (SequenceEnd, Interpolation | Directive) => false,
        (_, SequenceEnd | Kind::CloseBracket | Kind::CloseParenthesis) => false,
        _ => token.opens() <= 0,
    }
}

/// Whether a `-` can have an operand on its left, by what stands there.
fn is_subtraction(before: Option<Kind>) -> bool {
    !matches!(
        before,
        None | Some(
            Kind::OpenParenthesis
                | Kind::OpenBrace
                | Kind::OpenBracket
                | Kind::Equal
                | Kind::Colon
                | Kind::Comma
                | Kind::Question
                | Kind::Operator
                | Kind::Minus
                | Kind::Not
        )
    )
}

/// Puts a cell of lines that follow each other into one column: one space behind the longest of what stands before it.
fn align(tokens: &mut [Token<'_>], lines: &[Line], cell: impl Fn(&Line) -> Option<usize>) {
    let runs = lines.chunk_by(|one, two| cell(one).is_some() == cell(two).is_some());
    for run in runs {
        let cells: Vec<(usize, usize)> = run
            .iter()
            .filter_map(|line| {
                let start = cell(line)?;
                Some((start, columns(&tokens[line.lead.start..start])))
            })
            .collect();
        let widest = cells.iter().map(|(_, width)| *width).max().unwrap_or(0);
        for (start, width) in cells {
            tokens[start].space = widest - width + 1;
        }
    }
}

/// How wide tokens are, in characters as people count them.
fn columns(tokens: &[Token<'_>]) -> usize {
    let width = |token: &Token<'_>| token.space + token.text.graphemes(true).count();
    tokens.iter().map(width).sum()
}

const INDENTATION: usize = 2;
