//! A cloud for tests: one port that speaks plain HTTP, keeps each request and answers by what it hears.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) use dmp_cloud::testing::Heard;
use dmp_cloud::testing::hear;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::{Domain, Login, Method, Named, Reach, Scope, Secret, Session, Trust};

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Status, more headers, body.
    Says(u16, Vec<(&'static str, String)>, Json),
    /// The connection is closed without a word.
    Breaks,
}

pub(crate) fn says(status: u16, body: Json) -> Reply {
    Reply::Says(status, Vec::new(), body)
}

pub(crate) struct Server {
    pub url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Server {
    /// Answers logins and versions itself, all else by what it hears.
    pub(crate) async fn cloud(answer: impl Fn(&Heard) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let url = format!("http://127.0.0.1:{port}");
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let (kept, answer, base) = (Arc::clone(&heard), Arc::new(answer), url.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, answer, base) = (Arc::clone(&kept), Arc::clone(&answer), base.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = hear(&mut stream).await {
                        let logins = {
                            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                            kept.push(request.clone());
                            kept.iter()
                                .filter(|heard| heard.line.contains("/auth/tokens"))
                                .count()
                        };
                        let reply = match known(&base, &request, logins) {
                            Some(reply) => reply,
                            None => answer(&request),
                        };
                        let Reply::Says(status, headers, body) = reply else {
                            return;
                        };
                        let body = match body {
                            Json::Null => String::new(),
                            body => body.to_string(),
                        };
                        let mut text =
                            format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
                        for (name, value) in headers {
                            text.push_str(&format!("{name}: {value}\r\n"));
                        }
                        text.push_str("\r\n");
                        text.push_str(&body);
                        if stream.write_all(text.as_bytes()).await.is_err() {
                            return;
                        }
                        let _ = stream.flush().await;
                    }
                });
            }
        });
        Self { url, heard }
    }

    pub(crate) fn heard(&self, part: &str) -> Vec<Heard> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard
            .iter()
            .filter(|heard| heard.line.contains(part))
            .cloned()
            .collect()
    }

    /// A session with it.
    pub(crate) fn session(&self) -> Session {
        Session::new(self.reach()).expect("a session")
    }

    pub(crate) fn reach(&self) -> Reach {
        Reach {
            auth_url: format!("{}/identity/v3", self.url),
            login: Login {
                method: Method::Password {
                    user: Named::Name("u".into(), Some(Domain::Id("default".into()))),
                    password: Secret("hunter2".into()),
                },
                scope: Scope::Project(Named::Id("p".into())),
            },
            region: None,
            interface: "public".into(),
            overrides: std::collections::BTreeMap::new(),
            trust: Trust::System,
            identity: None,
            request: Duration::from_secs(4),
            at_once: 2,
        }
    }
}

/// Logins and versions.
fn known(base: &str, heard: &Heard, logins: usize) -> Option<Reply> {
    if heard.line.starts_with("POST /identity/v3/auth/tokens") {
        let endpoint = |kind: &str, path: &str| json!({ "type": kind, "endpoints": [{ "interface": "public", "region_id": "R", "url": format!("{base}{path}") }] });
        let catalog = json!([
            endpoint("compute", "/compute"),
            endpoint("network", "/network"),
            endpoint("image", "/image"),
            endpoint("volumev3", "/volume/v3/p"),
            endpoint("dns", "/dns"),
            endpoint("load-balancer", "/load-balancer"),
            endpoint("object-store", "/store/v1/AUTH_p"),
            endpoint("sharev2", "/share/v2")
        ]);
        let body = json!({ "token": {
            "user": { "id": "user" }, "project": { "id": "p" }, "catalog": catalog, "roles": [],
            "issued_at": "2026-01-01T00:00:00.0Z", "expires_at": "2026-01-01T12:00:00.0Z",
        } });
        return Some(Reply::Says(
            201,
            vec![("X-Subject-Token", format!("token-{logins}"))],
            body,
        ));
    }
    if heard.line.starts_with("GET /compute/v2.1/ ") {
        return Some(says(
            200,
            json!({ "version": { "id": "v2.1", "min_version": "2.1", "version": "2.79" } }),
        ));
    }
    if heard.line.starts_with("GET /share/v2/ ") {
        return Some(says(
            200,
            json!({ "versions": [{ "id": "v2.0", "min_version": "2.0", "version": "2.60" }] }),
        ));
    }
    if heard.line.starts_with("GET /volume/v3/ ") {
        return Some(says(
            200,
            json!({ "versions": [{ "id": "v3.0", "min_version": "3.0", "version": "3.62" }] }),
        ));
    }
    None
}
