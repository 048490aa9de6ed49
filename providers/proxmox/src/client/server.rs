//! A server for tests: TLS, one answer for each request, each request kept. It takes what the real one takes, and no more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Heard {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

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

async fn hear(stream: &mut (impl AsyncBufReadExt + AsyncReadExt + Unpin)) -> Option<Heard> {
    let mut line = String::new();
    stream
        .read_line(&mut line)
        .await
        .ok()
        .filter(|read| *read > 0)?;
    let mut heard = Heard {
        line: line.trim_end().to_owned(),
        ..Heard::default()
    };
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        heard.headers.push((name.to_owned(), value.to_owned()));
    }
    assert!(
        heard.header("Transfer-Encoding").is_none(),
        "it takes no chunks"
    );
    let length = heard
        .header("Content-Length")
        .map_or(0, |length| length.parse().expect("a number"));
    let has_body = heard.line.starts_with("POST") || heard.line.starts_with("PUT");
    assert!(
        has_body || length == 0,
        "only writes have a body: {}",
        heard.line
    );
    heard.body = vec![0; length];
    stream.read_exact(&mut heard.body).await.ok()?;
    Some(heard)
}
