//! A proxy between dmp and an API server, inside the lab's network: it counts what is asked, by verb and kind, and makes
//! faults on demand. It has a certificate of its own authority, and logs in at the server by the kubeconfig's client
//! certificate, so nobody has to switch off a check.
//!
//! One request is one connection: what follows the head of a request or of an answer is passed on byte by byte.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use serde_yaml_ng::Value as Yaml;

use crate::Lab;

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Which kinds there are.
    Discover,
    /// All objects of a kind.
    List,
    /// One object.
    Get,
    /// An apply that changes nothing.
    DryRun,
    /// An apply, or another patch.
    Apply,
    /// A delete.
    Delete,
    /// Anything else.
    Other,
}

/// A request that came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What it wants.
    pub verb: Verb,
    /// Of what: `deployments`.
    pub kind: String,
    /// Which one, if of one.
    pub name: String,
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends before the request is passed on.
    Reset,
    /// 429, with so many seconds of Retry-After.
    Busy(u64),
    /// 500.
    Broken,
    /// No answer, and no end.
    Hang,
    /// The request is carried out, and its answer is lost.
    LostAnswer,
}

/// The proxy. It ends with the test's process.
pub struct Proxy {
    port: u16,
    authority: String,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    client: Arc<ClientConfig>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    /// What is to go wrong: how often, with what, and how.
    faults: Vec<(usize, Verb, Fault)>,
    happened: usize,
    is_dead: bool,
}

impl Proxy {
    /// Starts one before the API server of a kubeconfig.
    ///
    /// # Panics
    /// If the kubeconfig is not one with a client certificate, or nothing can be listened on.
    #[must_use]
    pub fn before(lab: &Lab, kubeconfig: &str) -> Self {
        let kubeconfig: Yaml = serde_yaml_ng::from_str(kubeconfig).expect("a kubeconfig");
        let cluster = &kubeconfig["clusters"][0]["cluster"];
        let user = &kubeconfig["users"][0]["user"];
        let pem = |value: &Yaml| {
            STANDARD
                .decode(value.as_str().expect("a text"))
                .expect("base64")
        };
        let mut roots = RootCertStore::empty();
        for authority in
            CertificateDer::pem_slice_iter(&pem(&cluster["certificate-authority-data"]))
        {
            roots.add(authority.expect("PEM")).expect("a certificate");
        }
        let certificates = pem(&user["client-certificate-data"]);
        let certificates = CertificateDer::pem_slice_iter(&certificates)
            .collect::<Result<Vec<_>, _>>()
            .expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(&pem(&user["client-key-data"])).expect("a key");
        let client = ClientConfig::builder_with_provider(crypto())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates, key)
            .expect("the key fits");
        let server = cluster["server"].as_str().expect("an address");
        let (authority, tls) = identity();
        let shared = Arc::new(Shared {
            upstream: server.trim_start_matches("https://").to_owned(),
            client: Arc::new(client),
            state: Mutex::default(),
        });
        let port = listen(lab, &shared, tls);
        Self {
            port,
            authority,
            shared,
        }
    }

    /// A kubeconfig that leads to the proxy. It holds no secret: the proxy logs in.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1
