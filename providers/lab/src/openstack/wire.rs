//! The OpenStack of a lab on the wire: faults, versions, who calls, what was sent, what is answered.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING,
};
use hyper::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};

use super::failure::reason;
use super::{Answer, Call, Caller, Failure, Handler, Outcome, Service, Version, keystone};
use crate::faults::{CallFault, CallFaultKind};
use crate::lab::Shared;
use crate::wire::body::Upload;
use crate::wire::route::fit;
use crate::wire::server::{Cut, Reply, spool};
use crate::wire::{body, control};
use crate::world::draw::Draw;

/// The largest body of a call that is no upload.
const LARGEST: u64 = 1024 * 1024;

/// What is known of a call before it is carried out.
struct Asked {
    method: String,
    service: Service,
    /// Below the service, without percent signs.
    path: String,
    query: Vec<(String, String)>,
    /// Where the lab was asked.
    base: String,
    /// Whether the caller says that it takes JSON.
    takes_json: bool,
}

/// Answers a call.
pub(crate) async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Reply, Cut> {
    let method = request.method().as_str().to_owned();
    let path = body::decode(request.uri().path(), false);
    if path.starts_with("/lab/") {
        return Ok(control::answer(shared, &method, &path, request).await);
    }
    let below = |service: &Service| {
        let rest = path
            .trim_start_matches('/')
            .strip_prefix(service.prefix())?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
    };
    let mut services = Service::ALL.into_iter();
    let Some((service, below)) = services.find_map(|service| Some((service, below(&service)?)))
    else {
        return Ok(plain(404, "there is no such service"));
    };
    let base = format!(
        "https://{}",
        shared.with(|world| {
            let listen = world.openstack.ground.listen;
            listen.map(|listen| listen.to_string()).unwrap_or_default()
        })
    );
    let accepted = request.headers().get(ACCEPT);
    let takes_json = accepted.is_some_and(|accepted| {
        accepted
            .to_str()
            .is_ok_and(|accepted| accepted.contains("application/json"))
    });
    let asked = Asked {
        method,
        service,
        path: format!("/{}", below.trim_matches('/')),
        query: query(request.uri().query().unwrap_or_default()),
        base,
        takes_json,
    };
    let faults = shared.meet(
        &asked.method,
        &format!("/{}{}", service.prefix(), asked.path),
    );
    for fault in &faults {
        if let Some(instead) = before(&asked, fault).await? {
            return Ok(instead);
        }
    }
    let reply = exchange(shared, &asked, request).await;
    for fault in &faults {
        match fault.kind {
            CallFaultKind::ResetAfter => return Err(Cut),
            CallFaultKind::ProxyTimeout => {
                tokio::time::sleep(shared.scaled(30.0)).await;
                return Ok(plain(504, "The server didn't respond in time."));
            }
            _ => {}
        }
    }
    Ok(reply)
}

/// What a call meets before anything is done.
async fn before(asked: &Asked, fault: &CallFault) -> Result<Option<Reply>, Cut> {
    let failed = |status, message: &str| {
        Some(failure(
            asked,
            &Failure::of(status, "HTTPInternalServerError", message),
        ))
    };
    Ok(match fault.kind {
        CallFaultKind::Latency => {
            tokio::time::sleep(Duration::from_millis(fault.milliseconds)).await;
            None
        }
        CallFaultKind::ServerError => failed(
            500,
            "Unexpected API Error. Please report this at http://bugs.launchpad.net/ and attach the API log if possible.",
        ),
        // What stands before the services answers for one that is away.
        CallFaultKind::Unavailable => {
            Some(plain(503, "No server is available to handle this request."))
        }
        CallFaultKind::TooMany => {
            let mut reply = failure(
                asked,
                &Failure::of(429, "HTTPTooManyRequests", "This request was rate-limited."),
            );
            reply
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
            Some(reply)
        }
        CallFaultKind::ResetBefore => return Err(Cut),
        CallFaultKind::Unauthorized => Some(failure(asked, &Failure::unauthorized())),
        // OpenStack's services have no such locks.
        CallFaultKind::LostLock | CallFaultKind::ResetAfter | CallFaultKind::ProxyTimeout => None,
    })
}

fn query(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (body::decode(name, true), body::decode(value, true))
        })
        .collect()
}

async fn exchange(shared: &Arc<Shared>, asked: &Asked, request: Request<Incoming>) -> Reply {
    let service = asked.service;
    if let Some((status, document)) = service
        .document(&asked.base, &asked.path)
        .filter(|_| asked.method == "GET")
    {
        return reply(status, &document, &[]);
    }
    let headers = request.headers().clone();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let version = match service.version(&headers) {
        Ok(version) => version,
        Err(refused) => return failure(asked, &refused),
    };
    let token = header("x-auth-token").unwrap_or_default().to_owned();
    let is_login =
        service == Service::Identity && asked.path == "/v3/auth/tokens" && asked.method == "POST";
    let caller = match is_login {
        true => Some(Caller::default()),
        false => shared.with(|world| keystone::caller(&world.openstack.ground, &token)),
    };
    let Some(caller) = caller else {
        return failure(asked, &Failure::unauthorized());
    };
    let Some((handler, placeholders)) = find(service, &asked.method, &asked.path) else {
        let path = format!("/{}{}", service.prefix(), asked.path);
        shared.count_missing(&asked.method, &path);
        return failure(
            asked,
            &Failure::not_served(format!("`{} {path}`", asked.method)),
        );
    };
    let sent = match receive(shared, asked, &headers, request).await {
        Ok(sent) => sent,
        Err(refused) => return failure(asked, &refused),
    };
    let subject = header("x-subject-token").map(str::to_owned);
    let outcome = shared.call(|world| {
        handler(&mut Call {
            world,
            caller,
            base: &asked.base,
            placeholders,
            query: asked.query.clone(),
            body: sent.body,
            version,
            upload: sent.upload.as_ref(),
            subject,
        })
    });
    if let Some(upload) = &sent.upload {
        // A file that was taken over is not there any more.
        let _ = std::fs::remove_file(&upload.path);
    }
    told(shared, asked, version, outcome)
}

