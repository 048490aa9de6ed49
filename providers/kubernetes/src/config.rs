//! The `provider "kubernetes"` block.

use std::time::Duration;

use dmp_sdk::{Attribute, AttributePath, Diagnostic, Machine, Quantifier, Schema, Type, Value};
use kube::config::Kubeconfig;

/// A configuration, understood.
pub(crate) struct Config {
    pub kubeconfig: Kubeconfig,
    pub context: Option<String>,
    /// The machine through which the API is reached.
    pub via: Option<Machine>,
    /// How long one request may take.
    pub request: Duration,
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
        .attribute(
            "request_seconds",
            Attribute::default(
                Type::Number,
                "How long one request may take, in seconds. What gets no answer is asked again, for two and a half times as long.",
                30,
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
    let seconds = config.get("request_seconds");
    let request = match seconds.as_i64() {
        None if seconds.is_null() => 30,
        Some(seconds @ 1..=3600) => seconds.unsigned_abs(),
        _ => {
            return Err(wrong(
                "request_seconds",
                "`request_seconds` is from 1 to 3600".into(),
            ));
        }
    };
    Ok(Config {
        request: Duration::from_secs(request),
        kubeconfig,
        context: config.get("context").as_str().map(ToOwned::to_owned),
        via,
    })
}