kind: Config
current-context: proxy
clusters: [{{ name: proxy, cluster: {{ server: \"https://127.0.0.1:{}\", certificate-authority-data: {} }} }}]
users: [{{ name: proxy, user: {{}} }}]
contexts: [{{ name: proxy, context: {{ cluster: proxy, user: proxy }} }}]
",
            self.port,
            STANDARD.encode(&self.authority)
        )
    }

    /// Makes the next so many requests of a kind go wrong.
    pub fn fail(&self, times: usize, verb: Verb, fault: Fault) {
        self.state().faults.push((times, verb, fault));
    }

    /// Nothing goes wrong any more. Says how many faults happened since the last time.
    pub fn heal(&self) -> usize {
        let mut state = self.state();
        state.faults.clear();
        state.is_dead = false;
        std::mem::take(&mut state.happened)
    }

    /// From now on nobody answers.
    pub fn die(&self) {
        self.state().is_dead = true;
    }

    /// What came by since the last time this was asked, but for discovery.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        let mut asked = std::mem::take(&mut self.state().asked);
        asked.retain(|asked| asked.verb != Verb::Discover);
        asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a request, and says what is to go wrong with it.
    fn note(&self, asked: Asked) -> Option<Fault> {
        let mut state = self.state();
        let verb = asked.verb;
        state.asked.push(asked);
        let (left, _, fault) = state
            .faults
            .iter_mut()
            .find(|(left, wanted, _)| *left > 0 && *wanted == verb)?;
        *left -= 1;
        let fault = *fault;
        state.happened += 1;
        Some(fault)
    }
}

fn crypto() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// An authority's certificate, and a server's identity by it.
fn identity() -> (String, Arc<ServerConfig>) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&key).expect("a certificate");
    let issuer = rcgen::Issuer::new(parameters, key);
    let server_key = rcgen::KeyPair::generate().expect("a key");
    let parameters =
        rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let certificate = parameters
        .signed_by(&server_key, &issuer)
        .expect("a certificate");
    let key = PrivateKeyDer::try_from(server_key.serialize_der()).expect("a key");
    let server = ServerConfig::builder_with_provider(crypto())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("the key fits");
    (authority.pem(), Arc::new(server))
}

/// Listens in the lab's network. Threads live in the network of the one that started them.
fn listen(lab: &Lab, shared: &Arc<Shared>, tls: Arc<ServerConfig>) -> u16 {
    let namespace = format!("/run/netns/{}", lab.value("netns"));
    let shared = Arc::clone(shared);
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let namespace = File::open(namespace).expect("the lab has a network");
        rustix::thread::move_into_link_name_space(namespace.as_fd(), None)
            .expect("root may enter it");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("a port").port();
        tell.send(port).expect("it is waited for");
        for connection in listener.incoming().flatten() {
            let (shared, tls) = (Arc::clone(&shared), Arc::clone(&tls));
            // A connection that breaks is the other side's to notice.
            thread::spawn(move || drop(serve(&shared, tls, connection)));
        }
    });
    told.recv().expect("it listens")
}

