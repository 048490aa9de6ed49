//! A cluster of Proxmox VE: the wire behind a provider configuration. Listings are asked once for all; a guest is looked up
//! where it is, wherever it was.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dmp_sdk::{Configured, Diagnostic, Fetch, FetchFailure, Intended, Machines, Query};
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::client::{ApiError, Client, items, parameters};
use crate::config::Config;
use crate::drafts::Drafts;
use crate::guest::Guest;
use crate::placement::Placement;
use crate::preflight;
use crate::values;
use crate::vmids::Ids;

/// A configured cluster.
pub(crate) struct Cluster {
    /// Its API.
    pub client: Client,
    /// The ids that new guests get.
    pub ids: Ids,
    /// Where new guests go.
    pub placement: Placement,
    /// Drafts of networks.
    pub drafts: Drafts,
    /// Whether drafts that are not of this run are applied with it.
    pub applies_foreign_drafts: bool,
    /// Machines, to look whether one has come up behind another.
    pub machines: Arc<dyn Machines>,
}

/// What is asked of a cluster while reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Question {
    /// All guests, as the cluster lists them.
    Guests,
    /// One guest; null if there is none any more.
    Guest(Look),
    /// Whether an absence can be believed: the cluster has a quorum, and the path may be seen.
    Authority {
        /// The path of the object among the permissions.
        path: String,
    },
    /// Anything that is answered by one GET; null where it does not exist.
    Path(String),
}

/// How closely a guest is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Look {
    /// Its id.
    pub vmid: u32,
    /// Where it was listed.
    pub node: String,
    /// Whether its state is asked for, which a listing may know late.
    pub status: bool,
    /// Whether a create or a clone that is under way is waited for.
    pub settled: bool,
    /// Whether its agent is asked for addresses.
    pub agent: bool,
}

impl Question {
    /// As a fetch.
    pub(crate) fn fetch(&self) -> Result<Fetch, Diagnostic> {
        let text = serde_json::to_string(self)
            .map_err(|error| Diagnostic::bug(format!("a question: {error}")))?;
        Ok(Fetch::Api(Query(text)))
    }
}

impl Cluster {
    pub(crate) fn new(config: Config, machines: Arc<dyn Machines>) -> Result<Self, String> {
        Ok(Self {
            client: Client::new(config.settings)?,
            ids: Ids::new(config.ids),
            drafts: Drafts::default(),
            applies_foreign_drafts: config.applies_foreign_drafts,
            placement: Placement::default(),
            machines,
        })
    }

    async fn answer(&self, query: &Query) -> Result<Json, FetchFailure> {
        let not_understood = |_| FetchFailure::NotUnderstood("no such question".into());
        let question: Question = serde_json::from_str(&query.0).map_err(not_understood)?;
        let answer = match &question {
            Question::Guests => self.client.get("/cluster/resources?type=vm").await,
            Question::Guest(look) => self.look(look).await.map(|guest| json!(guest)),
            Question::Authority { path } => self.authority_over(path).await,
            Question::Path(path) => match self.client.get(path).await {
                Err(error) if error.is_missing() => Ok(Json::Null),
                answer => answer,
            },
        };
        answer.map_err(|error| error.failure())
    }

