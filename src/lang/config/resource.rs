//! `resource` and `data` blocks: their meta-arguments, and what is left for the type's schema.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use dmp_sdk::address::type_name;
use dmp_sdk::{AttributePath, Diagnostic, Kind, Layer, Mode, Span};

use super::build::repetition;
use super::fields::{Fields, labels};
use super::{Health, IgnoreChanges, Lifecycle, Repetition, ResourceBlock, Rollout, Timed};
use crate::ast::{Block, Expr, ExprKind};
use crate::reference::{ResourceKey, Target};

pub(super) fn resource(block: Block, diagnostics: &mut Vec<Diagnostic>) -> Option<ResourceBlock> {
    let [resource_type, name] = labels(&block, ["TYPE", "NAME"], diagnostics)?;
    let mode = match block.kind.text.as_ref() {
        "data" => Mode::Data,
        _ => Mode::Managed,
    };
    let span = block.span.clone();
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    let mut repetition = repetition(&mut fields);
    let depends_on = fields.depends_on();
    let provider = fields.provider("provider");
    let layer = layer(&mut fields);
    let lifecycle = match fields.block("lifecycle") {
        Some(block) => lifecycle(block, mode, &mut repetition, fields.diagnostics).into(),
        None => Arc::clone(&USUAL),
    };
    let timeouts = match fields.block("timeouts") {
        Some(block) => timeouts(block, mode, fields.diagnostics),
        None => BTreeMap::new(),
    };
    Some(ResourceBlock {
        key: ResourceKey {
            mode,
            resource_type: type_name(&resource_type.text),
            name: name.text,
        },
        type_span: resource_type.span,
        name_span: name.span,
        repetition,
        depends_on,
        provider,
        layer,
        lifecycle,
        timeouts,
        body: fields.rest(),
        span,
    })
}

/// That of blocks without a `lifecycle` block, which are most.
static USUAL: LazyLock<Arc<Lifecycle>> = LazyLock::new(Arc::default);

/// How long work may take: of a data source there is none but to read it.
fn timeouts(block: Block, mode: Mode, diagnostics: &mut Vec<Diagnostic>) -> BTreeMap<Timed, Expr> {
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    let known: &[Timed] = match mode {
        Mode::Managed => &[Timed::Create, Timed::Read, Timed::Update, Timed::Delete],
        Mode::Data => &[Timed::Read],
    };
    let found = known
        .iter()
        .filter_map(|timed| Some((*timed, fields.expr(timed.as_str())?)))
        .collect();
    fields.finish("`timeouts`");
    found
}

fn layer(fields: &mut Fields<'_>) -> Option<Layer> {
    let expr = fields.expr("layer")?;
    let name = match &expr.bare().kind {
        ExprKind::Variable(name) => Some(name),
        _ => expr.as_text(),
    };
    let found = name.and_then(|name| Layer::parse(name));
    if found.is_none() {
        let names = Layer::ALL.map(Layer::as_str);
        let failed = Diagnostic::error("unknown-layer", "unknown layer")
            .detail(format!("the layers are {}", names.join(", ")))
            .at(expr.span.clone());
        let given = name.map_or("", |name| name.as_ref());
        fields.diagnostics.push(failed.did_you_mean(given, names));
    }
    found
}

