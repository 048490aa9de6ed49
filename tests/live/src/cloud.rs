//! An OpenStack as a stranger sees it, the one that `cargo xtask live openstack` has started or the lab's: by requests of its own, and
//! by the stock command line. Nothing of the provider under test is used.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value as Json, json};

/// A project of that cloud, with the rights of one of its clouds in `clouds.yaml`.
#[derive(Clone, Debug)]
pub struct Cloud {
    clouds: PathBuf,
    name: String,
    session: Arc<Mutex<Option<Session>>>,
}

#[derive(Clone, Debug)]
struct Session {
    token: String,
    ca: Option<String>,
    project: String,
    user: String,
    services: BTreeMap<String, String>,
}

/// An answer: its status and its body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body; null where there is none.
    pub body: Json,
    token: Option<String>,
}

impl Cloud {
    /// Returns the project of the tests, or with `admin` the administrator's.
    ///
    /// # Panics
    ///
    /// If no cloud was started: these tests are started by `cargo xtask live openstack`.
    #[must_use]
    pub fn of_this_suite(name: &str) -> Self {
        let clouds = env::var_os("DMP_LIVE_CLOUDS");
        let clouds = clouds.expect("started by `cargo xtask live openstack`, which starts a cloud");
        Self::of(clouds.into(), name)
    }

    /// Returns a project of a cloud of a `clouds.yaml`, by a user and a password.
    #[must_use]
    pub fn of(clouds: PathBuf, name: &str) -> Self {
        Self {
            clouds,
            name: name.to_owned(),
            session: Arc::default(),
        }
    }

    /// Returns where its `clouds.yaml` is.
    #[must_use]
    pub fn clouds(&self) -> &PathBuf {
        &self.clouds
    }

    /// Returns its name in there.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns one setting of its login, such as `auth_url`.
    ///
    /// # Panics
    ///
    /// If the file does not have it.
    #[must_use]
    pub fn setting(&self, name: &str) -> String {
        let setting = &self.settings()["auth"][name];
        setting.as_str().expect("clouds.yaml has it").to_owned()
    }

    /// Returns its region, where it names one.
    #[must_use]
    pub fn region(&self) -> Option<String> {
        let settings = self.settings();
        settings["region_name"].as_str().map(ToOwned::to_owned)
    }

    /// Returns the certificate that those of its services are signed by, where it names one.
    ///
    /// # Panics
    ///
    /// If the file that it names can't be read.
    #[must_use]
    pub fn ca(&self) -> Option<String> {
        let settings = self.settings();
        let path = settings["cacert"].as_str()?;
        Some(fs::read_to_string(path).expect("the authority can be read"))
    }

    fn settings(&self) -> Json {
        let text = fs::read_to_string(&self.clouds).expect("clouds.yaml can be read");
        let mut all: Json = serde_yaml_ng::from_str(&text).expect("clouds.yaml is YAML");
        all["clouds"][&self.name].take()
    }

    fn session(&self) -> Session {
        let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = held.as_ref() {
            return session.clone();
        }
        let of = |kind: &str| json!({ "name": self.setting(kind) });
        let domain = json!({ "name": "Default" });
        let mut user = of("username");
        user["domain"] = domain.clone();
        user["password"] = json!(self.setting("password"));
        let mut project = of("project_name");
        project["domain"] = domain;
        let body = json!({ "auth": {
            "identity": { "methods": ["password"], "password": { "user": user } }, "scope": { "project": project } } });
        let url = format!("{}/auth/tokens", self.setting("auth_url"));
        let ca = self.ca();
        let answer = exchange("POST", &url, ca.as_deref(), None, &body);
        assert_eq!(answer.status, 201, "the stranger logs in: {answer:?}");
        let token = &answer.body["token"];
        let project = token["project"]["id"]
            .as_str()
            .expect("a project")
            .to_owned();
        let user = token["user"]["id"].as_str().expect("a user").to_owned();
        let region = self.region();
        let services = token["catalog"].as_array().into_iter().flatten();
        let services = services.filter_map(|service| {
            let endpoint = service["endpoints"]
                .as_array()?
                .iter()
                .filter(|one| one["interface"] == "public")
                .find(|one| {
                    region
                        .as_ref()
                        .is_none_or(|it| one["region_id"] == it.as_str())
                })?;
            Some((
                service["type"].as_str()?.to_owned(),
                endpoint["url"].as_str()?.to_owned(),
            ))
        });
        let session = Session {
            token: answer.token.clone().expect("a token"),
            ca,
            project,
            user,
            services: services.collect(),
        };
        *held = Some(session.clone());
        session
    }

    /// Returns the project's id.
    #[must_use]
    pub fn project(&self) -> String {
        self.session().project
    }

    /// Returns the id of the user.
    #[must_use]
    pub fn user(&self) -> String {
        self.session().user
    }