    /// Looks at a guest where it is. `None`: the cluster lists it no more.
    pub(crate) async fn look(&self, look: &Look) -> Result<Option<Guest>, ApiError> {
        let until = Instant::now() + SETTLED;
        let mut node = look.node.clone();
        let mut moves = 0;
        loop {
            let found = match node.is_empty() {
                true => Ok(None),
                false => self.look_at(&node, look).await,
            };
            match found {
                Ok(Some(guest)) => {
                    let is_under_way = matches!(guest.lock(), Some("create" | "clone"));
                    if look.settled && is_under_way && Instant::now() < until {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        continue;
                    }
                    return Ok(Some(guest));
                }
                Ok(None) => {}
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
            // It may have moved between the listing and the look.
            moves += 1;
            match self.node_of(look.vmid).await? {
                Some(now) if moves <= MOST_MOVES => {
                    if now == node {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                    node = now;
                }
                Some(_) => {
                    return Err(ApiError::Unreachable(format!(
                        "guest {} is listed on `{node}`, and is not found there",
                        look.vmid
                    )));
                }
                None => return Ok(None),
            }
        }
    }

    async fn look_at(&self, node: &str, look: &Look) -> Result<Option<Guest>, ApiError> {
        let at = guest_path(node, look.vmid);
        let pending = self.client.get(&format!("{at}/pending")).await?;
        let mut guest = Guest::of_pending(look.vmid, node, &pending);
        if look.status {
            let status = self.client.get(&format!("{at}/status/current")).await?;
            guest.status = values::text(&status, "status");
        }
        if look.agent && guest.is_running() {
            let path = format!("{at}/agent/network-get-interfaces");
            // An agent that is not there yet is no error.
            guest.interfaces = match self.client.get(&path).await {
                Ok(answer) => answer["result"].clone(),
                Err(ApiError::Refused(_)) => Json::Null,
                Err(error) => return Err(error),
            };
        }
        Ok(Some(guest))
    }

    /// The node on which the cluster lists a machine.
    pub(crate) async fn node_of(&self, vmid: u32) -> Result<Option<String>, ApiError> {
        let guests = self.client.get("/cluster/resources?type=vm").await?;
        let found = listed(&guests, vmid).and_then(|guest| values::text(guest, "node"));
        Ok(found)
    }

    /// Whether an absence can be believed.
    pub(crate) async fn authority_over(&self, path: &str) -> Result<Json, ApiError> {
        let asked = parameters([("path", path)]);
        let permissions = self.client.get_with("/access/permissions", &asked).await?;
        let granted = &permissions[path];
        let may_audit = ["VM.Audit", "Pool.Audit"]
            .iter()
            .any(|privilege| granted.get(privilege).is_some());
        if !may_audit {
            return Ok(json!({ "quorate": true, "audit": false }));
        }
        let status = self.client.get("/cluster/status").await?;
        let cluster = items(&status).iter().find(|item| item["type"] == "cluster");
        // A single node has no cluster, and no quorum to lose.
        let is_quorate = cluster.is_none_or(|cluster| values::flag(cluster, "quorate"));
        Ok(json!({ "quorate": is_quorate, "audit": true }))
    }
}

/// The entry of a machine in a listing of guests.
pub(crate) fn listed(guests: &Json, vmid: u32) -> Option<&Json> {
    items(guests).iter().find(|guest| {
        guest["type"] == "qemu" && values::number(guest, "vmid") == Some(i64::from(vmid))
    })
}

/// Fails where an absence is only what could not be seen.
pub(crate) fn believe(answer: &Json, path: &str) -> Result<(), Diagnostic> {
    let why = match (
        values::flag(answer, "quorate"),
        values::flag(answer, "audit"),
    ) {
        (true, true) => return Ok(()),
        (false, _) => "the cluster has no quorum: what it lists may be old".to_owned(),
        (_, false) => format!(
            "the token may not see `{path}`: it needs `VM.Audit`, for a pool `Pool.Audit`, there"
        ),
    };
    Err(
        Diagnostic::remote("no-authority", "whether an object is gone is not known")
            .cause(why)
            .help("an object that can't be seen is not made a second time: mend that first"),
    )
}

/// The path of a machine.
pub(crate) fn guest_path(node: &str, vmid: u32) -> String {
    format!("/nodes/{}/qemu/{vmid}", values::segment(node))
}

#[async_trait]
impl Configured for Cluster {
    fn as_any(&self) -> &dyn Any {
        self
    }

    /// A query is a [`Question`] as JSON.
    async fn fetch(&self, queries: &[Query]) -> Vec<Result<Json, FetchFailure>> {
        let answers = queries.iter().map(|query| self.answer(query).boxed());
        dmp_sdk::side_by_side(answers.collect(), AT_ONCE).await
    }

    async fn preflight(&self, changes: &[Intended<'_>]) -> Vec<Diagnostic> {
        preflight::look(self, changes).await
    }
}

/// How many questions are under way at once.
const AT_ONCE: usize = 24;
const SETTLED: Duration = Duration::from_secs(180);
const MOST_MOVES: u32 = 4;
