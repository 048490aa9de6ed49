//! One listener for each node, and one for the OpenStack; each call of a node is looked at in the order in which the real daemon
//! does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderValue, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::body::Upload;
use super::route::fit;
use super::{body, control, gate, respond};
use crate::faults::{CallFault, CallFaultKind};
use crate::lab::Shared;
use crate::openstack;
use crate::proxmox::{self, Call, Failure, Handler};
use crate::schema::check::{self, Errors, Given, Parameters};
use crate::schema::{Method, Permission, Schema};
use crate::world::access::Caller;
use crate::world::clock::http_date;
use crate::world::now;

/// The largest body of a call that is no upload.
const LARGEST: u64 = 512 * 1024;

/// The connection ends instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("the lab ends this connection")]
pub(crate) struct Cut;

pub(crate) type Reply = Response<Full<Bytes>>;

/// What a listener leads to.
#[derive(Clone, Debug)]
pub(crate) enum Entrance {
    /// A node of the cluster.
    Node(String),
    /// All services of the OpenStack.
    OpenStack,
}

impl Entrance {
    fn is_down(&self, shared: &Shared) -> bool {
        match self {
            Entrance::Node(node) => shared.is_down(node),
            Entrance::OpenStack => false,
        }
    }
}

/// Serves what a listener leads to, until the lab ends.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    entrance: Entrance,
    listener: TcpListener,
    acceptor: TlsAcceptor,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        if entrance.is_down(&shared) {
            continue;
        }
        let (shared, entrance, acceptor) = (shared.clone(), entrance.clone(), acceptor.clone());
        tokio::spawn(async move { connection(shared, entrance, stream, acceptor).await });
    }
}

async fn connection(
    shared: Arc<Shared>,
    entrance: Entrance,
    stream: TcpStream,
    acceptor: TlsAcceptor,
) {
    // It speeds answers up, and is no loss where it can't be had.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_secs(10), acceptor.accept(stream)).await
    else {
        return;
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let (shared, entrance) = (shared.clone(), entrance.clone());
        async move {
            if entrance.is_down(&shared) {
                return Err(Cut);
            }
            let node = match &entrance {
                Entrance::Node(node) => node,
                Entrance::OpenStack => return openstack::answer(&shared, request).await,
            };
            let mut reply = answer(&shared, node, request).await?;
            let date = http_date(shared.with(|world| world.clock_of(node)));
            if let Ok(date) = HeaderValue::from_str(&date) {
                reply.headers_mut().insert(DATE, date);
            }
            Ok(reply)
        }
    });
    // A client that goes away is no trouble of the lab.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A call as far as it is known before it is carried out.
struct Asked {
    method: String,
    /// Below `/api2/json`, without percent signs.
    path: String,
    query: String,
}

async fn answer(
    shared: &Arc<Shared>,
    node: &str,
    request: Request<Incoming>,
) -> Result<Reply, Cut> {
    let method = request.method().as_str().to_owned();
    let path = body::decode(request.uri().path(), false);
    if path.starts_with("/lab/") {
        return Ok(control::answer(shared, &method, &path, request).await);
    }
    if !shared.has_proxmox {
        let text = "this lab is no Proxmox VE";
        return Ok(respond::plain(501, text, text));
    }
    if !matches!(method.as_str(), "GET" | "POST" | "PUT" | "DELETE") {
        return Ok(respond::plain(
            501,
            &format!("method '{method}' not available"),
            "",
        ));
    }
    if request.headers().contains_key(TRANSFER_ENCODING) {
        let text = "chunked transfer encoding not supported";
        return Ok(respond::plain(501, text, text));
    }
    let below = path
        .strip_prefix("/api2/json")
        .filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let Some(below) = below else {
        let text = if path.starts_with("/api2/") {
            "no such uri"
        } else {
            "no such file"
        };
        return Ok(respond::plain(501, text, text));
    };
    let asked = Asked {
        path: format!("/{}", below.trim_matches('/')),
        query: request.uri().query().unwrap_or_default().to_owned(),
        method,
    };
    let faults = shared.meet(&asked.method, &asked.path);
    for fault in &faults {
        if let Some(instead) = before(shared, &asked, fault).await? {
            return Ok(instead);
        }
    }
    let reply = gate(shared, node, &asked, request).await;
    for fault in &faults {
        match fault.kind {
            CallFaultKind::ResetAfter => return Err(Cut),
            CallFaultKind::ProxyTimeout => {
                tokio::time::sleep(shared.scaled(30.0)).await;
                return Ok(respond::plain(596, "Connection timed out", ""));
            }
            _ => {}
        }
    }
    Ok(reply)
}

