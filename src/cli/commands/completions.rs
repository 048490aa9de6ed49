//! `dmp completions`: what a shell needs to complete command lines of dmp.

use super::print;
use crate::Exit;
use crate::arguments::Completions;
use crate::examples;

pub(crate) fn run(arguments: &Completions) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut examples::command(),
        "dmp",
        &mut script,
    );
    print(&String::from_utf8_lossy(&script));
    Exit::Success
}
