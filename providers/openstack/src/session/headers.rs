//! What Swift tells and takes: headers in place of JSON.

use std::time::Duration;

use serde_json::Value as Json;

use super::{ApiError, Body, Service, Session, Verb};

/// Headers by name.
pub(crate) type Headers = Vec<(String, String)>;

impl Session {
    /// The headers of something, by their names in lower case; `None` where there is none.
    pub(crate) async fn headers(
        &self,
        service: Service,
        path: &str,
    ) -> Result<Option<Json>, ApiError> {
        match self.send(service, Verb::Head, path, &Body::Nothing).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes or changes something that is all headers; twice is once.
    pub(crate) async fn tell(
        &self,
        service: Service,
        verb: Verb,
        path: &str,
        headers: &Headers,
    ) -> Result<(), ApiError> {
        let body = Body::Headers(headers);
        self.send(service, verb, path, &body).await.map(drop)
    }

    /// Sends the bytes of a file, once; `length` of them. A stream can't be sent a second time.
    pub(crate) async fn upload(
        &self,
        service: Service,
        path: &str,
        headers: &Headers,
        length: u64,
        body: reqwest::Body,
        within: Duration,
    ) -> Result<(), ApiError> {
        let request = format!("PUT {path}");
        let token = self.token(None).await?;
        let endpoint = self.endpoint(service, &token).await?;
        let _turn = self.turns[&service].acquire().await;
        let builder = self.http.put(format!("{}{path}", endpoint.paths));
        let builder = self.dress(builder, service, &endpoint, &token, &Body::Headers(headers))?;
        let has_type = headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let builder = match has_type {
            true => builder,
            false => builder.header("Content-Type", "application/octet-stream"),
        };
        let builder = builder
            .header("Content-Length", length)
            .timeout(within)
            .body(body);
        match self.exchange(builder, &request).await {
            Ok(answer) => super::judge(&request, answer).map(drop),
            Err(super::Lost::Untrusted(why)) => Err(ApiError::Untrusted(why)),
            Err(lost) => Err(ApiError::Unknown {
                request,
                why: lost.into_words(),
            }),
        }
    }
}
