//! Proxmox VE, release 8 and 9: machines, images, pools and snapshots, by its API alone.
//!
//! `client` speaks the API, `cluster` is what a provider block configures, `guest` and `property` read what the API has of
//! a machine, `identity` says whose it is. Each resource type and each data source is a file or folder of its own.

mod client;
mod cluster;
mod config;
mod data_sources;
mod drafts;
mod guest;
mod identity;
mod placement;
mod preflight;
mod property;
mod resources;
mod seed;
mod values;
mod vmids;

use std::sync::Arc;

use dmp_sdk::{
    AttributePath, Configured, DataSource, Diagnostic, Machines, Provider, Resource, Schema, Value,
};

use cluster::Cluster;
use resources::image::Image;
use resources::pool::Pool;
use resources::snapshot::Snapshot;
use resources::vm::Vm;

/// The provider `proxmox`.
#[derive(Debug)]
pub struct ProxmoxProvider {
    schema: Schema,
}

impl ProxmoxProvider {
    /// The provider, with its schema.
    #[must_use]
    pub fn new() -> Self {
        Self {
            schema: config::schema(),
        }
    }
}

impl Default for ProxmoxProvider {
    fn default() -> Self {
        Self::new()
    }
}

impl Provider for ProxmoxProvider {
    fn name(&self) -> &str {
        "proxmox"
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        let mut all: Vec<Arc<dyn Resource>> = vec![
            Arc::new(Vm::new()),
            Arc::new(Image::new()),
            Arc::new(Pool::new()),
            Arc::new(Snapshot::new()),
        ];
        for network in resources::sdn::all() {
            all.push(Arc::new(network));
        }
        all.extend(resources::firewall::all());
        all
    }

    fn data_sources(&self) -> Vec<Arc<dyn DataSource>> {
        data_sources::all()
    }

    fn configure(
        &self,
        config: &Value,
        machines: Arc<dyn Machines>,
    ) -> Result<Arc<dyn Configured>, Diagnostic> {
        let cluster = Cluster::new(config::parse(config)?, machines).map_err(|why| {
            Diagnostic::error("bad-configuration", "unusable provider configuration")
                .detail(why)
                .path(AttributePath::of("ca"))
        })?;
        Ok(Arc::new(cluster))
    }
}