/// What a call meets before anything is done.
async fn before(shared: &Shared, asked: &Asked, fault: &CallFault) -> Result<Option<Reply>, Cut> {
    let is_write = asked.method != "GET";
    Ok(match fault.kind {
        CallFaultKind::Latency => {
            tokio::time::sleep(Duration::from_millis(fault.milliseconds)).await;
            None
        }
        CallFaultKind::ServerError => Some(respond::plain(500, "Internal Server Error", "")),
        CallFaultKind::Unavailable => Some(respond::plain(503, "Service Unavailable", "")),
        CallFaultKind::TooMany => Some(respond::too_many()),
        CallFaultKind::ResetBefore => return Err(Cut),
        CallFaultKind::Unauthorized => {
            tokio::time::sleep(shared.scaled(3.0)).await;
            Some(respond::plain(
                401,
                "permission denied - invalid PVE ticket",
                "",
            ))
        }
        CallFaultKind::LostLock if is_write => {
            Some(respond::failure(&Failure::Said(lock_of(&asked.path))))
        }
        CallFaultKind::LostLock | CallFaultKind::ResetAfter | CallFaultKind::ProxyTimeout => None,
    })
}

fn lock_of(path: &str) -> String {
    let mut parts = path.split('/').skip_while(|part| *part != "qemu").skip(1);
    match parts.next() {
        Some(vmid) => {
            format!("can't lock file '/var/lock/qemu-server/lock-{vmid}.conf' - got timeout")
        }
        None => "cfs-lock 'file-user_cfg' error: got lock request timeout".to_owned(),
    }
}

