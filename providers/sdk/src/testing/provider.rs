//! The provider, and its wire to the file.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value as Json;

use super::bucket::TestBucket;
use super::cloud::Cloud;
use super::entry::TestEntry;
use super::handover::TestHandover;
use super::member::TestMember;
use super::slot::TestSlot;
use super::store::{TestGroup, TestStore};
use super::thing::TestThing;
use crate::Diagnostic;
use crate::change::{Action, Intended};
use crate::machine::Machines;
use crate::resource::{Configured, FetchFailure, Provider, Query, Resource};
use crate::schema::{Attribute, Quantifier, Schema};
use crate::types::Type;
use crate::value::Value;

/// The provider `test`.
#[derive(Debug)]
pub struct TestProvider {
    schema: Schema,
}

impl Default for TestProvider {
    fn default() -> Self {
        let schema = Schema::new("test", "A cloud in a file.")
            .attribute(
                "cloud",
                Attribute::required(Type::String, "Path of the cloud's file."),
            )
            .attribute(
                "region",
                Attribute::optional(
                    Type::String,
                    "Stands for a setting that may come from another object, without living on it.",
                ),
            )
            .attribute(
                "token",
                Attribute::optional(
                    Type::String,
                    "Stands for a credential that may come from another object.",
                )
                .sensitive()
                .hosting(Quantifier::All),
            );
        Self { schema }
    }
}

#[async_trait]
impl Provider for TestProvider {
    fn name(&self) -> &str {
        "test"
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        vec![
            Arc::new(TestThing::default()),
            Arc::new(TestThing::late()),
            Arc::new(TestEntry::default()),
            Arc::new(TestMember::default()),
            Arc::new(TestStore::default()),
            Arc::new(TestGroup::default()),
            Arc::new(TestBucket::default()),
            Arc::new(TestSlot::default()),
            Arc::new(TestHandover::default()),
        ]
    }

    fn configure(
        &self,
        config: &Value,
        _machines: Arc<dyn Machines>,
    ) -> Result<Arc<dyn Configured>, Diagnostic> {
        let path = config.get("cloud");
        let path = path.as_str().ok_or_else(|| {
            Diagnostic::error("no-cloud", "no cloud").detail("`cloud` is missing")
        })?;
        Ok(Arc::new(Wire {
            cloud: Cloud::at(Path::new(path)),
        }))
    }
}

/// The configured provider.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) cloud: Cloud,
}

impl Wire {
    /// Waits as long as a call takes in this cloud.
    pub(super) async fn latency(&self) -> Result<(), Diagnostic> {
        let state = self.cloud.look().map_err(|error| failed(&error))?;
        tokio::time::sleep(Duration::from_millis(state.faults.latency)).await;
        if state.faults.unreachable {
            return Err(Diagnostic::remote("unreachable", "cannot reach the cloud")
                .cause("connection refused"));
        }
        Ok(())
    }
}

pub(super) fn failed(error: &std::io::Error) -> Diagnostic {
    Diagnostic::remote("cloud", "the cloud failed").cause(error.to_string())
}

#[async_trait]
impl Configured for Wire {
    fn as_any(&self) -> &dyn Any {
        self
    }

    async fn fetch(&self, queries: &[Query]) -> Vec<Result<Json, FetchFailure>> {
        if let Err(diagnostic) = self.latency().await {
            return queries
                .iter()
                .map(|_| Err(FetchFailure::Unreachable(diagnostic.to_string())))
                .collect();
        }
        let answer = |query: &Query| {
            let looked = self.cloud.change(|state| {
                state.calls.push(format!("list {}", query.0));
                state.is_listed();
                match query.0.as_str() {
                    "things" => serde_json::to_value(&state.things),
                    "members" => serde_json::to_value(&state.members),
                    "stores" => serde_json::to_value(&state.stores),
                    "groups" => serde_json::to_value(&state.groups),
                    "buckets" => serde_json::to_value(state.buckets.keys().collect::<Vec<_>>()),
                    "slots" => serde_json::to_value(&state.slots),
                    bucket if bucket.starts_with("bucket ") => {
                        serde_json::to_value(state.buckets.get(&bucket["bucket ".len()..]))
                    }
                    _ => serde_json::to_value(&state.entries),
                }
            });
            match looked {
                Ok(Ok(json)) => Ok(json),
                Ok(Err(error)) => Err(FetchFailure::Refused(error.to_string())),
                Err(error) => Err(FetchFailure::Unreachable(error.to_string())),
            }
        };
        queries.iter().map(answer).collect()
    }

    async fn preflight(&self, changes: &[Intended<'_>]) -> Vec<Diagnostic> {
        let Ok(state) = self.cloud.look() else {
            return Vec::new();
        };
        let is_thing = |change: &&Intended<'_>| &*change.address.resource_type == "test_thing";
        let things = || changes.iter().filter(is_thing);
        let made = || things().filter(|change| change.action == Action::Create);
        let ended = things().filter(|change| change.action == Action::Delete);
        let wanted = (state.things.len() + made().count()).saturating_sub(ended.count());
        match made().next_back() {
            Some(last) if state.faults.quota > 0 && wanted > state.faults.quota => {
                let detail = format!(
                    "the cloud allows {} things; with this plan there would be {wanted}",
                    state.faults.quota
                );
                vec![
                    Diagnostic::error("quota", "the quota is too small")
                        .address(last.address)
                        .detail(detail),
                ]
            }
            _ => Vec::new(),
        }
    }
}
