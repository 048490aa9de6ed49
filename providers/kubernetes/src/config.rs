//! The `provider "kubernetes"` block.

use dmp_sdk::{Attribute, AttributePath, Diagnostic, Machine, Quantifier, Schema, Type, Value};
use kube::config::Kubeconfig;

/// A configuration, understood.
pub(crate) struct Config {
    pub kubeconfig: Kubeconfig,
    pub context: Option<String>,
    /// The machine through which the API is reached.
    pub via: Option<Machine>,
}

pub(crate) fn schema() -> Schema {
    Schema::new("kubernetes", "Objects in a Kubernetes cluster.")
        .attribute(
            "kubeconfig",
            Attribute::required(Type::String, "A kubeconfig file's text: what a `kubeadm_cluster` has as `kubeconfig`.")
                .sensitive()
                .hosting(Quantifier::All),
        )
        .attribute("context", Attribute::optional(Type::String, "The context to use, where it is not the current one."))
        .attribute(
            "via",
            Attribute::optional(
                Machine::value_type(),
                "Connection of a machine to go through, where the API's address can't be reached from here.",
            ),
        )
}

pub(crate) fn parse(config: &Value) -> Result<Config, Diagnostic> {
    let wrong = |attribute: &str, why: String| {
        Diagnostic::error("bad-configuration", "unusable provider configuration")
            .detail(why)
            .path(AttributePath::of(attribute))
    };
    let text = config.get("kubeconfig");
    let text = text
        .as_str()
        .ok_or_else(|| wrong("kubeconfig", "`kubeconfig` is missing".into()))?;
    // The parser's own message may quote the text.
    let kubeconfig = Kubeconfig::from_yaml(text).map_err(|_| {
        wrong(
            "kubeconfig",
            "`kubeconfig` is not a kubeconfig's text".into(),
        )
    })?;
    let via = config.get("via");
    let via = match via.is_null() {
        true => None,
        false => Some(Machine::from_value(&via).map_err(|error| wrong("via", error.to_string()))?),
    };
    Ok(Config {
        kubeconfig,
        context: config.get("context").as_str().map(ToOwned::to_owned),
        via,
    })
}