fn told(shared: &Shared, asked: &Asked, version: Version, outcome: Outcome) -> Reply {
    let service = asked.service;
    let mut answered = match outcome {
        Ok(answer) => match file(&answer) {
            Some(file) => file,
            None => reply(answer.status, &answer.body, &answer.headers),
        },
        Err(refused) => {
            if refused.status == 501 {
                let path = format!("/{}{}", service.prefix(), asked.path);
                shared.count_missing(&asked.method, &path);
            }
            failure(asked, &refused)
        }
    };
    add_headers(&mut answered, &service.version_headers(version));
    answered
}

/// Answers with a file.
fn file(answer: &Answer) -> Option<Reply> {
    let content = std::fs::read(answer.file.as_ref()?).unwrap_or_default();
    let mut reply = Reply::new(Full::new(Bytes::from(content)));
    reply.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    Some(reply)
}

type Found = (Handler, std::collections::BTreeMap<String, String>);

/// Returns what a path leads to; a name in a template wins over a placeholder.
fn find(service: Service, method: &str, path: &str) -> Option<Found> {
    let routes = service.routes().iter().filter_map(|(name, handler)| {
        let (known, template) = name.split_once(' ')?;
        let placeholders = fit(template, path).filter(|_| known == method)?;
        Some((*handler, placeholders))
    });
    routes.min_by_key(|(_, placeholders)| placeholders.len())
}

/// What came with a call.
struct Sent {
    body: Value,
    upload: Option<Upload>,
}

async fn receive(
    shared: &Shared,
    asked: &Asked,
    headers: &HeaderMap,
    request: Request<Incoming>,
) -> Result<Sent, Failure> {
    let header = |name| {
        let value: Option<&HeaderValue> = headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let nothing = Sent {
        body: Value::Null,
        upload: None,
    };
    let length: u64 = header(CONTENT_LENGTH).parse().unwrap_or(0);
    if length == 0 && !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(nothing);
    }
    let media = header(CONTENT_TYPE)
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if asked.service == Service::Image && media == "application/octet-stream" {
        let lost =
            |error: Box<dyn std::error::Error + Send + Sync>| Failure::bad(error.to_string());
        let path = spool(shared, request).await.map_err(lost)?;
        let size = std::fs::metadata(&path)
            .map(|about| about.len())
            .unwrap_or(0);
        return Ok(Sent {
            upload: Some(Upload { path, size }),
            ..nothing
        });
    }
    if length > LARGEST {
        return Err(Failure::of(
            413,
            "HTTPRequestEntityTooLarge",
            "Request is too large.",
        ));
    }
    let is_patch = media.starts_with("application/openstack-images-v2.");
    if !media.is_empty() && media != "application/json" && !is_patch {
        return Err(Failure::of(
            415,
            "HTTPUnsupportedMediaType",
            format!("Unsupported Content-Type {media}"),
        ));
    }
    let collected = request.into_body().collect().await;
    let bytes = collected
        .map_err(|error| Failure::bad(error.to_string()))?
        .to_bytes();
    if bytes.is_empty() {
        return Ok(nothing);
    }
    let body =
        serde_json::from_slice(&bytes).map_err(|_| Failure::bad("Malformed request body"))?;
    Ok(Sent { body, ..nothing })
}

fn reply(status: u16, body: &Value, headers: &[(&'static str, String)]) -> Reply {
    let (content, kind) = match body {
        Value::Null => (String::new(), None),
        Value::String(html) => (html.clone(), Some("text/html; charset=UTF-8")),
        json => (json.to_string(), Some("application/json")),
    };
    let mut reply = Reply::new(Full::new(Bytes::from(content)));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(kind) = kind {
        reply
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    // Only who asks after a request by its id misses one.
    let id = Draw::secret_uuid().unwrap_or_default();
    add_headers(
        &mut reply,
        &[("x-openstack-request-id", format!("req-{id}"))],
    );
    add_headers(&mut reply, headers);
    reply
}

fn add_headers(reply: &mut Reply, headers: &[(&'static str, String)]) {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            reply
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
}

fn failure(asked: &Asked, refused: &Failure) -> Reply {
    let body = refused.body(asked.service, asked.takes_json);
    reply(refused.status, &body, &[])
}

/// Answers as what stands before the services does.
fn plain(status: u16, text: &str) -> Reply {
    let title = format!("{status} {}", reason(status));
    let html = format!("<html><body><h1>{title}</h1>\n{text}\n</body></html>\n");
    reply(status, &json!(html), &[])
}
