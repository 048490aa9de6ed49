//! A project of a cloud: the wire behind a provider configuration. Listings are asked once for all objects of a collection;
//! each answer says whose token has asked, since to another project an object only looks gone.

use std::any::Any;

use async_trait::async_trait;
use dmp_sdk::{Configured, Diagnostic, Fetch, FetchFailure, Intended, Query, Value};
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::preflight;
use crate::session::{ApiError, Listing, Service, Session};

/// A configured project.
pub(crate) struct Cloud {
    /// Its APIs.
    pub session: Session,
}

/// What is asked of a cloud while reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Question {
    /// All items of a collection.
    List(Listing),
    /// One object; null where there is none.
    One {
        /// The service.
        service: Service,
        /// Its path.
        path: String,
    },
    /// The headers of something; null where there is none.
    Headers {
        /// The service.
        service: Service,
        /// Its path.
        path: String,
    },
}

impl Question {
    /// A whole collection.
    pub(crate) fn list(service: Service, path: &str, key: &str) -> Self {
        Self::List(Listing::of(service, path, key))
    }

    /// As a fetch.
    pub(crate) fn fetch(&self) -> Result<Fetch, Diagnostic> {
        let text = serde_json::to_string(self)
            .map_err(|error| Diagnostic::bug(format!("a question: {error}")))?;
        Ok(Fetch::Api(Query(text)))
    }
}

/// What was answered: `found` is the list, the object or null.
pub(crate) fn found(answer: &Json) -> &Json {
    &answer["found"]
}

/// Fails where an absence is only that another project was asked than the one that the object is recorded in.
pub(crate) fn believe(answer: &Json, recorded: &Value) -> Result<(), Diagnostic> {
    let was_in = recorded.get("project_id");
    let asked = answer["project"].as_str();
    match was_in.as_str() {
        Some(project) if asked.is_some_and(|asked| asked != project) => Err(Diagnostic::error(
            "other-project",
            "another project than the recorded one",
        )
        .detail(format!(
            "the object is recorded in the project `{project}`, and the credentials are for `{}`: there it would only look gone",
            asked.unwrap_or_default()
        ))
        .help("use the credentials of that project; to move a stack destroy it there first, or give this project an environment of its own")),
        _ => Ok(()),
    }
}

impl Cloud {
    async fn answer(&self, query: &Query) -> Result<Json, FetchFailure> {
        let not_understood = |_| FetchFailure::NotUnderstood("no such question".into());
        let question: Question = serde_json::from_str(&query.0).map_err(not_understood)?;
        let answer = self.ask(&question).await;
        answer.map_err(|error| error.failure())
    }

    async fn ask(&self, question: &Question) -> Result<Json, ApiError> {
        let found = match question {
            Question::List(listing) => Json::Array(self.session.list(listing).await?),
            Question::One { service, path } => {
                self.session.look(*service, path).await?.unwrap_or_default()
            }
            Question::Headers { service, path } => {
                let found = self.session.headers(*service, path).await?;
                found.unwrap_or_default()
            }
        };
        let who = self.session.who().await?;
        Ok(json!({ "found": found, "project": who.project, "user": who.user }))
    }
}

#[async_trait]
impl Configured for Cloud {
    fn as_any(&self) -> &dyn Any {
        self
    }

    /// A query is a [`Question`] as JSON.
    async fn fetch(&self, queries: &[Query]) -> Vec<Result<Json, FetchFailure>> {
        let answers = queries.iter().map(|query| self.answer(query).boxed());
        dmp_sdk::side_by_side(answers.collect(), AT_ONCE).await
    }

    async fn preflight(&self, changes: &[Intended<'_>]) -> Vec<Diagnostic> {
        preflight::look(self, changes).await
    }
}

/// How many questions are under way at once; each service has its own bound besides.
const AT_ONCE: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_project_does_not_show_is_not_gone() {
        let recorded = Value::object_of([("project_id", "a".into())]);
        assert!(believe(&json!({ "project": "a" }), &recorded).is_ok());
        assert!(believe(&json!({ "project": "b" }), &recorded).is_err());
        assert!(believe(&json!({ "project": null }), &recorded).is_ok());
        assert!(believe(&json!({ "project": "b" }), &Value::object_of([])).is_ok());
    }
}
