//! One file per resource type.

pub(crate) mod cluster;
pub(crate) mod node;

use dmp_sdk::{AttributePath, Diagnostic, Machine, Value};

/// The machine in an attribute.
pub(crate) fn machine(value: &Value, attribute: &str) -> Result<Machine, Diagnostic> {
    Machine::from_value(value).map_err(|error| {
        Diagnostic::error("no-machine", "not a machine")
            .detail(error.to_string())
            .path(AttributePath::of(attribute))
    })
}
