//! The tree of the language: expressions, templates and bodies, each with its place in the source.
//!
//! Made by `parse`, read by everything else. Names are resolved while the tree is made: what a `for` binds is a
//! [`ExprKind::Variable`], what the configuration declares is a [`ExprKind::Reference`].

use std::sync::Arc;

use dmp_sdk::{Span, Value};
use indexmap::IndexMap;

use crate::reference::Reference;

/// An expression and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `null`, `true`, `12`, `"text"`.
    Literal(Value),
    /// A text with `${…}` or `%{…}` in it, quoted or as a heredoc.
    Template(Template),
    /// `[a, b]`.
    Tuple(Vec<Expr>),
    /// `{a = 1, (b) = 2}`.
    Object(Vec<ObjectItem>),
    /// `[for …]` or `{for …}`.
    For(Box<ForExpr>),
    /// A name that a `for` binds or a template was given; also a bare name that means nothing here.
    Variable(Arc<str>),
    /// `var.x`, `proxmox_vm.web`, `each.key`: what the scope is asked for.
    Reference(Reference),
    /// `of.name`.
    Attribute(Box<Expr>, Name),
    /// `of[key]`, also the older `of.0`.
    Index(Box<Expr>, Box<Expr>),
    /// `of[*]…` or `of.*…`: the second expression is made for each element, which is its `SplatItem`.
    Splat(Box<Expr>, Box<Expr>),
    /// The element inside the nearest splat.
    SplatItem,
    /// `name(arguments)`.
    Call(Box<Call>),
    /// `-x`, `!x`.
    Unary(UnaryOperator, Box<Expr>),
    /// `a + b`.
    Binary(BinaryOperator, Box<Expr>, Box<Expr>),
    /// `condition ? yes : no`.
    Conditional(Box<Conditional>),
    /// `(inner)`.
    Parenthesis(Box<Expr>),
}

/// A name and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: Arc<str>,
    /// Where it stands.
    pub span: Span,
}

/// A member of an object constructor.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectItem {
    /// The key; a bare name is a literal text here.
    pub key: Expr,
    /// The value.
    pub value: Expr,
}

/// `for key, value in collection : …`.
#[derive(Clone, Debug, PartialEq)]
pub struct ForExpr {
    /// The name of the key or index, if it was given one.
    pub key_name: Option<Name>,
    /// The name of the element.
    pub value_name: Name,
    /// What is gone through.
    pub collection: Expr,
    /// The key of each result member; `None` makes a tuple.
    pub key: Option<Expr>,
    /// The value of each result element.
    pub value: Expr,
    /// Whether results of one key are gathered (`...`).
    pub grouping: bool,
    /// Which elements are taken.
    pub condition: Option<Expr>,
}

/// A function call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function's name, with its namespace.
    pub name: Name,
    /// The arguments.
    pub arguments: Vec<Expr>,
    /// Whether the last argument is spread over the remaining parameters (`...`).
    pub expand_last: bool,
}

/// `condition ? yes : no`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditional {
    /// What decides.
    pub condition: Expr,
    /// The result if it is true.
    pub yes: Expr,
    /// The result if it is false.
    pub no: Expr,
}

/// An operator before its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOperator {
    /// `-`
    Negate,
    /// `!`
    Not,
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOperator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `&&`
    And,
    /// `||`
    Or,
}

/// A text made of parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// The parts in order; strip markers are already applied.
    pub parts: Vec<TemplatePart>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum TemplatePart {
    /// Text as it is.
    Text(Arc<str>),
    /// `${…}`.
    Interpolation(Expr),
    /// `%{if …}…%{else}…%{endif}`.
    If(Box<TemplateIf>),
    /// `%{for …}…%{endfor}`.
    For(Box<TemplateFor>),
}

/// `%{if condition}yes%{else}no%{endif}`.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateIf {
    /// What decides.
    pub condition: Expr,
    /// The text if it is true.
    pub yes: Template,
    /// The text if it is false; empty without `else`.
    pub no: Template,
}

/// `%{for key, value in collection}body%{endfor}`.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateFor {
    /// The name of the key or index, if it was given one.
    pub key_name: Option<Name>,
    /// The name of the element.
    pub value_name: Name,
    /// What is gone through.
    pub collection: Expr,
    /// The text made for each element.
    pub body: Template,
}

