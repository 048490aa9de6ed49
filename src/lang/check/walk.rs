//! What is written in an expression: whether references lead somewhere, and calls are of functions that there are.

use std::sync::Arc;

use dmp_sdk::{Diagnostic, Mode, Span};

use super::{Checking, Place};
use crate::ast::{Body, Expr, ExprKind, Template, TemplatePart};
use crate::config::{Repetition, ResourceBlock};
use crate::functions::check_call;
use crate::reference::{Reference, ResourceKey, Step, Target};

pub(super) struct Walk<'a, 'c> {
    checking: &'a mut Checking<'c>,
    place: Place<'c>,
    bound: Vec<Arc<str>>,
}

impl<'a, 'c> Walk<'a, 'c> {
    pub(super) fn new(checking: &'a mut Checking<'c>, place: Place<'c>) -> Self {
        Self {
            checking,
            place,
            bound: Vec::new(),
        }
    }

    /// Everything in a body. What a `dynamic` block calls its element is a name in what it makes.
    pub(super) fn body(&mut self, body: &'c Body) {
        for attribute in body.attributes.values() {
            self.expression(&attribute.expr);
        }
        for block in &body.blocks {
            let Some(iterator) = block.iterator() else {
                self.body(&block.body);
                continue;
            };
            let inside = &block.body;
            if let Some(collection) = inside.expr("for_each") {
                self.expression(collection);
            }
            self.bound.push(Arc::clone(iterator));
            if let Some(labels) = inside.expr("labels") {
                self.expression(labels);
            }
            for content in inside.blocks_of("content") {
                self.body(&content.body);
            }
            self.bound.pop();
        }
    }

    pub(super) fn expression(&mut self, expr: &'c Expr) {
        let before = self.bound.len();
        match &expr.kind {
            ExprKind::Reference(reference) => self.reference(reference),
            ExprKind::Variable(name) if !self.bound.contains(name) => {
                self.bare_name(name, &expr.span);
            }
            ExprKind::Call(call) => {
                let schemas = self.checking.schemas;
                let of_provider =
                    |provider: &str, name: &str| schemas.provider_function(provider, name);
                let wrong = check_call(call, of_provider);
                self.checking.diagnostics.extend(wrong);
            }
            ExprKind::Object(items) => {
                let bare = items.iter().filter_map(crate::evaluate::bare_key);
                self.checking.diagnostics.extend(bare);
            }
            ExprKind::For(each) => {
                self.expression(&each.collection);
                let names = each.key_name.iter().chain([&each.value_name]);
                self.bound.extend(names.map(|name| Arc::clone(&name.text)));
                let inside = each.key.iter().chain([&each.value]).chain(&each.condition);
                inside.for_each(|expr| self.expression(expr));
                self.bound.truncate(before);
                return;
            }
            ExprKind::Template(template) => return self.template(template),
            _ => {}
        }
        for child in expr.children() {
            self.expression(child);
        }
    }

    fn template(&mut self, template: &'c Template) {
        for part in &template.parts {
            match part {
                TemplatePart::Text(_) => {}
                TemplatePart::Interpolation(expr) => self.expression(expr),
                TemplatePart::If(branches) => {
                    self.expression(&branches.condition);
                    self.template(&branches.yes);
                    self.template(&branches.no);
                }
                TemplatePart::For(each) => {
                    self.expression(&each.collection);
                    let before = self.bound.len();
                    let names = each.key_name.iter().chain([&each.value_name]);
                    self.bound.extend(names.map(|name| Arc::clone(&name.text)));
                    self.template(&each.body);
                    self.bound.truncate(before);
                }
            }
        }
    }

    fn bare_name(&mut self, name: &str, span: &Span) {
        let module = self.checking.module;
        let failed = Diagnostic::error("unknown-name", "unknown name")
            .detail(format!("`{name}` is not known here"))
            .at(span.clone());
        let is_resource_type = module
            .resources
            .keys()
            .any(|key| key.resource_type.as_ref() == name);
        let failed = if module.variables.contains_key(name) {
            failed.help(format!("did you mean `var.{name}`?"))
        } else if module.locals.contains_key(name) {
            failed.help(format!("did you mean `local.{name}`?"))
        } else if is_resource_type {
            failed.help(format!(
                "a resource is named by its type and its name: `{name}.NAME`"
            ))
        } else {
            let bound: Vec<&str> = self.bound.iter().map(AsRef::as_ref).collect();
            let suggested = failed.clone().did_you_mean(name, bound);
            match suggested.help.is_empty() {
                true => failed.help(format!("write `\"{name}\"` if it is a text")),
                false => suggested,
            }
        };
        self.checking.diagnostics.push(failed);
    }

    /// A block as a whole, as `depends_on` names it.
    pub(super) fn whole(&mut self, reference: &'c Reference) {
        match &reference.target {
            Target::Resource(key) if self.resource_block(key).is_none() => {
                self.undeclared_resource(key, reference);
            }
            Target::Module(name) if !self.checking.module.calls.contains_key(name) => {
                self.undeclared_module(name, reference);
            }
            _ => {}
        }
    }

