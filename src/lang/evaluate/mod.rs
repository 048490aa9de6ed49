//! From expressions to values: unknowns, marks, conversions.
//!
//! The marks of a result are the union of its operands' marks; marks of elements stay on the elements. Everything
//! that can be wrong at once is reported at once. No evaluation exhausts memory or stack: trees are of bounded height
//! (the parser sees to that), steps and sizes are counted here.

pub(crate) mod access;
pub(crate) mod equality;
pub(crate) mod loops;
mod operators;
mod template;

use std::sync::Arc;

use dmp_sdk::{Diagnostic, Kind, Marks, Span, Strictness, Type, Unknown, Value, convert};
use sha2::{Digest, Sha256};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};
use unicode_segmentation::UnicodeSegmentation;

use crate::Diagnostics;
use crate::ast::{Conditional, Expr, ExprKind, ObjectItem, Template};
use crate::functions;
use crate::scope::Scope;

/// The value of an expression.
///
/// # Errors
/// Everything that was found wrong in it; each has a place.
pub fn evaluate(expr: &Expr, scope: &dyn Scope) -> Result<Value, Diagnostics> {
    Evaluation::new(scope).value(expr)
}

/// The value of an expression in which names have values.
///
/// # Errors
/// Everything that was found wrong in it; each has a place.
pub(crate) fn evaluate_with(
    expr: &Expr,
    scope: &dyn Scope,
    names: &[(Arc<str>, Value)],
) -> Result<Value, Diagnostics> {
    let names = names.iter().cloned();
    Evaluation::new(scope).with_bound(names, |evaluation| evaluation.value(expr))
}

/// The value of a template file's text, rendered with the members of an object.
///
/// # Errors
/// Everything that was found wrong in it; each has a place.
pub fn evaluate_template(
    template: &Template,
    variables: &Value,
    scope: &dyn Scope,
) -> Result<Value, Diagnostics> {
    let mut evaluation = Evaluation::new(scope);
    evaluation.bind_members(variables);
    evaluation.template(template, &whole_of("template"))
}

/// One evaluation under way.
pub(crate) struct Evaluation<'s> {
    pub(crate) scope: &'s dyn Scope,
    /// What `for`s have bound, or a template was given; the innermost last.
    bound: Vec<(Arc<str>, Value)>,
    /// The elements of the splats around.
    items: Vec<Value>,
    /// Steps that are left.
    steps: u64,
    /// Expressions around, also those of templates that render others.
    depth: usize,
    /// How often something was made by chance.
    chances: u64,
    /// The marks of all that was looked up, while `try` wants to know.
    pub(crate) watched: Option<Marks>,
}

pub(crate) type Outcome = Result<Value, Diagnostics>;

impl<'s> Evaluation<'s> {
    pub(crate) fn new(scope: &'s dyn Scope) -> Self {
        Self {
            scope,
            bound: Vec::new(),
            items: Vec::new(),
            steps: MOST_STEPS,
            depth: 0,
            chances: 0,
            watched: None,
        }
    }

    pub(crate) fn value(&mut self, expr: &Expr) -> Outcome {
        self.step(&expr.span)?;
        if self.depth >= MOST_DEPTH {
            let why = "expressions and templates are nested too deeply here";
            return Err(vec![too_large(why, &expr.span)]);
        }
        self.depth += 1;
        let outcome = self.value_of(expr);
        self.depth -= 1;
        outcome
    }

    fn value_of(&mut self, expr: &Expr) -> Outcome {
        match &expr.kind {
            ExprKind::Literal(value) => Ok(value.clone()),
            ExprKind::Template(template) => self.template(template, &expr.span),
            ExprKind::Tuple(items) => Ok(Value::tuple(self.values(items)?)),
            ExprKind::Object(items) => self.object(items),
            ExprKind::For(each) => self.for_expression(each, &expr.span),
            ExprKind::Variable(name) => self.variable(name, &expr.span),
            ExprKind::Reference(reference) => {
                let value = self.scope.lookup(reference)?;
                Ok(self.watch(value))
            }
            ExprKind::Attribute(of, name) => {
                let of = self.value(of)?;
                access::attribute(&of, &name.text, &name.span)
            }
            ExprKind::Index(of, key) => self.index(of, key),
            ExprKind::Splat(of, each) => self.splat(of, each),
            ExprKind::SplatItem => Ok(self.items.last().cloned().unwrap_or_else(Value::null)),
            ExprKind::Call(call) => functions::call(self, call, &expr.span),
            ExprKind::Unary(operator, operand) => self.unary(*operator, operand),
            ExprKind::Binary(operator, left, right) => {
                self.binary(*operator, left, right, &expr.span)
            }
            ExprKind::Conditional(conditional) => self.conditional(conditional, &expr.span),
            ExprKind::Parenthesis(inner) => self.value(inner),
        }
    }