/// What stands between the braces of a block, or in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// `name = expression`, in the order written.
    pub attributes: IndexMap<Arc<str>, Attribute>,
    /// Nested blocks, in the order written.
    pub blocks: Vec<Block>,
    /// Where it stands.
    pub span: Span,
}

/// `name = expression`.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Where the name stands.
    pub name_span: Span,
    /// What it is set to.
    pub expr: Expr,
}

/// `kind "label" { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The block's type, such as `resource`.
    pub kind: Name,
    /// Its labels.
    pub labels: Vec<Name>,
    /// What is inside.
    pub body: Body,
    /// The header: from the block's type to its last label.
    pub span: Span,
}

impl Body {
    /// A body with nothing in it.
    #[must_use]
    pub fn empty(span: Span) -> Self {
        Self {
            attributes: IndexMap::new(),
            blocks: Vec::new(),
            span,
        }
    }

    /// The expression that a name is set to.
    #[must_use]
    pub fn expr(&self, name: &str) -> Option<&Expr> {
        self.attributes.get(name).map(|attribute| &attribute.expr)
    }

    /// The nested blocks of one type.
    pub fn blocks_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Block> + 'a {
        self.blocks
            .iter()
            .filter(move |block| block.kind.text.as_ref() == kind)
    }
}

impl Block {
    /// What a `dynamic` block makes blocks of; `None` for any other block.
    #[must_use]
    pub fn makes(&self) -> Option<&Name> {
        match self.kind.text.as_ref() {
            "dynamic" => self.labels.first(),
            _ => None,
        }
    }

    /// What a `dynamic` block calls its element inside `content` and `labels`.
    #[must_use]
    pub fn iterator(&self) -> Option<&Arc<str>> {
        let made = self.makes()?;
        match self.body.expr("iterator").map(|expr| &expr.bare().kind) {
            Some(ExprKind::Variable(name)) => Some(name),
            _ => Some(&made.text),
        }
    }
}

impl Expr {
    /// The expression without parentheses around it.
    #[must_use]
    pub fn bare(&self) -> &Self {
        match &self.kind {
            ExprKind::Parenthesis(inner) => inner.bare(),
            _ => self,
        }
    }

    /// The literal text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&Arc<str>> {
        match &self.bare().kind {
            ExprKind::Literal(value) => match value.kind() {
                dmp_sdk::Kind::String(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// The expressions directly inside, in the order written.
    #[must_use]
    pub fn children(&self) -> Vec<&Self> {
        match &self.kind {
            ExprKind::Literal(_)
            | ExprKind::Variable(_)
            | ExprKind::Reference(_)
            | ExprKind::SplatItem => Vec::new(),
            ExprKind::Template(template) => template.children(),
            ExprKind::Tuple(items) => items.iter().collect(),
            ExprKind::Object(items) => items
                .iter()
                .flat_map(|item| [&item.key, &item.value])
                .collect(),
            ExprKind::For(each) => [Some(&each.collection), each.key.as_ref()]
                .into_iter()
                .flatten()
                .chain([&each.value])
                .chain(each.condition.as_ref())
                .collect(),
            ExprKind::Attribute(of, _) | ExprKind::Unary(_, of) | ExprKind::Parenthesis(of) => {
                vec![of]
            }
            ExprKind::Index(one, two)
            | ExprKind::Splat(one, two)
            | ExprKind::Binary(_, one, two) => vec![one, two],
            ExprKind::Call(call) => call.arguments.iter().collect(),
            ExprKind::Conditional(conditional) => {
                vec![&conditional.condition, &conditional.yes, &conditional.no]
            }
        }
    }
}

impl Template {
    /// The expressions directly inside, in the order written.
    #[must_use]
    pub fn children(&self) -> Vec<&Expr> {
        let mut found = Vec::new();
        for part in &self.parts {
            match part {
                TemplatePart::Text(_) => {}
                TemplatePart::Interpolation(expr) => found.push(expr),
                TemplatePart::If(branch) => {
                    found.push(&branch.condition);
                    found.extend(branch.yes.children());
                    found.extend(branch.no.children());
                }
                TemplatePart::For(each) => {
                    found.push(&each.collection);
                    found.extend(each.body.children());
                }
            }
        }
        found
    }
}
