//! The page of the language's functions, from their own table.

use std::fmt::Write;

use super::cell;
use crate::Context;

/// Renders the page.
pub(super) fn page(context: &Context) -> String {
    let mut text = "# Functions\n\nThe functions of Terraform's language, with its names, arguments and results; \
                    [what differs](differences.md). `core::` may stand before each name. `dmp console` tries them. \
                    A result is sensitive if an argument is.\n"
        .to_owned();
    for (family, functions) in dmp_lang::function_pages() {
        let mut title = family.to_owned();
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let _ = write!(
            text,
            "\n## {title}\n\n| function | what it gives | example |\n| --- | --- | --- |\n"
        );
        for function in functions {
            let _ = writeln!(
                text,
                "| `{}` | {} | `{}` → `{}` |",
                cell(&function.signature),
                cell(function.says),
                cell(function.example),
                cell(function.gives)
            );
        }
    }
    text.push_str(&of_providers(context));
    text
}

/// The functions that providers bring along.
fn of_providers(context: &Context) -> String {
    let mut rows = String::new();
    for provider in context.registry.providers() {
        for function in provider.functions() {
            let _ = writeln!(
                rows,
                "| `provider::{}::{}` | {} |",
                provider.name(),
                cell(&function.signature()),
                cell(function.doc)
            );
        }
    }
    match rows.is_empty() {
        true => rows,
        false => format!(
            "\n## Of providers\n\nThey need no configuration of the provider.\n\n| function | what it gives |\n\
             | --- | --- |\n{rows}"
        ),
    }
}
