//! Expressions: the conditional, the operators by precedence, and what is taken out of a term.

use dmp_sdk::{Diagnostic, Value};

use super::cursor::{Parsed, Parser, is_name_start};
use crate::ast::{BinaryOperator, Conditional, Expr, ExprKind, UnaryOperator};
use crate::reference::Step;

impl Parser<'_> {
    /// An expression and nothing after it.
    pub(super) fn whole_expression(&mut self) -> Parsed<Expr> {
        self.with_lines_joined(true, |parser| {
            let expr = parser.expression()?;
            parser.skip_space();
            match parser.peek() {
                None => Ok(expr),
                Some(_) => Err(parser.unexpected("the end of the expression")),
            }
        })
    }

    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.deeper(|parser| {
            parser.skip_space();
            let start = parser.at;
            let condition = parser.binary(0)?;
            parser.skip_space();
            if !parser.take("?") {
                return Ok(condition);
            }
            let mut tallest = parser.height;
            let yes = parser.expression()?;
            tallest = tallest.max(parser.height);
            parser.expect(":")?;
            let no = parser.expression()?;
            tallest = tallest.max(parser.height);
            let conditional = Conditional { condition, yes, no };
            parser.node(ExprKind::Conditional(Box::new(conditional)), start, tallest)
        })
    }

    fn binary(&mut self, level: usize) -> Parsed<Expr> {
        self.skip_space();
        let start = self.at;
        let mut left = self.unary()?;
        loop {
            let end = self.at;
            self.skip_space();
            let Some((operator, precedence, length)) = self.operator() else {
                self.at = end;
                return Ok(left);
            };
            if precedence < level {
                self.at = end;
                return Ok(left);
            }
            self.at += length;
            let tallest = self.height;
            let right = self.binary(precedence + 1)?;
            let tallest = tallest.max(self.height);
            let kind = ExprKind::Binary(operator, Box::new(left), Box::new(right));
            left = self.node(kind, start, tallest)?;
        }
    }

    fn operator(&self) -> Option<(BinaryOperator, usize, usize)> {
        OPERATORS
            .iter()
            .find(|(text, ..)| self.looking_at(text))
            .map(|(text, operator, precedence)| (*operator, *precedence, text.len()))
    }

    fn unary(&mut self) -> Parsed<Expr> {
        self.skip_space();
        let start = self.at;
        let operator = match self.peek() {
            Some('-') => UnaryOperator::Negate,
            Some('!') if !self.looking_at("!=") => UnaryOperator::Not,
            _ => return self.operand(),
        };
        self.at += 1;
        let operand = self.deeper(Self::unary)?;
        let tallest = self.height;
        self.node(ExprKind::Unary(operator, Box::new(operand)), start, tallest)
    }

    fn operand(&mut self) -> Parsed<Expr> {
        let start = self.at;
        let term = self.term()?;
        self.traversal(term, start)
    }

    /// What follows a term: `.name`, `[key]`, `.0`, splats.
    pub(super) fn traversal(&mut self, term: Expr, start: usize) -> Parsed<Expr> {
        let mut expr = term;
        let mut path = Vec::new();
        let mut literal = true;
        loop {
            let end = self.at;
            self.skip_space();
            let step_start = self.at;
            let tallest = self.height;
            if self.looking_at("...") {
                self.at = end;
                break;
            } else if self.take(".") {
                self.skip_space();
                if self.take("*") {
                    expr = self.attribute_splat(expr, start)?;
                    literal = false;
                } else if let Some(name) = self.name() {
                    if literal {
                        path.push(Step::Attribute(name.text.clone(), name.span.clone()));
                    }
                    expr = self.node(ExprKind::Attribute(Box::new(expr), name), start, tallest)?;
                } else if let Some(key) = self.legacy_index() {
                    if literal && let ExprKind::Literal(value) = &key.kind {
                        path.push(Step::Index(value.clone(), key.span.clone()));
                    }
                    let kind = ExprKind::Index(Box::new(expr), Box::new(key));
                    expr = self.node(kind, start, tallest)?;
                } else {
                    return Err(self.unexpected("a name"));
                }
            } else if self.take("[") {
                if self.with_lines_joined(true, |parser| {
                    parser.skip_space();
                    Ok(parser.take("*"))
                })? {
                    self.with_lines_joined(true, |parser| parser.expect_close("]", step_start))?;
                    let item = self.node(ExprKind::SplatItem, self.at, 0)?;
                    let each = self.deeper(|parser| parser.traversal(item, parser.at))?;
                    let tallest = tallest.max(self.height);
                    let kind = ExprKind::Splat(Box::new(expr), Box::new(each));
                    expr = self.node(kind, start, tallest)?;
                    literal = false;
                } else {
                    let key = self.with_lines_joined(true, |parser| {
                        let key = parser.expression()?;
                        parser.expect_close("]", step_start)?;
                        Ok(key)
                    })?;
                    let tallest = tallest.max(self.height);
                    match &key.kind {
                        ExprKind::Literal(value) if literal => {
                            path.push(Step::Index(value.clone(), key.span.clone()));
                        }
                        _ => literal = false,
                    }
                    let kind = ExprKind::Index(Box::new(expr), Box::new(key));
                    expr = self.node(kind, start, tallest)?;
                }
            } else {
                self.at = end;
                break;
            }
        }
        if !path.is_empty() {
            set_path(&mut expr, path);
        }
        Ok(expr)
    }

    /// `.*` and the names after it.
    fn attribute_splat(&mut self, of: Expr, start: usize) -> Parsed<Expr> {
        let tallest = self.height;
        let item_start = self.at;
        let mut each = self.node(ExprKind::SplatItem, item_start, 0)?;
        loop {
            let end = self.at;
            self.skip_space();
            let Some(after) = self.rest().strip_prefix('.') else {
                self.at = end;
                break;
            };
            let first = after.trim_start_matches([' ', '\t']).chars().next();
            let is_index = first.is_some_and(|c| c.is_ascii_digit());
            if !is_index && !first.is_some_and(is_name_start) {
                self.at = end;
                break;
            }
            self.at += 1;
            self.skip_space();
            let height = self.height;
            let kind = match self.legacy_index() {
                Some(key) => ExprKind::Index(Box::new(each), Box::new(key)),
                None => {
                    let name = self.expect_name("a name")?;
                    ExprKind::Attribute(Box::new(each), name)
                }
            };
            each = self.node(kind, item_start, height)?;
        }
        let tallest = tallest.max(self.height);
        self.node(
            ExprKind::Splat(Box::new(of), Box::new(each)),
            start,
            tallest,
        )
    }

    /// The older way to write an index: `.0`.
    fn legacy_index(&mut self) -> Option<Expr> {
        let start = self.at;
        let rest = self.rest();
        let length = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let index: i64 = rest[..length].parse().ok()?;
        self.at += length;
        Some(Expr {
            kind: ExprKind::Literal(Value::from(index)),
            span: self.span_from(start),
        })
    }

    /// A complaint after which the parser goes on as if nothing were wrong.
    pub(super) fn complain(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }
}

