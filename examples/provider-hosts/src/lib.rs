//! The provider `hosts`: names that a machine knows by itself, in `/etc/hosts`.
//!
//! It is the example of `docs/extending/first-resource-type.md`, which quotes it.

mod entry;

use std::sync::Arc;

use dmp_sdk::{Configured, Diagnostic, Machines, OnMachines, Provider, Resource, Schema, Value};

/// The provider.
#[derive(Debug)]
pub struct HostsProvider {
    schema: Schema,
}

impl HostsProvider {
    /// The provider; its block in a stack takes no arguments.
    #[must_use]
    pub fn new() -> Self {
        Self {
            schema: Schema::new("hosts", "Names in the hosts files of machines."),
        }
    }
}

impl Default for HostsProvider {
    fn default() -> Self {
        Self::new()
    }
}

impl Provider for HostsProvider {
    fn name(&self) -> &'static str {
        "hosts"
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        vec![Arc::new(entry::Entry::new())]
    }

    fn configure(
        &self,
        _config: &Value,
        _machines: Arc<dyn Machines>,
    ) -> Result<Arc<dyn Configured>, Diagnostic> {
        Ok(Arc::new(OnMachines))
    }
}
