//! Uploads: the one kind of request that is a multipart form. Its parts have the order that the server reads them in, and
//! its length is known before, since the server takes no body without.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;
use tokio_util::io::ReaderStream;

use super::error::ApiError;
use super::{Client, Lost, Method, judge, unknown};
use crate::values;

/// A file to be uploaded.
pub(crate) struct Upload {
    /// `iso`, `import` or `vztmpl`.
    pub content: &'static str,
    /// Its name on the storage.
    pub name: String,
    /// Its SHA-256, which the server compares.
    pub sha256: Option<String>,
    /// What is in it.
    pub source: Source,
}

/// Where the bytes come from.
pub(crate) enum Source {
    /// From memory.
    Bytes(Vec<u8>),
    /// From a file, which is not held in memory.
    File(PathBuf),
}

impl Client {
    /// Uploads a file to a storage of a node; the answer is the task that puts it in place. An upload under a name that is
    /// there replaces it.
    pub(crate) async fn upload(
        &self,
        node: &str,
        storage: &str,
        upload: &Upload,
    ) -> Result<Json, ApiError> {
        let path = format!(
            "/nodes/{}/storage/{}/upload",
            values::segment(node),
            values::segment(storage)
        );
        let boundary = boundary(&upload.name);
        let (head, tail) = frame(upload, &boundary);
        let headers = self.identify(Method::Post, None).await?;
        let mut whys = Vec::new();
        for endpoint in self.endpoints_in_turn() {
            let (length, body) = self.body(upload, &head, &tail).await?;
            let request = self
                .http
                .post(format!("{endpoint}/api2/json{path}"))
                .timeout(MOST_TIME)
                .header(
                    "Content-Type",
                    format!("multipart/form-data; boundary={boundary}"),
                )
                .header("Content-Length", length)
                .body(body);
            match self.send(request, &headers).await {
                Ok(answer) => return judge(Method::Post, &path, answer),
                Err(Lost::Unsent(why)) => whys.push(format!("{endpoint}: {why}")),
                Err(Lost::Sent(why)) => return Err(unknown(Method::Post, &path, why)),
            }
        }
        Err(ApiError::Unreachable(whys.join("; ")))
    }

    fn endpoints_in_turn(&self) -> Vec<String> {
        let first = self.preferred.load(std::sync::atomic::Ordering::Relaxed);
        let mut all = self.settings.endpoints.clone();
        let first = first % all.len();
        all.rotate_left(first);
        all
    }

    async fn body(
        &self,
        upload: &Upload,
        head: &[u8],
        tail: &[u8],
    ) -> Result<(u64, reqwest::Body), ApiError> {
        let around = (head.len() + tail.len()) as u64;
        match &upload.source {
            Source::Bytes(bytes) => {
                let body = [head, bytes.as_slice(), tail].concat();
                Ok((around + bytes.len() as u64, body.into()))
            }
            Source::File(path) => {
                let unreadable = |error: std::io::Error| {
                    ApiError::NotUnderstood(format!("`{}`: {error}", path.display()))
                };
                let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
                let length = file.metadata().await.map_err(unreadable)?.len();
                let bytes = std::io::Cursor::new(head.to_vec());
                let end = std::io::Cursor::new(tail.to_vec());
                let all = tokio::io::AsyncReadExt::chain(bytes, file);
                let all = tokio::io::AsyncReadExt::chain(all, end);
                let stream = ReaderStream::with_capacity(all, 256 * 1024);
                Ok((around + length, reqwest::Body::wrap_stream(stream)))
            }
        }
    }
}

/// What stands before and behind the bytes. The file has to be last.
fn frame(upload: &Upload, boundary: &str) -> (Vec<u8>, Vec<u8>) {
    let mut head = String::new();
    let mut field = |name: &str, value: &str| {
        head.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    };
    field("content", upload.content);
    if let Some(sha256) = &upload.sha256 {
        field("checksum", sha256);
        field("checksum-algorithm", "sha256");
    }
    head.push_str(&format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"{}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n",
        upload.name
    ));
    (
        head.into_bytes(),
        format!("\r\n--{boundary}--\r\n").into_bytes(),
    )
}

/// A line that is in no image: it is made of what can't be foreseen.
fn boundary(name: &str) -> String {
    let mut random = [0; 16];
    // Without random bytes the name has to do.
    let _ = aws_lc_rs::rand::fill(&mut random);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    format!(
        "dmp{}{}",
        hex::encode(random),
        hex::encode(&digest.as_ref()[..4])
    )
}

/// An image may be large, and the line slow.
const MOST_TIME: Duration = Duration::from_secs(6 * 3600);
