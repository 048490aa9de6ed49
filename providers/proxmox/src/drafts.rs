//! Drafts of a cluster's networks: whose they are, and when they are applied. Applying carries out all of them, so what is
//! drafted at about the same time is applied once, and others' drafts are never carried out by the way.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex as Plain, PoisonError};
use std::time::{Duration, Instant};

use dmp_sdk::{Cx, Diagnostic};
use serde_json::Value as Json;
use tokio::sync::Mutex;

use crate::client::{ApiError, Method, Upid, Watch, items};
use crate::cluster::Cluster;
use crate::values;

/// What this run has drafted.
#[derive(Default)]
pub(crate) struct Drafts {
    own: Plain<BTreeSet<String>>,
    begun: AtomicU64,
    last: Plain<Option<Instant>>,
    /// Up to which of the drafts all are applied.
    applied: Mutex<u64>,
}

/// One draft, to be applied.
#[derive(Clone, Copy)]
pub(crate) struct Draft(u64);

impl Drafts {
    /// Says that something is drafted now.
    pub(crate) fn begin(&self) -> Draft {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Draft(self.begun.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// Fails where there are drafts that are not of this run. `own` is what is about to be drafted.
    pub(crate) async fn refuse_foreign(
        &self,
        cluster: &Cluster,
        own: &str,
    ) -> Result<(), Diagnostic> {
        self.own
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(own.to_owned());
        let drafted = drafted(cluster).await;
        let drafted = drafted.map_err(|error| {
            error.diagnostic("cannot read the drafts of the cluster's networks")
        })?;
        let known = self
            .own
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let foreign: Vec<String> = drafted
            .into_iter()
            .filter(|path| !known.contains(path))
            .collect();
        if foreign.is_empty() || cluster.applies_foreign_drafts {
            return Ok(());
        }
        let foreign = foreign.iter().map(|path| format!("`{path}`"));
        Err(Diagnostic::remote("foreign-drafts", "the cluster's networks have drafts that are not dmp's")
            .detail(format!("applying would carry these out too: {}", foreign.collect::<Vec<_>>().join(", ")))
            .help("apply or revert them under Datacenter, SDN; where all of the cluster's networks are this environment's, set `sdn_drafts = \"apply\"` of the provider"))
    }

    /// Applies what was drafted, together with what others of this run draft meanwhile.
    pub(crate) async fn apply(
        &self,
        cx: &dyn Cx,
        cluster: &Cluster,
        draft: Draft,
    ) -> Result<(), Diagnostic> {
        cx.waiting("drafts of networks, to apply them together", WITHIN);
        loop {
            tokio::time::sleep(TOGETHER / 2).await;
            let mut applied = self.applied.lock().await;
            if *applied >= draft.0 {
                return Ok(());
            }
            let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|last| last.elapsed() < TOGETHER) {
                continue;
            }
            let all = self.begun.load(Ordering::SeqCst);
            cx.begin("apply the cluster's networks").await?;
            let cannot = "cannot apply the cluster's networks";
            let answer = cluster.client.write(Method::Put, "/cluster/sdn", &[]).await;
            match answer {
                Ok(answer) => {
                    if let Some(upid) = Upid::of(&answer) {
                        let watch = Watch {
                            cx,
                            what: "the networks",
                            within: WITHIN,
                        };
                        let ended = cluster.client.follow(&upid, watch).await;
                        ended.map_err(|error| error.diagnostic(cannot))?;
                    }
                }
                // What is drafted still is seen below.
                Err(error) if error.is_unknown() => {}
                Err(error) => return Err(error.diagnostic(cannot)),
            }
            self.reaches_nodes(cx, cluster).await?;
            *applied = all;
            return Ok(());
        }
    }

    /// The task ends before the nodes have done it, and also where one of them fails.
    async fn reaches_nodes(&self, cx: &dyn Cx, cluster: &Cluster) -> Result<(), Diagnostic> {
        let until = Instant::now() + WITHIN;
        cx.waiting("until all nodes have the networks", WITHIN);
        loop {
            match waiting_nodes(cluster).await {
                Ok(waiting) if waiting.is_empty() => return Ok(()),
                Ok(waiting) if Instant::now() >= until => {
                    return Err(Diagnostic::remote(
                        "not-applied",
                        "networks were not applied everywhere",
                    )
                    .detail(waiting.join("; "))
                    .help("look at the task log of these nodes"));
                }
                Ok(_) => {}
                Err(error) if Instant::now() >= until => {
                    return Err(error.diagnostic("cannot look whether the networks are applied"));
                }
                Err(_) => {}
            }
            if cx.is_cancelled() {
                return Err(Diagnostic::error("stopped", "stopped on request"));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn is_draft(item: &&Json) -> bool {
    item["state"]
        .as_str()
        .is_some_and(|state| !state.is_empty())
}

/// The paths of everything that is drafted.
async fn drafted(cluster: &Cluster) -> Result<BTreeSet<String>, ApiError> {
    let client = &cluster.client;
    let (zones, networks) = futures::try_join!(
        client.get("/cluster/sdn/zones?pending=1"),
        client.get("/cluster/sdn/vnets?pending=1"),
    )?;
    let mut found = BTreeSet::new();
    for zone in items(&zones).iter().filter(is_draft) {
        let name = values::text(zone, "zone").unwrap_or_default();
        found.insert(format!("/cluster/sdn/zones/{name}"));
    }
    for network in items(&networks) {
        let name = values::text(network, "vnet").unwrap_or_default();
        if is_draft(&network) {
            found.insert(format!("/cluster/sdn/vnets/{name}"));
        }
        let path = format!("/cluster/sdn/vnets/{}/subnets", values::segment(&name));
        let subnets = match client.get(&format!("{path}?pending=1")).await {
            Ok(subnets) => subnets,
            Err(error) if error.is_missing() => continue,
            Err(error) => return Err(error),
        };
        for subnet in items(&subnets).iter().filter(is_draft) {
            let cidr =
                values::text(subnet, "cidr").or_else(|| values::text(&subnet["pending"], "cidr"));
            found.insert(format!("{path}/{}", cidr.unwrap_or_default()));
        }
    }
    Ok(found)
}

/// What of the nodes is still to do, a line for each zone.
async fn waiting_nodes(cluster: &Cluster) -> Result<Vec<String>, ApiError> {
    let nodes = cluster.client.get("/nodes").await?;
    let mut waiting: Vec<String> = drafted(cluster).await?.into_iter().collect();
    for node in items(&nodes)
        .iter()
        .filter(|node| node["status"] == "online")
    {
        let name = values::text(node, "node").unwrap_or_default();
        let zones = cluster
            .client
            .get(&format!("/nodes/{}/sdn/zones", values::segment(&name)))
            .await?;
        for zone in items(&zones) {
            let status = zone["status"].as_str().unwrap_or_default();
            if matches!(status, "pending" | "error") {
                let zone = values::text(zone, "zone").unwrap_or_default();
                waiting.push(format!("zone `{zone}` on node `{name}`: {status}"));
            }
        }
    }
    Ok(waiting)
}

const TOGETHER: Duration = Duration::from_millis(400);
const WITHIN: Duration = Duration::from_secs(120);
