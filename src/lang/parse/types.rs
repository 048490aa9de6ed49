//! Type expressions: `string`, `list(number)`, `object({ a = optional(string, "x") })`.

use std::collections::BTreeMap;

use dmp_sdk::types::Member;
use dmp_sdk::{Diagnostic, Span, Strictness, Type, Value, convert};

use crate::Diagnostics;
use crate::ast::{Call, Expr, ExprKind, ObjectItem};
use crate::scope::Bindings;

/// The type that a type expression names, such as `list(object({ a = optional(string, "x") }))`.
///
/// # Errors
/// When it names none.
pub fn parse_type(expr: &Expr) -> Result<Type, Diagnostics> {
    parse_constraint(expr).map_err(|failed| vec![*failed])
}

/// The same with one error.
pub(crate) fn parse_constraint(expr: &Expr) -> Result<Type, Box<Diagnostic>> {
    match &expr.bare().kind {
        ExprKind::Variable(name) => plain(name, &expr.span),
        // Before 0.12 types were written as texts; what a text means is still plain.
        ExprKind::Literal(_) if expr.as_text().is_some() => {
            let name = expr.as_text().map_or("", |text| text.as_ref());
            plain(name, &expr.span)
        }
        ExprKind::Call(call) => constructed(call, &expr.span),
        _ => Err(Box::new(not_a_type("a type is expected here", &expr.span))),
    }
}

fn plain(name: &str, span: &Span) -> Result<Type, Box<Diagnostic>> {
    match name {
        "any" => Ok(Type::Any),
        "bool" => Ok(Type::Bool),
        "number" => Ok(Type::Number),
        "string" => Ok(Type::String),
        "list" | "set" | "map" | "object" | "tuple" => {
            let failed = not_a_type(format!("`{name}` needs to be told of what"), span);
            Err(Box::new(failed.help(format!("write `{}`", example(name)))))
        }
        _ => {
            let failed = not_a_type(format!("there is no type `{name}`"), span);
            Err(Box::new(failed.did_you_mean(name, TYPE_NAMES)))
        }
    }
}

fn example(name: &str) -> String {
    match name {
        "object" => "object({ name = string })".into(),
        "tuple" => "tuple([string, number])".into(),
        _ => format!("{name}(string)"),
    }
}

fn constructed(call: &Call, span: &Span) -> Result<Type, Box<Diagnostic>> {
    let name = call.name.text.as_ref();
    let one = || match call.arguments.as_slice() {
        [argument] => Ok(argument),
        _ => {
            let failed = not_a_type(format!("`{name}` takes one type"), span);
            Err(Box::new(failed.help(format!("write `{}`", example(name)))))
        }
    };
    match name {
        "list" => Ok(Type::list(parse_constraint(one()?)?)),
        "set" => Ok(Type::set(parse_constraint(one()?)?)),
        "map" => Ok(Type::map(parse_constraint(one()?)?)),
        "tuple" => match &one()?.bare().kind {
            ExprKind::Tuple(items) => Ok(Type::Tuple(
                items
                    .iter()
                    .map(parse_constraint)
                    .collect::<Result<_, _>>()?,
            )),
            _ => Err(Box::new(not_a_type(
                "`tuple` takes a list of types in brackets",
                span,
            ))),
        },
        "object" => match &one()?.bare().kind {
            ExprKind::Object(items) => object(items),
            _ => Err(Box::new(not_a_type(
                "`object` takes its members in braces",
                span,
            ))),
        },
        "optional" => Err(Box::new(not_a_type(
            "`optional` stands only before the type of an object's member",
            span,
        ))),
        _ => plain(name, &call.name.span).and_then(|_| {
            Err(Box::new(not_a_type(
                format!("`{name}` takes no type in parentheses"),
                span,
            )))
        }),
    }
}

fn object(items: &[ObjectItem]) -> Result<Type, Box<Diagnostic>> {
    let mut members = BTreeMap::new();
    for item in items {
        let Some(name) = item.key.as_text() else {
            return Err(Box::new(not_a_type(
                "the name of a member is expected here",
                &item.key.span,
            )));
        };
        let member = match &item.value.bare().kind {
            ExprKind::Call(call) if call.name.text.as_ref() == "optional" => {
                optional(call, &item.value.span)?
            }
            _ => Member {
                ty: parse_constraint(&item.value)?,
                optional: false,
                default: None,
            },
        };
        if members.insert(name.clone(), member).is_some() {
            let detail = format!("the member `{name}` is named twice");
            return Err(Box::new(not_a_type(detail, &item.key.span)));
        }
    }
    Ok(Type::Object(members))
}

fn optional(call: &Call, span: &Span) -> Result<Member, Box<Diagnostic>> {
    let (ty, default) = match call.arguments.as_slice() {
        [ty] => (ty, None),
        [ty, default] => (ty, Some(default)),
        _ => {
            return Err(Box::new(not_a_type(
                "`optional` takes a type and perhaps a default",
                span,
            )));
        }
    };
    let ty = parse_constraint(ty)?;
    let default = default.map(|expr| default_of(expr, &ty)).transpose()?;
    Ok(Member {
        ty,
        optional: true,
        default: default.filter(|default| !default.is_null()),
    })
}

fn default_of(expr: &Expr, ty: &Type) -> Result<Value, Box<Diagnostic>> {
    let value = crate::evaluate(expr, &Bindings::new())
        .map_err(|mut failed| Box::new(failed.swap_remove(0)))?;
    convert(&value, ty, Strictness::Lenient).map_err(|error| {
        let failed = Diagnostic::error("wrong-type", "value has the wrong type");
        Box::new(failed.detail(error.to_string()).at(expr.span.clone()))
    })
}

fn not_a_type(detail: impl Into<String>, span: &Span) -> Diagnostic {
    Diagnostic::error("not-a-type", "not a type")
        .detail(detail)
        .at(span.clone())
}

const TYPE_NAMES: [&str; 9] = [
    "any", "bool", "number", "string", "list", "set", "map", "object", "tuple",
];
