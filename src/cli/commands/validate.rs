//! `dmp validate`: the configuration alone.

use std::path::Path;

use dmp_sdk::Diagnostic;
use serde_json::json;

use super::{fail, print};
use crate::arguments::Machine;
use crate::stack::Stack;
use crate::{Context, Exit};

pub(crate) fn run(context: &Context, directory: &Path, arguments: &Machine) -> Exit {
    let (diagnostics, sources) = match Stack::open(context, directory, None) {
        Ok(stack) => (stack.warnings, stack.sources),
        Err(broken) => (broken.diagnostics, broken.sources),
    };
    let exit = Exit::of(&diagnostics);
    let errors = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .count();
    if arguments.json {
        let list: Vec<_> = diagnostics
            .iter()
            .map(|diagnostic| dmp_report::diagnostic_json(diagnostic, &sources))
            .collect();
        let warnings = diagnostics
            .iter()
            .filter(|diagnostic: &&Diagnostic| !diagnostic.is_error())
            .count();
        let json = json!({
            "format_version": "1.0", "valid": errors == 0, "error_count": errors, "warning_count": warnings,
            "diagnostics": list,
        });
        print(&format!("{json}\n"));
        return exit;
    }
    fail(context, &sources, &diagnostics);
    if errors == 0 {
        print("The configuration is valid.\n");
    }
    exit
}
