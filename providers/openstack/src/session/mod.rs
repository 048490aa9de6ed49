//! The cloud as requests and answers. Every call goes through here: it gets its token, its address and its version, waits for
//! its turn, and is repeated only where that is safe.
//!
//! What makes something is sent once. It is sent again only where the answer says that nothing was begun: a token that is too
//! old, too many requests, a service that can't be reached. Any other failure ends as [`ApiError::Unknown`], and whoever
//! sent it looks for what has come of it.

mod catalog;
mod error;
mod headers;
mod identity;
mod pages;
#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use dmp_cloud::Pauses;
use dmp_cloud::{is_untrusted, words};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value as Json;
use tokio::sync::{Mutex, Semaphore};

pub(crate) use catalog::{Service, Version};
pub(crate) use error::{ApiError, Refusal};
pub(crate) use headers::Headers;
pub(crate) use identity::{Domain, Login, Method, Named, Scope, Secret, Token};
pub(crate) use pages::Listing;
pub(crate) use tls::Trust;

/// How the cloud is reached.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    /// Keystone, with its version.
    pub auth_url: String,
    /// What is shown there.
    pub login: Login,
    /// The region, where the cloud has several.
    pub region: Option<String>,
    /// Which addresses of the catalog are used.
    pub interface: String,
    /// Addresses in place of the catalog's.
    pub overrides: BTreeMap<Service, String>,
    /// Whose certificates are accepted.
    pub trust: Trust,
    /// The client's own certificate and key, PEM.
    pub identity: Option<String>,
    /// How long one request may take.
    pub request: Duration,
    /// How many requests go to one service at the same time.
    pub at_once: usize,
}

/// The verbs of the APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Reads.
    Get,
    /// Reads the headers alone.
    Head,
    /// Makes something, or begins an action.
    Post,
    /// Changes something; twice is once.
    Put,
    /// Changes parts of something.
    Patch,
    /// Removes something; what is gone is gone.
    Delete,
}

impl Verb {
    fn http(self) -> reqwest::Method {
        match self {
            Self::Get => reqwest::Method::GET,
            Self::Head => reqwest::Method::HEAD,
            Self::Post => reqwest::Method::POST,
            Self::Put => reqwest::Method::PUT,
            Self::Patch => reqwest::Method::PATCH,
            Self::Delete => reqwest::Method::DELETE,
        }
    }

    fn may_be_repeated(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Put | Self::Delete)
    }
}

/// A session with a cloud.
pub(crate) struct Session {
    reach: Reach,
    http: reqwest::Client,
    held: Mutex<Option<Arc<Token>>>,
    bases: Mutex<HashMap<Service, Arc<Endpoint>>>,
    turns: BTreeMap<Service, Semaphore>,
}

/// Where a service is, and which version of it is spoken.
#[derive(Debug)]
struct Endpoint {
    paths: String,
    version: Option<Version>,
}

/// What came back, before it is judged.
struct Answer {
    status: u16,
    body: Json,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    subject_token: Option<String>,
    headers: HeaderMap,
}

/// Why nothing came back.
enum Lost {
    /// Whoever is there is not trusted, and was sent nothing.
    Untrusted(String),
    /// The request can't have arrived.
    Unsent(String),
    /// It may have arrived.
    Sent(String),
}

impl Lost {
    fn into_words(self) -> String {
        match self {
            Self::Untrusted(why) | Self::Unsent(why) | Self::Sent(why) => why,
        }
    }
}

impl Answer {
    /// The headers as JSON, by their names in lower case.
    fn told(&self) -> Json {
        let told = self.headers.iter().filter_map(|(name, value)| {
            let value = value.to_str().ok()?;
            Some((name.as_str().to_owned(), Json::String(value.to_owned())))
        });
        Json::Object(told.collect())
    }

    fn refusal(&self, request: &str) -> Refusal {
        Refusal::of(request, self.status, self.request_id.clone(), &self.body)
    }
}

