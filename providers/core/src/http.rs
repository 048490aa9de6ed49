//! `data "core_http"`: what a web service answers to a GET.

use std::time::{Duration, Instant};

use dmp_sdk::{
    Answers, Attribute, DataReading, DataSource, Diagnostic, Fetch, FetchFailure, Layer, Schema,
    Type, Value,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::wire::Question;

/// The data source.
#[derive(Debug)]
pub(crate) struct HttpSource {
    schema: Schema,
}

impl HttpSource {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("core_http", "What a web service answers to a GET.")
            .layer(Layer::Platform)
            .attribute(
                "url",
                Attribute::required(Type::String, "Where: `http://…` or `https://…`."),
            )
            .attribute(
                "headers",
                Attribute::optional(Type::map(Type::String), "Headers to send.").sensitive(),
            )
            .attribute(
                "within_seconds",
                Attribute::default(
                    Type::Number,
                    "How long it may take until the service answers with success.",
                    10,
                ),
            )
            .attribute(
                "status_code",
                Attribute::computed(Type::Number, "The status of the answer."),
            )
            .attribute(
                "body",
                Attribute::computed(
                    Type::String,
                    "Its body, as far as it is text; at most 1 MiB.",
                ),
            );
        Self { schema }
    }
}

/// What is asked of a web service.
#[derive(Serialize, Deserialize)]
pub(crate) struct Wish {
    url: String,
    headers: Vec<(String, String)>,
    within_seconds: u64,
}

impl DataSource for HttpSource {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, config: &Value) -> Result<Vec<Fetch>, Diagnostic> {
        let headers = config.get("headers");
        let headers = headers.as_members().into_iter().flatten();
        let wish = Wish {
            url: config.get("url").as_str().unwrap_or_default().to_owned(),
            headers: headers
                .filter_map(|(name, value)| Some((name.to_string(), value.as_str()?.to_owned())))
                .collect(),
            within_seconds: seconds(&config.get("within_seconds")),
        };
        Ok(vec![Question::Web(wish).fetch()?])
    }

    fn parse(&self, config: &Value, answers: Answers<'_>) -> Result<DataReading, Diagnostic> {
        let answer = answers.json(0)?;
        let status = answer["status"].as_i64();
        let body = answer["body"].as_str().map(ToOwned::to_owned);
        Ok(DataReading::Value(
            config
                .with("status_code", status.into())
                .with("body", body.into()),
        ))
    }
}

fn seconds(value: &Value) -> u64 {
    value
        .as_i64()
        .and_then(|seconds| u64::try_from(seconds).ok())
        .unwrap_or(10)
        .clamp(1, 3600)
}

/// Asks until the service answers with success, or the time is over; then the last answer counts.
pub(crate) async fn ask(wish: &Wish) -> Result<Json, FetchFailure> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(wish.within_seconds.min(30)))
        .build()
        .map_err(|error| FetchFailure::Refused(error.to_string()))?;
    let until = Instant::now() + Duration::from_secs(wish.within_seconds);
    loop {
        let answer = once(&client, wish).await;
        let is_good = answer
            .as_ref()
            .is_ok_and(|json| json["status"].as_i64().is_some_and(|status| status < 400));
        if is_good || Instant::now() > until {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn once(client: &reqwest::Client, wish: &Wish) -> Result<Json, FetchFailure> {
    let mut request = client.get(&wish.url);
    for (name, value) in &wish.headers {
        request = request.header(name, value);
    }
    let mut answer = request.send().await.map_err(|error| unreachable(&error))?;
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST {
            return Err(FetchFailure::Refused(format!(
                "the answer has more than {MOST} bytes"
            )));
        }
    }
    Ok(json!({ "status": status, "body": String::from_utf8_lossy(&body) }))
}

/// The error without the address, which may hold a secret; with its cause, which says what is wrong.
fn unreachable(error: &reqwest::Error) -> FetchFailure {
    let mut next = std::error::Error::source(error);
    let mut words = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        "no connection".to_owned()
    };
    while let Some(source) = next {
        words = format!("{words}: {source}");
        next = source.source();
    }
    FetchFailure::Unreachable(words)
}

const MOST: usize = 1 << 20;
