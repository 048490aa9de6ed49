//! Requests as a test's own server hears them.

use tokio::io::{AsyncBufReadExt, AsyncReadExt};

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// The first line.
    pub line: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// What came with it.
    pub body: Vec<u8>,
}

impl Heard {
    /// The value of a header, whatever its letters' case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as a text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Hears the next request of a connection; `None` at its end.
pub async fn hear(stream: &mut (impl AsyncBufReadExt + AsyncReadExt + Unpin)) -> Option<Heard> {
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
    let length = heard
        .header("Content-Length")
        .map_or(Some(0), |length| length.parse().ok())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    heard.body = body;
    Some(heard)
}
