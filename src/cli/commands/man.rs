//! `dmp man`: the pages of the manual, made from the command line's own description.

use std::fmt::Write;
use std::io;
use std::path::Path;

use clap::Command;
use dmp_lang::Sources;
use dmp_sdk::Diagnostic;

use super::{fail, print, say};
use crate::arguments::Man;
use crate::{Context, Exit, examples};

pub(crate) fn run(context: &Context, arguments: &Man) -> Exit {
    let mut root = examples::command();
    root.build();
    if let Some(folder) = &arguments.out {
        return match write_all(&root, "dmp", folder) {
            Ok(pages) => {
                say(&format!(
                    "{pages} pages written to `{}`.\n",
                    folder.display()
                ));
                Exit::Success
            }
            Err(error) => fail(
                context,
                &Sources::new(),
                &[Diagnostic::error("cannot-write", "cannot write the manual")
                    .detail(format!("`{}`", folder.display()))
                    .cause(error.to_string())],
            ),
        };
    }
    let mut command = &root;
    for word in &arguments.command {
        let found = shown(command).find(|child| child.get_name() == word);
        let Some(found) = found else {
            let names: Vec<&str> = shown(command).map(Command::get_name).collect();
            let diagnostic = Diagnostic::error("unknown-command", "there is no such command")
                .detail(format!("`dmp {}`", arguments.command.join(" ")))
                .did_you_mean(word, names.iter().copied());
            return fail(context, &Sources::new(), &[diagnostic]);
        };
        command = found;
    }
    let name = [&["dmp".to_owned()], arguments.command.as_slice()]
        .concat()
        .join("-");
    match page(command, &name) {
        Ok(page) => print(&page),
        Err(error) => {
            return fail(
                context,
                &Sources::new(),
                &[Diagnostic::bug(error.to_string())],
            );
        }
    }
    Exit::Success
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    let children = command.get_subcommands();
    children.filter(|child| !child.is_hide_set() && child.get_name() != "help")
}

fn page(command: &Command, name: &str) -> io::Result<String> {
    let mut roff = Vec::new();
    // Examples have a section of their own.
    let described = command.clone().after_help(clap::builder::Resettable::Reset);
    clap_mangen::Man::new(described)
        .title(name.to_uppercase())
        .source(format!("dmp {}", env!("CARGO_PKG_VERSION")))
        .manual("dmp")
        .render(&mut roff)?;
    let mut page = String::from_utf8_lossy(&roff).into_owned();
    let words = name.replace('-', " ");
    let examples = examples::of(words.strip_prefix("dmp ").unwrap_or_default());
    if !examples.is_empty() {
        page.push_str(".SH EXAMPLES\n");
    }
    for (line, what) in examples {
        let _ = write!(page, ".TP\n{}\n{}\n", escaped(line), escaped(what));
    }
    Ok(page)
}

/// Text as roff takes it: each letter for itself, and no line for a request.
fn escaped(text: &str) -> String {
    let text = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq");
    let is_request = text.starts_with(['.', '\'']);
    if is_request {
        format!("\\&{text}")
    } else {
        text
    }
}

fn write_all(command: &Command, name: &str, folder: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(format!("{name}.1")), page(command, name)?)?;
    let mut pages = 1;
    for child in shown(command) {
        pages += write_all(child, &format!("{name}-{}", child.get_name()), folder)?;
    }
    Ok(pages)
}
