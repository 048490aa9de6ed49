//! Takes a block's body apart: what is asked for is taken out, what is left over at the end is unknown.

use std::sync::Arc;

use dmp_sdk::{Diagnostic, Span, Strictness, Type, Value, convert};

use super::{Condition, ProviderKey, ProviderName};
use crate::ast::{Attribute, Block, Body, Expr, ExprKind, Name};
use crate::reference::{Reference, ResourceKey, Target};
use crate::scope::Bindings;

/// A body that is being taken apart.
pub(super) struct Fields<'d> {
    body: Body,
    header: Span,
    known: Vec<&'static str>,
    pub(super) diagnostics: &'d mut Vec<Diagnostic>,
}

impl<'d> Fields<'d> {
    pub(super) fn new(body: Body, header: Span, diagnostics: &'d mut Vec<Diagnostic>) -> Self {
        Self {
            body,
            header,
            known: Vec::new(),
            diagnostics,
        }
    }

    pub(super) fn attribute(&mut self, name: &'static str) -> Option<Attribute> {
        self.known.push(name);
        self.body.attributes.shift_remove(name)
    }

    pub(super) fn expr(&mut self, name: &'static str) -> Option<Expr> {
        self.attribute(name).map(|attribute| attribute.expr)
    }

    /// An argument that must be there.
    pub(super) fn required(&mut self, name: &'static str) -> Option<Expr> {
        let found = self.expr(name);
        if found.is_none() {
            self.diagnostics.push(
                Diagnostic::error("missing-argument", "missing argument")
                    .detail(format!("`{name}` must be set"))
                    .at(self.header.clone()),
            );
        }
        found
    }

    pub(super) fn bool(&mut self, name: &'static str) -> Option<bool> {
        let expr = self.expr(name)?;
        self.constant(&expr, &Type::Bool)?.as_bool()
    }

    /// A text that is written literally.
    pub(super) fn text(&mut self, name: &'static str) -> Option<Name> {
        let expr = self.expr(name)?;
        let value = self.constant(&expr, &Type::String)?;
        Some(Name {
            text: value.as_str()?.into(),
            span: expr.span,
        })
    }

    /// Texts in a list that is written out.
    pub(super) fn texts(&mut self, name: &'static str) -> Option<Vec<Name>> {
        let expr = self.expr(name)?;
        let mut texts = Vec::new();
        for item in self.items(&expr) {
            let value = self.constant(item, &Type::String);
            if let Some(text) = value.as_ref().and_then(Value::as_str) {
                texts.push(Name {
                    text: text.into(),
                    span: item.span.clone(),
                });
            }
        }
        Some(texts)
    }

    /// The value of an expression that may refer to nothing.
    pub(super) fn constant(&mut self, expr: &Expr, ty: &Type) -> Option<Value> {
        let value =
            match crate::evaluate(expr, &Bindings::new()) {
                Ok(value) => value,
                Err(failed) => {
                    self.diagnostics.extend(failed.into_iter().map(|failed| {
                        failed.help("only what is written literally can stand here")
                    }));
                    return None;
                }
            };
        match convert(&value, ty, Strictness::Lenient) {
            Ok(value) => Some(value),
            Err(error) => {
                self.diagnostics.push(
                    Diagnostic::error("wrong-type", "value has the wrong type")
                        .detail(error.to_string())
                        .at(expr.span.clone()),
                );
                None
            }
        }
    }

    /// The nested blocks of a type.
    pub(super) fn blocks(&mut self, kind: &'static str) -> Vec<Block> {
        self.known.push(kind);
        let blocks = std::mem::take(&mut self.body.blocks);
        let (wanted, rest) = blocks
            .into_iter()
            .partition(|block| block.kind.text.as_ref() == kind);
        self.body.blocks = rest;
        wanted
    }

    /// The one nested block of a type.
    pub(super) fn block(&mut self, kind: &'static str) -> Option<Block> {
        let mut blocks = self.blocks(kind).into_iter();
        let first = blocks.next()?;
        for more in blocks {
            self.diagnostics.push(
                Diagnostic::error("duplicate-block", "block comes twice")
                    .detail(format!("there may be one `{kind}` here"))
                    .at(more.span)
                    .label(first.span.clone(), "first one here"),
            );
        }
        Some(first)
    }

    /// Blocks of a condition and what is said when it does not hold.
    pub(super) fn conditions(&mut self, kind: &'static str) -> Vec<Condition> {
        let blocks = self.blocks(kind);
        blocks
            .into_iter()
            .filter_map(|block| condition(block, self.diagnostics))
            .collect()
    }

    pub(super) fn depends_on(&mut self) -> Vec<Reference> {
        let Some(expr) = self.expr("depends_on") else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for item in self.items(&expr) {
            match &item.kind {
                ExprKind::Reference(reference)
                    if matches!(reference.target, Target::Resource(_) | Target::Module(_)) =>
                {
                    found.push(reference.clone());
                }
                ExprKind::Attribute(..) | ExprKind::Index(..) => {
                    let whole = crate::references(item).into_iter().next().cloned();
                    found.extend(whole);
                }
                _ => self.diagnostics.push(
                    Diagnostic::error("not-a-dependency", "not a dependency")
                        .detail("a resource, a data source or a module is named here")
                        .at(item.span.clone()),
                ),
            }
        }
        found
    }

