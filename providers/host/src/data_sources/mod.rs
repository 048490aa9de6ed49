//! The data sources, one file each: what is read of a machine and never owned.

mod command_output;
mod facts;
mod file_content;
mod listening_ports;

use std::sync::Arc;

use dmp_sdk::{Attribute, DataSource, Diagnostic, Fetch, Machine, Quantifier, Script, Value};

use crate::on_host::known_machine;

/// All data sources of the provider.
pub(crate) fn all() -> Vec<Arc<dyn DataSource>> {
    vec![
        Arc::new(facts::Facts::new()),
        Arc::new(file_content::FileContent::new()),
        Arc::new(command_output::CommandOutput::new()),
        Arc::new(listening_ports::ListeningPorts::new()),
    ]
}

/// The `host` argument.
fn host_attribute() -> Attribute {
    Attribute::required(
        Machine::value_type(),
        "The machine: the `connection` of a `host`.",
    )
    .hosting(Quantifier::All)
}

/// What one script leaves on the machine of a configuration.
fn fetch(config: &Value, script: Script) -> Result<Vec<Fetch>, Diagnostic> {
    Ok(vec![Fetch::Script {
        on: known_machine(config)?,
        script,
    }])
}
