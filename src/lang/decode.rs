//! A block's body against a schema: names, presence and types, and the value that the planner starts from.
//!
//! Nothing here fills in defaults: what the configuration did not set is null, and not among the set paths.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dmp_sdk::schema::Attribute as SchemaAttribute;
use dmp_sdk::types::Member;
use dmp_sdk::{
    AttributePath, Diagnostic, Kind, Marks, Members, PathStep, Presence, Schema, Span, Strictness,
    Type, Value, convert,
};

use crate::Diagnostics;
use crate::ast::{Block, Body, Expr, ExprKind};
use crate::evaluate::evaluate_with;
use crate::reference::Reference;
use crate::scope::{FileError, Files, Scope};
use blocks::Made;

mod blocks;

/// What a body says in the terms of a schema.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// An object with every attribute of the schema: null where unset, marked where the schema says so.
    pub value: Value,
    /// What the configuration set, down to the members of nested blocks and of constructors written out.
    pub set_paths: BTreeSet<AttributePath>,
    /// Where each path that was written stands.
    pub spans: BTreeMap<AttributePath, Span>,
    /// What was wrong. With an error among them the value may be used only to go on checking.
    pub diagnostics: Vec<Diagnostic>,
}

/// Evaluates a body and holds it against a schema.
#[must_use]
pub fn decode(body: &Body, schema: &Schema, scope: &dyn Scope) -> Decoded {
    let mut decoding = Decoding {
        scope,
        bound: Vec::new(),
        spans: BTreeMap::new(),
        diagnostics: Vec::new(),
    };
    let mut members = Members::new();
    for (name, attribute) in &schema.attributes {
        let value = decoding.attribute(body, name, attribute, schema);
        members.insert(Arc::clone(name), value);
    }
    decoding.unknown_names(body, schema);
    let value = Value::object(members);
    let is_set =
        |path: &&AttributePath| !value_at(&value, path).is_some_and(|value| value.is_null());
    let set_paths = decoding.spans.keys().filter(is_set).cloned().collect();
    Decoded {
        value,
        set_paths,
        spans: decoding.spans,
        diagnostics: decoding.diagnostics,
    }
}

/// Holds a body against a schema without evaluating it: names, presence, the types of what does not depend on
/// anything.
#[must_use]
pub fn check_body(body: &Body, schema: &Schema) -> Vec<Diagnostic> {
    decode(body, schema, &Undecided).diagnostics
}

/// A scope in which everything is known later.
pub(crate) struct Undecided;

impl Scope for Undecided {
    fn lookup(&self, _reference: &Reference) -> Result<Value, Diagnostics> {
        Ok(Value::unknown(Type::Any))
    }

    fn files(&self) -> &dyn Files {
        &LaterFiles
    }
}

/// Files that are read later.
pub(crate) struct LaterFiles;

impl Files for LaterFiles {
    fn read(&self, _path: &str) -> Result<Arc<[u8]>, FileError> {
        Err(FileError::Later)
    }

    fn exists(&self, _path: &str) -> Result<bool, FileError> {
        Err(FileError::Later)
    }
}

struct Decoding<'s> {
    scope: &'s dyn Scope,
    /// The elements of the `dynamic` blocks around, the innermost last.
    bound: Vec<(Arc<str>, Value)>,
    spans: BTreeMap<AttributePath, Span>,
    diagnostics: Vec<Diagnostic>,
}

