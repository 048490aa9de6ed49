//! Drafts of a cluster's networks: whose they are, and when they are applied. Applying carries out all of them, so what is
//! drafted at about the same time is applied once, and others' drafts are never carried out by the way.

use std::collections::BTreeSet;
use std::sync::{Mutex as Plain, MutexGuard, PoisonError};
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
    /// Paths of what this run drafts, planned or begun.
    own: Plain<BTreeSet<String>>,
    pace: Plain<Pace>,
    applied: Mutex<Applied>,
}

/// Who drafts, and when something was drafted last.
#[derive(Default)]
struct Pace {
    drafting: u32,
    drafted: u64,
    last: Option<Instant>,
}

/// How far the drafts are applied.
#[derive(Default)]
struct Applied {
    up_to: u64,
    /// Up to which draft applying has failed, and how.
    failed: Option<(u64, Diagnostic)>,
}

/// Somebody who is about to draft: nothing is applied meanwhile.
pub(crate) struct Drafting<'a>(&'a Drafts);

/// One draft, to be applied.
#[derive(Clone, Copy)]
pub(crate) struct Draft(u64);

impl Drafting<'_> {
    /// Says that it is drafted.
    pub(crate) fn drafted(self) -> Draft {
        let mut pace = lock(&self.0.pace);
        pace.drafted += 1;
        pace.last = Some(Instant::now());
        Draft(pace.drafted)
    }
}

impl Drop for Drafting<'_> {
    fn drop(&mut self) {
        lock(&self.0.pace).drafting -= 1;
    }
}

impl Drafts {
    /// Says what this run is going to draft.
    pub(crate) fn expect(&self, own: impl IntoIterator<Item = String>) {
        lock(&self.own).extend(own);
    }

    /// Says that something is going to be drafted now.
    pub(crate) fn begin(&self) -> Drafting<'_> {
        lock(&self.pace).drafting += 1;
        Drafting(self)
    }

    /// Fails where there are drafts that are not of this run: they would be applied with its own.
    pub(crate) async fn refuse_foreign(&self, cluster: &Cluster) -> Result<(), Diagnostic> {
        if cluster.applies_foreign_drafts {
            return Ok(());
        }
        let drafted = drafted(cluster).await;
        let drafted = drafted.map_err(|error| {
            error.diagnostic("cannot read the drafts of the cluster's networks")
        })?;
        let own = lock(&self.own).clone();
        let foreign: Vec<String> = drafted
            .difference(&own)
            .map(|path| format!("`{path}`"))
            .collect();
        if foreign.is_empty() {
            return Ok(());
        }
        Err(Diagnostic::remote("foreign-drafts", "the cluster's networks have drafts that are not dmp's")
            .detail(format!("applying would carry these out too: {}", foreign.join(", ")))
            .help("apply or revert them under Datacenter, SDN; where all of the cluster's networks are this environment's, set `sdn_drafts = \"apply\"` of the provider"))
    }

    /// Applies what was drafted, together with what others of this run draft meanwhile. Who comes later takes part in how
    /// that came out.
    pub(crate) async fn apply(
        &self,
        cx: &dyn Cx,
        cluster: &Cluster,
        draft: Draft,
    ) -> Result<(), Diagnostic> {
        cx.waiting("drafts of networks, to apply them together", WITHIN);
        let until = Instant::now() + WITHIN;
        loop {
            tokio::time::sleep(TOGETHER / 2).await;
            let mut applied = self.applied.lock().await;
            if applied.up_to >= draft.0 {
                return Ok(());
            }
            if let Some((up_to, failed)) = &applied.failed
                && *up_to >= draft.0
            {
                return Err(failed.clone());
            }
            let all = {
                let pace = lock(&self.pace);
                let is_pause = pace.last.is_none_or(|last| last.elapsed() >= TOGETHER);
                let is_time = pace.drafting == 0 && is_pause;
                (is_time || Instant::now() >= until).then_some(pace.drafted)
            };
            let Some(all) = all else {
                continue;
            };
            match self.carry_out(cx, cluster).await {
                Ok(()) => applied.up_to = all,
                Err(failed) => applied.failed = Some((all, failed)),
            }
        }
    }

    async fn carry_out(&self, cx: &dyn Cx, cluster: &Cluster) -> Result<(), Diagnostic> {
        cx.begin("apply the cluster's networks").await?;
        self.refuse_foreign(cluster).await?;
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
            Err(error) => return Err(locked(error.diagnostic(cannot))),
        }
        self.reaches_nodes(cx, cluster).await
    }

    /// The task ends before the nodes have done it, and also where one of them fails.
    async fn reaches_nodes(&self, cx: &dyn Cx, cluster: &Cluster) -> Result<(), Diagnostic> {
        let until = Instant::now() + WITHIN;
        cx.waiting("until all nodes have the networks", WITHIN);
        let mut pause = SHORTEST_PAUSE;
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
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn lock<T>(plain: &Plain<T>) -> MutexGuard<'_, T> {
    plain.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds to a refusal what is to be done where somebody holds the lock that release 9 has for drafts.
pub(crate) fn locked(refused: Diagnostic) -> Diagnostic {
    let is_locked = refused
        .cause
        .as_ref()
        .is_some_and(|cause| cause.contains("lock token"));
    match is_locked {
        true => refused.help("somebody else changes the cluster's networks and has locked them: wait until that has ended, or, where nobody does any more, run `pvesh delete /cluster/sdn/lock --force 1` on a node"),
        false => refused,
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

const TOGETHER: Duration = Duration::from_millis(150);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const WITHIN: Duration = Duration::from_secs(120);
