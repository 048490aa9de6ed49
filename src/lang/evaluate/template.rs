//! Texts made of parts. A quoted text that is nothing but one `${…}` is the value itself.

use dmp_sdk::types::with_article;
use dmp_sdk::{Diagnostic, Kind, Marks, Span, Type, Value};

use super::{Evaluation, LONGEST_TEXT, Outcome, composed, loops, too_large, truth, unknown_text};
use crate::Diagnostics;
use crate::ast::{Expr, Template, TemplateFor, TemplateIf, TemplatePart};

impl Evaluation<'_> {
    pub(super) fn template(&mut self, template: &Template, span: &Span) -> Outcome {
        if let [TemplatePart::Interpolation(expr)] = template.parts.as_slice() {
            return self.value(expr);
        }
        let mut text = Rendering::default();
        self.render(template, &mut text, span)?;
        Ok(text.finish())
    }

    fn render(
        &mut self,
        template: &Template,
        text: &mut Rendering,
        span: &Span,
    ) -> Result<(), Diagnostics> {
        let mut failed = Diagnostics::new();
        for part in &template.parts {
            let outcome = match part {
                TemplatePart::Text(more) => text.push(more, span),
                TemplatePart::Interpolation(expr) => self.interpolate(expr, text),
                TemplatePart::If(branches) => self.render_if(branches, text, span),
                TemplatePart::For(each) => self.render_for(each, text, span),
            };
            failed.extend(outcome.err().into_iter().flatten());
        }
        if failed.is_empty() {
            Ok(())
        } else {
            Err(failed)
        }
    }

    fn interpolate(&mut self, expr: &Expr, text: &mut Rendering) -> Result<(), Diagnostics> {
        let value = self.value(expr)?;
        text.marks = text.marks.union(&value.deep_marks());
        let string = match value.kind() {
            Kind::Null => return Err(vec![not_a_text("null", expr)]),
            Kind::String(_) | Kind::Number(_) | Kind::Bool(_) => {
                super::converted(&value, &Type::String, &expr.span)?
            }
            Kind::Unknown(unknown) => match unknown.ty {
                Type::Any | Type::Bool | Type::Number | Type::String => {
                    text.is_known = false;
                    return Ok(());
                }
                _ => return Err(vec![not_a_text(&with_article(&unknown.ty), expr)]),
            },
            _ => return Err(vec![not_a_text(&with_article(&value.type_of()), expr)]),
        };
        text.push(string.as_str().unwrap_or_default(), &expr.span)
    }

    fn render_if(
        &mut self,
        branches: &TemplateIf,
        text: &mut Rendering,
        span: &Span,
    ) -> Result<(), Diagnostics> {
        let condition = self.value(&branches.condition)?;
        text.marks = text.marks.union(&condition.deep_marks());
        match truth(&condition, &branches.condition.span)? {
            Some(true) => self.render(&branches.yes, text, span),
            Some(false) => self.render(&branches.no, text, span),
            None => {
                text.is_known = false;
                self.render(&branches.yes, text, span)?;
                self.render(&branches.no, text, span)
            }
        }
    }

    fn render_for(
        &mut self,
        each: &TemplateFor,
        text: &mut Rendering,
        span: &Span,
    ) -> Result<(), Diagnostics> {
        let collection = self.value(&each.collection)?;
        text.marks = text.marks.union(collection.marks());
        let Some(pairs) = loops::pairs(&collection, &each.collection.span)? else {
            text.marks = text.marks.union(&collection.deep_marks());
            text.is_known = false;
            return Ok(());
        };
        for (key, value) in pairs {
            self.step(span)?;
            let names = loops::bindings(each.key_name.as_ref(), &each.value_name, key, value);
            self.with_bound(names, |inside| inside.render(&each.body, text, span))?;
        }
        Ok(())
    }
}

/// A text being made.
struct Rendering {
    text: String,
    marks: Marks,
    is_known: bool,
}

impl Default for Rendering {
    fn default() -> Self {
        Self {
            text: String::new(),
            marks: Marks::none(),
            is_known: true,
        }
    }
}

impl Rendering {
    fn push(&mut self, more: &str, span: &Span) -> Result<(), Diagnostics> {
        if self.text.len() + more.len() > LONGEST_TEXT {
            return Err(vec![too_large("the text is longer than 16 MiB", span)]);
        }
        if self.is_known {
            self.text.push_str(more);
        }
        Ok(())
    }

    fn finish(self) -> Value {
        let value = match self.is_known {
            true => Value::from(composed(self.text)),
            false => unknown_text(&self.text),
        };
        value.marked(&self.marks)
    }
}

fn not_a_text(what: &str, expr: &Expr) -> Diagnostic {
    let failed = Diagnostic::error("not-a-text", "value can't be part of a text")
        .detail(format!("{what} has no form as a text"))
        .at(expr.span.clone());
    match what {
        "null" => failed.help("give a text for null with `coalesce(…, \"\")` or a conditional"),
        _ => failed.help("turn it into a text with `join(…)` or `jsonencode(…)`"),
    }
}
