//! The project's own chores: `cargo xtask check | docs | fuzz NAME | lab … | live NAME | bench NAME`.
//!
//! Each chore is one file with one public function. They only call other programs (cargo, the lab's command) and print what
//! these say; what a chore has started it also ends, on success, on failure and on Ctrl-C.

mod bench;
mod cargo;
mod check;
mod clauses;
mod docs;
mod fuzz;
mod lab;
mod live;
mod openstack;
mod process;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::process::{Failure, Shell};

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Proves that a change is clean: formatting, lints, documentation, generated pages, scripts.
    Check,
    /// Writes the generated pages of docs/ anew.
    Docs(docs::Arguments),
    /// Lets a fuzzer make up inputs, and keeps those that reach new code.
    Fuzz(fuzz::Arguments),
    /// Runs a command of the test lab; `cargo xtask lab` lists them.
    Lab(lab::Arguments),
    /// Runs a suite of live tests, with machines and services of its own.
    Live(live::Arguments),
    /// Measures, and prints a table.
    Bench(bench::Arguments),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let shell = Shell::listening(root());
    let done = match arguments.chore {
        Chore::Check => check::run(&shell).await,
        Chore::Docs(arguments) => docs::run(&shell, &arguments).await,
        Chore::Fuzz(arguments) => fuzz::run(&shell, &arguments).await,
        Chore::Lab(arguments) => lab::run(&shell, &arguments).await,
        Chore::Live(arguments) => live::run(&shell, &arguments).await,
        Chore::Bench(arguments) => bench::run(&shell, &arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            process::say(format_args!("error: {failure}"));
            match failure {
                Failure::Interrupted => ExitCode::from(130),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// The workspace, two folders above this crate. Cargo says at run time where that is, which holds for several checkouts that
/// share one build folder.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = here.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    here.ancestors().nth(2).unwrap_or(Path::new(".")).to_owned()
}
