//! Starting and stopping a server, out of whatever state it is in.

use dmp_sdk::{Diagnostic, Value};
use serde_json::{Value as Json, json};

use super::change::{READY, ServerWork};
use super::read;
use crate::session::ApiError;
use crate::values::text;

/// What starts a server, by its state.
fn starter(status: &str) -> Option<(&'static str, &'static str)> {
    match status {
        "SHUTOFF" | "STOPPED" => Some(("start", "os-start")),
        "PAUSED" => Some(("go on with", "unpause")),
        "SUSPENDED" => Some(("wake", "resume")),
        "SHELVED" | "SHELVED_OFFLOADED" => Some(("unshelve", "unshelve")),
        _ => None,
    }
}

impl ServerWork<'_> {
    /// Brings the server into the power state that is wanted.
    pub(super) async fn set_power(
        &self,
        id: &str,
        server: Json,
        wanted: &Value,
    ) -> Result<(), Diagnostic> {
        let shall_run = wanted.get("started").as_bool() != Some(false);
        let status = text(&server, "status").unwrap_or_default();
        let runs = read::runs(&server);
        let (words, action) = match (shall_run, runs) {
            (true, false) => match starter(&status) {
                Some(starter) => starter,
                None => return Ok(()),
            },
            (false, true) => ("stop", "os-stop"),
            _ => return Ok(()),
        };
        let cannot = match shall_run {
            true => "cannot start a server",
            false => "cannot stop a server",
        };
        let title = format!("{words} {}", self.name());
        let acted = self.act(id, &title, &json!({ action: null })).await;
        if let Err(error) = acted {
            // It may be so already, or become so by a call whose answer was lost.
            let passes = error.is_conflict() || error.is_unknown();
            if !passes {
                return Err(error.diagnostic(cannot));
            }
        }
        let what = format!(
            "{} to be {}",
            self.name(),
            if shall_run { "started" } else { "stopped" }
        );
        let server = self.settled(id, &what, READY).await;
        let server = server.map_err(|error: ApiError| error.diagnostic(cannot))?;
        match read::runs(&server) == shall_run
            && text(&server, "status").as_deref() != Some("ERROR")
        {
            true => Ok(()),
            false => Err(Diagnostic::remote("failed", cannot).cause(format!(
                "the server is in the state `{}`",
                text(&server, "status").unwrap_or_default()
            ))),
        }
    }
}
