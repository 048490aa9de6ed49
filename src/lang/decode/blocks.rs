//! Nested blocks, as they are written or as `dynamic` makes one of each element of a collection.

use std::sync::Arc;

use dmp_sdk::types::with_article;
use dmp_sdk::{AttributePath, Diagnostic, Kind, Marks, Span, Type, Value};

use super::Decoding;
use crate::ast::{Block, Expr};
use crate::evaluate::evaluate_with;
use crate::evaluate::loops::pairs;

/// The objects that blocks of one name amount to.
#[derive(Default)]
pub(super) struct Made {
    items: Vec<Value>,
    /// Where the block of each object stands.
    pub(super) spans: Vec<Span>,
    /// Marks of what decides on their number.
    pub(super) marks: Marks,
    /// Whether it is not known yet how many there are.
    is_unknown: bool,
}

impl Made {
    /// The unknown value that blocks are whose number is not known, or their objects.
    pub(super) fn value(&mut self, ty: &Type) -> Result<Value, Vec<Value>> {
        let items = std::mem::take(&mut self.items);
        if !self.is_unknown {
            return Err(items);
        }
        let marks = items.iter().map(Value::deep_marks);
        let marks = marks.fold(Marks::none(), |all, more| all.union(&more));
        Ok(Value::unknown(ty.clone()).marked(&marks))
    }
}

impl Decoding<'_> {
    /// The objects of several blocks in a row; `place` says the path of each.
    pub(super) fn made(
        &mut self,
        blocks: &[&Block],
        name: &str,
        ty: &Type,
        place: &dyn Fn(usize) -> AttributePath,
        made: &mut Made,
    ) {
        for block in blocks {
            if block.makes().is_some() {
                self.dynamic(block, name, ty, place, made);
            } else {
                let value = self.block(block, name, ty, &place(made.items.len()));
                made.items.push(value);
                made.spans.push(block.span.clone());
            }
        }
    }

    fn dynamic(
        &mut self,
        block: &Block,
        name: &str,
        ty: &Type,
        place: &dyn Fn(usize) -> AttributePath,
        made: &mut Made,
    ) {
        let Some((collection, content)) = self.parts(block) else {
            made.is_unknown = true;
            return;
        };
        let Some(iterator) = block.iterator() else {
            return;
        };
        let elements = match self.elements(collection) {
            Ok((elements, marks)) => {
                made.marks = made.marks.union(&marks);
                elements
            }
            Err(failed) => {
                self.diagnostics.extend(failed);
                None
            }
        };
        let Some(elements) = elements else {
            made.is_unknown = true;
            // What is wrong in it shall show nevertheless.
            let known = self.spans.clone();
            let element = element(Value::unknown(Type::Any), Value::unknown(Type::Any));
            let path = place(made.items.len());
            let value = self.with_element(iterator, element, |inside| {
                inside.block(content, name, ty, &path)
            });
            made.marks = made.marks.union(&value.deep_marks());
            self.spans = known;
            return;
        };
        for (key, value) in elements {
            let path = place(made.items.len());
            let value = self.with_element(iterator, element(key, value), |inside| {
                inside.block(content, name, ty, &path)
            });
            made.items.push(value);
            made.spans.push(block.span.clone());
        }
    }

    fn with_element(
        &mut self,
        iterator: &Arc<str>,
        element: Value,
        part: impl FnOnce(&mut Self) -> Value,
    ) -> Value {
        self.bound.push((Arc::clone(iterator), element));
        let value = part(self);
        self.bound.pop();
        value
    }

    /// The collection and the content of a `dynamic` block, if it has both and nothing that it can't have.
    fn parts<'b>(&mut self, block: &'b Block) -> Option<(&'b Expr, &'b Block)> {
        let before = self.diagnostics.len();
        for label in block.labels.iter().skip(1) {
            self.diagnostics.push(
                Diagnostic::error("wrong-labels", "wrong number of labels")
                    .detail("`dynamic` takes one label: the name of the blocks that it makes")
                    .at(label.span.clone()),
            );
        }
        for (name, attribute) in &block.body.attributes {
            let span = attribute.name_span.clone();
            let failed = match name.as_ref() {
                "for_each" => continue,
                "iterator" if is_name(&attribute.expr) => continue,
                "iterator" => Diagnostic::error("wrong-iterator", "iterator is no name")
                    .detail("a name is expected here, without quotes")
                    .at(attribute.expr.span.clone()),
                // No schema has blocks with labels.
                "labels" => Diagnostic::error("wrong-labels", "wrong number of labels")
                    .detail(format!("`{}` takes no label here", made_name(block)))
                    .at(span),
                _ => Diagnostic::error("unknown-argument", "unknown argument")
                    .detail(format!("`dynamic` has no argument `{name}`"))
                    .at(span)
                    .did_you_mean(name, ["for_each", "iterator"]),
            };
            self.diagnostics.push(failed);
        }
        for inner in &block.body.blocks {
            let name = &inner.kind.text;
            if name.as_ref() != "content" {
                self.diagnostics.push(
                    Diagnostic::error("unknown-block", "unknown block")
                        .detail(format!("`dynamic` has no block `{name}`"))
                        .at(inner.kind.span.clone())
                        .help("what the blocks have in them stands in `content`"),
                );
            }
        }
        let collection = block.body.expr("for_each");
        if collection.is_none() {
            self.diagnostics.push(
                Diagnostic::error("missing-argument", "missing argument")
                    .detail("`for_each` of a `dynamic` block must be set")
                    .at(block.span.clone()),
            );
        }
        let mut contents = block.body.blocks_of("content");
        let content = contents.next();
        match (content, contents.next()) {
            (None, _) => self.diagnostics.push(
                Diagnostic::error("missing-block", "missing block")
                    .detail("a `dynamic` block needs a `content` block")
                    .at(block.span.clone()),
            ),
            (Some(first), Some(more)) => self.diagnostics.push(
                Diagnostic::error("duplicate-block", "block comes twice")
                    .detail("there may be one `content` here")
                    .at(more.span.clone())
                    .label(first.span.clone(), "first one here"),
            ),
            (Some(_), None) => {}
        }
        let is_sound = self.diagnostics.len() == before;
        collection.zip(content).filter(|_| is_sound)
    }

    /// The keys and values that blocks are made of, and the marks of their number. Without a value it is not known yet.
    fn elements(&self, collection: &Expr) -> Result<(Elements, Marks), crate::Diagnostics> {
        let value = evaluate_with(collection, self.scope, &self.bound)?;
        let ty = value.type_of();
        let is_wrong = match (value.kind(), &ty) {
            (Kind::Null, _) => Some("null".to_owned()),
            (_, Type::Bool | Type::Number | Type::String) => Some(with_article(&ty)),
            _ => None,
        };
        if let Some(found) = is_wrong {
            let failed = Diagnostic::error("wrong-type", "value has the wrong type").detail(
                format!("`for_each` takes a list, set, tuple, map or object, and this is {found}"),
            );
            return Err(vec![failed.at(collection.span.clone())]);
        }
        let marks = match value.is_known() {
            true => value.marks().clone(),
            false => value.deep_marks(),
        };
        Ok((pairs(&value, &collection.span)?, marks))
    }
}

type Elements = Option<Vec<(Value, Value)>>;

/// What the iterator is.
fn element(key: Value, value: Value) -> Value {
    Value::object_of([("key", key), ("value", value)])
}

fn made_name(block: &Block) -> &str {
    block.makes().map_or("", |made| made.text.as_ref())
}

fn is_name(expr: &Expr) -> bool {
    matches!(expr.bare().kind, crate::ast::ExprKind::Variable(_))
}