/// Tells the reference at the root of a traversal what is taken out of it.
fn set_path(expr: &mut Expr, path: Vec<Step>) {
    let mut node = expr;
    loop {
        match &mut node.kind {
            ExprKind::Attribute(of, _) | ExprKind::Index(of, _) | ExprKind::Splat(of, _) => {
                node = of;
            }
            ExprKind::Reference(reference) => {
                reference.path = path;
                return;
            }
            _ => return,
        }
    }
}

/// Operators with their precedence; a text that begins another stands after it.
const OPERATORS: [(&str, BinaryOperator, usize); 13] = [
    ("||", BinaryOperator::Or, 0),
    ("&&", BinaryOperator::And, 1),
    ("==", BinaryOperator::Equal, 2),
    ("!=", BinaryOperator::NotEqual, 2),
    ("<=", BinaryOperator::LessOrEqual, 3),
    (">=", BinaryOperator::GreaterOrEqual, 3),
    ("<", BinaryOperator::Less, 3),
    (">", BinaryOperator::Greater, 3),
    ("+", BinaryOperator::Add, 4),
    ("-", BinaryOperator::Subtract, 4),
    ("*", BinaryOperator::Multiply, 5),
    ("/", BinaryOperator::Divide, 5),
    ("%", BinaryOperator::Remainder, 5),
];
