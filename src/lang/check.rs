//! Everything that is wrong in a configuration before anything is evaluated, all at once.

use dmp_sdk::{Diagnostic, Mode, Schema};

use crate::config::Configuration;

/// The schemas that a configuration is checked against.
pub trait Schemas {
    /// The schema of a resource type or a data source.
    fn resource(&self, mode: Mode, resource_type: &str) -> Option<&Schema>;

    /// The schema of a provider's configuration.
    fn provider(&self, name: &str) -> Option<&Schema>;

    /// The names of all resource types or data sources, for suggestions.
    fn resource_types(&self, mode: Mode) -> Vec<&str>;

    /// The names of all providers.
    fn provider_names(&self) -> Vec<&str>;
}

/// Checks all modules of a configuration.
#[must_use]
pub fn check(configuration: &Configuration, schemas: &dyn Schemas) -> Vec<Diagnostic> {
    let _ = (configuration, schemas);
    unreachable!()
}