fn serve(shared: &Shared, tls: Arc<ServerConfig>, connection: TcpStream) -> io::Result<()> {
    if shared.state().is_dead {
        return connection.shutdown(Shutdown::Both);
    }
    let ending = connection.try_clone()?;
    let mut near = StreamOwned::new(
        ServerConnection::new(tls).map_err(io::Error::other)?,
        connection,
    );
    let mut request = Vec::new();
    let end = loop {
        if let Some(end) = find(&request, b"\r\n\r\n") {
            break end;
        }
        if !read_more(&mut near, &mut request)? {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    let length = header(&head, "content-length").and_then(|length| length.parse().ok());
    let whole = end + 4 + length.unwrap_or(0);
    while request.len() < whole {
        if !read_more(&mut near, &mut request)? {
            return Ok(());
        }
    }
    let fault = shared.note(understand(&head));
    match fault {
        Some(Fault::Reset) => return ending.shutdown(Shutdown::Both),
        Some(Fault::Hang) => {
            thread::sleep(Duration::from_secs(600));
            return Ok(());
        }
        Some(Fault::Busy(seconds)) => {
            let more = format!("Retry-After: {seconds}\r\n");
            return answer(
                &mut near,
                "429 Too Many Requests",
                &more,
                "too many requests",
            );
        }
        Some(Fault::Broken) => {
            return answer(&mut near, "500 Internal Server Error", "", "out of order");
        }
        Some(Fault::LostAnswer) | None => {}
    }
    let mut far = upstream(shared)?;
    far.write_all(alone(&head, &shared.upstream).as_bytes())?;
    far.write_all(&request[end + 4..whole])?;
    far.flush()?;
    let mut part = [0; 16 * 1024];
    loop {
        // A server that closes without a word of farewell has still said everything.
        let length = far.read(&mut part).unwrap_or(0);
        if fault == Some(Fault::LostAnswer) && length > 0 {
            return ending.shutdown(Shutdown::Both);
        }
        if length == 0 {
            near.conn.send_close_notify();
            return near.flush();
        }
        near.write_all(&part[..length])?;
    }
}

fn upstream(shared: &Shared) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let (host, _) = shared.upstream.rsplit_once(':').unwrap_or_default();
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let client = ClientConnection::new(Arc::clone(&shared.client), name);
    let connection = TcpStream::connect(&shared.upstream)?;
    Ok(StreamOwned::new(
        client.map_err(io::Error::other)?,
        connection,
    ))
}

fn read_more(from: &mut impl Read, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut part = [0; 16 * 1024];
    let length = from.read(&mut part)?;
    into.extend(&part[..length]);
    Ok(length > 0)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The head of a request that is the only one of its connection.
fn alone(head: &str, host: &str) -> String {
    let mut lines = head.split("\r\n");
    let mut text = format!("{}\r\n", lines.next().unwrap_or_default());
    for line in lines {
        let name = line.split(':').next().unwrap_or_default();
        if !name.eq_ignore_ascii_case("connection") && !name.eq_ignore_ascii_case("host") {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    text + &format!("Host: {host}\r\nConnection: close\r\n\r\n")
}

fn answer(to: &mut impl Write, status: &str, more: &str, words: &str) -> io::Result<()> {
    write!(
        to,
        "HTTP/1.1 {status}\r\n{more}Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{words}",
        words.len()
    )?;
    to.flush()
}

/// What a request wants, by its method and path: `/api/v1/namespaces/default/configmaps/web`, `/apis/GROUP/VERSION/…`.
fn understand(head: &str) -> Asked {
    let mut words = head.split_whitespace();
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let version = match parts.next() {
        Some("apis") => 2,
        _ => 1,
    };
    let mut parts: Vec<&str> = parts.skip(version).collect();
    if parts.len() > 2 && parts[0] == "namespaces" {
        parts.drain(..2);
    }
    let (kind, name) = (
        parts.first().copied().unwrap_or_default(),
        parts.get(1).copied().unwrap_or_default(),
    );
    let verb = match (method, kind.is_empty(), name.is_empty()) {
        ("GET", true, _) => Verb::Discover,
        ("GET", false, true) => Verb::List,
        ("GET", false, false) => Verb::Get,
        ("PATCH", ..) if query.contains("dryRun=All") => Verb::DryRun,
        ("PATCH", ..) => Verb::Apply,
        ("DELETE", ..) => Verb::Delete,
        _ => Verb::Other,
    };
    Asked {
        verb,
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        for (line, verb, kind, name) in [
            ("GET /apis/apps/v1 HTTP/1.1", Verb::Discover, "", ""),
            (
                "GET /api/v1/namespaces?limit=500 HTTP/1.1",
                Verb::List,
                "namespaces",
                "",
            ),
            (
                "GET /api/v1/namespaces/a HTTP/1.1",
                Verb::Get,
                "namespaces",
                "a",
            ),
            (
                "GET /apis/apps/v1/deployments HTTP/1.1",
                Verb::List,
                "deployments",
                "",
            ),
            (
                "PATCH /apis/apps/v1/namespaces/a/deployments/web?dryRun=All HTTP/1.1",
                Verb::DryRun,
                "deployments",
                "web",
            ),
            (
                "PATCH /api/v1/namespaces/a/configmaps/c?fieldManager=dmp HTTP/1.1",
                Verb::Apply,
                "configmaps",
                "c",
            ),
        ] {
            let asked = understand(line);
            assert_eq!(
                (asked.verb, asked.kind.as_str(), asked.name.as_str()),
                (verb, kind, name),
                "{line}"
            );
        }
    }

    #[test]
    fn a_request_goes_on_alone() {
        let head = "GET / HTTP/1.1\r\nhost: 127.0.0.1:9\r\nConnection: keep-alive\r\nAccept: x";
        assert_eq!(
            alone(head, "10.0.0.1:6443"),
            "GET / HTTP/1.1\r\nAccept: x\r\nHost: 10.0.0.1:6443\r\nConnection: close\r\n\r\n"
        );
    }
}
