//! What the person's SSH configuration says of where a host is: asked by `host` as a query, so that its `plan` stays
//! pure, and answered by reading files here. Nothing remote, nothing run.

use dmp_sdk::{Answers, Diagnostic, Fetch, FetchFailure, Query, Value};
use dmp_transport::ssh_config::{Asked, Bastion, Route, SshConfig};
use serde_json::Value as Json;

/// Where a host is by a configuration: the answer to [`question`].
pub(crate) fn answer(config: &SshConfig, query: &Query) -> Result<Json, FetchFailure> {
    let asked = Asked {
        host: query.0.clone(),
        ..Asked::default()
    };
    let route = config.route(&asked).map_err(|error| {
        FetchFailure::Refused(format!("the SSH configuration is wrong: {error}"))
    })?;
    serde_json::to_value(route).map_err(|error| FetchFailure::NotUnderstood(error.to_string()))
}

/// The question where a host is.
pub(crate) fn question(address: &str) -> Fetch {
    Fetch::Api(Query(address.to_owned()))
}

/// The value of `ssh_config`: null where the configuration says nothing of the address, `None` where nobody was asked.
pub(crate) fn value(address: &str, answers: Answers<'_>) -> Result<Option<Value>, Diagnostic> {
    let Some(json) = answers.0.iter().find_map(|answer| answer.json()) else {
        return Ok(None);
    };
    let route: Route = serde_json::from_value(json.clone())
        .map_err(|error| Diagnostic::bug(format!("a way can't be understood: {error}")))?;
    let nothing = Route {
        address: address.to_ascii_lowercase(),
        ..Route::default()
    };
    if route == nothing {
        return Ok(Some(Value::null()));
    }
    let bastion = |hop: &Bastion| {
        Value::object_of([
            ("alias", hop.alias.as_str().into()),
            ("address", hop.address.as_str().into()),
            ("user", hop.user.as_str().into()),
            ("port", i64::from(hop.port).into()),
        ])
    };
    let is_other = route.address != nothing.address;
    Ok(Some(Value::object_of([
        ("address", is_other.then_some(route.address).into()),
        ("user", route.user.into()),
        (
            "port",
            route
                .port
                .map(i64::from)
                .map_or_else(Value::null, Value::from),
        ),
        (
            "bastions",
            Value::list(route.bastions.iter().map(bastion).collect()),
        ),
        ("proxy_command", route.needs_command.into()),
    ])))
}
