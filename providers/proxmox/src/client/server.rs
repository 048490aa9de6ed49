//! A server for tests: TLS, one answer for each request, each request kept. It takes what the real one takes, and no more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) use dmp_cloud::testing::Heard;
use dmp_cloud::testing::hear;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What is answered.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// Status, reason phrase, body.
    Says(u16, &'static str, String),
    /// The connection is closed without a word.
    Breaks,
}

pub(super) fn data(json: &str) -> Reply {
    Reply::Says(200, "OK", format!("{{\"data\":{json}}}"))
}

pub(super) struct Server {
    pub url: String,
    pub pem: String,
    pub fingerprint: [u8; 32],
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Server {
    /// Answers in this order; after the last, with that for ever.
    pub(super) async fn answering(replies: Vec<Reply>) -> Self {
        let replies = Mutex::new(VecDeque::from(replies));
        Self::by(move |_| {
            let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
            match replies.len() {
                1 => replies[0].clone(),
                _ => replies.pop_front().expect("an answer"),
            }
        })
        .await
    }

    /// Answers by what it hears.
    pub(super) async fn by(answer: impl Fn(&Heard) -> Reply + Send + Sync + 'static) -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(names).expect("a certificate");
        let der = cert.der().clone();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![der], key)
            .expect("a configuration");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let (kept, answer) = (Arc::clone(&heard), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, kept, answer) =
                    (acceptor.clone(), Arc::clone(&kept), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = hear(&mut stream).await {
                        check(&request);
                        kept.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(request.clone());
                        let Reply::Says(status, reason, body) = answer(&request) else {
                            return;
                        };
                        let end = if status >= 400 { "close" } else { "Keep-Alive" };
                        let text = format!(
                            "HTTP/1.1 {status} {reason}\r\nContent-Length: {}\r\nConnection: {end}\r\n\r\n{body}",
                            body.len()
                        );
                        if stream.write_all(text.as_bytes()).await.is_err() || status >= 400 {
                            let _ = stream.shutdown().await;
                            return;
                        }
                        let _ = stream.flush().await;
                    }
                });
            }
        });
        Self {
            url: format!("https://127.0.0.1:{port}"),
            pem: cert.pem(),
            fingerprint: digest.as_ref().try_into().expect("32 bytes"),
            heard,
        }
    }

    pub(super) fn heard(&self) -> Vec<Heard> {
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// It takes what the real one takes, and no more.
fn check(heard: &Heard) {
    assert!(
        heard.header("Transfer-Encoding").is_none(),
        "it takes no chunks"
    );
    let has_body = heard.line.starts_with("POST") || heard.line.starts_with("PUT");
    assert!(
        has_body || heard.body.is_empty(),
        "only writes have a body: {}",
        heard.line
    );
}