    /// The values of several expressions, or the errors of all of them.
    pub(crate) fn values<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
    ) -> Result<Vec<Value>, Diagnostics> {
        let mut values = Vec::new();
        let mut failed = Vec::new();
        for expr in exprs {
            match self.value(expr) {
                Ok(value) => values.push(value),
                Err(more) => failed.extend(more),
            }
        }
        if failed.is_empty() {
            Ok(values)
        } else {
            Err(failed)
        }
    }

    fn index(&mut self, of: &Expr, key: &Expr) -> Outcome {
        let values = self.values([of, key])?;
        access::index(&values[0], &values[1], &key.span)
    }

    fn variable(&mut self, name: &Arc<str>, span: &Span) -> Outcome {
        let found = self.bound.iter().rev().find(|(bound, _)| bound == name);
        if let Some((_, value)) = found {
            let value = value.clone();
            return Ok(self.watch(value));
        }
        let names = self.bound.iter().map(|(name, _)| name.as_ref());
        let failed = Diagnostic::error("unknown-name", "unknown name")
            .detail(format!("`{name}` is not known here"))
            .at(span.clone());
        let suggested = failed.clone().did_you_mean(name, names);
        Err(vec![match suggested.help.is_empty() {
            true => failed.help(format!(
                "write `\"{name}\"` for a text, `var.{name}` for an input variable, `local.{name}` for a local value"
            )),
            false => suggested,
        }])
    }

    fn object(&mut self, items: &[ObjectItem]) -> Outcome {
        let mut members = Vec::new();
        let mut marks = Marks::none();
        let mut inside = Marks::none();
        let mut is_known = true;
        let mut failed = Vec::new();
        for item in items {
            if let Some(complaint) = bare_key(item) {
                failed.push(complaint);
                continue;
            }
            let (key, value) = (self.value(&item.key), self.value(&item.value));
            let (key, value) = match (key, value) {
                (Ok(key), Ok(value)) => (key, value),
                (key, value) => {
                    failed.extend(key.err().into_iter().chain(value.err()).flatten());
                    continue;
                }
            };
            marks = marks.union(&key.deep_marks());
            inside = inside.union(&value.deep_marks());
            match key_text(&key, &item.key.span) {
                Ok(Some(name)) => members.push((name, value)),
                Ok(None) => is_known = false,
                Err(more) => failed.extend(more),
            }
        }
        if !failed.is_empty() {
            return Err(failed);
        }
        if !is_known {
            return Ok(Value::unknown(Type::Any).marked(&marks.union(&inside)));
        }
        Ok(Value::object(members.into_iter().collect()).marked(&marks))
    }

    fn conditional(&mut self, conditional: &Conditional, span: &Span) -> Outcome {
        let condition = self.value(&conditional.condition)?;
        let decided = truth(&condition, &conditional.condition.span)?;
        let (yes, no) = (self.value(&conditional.yes), self.value(&conditional.no));
        let (chosen, other, place) = match decided {
            Some(true) => (yes?, no.ok(), &conditional.yes.span),
            Some(false) => (no?, yes.ok(), &conditional.no.span),
            None => return undecided(&condition, yes, no, span),
        };
        let marks = condition.deep_marks();
        let ty = match &other {
            Some(other) => common_type(&chosen, other, span)?,
            None => None,
        };
        let value = match ty {
            Some(ty) => converted(&chosen, &ty, place)?,
            None => chosen,
        };
        Ok(value.marked(&marks))
    }

    /// Counts a step.
    pub(crate) fn step(&mut self, span: &Span) -> Result<(), Diagnostics> {
        self.spend(1, span)
    }

    /// Counts several steps.
    pub(crate) fn spend(&mut self, steps: usize, span: &Span) -> Result<(), Diagnostics> {
        match self.steps.checked_sub(steps as u64) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err(vec![too_large("the evaluation takes too many steps", span)]),
        }
    }

    /// Runs a part with names bound.
    pub(crate) fn with_bound<T>(
        &mut self,
        names: impl IntoIterator<Item = (Arc<str>, Value)>,
        part: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = self.bound.len();
        self.bound.extend(names);
        let result = part(self);
        self.bound.truncate(before);
        result
    }

    /// Renders a template file with the members of an object, and with nothing else that is bound here.
    pub(crate) fn template_file(
        &mut self,
        template: &Template,
        variables: &Value,
        span: &Span,
    ) -> Outcome {
        let bound = std::mem::take(&mut self.bound);
        let items = std::mem::take(&mut self.items);
        self.bind_members(variables);
        let rendered = self.template(template, span);
        self.items = items;
        self.bound = bound;
        rendered
    }

    fn bind_members(&mut self, variables: &Value) {
        for (name, value) in variables.as_members().into_iter().flatten() {
            self.bound
                .push((Arc::clone(name), value.clone().marked(variables.marks())));
        }
    }

    /// Sixteen bytes that nobody can foresee, once something is applied; the same ones when all is evaluated again.
    pub(crate) fn by_chance(&mut self, span: &Span) -> Option<[u8; 16]> {
        let chance = self.scope.chance()?;
        self.chances += 1;
        let mut hash = Sha256::new();
        hash.update(chance.seed);
        hash.update((chance.place.len() as u64).to_be_bytes());
        hash.update(chance.place);
        hash.update(span.file.as_bytes());
        hash.update((span.start as u64).to_be_bytes());
        hash.update(self.chances.to_be_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        Some(bytes)
    }

    fn watch(&mut self, value: Value) -> Value {
        if let Some(watched) = &mut self.watched {
            *watched = watched.union(&value.deep_marks());
        }
        value
    }
}

