//! One verb per file: an arguments struct and one function that calls the engine.

mod apply;
mod completions;
mod console;
mod copy;
mod docs;
mod facts;
mod fmt;
mod generate;
mod graph;
mod init;
mod lab;
mod man;
mod output;
mod plan;
mod query;
mod rebuild;
mod refresh;
mod show;
mod ssh;
mod ssh_many;
mod state;
mod state_edit;
mod state_history;
mod state_import;
mod state_keys;
mod state_reconcile;
mod validate;
mod version;
mod what_if;

pub(crate) use lab::folder_of as lab_folder_of;
pub use state_import::import_blocks;

use std::io::Write;
use std::path::{Path, PathBuf};

use dmp_lang::Sources;
use dmp_sdk::Diagnostic;
use dmp_state::Store;

pub(crate) use apply::Errand;

use crate::arguments::{Arguments, Command, Variables};
use crate::stack::{Broken, Stack, check_state, open_state};
use crate::{Context, Exit};

/// Runs the command that was asked for.
pub(crate) async fn dispatch(context: &Context, arguments: Arguments) -> Exit {
    let directory = arguments.chdir.unwrap_or_else(|| PathBuf::from("."));
    if !directory.is_dir() {
        let missing = Diagnostic::error("no-stack", "no such folder")
            .detail(format!("`{}`", directory.display()));
        return fail(context, &Sources::new(), &[missing]);
    }
    if arguments.lab
        && let Err(trouble) = lab::serve_in_background(&directory).await
    {
        return lab::fail_by(context, &trouble);
    }
    match arguments.command {
        Command::Init(arguments) => init::run(context, &directory, &arguments).await,
        Command::Validate(arguments) => validate::run(context, &directory, &arguments),
        Command::Fmt(arguments) => fmt::run(context, &directory, &arguments),
        Command::Plan(arguments) => plan::run(context, &directory, arguments).await,
        Command::Apply(arguments) => {
            apply::run(context, &directory, arguments, apply::Errand::Apply).await
        }
        Command::Import(arguments) => {
            let (arguments, errand) = arguments.parts();
            apply::run(context, &directory, arguments, errand).await
        }
        Command::Destroy(arguments) => {
            apply::run(context, &directory, arguments, apply::Errand::Destroy).await
        }
        Command::Rebuild(arguments) => rebuild::run(context, &directory, arguments).await,
        Command::WhatIf(arguments) => what_if::run(context, &directory, &arguments).await,
        Command::Refresh(arguments) => refresh::run(context, &directory, &arguments).await,
        Command::Show(arguments) => show::run(context, &directory, &arguments),
        Command::Output(arguments) => output::run(context, &directory, &arguments),
        Command::State(arguments) => state::run(context, &directory, &arguments).await,
        Command::Ssh(arguments) => ssh::run(context, &directory, &arguments).await,
        Command::Copy(arguments) => copy::run(context, &directory, &arguments).await,
        Command::Facts(arguments) => facts::run(context, &directory, &arguments).await,
        Command::Query(arguments) => query::run(context, &directory, &arguments).await,
        Command::Lab(arguments) => lab::run(context, &directory, &arguments).await,
        Command::Graph(arguments) => graph::run(context, &directory, &arguments),
        Command::Console(arguments) => console::run(context, &directory, &arguments).await,
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(context, &arguments),
        Command::Docs(page) => docs::run(context, &page),
        Command::Version(arguments) => version::run(&arguments),
    }
}

/// Prints data: standard output. A reader that went away is no error.
pub(crate) fn print(text: &str) {
    let mut out = anstream::stdout();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Prints data as it is, also characters that mean something to terminals.
pub(crate) fn print_raw(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Prints everything else: standard error.
pub(crate) fn say(text: &str) {
    let _ = anstream::stderr().write_all(text.as_bytes());
}

/// Tells how much was asked of machines.
pub(crate) fn say_counts(machines: &dyn dmp_sdk::Machines) {
    let counts = machines.counts();
    say(&format!(
        "{} logins, {} exchanges with machines\n",
        counts.logins, counts.exchanges
    ));
}

/// Prints diagnostics and gives the exit they ask for.
pub(crate) fn fail(context: &Context, sources: &Sources, diagnostics: &[Diagnostic]) -> Exit {
    for diagnostic in diagnostics {
        say(&dmp_report::render_diagnostic(
            diagnostic,
            sources,
            context.error_style,
        ));
        say("\n");
    }
    Exit::of(diagnostics)
}

/// Opens a stack and the state of its folder, which is looked into as it is; what is wrong with either is printed.
pub(crate) fn open_both(
    context: &Context,
    directory: &Path,
    variables: &Variables,
) -> Result<(Stack, Store), Exit> {
    let stack = Stack::open(context, directory, Some(variables))
        .map_err(|broken| fail_broken(context, &broken))?;
    let refused = |diagnostic: Diagnostic| fail(context, &stack.sources, &[diagnostic]);
    let store = open_state(directory).map_err(refused)?;
    match check_state(&stack, &store) {
        Some(older) => Err(refused(older)),
        None => Ok((stack, store)),
    }
}

/// Prints what is wrong with a description.
pub(crate) fn fail_broken(context: &Context, broken: &Broken) -> Exit {
    fail(context, &broken.sources, &broken.diagnostics)
}
