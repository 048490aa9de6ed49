//! Terms: literals, collections, `for`, calls, and names with what they refer to.

use std::sync::Arc;

use dmp_sdk::{Kind, Mode, Number, Value};

use super::cursor::{Names, Parsed, Parser, is_name_part, syntax_error};
use crate::ast::{Call, Expr, ExprKind, ForExpr, Name, ObjectItem};
use crate::reference::{PathKind, Reference, ResourceKey, Target};

impl Parser<'_> {
    pub(super) fn term(&mut self) -> Parsed<Expr> {
        self.skip_space();
        let start = self.at;
        match self.peek() {
            Some('0'..='9') => self.number(),
            Some('"') => self.quoted(),
            Some('<') if self.looking_at("<<") => self.heredoc(),
            Some('(') => self.parenthesis(),
            Some('[') => self.tuple(),
            Some('{') => self.object(),
            _ => match self.name() {
                Some(name) => self.named(name, start),
                None => Err(self.unexpected("an expression")),
            },
        }
    }

    fn number(&mut self) -> Parsed<Expr> {
        let start = self.at;
        self.digits();
        let is_fraction = |parser: &Self| {
            let mut after = parser.rest().chars();
            after.next() == Some('.') && after.next().is_some_and(|c| c.is_ascii_digit())
        };
        if is_fraction(self) {
            self.at += 1;
            self.digits();
        }
        if self.looking_at("e") || self.looking_at("E") {
            let before = self.at;
            self.at += 1;
            if self.looking_at("+") || self.looking_at("-") {
                self.at += 1;
            }
            if self.peek().is_some_and(|c| c.is_ascii_digit()) {
                self.digits();
            } else {
                self.at = before;
            }
        }
        if self.peek().is_some_and(is_name_part) && !self.looking_at("-") {
            return Err(self.unexpected("the end of the number"));
        }
        let text = &self.text[start..self.at];
        let number = match text.len() > LONGEST_NUMBER {
            true => Err("the number is too long".to_owned()),
            false => text.parse::<Number>().map_err(|error| error.to_string()),
        };
        match number {
            Ok(number) => self.node(ExprKind::Literal(number.into()), start, 0),
            Err(why) => Err(Box::new(syntax_error(why, self.span_from(start)))),
        }
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn parenthesis(&mut self) -> Parsed<Expr> {
        let start = self.at;
        self.at += 1;
        self.with_lines_joined(true, |parser| {
            let inner = parser.expression()?;
            let height = parser.height;
            parser.expect_close(")", start)?;
            parser.node(ExprKind::Parenthesis(Box::new(inner)), start, height)
        })
    }

    fn tuple(&mut self) -> Parsed<Expr> {
        let start = self.at;
        self.at += 1;
        self.with_lines_joined(true, |parser| {
            parser.skip_space();
            if parser.looking_at_word("for") {
                return parser.for_expression(start, "]");
            }
            let mut items = Vec::new();
            let mut tallest = 0;
            loop {
                parser.skip_space();
                if parser.take("]") {
                    break;
                }
                items.push(parser.expression()?);
                tallest = tallest.max(parser.height);
                parser.skip_space();
                if !parser.take(",") {
                    parser.expect_close("]", start)?;
                    break;
                }
            }
            parser.node(ExprKind::Tuple(items), start, tallest)
        })
    }

    fn object(&mut self) -> Parsed<Expr> {
        let start = self.at;
        self.at += 1;
        let after_brace = self.at;
        self.skip_lines();
        if self.looking_at_word("for") && !self.is_key_here() {
            return self.with_lines_joined(true, |parser| parser.for_expression(start, "}"));
        }
        self.at = after_brace;
        self.with_lines_joined(false, |parser| {
            let mut items = Vec::new();
            let mut tallest = 0;
            loop {
                parser.skip_lines();
                if parser.take("}") {
                    break;
                }
                items.push(parser.object_item(&mut tallest)?);
                parser.skip_space();
                if parser.take(",") || parser.looking_at("\n") {
                    continue;
                }
                parser.expect_close("}", start)?;
                break;
            }
            parser.node(ExprKind::Object(items), start, tallest)
        })
    }

    /// Whether a bare name and then `=` or `:` stand here.
    fn is_key_here(&mut self) -> bool {
        let start = self.at;
        let found = self.name().is_some() && {
            self.skip_space();
            (self.looking_at("=") && !self.looking_at("==")) || self.looking_at(":")
        };
        self.at = start;
        found
    }

    fn object_item(&mut self, tallest: &mut usize) -> Parsed<ObjectItem> {
        let key = if self.is_key_here() {
            let name = self.expect_name("a name")?;
            Expr {
                kind: ExprKind::Literal(Value::from(name.text)),
                span: name.span,
            }
        } else {
            let key = self.expression()?;
            *tallest = (*tallest).max(self.height);
            key
        };
        self.skip_space();
        if self.looking_at("==") || !(self.take("=") || self.take(":")) {
            return Err(self.unexpected("`=` after the key"));
        }
        let value = self.expression()?;
        *tallest = (*tallest).max(self.height);
        Ok(ObjectItem { key, value })
    }

    /// After the opening bracket; takes the closing one.
    fn for_expression(&mut self, start: usize, close: &str) -> Parsed<Expr> {
        self.take_word("for");
        let (key_name, value_name) = self.for_names()?;
        let collection = self.expression()?;
        let mut tallest = self.height;
        self.expect(":")?;
        let bound = self.bound.len();
        self.bind(key_name.as_ref(), &value_name);
        let parsed = self.for_result(close, start, &mut tallest);
        self.bound.truncate(bound);
        let (key, value, grouping, condition) = parsed?;
        let each = ForExpr {
            key_name,
            value_name,
            collection,
            key,
            value,
            grouping,
            condition,
        };
        self.node(ExprKind::For(Box::new(each)), start, tallest)
    }

    /// `key, value in`.
    pub(super) fn for_names(&mut self) -> Parsed<(Option<Name>, Name)> {
        let first = self.expect_name("the name of the element")?;
        self.skip_space();
        let names = match self.take(",") {
            true => (Some(first), self.expect_name("the name of the element")?),
            false => (None, first),
        };
        self.skip_space();
        match self.take_word("in") {
            true => Ok(names),
            false => Err(self.unexpected("`in`")),
        }
    }

    pub(super) fn bind(&mut self, key_name: Option<&Name>, value_name: &Name) {
        self.bound
            .extend(key_name.map(|name| Arc::clone(&name.text)));
        self.bound.push(Arc::clone(&value_name.text));
    }
    fn for_result(
        &mut self,
        close: &str,
        start: usize,
        tallest: &mut usize,
    ) -> Parsed<(Option<Expr>, Expr, bool, Option<Expr>)> {
        let first = self.expression()?;
        *tallest = (*tallest).max(self.height);
        self.skip_space();
        let (key, value, mut grouping) = if close == "}" {
            self.expect("=>")?;
            let value = self.expression()?;
            *tallest = (*tallest).max(self.height);
            (Some(first), value, false)
        } else {
            (None, first, false)
        };
        self.skip_space();
        if self.looking_at("...") {
            if key.is_none() {
                let span = self.span(self.at, self.at + 3);
                self.complain(syntax_error(
                    "`...` gathers by key, and a tuple has none",
                    span,
                ));
            }
            self.at += 3;
            grouping = true;
            self.skip_space();
        }
        let condition = match self.take_word("if") {
            true => Some(self.expression()?),
            false => None,
        };
        if condition.is_some() {
            *tallest = (*tallest).max(self.height);
        }
        self.expect_close(close, start)?;
        Ok((key, value, grouping, condition))
    }

    /// A name has been taken: a literal word, a call, something bound, or a reference.
    fn named(&mut self, name: Name, start: usize) -> Parsed<Expr> {
        let end = self.at;
        self.skip_space();
        if self.looking_at("::") || self.looking_at("(") {
            return self.call(&name, start);
        }
        self.at = end;
        let word = match name.text.as_ref() {
            "null" => Some(Value::null()),
            "true" => Some(Value::from(true)),
            "false" => Some(Value::from(false)),
            _ => None,
        };
        let kind = match word {
            Some(value) => ExprKind::Literal(value),
            None if self.names == Names::Given || self.bound.contains(&name.text) => {
                ExprKind::Variable(name.text)
            }
            None => self.reference(name, start),
        };
        self.node(kind, start, 0)
    }

    fn call(&mut self, first: &Name, start: usize) -> Parsed<Expr> {
        let mut name = first.text.to_string();
        while self.take("::") {
            name.push_str("::");
            name.push_str(&self.expect_name("the function's name")?.text);
            self.skip_space();
        }
        let name = Name {
            text: name.into(),
            span: self.span(start, self.text[..self.at].trim_end().len()),
        };
        let open = self.at;
        self.expect("(")?;
        self.with_lines_joined(true, |parser| {
            let mut arguments = Vec::new();
            let mut expand_last = false;
            let mut tallest = 0;
            loop {
                parser.skip_space();
                if parser.take(")") {
                    break;
                }
                arguments.push(parser.expression()?);
                tallest = tallest.max(parser.height);
                parser.skip_space();
                if parser.take("...") {
                    expand_last = true;
                    parser.skip_space();
                    parser.take(",");
                    parser.expect_close(")", open)?;
                    break;
                }
                if !parser.take(",") {
                    parser.expect_close(")", open)?;
                    break;
                }
            }
            let call = Call {
                name,
                arguments,
                expand_last,
            };
            parser.node(ExprKind::Call(Box::new(call)), start, tallest)
        })
    }

    /// A name at the root of an expression, with as many steps as its target has.
    fn reference(&mut self, root: Name, start: usize) -> ExprKind {
        let target = match root.text.as_ref() {
            "self" => Some(Target::SelfObject),
            "var" => self.step_name().map(Target::Variable),
            "local" => self.step_name().map(Target::Local),
            "module" => self.step_name().map(Target::Module),
            "stack" => self.step_name().map(Target::Stack),
            "each" => self.one_of(&[("key", Target::EachKey), ("value", Target::EachValue)]),
            "count" => self.one_of(&[("index", Target::CountIndex)]),
            "path" => self.one_of(&[
                ("module", Target::Path(PathKind::Module)),
                ("root", Target::Path(PathKind::Root)),
                ("cwd", Target::Path(PathKind::Cwd)),
            ]),
            "data" => self.step_name().and_then(|resource_type| {
                let name = self.step_name()?;
                Some(resource(Mode::Data, resource_type, name))
            }),
            resource_type => match self.step_name() {
                Some(name) => Some(resource(Mode::Managed, resource_type.into(), name)),
                // A bare name: a type in a type expression, a mistake elsewhere.
                None => return ExprKind::Variable(root.text),
            },
        };
        match target {
            Some(target) => ExprKind::Reference(Reference {
                target,
                path: Vec::new(),
                span: self.span_from(start),
            }),
            // A bare name may be an attribute's, where attributes are listed.
            None if !self.looking_at(".") => ExprKind::Variable(root.text),
            None => {
                let forms = forms_of(&root.text);
                let detail = format!("`{}` is followed by a name: {forms}", root.text);
                let span = self.span_from(start);
                self.complain(syntax_error(detail, span));
                ExprKind::Variable(root.text)
            }
        }
    }

    /// `.name`, if that is what follows.
    fn step_name(&mut self) -> Option<Arc<str>> {
        let start = self.at;
        self.skip_space();
        if self.take(".") {
            self.skip_space();
            if let Some(name) = self.name() {
                return Some(name.text);
            }
        }
        self.at = start;
        None
    }

    fn one_of(&mut self, choices: &[(&str, Target)]) -> Option<Target> {
        let start = self.at;
        let name = self.step_name()?;
        let found = choices.iter().find(|(choice, _)| *choice == name.as_ref());
        if found.is_none() {
            self.at = start;
        }
        found.map(|(_, target)| target.clone())
    }
}

fn resource(mode: Mode, resource_type: Arc<str>, name: Arc<str>) -> Target {
    Target::Resource(ResourceKey {
        mode,
        resource_type,
        name,
    })
}

fn forms_of(root: &str) -> &'static str {
    match root {
        "each" => "`each.key` or `each.value`",
        "count" => "`count.index`",
        "path" => "`path.module`, `path.root` or `path.cwd`",
        "data" => "`data.TYPE.NAME`",
        "var" => "`var.NAME`",
        "local" => "`local.NAME`",
        "module" => "`module.NAME`",
        _ => "`stack.NAME`",
    }
}

/// Whether a literal is a text; the parser's own notion of "a plain string".
pub(super) fn text_of(expr: &Expr) -> Option<&Arc<str>> {
    match &expr.kind {
        ExprKind::Literal(value) => match value.kind() {
            Kind::String(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

const LONGEST_NUMBER: usize = 5_000;
