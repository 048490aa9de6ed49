//! Kubernetes clusters by kubeadm: a control plane that is begun, and nodes that join it.
//!
//! Everything is done on machines, as steps. dmp mints the cluster's keys itself and keeps them sealed in the state, so
//! that a lost control plane can be brought back and a kubeconfig never has to be read from a machine. Prerequisites of
//! the machines (modules, sysctls, packages, the container runtime) are `host` resources: see `modules/kubeadm-cluster`.

mod config;
mod pki;
mod resources;

use std::sync::Arc;

use dmp_sdk::{Configured, Diagnostic, Machines, OnMachines, Provider, Resource, Schema, Value};

use resources::{cluster::Cluster, node::Node};

/// The provider `kubeadm`.
#[derive(Debug)]
pub struct KubeadmProvider {
    schema: Schema,
}

impl KubeadmProvider {
    /// The provider, with its schema.
    #[must_use]
    pub fn new() -> Self {
        let doc = "Kubernetes clusters by kubeadm. It needs no configuration: each resource names its machines.";
        Self {
            schema: Schema::new("kubeadm", doc),
        }
    }
}

impl Default for KubeadmProvider {
    fn default() -> Self {
        Self::new()
    }
}

impl Provider for KubeadmProvider {
    fn name(&self) -> &str {
        "kubeadm"
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        vec![Arc::new(Cluster::new()), Arc::new(Node::new())]
    }

    fn configure(
        &self,
        _config: &Value,
        _machines: Arc<dyn Machines>,
    ) -> Result<Arc<dyn Configured>, Diagnostic> {
        Ok(Arc::new(OnMachines))
    }
}
