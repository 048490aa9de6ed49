//! dmp: provisions a stack through every layer. Registers what this binary can do, and runs the command line.

use std::process::ExitCode;
use std::sync::Arc;

use dmp_cli::Registry;

fn main() -> ExitCode {
    dmp_cli::run(Registry::new(vec![Arc::new()]))
}
