//! From the bodies of a module's files to its typed blocks.

use std::collections::BTreeMap;
use std::sync::Arc;

use dmp_sdk::{Diagnostic, Key, Kind, Mode, Strictness, Type, Value, convert};

use super::fields::{Fields, declare, labels, text};
use super::resource::resource;
use super::{
    Check, EncryptionBlock, Endpoint, Import, Limit, Local, Module, ModuleCall, Moved, Output,
    ProviderBlock, ProviderKey, ProviderName, Removed, Repetition, StackBlock, Variable,
};
use crate::ast::{Block, Body, Expr, ExprKind};
use crate::parse::parse_constraint;
use crate::reference::Target;

/// Adds the blocks of a file to a module.
pub(crate) fn add_file(module: &mut Module, body: Body, diagnostics: &mut Vec<Diagnostic>) {
    for (name, attribute) in &body.attributes {
        diagnostics.push(
            Diagnostic::error("unexpected-argument", "unexpected argument")
                .detail(format!("`{name}` stands outside of any block"))
                .at(attribute.name_span.clone())
                .help("a local value stands in a `locals` block"),
        );
    }
    for block in body.blocks {
        add_block(module, block, diagnostics);
    }
}

fn add_block(module: &mut Module, block: Block, diagnostics: &mut Vec<Diagnostic>) {
    match block.kind.text.as_ref() {
        "stack" => stack(module, block, diagnostics),
        "variable" => variable(module, block, diagnostics),
        "locals" => locals(module, block, diagnostics),
        "provider" => provider(module, block, diagnostics),
        "resource" | "data" => {
            if let Some(found) = resource(block, diagnostics) {
                let place = |found: &super::ResourceBlock| found.span.clone();
                declare(
                    &mut module.resources,
                    found.key.clone(),
                    found,
                    "resource",
                    place,
                    diagnostics,
                );
            }
        }
        "module" => call(module, block, diagnostics),
        "output" => output(module, block, diagnostics),
        "check" => check(module, block, diagnostics),
        "environment" => {
            if let Some([name]) = labels(&block, ["NAME"], diagnostics) {
                let place = |block: &Block| block.span.clone();
                declare(
                    &mut module.environments,
                    name.text,
                    block,
                    "environment",
                    place,
                    diagnostics,
                );
            }
        }
        "moved" => moved(module, block, diagnostics),
        "removed" => removed(module, block, diagnostics),
        "import" => import(module, block, diagnostics),
        "terraform" => {
            diagnostics.push(unknown_block(&block).help("write `stack` for `terraform`"));
        }
        _ => diagnostics.push(unknown_block(&block).did_you_mean(&block.kind.text, BLOCKS)),
    }
}

fn unknown_block(block: &Block) -> Diagnostic {
    Diagnostic::error("unknown-block", "unknown block")
        .detail(format!("a stack has no block `{}`", block.kind.text))
        .at(block.kind.span.clone())
}

fn stack(module: &mut Module, block: Block, diagnostics: &mut Vec<Diagnostic>) {
    labels(&block, [], diagnostics);
    let span = block.span.clone();
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    let required_version = fields.text("required_version");
    let encryption = fields.block("encryption");
    let limits = limits(&mut fields);
    let body = fields.rest();
    let encryption = encryption.map(|block| encryption_of(block, diagnostics));
    match &module.stack {
        Some(first) => diagnostics.push(
            Diagnostic::error("duplicate-definition", "defined twice")
                .detail("there may be one `stack` block")
                .at(span)
                .label(first.span.clone(), "first defined here"),
        ),
        None => {
            module.stack = Some(StackBlock {
                required_version,
                encryption,
                limits,
                body,
                span,
            });
        }
    }
}

/// `limits = { NAME = NUMBER }`.
fn limits(fields: &mut Fields<'_>) -> BTreeMap<Arc<str>, Limit> {
    let Some(expr) = fields.expr("limits") else {
        return BTreeMap::new();
    };
    let span = expr.span.clone();
    let Some(value) = fields.constant(&expr, &Type::map(Type::Number)) else {
        return BTreeMap::new();
    };
    let mut found = BTreeMap::new();
    for (name, number) in value
        .as_members()
        .into_iter()
        .flat_map(|members| members.iter())
    {
        match number
            .as_i64()
            .and_then(|number| usize::try_from(number).ok())
        {
            Some(number) if number > 0 => {
                let span = span.clone();
                found.insert(Arc::clone(name), Limit { number, span });
            }
            _ => fields.diagnostics.push(
                Diagnostic::error("wrong-limit", "this can't be a limit")
                    .detail(format!(
                        "the limit of `{name}` is not a whole number above zero"
                    ))
                    .at(span.clone()),
            ),
        }
    }
    found
}

