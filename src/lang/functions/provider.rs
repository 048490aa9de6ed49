//! Calls of `provider::NAME::FUNCTION(…)`: what is known of such a function comes through the scope.

use dmp_sdk::{Diagnostic, ProviderFunction, Span, Strictness, Value, convert};

use super::{expanded, wrong_call};
use crate::ast::Call;
use crate::evaluate::{Evaluation, Outcome, composed_value, null_value, unknown_not_null};

/// The provider's name and the function's, if it is such a call.
pub(super) fn name(call: &Call) -> Option<(&str, &str)> {
    call.name
        .text
        .strip_prefix("provider::")
        .map(|rest| rest.split_once("::").unwrap_or((rest, "")))
}

/// What is wrong with a call before anything is evaluated.
pub(super) fn check(call: &Call, function: Option<&ProviderFunction>) -> Option<Diagnostic> {
    let Some(function) = function else {
        return Some(unknown(call));
    };
    match call.expand_last {
        true => None,
        false => wrong_number(call, function, call.arguments.len()),
    }
}

fn unknown(call: &Call) -> Diagnostic {
    Diagnostic::error("unknown-function", "unknown function")
        .detail(format!("there is no function `{}`", call.name.text))
        .at(call.name.span.clone())
        .help("a provider's function is called as `provider::NAME::FUNCTION(…)`; the reference lists them")
}

fn wrong_number(call: &Call, function: &ProviderFunction, given: usize) -> Option<Diagnostic> {
    let count = function.parameters.len();
    (given != count).then(|| {
        let why = format!(
            "`{}` takes {count} argument{}, not {given}",
            function.signature(),
            if count == 1 { "" } else { "s" }
        );
        wrong_call(&why, &call.name.span)
    })
}

/// Calls such a function.
pub(super) fn call(
    evaluation: &mut Evaluation,
    call: &Call,
    function: Option<&ProviderFunction>,
    span: &Span,
) -> Outcome {
    let Some(function) = function else {
        return Err(vec![unknown(call)]);
    };
    let mut arguments = evaluation.values(&call.arguments)?;
    if call.expand_last
        && let (Some(last), Some(expr)) = (arguments.pop(), call.arguments.last())
    {
        match expanded(&last, expr)? {
            Some(items) => {
                let marked = items.into_iter().map(|item| item.marked(last.marks()));
                arguments.extend(marked);
            }
            None => {
                let marks = arguments.iter().fold(last.deep_marks(), |all, argument| {
                    all.union(&argument.deep_marks())
                });
                return Ok(unknown_not_null(function.result.clone()).marked(&marks));
            }
        }
    }
    if let Some(wrong) = wrong_number(call, function, arguments.len()) {
        return Err(vec![wrong]);
    }
    let place = |index: usize| {
        let expr = call.arguments.get(index).or(call.arguments.last());
        expr.map_or(span, |expr| &expr.span)
    };
    let mut failed = Vec::new();
    let mut marks = dmp_sdk::Marks::none();
    let mut plain = Vec::new();
    for (index, (argument, parameter)) in arguments.iter().zip(&function.parameters).enumerate() {
        marks = marks.union(&argument.deep_marks());
        if argument.is_null() {
            let detail = format!(
                "`{}` of `{}` may not be null",
                parameter.name, function.name
            );
            failed.push(null_value(&parameter.ty, place(index)).detail(detail));
            continue;
        }
        match convert(argument, &parameter.ty, Strictness::Lenient) {
            Ok(converted) => plain.push(converted.deep_unmarked()),
            Err(error) => failed.push(
                Diagnostic::error("wrong-type", "value has the wrong type")
                    .detail(format!(
                        "`{}` of `{}`: {error}",
                        parameter.name, function.name
                    ))
                    .at(place(index).clone()),
            ),
        }
    }
    if !failed.is_empty() {
        return Err(failed);
    }
    if !plain.iter().all(Value::is_wholly_known) {
        return Ok(unknown_not_null(function.result.clone()).marked(&marks));
    }
    match (function.call)(&plain) {
        Ok(result) => Ok(composed_value(result).marked(&marks)),
        Err(fault) => {
            let why = match marks.is_sensitive() || marks.is_ephemeral() {
                true => "a sensitive argument is not usable",
                false => fault.text.as_str(),
            };
            let at = fault.argument.map_or(span, place);
            Err(vec![
                Diagnostic::error("function-failed", "function has no result")
                    .detail(format!("`{}`: {why}", call.name.text))
                    .at(at.clone()),
            ])
        }
    }
}
