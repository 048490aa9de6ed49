//! What is answered, as the real daemon puts it.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::ext::ReasonPhrase;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::proxmox::{self, Answer, Failure};

pub(super) type Reply = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=UTF-8");

/// Answers with a status line, and a text or nothing, without a type.
pub(super) fn plain(status: u16, reason: &str, body: &str) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body.to_owned())));
    finish(&mut reply, status, reason);
    reply
}

fn json(status: u16, reason: &str, value: &Value) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(value.to_string())));
    reply.headers_mut().insert(CONTENT_TYPE, JSON);
    finish(&mut reply, status, reason);
    reply
}

/// An answer of 400 or above ends the connection.
fn finish(reply: &mut Reply, status: u16, reason: &str) {
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // A reason is one line.
    let line = reason.lines().next().unwrap_or_default();
    if let Ok(reason) = ReasonPhrase::try_from(line.as_bytes().to_vec()) {
        reply.extensions_mut().insert(reason);
    }
    if status >= 400 {
        reply
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Answers 429, and when to come again.
pub(super) fn too_many() -> Reply {
    let mut reply = plain(429, "Too Many Requests", "");
    reply
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}

/// Answers with what a call gave.
pub(super) fn answer(answer: Answer) -> Reply {
    let mut members = Map::new();
    members.insert("data".into(), answer.data);
    members.extend(answer.more);
    json(200, "OK", &Value::Object(members))
}

/// Answers with JSON that is none of the API's.
pub(super) fn value(status: u16, value: &Value) -> Reply {
    json(status, if status == 200 { "OK" } else { "refused" }, value)
}

/// Answers with why a call gave nothing.
pub(super) fn failure(failure: &Failure) -> Reply {
    let said = |status, text: &str| {
        json(
            status,
            text,
            &json!({ "data": null, "message": format!("{text}\n") }),
        )
    };
    match failure {
        Failure::Parameters(errors) => {
            let errors: Map<_, _> = errors
                .iter()
                .map(|(name, text)| (name.clone(), json!(text)))
                .collect();
            let told = json!({ "data": null, "message": "Parameter verification failed.\n", "errors": errors });
            json(400, "Parameter verification failed.", &told)
        }
        Failure::Permission(text) => said(403, text),
        Failure::Login(text) => said(401, text),
        Failure::Said(text) => said(500, text),
        Failure::Busy(file) => said(500, &format!("can't lock file '{file}' - got timeout")),
        Failure::Asks { .. } => said(500, proxmox::NO_AGENT),
    }
}

/// Answers that there is no such method.
pub(super) fn not_implemented(method: &str, path: &str) -> Reply {
    let text = format!("Method '{method} {path}' not implemented");
    json(501, &text, &json!({ "data": null, "message": text }))
}
