//! The provider `host`: what is inside an operating system that SSH reaches, whoever made the machine.
//!
//! | folder | what |
//! | --- | --- |
//! | `resources` | one resource type per file: schema, reading, plan, steps |
//! | `data_sources` | one data source per file: what is read and never owned |
//! | `facts` | one command each: its script, its parser, a typed result |
//! | `on_host` | what all of them share: the `host` argument, the machine behind it |
//! | `configured` | what is said before changes, and the way to machines for what is no step |
//! | `edited` | changes of single lines in files of others |
//! | `kept` | what stood on the machine before dmp, kept there to be put back |
//! | `way` | what the SSH configuration here says of where a host is |
//!
//! Everything is read by small scripts, which the engine merges into one exchange per machine, and written by steps
//! as data. Values never become shell text: they travel as variables and standard input.

mod configured;
mod data_sources;
mod edited;
mod facts;
mod kept;
mod on_host;
mod resources;
mod way;

use std::sync::{Arc, OnceLock};

use dmp_sdk::{Configured, DataSource, Diagnostic, Machines, Provider, Resource, Schema, Value};
use dmp_transport::ssh_config::SshConfig;

/// The provider.
#[derive(Debug)]
pub struct HostProvider {
    schema: Schema,
    /// Read once for all configurations.
    ssh_config: OnceLock<SshConfig>,
}

impl HostProvider {
    /// The provider, with its schema.
    #[must_use]
    pub fn new() -> Self {
        Self {
            schema: Schema::new(
                "host",
                "Operating systems reached over SSH. It needs no configuration: each resource names its machine.",
            ),
            ssh_config: OnceLock::new(),
        }
    }

    /// The same with an SSH configuration of its own instead of that of the person who runs dmp.
    #[must_use]
    pub fn with_ssh_config(self, config: SshConfig) -> Self {
        Self {
            ssh_config: OnceLock::from(config),
            ..self
        }
    }
}

impl Default for HostProvider {
    fn default() -> Self {
        Self::new()
    }
}

impl Provider for HostProvider {
    fn name(&self) -> &'static str {
        "host"
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        resources::all()
    }

    fn data_sources(&self) -> Vec<Arc<dyn DataSource>> {
        data_sources::all()
    }

    fn configure(
        &self,
        _config: &Value,
        machines: Arc<dyn Machines>,
    ) -> Result<Arc<dyn Configured>, Diagnostic> {
        let ssh_config = self.ssh_config.get_or_init(SshConfig::from_environment);
        Ok(Arc::new(configured::OnHosts {
            machines,
            ssh_config: ssh_config.clone(),
        }))
    }
}
