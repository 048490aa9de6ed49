//! A client of a lab that shows status lines as they are.

#![allow(dead_code, unreachable_pub, reason = "not every test needs all of it")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dmp_lab::Written;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

/// A client of one node; each call has a connection of its own.
#[derive(Clone)]
pub(crate) struct Client {
    address: String,
    config: Arc<ClientConfig>,
    /// Header lines that go with each call.
    pub(crate) headers: Vec<String>,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    /// In small letters.
    pub(crate) headers: String,
    /// As they came.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::String(self.body.clone()))
    }

    pub(crate) fn data(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.value()["data"].clone()
    }
}

impl Client {
    pub(crate) fn of(written: &Written, header: &str) -> Client {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&written.ca_file).expect("the authority"))
            .expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Client {
            address: written.endpoints[0]
                .trim_start_matches("https://")
                .to_owned(),
            config: Arc::new(config),
            headers: if header.is_empty() {
                Vec::new()
            } else {
                vec![header.to_owned()]
            },
        }
    }

    /// The same client for another node.
    pub(crate) fn at(&self, written: &Written, node: usize) -> Client {
        Client {
            address: written.endpoints[node]
                .trim_start_matches("https://")
                .to_owned(),
            ..self.clone()
        }
    }

    /// The same client for another address, with other headers.
    pub(crate) fn elsewhere(&self, url: &str, headers: Vec<String>) -> Client {
        let address = url.trim_start_matches("https://");
        Client {
            address: address.split('/').next().unwrap_or(address).to_owned(),
            headers,
            ..self.clone()
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call("GET", &format!("/api2/json{path}"), "", b"")
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", &format!("/api2/json{path}"), "", b"")
    }

    pub(crate) fn post(&self, path: &str, form: &str) -> Answer {
        self.call("POST", &format!("/api2/json{path}"), FORM, form.as_bytes())
    }

    pub(crate) fn put(&self, path: &str, form: &str) -> Answer {
        self.call("PUT", &format!("/api2/json{path}"), FORM, form.as_bytes())
    }

    pub(crate) fn json(&self, method: &str, path: &str, value: &Value) -> Answer {
        self.call(
            method,
            path,
            "application/json",
            value.to_string().as_bytes(),
        )
    }

    pub(crate) fn call(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
        self.try_call(method, path, kind, body).expect("an answer")
    }

    pub(crate) fn try_call(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let connection = ClientConnection::new(self.config.clone(), name).expect("a connection");
        let mut stream = StreamOwned::new(connection, TcpStream::connect(&self.address)?);
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.address
        );
        for header in &self.headers {
            head.push_str(&format!("{header}\r\n"));
        }
        if !kind.is_empty() {
            head.push_str(&format!("Content-Type: {kind}\r\n"));
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        stream.flush()?;
        let mut bytes = Vec::new();
        // The server may end the connection without saying so within TLS.
        let read = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            read?;
            return Err(std::io::Error::other("no answer"));
        };
        let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let mut words = line.splitn(3, ' ').skip(1);
        Ok(Answer {
            status: words.next().and_then(|word| word.parse().ok()).unwrap_or(0),
            reason: words.next().unwrap_or_default().to_owned(),
            headers: headers.to_ascii_lowercase(),
            head: headers.to_owned(),
            body: body.to_owned(),
        })
    }

    /// Waits for a task to end and returns how it did.
    pub(crate) fn wait(&self, upid: &Value) -> String {
        let upid = upid.as_str().expect("a task");
        let node = upid.split(':').nth(1).expect("a node");
        let path = format!("/nodes/{node}/tasks/{upid}/status");
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let data = self.get(&path).data();
            if data["status"] == "stopped" {
                return data["exitstatus"].as_str().expect("an end").to_owned();
            }
            assert!(Instant::now() < deadline, "{upid} does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
