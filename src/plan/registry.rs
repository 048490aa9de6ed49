//! The providers, resource types and data sources that this dmp knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use dmp_lang::Schemas;
use dmp_sdk::{DataSource, Mode, Provider, ProviderFunction, Resource, Schema};

/// All providers, by name, and what each offers.
#[derive(Clone, Default)]
pub struct Registry {
    providers: BTreeMap<Arc<str>, Arc<dyn Provider>>,
    resources: BTreeMap<Arc<str>, Offered<dyn Resource>>,
    data_sources: BTreeMap<Arc<str>, Offered<dyn DataSource>>,
}

/// What is offered, and the provider's name.
type Offered<T> = (Arc<str>, Arc<T>);

impl Registry {
    /// Registers providers.
    #[must_use]
    pub fn new(providers: Vec<Arc<dyn Provider>>) -> Self {
        let mut registry = Self::default();
        for provider in providers {
            let name: Arc<str> = provider.name().into();
            for resource in provider.resources() {
                let schema_name = Arc::clone(&resource.schema().name);
                registry
                    .resources
                    .insert(schema_name, (Arc::clone(&name), resource));
            }
            for data_source in provider.data_sources() {
                let schema_name = Arc::clone(&data_source.schema().name);
                registry
                    .data_sources
                    .insert(schema_name, (Arc::clone(&name), data_source));
            }
            registry.providers.insert(name, provider);
        }
        registry
    }

    /// A provider by name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.providers.get(name)
    }

    /// A resource type by name.
    #[must_use]
    pub fn resource(&self, name: &str) -> Option<&Arc<dyn Resource>> {
        self.resources.get(name).map(|(_, resource)| resource)
    }

    /// A data source by name.
    #[must_use]
    pub fn data_source(&self, name: &str) -> Option<&Arc<dyn DataSource>> {
        self.data_sources
            .get(name)
            .map(|(_, data_source)| data_source)
    }

    /// The name of the provider that offers a resource type or data source.
    #[must_use]
    pub fn provider_of(&self, mode: Mode, name: &str) -> Option<Arc<str>> {
        match mode {
            Mode::Managed => self
                .resources
                .get(name)
                .map(|(provider, _)| Arc::clone(provider)),
            Mode::Data => self
                .data_sources
                .get(name)
                .map(|(provider, _)| Arc::clone(provider)),
        }
    }

    /// The schema of a resource type or data source.
    #[must_use]
    pub fn schema(&self, mode: Mode, name: &str) -> Option<&Schema> {
        match mode {
            Mode::Managed => self.resource(name).map(|resource| resource.schema()),
            Mode::Data => self
                .data_source(name)
                .map(|data_source| data_source.schema()),
        }
    }

    /// A function that a provider brings into the language.
    #[must_use]
    pub fn function(&self, provider: &str, name: &str) -> Option<ProviderFunction> {
        let functions = self.providers.get(provider)?.functions();
        functions.into_iter().find(|function| function.name == name)
    }

    /// All providers.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        self.providers.values()
    }
}

impl Schemas for Registry {
    fn resource(&self, mode: Mode, resource_type: &str) -> Option<&Schema> {
        self.schema(mode, resource_type)
    }

    fn provider(&self, name: &str) -> Option<&Schema> {
        self.providers.get(name).map(|provider| provider.schema())
    }

    fn resource_types(&self, mode: Mode) -> Vec<&str> {
        match mode {
            Mode::Managed => self.resources.keys().map(AsRef::as_ref).collect(),
            Mode::Data => self.data_sources.keys().map(AsRef::as_ref).collect(),
        }
    }

    fn provider_names(&self) -> Vec<&str> {
        self.providers.keys().map(AsRef::as_ref).collect()
    }

    fn provider_function(&self, provider: &str, name: &str) -> Option<ProviderFunction> {
        self.function(provider, name)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.resources.keys()).finish()
    }
}
