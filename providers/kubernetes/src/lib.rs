//! Objects in a Kubernetes cluster: any kind, by server-side apply with field ownership.
//!
//! The provider may be configured by a cluster that the same run makes; where the API has no address of its own to the
//! outside it is reached through a machine's SSH connection.

mod client;
mod config;
mod counterparts;
mod data_sources;
mod dry_run;
mod functions;
mod manifest;
mod patience;
mod resources;

use std::sync::Arc;

use dmp_sdk::{
    Configured, DataSource, Diagnostic, Machines, Provider, ProviderFunction, Resource, Schema,
    Value,
};

use client::Cluster;
use data_sources::manifest::ManifestSource;
use resources::manifest::Manifest;

/// The provider `kubernetes`.
#[derive(Debug)]
pub struct KubernetesProvider {
    schema: Schema,
}

impl KubernetesProvider {
    /// The provider, with its schema.
    #[must_use]
    pub fn new() -> Self {
        Self {
            schema: config::schema(),
        }
    }
}

impl Default for KubernetesProvider {
    fn default() -> Self {
        Self::new()
    }
}

impl Provider for KubernetesProvider {
    fn name(&self) -> &str {
        "kubernetes"
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        vec![Arc::new(Manifest::new())]
    }

    fn data_sources(&self) -> Vec<Arc<dyn DataSource>> {
        vec![Arc::new(ManifestSource::new())]
    }

    fn functions(&self) -> Vec<ProviderFunction> {
        functions::all()
    }

    fn configure(
        &self,
        config: &Value,
        machines: Arc<dyn Machines>,
    ) -> Result<Arc<dyn Configured>, Diagnostic> {
        Ok(Arc::new(Cluster::new(config::parse(config)?, machines)))
    }
}
