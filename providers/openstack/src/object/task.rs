//! One piece of work: what it may do besides calling, how it is told on the screen, and how it waits.

use std::time::{Duration, Instant};

use dmp_sdk::{Cx, Diagnostic, Job};
use serde_json::Value as Json;

use crate::cloud::Cloud;
use crate::session::{self, ApiError};

/// One piece of work on one object.
pub(crate) struct Task<'a> {
    /// What it may do besides calling.
    pub cx: &'a dyn Cx,
    /// What is to be done.
    pub job: &'a Job<'a>,
    /// Where.
    pub cloud: &'a Cloud,
}

impl Task<'_> {
    /// Writes, as a change that is named on the screen.
    pub(crate) async fn change(
        &self,
        title: &str,
        service: session::Service,
        verb: session::Verb,
        path: &str,
        body: &Json,
    ) -> Result<Json, ApiError> {
        let begun = self.cx.begin(title).await;
        begun.map_err(ended)?;
        self.cloud.session.write(service, verb, path, body).await
    }

    /// An object as it is, by the member of the answer that has it.
    pub(crate) async fn look(
        &self,
        service: session::Service,
        path: &str,
        one: &str,
    ) -> Result<Option<Json>, ApiError> {
        let found = self.cloud.session.look(service, path).await?;
        Ok(found.map(
            |mut found| match found.get(one).is_some_and(Json::is_object) {
                true => found[one].take(),
                false => found,
            },
        ))
    }
}

/// Waits until something has come about; `look` says `None` as long as it has not. It ends when the person asks to stop.
pub(crate) async fn wait_for<T, F>(
    cx: &dyn Cx,
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> F,
) -> Result<T, ApiError>
where
    F: Future<Output = Result<Option<T>, ApiError>>,
{
    let begun = Instant::now();
    let mut has_said = false;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if !has_said {
            cx.waiting(what, within);
            has_said = true;
        }
        if cx.is_cancelled() {
            let stopped = Diagnostic::error("stopped", "stopped on request");
            return Err(ApiError::Ended(Box::new(stopped)));
        }
        if begun.elapsed() >= within {
            let slow = Diagnostic::remote("too-slow", "it did not come about in time")
                .detail(format!("{what}: not within {} s", within.as_secs()))
                .help("it may still go on there; run it again later");
            return Err(ApiError::Ended(Box::new(slow)));
        }
        let pause = (begun.elapsed() / 8).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        tokio::time::sleep(pause).await;
    }
}

pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(1500);
/// A call that was not sent, or is waited for no longer.
pub(super) fn ended(why: Diagnostic) -> ApiError {
    ApiError::Ended(Box::new(why))
}
