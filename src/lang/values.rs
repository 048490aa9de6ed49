//! Values given from outside: on the command line, and in files of `name = value`.

use std::sync::Arc;

use dmp_sdk::{Type, Value};
use indexmap::IndexMap;

use crate::Diagnostics;
use crate::ast::Expr;

/// The value of an input variable that is given as text: as it is for a string, else parsed as an expression
/// without references, and converted.
///
/// # Errors
/// When the text is not a value of the type. The name is what spans call the text.
pub fn parse_value(text: &str, ty: &Type, name: &str) -> Result<Value, Diagnostics> {
    let _ = (text, ty, name);
    unreachable!()
}

/// The names that a file of values sets, and to what.
///
/// # Errors
/// When the text is not a list of `name = value`.
pub fn parse_values_file(text: &str, name: &str) -> Result<IndexMap<Arc<str>, Expr>, Diagnostics> {
    let _ = (text, name);
    unreachable!()
}
