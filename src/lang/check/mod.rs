//! Everything that is wrong in a configuration before anything is evaluated, all at once.
//!
//! Two passes over each expression: one over what is written (every reference and every call, also where an
//! evaluation would never come), one over types (an evaluation in which everything declared is unknown, but of its
//! declared type).

mod scope;
mod walk;

use std::collections::BTreeSet;

use dmp_sdk::{Diagnostic, Key, Mode, ProviderFunction, Schema, Span, Strictness, Type, convert};

use crate::ast::{Body, Expr};
use crate::config::{
    Condition, Configuration, Import, Module, ModuleCall, ProviderName, Repetition, ResourceBlock,
    Rollout, Timed,
};
use crate::reference::ResourceKey;
use scope::Declared;
use walk::Walk;

/// The schemas that a configuration is checked against.
pub trait Schemas {
    /// The schema of a resource type or a data source.
    fn resource(&self, mode: Mode, resource_type: &str) -> Option<&Schema>;

    /// The schema of a provider's configuration.
    fn provider(&self, name: &str) -> Option<&Schema>;

    /// The names of all resource types or data sources, for suggestions.
    fn resource_types(&self, mode: Mode) -> Vec<&str>;

    /// The names of all providers.
    fn provider_names(&self) -> Vec<&str>;

    /// A function that a provider brings along.
    fn provider_function(&self, _provider: &str, _name: &str) -> Option<ProviderFunction> {
        None
    }
}

/// Checks all modules of a configuration.
#[must_use]
pub fn check(configuration: &Configuration, schemas: &dyn Schemas) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for module in &configuration.modules {
        let mut checking = Checking {
            configuration,
            module,
            schemas,
            diagnostics: Vec::new(),
        };
        checking.module();
        diagnostics.extend(checking.diagnostics);
    }
    without_echoes(diagnostics)
}

/// Checks an expression that stands in the stack itself, beside its blocks.
#[must_use]
pub fn check_expression(
    configuration: &Configuration,
    schemas: &dyn Schemas,
    expr: &Expr,
) -> Vec<Diagnostic> {
    let mut checking = Checking {
        configuration,
        module: configuration.root(),
        schemas,
        diagnostics: Vec::new(),
    };
    checking.expression(expr, &Type::Any, Place::default());
    without_echoes(checking.diagnostics)
}

/// Where an expression stands decides what it may refer to.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place<'c> {
    /// Inside a block with `for_each`.
    pub(crate) each: bool,
    /// Inside a block with `count`.
    pub(crate) count: bool,
    /// Where `self` is the object.
    pub(crate) self_object: bool,
    /// A data source that only this check sees.
    pub(crate) scoped: Option<&'c ResourceBlock>,
}

impl Place<'_> {
    fn inside(repetition: Option<&Repetition>) -> Self {
        Self {
            each: matches!(repetition, Some(Repetition::ForEach(_))),
            count: matches!(repetition, Some(Repetition::Count(_))),
            ..Self::default()
        }
    }
}

