//! Templates: files and texts, in the language's own form and in Tera's.

use std::collections::BTreeMap;

use dmp_sdk::{Kind, Marks, Number, Span, Type, Value};
use tera::Context;

use super::file::{later, read_text};
use super::rendering::{self, Failed};
use super::{Failure, Fault, Function, Gives, any, text};
use crate::evaluate::Evaluation;
use crate::parse::{is_name, parse_template};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::inside(
        "templatefile",
        &[text("path"), any("variables")],
        Gives::Any,
        templatefile,
    )
    .own(),
    Function::inside(
        "templatestring",
        &[text("template"), any("variables")],
        Gives::Any,
        templatestring,
    )
    .own(),
    Function::inside(
        "templatetera",
        &[text("path"), any("variables")],
        Gives::Text,
        templatetera,
    )
    .own(),
];

/// The text of a template and what else its result depends on.
struct Given<'v> {
    first: &'v str,
    variables: &'v Value,
    marks: Marks,
}

/// What a template is given; the result where that is not known yet.
fn given(arguments: &[Value], later: Value) -> Result<Result<Given<'_>, Value>, Fault> {
    let (first, variables) = (&arguments[0], &arguments[1]);
    let marks = first.deep_marks().union(variables.marks());
    if !first.is_known() || !variables.is_known() {
        return Ok(Err(later.marked(&marks.union(&variables.deep_marks()))));
    }
    let Some(first) = first.as_str() else {
        return Err(Fault::of(0, "it is null"));
    };
    if !matches!(variables.kind(), Kind::Map(_) | Kind::Object(_)) {
        return Err(Fault::of(
            1,
            "an object of the template's variables is required",
        ));
    }
    let names = variables
        .as_members()
        .into_iter()
        .flatten()
        .map(|(name, _)| name);
    if let Some(name) = names.into_iter().find(|name| !is_name(name)) {
        return Err(Fault::of(1, format!("`{name}` can't be a variable's name")));
    }
    Ok(Ok(Given {
        first,
        variables,
        marks,
    }))
}

/// The variables keep their marks and unknowns inside the template.
fn templatefile(
    evaluation: &mut Evaluation,
    arguments: &[Value],
    span: &Span,
) -> Result<Value, Failure> {
    let given = match given(arguments, Value::unknown(Type::Any))? {
        Ok(given) => given,
        Err(later) => return Ok(later),
    };
    let Some(text) = read_text(evaluation, given.first)? else {
        return Ok(later().marked(&given.marks.union(&given.variables.deep_marks())));
    };
    let template = parse_template(&text, given.first)?;
    let rendered = evaluation.template_file(&template, given.variables, span)?;
    Ok(rendered.marked(&given.marks))
}

fn templatestring(
    evaluation: &mut Evaluation,
    arguments: &[Value],
    span: &Span,
) -> Result<Value, Failure> {
    let given = match given(arguments, Value::unknown(Type::Any))? {
        Ok(given) => given,
        Err(later) => return Ok(later),
    };
    let template = parse_template(given.first, "<template>").map_err(|failed| {
        let why = failed.first().map(|failed| failed.detail.clone());
        Fault::of(0, why.unwrap_or_default())
    })?;
    let rendered = evaluation.template_file(&template, given.variables, span)?;
    Ok(rendered.marked(&given.marks))
}

/// Tera sees plain values: what is unknown in them makes the whole text unknown, a mark in them marks all of it.
fn templatetera(
    evaluation: &mut Evaluation,
    arguments: &[Value],
    _: &Span,
) -> Result<Value, Failure> {
    let given = match given(arguments, later())? {
        Ok(given) => given,
        Err(later) => return Ok(later),
    };
    let marks = given.marks.union(&given.variables.deep_marks());
    let text = read_text(evaluation, given.first)?;
    let (Some(text), true) = (text, given.variables.is_wholly_known()) else {
        return Ok(later().marked(&marks));
    };
    let mut context = Context::new();
    for (name, value) in given.variables.as_members().into_iter().flatten() {
        context.insert_value(name.to_string(), for_tera(value));
    }
    let rendered = match rendering::render(given.first, &text, context) {
        Ok(rendered) => rendered,
        Err(Failed::TooLong) => return Err(super::longer().into()),
        Err(Failed::TooSlow) => {
            let why = format!("rendering `{}` takes too long", given.first);
            return Err(Fault::of(0, why).into());
        }
        Err(Failed::NoText) => return Err(Fault::new("the result is no text").into()),
        // Its words may quote a variable.
        Err(Failed::Tera(_)) if marks.is_sensitive() || marks.is_ephemeral() => {
            let why = format!(
                "`{}` has no result with these variables, some of them secret",
                given.first
            );
            return Err(Fault::of(0, why).into());
        }
        Err(Failed::Tera(why)) => {
            let why = format!("`{}`: {}", given.first, why.trim_end());
            return Err(Fault::of(0, why).into());
        }
    };
    Ok(Value::from(rendered).marked(&marks))
}

/// A value as Tera has it. Its numbers are whole or floats; what is neither is a text with all digits.
fn for_tera(value: &Value) -> tera::Value {
    match value.kind() {
        Kind::Null | Kind::Unknown(_) => tera::Value::none(),
        Kind::Bool(truth) => (*truth).into(),
        Kind::String(text) => text.as_ref().into(),
        Kind::Number(number) => {
            let text = number.to_string();
            let float = number.to_f64();
            match (text.parse::<i128>(), Number::from_f64(float)) {
                (Ok(whole), _) => whole.into(),
                (_, Some(same)) if same == **number => float.into(),
                _ => text.into(),
            }
        }
        Kind::List(items) | Kind::Set(items) | Kind::Tuple(items) => {
            items.iter().map(for_tera).collect::<Vec<_>>().into()
        }
        Kind::Map(members) | Kind::Object(members) => {
            let members = members
                .iter()
                .map(|(name, member)| (name.to_string(), for_tera(member)));
            members.collect::<BTreeMap<_, _>>().into()
        }
    }
}
