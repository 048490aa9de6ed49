//! What an expression refers to: input variables, local values, resources, modules, `each`, `count`, `self`.
//!
//! The graph takes its edges from here, the evaluator asks its scope with the same words.

use std::fmt;
use std::sync::Arc;

use dmp_sdk::{Mode, Span, Value};

use crate::ast::{Body, Expr, ExprKind};

/// A reference as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// What is referred to.
    pub target: Target,
    /// What is taken out of it, as far as it is written literally: for `module.net["a"].subnet[var.i]` it is
    /// `["a"].subnet`.
    pub path: Vec<Step>,
    /// Where the target (without the path) stands.
    pub span: Span,
}

/// What a reference means.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// `var.name`.
    Variable(Arc<str>),
    /// `local.name`.
    Local(Arc<str>),
    /// `type.name` or `data.type.name`: the whole block, with all its instances.
    Resource(ResourceKey),
    /// `module.name`: the whole call, with all its instances.
    Module(Arc<str>),
    /// `each.key`.
    EachKey,
    /// `each.value`.
    EachValue,
    /// `count.index`.
    CountIndex,
    /// `self`.
    SelfObject,
    /// `path.module`, `path.root`, `path.cwd`.
    Path(PathKind),
    /// `stack.name`.
    Stack(Arc<str>),
}

/// One of the three folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathKind {
    /// The folder of the module that the expression stands in.
    Module,
    /// The folder of the stack.
    Root,
    /// The folder that dmp was started in.
    Cwd,
}

/// A `resource` or `data` block within its module.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceKey {
    /// `resource` or `data`.
    pub mode: Mode,
    /// The first label.
    pub resource_type: Arc<str>,
    /// The second label.
    pub name: Arc<str>,
}

/// A step that is written literally.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `.name`.
    Attribute(Arc<str>, Span),
    /// `["name"]` or `[0]`.
    Index(Value, Span),
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = match self.mode {
            Mode::Managed => "",
            Mode::Data => "data.",
        };
        write!(f, "{data}{}.{}", self.resource_type, self.name)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "var.{name}"),
            Self::Local(name) => write!(f, "local.{name}"),
            Self::Resource(key) => key.fmt(f),
            Self::Module(name) => write!(f, "module.{name}"),
            Self::EachKey => f.write_str("each.key"),
            Self::EachValue => f.write_str("each.value"),
            Self::CountIndex => f.write_str("count.index"),
            Self::SelfObject => f.write_str("self"),
            Self::Path(PathKind::Module) => f.write_str("path.module"),
            Self::Path(PathKind::Root) => f.write_str("path.root"),
            Self::Path(PathKind::Cwd) => f.write_str("path.cwd"),
            Self::Stack(name) => write!(f, "stack.{name}"),
        }
    }
}

/// Every reference in an expression, in the order written.
#[must_use]
pub fn references(expr: &Expr) -> Vec<&Reference> {
    let mut found = Vec::new();
    collect(expr, &mut found);
    found
}

/// Every reference in a body and the blocks inside it.
#[must_use]
pub fn body_references(body: &Body) -> Vec<&Reference> {
    let mut found = Vec::new();
    collect_body(body, &mut found);
    found
}

fn collect<'a>(expr: &'a Expr, found: &mut Vec<&'a Reference>) {
    if let ExprKind::Reference(reference) = &expr.kind {
        found.push(reference);
    }
    for child in expr.children() {
        collect(child, found);
    }
}

fn collect_body<'a>(body: &'a Body, found: &mut Vec<&'a Reference>) {
    for attribute in body.attributes.values() {
        collect(&attribute.expr, found);
    }
    for block in &body.blocks {
        collect_body(&block.body, found);
    }
}
