//! Functions over expressions, types and marks.

use dmp_sdk::{Kind, Marks, Span, Type, Value};

use super::{Function, Gives, nullable};
use crate::Diagnostics;
use crate::ast::Call;
use crate::evaluate::{Evaluation, Outcome, unknown_not_null};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::lazy("can", can),
    Function::new("ephemeralasnull", &[nullable("value")], Gives::Any, |a| {
        Ok(ephemeral_as_null(&a[0]))
    })
    .own(),
    Function::new("issensitive", &[nullable("value")], Gives::Bool, |a| {
        let is_sensitive = a[0].marks().is_sensitive();
        Ok(match is_sensitive || a[0].is_known() {
            true => is_sensitive.into(),
            // What it is made of may still bring a mark.
            false => unknown_not_null(Type::Bool),
        })
    })
    .own(),
    Function::new("nonsensitive", &[nullable("value")], Gives::Any, |a| {
        Ok(a[0].clone().with_marks(a[0].marks().without_sensitive()))
    })
    .own(),
    Function::new("sensitive", &[nullable("value")], Gives::Any, |a| {
        Ok(a[0].clone().marked(&Marks::sensitive()))
    })
    .own(),
    Function::lazy("try", attempt),
    Function::new("type", &[nullable("value")], Gives::Text, |a| {
        Ok(a[0].type_of().to_string().into())
    })
    .own(),
];

fn ephemeral_as_null(value: &Value) -> Value {
    if value.marks().is_ephemeral() {
        return Value::null();
    }
    match value.kind() {
        Kind::Set(_) => value.clone(),
        _ => value.map_children(ephemeral_as_null),
    }
}

/// The first expression that has a value. What decided that an earlier one has none marks the result too.
fn attempt(evaluation: &mut Evaluation, call: &Call, span: &Span) -> Outcome {
    let mut marks = Marks::none();
    let mut last = Diagnostics::new();
    for expr in &call.arguments {
        let (outcome, seen) = watched(evaluation, |evaluation| evaluation.value(expr));
        match outcome {
            Ok(value) => {
                // What is not known yet may come to have no value: then the next one counts, of whatever type.
                let value = match value.kind() {
                    Kind::Unknown(_) => Value::unknown(Type::Any).with_marks(value.marks().clone()),
                    _ => value,
                };
                return Ok(value.marked(&marks));
            }
            Err(failed) => {
                marks = marks.union(&seen.without_origins());
                last = failed;
            }
        }
    }
    if call.arguments.is_empty() {
        let failed = dmp_sdk::Diagnostic::error("wrong-arguments", "wrong number of arguments");
        last.push(
            failed
                .detail("`try` takes at least one expression")
                .at(span.clone()),
        );
    }
    Err(last)
}

/// Whether an expression has a value.
fn can(evaluation: &mut Evaluation, call: &Call, span: &Span) -> Outcome {
    let [expr] = call.arguments.as_slice() else {
        let failed = dmp_sdk::Diagnostic::error("wrong-arguments", "wrong number of arguments");
        return Err(vec![
            failed.detail("`can` takes one expression").at(span.clone()),
        ]);
    };
    let (outcome, seen) = watched(evaluation, |evaluation| evaluation.value(expr));
    let result = match &outcome {
        Ok(value) if !value.is_wholly_known() => unknown_not_null(Type::Bool),
        Ok(_) => Value::from(true),
        Err(_) => Value::from(false),
    };
    Ok(result.marked(&seen.without_origins()))
}

/// Runs a part and says which marks it came across.
fn watched<T>(evaluation: &mut Evaluation, part: impl FnOnce(&mut Evaluation) -> T) -> (T, Marks) {
    let outer = evaluation.watched.replace(Marks::none());
    let result = part(evaluation);
    let seen = evaluation.watched.take().unwrap_or_default();
    evaluation.watched = outer.map(|outer| outer.union(&seen));
    (result, seen)
}
