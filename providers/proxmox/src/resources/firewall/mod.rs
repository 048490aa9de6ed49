//! The firewall: security groups, IP sets, and the rules and options of a machine or of the cluster.
//!
//! Rules have places, no ids, and others may have rules beside dmp's. New rules go in at the top before old ones are
//! taken out, so that what is allowed before and after is allowed meanwhile.

mod group;
mod guard;
mod ipset;
mod rules;

use std::sync::Arc;

use dmp_sdk::{Cx, Diagnostic, Resource};
use serde_json::Value as Json;

use crate::client::{ApiError, Method, Parameters, parameters};
use crate::cluster::Cluster;
use crate::values;

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

/// A list that rules name, a security group or an IP set, where it is worked on.
struct Named<'a> {
    cx: &'a dyn Cx,
    cluster: &'a Cluster,
    /// What it is, in words.
    what: &'static str,
    /// The path of all of its kind.
    collection: &'static str,
    /// The parameter that carries its name when it is made.
    key: &'static str,
    name: &'a str,
}

impl Named<'_> {
    fn path(&self) -> String {
        format!("{}/{}", self.collection, values::segment(self.name))
    }

    /// Makes it, empty. Where the answer was lost, or somebody else was faster, it counts that it is there.
    async fn make(&self, comment: Option<String>) -> Result<(), Diagnostic> {
        let title = format!("make the {} `{}`", self.what, self.name);
        self.cx.begin(&title).await?;
        let mut form = parameters([(self.key, self.name)]);
        form.extend(comment.map(|comment| ("comment".to_owned(), comment)));
        let made = self
            .cluster
            .client
            .write(Method::Post, self.collection, &form);
        match made.await {
            Ok(_) => Ok(()),
            Err(error) if error.is_taken() => Ok(()),
            Err(error)
                if error.is_unknown() && get(self.cluster, &self.path()).await?.is_some() =>
            {
                Ok(())
            }
            Err(error) => Err(cannot(&error)),
        }
    }

    /// Removes it, once it is empty.
    async fn remove(&self) -> Result<(), Diagnostic> {
        let title = format!("remove the {} `{}`", self.what, self.name);
        self.cx.begin(&title).await?;
        match say(self.cluster, Method::Delete, &self.path(), &Vec::new()).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(cannot(&error)),
        }
    }
}

fn cannot(error: &ApiError) -> Diagnostic {
    error.diagnostic("cannot change a firewall")
}
