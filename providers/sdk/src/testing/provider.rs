//! The provider, and its wire to the file.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value as Json;

use super::cloud::Cloud;
use super::entry::TestEntry;
use super::member::TestMember;
use super::store::{TestGroup, TestStore};
use super::thing::TestThing;
use crate::Diagnostic;
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
            Arc::new(TestEntry::default()),
            Arc::new(TestMember::default()),
            Arc::new(TestStore::default()),
            Arc::new(TestGroup::default()),
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
                match query.0.as_str() {
                    "things" => serde_json::to_value(&state.things),
                    "members" => serde_json::to_value(&state.members),
                    "stores" => serde_json::to_value(&state.stores),
                    "groups" => serde_json::to_value(&state.groups),
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
}
