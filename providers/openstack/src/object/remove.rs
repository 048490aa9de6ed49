//! Deleting: what still needs the object is waited for and named, and it is looked until the object is gone.

use std::time::{Duration, Instant};

use dmp_sdk::Diagnostic;
use serde_json::Value as Json;

use super::work::article;
use super::{Model, Objects, State, Task, wait_for};
use crate::session::{self, ApiError, Pauses};

/// How long one takes at most to go.
const GONE: Duration = Duration::from_secs(900);
/// How long it is waited for what still needs an object that goes.
const IN_USE: Duration = Duration::from_secs(60);

impl<M: Model> Objects<M> {
    pub(super) async fn delete(&self, task: &Task<'_>) -> Result<(), Diagnostic> {
        let Some(id) = task.job.id else {
            return Ok(());
        };
        let found = self
            .present(task)
            .await
            .map_err(|error| self.cannot("read", &error))?;
        let Some(found) = found else {
            return Ok(());
        };
        let path = self
            .path(id)
            .map_err(|error| self.cannot("delete", &error))?;
        if !self.model.is_going(&found) {
            self.take_away(task, id, &path).await?;
        }
        self.gone(task, &path).await
    }

    /// Asks for it to be removed; what still needs it is waited for.
    async fn take_away(&self, task: &Task<'_>, id: &str, path: &str) -> Result<(), Diagnostic> {
        let kind = self.kind();
        let title = format!("delete {}", self.named(task.job.prior()?));
        if self.model.goes_when_settled() {
            let settled = self.settled(task, path, kind.one).await;
            settled.map_err(|error| self.cannot("delete", &error))?;
        }
        task.cx.begin(&title).await?;
        let until = Instant::now() + IN_USE;
        let mut pauses = Pauses::new();
        loop {
            let removing = self.model.removing(task.job.prior()?, kind.spot(id).id);
            let deleted = match &removing {
                Some((path, body)) => self.deliver(task, session::Verb::Post, path, body).await,
                None => {
                    self.deliver(task, session::Verb::Delete, path, &Json::Null)
                        .await
                }
            };
            match deleted {
                Ok(_) => return Ok(()),
                Err(error) if error.is_missing() => return Ok(()),
                Err(error) if is_in_use(&error) => {
                    let what = format!("{} to be free", self.named(task.job.prior()?));
                    task.cx.waiting(&what, IN_USE);
                    if task.cx.is_cancelled() || !pauses.wait(until, None).await {
                        let blockers = self.model.blockers(task, id).await;
                        let cannot = self.cannot("delete", &error);
                        return Err(match blockers.is_empty() {
                            true => cannot,
                            false => cannot
                                .help(format!("it is still needed by {}", blockers.join(", "))),
                        });
                    }
                }
                Err(error) => return Err(self.cannot("delete", &error)),
            }
        }
    }

    /// Looks until it is gone.
    async fn gone(&self, task: &Task<'_>, path: &str) -> Result<(), Diagnostic> {
        let kind = self.kind();
        let what = format!("{} to be gone", self.named(task.job.prior()?));
        let gone = wait_for(task.cx, &what, GONE, || async move {
            let found = task.look(kind.service, path, kind.one).await?;
            let Some(found) = found else {
                return Ok(Some(Ok(())));
            };
            let status = crate::values::text(&found, "status")
                .unwrap_or_default()
                .to_ascii_lowercase();
            Ok(match status.as_str() {
                "deleted" => Some(Ok(())),
                _ if self.model.is_stuck(&found) => Some(Err(self.model.state(&found))),
                _ => None,
            })
        });
        match gone.await.map_err(|error| self.cannot("delete", &error))? {
            Ok(()) => Ok(()),
            Err(state) => {
                let why = match state {
                    State::Failed(why) | State::UnderWay(why) => why,
                    State::Ready => "it is still there".into(),
                };
                Err(Diagnostic::remote(
                    "failed",
                    format!("cannot delete {} {}", article(kind.noun), kind.noun),
                )
                .cause(why))
            }
        }
    }
}

/// Whether a delete is refused because something else still needs the object, which may pass.
fn is_in_use(error: &ApiError) -> bool {
    error.is_conflict()
        || error.refusal().is_some_and(|refusal| {
            refusal.status == 400
                && refusal.says(&[
                    "status must be",
                    "attached",
                    "in-use",
                    "in use",
                    "has children",
                ])
        })
}
