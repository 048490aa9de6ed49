//! Values given from outside: on the command line, and in files of `name = value`.

use std::sync::Arc;

use dmp_sdk::{Diagnostic, Span, Strictness, Type, Value, convert};
use indexmap::IndexMap;

use crate::Diagnostics;
use crate::ast::Expr;
use crate::parse::{parse_expression, parse_file};
use crate::scope::Bindings;

/// The value of an input variable that is given as text: as it is for a string, else parsed as an expression
/// without references, and converted.
///
/// # Errors
/// When the text is not a value of the type. The name is what spans call the text.
pub fn parse_value(text: &str, ty: &Type, name: &str) -> Result<Value, Diagnostics> {
    let is_text = matches!(ty, Type::Any | Type::String | Type::Number | Type::Bool);
    let value = match is_text {
        true => Value::from(text),
        false => crate::evaluate(&parse_expression(text, name)?, &Bindings::new())?,
    };
    convert(&value, ty, Strictness::Lenient).map_err(|error| {
        let span = Span {
            file: name.into(),
            start: 0,
            end: text.len(),
        };
        vec![
            Diagnostic::error("wrong-type", "value has the wrong type")
                .detail(error.to_string())
                .at(span),
        ]
    })
}

/// The names that a file of values sets, and to what.
///
/// # Errors
/// When the text is not a list of `name = value`.
pub fn parse_values_file(text: &str, name: &str) -> Result<IndexMap<Arc<str>, Expr>, Diagnostics> {
    let (body, mut diagnostics) = parse_file(text, name);
    for block in &body.blocks {
        diagnostics.push(
            Diagnostic::error("unexpected-block", "unexpected block")
                .detail("a file of values has only lines of `name = value`")
                .at(block.span.clone()),
        );
    }
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let attributes = body.attributes.into_iter();
    Ok(attributes
        .map(|(name, attribute)| (name, attribute.expr))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_taken_as_it_is_and_other_types_are_parsed() {
        let text = parse_value("[1]", &Type::String, "-var a");
        assert_eq!(text, Ok("[1]".into()));
        let list = parse_value("[1, \"2\"]", &Type::list(Type::Number), "-var a");
        assert_eq!(list, Ok(Value::list(vec![1.into(), 2.into()])));
        assert!(parse_value("x", &Type::Number, "-var a").is_err());
        assert!(parse_value("var.x", &Type::list(Type::Any), "-var a").is_err());
    }

    #[test]
    fn a_values_file_has_no_blocks() {
        let values = parse_values_file("a = 1\nb = [2]\n", "x.hcl").expect("is plain");
        assert_eq!(values.len(), 2);
        assert!(parse_values_file("a {\n}\n", "x.hcl").is_err());
    }
}