/// Finds out who calls, reads what was sent, and carries it out.
async fn gate(
    shared: &Arc<Shared>,
    node: &str,
    asked: &Asked,
    request: Request<Incoming>,
) -> Reply {
    let headers = request.headers().clone();
    let found = find(shared, &asked.method, &asked.path);
    let is_world = found
        .as_ref()
        .is_some_and(|found| matches!(found.described.permission, Permission::World));
    // A call that is for another node is handed on to it, and looked at there by that one's clock.
    let found = found.filter(|found| found.described.on_node);
    let other = found
        .and_then(|mut found| found.placeholders.remove("node"))
        .filter(|name| name != "localhost");
    let caller = shared.with(|world| {
        let caller = gate::caller(world, node, &asked.method, &headers)?;
        match &other {
            Some(other) => gate::caller(world, other, &asked.method, &headers),
            None => Ok(caller),
        }
    });
    let caller = match caller {
        Ok(caller) => caller,
        Err(_) if is_world => Caller::default(),
        Err(reason) => {
            tokio::time::sleep(shared.scaled(3.0)).await;
            return respond::plain(401, reason, "");
        }
    };
    let text = |value: Option<&HeaderValue>| {
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let length: u64 = text(headers.get(CONTENT_LENGTH)).parse().unwrap_or(0);
    let mut sent = body::form(&asked.query);
    let mut upload = None;
    if length > 0 {
        if !matches!(asked.method.as_str(), "PUT" | "POST") {
            let text = format!("Unexpected content for method '{}'", asked.method);
            return respond::plain(501, &text, &text);
        }
        let kind = text(headers.get(CONTENT_TYPE));
        match receive(shared, asked, request, length, &kind).await {
            Ok((more, file)) => {
                let new = more
                    .into_iter()
                    .filter(|(name, _)| !sent.contains_key(name))
                    .collect::<Vec<_>>();
                sent.extend(new);
                upload = file;
            }
            Err(reply) => return *reply,
        }
    }
    let reply = carry_out(shared, node, asked, &caller, sent, upload.as_ref()).await;
    if let Some(upload) = upload {
        // The task has taken it along, where the call gave one.
        if reply.status() != 200 {
            let _ = std::fs::remove_file(&upload.path);
        }
    }
    reply
}

type Received = (body::Sent, Option<Upload>);

/// Reads a body.
async fn receive(
    shared: &Shared,
    asked: &Asked,
    request: Request<Incoming>,
    length: u64,
    kind: &str,
) -> Result<Received, Box<Reply>> {
    let plain = |status, text: &str| Box::new(respond::plain(status, text, text));
    let media = kind.split(';').next().unwrap_or_default().trim();
    let is_upload = asked.path.ends_with("/upload") && asked.method == "POST";
    if is_upload {
        let boundary = kind
            .split(';')
            .map(str::trim)
            .find_map(|part| part.strip_prefix("boundary="));
        let Some(boundary) = boundary.filter(|_| media == "multipart/form-data") else {
            return Err(plain(
                501,
                &format!("upload 'Content-Type '{kind}' not implemented"),
            ));
        };
        let path = spool(shared, request)
            .await
            .map_err(|error| plain(500, &error.to_string()))?;
        let boundary = boundary.trim_matches('"').to_owned();
        let taken = tokio::task::spawn_blocking({
            let path = path.clone();
            move || body::multipart(&path, &boundary)
        });
        let taken = taken.await.unwrap_or_else(|error| Err(error.to_string()));
        // What it held is in a file of its own now.
        let _ = tokio::fs::remove_file(&path).await;
        return taken.map_err(|text| plain(500, &text));
    }
    if length > LARGEST {
        return Err(plain(501, "for data too large"));
    }
    if !matches!(
        media,
        "" | "application/x-www-form-urlencoded" | "application/json"
    ) {
        return Err(plain(
            506,
            &format!("upload 'Content-Type '{kind}' not implemented"),
        ));
    }
    let bytes = request
        .into_body()
        .collect()
        .await
        .map_err(|error| plain(400, &error.to_string()))?
        .to_bytes();
    if media == "application/json" {
        let sent = body::json(&bytes).map_err(|text| plain(500, &text))?;
        return Ok((sent, None));
    }
    Ok((body::form(&String::from_utf8_lossy(&bytes)), None))
}

/// Writes a body to a file as it comes.
pub(crate) async fn spool(
    shared: &Shared,
    request: Request<Incoming>,
) -> Result<PathBuf, Box<dyn std::error::Error + Send + Sync>> {
    let path = shared.new_file();
    let mut file = tokio::fs::File::create(&path).await?;
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            file.write_all(data).await?;
        }
    }
    file.flush().await?;
    Ok(path)
}

/// A method that a path leads to.
struct Found {
    template: &'static str,
    handler: Handler,
    described: &'static Method,
    placeholders: BTreeMap<String, String>,
}

fn find(shared: &Shared, method: &str, path: &str) -> Option<Found> {
    // A name in the template wins over a placeholder.
    let mut found: Vec<_> = shared
        .served
        .iter()
        .filter(|served| served.method == method)
        .filter_map(|served| Some((served, fit(served.path, path)?)))
        .collect();
    found.sort_by_key(|(served, placeholders)| {
        (placeholders.len(), std::cmp::Reverse(served.path.len()))
    });
    let (served, placeholders) = found.into_iter().next()?;
    Some(Found {
        template: served.path,
        handler: served.handler,
        described: Schema::of(shared.release).method(&format!("{method} {}", served.path))?,
        placeholders,
    })
}

