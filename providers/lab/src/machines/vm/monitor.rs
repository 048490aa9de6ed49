//! QEMU's monitor (QMP): what is asked of the machine itself.
//!
//! It hears one after the other: each question has a connection of its own, so that nobody keeps others from asking.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::socket::Socket;

/// The socket, in a machine's folder.
pub(super) const SOCKET: &str = "qmp.sock";

/// How long QEMU may take to answer: emulating, on a busy host, it is slow to.
const PATIENCE: Duration = Duration::from_secs(30);

/// Has QEMU do something, and returns what it answers.
///
/// # Errors
/// What it says, or that it does not answer.
pub(super) async fn execute(
    folder: &Path,
    command: &str,
    arguments: Value,
) -> Result<Value, String> {
    let ask = async {
        let mut socket = Socket::of(folder, SOCKET).await?;
        socket.hear(|told| told.get("QMP").is_some()).await?;
        socket
            .say(b"", &json!({ "execute": "qmp_capabilities" }))
            .await?;
        socket.answer().await?;
        let question = json!({ "execute": command, "arguments": arguments });
        socket.say(b"", &question).await?;
        socket.answer().await
    };
    match tokio::time::timeout(PATIENCE, ask).await {
        Ok(answer) => answer.map_err(|reason| format!("QEMU, {command}: {reason}")),
        Err(_) => Err(format!("QEMU, {command}: no answer in time")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::UnixListener;

    use super::*;

    /// Answers one connection after the other with these lines, one for each line that it hears.
    async fn serve(listener: UnixListener, lines: [&'static str; 3]) {
        while let Ok((stream, _)) = listener.accept().await {
            let (read, mut write) = stream.into_split();
            let mut heard = BufReader::new(read).lines();
            write.write_all(lines[0].as_bytes()).await.expect("sent");
            for line in &lines[1..] {
                heard.next_line().await.expect("heard");
                write.write_all(line.as_bytes()).await.expect("sent");
            }
        }
    }

    #[tokio::test]
    async fn an_answer_is_found_among_events_and_an_error_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("a socket");
        let greeting = "{\"QMP\": {}}\n";
        let lines = [
            greeting,
            "{\"return\": {}}\n",
            "{\"event\": \"RESUME\"}\n{\"return\": {\"status\": \"running\"}}\n",
        ];
        let server = tokio::spawn(serve(listener, lines));
        let told = execute(folder.path(), "query-status", json!({})).await;
        assert_eq!(told, Ok(json!({ "status": "running" })));
        server.abort();

        std::fs::remove_file(folder.path().join(SOCKET)).expect("there");
        let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("a socket");
        let error = "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such node\"}}\n";
        tokio::spawn(serve(listener, [greeting, "{\"return\": {}}\n", error]));
        let told = execute(folder.path(), "block_resize", json!({})).await;
        assert_eq!(told, Err("QEMU, block_resize: no such node".to_owned()));
    }
}
