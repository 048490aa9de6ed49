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

use std::fmt;
use std::sync::Arc;

use dmp_sdk::{
    AttributePath, Configured, DataSource, Diagnostic, Machines, Provider, Resource, Schema, Value,
};

use cloud::Cloud;
use data_sources::{Listed, everything};
use object::{ByKey, Objects};
use resources::{
    application_credential::ApplicationCredential,
    balancer::{
        OfBalancer, listener::Listener, loadbalancer::LoadBalancer, member::Member,
        monitor::Monitor, pool::Pool,
    },
    floating_ip::FloatingIp,
    floating_ip_association::FloatingIpAssociation,
    image::Image,
    keypair::Keypair,
    network::Network,
    port::Port,
    recordset::Recordset,
    router::Router,
    router_interface::RouterInterface,
    router_route::RouterRoute,
    security_group::SecurityGroup,
    security_group_rule::SecurityGroupRule,
    server::Server,
    server_group::ServerGroup,
    share::{Share, access::ShareAccess},
    store::{container::Container, object::StoredObject},
    subnet::Subnet,
    volume::Volume,
    volume_attachment::VolumeAttachment,
    volume_snapshot::VolumeSnapshot,
    zone::Zone,
};
use session::Session;

/// The provider `openstack`.
pub struct OpenStackProvider {
    schema: Schema,
    types: Types,
}

/// What it offers.
#[derive(Default)]
struct Types {
    resources: Vec<Arc<dyn Resource>>,
    data_sources: Vec<Arc<dyn DataSource>>,
}

impl Types {
    /// With a type, and all that is there of it as data.
    fn listed<T: Resource + Listed>(mut self, of: T) -> Self {
        let of = Arc::new(of);
        self.data_sources.extend(everything(Arc::clone(&of)));
        self.resources.push(of);
        self
    }

    /// With a type of which nothing lists all that is there.
    fn alone(mut self, of: Arc<dyn Resource>) -> Self {
        self.resources.push(of);
        self
    }
}

fn types() -> Types {
    let picking = Types {
        data_sources: data_sources::all(),
        ..Types::default()
    };
    picking
        .listed(Server::new())
        .alone(Image::resource())
        .alone(ByKey::of(Keypair))
        .listed(Objects::of(ServerGroup))
        .listed(Objects::of(Network))
        .listed(Objects::of(Subnet))
        .listed(Objects::of(Port))
        .listed(Objects::of(SecurityGroup))
        .listed(Objects::of(SecurityGroupRule))
        .listed(Objects::of(Router))
        .alone(ByKey::of(RouterInterface))
        .alone(ByKey::of(RouterRoute))
        .listed(Objects::of(FloatingIp))
        .alone(ByKey::of(FloatingIpAssociation))
        .listed(Objects::of(Volume))
        .alone(ByKey::of(VolumeAttachment))
        .listed(Objects::of(VolumeSnapshot))
        .listed(Objects::of(ApplicationCredential))
        .listed(Objects::of(Zone))
        .listed(Objects::of(Recordset))
        .listed(Objects::of(OfBalancer(LoadBalancer)))
        .listed(Objects::of(OfBalancer(Listener)))
        .listed(Objects::of(OfBalancer(Pool)))
        .alone(Arc::new(Objects::of(OfBalancer(Member))))
        .listed(Objects::of(OfBalancer(Monitor)))
        .alone(ByKey::of(Container))
        .alone(ByKey::of(StoredObject))
        .listed(Objects::of(Share))
        .alone(Arc::new(Objects::of(ShareAccess)))
}

impl OpenStackProvider {
    /// The provider, with its schema.
    #[must_use]
    pub fn new() -> Self {
        Self {
            schema: config::schema(),
            types: types(),
        }
    }
}

impl fmt::Debug for OpenStackProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStackProvider").finish_non_exhaustive()
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
        self.types.resources.clone()
    }

    fn data_sources(&self) -> Vec<Arc<dyn DataSource>> {
        self.types.data_sources.clone()
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