fn encryption_of(block: Block, diagnostics: &mut Vec<Diagnostic>) -> EncryptionBlock {
    labels(&block, [], diagnostics);
    let span = block.span.clone();
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    let recipients = fields.texts("recipients");
    let offline_recipients = fields.texts("offline_recipients").unwrap_or_default();
    let passphrase = fields.attribute("passphrase").is_some_and(|attribute| {
        let literal = match &attribute.expr.bare().kind {
            ExprKind::Literal(value) => value.as_bool(),
            _ => None,
        };
        if literal.is_none() {
            // What stands here may be the passphrase: no value is shown.
            fields.diagnostics.push(
                Diagnostic::error("wrong-type", "value has the wrong type")
                    .detail("`passphrase` is `true` or `false`; the passphrase itself is never written into a file")
                    .at(attribute.name_span)
                    .help("write `passphrase = true`, and give the passphrase in the environment variable `DMP_PASSPHRASE`"),
            );
        }
        literal.unwrap_or_default()
    });
    let enforced = fields.bool("enforced").unwrap_or_default();
    fields.finish("an `encryption` block");
    EncryptionBlock {
        recipients,
        offline_recipients,
        passphrase,
        enforced,
        span,
    }
}

fn variable(module: &mut Module, block: Block, diagnostics: &mut Vec<Diagnostic>) {
    let Some([name]) = labels(&block, ["NAME"], diagnostics) else {
        return;
    };
    let span = block.span.clone();
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    let ty = match fields.expr("type").map(|expr| parse_constraint(&expr)) {
        Some(Ok(ty)) => ty,
        Some(Err(failed)) => {
            fields.diagnostics.push(*failed);
            Type::Any
        }
        None => Type::Any,
    };
    let nullable = fields.bool("nullable").unwrap_or(true);
    let default = fields.expr("default").and_then(|expr| {
        let value = fields.constant(&expr, &ty)?;
        if value.is_null() && !nullable {
            let failed = Diagnostic::error("null-value", "value is null");
            let failed =
                failed.detail("the default of a variable that is not `nullable` can't be null");
            fields.diagnostics.push(failed.at(expr.span.clone()));
        }
        Some(value)
    });
    let variable = Variable {
        name: name.clone(),
        ty,
        default,
        description: text(fields.text("description")),
        sensitive: fields.bool("sensitive").unwrap_or(false),
        ephemeral: fields.bool("ephemeral").unwrap_or(false),
        nullable,
        validations: fields.conditions("validation"),
        span,
    };
    fields.finish("a variable");
    let place = |variable: &Variable| variable.name.span.clone();
    declare(
        &mut module.variables,
        name.text,
        variable,
        "input variable",
        place,
        diagnostics,
    );
}

fn locals(module: &mut Module, block: Block, diagnostics: &mut Vec<Diagnostic>) {
    labels(&block, [], diagnostics);
    for inner in &block.body.blocks {
        diagnostics.push(unknown_block(inner).detail("`locals` has only lines of `name = value`"));
    }
    for (name, attribute) in block.body.attributes {
        let local = Local {
            name: crate::ast::Name {
                text: Arc::clone(&name),
                span: attribute.name_span,
            },
            expr: attribute.expr,
        };
        let place = |local: &Local| local.name.span.clone();
        declare(
            &mut module.locals,
            name,
            local,
            "local value",
            place,
            diagnostics,
        );
    }
}

fn provider(module: &mut Module, block: Block, diagnostics: &mut Vec<Diagnostic>) {
    let Some([name]) = labels(&block, ["NAME"], diagnostics) else {
        return;
    };
    let span = block.span.clone();
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    let alias = text(fields.text("alias"));
    let for_each = fields.expr("for_each");
    if let (Some(expr), None) = (&for_each, &alias) {
        fields.diagnostics.push(
            Diagnostic::error("missing-argument", "missing argument")
                .detail("a provider with `for_each` needs an `alias`")
                .at(expr.span.clone())
                .help("resources name its instances by it: `provider = name.alias[each.key]`"),
        );
    }
    let key = ProviderKey {
        name: name.text,
        alias,
    };
    let provider = ProviderBlock {
        key: key.clone(),
        name_span: name.span,
        repetition: for_each.map(Repetition::ForEach),
        body: fields.rest(),
        span,
    };
    let place = |provider: &ProviderBlock| provider.span.clone();
    declare(
        &mut module.providers,
        key,
        provider,
        "provider configuration",
        place,
        diagnostics,
    );
}