/// What a request carries.
enum Body<'a> {
    Nothing,
    Json(&'a Json),
    /// A patch of an image.
    ImagePatch(&'a Json),
    /// More headers, and no body.
    Headers(&'a Headers),
}

impl Session {
    /// A session; nothing is asked yet.
    pub(crate) fn new(reach: Reach) -> Result<Self, String> {
        let http = tls::http_client(&reach)?;
        let turns = Service::ALL.map(|service| (service, Semaphore::new(reach.at_once)));
        Ok(Self {
            http,
            reach,
            held: Mutex::default(),
            bases: Mutex::default(),
            turns: turns.into_iter().collect(),
        })
    }

    /// Whether certificates go unchecked.
    pub(crate) fn is_insecure(&self) -> bool {
        matches!(self.reach.trust, Trust::Nobody)
    }

    /// Whether the password goes over the wire in the clear, to another machine.
    pub(crate) fn is_in_the_clear(&self) -> bool {
        let url = reqwest::Url::parse(&self.reach.auth_url).ok();
        url.is_some_and(|url| {
            let host = url.host_str().unwrap_or_default();
            let is_here = host == "localhost" || host.starts_with("127.") || host == "[::1]";
            url.scheme() == "http" && !is_here
        })
    }

    /// Who dmp is there.
    pub(crate) async fn who(&self) -> Result<Arc<Token>, ApiError> {
        self.token(None).await
    }

    /// Reads.
    pub(crate) async fn get(&self, service: Service, path: &str) -> Result<Json, ApiError> {
        self.send(service, Verb::Get, path, &Body::Nothing).await
    }

    /// Reads an object; `None` where there is none.
    pub(crate) async fn look(
        &self,
        service: Service,
        path: &str,
    ) -> Result<Option<Json>, ApiError> {
        match self.get(service, path).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes.
    pub(crate) async fn write(
        &self,
        service: Service,
        verb: Verb,
        path: &str,
        body: &Json,
    ) -> Result<Json, ApiError> {
        let body = match (service, verb) {
            (Service::Image, Verb::Patch) => Body::ImagePatch(body),
            _ if body.is_null() => Body::Nothing,
            _ => Body::Json(body),
        };
        self.send(service, verb, path, &body).await
    }

    /// Sends, and repeats what is safe to repeat.
    async fn send(
        &self,
        service: Service,
        verb: Verb,
        path: &str,
        body: &Body<'_>,
    ) -> Result<Json, ApiError> {
        let request = format!("{} {path}", verb.http());
        let until = Instant::now() + self.patience();
        let mut pauses = Pauses::new();
        let mut refused: Option<Secret> = None;
        loop {
            let token = self.token(refused.as_ref()).await?;
            let endpoint = self.endpoint(service, &token).await?;
            let turn = self.turns[&service].acquire().await;
            let url = format!("{}{path}", endpoint.paths);
            let builder = self.http.request(verb.http(), url);
            let builder = self.dress(builder, service, &endpoint, &token, body)?;
            let exchanged = self.exchange(builder, &request).await;
            drop(turn);
            let (why, asked_for, is_safe) = match exchanged {
                Ok(answer) if answer.status == 401 && refused.is_none() => {
                    refused = Some(token.id.clone());
                    continue;
                }
                Ok(answer) if answer.status == 429 => (
                    answer.refusal(&request).to_string(),
                    answer.retry_after,
                    true,
                ),
                Ok(answer) if is_passing(answer.status) => {
                    let why = answer.refusal(&request).to_string();
                    (why, answer.retry_after, verb.may_be_repeated())
                }
                Ok(answer) if answer.status >= 500 && !verb.may_be_repeated() => {
                    let why = answer.refusal(&request).to_string();
                    return Err(ApiError::Unknown { request, why });
                }
                Ok(answer) if verb == Verb::Head && answer.status < 300 => {
                    return Ok(answer.told());
                }
                Ok(mut answer) => {
                    // Swift says in HTML that it has done something.
                    if service == Service::ObjectStore && verb != Verb::Get && answer.status < 300 {
                        answer.body = Json::Null;
                    }
                    return judge(&request, answer);
                }
                Err(Lost::Untrusted(why)) => return Err(ApiError::Untrusted(why)),
                Err(Lost::Unsent(why)) => (why, None, true),
                Err(Lost::Sent(why)) => (why, None, verb.may_be_repeated()),
            };
            if !is_safe {
                return Err(ApiError::Unknown { request, why });
            }
            if !pauses.wait(until, asked_for).await {
                return Err(ApiError::Unreachable(format!("{service}: {why}")));
            }
        }
    }

    /// Puts on what every request wears.
    fn dress(
        &self,
        builder: reqwest::RequestBuilder,
        service: Service,
        endpoint: &Endpoint,
        token: &Token,
        body: &Body<'_>,
    ) -> Result<reqwest::RequestBuilder, ApiError> {
        let mut shown = HeaderValue::from_str(&token.id.0).map_err(|_| {
            ApiError::NotUnderstood("a token that can't be sent in a header".into())
        })?;
        shown.set_sensitive(true);
        let mut builder = builder
            .timeout(self.reach.request)
            .header("X-Auth-Token", shown)
            .header("Accept", "application/json");
        if let Some(version) = endpoint.version {
            let (name, value) = service.version_header(version);
            builder = builder.header(name, value);
        }
        Ok(match body {
            Body::Nothing => builder,
            Body::Json(json) => builder.json(json),
            Body::ImagePatch(json) => builder
                .header(
                    "Content-Type",
                    "application/openstack-images-v2.1-json-patch",
                )
                .body(json.to_string()),
            Body::Headers(headers) => headers.iter().fold(builder, |builder, (name, value)| {
                builder.header(name, value)
            }),
        })
    }

    async fn exchange(
        &self,
        builder: reqwest::RequestBuilder,
        request: &str,
    ) -> Result<Answer, Lost> {
        let mut answer = builder.send().await.map_err(|error| {
            let words = format!("{request}: {}", words(&error));
            match error.is_connect() || error.is_builder() {
                _ if is_untrusted(&error) => Lost::Untrusted(words),
                true => Lost::Unsent(words),
                false => Lost::Sent(words),
            }
        })?;
        let status = answer.status().as_u16();
        let headers = std::mem::take(answer.headers_mut());
        let request_id = header(&headers, "x-openstack-request-id")
            .or_else(|| header(&headers, "x-compute-request-id"));
        let subject_token = header(&headers, "x-subject-token");
        let retry_after = header(&headers, "retry-after")
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs);
        let body = answer
            .bytes()
            .await
            .map_err(|error| Lost::Sent(format!("{request}: {}", words(&error))))?;
        let body =
            serde_json::from_slice(&body).unwrap_or_else(|_| match std::str::from_utf8(&body) {
                Ok(text) if !text.trim().is_empty() => Json::String(text.to_owned()),
                _ => Json::Null,
            });
        Ok(Answer {
            status,
            body,
            request_id,
            retry_after,
            subject_token,
            headers,
        })
    }

    /// Where a service is. Asked once.
    async fn endpoint(&self, service: Service, token: &Token) -> Result<Arc<Endpoint>, ApiError> {
        let mut bases = self.bases.lock().await;
        if let Some(found) = bases.get(&service) {
            return Ok(Arc::clone(found));
        }
        let url = match self.reach.overrides.get(&service) {
            Some(url) => url.as_str(),
            None => {
                token
                    .catalog
                    .find(service, &self.reach.interface, self.reach.region.as_deref())?
            }
        };
        let base = catalog::base(service, url, &token.user, token.project.as_deref())?;
        let version = match service.microversions() {
            None => None,
            Some((oldest, _)) => {
                let document = self.discover(service, &base.versions, token).await?;
                let offered = catalog::offered(&document, oldest.0).ok_or_else(|| {
                    ApiError::NotOffered(format!(
                        "`{}` does not tell which versions of `{service}` there are",
                        base.versions
                    ))
                })?;
                catalog::negotiate(service, offered.0, offered.1)?
            }
        };
        let endpoint = Arc::new(Endpoint {
            paths: base.paths,
            version,
        });
        bases.insert(service, Arc::clone(&endpoint));
        Ok(endpoint)
    }

    /// Asks which versions a service has.
    async fn discover(&self, service: Service, url: &str, token: &Token) -> Result<Json, ApiError> {
        let request = format!("GET {url}");
        let until = Instant::now() + self.patience();
        let mut pauses = Pauses::new();
        loop {
            let plain = Endpoint {
                paths: String::new(),
                version: None,
            };
            let builder = self.http.get(url);
            let builder = self.dress(builder, service, &plain, token, &Body::Nothing)?;
            let why = match self.exchange(builder, &request).await {
                Ok(answer) if answer.status == 300 => return Ok(answer.body),
                Ok(answer) if !is_passing(answer.status) => return judge(&request, answer),
                Ok(answer) => answer.refusal(&request).to_string(),
                Err(Lost::Untrusted(why)) => return Err(ApiError::Untrusted(why)),
                Err(lost) => lost.into_words(),
            };
            if !pauses.wait(until, None).await {
                return Err(ApiError::Unreachable(format!("{service}: {why}")));
            }
        }
    }

    /// How long what passes is waited for.
    fn patience(&self) -> Duration {
        self.reach.request * 3 / 2
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// Statuses of a service that is too busy or not there for a moment.
fn is_passing(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

fn judge(request: &str, answer: Answer) -> Result<Json, ApiError> {
    match answer.status {
        200..=299 => match answer.body {
            Json::String(_) => Err(ApiError::NotUnderstood(format!(
                "{request} was answered by something that is no JSON"
            ))),
            body => Ok(body),
        },
        _ => Err(ApiError::Refused(answer.refusal(request))),
    }
}