    fn reference(&mut self, reference: &'c Reference) {
        let module = self.checking.module;
        match &reference.target {
            Target::Variable(name) if !module.variables.contains_key(name) => {
                let names: Vec<String> = module
                    .variables
                    .keys()
                    .map(|name| format!("var.{name}"))
                    .collect();
                self.undeclared("input variable", reference, &names);
            }
            Target::Local(name) if !module.locals.contains_key(name) => {
                let names: Vec<String> = module
                    .locals
                    .keys()
                    .map(|name| format!("local.{name}"))
                    .collect();
                self.undeclared("local value", reference, &names);
            }
            Target::Resource(key) => self.resource(key, reference),
            Target::Module(name) => self.module_output(name, reference),
            Target::EachKey | Target::EachValue if !self.place.each => {
                self.misplaced(
                    reference,
                    "`each` is known only inside a block with `for_each`",
                );
            }
            Target::CountIndex if !self.place.count => {
                self.misplaced(
                    reference,
                    "`count` is known only inside a block with `count`",
                );
            }
            Target::SelfObject if !self.place.self_object => {
                self.misplaced(reference, "`self` is known only in postconditions");
            }
            _ => {}
        }
    }

    fn resource_block(&self, key: &ResourceKey) -> Option<&'c ResourceBlock> {
        let scoped = self.place.scoped.filter(|scoped| scoped.key == *key);
        scoped.or_else(|| self.checking.module.resources.get(key))
    }

    fn resource(&mut self, key: &ResourceKey, reference: &Reference) {
        let Some(block) = self.resource_block(key) else {
            return self.undeclared_resource(key, reference);
        };
        let step = match (
            block.repetition.as_ref().is_some_and(Repetition::has_keys),
            reference.path.as_slice(),
        ) {
            (true, [Step::Attribute(name, span), ..]) => {
                let index = if self.place.each { "[each.key]" } else { "[0]" };
                self.checking.diagnostics.push(
                    Diagnostic::error("missing-key", "instance is not named")
                        .detail(format!(
                            "`{key}` has several instances, so `.{name}` of which one?"
                        ))
                        .at(span.clone())
                        .help(format!(
                            "write `{key}{index}.{name}` for one, `[for …]` for all of them"
                        )),
                );
                return;
            }
            (true, [Step::Index(..), step, ..]) | (false, [step, ..]) => step,
            _ => return,
        };
        let Step::Attribute(name, span) = step else {
            return;
        };
        let Some(schema) = self.checking.schemas.resource(key.mode, &key.resource_type) else {
            return;
        };
        if !schema.attributes.contains_key(name) {
            self.checking.diagnostics.push(
                Diagnostic::error("unknown-attribute", "unknown attribute")
                    .detail(format!("`{}` has no attribute `{name}`", key.resource_type))
                    .at(span.clone())
                    .did_you_mean(name, schema.attributes.keys().map(AsRef::as_ref)),
            );
        }
    }

    fn undeclared_resource(&mut self, key: &ResourceKey, reference: &Reference) {
        let module = self.checking.module;
        let roots = [
            "var", "local", "module", "data", "each", "count", "path", "self", "stack",
        ];
        let is_type = self
            .checking
            .schemas
            .resource(key.mode, &key.resource_type)
            .is_some();
        let nearest = dmp_sdk::diagnostic::nearest(&key.resource_type, roots);
        if let (false, Mode::Managed, Some(root)) = (is_type, key.mode, nearest) {
            let failed = Diagnostic::error("unknown-reference", "unknown reference")
                .detail(format!("there is no resource `{key}`"))
                .at(reference.span.clone());
            let help = format!("did you mean `{root}.{}`?", key.name);
            self.checking.diagnostics.push(failed.help(help));
            return;
        }
        let names: Vec<String> = module.resources.keys().map(ToString::to_string).collect();
        let what = match key.mode {
            Mode::Managed => "resource",
            Mode::Data => "data source",
        };
        self.undeclared(what, reference, &names);
    }

    fn undeclared_module(&mut self, _name: &str, reference: &Reference) {
        let calls = self.checking.module.calls.keys();
        let names: Vec<String> = calls.map(|name| format!("module.{name}")).collect();
        self.undeclared("module call", reference, &names);
    }

    fn module_output(&mut self, name: &str, reference: &Reference) {
        let Some(call) = self.checking.module.calls.get(name) else {
            return self.undeclared_module(name, reference);
        };
        let Some(called) = call.module.map(|id| self.checking.configuration.module(id)) else {
            return;
        };
        let ((true, [Step::Index(..), step, ..]) | (false, [step, ..])) = (
            call.repetition.as_ref().is_some_and(Repetition::has_keys),
            reference.path.as_slice(),
        ) else {
            return;
        };
        if let Step::Attribute(output, span) = step
            && !called.outputs.contains_key(output)
        {
            self.checking.diagnostics.push(
                Diagnostic::error("unknown-output", "unknown output value")
                    .detail(format!(
                        "the module `{name}` has no output value `{output}`"
                    ))
                    .at(span.clone())
                    .did_you_mean(output, called.outputs.keys().map(AsRef::as_ref)),
            );
        }
    }

    fn undeclared(&mut self, what: &str, reference: &Reference, names: &[String]) {
        let given = reference.target.to_string();
        self.checking.diagnostics.push(
            Diagnostic::error("unknown-reference", "unknown reference")
                .detail(format!("there is no {what} `{given}`"))
                .at(reference.span.clone())
                .did_you_mean(&given, names.iter().map(String::as_str)),
        );
    }

    fn misplaced(&mut self, reference: &Reference, detail: &str) {
        let failed = Diagnostic::error("misplaced-reference", "reference has no meaning here");
        self.checking
            .diagnostics
            .push(failed.detail(detail).at(reference.span.clone()));
    }
}
