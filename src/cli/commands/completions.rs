//! `dmp completions`: what a shell needs to complete command lines of dmp.

use clap::CommandFactory;

use super::print;
use crate::Exit;
use crate::arguments::{Arguments, Completions};

pub(crate) fn run(arguments: &Completions) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Arguments::command(),
        "dmp",
        &mut script,
    );
    print(&String::from_utf8_lossy(&script));
    Exit::Success
}