/// `count` or `for_each`.
pub(super) fn repetition(fields: &mut Fields<'_>) -> Option<Repetition> {
    let count = fields.attribute("count");
    let for_each = fields.attribute("for_each");
    match (count, for_each) {
        (Some(count), Some(for_each)) => {
            fields.diagnostics.push(
                Diagnostic::error("count-and-for-each", "both count and for_each")
                    .detail("a block has one of them")
                    .at(for_each.name_span)
                    .label(count.name_span, "`count` is set here"),
            );
            Some(Repetition::Count(count.expr))
        }
        (Some(count), None) => Some(Repetition::Count(count.expr)),
        (None, Some(for_each)) => Some(Repetition::ForEach(for_each.expr)),
        (None, None) => None,
    }
}

fn call(module: &mut Module, block: Block, diagnostics: &mut Vec<Diagnostic>) {
    let Some([name]) = labels(&block, ["NAME"], diagnostics) else {
        return;
    };
    let span = block.span.clone();
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    let has_source = fields.required("source").map(|expr| {
        let value = fields.constant(&expr, &Type::String)?;
        Some(crate::ast::Name {
            text: value.as_str()?.into(),
            span: expr.span,
        })
    });
    let mut repetition = repetition(&mut fields);
    let depends_on = fields.depends_on();
    let providers = providers(&mut fields);
    if let Some(block) = fields.block("lifecycle") {
        let mut inner = Fields::new(block.body, block.span, fields.diagnostics);
        super::resource::enabled(&mut inner, &mut repetition);
        inner.finish("`lifecycle` of a module call");
    }
    let rest = fields.rest();
    for inner in &rest.blocks {
        diagnostics.push(
            Diagnostic::error("unknown-block", "unknown block")
                .detail("a module call has only arguments")
                .at(inner.kind.span.clone()),
        );
    }
    let Some(source) = has_source.flatten() else {
        return;
    };
    let call = ModuleCall {
        name: name.clone(),
        source,
        module: None,
        repetition,
        depends_on,
        providers,
        inputs: rest.attributes,
        span,
    };
    let place = |call: &ModuleCall| call.name.span.clone();
    declare(
        &mut module.calls,
        name.text,
        call,
        "module call",
        place,
        diagnostics,
    );
}

fn providers(fields: &mut Fields<'_>) -> Vec<(ProviderName, ProviderName)> {
    let Some(expr) = fields.expr("providers") else {
        return Vec::new();
    };
    let ExprKind::Object(items) = &expr.bare().kind else {
        let failed = Diagnostic::error("wrong-type", "value has the wrong type");
        let failed = failed.detail("`{ inside = outside }` is expected here");
        fields.diagnostics.push(failed.at(expr.span.clone()));
        return Vec::new();
    };
    let mut found = Vec::new();
    for item in items {
        let inside = fields.provider_name(&item.key);
        let outside = fields.provider_name(&item.value);
        if let Some(key) = inside.as_ref().and_then(|inside| inside.instance.as_ref()) {
            fields.diagnostics.push(
                Diagnostic::error("not-a-provider", "not a provider configuration")
                    .detail("what a module is handed in is one configuration, without a key")
                    .at(key.span.clone()),
            );
        }
        found.extend(inside.zip(outside));
    }
    found
}

fn output(module: &mut Module, block: Block, diagnostics: &mut Vec<Diagnostic>) {
    let Some([name]) = labels(&block, ["NAME"], diagnostics) else {
        return;
    };
    let span = block.span.clone();
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    let value = fields.required("value");
    let description = text(fields.text("description"));
    let sensitive = fields.bool("sensitive").unwrap_or(false);
    let ephemeral = fields.bool("ephemeral").unwrap_or(false);
    let depends_on = fields.depends_on();
    let preconditions = fields.conditions("precondition");
    fields.finish("an output");
    let Some(value) = value else {
        return;
    };
    let output = Output {
        name: name.clone(),
        value,
        description,
        sensitive,
        ephemeral,
        depends_on,
        preconditions,
        span,
    };
    let place = |output: &Output| output.name.span.clone();
    declare(
        &mut module.outputs,
        name.text,
        output,
        "output value",
        place,
        diagnostics,
    );
}

