//! `data "k8s_manifest"`: an object that somebody else made.

use dmp_sdk::{
    Answers, Attribute, DataReading, DataSource, Diagnostic, Fetch, Layer, Schema, Type, Value,
};

use crate::manifest::{Identity, value};

/// The data source.
#[derive(Debug)]
pub(crate) struct ManifestSource {
    schema: Schema,
}

impl ManifestSource {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "k8s_manifest",
            "Any object of a Kubernetes cluster, only read.",
        )
        .layer(Layer::Platform)
        .attribute(
            "api_version",
            Attribute::required(Type::String, "Its `apiVersion`."),
        )
        .attribute("kind", Attribute::required(Type::String, "Its `kind`."))
        .attribute("name", Attribute::required(Type::String, "Its name."))
        .attribute(
            "namespace",
            Attribute::optional(Type::String, "Its namespace, `default` by default."),
        )
        .attribute(
            "object",
            Attribute::computed(
                Type::Any,
                "The whole object. Secrets in it are kept secret.",
            )
            .sensitive(),
        );
        Self { schema }
    }
}

fn identity(config: &Value) -> Identity {
    let text = |name: &str| config.get(name).as_str().map(ToOwned::to_owned);
    Identity {
        api_version: text("api_version").unwrap_or_default(),
        kind: text("kind").unwrap_or_default(),
        namespace: text("namespace"),
        name: text("name").unwrap_or_default(),
    }
}

impl DataSource for ManifestSource {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, config: &Value) -> Result<Vec<Fetch>, Diagnostic> {
        Ok(vec![Fetch::Api(identity(config).query())])
    }

    fn parse(&self, config: &Value, answers: Answers<'_>) -> Result<DataReading, Diagnostic> {
        let identity = identity(config);
        let items = answers
            .json(0)?
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let found = items
            .iter()
            .find(|object| identity.is(object))
            .ok_or_else(|| {
                Diagnostic::error("not-found", "no such object")
                    .detail(format!("the cluster has no {identity}"))
            })?;
        Ok(DataReading::Value(config.with("object", value(found))))
    }
}
