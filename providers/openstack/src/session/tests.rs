//! The session against a cloud of these tests: logins, versions, what is repeated and what is not, pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::server::{Reply, Server, says};
use super::{ApiError, Listing, Service, Trust, Verb};

/// Answers differently each time: the first, the second, and for ever the last.
fn in_turn(replies: Vec<Reply>) -> impl Fn(&super::server::Heard) -> Reply + Send + Sync {
    let count = AtomicUsize::new(0);
    move |_| {
        let at = count.fetch_add(1, Ordering::SeqCst);
        replies[at.min(replies.len() - 1)].clone()
    }
}

#[tokio::test]
async fn a_token_is_fetched_once_however_many_ask_for_it() {
    let server = Server::cloud(|_| says(200, json!({}))).await;
    let session = Arc::new(server.session());
    let asked = (0..20).map(|_| {
        let session = Arc::clone(&session);
        async move { session.get(Service::Network, "/networks").await }
    });
    for answer in futures::future::join_all(asked).await {
        answer.expect("an answer");
    }
    assert_eq!(server.heard("/auth/tokens").len(), 1);
    assert_eq!(
        server.heard("/networks")[0].header("X-Auth-Token"),
        Some("token-1")
    );
}

#[tokio::test]
async fn versions_are_negotiated_for_each_service() {
    let server = Server::cloud(|_| says(200, json!({}))).await;
    let session = server.session();
    for (service, path) in [
        (Service::Compute, "/servers"),
        (Service::BlockStorage, "/volumes"),
        (Service::Network, "/networks"),
    ] {
        session.get(service, path).await.expect("an answer");
    }
    let version = |path: &str| {
        server.heard(path)[0]
            .header("OpenStack-API-Version")
            .map(ToOwned::to_owned)
    };
    assert_eq!(
        version("/compute/v2.1/servers").as_deref(),
        Some("compute 2.79")
    );
    assert_eq!(
        version("/volume/v3/p/volumes").as_deref(),
        Some("volume 3.62")
    );
    assert_eq!(version("/network/v2.0/networks"), None);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let server = Server::cloud(|heard| match heard.header("X-Auth-Token") {
        Some("token-1") => says(401, json!({ "error": { "message": "too old" } })),
        _ => says(200, json!({ "fine": true })),
    })
    .await;
    let session = server.session();
    let answer = session
        .write(Service::Network, Verb::Post, "/networks", &json!({}))
        .await;
    assert_eq!(answer.expect("an answer")["fine"], true);
    assert_eq!(server.heard("/auth/tokens").len(), 2);

    let server = Server::cloud(|_| says(401, json!({ "error": { "message": "never" } }))).await;
    let refused = server.session().get(Service::Network, "/networks").await;
    assert!(matches!(refused, Err(ApiError::Refused(refusal)) if refusal.status == 401));
    assert_eq!(server.heard("/auth/tokens").len(), 2);
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let server = Server::cloud(|_| says(200, json!({}))).await;
    let mut reach = server.reach();
    reach.auth_url = format!("{}/other", server.url);
    let wrong = Server::cloud(|_| {
        says(
            401,
            json!({ "error": { "message": "The request you have made requires authentication." } }),
        )
    })
    .await;
    reach.auth_url = format!("{}/elsewhere", wrong.url);
    let session = super::Session::new(reach).expect("a session");
    let error = session
        .get(Service::Network, "/networks")
        .await
        .expect_err("it is refused");
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("refuses the login") && !text.contains("hunter2"),
        "{text}"
    );
}

/// Keystone answers 404 for both, and only in one case it is Keystone.
#[tokio::test]
async fn a_credential_that_is_gone_is_told_apart_from_a_place_without_keystone() {
    let gone = json!({ "error": { "code": 404, "message": "Could not find Application Credential: c1.", "title": "Not Found" } });
    for (body, said) in [
        (
            gone,
            "refuses the login: Could not find Application Credential: c1.",
        ),
        (
            json!("The requested URL was not found"),
            "no Keystone of version 3",
        ),
    ] {
        let server = Server::cloud(move |_| says(404, body.clone())).await;
        let mut reach = server.reach();
        reach.auth_url = format!("{}/elsewhere", server.url);
        let session = super::Session::new(reach).expect("a session");
        let error = session.get(Service::Network, "/networks").await;
        let text = error.expect_err("it is refused").to_string();
        assert!(text.contains(said), "{text}");
    }
}

#[tokio::test]
async fn what_passes_is_asked_again_and_what_makes_something_is_not() {
    let busy = || says(503, json!({ "error": { "message": "busy" } }));
    let server = Server::cloud(in_turn(vec![
        busy(),
        Reply::Breaks,
        says(200, json!({ "fine": true })),
    ]))
    .await;
    let answer = server.session().get(Service::Network, "/networks").await;
    assert_eq!(answer.expect("an answer")["fine"], true);

    for reply in [busy(), Reply::Breaks, says(500, json!({}))] {
        let server = Server::cloud(in_turn(vec![reply, says(201, json!({}))])).await;
        let made = server
            .session()
            .write(Service::Network, Verb::Post, "/networks", &json!({}))
            .await;
        assert!(matches!(made, Err(ApiError::Unknown { .. })), "{made:?}");
        assert_eq!(server.heard("POST /network/").len(), 1);
    }
}

