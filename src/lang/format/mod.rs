//! The canonical layout of a file, as `dmp fmt` writes it and as OpenTofu has it.
//!
//! | part | what it does |
//! | --- | --- |
//! | `tokens` | cuts the text; texts inside quotes, heredocs and comments stay as they are |
//! | `statements` | labels in quotes, `"${x}"` as `x`, runs of blank lines as one |
//! | `layout` | how much space stands before each token |
//!
//! The layout follows from the tokens alone, never from the white space that was there; so a second run changes nothing.
//! Nothing is printed from the tree: what the parser does not keep, such as comments, is not lost.

mod layout;
mod statements;
mod tokens;

use crate::Diagnostics;
use crate::parse::parse_file;

/// A file's text in the canonical layout. It means what the text meant. The name is what spans call the text.
///
/// # Errors
/// When the text can't be parsed.
pub fn format_file(text: &str, name: &str) -> Result<String, Diagnostics> {
    let (_, diagnostics) = parse_file(text, name);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let mark_length = text.len() - text.trim_start_matches('\u{feff}').len();
    let (mark, text) = text.split_at(mark_length);
    let mut tokens = statements::tidy(tokens::tokens(text));
    layout::place(&mut tokens);
    let mut formatted = mark.to_owned();
    for token in tokens {
        formatted.extend(std::iter::repeat_n(' ', token.space));
        formatted.push_str(token.text);
    }
    Ok(formatted)
}

#[cfg(test)]
mod tests;