/// The complaint about a key that is made by an expression without parentheses.
pub(crate) fn bare_key(item: &ObjectItem) -> Option<Diagnostic> {
    let is_bare = matches!(
        item.key.kind,
        ExprKind::Variable(_) | ExprKind::Reference(_) | ExprKind::Attribute(..)
    );
    is_bare.then(|| {
        Diagnostic::error("syntax-error", "syntax error")
            .detail("a key that is made by an expression needs parentheses")
            .at(item.key.span.clone())
            .help("write `(key) = value`")
    })
}

/// A conditional whose condition is not known: either branch may be the result.
fn undecided(condition: &Value, yes: Outcome, no: Outcome, span: &Span) -> Outcome {
    let (yes, no) = match (yes, no) {
        (Ok(yes), Ok(no)) => (yes, no),
        (yes, no) => return Err(yes.err().into_iter().chain(no.err()).flatten().collect()),
    };
    let marks = condition
        .deep_marks()
        .union(&yes.deep_marks())
        .union(&no.deep_marks());
    let ty = match yes.type_of() == no.type_of() {
        true => yes.type_of(),
        false => common_type(&yes, &no, span)?.unwrap_or(Type::Any),
    };
    let is_sure = |value: &Value| match value.kind() {
        Kind::Unknown(unknown) => unknown.not_null,
        kind => !matches!(kind, Kind::Null),
    };
    let bounds = match (yes.is_null(), no.is_null()) {
        (true, _) => no.length_bounds_as(&ty),
        (_, true) => yes.length_bounds_as(&ty),
        _ => yes
            .length_bounds_as(&ty)
            .zip(no.length_bounds_as(&ty))
            .map(|(yes, no)| yes.or(no)),
    };
    let mut undecided = Unknown::of(ty);
    undecided.not_null = is_sure(&yes) && is_sure(&no);
    Ok(Value::from(undecided.within(bounds)).marked(&marks))
}

