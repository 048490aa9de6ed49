//! `dmp docs`: the pages of the reference, made from the schemas, the command line's own description and the exit codes.
//!
//! For `cargo xtask docs`, which writes below `docs/reference/` what is printed here, and tells when a page is stale.

mod command_line;
mod functions;
mod provider;

use std::fmt::Write;

use dmp_sdk::Diagnostic;

use super::{fail, print};
use crate::arguments::Docs;
use crate::{Context, Exit};

pub(crate) fn run(context: &Context, page: &Docs) -> Exit {
    let text = match page {
        Docs::Index => index(context),
        Docs::Cli => command_line::page(),
        Docs::ExitCodes => exit_codes(),
        Docs::Functions => functions::page(context),
        Docs::Provider { name } => match context.registry.provider(name) {
            Some(known) => provider::page(known.as_ref()),
            None => return unknown(context, name),
        },
    };
    print(&text);
    Exit::Success
}

fn unknown(context: &Context, name: &str) -> Exit {
    let names: Vec<&str> = context
        .registry
        .providers()
        .map(|known| known.name())
        .collect();
    let diagnostic = Diagnostic::error("unknown-provider", "unknown provider")
        .detail(format!("this dmp has no `{name}`"))
        .did_you_mean(name, names.iter().copied())
        .help(format!("there are: {}", names.join(", ")));
    fail(context, &dmp_lang::Sources::new(), &[diagnostic])
}

fn index(context: &Context) -> String {
    let mut text = "# Reference\n\nMade from the program itself; `cargo xtask docs` writes these pages anew.\n\n\
                    - [Command line](cli.md)\n- [Exit codes](exit-codes.md)\n- [Functions](functions.md)\n\
                    - [Differences from Terraform's language](differences.md)\n\
                    - [The state's form](state-format.md)\n\n\
                    | provider | resource types | data sources |\n| --- | --- | --- |\n"
        .to_owned();
    for known in context.registry.providers() {
        let (resources, sources) = (known.resources(), known.data_sources());
        let resources = resources
            .iter()
            .map(|resource| resource.schema().name.as_ref());
        let sources = sources.iter().map(|source| source.schema().name.as_ref());
        let name = known.name();
        let _ = writeln!(
            text,
            "| [{name}]({name}.md) | {} | {} |",
            links(name, resources, ""),
            links(name, sources, "-data-source")
        );
    }
    text
}

fn links<'a>(provider: &str, names: impl Iterator<Item = &'a str>, anchor: &str) -> String {
    let link = |name: &str| format!("[`{name}`]({provider}.md#{name}{anchor})");
    names.map(link).collect::<Vec<_>>().join(", ")
}

fn exit_codes() -> String {
    let mut text = "# Exit codes\n\nA code never changes its meaning. With several errors the last of this \
                    table counts. `dmp ssh` for one machine ends with the code of `ssh`.\n\n| code | meaning |\n| --- | --- |\n"
        .to_owned();
    for exit in Exit::ALL {
        let _ = writeln!(text, "| {} | {} |", exit.code(), exit.meaning());
    }
    text
}

/// Text as it may stand in the cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_has_its_line_and_its_own_number() {
        let page = exit_codes();
        for exit in Exit::ALL {
            let begin = format!("| {} | ", exit.code());
            assert_eq!(page.matches(&begin).count(), 1, "{begin}");
        }
    }

    #[test]
    fn a_cell_stays_one_cell() {
        assert_eq!(cell("a | b\nc"), "a \\| b c");
    }
}
