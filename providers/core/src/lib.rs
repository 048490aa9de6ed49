//! What a stack needs beside clouds and machines: values of its own, random ones, times, secrets, keys, certificates,
//! files and commands where dmp runs, and what files, programs and web services say.

mod clock;
mod data;
mod http;
mod local;
mod random;
mod record;
mod secret;
mod ssh_key;
mod tls;
mod value;
mod wire;

use std::sync::Arc;

use crate::record::Record;
use dmp_sdk::{Configured, DataSource, Diagnostic, Machines, Provider, Resource, Schema, Value};

/// The provider `core`.
#[derive(Debug)]
pub struct CoreProvider {
    schema: Schema,
}

impl CoreProvider {
    /// The provider, with its schema.
    #[must_use]
    pub fn new() -> Self {
        Self {
            schema: Schema::new(
                "core",
                "What a stack needs beside clouds and machines. It needs no configuration.",
            ),
        }
    }
}

impl Default for CoreProvider {
    fn default() -> Self {
        Self::new()
    }
}

impl Provider for CoreProvider {
    fn name(&self) -> &str {
        "core"
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        vec![
            Arc::new(value::CoreValue::new()),
            Arc::new(Record::<random::RandomId>::new()),
            Arc::new(Record::<random::RandomUuid>::new()),
            Arc::new(Record::<random::RandomInteger>::new()),
            Arc::new(Record::<random::RandomString>::new()),
            Arc::new(Record::<random::RandomPassword>::new()),
            Arc::new(Record::<random::RandomPet>::new()),
            Arc::new(Record::<random::RandomShuffle>::new()),
            Arc::new(Record::<secret::Secret>::new()),
            Arc::new(Record::<ssh_key::SshKey>::new()),
            Arc::new(Record::<tls::TlsKey>::new()),
            Arc::new(Record::<tls::CertRequest>::new()),
            Arc::new(Record::<tls::SelfSignedCert>::new()),
            Arc::new(Record::<tls::SignedCert>::new()),
            Arc::new(Record::<clock::TimeStatic>::new()),
            Arc::new(Record::<clock::TimeOffset>::new()),
            Arc::new(Record::<clock::TimeRotating>::new()),
            Arc::new(clock::Sleep::new()),
            Arc::new(local::LocalFile::new()),
            Arc::new(local::LocalDirectory::new()),
            Arc::new(local::LocalCommand::new()),
        ]
    }

    fn data_sources(&self) -> Vec<Arc<dyn DataSource>> {
        vec![
            Arc::new(http::HttpSource::new()),
            Arc::new(data::FileSource::new()),
            Arc::new(data::Environment::new()),
            Arc::new(data::External::new()),
        ]
    }

    fn configure(
        &self,
        _config: &Value,
        _machines: Arc<dyn Machines>,
    ) -> Result<Arc<dyn Configured>, Diagnostic> {
        Ok(Arc::new(wire::Wire))
    }
}