impl Decoding<'_> {
    fn attribute(
        &mut self,
        body: &Body,
        name: &Arc<str>,
        attribute: &SchemaAttribute,
        schema: &Schema,
    ) -> Value {
        let path = AttributePath::of(name);
        let place = place_of(body, name);
        if let Some(place) = &place
            && !attribute.is_settable()
        {
            self.diagnostics.push(
                Diagnostic::error("computed-attribute", "attribute can't be set")
                    .detail(format!(
                        "`{name}` of `{}` is filled by the provider",
                        schema.name
                    ))
                    .at(place.clone())
                    .path(path),
            );
            return Value::null();
        }
        if place.is_none() {
            if attribute.presence == Presence::Required {
                self.diagnostics
                    .push(missing(name, &schema.name, body).path(path));
            }
            return Value::null();
        }
        let value = self.written(body, name, &attribute.ty, attribute.block, &path);
        if value.is_null() && attribute.presence == Presence::Required && !self.failed_at(name) {
            let detail = format!(
                "`{name}` of `{}` is required, and this is null",
                schema.name
            );
            let failed = Diagnostic::error("null-value", "value is null").detail(detail);
            self.diagnostics.push(failed.at(place).path(path));
        }
        let mut marks = Marks::none();
        if attribute.sensitive {
            marks = marks.union(&Marks::sensitive());
        }
        if attribute.ephemeral {
            marks = marks.union(&Marks::ephemeral());
        }
        value.marked(&marks)
    }

    /// Whether something is already wrong with an attribute.
    fn failed_at(&self, name: &str) -> bool {
        self.diagnostics
            .iter()
            .any(|failed| failed.path.as_ref().and_then(AttributePath::attribute) == Some(name))
    }

    /// What is set as an argument or as nested blocks, converted.
    fn written(
        &mut self,
        body: &Body,
        name: &str,
        ty: &Type,
        as_blocks: bool,
        path: &AttributePath,
    ) -> Value {
        let blocks: Vec<&Block> = match as_blocks {
            true => blocks_for(body, name).collect(),
            false => Vec::new(),
        };
        if let Some(attribute) = body.attributes.get(name) {
            if let Some(block) = blocks.first() {
                self.diagnostics.push(
                    Diagnostic::error("duplicate-argument", "argument is set twice")
                        .detail(format!("`{name}` is set as an argument and as a block"))
                        .at(block.span.clone())
                        .label(attribute.name_span.clone(), "set here")
                        .path(path.clone()),
                );
            }
            return self.argument(&attribute.expr, ty, path);
        }
        let Some(first) = blocks.first() else {
            return Value::null();
        };
        let mut made = Made::default();
        match ty {
            Type::List(element) | Type::Set(element) => {
                self.spans.insert(path.clone(), first.span.clone());
                let place = |index| path.index(index);
                self.made(&blocks, name, element, &place, &mut made);
                let value = match made.value(ty) {
                    Ok(value) => value,
                    Err(items) if items.is_empty() => Value::null(),
                    Err(items) => self.convert(&Value::tuple(items), ty, path, Some(&first.span)),
                };
                value.marked(&made.marks)
            }
            _ => {
                self.made(&blocks, name, ty, &|_| path.clone(), &mut made);
                for more in made.spans.iter().skip(1) {
                    self.diagnostics.push(
                        Diagnostic::error("duplicate-block", "block comes twice")
                            .detail(format!("there may be one `{name}` here"))
                            .at(more.clone())
                            .label(made.spans[0].clone(), "first one here")
                            .path(path.clone()),
                    );
                }
                let value = match made.value(ty) {
                    Ok(value) => value,
                    Err(items) => items.into_iter().next().unwrap_or_else(Value::null),
                };
                value.marked(&made.marks)
            }
        }
    }

    fn argument(&mut self, expr: &Expr, ty: &Type, path: &AttributePath) -> Value {
        self.note_spans(expr, path);
        match evaluate_with(expr, self.scope, &self.bound) {
            Ok(value) => self.convert(&value, ty, path, Some(&expr.span)),
            Err(failed) => {
                self.diagnostics
                    .extend(failed.into_iter().map(|failed| failed.path(path.clone())));
                Value::unknown(ty.clone())
            }
        }
    }

    /// A nested block as an object.
    fn block(&mut self, block: &Block, name: &str, ty: &Type, path: &AttributePath) -> Value {
        self.spans.insert(path.clone(), block.span.clone());
        for label in &block.labels {
            self.diagnostics.push(
                Diagnostic::error("wrong-labels", "wrong number of labels")
                    .detail(format!("`{name}` takes no label here"))
                    .at(label.span.clone()),
            );
        }
        let Type::Object(members) = ty else {
            self.diagnostics.push(
                Diagnostic::error("unexpected-block", "unexpected block")
                    .detail(format!("`{name}` is an argument, not a block"))
                    .at(block.span.clone())
                    .help(format!("write `{name} = …`")),
            );
            return Value::null();
        };
        self.unknown_members(&block.body, name, members);
        let mut found = Members::new();
        for (inner, member) in members {
            let path = path.member(inner);
            let value = match place_of(&block.body, inner) {
                Some(_) => self.written(&block.body, inner, &member.ty, true, &path),
                None => self.absent(inner, member, block, name, path),
            };
            found.insert(Arc::clone(inner), value);
        }
        Value::object(found)
    }

    fn absent(
        &mut self,
        name: &str,
        member: &Member,
        block: &Block,
        of: &str,
        path: AttributePath,
    ) -> Value {
        if !member.optional {
            self.diagnostics.push(
                missing(name, of, &block.body)
                    .at(block.span.clone())
                    .path(path),
            );
        }
        member.default.clone().unwrap_or_else(Value::null)
    }

    fn convert(
        &mut self,
        value: &Value,
        ty: &Type,
        path: &AttributePath,
        span: Option<&Span>,
    ) -> Value {
        match convert(value, ty, Strictness::Exact) {
            Ok(value) => value,
            Err(error) => {
                let whole = format!("{path}{}", error.path);
                let place = self
                    .spans
                    .iter()
                    .find(|(path, _)| path.to_string() == whole);
                let detail = match error.path.is_empty() {
                    true => format!("`{path}`: {}", error.why),
                    false => format!("`{whole}`: {}", error.why),
                };
                let failed = Diagnostic::error("wrong-type", "value has the wrong type")
                    .detail(detail)
                    .at(place.map(|(_, span)| span.clone()).or(span.cloned()))
                    .path(path.clone());
                let candidates = error.candidates.iter().map(String::as_str);
                self.diagnostics.push(match &error.unknown_member {
                    Some(name) => failed.did_you_mean(name, candidates),
                    None => failed,
                });
                Value::unknown(ty.clone())
            }
        }
    }

    /// Remembers where an expression stands, and the parts of a constructor that is written out.
    fn note_spans(&mut self, expr: &Expr, path: &AttributePath) {
        self.spans.insert(path.clone(), expr.span.clone());
        match &expr.bare().kind {
            ExprKind::Object(items) => {
                for item in items {
                    if let Some(name) = item.key.as_text() {
                        self.note_spans(&item.value, &path.member(name));
                    }
                }
            }
            ExprKind::Tuple(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.note_spans(item, &path.index(index));
                }
            }
            _ => {}
        }
    }

    fn unknown_names(&mut self, body: &Body, schema: &Schema) {
        for (name, attribute) in &body.attributes {
            if !schema.attributes.contains_key(name) {
                self.diagnostics.push(
                    Diagnostic::error("unknown-argument", "unknown argument")
                        .detail(format!("`{}` has no argument `{name}`", schema.name))
                        .at(attribute.name_span.clone())
                        .path(AttributePath::of(name))
                        .did_you_mean(name, schema.arguments()),
                );
            }
        }
        for block in &body.blocks {
            let kind = block.makes().unwrap_or(&block.kind);
            let name = &kind.text;
            let failed = match schema.attributes.get(name) {
                Some(attribute) if attribute.block => continue,
                Some(_) => Diagnostic::error("unexpected-block", "unexpected block")
                    .detail(format!(
                        "`{name}` of `{}` is an argument, not a block",
                        schema.name
                    ))
                    .help(format!("write `{name} = …`")),
                None => Diagnostic::error("unknown-block", "unknown block")
                    .detail(format!("`{}` has no block `{name}`", schema.name))
                    .did_you_mean(name, schema.arguments()),
            };
            self.diagnostics.push(failed.at(kind.span.clone()));
        }
    }

    fn unknown_members(&mut self, body: &Body, block: &str, members: &BTreeMap<Arc<str>, Member>) {
        let names = || members.keys().map(AsRef::as_ref);
        let attributes = body
            .attributes
            .iter()
            .map(|(name, attribute)| (name, &attribute.name_span));
        let blocks = body.blocks.iter().map(|block| {
            let kind = block.makes().unwrap_or(&block.kind);
            (&kind.text, &kind.span)
        });
        for (name, span) in attributes.chain(blocks) {
            if !members.contains_key(name) {
                self.diagnostics.push(
                    Diagnostic::error("unknown-argument", "unknown argument")
                        .detail(format!("`{block}` has no argument `{name}`"))
                        .at(span.clone())
                        .did_you_mean(name, names()),
                );
            }
        }
    }
}

