//! Calls that may come while something else is just changing: they are refused then, wait, and are sent again.

use std::time::{Duration, Instant};

use dmp_sdk::Diagnostic;
use serde_json::Value as Json;

use super::task::{SHORTEST_PAUSE, ended, wait_for};
use super::{Model, Objects, State, Task};
use crate::session::{self, ApiError};

/// How long it is waited for something that is changing, so that what is part of it can't.
const BUSY: Duration = Duration::from_secs(900);

impl<M: Model> Objects<M> {
    /// Sends to an object; see [`Objects::send`].
    pub(super) async fn send_to(
        &self,
        task: &Task<'_>,
        title: &str,
        verb: session::Verb,
        id: &str,
        body: &Json,
    ) -> Result<Json, ApiError> {
        let path = self.path(id)?;
        self.send(task, title, verb, &path, body).await
    }

    /// Sends, as a change that is named on the screen.
    pub(super) async fn send(
        &self,
        task: &Task<'_>,
        title: &str,
        verb: session::Verb,
        path: &str,
        body: &Json,
    ) -> Result<Json, ApiError> {
        task.cx.begin(title).await.map_err(ended)?;
        self.deliver(task, verb, path, body).await
    }

    /// Sends. Where it is refused because something else is just changing, that is waited for, and it is sent again.
    pub(super) async fn deliver(
        &self,
        task: &Task<'_>,
        verb: session::Verb,
        path: &str,
        body: &Json,
    ) -> Result<Json, ApiError> {
        let service = self.kind().service;
        let until = Instant::now() + BUSY;
        loop {
            let error = match task.cloud.session.write(service, verb, path, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let busy = error.refusal().and_then(|refused| self.model.busy(refused));
            let Some((path, one)) = busy.filter(|_| Instant::now() < until) else {
                return Err(error);
            };
            if let Some(State::Failed(why)) = self.settled(task, &path, one).await? {
                let failed = Diagnostic::remote("failed", format!("`{path}` takes no change"));
                return Err(ended(failed.cause(why).help(
                    "mend it, or let the next plan replace it; what is part of it can't change before",
                )));
            }
            // It may have begun something else at once.
            tokio::time::sleep(SHORTEST_PAUSE).await;
        }
    }

    /// Waits until something changes no longer; `None` where it is gone then.
    pub(super) async fn settled(
        &self,
        task: &Task<'_>,
        path: &str,
        one: &'static str,
    ) -> Result<Option<State>, ApiError> {
        let service = self.kind().service;
        let what = format!("`{path}` to change no longer");
        wait_for(task.cx, &what, BUSY, || async move {
            let found = task.look(service, path, one).await?;
            Ok(match found.map(|found| self.model.state(&found)) {
                Some(State::UnderWay(_)) => None,
                state => Some(state),
            })
        })
        .await
    }
}