    /// The elements of a list that is written out.
    pub(super) fn items<'e>(&mut self, expr: &'e Expr) -> &'e [Expr] {
        match &expr.bare().kind {
            ExprKind::Tuple(items) => items,
            _ => {
                self.diagnostics.push(
                    Diagnostic::error("not-a-list", "not a list")
                        .detail("a list in brackets is expected here")
                        .at(expr.span.clone()),
                );
                &[]
            }
        }
    }

    pub(super) fn provider(&mut self, name: &'static str) -> Option<ProviderName> {
        let expr = self.expr(name)?;
        self.provider_name(&expr)
    }

    pub(super) fn provider_name(&mut self, expr: &Expr) -> Option<ProviderName> {
        if let ExprKind::Index(of, key) = &expr.bare().kind
            && matches!(of.kind, ExprKind::Reference(_))
        {
            let mut whole = self.provider_name(of)?;
            whole.instance = Some(key.as_ref().clone());
            whole.span = expr.span.clone();
            return Some(whole);
        }
        let key = match &expr.bare().kind {
            ExprKind::Variable(name) => Some((name.clone(), None)),
            ExprKind::Literal(_) => expr.as_text().map(|name| (name.clone(), None)),
            ExprKind::Reference(Reference {
                target:
                    Target::Resource(ResourceKey {
                        resource_type,
                        name,
                        ..
                    }),
                ..
            }) => Some((resource_type.clone(), Some(name.clone()))),
            _ => None,
        };
        match key {
            Some((name, alias)) => Some(ProviderName {
                key: ProviderKey { name, alias },
                instance: None,
                span: expr.span.clone(),
            }),
            None => {
                self.diagnostics.push(
                    Diagnostic::error("not-a-provider", "not a provider configuration")
                        .detail("a provider is named here, or `provider.alias`, or `provider.alias[key]`")
                        .at(expr.span.clone()),
                );
                None
            }
        }
    }

    /// Complains of everything that was not asked for.
    pub(super) fn finish(self, what: &str) {
        for (name, attribute) in &self.body.attributes {
            self.diagnostics.push(
                Diagnostic::error("unknown-argument", "unknown argument")
                    .detail(format!("{what} has no argument `{name}`"))
                    .at(attribute.name_span.clone())
                    .did_you_mean(name, self.known.iter().copied()),
            );
        }
        for block in &self.body.blocks {
            let name = &block.kind.text;
            self.diagnostics.push(
                Diagnostic::error("unknown-block", "unknown block")
                    .detail(format!("{what} has no block `{name}`"))
                    .at(block.kind.span.clone())
                    .did_you_mean(name, self.known.iter().copied()),
            );
        }
    }

    /// What was not asked for.
    pub(super) fn rest(self) -> Body {
        self.body
    }
}

fn condition(block: Block, diagnostics: &mut Vec<Diagnostic>) -> Option<Condition> {
    let span = block.span.clone();
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    let condition = fields.required("condition");
    let error_message = fields.required("error_message");
    fields.finish("a condition");
    Some(Condition {
        condition: condition?,
        error_message: error_message?,
        span,
    })
}

/// Adds to a table of what is declared, or complains that the name is taken.
pub(super) fn declare<K: std::hash::Hash + Eq, V, S: std::hash::BuildHasher>(
    table: &mut indexmap::IndexMap<K, V, S>,
    key: K,
    value: V,
    what: &str,
    place: impl Fn(&V) -> Span,
    diagnostics: &mut Vec<Diagnostic>,
) {
    match table.get(&key) {
        Some(first) => diagnostics.push(
            Diagnostic::error("duplicate-definition", "defined twice")
                .detail(format!("this {what} is defined already"))
                .at(place(&value))
                .label(place(first), "first defined here"),
        ),
        None => {
            table.insert(key, value);
        }
    }
}

/// The labels of a block, if there are as many as it needs.
pub(super) fn labels<const N: usize>(
    block: &Block,
    wanted: [&str; N],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<[Name; N]> {
    if let Ok(labels) = <[Name; N]>::try_from(block.labels.clone()) {
        return Some(labels);
    }
    let form: String = wanted.iter().map(|label| format!(" \"{label}\"")).collect();
    diagnostics.push(
        Diagnostic::error("wrong-labels", "wrong number of labels")
            .detail(format!(
                "`{}` takes {} labels, not {}",
                block.kind.text,
                N,
                block.labels.len()
            ))
            .at(block.span.clone())
            .help(format!("write `{}{form} {{`", block.kind.text)),
    );
    None
}

/// The text of a name.
pub(super) fn text(name: Option<Name>) -> Option<Arc<str>> {
    name.map(|name| name.text)
}
