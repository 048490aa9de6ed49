//! What the commands ask a running lab.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Trouble;
use crate::lab::Written;

/// How long a lab may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks a running lab.
///
/// # Errors
/// Where none of its nodes can be reached, or what it answers.
pub(crate) async fn ask(
    lab: &Written,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Trouble> {
    let mut last = Trouble::NotRunning("it has no endpoint".into());
    for endpoint in &lab.endpoints {
        match tokio::time::timeout(PATIENCE, one(lab, endpoint, method, path, body)).await {
            Ok(Err(trouble @ Trouble::NotRunning(_))) => last = trouble,
            Ok(done) => return done,
            Err(_) => last = Trouble::NotRunning(format!("`{endpoint}` does not answer")),
        }
    }
    Err(last)
}

async fn one(
    lab: &Written,
    endpoint: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Trouble> {
    let away =
        |error: &dyn std::fmt::Display| Trouble::NotRunning(format!("`{endpoint}`: {error}"));
    let address = endpoint.trim_start_matches("https://");
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(&lab.ca_file).map_err(|error| away(&error))?;
    roots.add(authority).map_err(|error| away(&error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| away(&error))?;
    let name = ServerName::try_from("127.0.0.1").map_err(|error| away(&error))?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| away(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| away(&error))?;
    let running = tokio::spawn(connection);
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, address)
        .header(AUTHORIZATION, format!("Bearer {}", lab.key))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| away(&error))?;
    let reply = sender
        .send_request(request)
        .await
        .map_err(|error| away(&error))?;
    let status = reply.status();
    let bytes = reply
        .into_body()
        .collect()
        .await
        .map_err(|error| away(&error))?
        .to_bytes();
    running.abort();
    let value: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    if status.is_success() {
        Ok(value)
    } else {
        Err(Trouble::Refused(
            value["error"].as_str().unwrap_or("refused").to_owned(),
        ))
    }
}
