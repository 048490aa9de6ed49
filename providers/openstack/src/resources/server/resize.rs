//! Another size: Nova moves the server to a host with room, and waits to be told that all is well there.

use dmp_sdk::{Diagnostic, Value};
use serde_json::{Value as Json, json};

use super::change::{READY, ServerWork};
use super::path;
use crate::object::wait_for;
use crate::session::{ApiError, Service};
use crate::values::{items, text, text_at};

const CANNOT: &str = "cannot resize a server";

fn waits_for_a_word(server: &Json) -> bool {
    text(server, "status").as_deref() == Some("VERIFY_RESIZE")
}

/// Whether there is nothing left to confirm.
fn is_done(error: &ApiError) -> bool {
    error
        .refusal()
        .is_some_and(|refusal| refusal.says(&["has not been resized"]))
}

impl ServerWork<'_> {
    /// Whether a server has the wanted flavor, which may be named by its id.
    async fn has_flavor(&self, server: &Json, wanted: &Value) -> Result<bool, Diagnostic> {
        let has = text(&server["flavor"], "original_name");
        if has == text_at(wanted, "flavor") {
            return Ok(true);
        }
        let id = self.flavor(wanted).await?;
        let path = format!("/flavors/{}", crate::values::segment(&id));
        let flavor = self.task.look(Service::Compute, &path, "flavor").await;
        let flavor = flavor.map_err(|error| error.diagnostic(CANNOT))?;
        Ok(flavor.and_then(|flavor| text(&flavor, "name")) == has)
    }

    /// Goes on with a resize that was begun: it is confirmed if it is the wanted one, else taken back.
    pub(super) async fn finish_resize(
        &self,
        id: &str,
        server: Json,
        wanted: &Value,
    ) -> Result<Json, Diagnostic> {
        if !waits_for_a_word(&server) {
            return Ok(server);
        }
        let (words, action) = match self.has_flavor(&server, wanted).await? {
            true => ("confirm the new size of", "confirmResize"),
            false => ("take back the new size of", "revertResize"),
        };
        let title = format!("{words} {}", self.name());
        match self.act(id, &title, &json!({ action: null })).await {
            Ok(()) => {}
            // It is being done already: by a call before, or by the cloud itself.
            Err(error) if error.is_conflict() || error.is_unknown() || is_done(&error) => {}
            Err(error) => return Err(error.diagnostic(CANNOT)),
        }
        // Nova shows that it has heard the word only by having done it.
        let what = format!("{} to have its size", self.name());
        let server = wait_for(self.task.cx, &what, READY, || async move {
            let server = self.settled(id, "the server", READY).await?;
            Ok((!waits_for_a_word(&server)).then_some(server))
        });
        server
            .await
            .map_err(|error: ApiError| error.diagnostic(CANNOT))
    }

    /// Gives a server the wanted flavor.
    pub(super) async fn resize(
        &self,
        id: &str,
        server: Json,
        wanted: &Value,
    ) -> Result<Json, Diagnostic> {
        if self.has_flavor(&server, wanted).await? {
            return Ok(server);
        }
        let flavor = self.flavor(wanted).await?;
        let named = text_at(wanted, "flavor").unwrap_or_default();
        let title = format!("resize {} to `{named}`", self.name());
        let body = json!({ "resize": { "flavorRef": flavor } });
        self.act(id, &title, &body)
            .await
            .map_err(|error| error.diagnostic(CANNOT))?;
        let what = format!("{} to be resized", self.name());
        let server = self.settled(id, &what, READY).await;
        let server = server.map_err(|error: ApiError| error.diagnostic(CANNOT))?;
        let server = self.finish_resize(id, server, wanted).await?;
        match self.has_flavor(&server, wanted).await? {
            true => Ok(server),
            false => {
                let why = self.last_fault(id).await;
                let why = why
                    .unwrap_or_else(|| "Nova has left it as it was, and does not say why".into());
                Err(Diagnostic::remote("failed", CANNOT).cause(why))
            }
        }
    }

    /// What Nova says of the last action that failed.
    pub(super) async fn last_fault(&self, id: &str) -> Option<String> {
        let path = format!("{}/os-instance-actions", path(id));
        let answer = self
            .task
            .cloud
            .session
            .get(Service::Compute, &path)
            .await
            .ok()?;
        let failed = items(&answer["instanceActions"]).iter();
        let mut failed =
            failed.filter_map(|action| Some((text(action, "action")?, text(action, "message")?)));
        let (action, message) = failed.next()?;
        Some(format!("`{action}`: {message}"))
    }
}