fn check(module: &mut Module, block: Block, diagnostics: &mut Vec<Diagnostic>) {
    let Some([name]) = labels(&block, ["NAME"], diagnostics) else {
        return;
    };
    let span = block.span.clone();
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    let data = fields.block("data");
    let data = data.and_then(|block| resource(block, fields.diagnostics));
    let asserts = fields.conditions("assert");
    fields.finish("a check");
    if asserts.is_empty() {
        let failed = Diagnostic::error("missing-block", "missing block");
        diagnostics.push(
            failed
                .detail("a check needs an `assert` block")
                .at(span.clone()),
        );
    }
    let check = Check {
        name: name.clone(),
        data,
        asserts,
        span,
    };
    let place = |check: &Check| check.name.span.clone();
    declare(
        &mut module.checks,
        name.text,
        check,
        "check",
        place,
        diagnostics,
    );
}

fn moved(module: &mut Module, block: Block, diagnostics: &mut Vec<Diagnostic>) {
    let span = block.span.clone();
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    let from = fields
        .required("from")
        .and_then(|expr| endpoint(&expr, &mut fields));
    let to = fields
        .required("to")
        .and_then(|expr| endpoint(&expr, &mut fields));
    fields.finish("`moved`");
    let (Some(from), Some(to)) = (from, to) else {
        return;
    };
    if matches!(from, Endpoint::Module(_)) != matches!(to, Endpoint::Module(_)) {
        let failed = Diagnostic::error("wrong-address", "not an address");
        diagnostics.push(
            failed
                .detail("a module moves to a module, a resource to a resource")
                .at(span),
        );
        return;
    }
    module.moved.push(Moved { from, to, span });
}

fn removed(module: &mut Module, block: Block, diagnostics: &mut Vec<Diagnostic>) {
    let span = block.span.clone();
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    let from = fields
        .required("from")
        .and_then(|expr| endpoint(&expr, &mut fields));
    let destroy = fields.block("lifecycle").and_then(|block| {
        let mut inner = Fields::new(block.body, block.span, fields.diagnostics);
        let destroy = inner.bool("destroy");
        inner.finish("`lifecycle` of `removed`");
        destroy
    });
    fields.finish("`removed`");
    if let Some(from) = from {
        module.removed.push(Removed {
            from,
            destroy: destroy.unwrap_or(true),
            span,
        });
    }
}

fn import(module: &mut Module, block: Block, diagnostics: &mut Vec<Diagnostic>) {
    let span = block.span.clone();
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    let to = fields.required("to");
    let repetition = fields.expr("for_each").map(Repetition::ForEach);
    let id = fields.required("id");
    let provider = fields.provider("provider");
    fields.finish("`import`");
    let (Some(to), Some(id)) = (to, id) else {
        return;
    };
    let import = Import {
        to,
        repetition,
        id,
        provider,
        span,
    };
    let any = import.address(|_| Ok::<_, std::convert::Infallible>(Key::Index(0)));
    let Ok(address) = any;
    let is_managed = address.is_some_and(|address| address.mode == Mode::Managed);
    if is_managed {
        module.imports.push(import);
        return;
    }
    diagnostics.push(
        Diagnostic::error("wrong-address", "not an address")
            .detail("a resource is imported: its address is expected here")
            .at(import.to.span.clone())
            .help("write it like `module.net.host_file.motd[\"a\"]`"),
    );
}

fn endpoint(expr: &Expr, fields: &mut Fields<'_>) -> Option<Endpoint> {
    let found = address_text(expr).and_then(|text| text.parse::<Endpoint>().ok());
    if found.is_none() {
        let failed = Diagnostic::error("wrong-address", "not an address")
            .detail("the address of a resource or a module is expected here")
            .at(expr.span.clone());
        fields
            .diagnostics
            .push(failed.help("write it like `module.net.host_file.motd[\"a\"]`"));
    }
    found
}

/// The address as it was written.
fn address_text(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Reference(reference)
            if matches!(reference.target, Target::Resource(_) | Target::Module(_)) =>
        {
            Some(reference.target.to_string())
        }
        ExprKind::Attribute(of, name) => Some(format!("{}.{}", address_text(of)?, name.text)),
        ExprKind::Index(of, key) => {
            let ExprKind::Literal(value) = &key.kind else {
                return None;
            };
            Some(format!("{}{}", address_text(of)?, key_of(value)?))
        }
        _ => None,
    }
}

fn key_of(value: &Value) -> Option<Key> {
    match value.kind() {
        Kind::String(name) => Some(Key::Name(Arc::clone(name))),
        Kind::Number(_) => {
            let number = convert(value, &Type::Number, Strictness::Lenient).ok()?;
            u64::try_from(number.as_i64()?).ok().map(Key::Index)
        }
        _ => None,
    }
}

/// The blocks of a stack.
const BLOCKS: [&str; 13] = [
    "stack",
    "variable",
    "locals",
    "provider",
    "resource",
    "data",
    "module",
    "output",
    "check",
    "environment",
    "moved",
    "removed",
    "import",
];
