//! Text to tree: a recursive descent over the text, with the place of everything in it.
//!
//! The parser is our own. hcl-edit, which was to stand here, keeps no ranges for errors, ends a file at its first
//! error, and cuts characters off the lines of an unevenly indented `<<-` heredoc; a text that silently loses
//! characters can't end up on a host.
//!
//! A broken statement costs one error: the parser goes on after it. Depth is bounded, so no text can exhaust the
//! stack, neither here nor in what walks the tree later.

mod body;
mod cursor;
mod expression;
mod template;
mod term;
mod types;

use std::sync::Arc;

use crate::Diagnostics;
use crate::ast::{Body, Expr, Template};

use cursor::Parser;
pub(crate) use cursor::{Names, is_name_part, is_name_start};
pub(crate) use types::parse_constraint;
pub use types::parse_type;

/// A whole file. The body holds what could be understood.
pub(crate) fn parse_file(text: &str, name: &str) -> (Body, Diagnostics) {
    let mut parser = Parser::new(text, name, Names::Configuration);
    let body = parser.file();
    (body, parser.diagnostics)
}

/// One expression, as a console takes it. The name is what spans call the text.
///
/// # Errors
/// When the text is not an expression.
pub fn parse_expression(text: &str, name: &str) -> Result<Expr, Diagnostics> {
    let mut parser = Parser::new(text, name, Names::Configuration);
    let parsed = parser.whole_expression();
    parser.finish(parsed)
}

/// The text of a template file: every name in it is one of the variables that it is rendered with.
///
/// # Errors
/// When the text is not a template.
pub fn parse_template(text: &str, name: &str) -> Result<Template, Diagnostics> {
    let mut parser = Parser::new(text, name, Names::Given);
    let parsed = parser.file_template();
    parser.finish(parsed)
}

/// Whether a text can be a name: of a block, a variable, a module.
pub fn is_name(text: &str) -> bool {
    text.starts_with(cursor::is_name_start) && text.chars().all(cursor::is_name_part)
}

/// The name of a file as spans carry it.
pub(crate) type FileName = Arc<str>;

#[cfg(test)]
mod tests;
