//! The firewall: security groups, IP sets, and the rules and options of a machine or of the cluster.
//!
//! Rules have places, no ids, and others may have rules beside dmp's. New rules go in at the top before old ones are
//! taken out, so that what is allowed before and after is allowed meanwhile.

mod group;
mod guard;
mod ipset;
mod rules;

use std::sync::Arc;

use dmp_sdk::{Diagnostic, Resource};
use serde_json::Value as Json;

use crate::client::{ApiError, Method, Parameters};
use crate::cluster::Cluster;

/// The resource types.
pub(crate) fn all() -> Vec<Arc<dyn Resource>> {
    vec![
        Arc::new(group::Group::new()),
        Arc::new(ipset::IpSet::new()),
        Arc::new(guard::Guard::of_machine()),
        Arc::new(guard::Guard::of_cluster()),
    ]
}

/// An answer, or `None` where the object does not exist.
async fn get(cluster: &Cluster, path: &str) -> Result<Option<Json>, Diagnostic> {
    match cluster.client.get(path).await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.diagnostic("cannot read a firewall")),
    }
}

/// A write that says what shall be, so that it may be said again where its answer was lost.
async fn say(
    cluster: &Cluster,
    method: Method,
    path: &str,
    form: &Parameters,
) -> Result<(), ApiError> {
    match cluster.client.write(method, path, form).await {
        Err(error) if error.is_unknown() => {
            cluster.client.write(method, path, form).await.map(drop)
        }
        other => other.map(drop),
    }
}

fn cannot(error: &ApiError) -> Diagnostic {
    error.diagnostic("cannot change a firewall")
}