/// One module under check.
pub(crate) struct Checking<'c> {
    pub(crate) configuration: &'c Configuration,
    pub(crate) module: &'c Module,
    pub(crate) schemas: &'c dyn Schemas,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl<'c> Checking<'c> {
    /// A limit is that of a provider or of a resource type.
    fn limit(&mut self, name: &str, span: &Span) {
        let is_known = self.schemas.provider(name).is_some()
            || self.schemas.resource(Mode::Managed, name).is_some();
        if is_known {
            return;
        }
        let names = self.schemas.provider_names().into_iter();
        let names = names.chain(self.schemas.resource_types(Mode::Managed));
        let diagnostic =
            Diagnostic::error("unknown-limit", "there is nothing of this name to limit")
                .detail(format!(
                    "`{name}` is neither a provider nor a resource type"
                ))
                .at(span.clone())
                .did_you_mean(name, names);
        self.diagnostics.push(diagnostic);
    }

    fn module(&mut self) {
        let module = self.module;
        for (name, limit) in module.stack.iter().flat_map(|stack| &stack.limits) {
            self.limit(name, &limit.span);
        }
        for variable in module.variables.values() {
            self.conditions(&variable.validations, Place::default());
        }
        for local in module.locals.values() {
            self.expression(&local.expr, &Type::Any, Place::default());
        }
        for provider in module.providers.values() {
            self.provider(provider);
        }
        for resource in module.resources.values() {
            self.resource(resource);
        }
        for call in module.calls.values() {
            self.call(call);
        }
        for output in module.outputs.values() {
            self.expression(&output.value, &Type::Any, Place::default());
            self.conditions(&output.preconditions, Place::default());
            self.names(&output.depends_on);
        }
        for found in module.checks.values() {
            let place = Place {
                scoped: found.data.as_ref(),
                ..Place::default()
            };
            if let Some(data) = &found.data {
                self.resource(data);
            }
            self.conditions(&found.asserts, place);
        }
        for import in &module.imports {
            self.import(import);
        }
    }

    fn import(&mut self, import: &'c Import) {
        let place = Place::inside(import.repetition.as_ref());
        self.repetition(import.repetition.as_ref());
        for key in import.keys() {
            self.expression(key, &Type::Any, place);
        }
        self.expression(&import.id, &Type::String, place);
        let Some(named) = &import.provider else {
            return;
        };
        self.provider_instance(named, place);
        let failed = Diagnostic::error("other-provider", "another provider than the resource's");
        let failed = failed.at(named.span.clone());
        let any = import.address(|_| Ok::<_, std::convert::Infallible>(Key::Index(0)));
        let Ok(Some(address)) = any else {
            return;
        };
        if !address.module.is_root() {
            self.diagnostics.push(
                failed
                    .detail("what a module's resources go through is said where it is called")
                    .help("leave `provider` out"),
            );
            return;
        }
        let key = ResourceKey {
            mode: address.mode,
            resource_type: address.resource_type,
            name: address.name,
        };
        let Some(block) = self.module.resources.get(&key) else {
            return;
        };
        let same = match &block.provider {
            Some(other) => other.key == named.key,
            // The default one: that of the type.
            None => named.key.alias.is_none(),
        };
        if !same {
            let other = block.provider.as_ref().map(|other| other.key.to_string());
            let other = other.unwrap_or_else(|| "the default one".to_owned());
            let detail = format!("`{key}` goes through {other}, this says `{}`", named.key);
            self.diagnostics.push(
                failed
                    .detail(detail)
                    .help("the resource's own `provider` says through which one it is imported"),
            );
        }
    }

    fn provider(&mut self, provider: &'c crate::config::ProviderBlock) {
        self.repetition(provider.repetition.as_ref());
        let place = Place::inside(provider.repetition.as_ref());
        match self.schemas.provider(&provider.key.name) {
            Some(schema) => self.body(&provider.body, schema, place),
            None => self.diagnostics.push(
                Diagnostic::error("unknown-provider", "unknown provider")
                    .detail(format!("there is no provider `{}`", provider.key.name))
                    .at(provider.name_span.clone())
                    .did_you_mean(&provider.key.name, self.schemas.provider_names()),
            ),
        }
    }

    fn resource(&mut self, resource: &'c ResourceBlock) {
        let place = Place::inside(resource.repetition.as_ref());
        self.repetition(resource.repetition.as_ref());
        self.names(&resource.depends_on);
        let lifecycle = &resource.lifecycle;
        for trigger in &lifecycle.replace_triggered_by {
            self.walk(trigger, place);
        }
        if let Some(hosts) = &lifecycle.hosted_on {
            self.walk(hosts, place);
        }
        if let Some(rollout) = &lifecycle.rollout {
            self.rollout(rollout, place);
        }
        if let Some(guard) = &lifecycle.prevent_destroy {
            self.expression(guard, &Type::Bool, place);
        }
        for (timed, expr) in &resource.timeouts {
            self.timeout(*timed, expr, place);
        }
        self.conditions(&lifecycle.preconditions, place);
        let after = Place {
            self_object: true,
            ..place
        };
        self.conditions(&lifecycle.postconditions, after);
        self.provider_of(resource, place);
        let (mode, resource_type) = (resource.key.mode, &resource.key.resource_type);
        match self.schemas.resource(mode, resource_type) {
            Some(schema) => self.body(&resource.body, schema, place),
            None => {
                self.walk_body(&resource.body, place);
                let failed = self.unknown_type(mode, resource_type);
                self.diagnostics.push(failed.at(resource.type_span.clone()));
            }
        }
    }

    fn timeout(&mut self, timed: Timed, expr: &'c Expr, place: Place<'c>) {
        self.walk(expr, place);
        let declared = Declared::new(self, place);
        let wrong = crate::timeout(timed, expr, &declared).err();
        self.diagnostics.extend(wrong.unwrap_or_default());
    }

    fn rollout(&mut self, rollout: &'c Rollout, place: Place<'c>) {
        let here = Place::default();
        if let Some(group) = &rollout.group {
            self.expression(group, &Type::String, here);
        }
        if let Some(max_out) = &rollout.max_out {
            self.expression(max_out, &Type::Number, here);
        }
        let Some(health) = &rollout.health else {
            return;
        };
        if let Some(within) = &health.within_seconds {
            self.expression(within, &Type::Number, here);
        }
        let member = Place {
            self_object: true,
            ..place
        };
        if let Some(data) = &health.data {
            self.provider_of(data, member);
            for (timed, expr) in &data.timeouts {
                self.timeout(*timed, expr, member);
            }
            match self.schemas.resource(Mode::Data, &data.key.resource_type) {
                Some(schema) => self.body(&data.body, schema, member),
                None => {
                    self.walk_body(&data.body, member);
                    let failed = self.unknown_type(Mode::Data, &data.key.resource_type);
                    self.diagnostics.push(failed.at(data.type_span.clone()));
                }
            }
        }
        let scoped = Place {
            scoped: health.data.as_deref(),
            ..member
        };
        self.conditions(&health.asserts, scoped);
    }

    fn unknown_type(&self, mode: Mode, name: &str) -> Diagnostic {
        let (summary, what, other) = match mode {
            Mode::Managed => ("unknown resource type", "resource type", Mode::Data),
            Mode::Data => ("unknown data source", "data source", Mode::Managed),
        };
        let failed = Diagnostic::error("unknown-type", summary)
            .detail(format!("there is no {what} `{name}`"));
        if self.schemas.resource(other, name).is_some() {
            let word = if mode == Mode::Managed {
                "data"
            } else {
                "resource"
            };
            return failed.help(format!("there is one for `{word}` blocks"));
        }
        failed.did_you_mean(name, self.schemas.resource_types(mode))
    }

    /// A provider configuration that is named must be there: here, or handed in by the caller.
    fn provider_of(&mut self, resource: &'c ResourceBlock, place: Place<'c>) {
        let Some(named) = &resource.provider else {
            return;
        };
        self.provider_instance(named, place);
        let is_root = std::ptr::eq(self.module, self.configuration.root());
        let is_there = self.module.providers.contains_key(&named.key);
        if is_there
            || !is_root
            || (named.key.alias.is_none() && self.schemas.provider(&named.key.name).is_some())
        {
            return;
        }
        let names: Vec<String> = self
            .module
            .providers
            .keys()
            .map(ToString::to_string)
            .collect();
        self.diagnostics.push(
            Diagnostic::error("unknown-provider", "unknown provider")
                .detail(format!(
                    "there is no provider configuration `{}`",
                    named.key
                ))
                .at(named.span.clone())
                .did_you_mean(&named.key.to_string(), names.iter().map(String::as_str)),
        );
    }

    /// One instance is named of a provider with `for_each`, and of no other.
    fn provider_instance(&mut self, named: &'c ProviderName, place: Place<'c>) {
        if let Some(instance) = &named.instance {
            self.expression(instance, &Type::String, place);
        }
        let key = &named.key;
        let declared = self.module.providers.get(key);
        let has_instances = declared.map(|declared| declared.repetition.is_some());
        let failed = match (has_instances, &named.instance) {
            (Some(true), None) => Diagnostic::error("missing-key", "instance is not named")
                .detail(format!("`{key}` has several instances: which one?"))
                .help(format!("write `{key}[each.key]`")),
            (Some(false), Some(_)) => Diagnostic::error("no-instances", "no instances")
                .detail(format!("the provider `{key}` has no `for_each`"))
                .help(format!("write `{key}`")),
            (None, Some(_)) => Diagnostic::error("no-instances", "no instances")
                .detail(format!(
                    "`{key}` is no provider of this module with `for_each`"
                ))
                .help("who calls a module chooses the instance that it hands in"),
            _ => return,
        };
        self.diagnostics.push(failed.at(named.span.clone()));
    }

    fn call(&mut self, call: &'c ModuleCall) {
        let place = Place::inside(call.repetition.as_ref());
        for (_, outside) in &call.providers {
            self.provider_instance(outside, place);
        }
        self.repetition(call.repetition.as_ref());
        self.names(&call.depends_on);
        let Some(called) = call.module.map(|id| self.configuration.module(id)) else {
            for input in call.inputs.values() {
                self.walk(&input.expr, place);
            }
            return;
        };
        for (name, input) in &call.inputs {
            match called.variables.get(name) {
                Some(variable) => self.expression(&input.expr, &variable.ty, place),
                None => {
                    self.walk(&input.expr, place);
                    self.diagnostics.push(
                        Diagnostic::error("unknown-argument", "unknown argument")
                            .detail(format!(
                                "the module `{}` has no input variable `{name}`",
                                call.name.text
                            ))
                            .at(input.name_span.clone())
                            .did_you_mean(name, called.variables.keys().map(AsRef::as_ref)),
                    );
                }
            }
        }
        for variable in called.variables.values() {
            if variable.is_required() && !call.inputs.contains_key(&variable.name.text) {
                self.diagnostics.push(
                    Diagnostic::error("missing-argument", "missing argument")
                        .detail(format!(
                            "the module `{}` needs its input variable `{}`",
                            call.name.text, variable.name.text
                        ))
                        .at(call.span.clone())
                        .label(variable.span.clone(), "declared here without a default"),
                );
            }
        }
    }

    fn repetition(&mut self, repetition: Option<&'c Repetition>) {
        match repetition {
            Some(Repetition::Count(expr)) => self.expression(expr, &Type::Number, Place::default()),
            Some(Repetition::ForEach(expr)) => self.expression(expr, &Type::Any, Place::default()),
            Some(Repetition::Enabled(expr)) => self.expression(expr, &Type::Bool, Place::default()),
            None => {}
        }
    }

    fn conditions(&mut self, conditions: &'c [Condition], place: Place<'c>) {
        for condition in conditions {
            self.expression(&condition.condition, &Type::Bool, place);
            self.expression(&condition.error_message, &Type::String, place);
        }
    }

    fn body(&mut self, body: &'c Body, schema: &Schema, place: Place<'c>) {
        self.walk_body(body, place);
        let declared = Declared::new(self, place);
        let failed = crate::decode(body, schema, &declared).diagnostics;
        self.diagnostics.extend(failed);
    }

    fn expression(&mut self, expr: &'c Expr, ty: &Type, place: Place<'c>) {
        self.walk(expr, place);
        let declared = Declared::new(self, place);
        match crate::evaluate(expr, &declared) {
            Err(failed) => self.diagnostics.extend(failed),
            Ok(value) => {
                if let Err(error) = convert(&value, ty, Strictness::Lenient) {
                    let failed = Diagnostic::error("wrong-type", "value has the wrong type");
                    self.diagnostics
                        .push(failed.detail(error.to_string()).at(expr.span.clone()));
                }
            }
        }
    }

    fn names(&mut self, references: &'c [crate::Reference]) {
        for reference in references {
            Walk::new(self, Place::default()).whole(reference);
        }
    }

    fn walk(&mut self, expr: &'c Expr, place: Place<'c>) {
        Walk::new(self, place).expression(expr);
    }

    fn walk_body(&mut self, body: &'c Body, place: Place<'c>) {
        Walk::new(self, place).body(body);
    }
}

/// One error for each place: what comes later at the same one only repeats the first.
fn without_echoes(diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut seen = BTreeSet::new();
    diagnostics
        .into_iter()
        .filter(|diagnostic| match (&diagnostic.span, diagnostic.code) {
            // Several arguments may be missing in one block.
            (Some(span), "missing-argument") => {
                seen.insert((span.file.clone(), span.start, diagnostic.detail.clone()))
            }
            (Some(span), _) => seen.insert((span.file.clone(), span.start, String::new())),
            (None, _) => true,
        })
        .collect()
}

#[cfg(test)]
mod tests;