    /// Asks a service by the type that its catalog has: `compute`, `network`, `block-storage`, `dns`; of `user`, what in Keystone is
    /// the user's own.
    ///
    /// # Panics
    ///
    /// If the catalog has no such service, or there is no answer.
    #[must_use]
    pub fn ask(&self, method: &str, service: &str, path: &str, body: &Json) -> Answer {
        let session = self.session();
        let kind = if service == "user" {
            "identity"
        } else {
            service
        };
        let base = session
            .services
            .get(kind)
            .unwrap_or_else(|| panic!("no service `{service}`"));
        let version = match service {
            "network" if !base.ends_with("/v2.0") => "/v2.0".to_owned(),
            "image" | "dns" | "load-balancer" if !base.ends_with("/v2") => "/v2".to_owned(),
            "user" => format!("/users/{}", session.user),
            "shared-file-system" => format!("/{}", session.project),
            _ => String::new(),
        };
        exchange(
            method,
            &format!("{base}{version}{path}"),
            session.ca.as_deref(),
            Some(&session.token),
            body,
        )
    }

    /// Reads, which has to succeed.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[must_use]
    pub fn get(&self, service: &str, path: &str) -> Json {
        let answer = self.ask("GET", service, path, &Json::Null);
        assert!(answer.status < 300, "GET {path}: {answer:?}");
        answer.body
    }

    /// Writes, which has to succeed.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn write(&self, method: &str, service: &str, path: &str, body: &Json) -> Json {
        let answer = self.ask(method, service, path, body);
        assert!(answer.status < 300, "{method} {path} {body}: {answer:?}");
        answer.body
    }

    /// Removes something and waits until it is gone; what is gone already is no error.
    ///
    /// # Panics
    ///
    /// If it is not gone within a minute.
    pub fn remove(&self, service: &str, path: &str) {
        let until = Instant::now() + Duration::from_secs(60);
        let mut answer = self.ask("DELETE", service, path, &Json::Null);
        loop {
            if answer.status == 404 {
                return;
            }
            let there = self.ask("GET", service, path, &Json::Null);
            if there.status == 404 {
                return;
            }
            assert!(
                Instant::now() < until,
                "DELETE {path}: {answer:?}, and it is still there: {there:?}"
            );
            thread::sleep(Duration::from_millis(200));
            // What was accepted is not asked for again: Octavia trips over a second delete of what just goes.
            if answer.status >= 300 {
                answer = self.ask("DELETE", service, path, &Json::Null);
            }
        }
    }

    /// Waits until something is so.
    ///
    /// # Panics
    ///
    /// If it is not within a minute.
    pub fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < until, "not within a minute: {what}");
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Runs the stock command line, which has to succeed; returns what it prints.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn openstack(&self, words: &[&str]) -> String {
        let output = Command::new("openstack")
            .args(words)
            .env("OS_CLIENT_CONFIG_FILE", &self.clouds)
            .env("OS_CLOUD", &self.name)
            .output()
            .expect("`openstack` starts");
        assert!(
            output.status.success(),
            "openstack {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// One request. What fails in passing is asked again: nothing was done then.
fn exchange(method: &str, url: &str, ca: Option<&str>, token: Option<&str>, body: &Json) -> Answer {
    for _ in 0..50 {
        let answer = once(method, url, ca, token, body);
        if !matches!(answer.status, 429 | 503) {
            return answer;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("{method} {url} fails again and again");
}

/// Reads and writes.
trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// A connection: by TLS where the address says so, which takes an authority.
fn connect(url: &str, host: &str, ca: Option<&str>) -> Box<dyn Stream> {
    let stream = TcpStream::connect(host).unwrap_or_else(|error| panic!("{host}: {error}"));
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).expect("a timeout");
    if url.starts_with("http://") {
        return Box::new(stream);
    }
    let mut roots = RootCertStore::empty();
    let ca = ca.expect("a cloud with TLS names its authority");
    let authority = CertificateDer::from_pem_slice(ca.as_bytes()).expect("a certificate");
    roots.add(authority).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, _)| name)
        .to_owned();
    let name = ServerName::try_from(name).expect("the name of a host");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    Box::new(StreamOwned::new(session, stream))
}

/// One request over a connection of its own.
fn once(method: &str, url: &str, ca: Option<&str>, token: Option<&str>, body: &Json) -> Answer {
    let (_, rest) = url.split_once("://").expect("an address");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let body = match body {
        Json::Null => String::new(),
        body => body.to_string(),
    };
    let token = token
        .map(|token| format!("X-Auth-Token: {token}\r\n"))
        .unwrap_or_default();
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAccept: application/json\r\n\
         OpenStack-API-Version: compute 2.90, volume 3.60\r\nX-OpenStack-Manila-API-Version: 2.65\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n{token}\r\n{body}",
        body.len()
    );
    let mut stream = connect(url, host, ca);
    stream.write_all(request.as_bytes()).expect("it is sent");
    stream.flush().expect("it is sent");
    let mut bytes = Vec::new();
    // One may end a connection without saying so within TLS.
    let read = stream.read_to_end(&mut bytes);
    if bytes.is_empty() {
        read.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
    }
    let text = String::from_utf8_lossy(&bytes);
    let (head, rest) = text.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    };
    let body = match header("Transfer-Encoding") {
        Some(_) => unchunked(rest),
        None => rest.to_owned(),
    };
    Answer {
        status: status.expect("an answer has a status"),
        body: serde_json::from_str(&body).unwrap_or_default(),
        token: header("X-Subject-Token"),
    }
}

fn unchunked(text: &str) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let (Some(chunk), Some(after)) = (more.get(..size), more.get(size..)) else {
            break;
        };
        if size == 0 {
            break;
        }
        whole.push_str(chunk);
        rest = after.trim_start_matches("\r\n");
    }
    whole
}
