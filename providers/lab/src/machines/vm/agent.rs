//! The guest agent in a machine, by the channel that its virtual serial port is.
//!
//! The channel is one line of bytes: what an earlier question has left in it is told from an answer by a number that is sent first, and
//! comes back.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::socket::Socket;
use crate::world::now;

/// The socket, in a machine's folder.
pub(super) const SOCKET: &str = "qga.sock";

/// How long the agent may take to say that it is there; an emulated one is slow to.
const HELLO: Duration = Duration::from_secs(10);

/// How long it may take for what it is asked.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a script in a machine may take.
const SCRIPT: Duration = Duration::from_secs(120);

/// Asks the agent something, and returns what it answers.
///
/// # Errors
/// What it refuses, or that it does not answer.
pub(super) async fn ask(folder: &Path, command: &str, arguments: Value) -> Result<Value, String> {
    let hello = async {
        let mut socket = Socket::of(folder, SOCKET).await?;
        let number = now() % (1 << 31);
        let question = json!({ "execute": "guest-sync-delimited", "arguments": { "id": number } });
        socket.say(&[0xff], &question).await?;
        socket
            .hear(|told| told["return"].as_u64() == Some(number))
            .await?;
        Ok::<_, String>(socket)
    };
    let hello = tokio::time::timeout(HELLO, hello).await;
    let mut socket = hello.map_err(|_| "its guest agent does not answer")??;
    let answer = async {
        let question = json!({ "execute": command, "arguments": arguments });
        socket.say(b"", &question).await?;
        socket.answer().await
    };
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    answer.map_err(|_| format!("its guest agent does not answer to {command}"))?
}

/// Runs a script in the machine, as its superuser.
///
/// # Errors
/// What the script says where it fails.
pub(super) async fn run(folder: &Path, script: &str) -> Result<(), String> {
    let words = json!({ "path": "/bin/sh", "arg": ["-c", script], "capture-output": true });
    let begun = ask(folder, "guest-exec", words).await?;
    let deadline = tokio::time::Instant::now() + SCRIPT;
    loop {
        let question = json!({ "pid": begun["pid"] });
        let told = ask(folder, "guest-exec-status", question).await?;
        if told["exited"].as_bool() == Some(true) {
            return match told["exitcode"].as_i64() {
                Some(0) => Ok(()),
                _ => Err(said(&told)),
            };
        }
        if tokio::time::Instant::now() > deadline {
            return Err("a script in it does not end".into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Returns what a script has said, by its errors.
fn said(told: &Value) -> String {
    let data = told["err-data"].as_str().unwrap_or_default();
    let bytes = STANDARD.decode(data).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    if text.is_empty() {
        return "a script in it fails".into();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_told_from_what_an_earlier_question_has_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("a socket");
        let agent = async move {
            let (stream, _) = listener.accept().await.expect("somebody");
            let (read, mut write) = stream.into_split();
            let mut heard = BufReader::new(read).split(b'\n');
            let first = heard.next_segment().await.expect("heard").expect("one");
            assert_eq!(first[0], 0xff);
            let asked: Value = serde_json::from_slice(&first[1..]).expect("JSON");
            let mut told = b"{\"return\": \"of before\"}\n\xff".to_vec();
            let number = json!({ "return": asked["arguments"]["id"] });
            told.extend(format!("{number}\n").bytes());
            write.write_all(&told).await.expect("sent");
            let second = heard.next_segment().await.expect("heard").expect("one");
            let asked: Value = serde_json::from_slice(&second).expect("JSON");
            let answer = json!({ "return": { "asked": asked["execute"] } });
            let line = format!("{answer}\n");
            write.write_all(line.as_bytes()).await.expect("sent");
        };
        let agent = tokio::spawn(agent);
        let told = ask(folder.path(), "guest-get-osinfo", json!({})).await;
        assert_eq!(told, Ok(json!({ "asked": "guest-get-osinfo" })));
        agent.await.expect("it ended well");
    }
}