/// Where a name is set: as an argument, or as a block.
fn place_of(body: &Body, name: &str) -> Option<Span> {
    let attribute = body
        .attributes
        .get(name)
        .map(|attribute| attribute.name_span.clone());
    attribute.or_else(|| {
        blocks_for(body, name)
            .next()
            .map(|block| block.makes().unwrap_or(&block.kind).span.clone())
    })
}

/// The blocks of a name, written out or `dynamic`, in the order written.
fn blocks_for<'b>(body: &'b Body, name: &'b str) -> impl Iterator<Item = &'b Block> + 'b {
    let is_ours = move |block: &&Block| {
        let kind = block.makes().unwrap_or(&block.kind);
        kind.text.as_ref() == name
    };
    body.blocks.iter().filter(is_ours)
}

fn missing(name: &str, what: &str, body: &Body) -> Diagnostic {
    let mut span = body.span.clone();
    span.end = span.end.min(span.start + 1);
    Diagnostic::error("missing-argument", "missing argument")
        .detail(format!("`{name}` of `{what}` must be set"))
        .at(span)
}

fn value_at(value: &Value, path: &AttributePath) -> Option<Value> {
    let mut found = value.clone();
    for step in &path.0 {
        if matches!(found.kind(), Kind::Unknown(_)) {
            return None;
        }
        found = match step {
            PathStep::Name(name) => found.attribute(name)?,
            PathStep::Index(index) => found.element(*index)?,
        };
    }
    Some(found)
}

#[cfg(test)]
mod tests;