async fn carry_out(
    shared: &Arc<Shared>,
    node: &str,
    asked: &Asked,
    caller: &Caller,
    sent: body::Sent,
    upload: Option<&Upload>,
) -> Reply {
    let Some(found) = find(shared, &asked.method, &asked.path) else {
        shared.count_missing(&asked.method, &asked.path);
        return respond::not_implemented(&asked.method, &asked.path);
    };
    if caller.token.is_some() && !found.described.by_token {
        let text = format!(
            "Permission check failed - {} {} not available with API token, need proper ticket",
            asked.method, found.template
        );
        return respond::failure(&Failure::Permission(text));
    }
    let mut parameters = Parameters(sent);
    for (name, value) in &found.placeholders {
        let again = parameters.0.insert(name.clone(), Given::One(value.clone()));
        if again.is_some_and(|again| again != Given::One(value.clone())) {
            let errors = Errors::one(
                name,
                "duplicate parameter (already defined in URI) with conflicting values!",
            );
            return respond::failure(&Failure::Parameters(errors));
        }
    }
    if let Some(reply) = shared
        .elsewhere(node, &found.placeholders, found.described.on_node)
        .await
    {
        return reply;
    }
    let deadline = Instant::now() + shared.scaled(10.0);
    loop {
        let outcome = shared.call(|world| {
            let mut call = Call {
                world,
                caller: caller.clone(),
                parameters: parameters.clone(),
                entry: node,
                upload,
            };
            proxmox::allow(&call, found.described)?;
            check::check(found.described, &mut call.parameters).map_err(Failure::Parameters)?;
            (found.handler)(&mut call)
        });
        match outcome {
            Ok(answer) => return respond::answer(answer),
            Err(Failure::Busy(_)) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(Failure::Asks { vmid, command }) => {
                return match shared.ask_agent(vmid, command).await {
                    Ok(told) => respond::answer(told),
                    Err(failure) => respond::failure(&failure),
                };
            }
            Err(failure) => {
                if matches!(failure, Failure::Login(_)) {
                    tokio::time::sleep(shared.scaled(3.0)).await;
                }
                return respond::failure(&failure);
            }
        }
    }
}

impl Shared {
    /// Whether a node answers nobody.
    pub(crate) fn is_down(&self, node: &str) -> bool {
        self.with(|world| !world.is_up(node))
    }

    /// How long something takes here that takes so many seconds in life.
    pub(crate) fn scaled(&self, seconds: f64) -> Duration {
        Duration::from_millis(self.with(|world| world.scaled(seconds)))
    }

    /// Returns what a call meets.
    pub(crate) fn meet(&self, method: &str, path: &str) -> Vec<CallFault> {
        self.change(|world| {
            if world.cluster.faults.calls.is_empty() {
                return Vec::new();
            }
            world.cluster.faults.of_call(method, path)
        })
    }

    /// Answers for a node of the path that can't be reached.
    async fn elsewhere(
        &self,
        entry: &str,
        placeholders: &BTreeMap<String, String>,
        on_node: bool,
    ) -> Option<Reply> {
        let name = placeholders
            .get("node")
            .filter(|name| on_node && *name != entry && *name != "localhost")?;
        let is_known = self.with(|world| world.cluster.nodes.contains_key(name));
        if !is_known {
            let text = format!(
                "hostname lookup '{name}' failed - failed to get address info for: {name}: Temporary failure in name resolution"
            );
            return Some(respond::failure(&Failure::Said(text)));
        }
        if !self.is_down(name) {
            return None;
        }
        tokio::time::sleep(self.scaled(3.0)).await;
        let is_even = (now() / 1000).is_multiple_of(2);
        Some(respond::plain(
            595,
            if is_even {
                "No route to host"
            } else {
                "Connection timed out"
            },
            "",
        ))
    }
}