#[tokio::test]
async fn too_many_requests_are_waited_for_as_long_as_the_service_says() {
    let slow = Reply::Says(
        429,
        vec![("Retry-After", "1".into())],
        json!({ "error": { "message": "slow down" } }),
    );
    let server = Server::cloud(in_turn(vec![slow, says(201, json!({ "fine": true }))])).await;
    let begun = std::time::Instant::now();
    let made = server
        .session()
        .write(Service::Network, Verb::Post, "/networks", &json!({}))
        .await;
    assert_eq!(made.expect("an answer")["fine"], true);
    assert!(begun.elapsed().as_millis() >= 1000);
}

#[tokio::test]
async fn a_refusal_names_the_request_by_its_id() {
    let reply = Reply::Says(
        403,
        vec![("x-openstack-request-id", "req-7".into())],
        json!({ "forbidden": { "code": 403, "message": "Quota exceeded for cores" } }),
    );
    let server = Server::cloud(in_turn(vec![reply])).await;
    let error = server
        .session()
        .write(Service::Compute, Verb::Post, "/servers", &json!({}))
        .await;
    let error = error.expect_err("it is refused");
    assert_eq!(
        error.to_string(),
        "Quota exceeded for cores (POST /servers 403, req-7)"
    );
}

#[tokio::test]
async fn pages_are_turned_until_there_is_none() {
    let server = Server::cloud(|heard| {
        let page = |id: &str, next: Option<&str>| {
            let links: Vec<_> = next.map(|marker| json!({ "rel": "next", "href": format!("http://wrong.example/x?marker={marker}") })).into_iter().collect();
            says(200, json!({ "servers": [{ "id": id }], "servers_links": links }))
        };
        match heard.line.as_str() {
            line if line.contains("marker=b") => page("c", None),
            line if line.contains("marker=a") => page("b", Some("b")),
            _ => page("a", Some("a")),
        }
    })
    .await;
    let listing = Listing::of(Service::Compute, "/servers/detail", "servers");
    let servers = server.session().list(&listing).await.expect("a list");
    let ids: Vec<&str> = servers
        .iter()
        .filter_map(|one| one["id"].as_str())
        .collect();
    assert_eq!(ids, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_listing_that_does_not_end_is_not_believed() {
    let server = Server::cloud(|_| {
        says(200, json!({ "servers": [{ "id": "a" }], "servers_links": [{ "rel": "next", "href": "http://x?marker=a" }] }))
    })
    .await;
    let listing = Listing::of(Service::Compute, "/servers/detail", "servers");
    let error = server
        .session()
        .list(&listing)
        .await
        .expect_err("it has no end");
    assert!(error.to_string().contains("does not end"), "{error}");
    assert_eq!(server.heard("/servers/detail").len(), 2);
}

#[tokio::test]
async fn requests_of_one_service_are_bounded() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (in_server, peak) = (Arc::clone(&now), Arc::clone(&most));
    let server = Server::cloud(move |_| {
        let count = in_server.fetch_add(1, Ordering::SeqCst) + 1;
        peak.fetch_max(count, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(5));
        in_server.fetch_sub(1, Ordering::SeqCst);
        says(200, json!({}))
    })
    .await;
    let session = Arc::new(server.session());
    let asked = (0..12).map(|_| {
        let session = Arc::clone(&session);
        tokio::spawn(async move { session.get(Service::Network, "/networks").await })
    });
    for answer in futures::future::join_all(asked).await {
        answer.expect("it ends").expect("an answer");
    }
    assert!(
        most.load(Ordering::SeqCst) <= 2,
        "{}",
        most.load(Ordering::SeqCst)
    );
}

/// A Keystone behind TLS that lets everybody in: its address, and its certificate (PEM).
async fn keystone_behind_tls() -> (String, String) {
    let names = vec!["127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .expect("a configuration");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut heard = [0; 4096];
                let _ = stream.read(&mut heard).await;
                let body = json!({ "token": { "user": { "id": "u" }, "project": { "id": "p" } } })
                    .to_string();
                let answer = format!(
                    "HTTP/1.1 201 Created\r\nX-Subject-Token: t\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (url, made.cert.pem())
}

#[tokio::test]
async fn only_who_shows_a_certificate_that_is_trusted_hears_the_password() {
    let server = Server::cloud(|_| says(200, json!({}))).await;
    let (url, pem) = keystone_behind_tls().await;
    for (trust, is_let_in) in [
        (Trust::System, false),
        (Trust::Authorities(pem), true),
        (Trust::Nobody, true),
    ] {
        let mut reach = server.reach();
        reach.auth_url = format!("{url}/v3");
        reach.request = Duration::from_secs(60);
        reach.trust = trust;
        let session = super::Session::new(reach).expect("a session");
        let begun = std::time::Instant::now();
        let who = session.who().await;
        assert_eq!(who.is_ok(), is_let_in, "{:?}", who.err());
        if let Err(error) = who {
            assert!(matches!(error, ApiError::Untrusted(_)), "{error:?}");
            assert!(error.to_string().contains("certificate"), "{error}");
            // It is not waited for.
            assert!(begun.elapsed() < Duration::from_secs(30), "{error}");
        }
    }
}
