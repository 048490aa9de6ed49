//! A socket in a machine's folder at which questions and answers are JSON, one a line: that of QEMU's monitor and that of the guest agent.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// A connection.
pub(super) struct Socket(BufReader<UnixStream>);

impl Socket {
    /// Connects to a socket of a machine's folder.
    pub(super) async fn of(folder: &Path, name: &str) -> Result<Socket, String> {
        // By way of the open folder: the whole path may be longer than a socket's can be.
        let folder = File::open(folder).map_err(|error| error.to_string())?;
        let path = format!("/proc/self/fd/{}/{name}", folder.as_raw_fd());
        let stream = UnixStream::connect(path)
            .await
            .map_err(|error| format!("`{name}`: {error}"))?;
        Ok(Socket(BufReader::new(stream)))
    }

    /// Says something. The bytes before it are no part of it.
    pub(super) async fn say(&mut self, before: &[u8], value: &Value) -> Result<(), String> {
        let mut line = before.to_vec();
        line.extend_from_slice(value.to_string().as_bytes());
        line.push(b'\n');
        let sent = self.0.get_mut().write_all(&line).await;
        sent.map_err(|error| error.to_string())
    }

    /// Waits for something that is said and wanted; all else is passed over.
    pub(super) async fn hear(
        &mut self,
        is_wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        loop {
            let mut line = Vec::new();
            let count = self.0.read_until(b'\n', &mut line).await;
            if count.map_err(|error| error.to_string())? == 0 {
                return Err("nobody is there any more".into());
            }
            // The agent marks by this byte, which is in no text, where an answer begins.
            let begin = line.iter().rposition(|byte| *byte == 0xff);
            let text = &line[begin.map_or(0, |at| at + 1)..];
            if let Ok(value) = serde_json::from_slice(text)
                && is_wanted(&value)
            {
                return Ok(value);
            }
        }
    }

    /// Waits for the answer to what was said.
    pub(super) async fn answer(&mut self) -> Result<Value, String> {
        let told = self
            .hear(|told| told.get("return").is_some() || told.get("error").is_some())
            .await?;
        match told.get("error") {
            Some(error) => Err(error["desc"].as_str().unwrap_or("an error").to_owned()),
            None => Ok(told["return"].clone()),
        }
    }
}
