//! What the provider can be asked: the web, and the machine that dmp runs on.

use std::any::Any;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use dmp_sdk::{Answers, Configured, Diagnostic, Fetch, FetchFailure, Query};
use futures::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use time::OffsetDateTime;

use crate::data::external;
use crate::http::{self, Wish};
use crate::local::process::Run;
use crate::local::{command, read};

/// A question.
#[derive(Serialize, Deserialize)]
pub(crate) enum Question {
    /// What a web service answers.
    Web(Wish),
    /// What stands at a path.
    Path(String),
    /// How a program ends.
    Program(Run),
    /// What a program answers in JSON.
    External(Run),
    /// A variable of dmp's own environment.
    Variable(String),
    /// What time it is: `{ "now": seconds }` since 1970.
    Time,
}

impl Question {
    /// The question as a fetch.
    pub(crate) fn fetch(&self) -> Result<Fetch, Diagnostic> {
        let text = serde_json::to_string(self);
        let text = text.map_err(|error| Diagnostic::bug(error.to_string()))?;
        Ok(Fetch::Api(Query(text)))
    }
}

/// The wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire;

#[async_trait]
impl Configured for Wire {
    fn as_any(&self) -> &dyn Any {
        self
    }

    async fn fetch(&self, queries: &[Query]) -> Vec<Result<Json, FetchFailure>> {
        let answers = stream::iter(queries).map(answer);
        answers.buffered(AT_ONCE).collect().await
    }
}

async fn answer(query: &Query) -> Result<Json, FetchFailure> {
    let question: Question = serde_json::from_str(&query.0)
        .map_err(|error| FetchFailure::NotUnderstood(error.to_string()))?;
    match question {
        Question::Web(wish) => http::ask(&wish).await,
        Question::Path(path) => read::answer(path).await,
        Question::Program(program) => command::check(&program).await,
        Question::External(program) => external::ask(&program).await,
        Question::Variable(name) => Ok(json!({ "value": variable(&name) })),
        Question::Time => Ok(json!({ "now": now().unix_timestamp() })),
    }
}

/// A variable, as far as it is text.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?;
    Some(value.to_string_lossy().into_owned())
}

/// What time it is, to the second.
pub(crate) fn now() -> OffsetDateTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs());
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// What time it was when [`Question::Time`] was asked first of all.
pub(crate) fn asked_at(answers: Answers<'_>) -> Result<OffsetDateTime, Diagnostic> {
    let seconds = answers.json(0)?["now"].as_i64();
    seconds
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or_else(|| Diagnostic::bug("the time is no time"))
}

/// How many questions are answered at once.
const AT_ONCE: usize = 8;