fn lifecycle(
    block: Block,
    mode: Mode,
    repetition: &mut Option<Repetition>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Lifecycle {
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    enabled(&mut fields, repetition);
    let mut lifecycle = Lifecycle {
        preconditions: fields.conditions("precondition"),
        postconditions: fields.conditions("postcondition"),
        hosted_on: fields.expr("hosted_on"),
        ..Lifecycle::default()
    };
    if mode == Mode::Managed {
        lifecycle.create_before_destroy = fields.bool("create_before_destroy");
        lifecycle.prevent_destroy = fields.expr("prevent_destroy");
        lifecycle.ignore_changes = ignore_changes(&mut fields);
        lifecycle.replace_triggered_by = triggers(&mut fields);
        let found = fields.block("rollout");
        lifecycle.rollout = found.map(|block| rollout(block, fields.diagnostics));
    }
    fields.finish("`lifecycle`");
    lifecycle
}

/// `enabled` in a `lifecycle` block: of a block that is repeated `count` or `for_each` says it already.
pub(super) fn enabled(fields: &mut Fields<'_>, repetition: &mut Option<Repetition>) {
    let Some(expr) = fields.expr("enabled") else {
        return;
    };
    if let Some(other) = repetition {
        fields.diagnostics.push(
            Diagnostic::error("enabled-and-repeated", "both enabled and count or for_each")
                .detail("a block has one of them")
                .at(expr.span)
                .label(other.expr().span.clone(), "repeated here")
                .help("let `count` be 0, or `for_each` empty, for no instance"),
        );
        return;
    }
    *repetition = Some(Repetition::Enabled(expr));
}

fn rollout(block: Block, diagnostics: &mut Vec<Diagnostic>) -> Rollout {
    let span = block.span.clone();
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    let group = fields.expr("group");
    let max_out = fields.expr("max_out");
    let found = fields.block("health");
    let health = found.map(|block| health(block, fields.diagnostics));
    fields.finish("`rollout`");
    Rollout {
        group,
        max_out,
        health,
        span,
    }
}

fn health(block: Block, diagnostics: &mut Vec<Diagnostic>) -> Health {
    let span = block.span.clone();
    let mut fields = Fields::new(block.body, block.span, diagnostics);
    let within_seconds = fields.expr("within_seconds");
    let found = fields.block("data");
    let data = found
        .and_then(|block| resource(block, fields.diagnostics))
        .map(Box::new);
    let asserts = fields.conditions("assert");
    fields.finish("`health`");
    let mut wrong = |code, detail: &str, at: &Span| {
        diagnostics.push(
            Diagnostic::error(code, code.replace('-', " "))
                .detail(detail)
                .at(at.clone()),
        );
    };
    if asserts.is_empty() {
        wrong("missing-block", "`health` needs an `assert` block", &span);
    }
    if let Some(data) = &data
        && (data.repetition.is_some() || !data.depends_on.is_empty())
    {
        let detail = "the data source of `health` is read for each member: it has no `count`, `for_each` or `depends_on`";
        wrong("wrong-argument", detail, &data.span);
    }
    Health {
        within_seconds,
        data,
        asserts,
        span,
    }
}

fn ignore_changes(fields: &mut Fields<'_>) -> IgnoreChanges {
    let Some(expr) = fields.expr("ignore_changes") else {
        return IgnoreChanges::default();
    };
    if matches!(&expr.bare().kind, ExprKind::Variable(name) if name.as_ref() == "all") {
        return IgnoreChanges::All;
    }
    let mut paths = Vec::new();
    for item in fields.items(&expr) {
        match attribute_path(item) {
            Some(path) => paths.push((path, item.span.clone())),
            None => fields.diagnostics.push(
                Diagnostic::error("not-an-attribute", "not an attribute")
                    .detail("the path of an attribute is expected here, such as `tags[\"a\"]`")
                    .at(item.span.clone()),
            ),
        }
    }
    IgnoreChanges::Paths(paths)
}

/// The attribute that a path names; `a.b` was parsed as the reference which it would be elsewhere.
fn attribute_path(expr: &Expr) -> Option<AttributePath> {
    match &expr.kind {
        ExprKind::Variable(name) => Some(AttributePath::of(name)),
        ExprKind::Literal(_) => expr.as_text().map(|name| AttributePath::of(name)),
        ExprKind::Reference(reference) => match &reference.target {
            Target::Resource(key) if key.mode == Mode::Managed => {
                Some(AttributePath::of(&key.resource_type).member(&key.name))
            }
            _ => None,
        },
        ExprKind::Attribute(of, name) => Some(attribute_path(of)?.member(&name.text)),
        ExprKind::Index(of, key) => {
            let ExprKind::Literal(value) = &key.kind else {
                return None;
            };
            let path = attribute_path(of)?;
            match value.kind() {
                Kind::String(name) => Some(path.member(name)),
                _ => Some(path.index(usize::try_from(value.as_i64()?).ok()?)),
            }
        }
        _ => None,
    }
}

fn triggers(fields: &mut Fields<'_>) -> Vec<Expr> {
    let Some(expr) = fields.expr("replace_triggered_by") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for item in fields.items(&expr) {
        let refers = crate::references(item)
            .iter()
            .any(|reference| matches!(reference.target, Target::Resource(_)));
        match refers {
            true => found.push(item.clone()),
            false => fields.diagnostics.push(
                Diagnostic::error("not-a-reference", "not a reference")
                    .detail("a resource or an attribute of one is named here")
                    .at(item.span.clone()),
            ),
        }
    }
    found
}
