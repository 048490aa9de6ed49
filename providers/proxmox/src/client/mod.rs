//! The API as requests and answers. Every provider's call goes through here, and only what is safe to repeat is repeated.
//!
//! Endpoints are nodes of one cluster: where one can't be reached the next is asked. A write whose answer was lost is
//! never sent again; it ends as [`ApiError::Unknown`], and whoever made it looks what has come of it.

mod auth;
mod error;
#[cfg(test)]
mod server;
mod task;
#[cfg(test)]
mod tests;
mod tls;
mod upload;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use dmp_cloud::Pauses;
use dmp_cloud::words;
use reqwest::header::HeaderValue;
use serde_json::Value as Json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use auth::Credentials;
pub(crate) use error::{ApiError, Refusal};
pub(crate) use task::{Upid, Watch};
pub(crate) use tls::Trust;
pub(crate) use upload::{Source as UploadSource, Upload};

use crate::values;

/// How the API is reached.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `https://host:port` of each.
    pub endpoints: Vec<String>,
    /// What is shown there.
    pub credentials: Credentials,
    /// Whose certificates are accepted.
    pub trust: Trust,
    /// How long one request may take.
    pub request: Duration,
    /// How many disks are copied to one storage at the same time.
    pub copies: usize,
}

/// The verbs of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Reads.
    Get,
    /// Begins something.
    Post,
    /// Changes something.
    Put,
    /// Removes something.
    Delete,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    fn http(self) -> reqwest::Method {
        match self {
            Self::Get => reqwest::Method::GET,
            Self::Post => reqwest::Method::POST,
            Self::Put => reqwest::Method::PUT,
            Self::Delete => reqwest::Method::DELETE,
        }
    }
}

/// Names and values of a request.
pub(crate) type Parameters = Vec<(String, String)>;

/// Parameters from pairs.
pub(crate) fn parameters<const N: usize>(pairs: [(&str, &str); N]) -> Parameters {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    pairs.into_iter().map(owned).collect()
}