/// The type that both branches are converted to, if their types are known.
fn common_type(one: &Value, two: &Value, span: &Span) -> Result<Option<Type>, Diagnostics> {
    let is_open =
        |value: &Value| matches!(value.kind(), Kind::Unknown(unknown) if unknown.ty == Type::Any);
    if is_open(one) || is_open(two) {
        return Ok(None);
    }
    let (first, second) = (one.type_of(), two.type_of());
    if first == second {
        return Ok(None);
    }
    match Type::unify([first.clone(), second.clone()]) {
        Some(ty) => Ok(Some(ty)),
        None => Err(vec![
            Diagnostic::error("mixed-types", "branches have different types")
                .detail(format!(
                    "one branch is {}, the other {}",
                    dmp_sdk::types::with_article(&first),
                    dmp_sdk::types::with_article(&second)
                ))
                .at(span.clone())
                .help("make both results of one type"),
        ]),
    }
}

/// A truth value, or `None` if it is not known.
pub(crate) fn truth(value: &Value, span: &Span) -> Result<Option<bool>, Diagnostics> {
    let value = not_null(value, &Type::Bool, span)?;
    Ok(value.as_bool())
}

/// A value converted to the type of an operand, which may not be null.
pub(crate) fn not_null(value: &Value, ty: &Type, span: &Span) -> Outcome {
    if value.is_null() {
        return Err(vec![null_value(ty, span)]);
    }
    converted(value, ty, span)
}

/// A value converted to a type.
pub(crate) fn converted(value: &Value, ty: &Type, span: &Span) -> Outcome {
    convert(value, ty, Strictness::Lenient).map_err(|error| {
        vec![
            Diagnostic::error("wrong-type", "value has the wrong type")
                .detail(error.to_string())
                .at(span.clone()),
        ]
    })
}

/// The name of a member, or `None` if it is not known.
pub(crate) fn key_text(key: &Value, span: &Span) -> Result<Option<Arc<str>>, Diagnostics> {
    let key = not_null(key, &Type::String, span)?;
    Ok(key.as_str().map(Arc::from))
}

pub(crate) fn null_value(ty: &Type, span: &Span) -> Diagnostic {
    Diagnostic::error("null-value", "value is null")
        .detail(format!(
            "{} is required here, and this is null",
            dmp_sdk::types::with_article(ty)
        ))
        .at(span.clone())
        .help("give a value for null with `coalesce(…)` or a conditional")
}

pub(crate) fn too_large(detail: &str, span: &Span) -> Diagnostic {
    Diagnostic::error("too-large", "result is too large")
        .detail(detail)
        .at(span.clone())
}

/// A value that is known after apply and is not null.
pub(crate) fn unknown_not_null(ty: Type) -> Value {
    Unknown::of(ty).not_null().into()
}

/// A text with each character in its composed form (NFC), as Terraform has all texts: `e` and an accent is `é`.
pub(crate) fn composed(text: String) -> String {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text,
        _ => text.nfc().collect(),
    }
}

/// The same for all texts in a value.
pub(crate) fn composed_value(value: Value) -> Value {
    let is_composed = |text: &str| is_nfc_quick(text.chars()) == IsNormalized::Yes;
    match value.kind() {
        Kind::String(text) if !is_composed(text) => {
            Value::from(composed(text.to_string())).marked(value.marks())
        }
        Kind::List(_) | Kind::Set(_) | Kind::Tuple(_) | Kind::Map(_) | Kind::Object(_) => {
            value.map_children(|child| composed_value(child.clone()))
        }
        _ => value,
    }
}

/// A text that is known after apply, but begins with this. What follows may still change its last character.
pub(crate) fn unknown_text(known: &str) -> Value {
    let prefix = known.grapheme_indices(true).next_back();
    let prefix = prefix.map_or("", |(end, _)| &known[..end]);
    Unknown {
        prefix: (!prefix.is_empty()).then(|| prefix.into()),
        ..Unknown::of(Type::String).not_null()
    }
    .into()
}

fn whole_of(name: &str) -> Span {
    Span {
        file: name.into(),
        start: 0,
        end: 0,
    }
}

/// Expressions that may stand inside each other, so that the stack is large enough for all of them.
const MOST_DEPTH: usize = 300;
/// Steps that one evaluation may take.
const MOST_STEPS: u64 = 5_000_000;
/// Bytes that one text may have.
pub(crate) const LONGEST_TEXT: usize = 16 << 20;
/// Elements that one collection may have.
pub(crate) const MOST_ELEMENTS: usize = 1 << 20;

#[cfg(test)]
mod tests;
