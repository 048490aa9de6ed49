//! OpenStack: machines, networks and volumes of a project, by its APIs alone.
//!
//! `session` speaks the APIs, `config` finds out which cloud is meant, `cloud` is what a provider block configures, `object` is
//! what most types have in common, `marked` says how they carry dmp's mark. Each resource type and each data source is a file
//! or folder of its own.

mod cloud;
mod config;
mod data_sources;
mod marked;
mod object;
mod preflight;
mod resources;
mod session;
mod values;

use std::sync::Arc;

use dmp_sdk::{
    AttributePath, Configured, DataSource, Diagnostic, Machines, Provider, Resource, Schema, Value,
};

use cloud::Cloud;
use object::{ByKey, Objects};
use resources::{
    application_credential::ApplicationCredential, floating_ip::FloatingIp,
    floating_ip_association::FloatingIpAssociation, image::Image, keypair::Keypair,
    network::Network, port::Port, router::Router, router_interface::RouterInterface,
    router_route::RouterRoute, security_group::SecurityGroup,
    security_group_rule::SecurityGroupRule, server::Server, server_group::ServerGroup,
    subnet::Subnet, volume::Volume, volume_attachment::VolumeAttachment,
    volume_snapshot::VolumeSnapshot,
};
use session::Session;

/// The provider `openstack`.
#[derive(Debug)]
pub struct OpenStackProvider {
    schema: Schema,
}

impl OpenStackProvider {
    /// The provider, with its schema.
    #[must_use]
    pub fn new() -> Self {
        Self {
            schema: config::schema(),
        }
    }
}

impl Default for OpenStackProvider {
    fn default() -> Self {
        Self::new()
    }
}

impl Provider for OpenStackProvider {
    fn name(&self) -> &str {
        "openstack"
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        vec![
            Server::resource(),
            Image::resource(),
            ByKey::of(Keypair),
            Objects::of(ServerGroup),
            Objects::of(Network),
            Objects::of(Subnet),
            Objects::of(Port),
            Objects::of(SecurityGroup),
            Objects::of(SecurityGroupRule),
            Objects::of(Router),
            ByKey::of(RouterInterface),
            ByKey::of(RouterRoute),
            Objects::of(FloatingIp),
            ByKey::of(FloatingIpAssociation),
            Objects::of(Volume),
            ByKey::of(VolumeAttachment),
            Objects::of(VolumeSnapshot),
            Objects::of(ApplicationCredential),
        ]
    }

    fn data_sources(&self) -> Vec<Arc<dyn DataSource>> {
        data_sources::all()
    }

    fn configure(
        &self,
        config: &Value,
        _machines: Arc<dyn Machines>,
    ) -> Result<Arc<dyn Configured>, Diagnostic> {
        let session = Session::new(config::parse(config)?).map_err(|why| {
            Diagnostic::error("bad-configuration", "unusable provider configuration")
                .detail(why)
                .path(AttributePath::of("ca"))
        })?;
        Ok(Arc::new(Cloud { session }))
    }
}