/// The API.
pub(crate) struct Client {
    settings: Settings,
    http: reqwest::Client,
    /// The endpoint that answered last.
    preferred: AtomicUsize,
    tickets: auth::Tickets,
    /// One turn for each copy to a storage.
    turns: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// What came back, before it is judged.
struct Answer {
    status: u16,
    reason: String,
    body: Json,
    retry_after: Option<Duration>,
}

/// Why nothing came back.
enum Lost {
    /// The request can't have arrived.
    Unsent(String),
    /// It may have arrived.
    Sent(String),
}

impl Client {
    /// A client; nothing is asked yet.
    pub(crate) fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self {
            http: tls::http_client(&settings)?,
            settings,
            preferred: AtomicUsize::new(0),
            tickets: auth::Tickets::default(),
            turns: Mutex::default(),
        })
    }

    /// Whether certificates go unchecked.
    pub(crate) fn is_insecure(&self) -> bool {
        matches!(self.settings.trust, Trust::Nobody)
    }

    /// Reads. What passes is asked again, at each endpoint, until the time is over.
    pub(crate) async fn get(&self, path: &str) -> Result<Json, ApiError> {
        self.get_with(path, &[]).await
    }

    /// Reads, with parameters.
    pub(crate) async fn get_with(
        &self,
        path: &str,
        parameters: &[(String, String)],
    ) -> Result<Json, ApiError> {
        self.repeat(Method::Get, path, parameters).await
    }

    /// A login is a POST that changes nothing.
    async fn login(&self, parameters: &[(String, String)]) -> Result<Json, ApiError> {
        let until = Instant::now() + self.patience();
        let mut pauses = Pauses::new();
        loop {
            let answer = self
                .round(Method::Post, "/access/ticket", parameters, &[])
                .await;
            let why = match answer {
                Ok(answer) if !is_passing(answer.status) => {
                    return judge(Method::Post, "/access/ticket", answer);
                }
                Ok(answer) => format!("{} ({})", answer.reason, answer.status),
                Err(Lost::Unsent(why) | Lost::Sent(why)) => why,
            };
            if !pauses.wait(until, None).await {
                return Err(ApiError::Unreachable(why));
            }
        }
    }

    async fn repeat(
        &self,
        method: Method,
        path: &str,
        parameters: &[(String, String)],
    ) -> Result<Json, ApiError> {
        let until = Instant::now() + self.patience();
        let mut pauses = Pauses::new();
        let mut refused: Option<auth::Headers> = None;
        loop {
            let headers = self.identify(method, refused.as_ref()).await?;
            let (why, asked_for) = match self.round(method, path, parameters, &headers).await {
                Ok(answer) if self.is_ticket_refused(&answer) && refused.is_none() => {
                    refused = Some(headers);
                    continue;
                }
                Ok(answer) if !is_passing(answer.status) => return judge(method, path, answer),
                Ok(answer) => (
                    format!("{} ({path} {})", answer.reason, answer.status),
                    answer.retry_after,
                ),
                Err(Lost::Unsent(why) | Lost::Sent(why)) => (why, None),
            };
            if !pauses.wait(until, asked_for).await {
                return Err(ApiError::Unreachable(why));
            }
        }
    }

    /// Writes, once. It is sent again only where the answer says that nothing was begun: a lock that was not to be had in
    /// time, a server that is too busy, a ticket that is too old, an endpoint that can't be reached.
    pub(crate) async fn write(
        &self,
        method: Method,
        path: &str,
        parameters: &[(String, String)],
    ) -> Result<Json, ApiError> {
        let until = Instant::now() + LOCKS;
        let mut pauses = Pauses::new();
        let mut refused: Option<auth::Headers> = None;
        loop {
            let headers = self.identify(method, refused.as_ref()).await?;
            let asked_for;
            let error = match self.round(method, path, parameters, &headers).await {
                Ok(answer) if self.is_ticket_refused(&answer) && refused.is_none() => {
                    refused = Some(headers);
                    continue;
                }
                Ok(answer) => {
                    let is_busy = matches!(answer.status, 429 | 503);
                    asked_for = answer.retry_after;
                    match judge(method, path, answer) {
                        Err(error) if is_busy || error.is_lock_timeout() => error,
                        judged => return judged,
                    }
                }
                Err(Lost::Unsent(why)) => {
                    asked_for = None;
                    ApiError::Unreachable(why)
                }
                Err(Lost::Sent(why)) => return Err(unknown(method, path, why)),
            };
            if !pauses.wait(until, asked_for).await {
                return Err(error);
            }
        }
    }

    /// Asks the endpoints in turn, the one that answered last first, until one can be reached.
    async fn round(
        &self,
        method: Method,
        path: &str,
        parameters: &[(String, String)],
        headers: &[(&'static str, HeaderValue)],
    ) -> Result<Answer, Lost> {
        let count = self.settings.endpoints.len();
        let first = self.preferred.load(Ordering::Relaxed);
        let mut whys: Vec<String> = Vec::new();
        for step in 0..count {
            let index = (first + step) % count;
            match self.once(index, method, path, parameters, headers).await {
                Ok(answer) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(Lost::Unsent(why)) => {
                    whys.push(format!("{}: {why}", self.settings.endpoints[index]));
                }
                Err(Lost::Sent(why)) if method == Method::Get => {
                    whys.push(format!("{}: {why}", self.settings.endpoints[index]));
                }
                Err(sent) => return Err(sent),
            }
        }
        Err(Lost::Unsent(whys.join("; ")))
    }

    async fn once(
        &self,
        endpoint: usize,
        method: Method,
        path: &str,
        parameters: &[(String, String)],
        headers: &[(&'static str, HeaderValue)],
    ) -> Result<Answer, Lost> {
        let mut url = format!("{}/api2/json{path}", self.settings.endpoints[endpoint]);
        let form = values::form(parameters);
        let in_query = matches!(method, Method::Get | Method::Delete);
        if in_query && !form.is_empty() {
            url.push(if path.contains('?') { '&' } else { '?' });
            url.push_str(&form);
        }
        let mut request = self
            .http
            .request(method.http(), url)
            .timeout(self.settings.request);
        if !in_query {
            request = request
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(form);
        }
        self.send(request, headers).await
    }

    async fn send(
        &self,
        mut request: reqwest::RequestBuilder,
        headers: &[(&'static str, HeaderValue)],
    ) -> Result<Answer, Lost> {
        for (name, value) in headers {
            request = request.header(*name, value.clone());
        }
        let answer = request.send().await.map_err(|error| {
            let words = words(&error);
            match error.is_connect() || error.is_builder() {
                true => Lost::Unsent(words),
                false => Lost::Sent(words),
            }
        })?;
        let status = answer.status();
        let phrase = answer.extensions().get::<hyper::ext::ReasonPhrase>();
        let reason = match phrase {
            Some(phrase) => String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
            None => status.canonical_reason().unwrap_or_default().to_owned(),
        };
        let retry_after = answer.headers().get("Retry-After");
        let retry_after = retry_after
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs);
        let body = answer
            .bytes()
            .await
            .map_err(|error| Lost::Sent(words(&error)))?;
        Ok(Answer {
            status: status.as_u16(),
            reason,
            body: serde_json::from_slice(&body).unwrap_or(Json::Null),
            retry_after,
        })
    }

    fn is_ticket_refused(&self, answer: &Answer) -> bool {
        answer.status == 401 && self.settings.credentials.needs_ticket()
    }

    /// How long what passes is waited for.
    fn patience(&self) -> Duration {
        self.settings.request * 3 / 2
    }

    /// Waits for a turn to copy a disk to a storage.
    pub(crate) async fn turn(&self, storage: &str) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut all = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Semaphore::new(self.settings.copies));
            Arc::clone(all.entry(storage.to_owned()).or_insert_with(new))
        };
        turns.acquire_owned().await.ok()
    }
}

fn is_passing(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504 | 596..=599)
}

fn judge(method: Method, path: &str, answer: Answer) -> Result<Json, ApiError> {
    let request = format!("{} {path}", method.name());
    let reason = answer.reason.trim().to_owned();
    match answer.status {
        200..=299 => match answer.body {
            Json::Object(mut body) => Ok(body.remove("data").unwrap_or_default()),
            _ => Err(ApiError::NotUnderstood(format!(
                "{request} was answered by something that is no JSON object"
            ))),
        },
        595 => Err(ApiError::NodeDown {
            request,
            why: reason,
        }),
        596..=599 if method != Method::Get => Err(unknown(
            method,
            path,
            format!("{reason} ({})", answer.status),
        )),
        status => Err(ApiError::Refused(Refusal::of(
            request,
            status,
            &reason,
            &answer.body,
        ))),
    }
}

fn unknown(method: Method, path: &str, why: String) -> ApiError {
    ApiError::Unknown {
        request: format!("{} {path}", method.name()),
        why,
    }
}

/// The answer's list; anything else has none.
pub(crate) fn items(answer: &Json) -> &[Json] {
    answer.as_array().map(Vec::as_slice).unwrap_or_default()
}

const LOCKS: Duration = Duration::from_secs(120);
