//! Requests to an API: pauses between them, errors in words, segments of paths.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Growing pauses, not at the same instant for everybody.
#[derive(Debug)]
pub struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self::new()
    }
}

impl Pauses {
    /// The first is a quarter of a second.
    #[must_use]
    pub fn new() -> Self {
        Self(Duration::from_millis(250))
    }

    /// Pauses, at least for as long as the server has asked for; `false` if the time would be over then.
    pub async fn wait(&mut self, until: Instant, asked_for: Option<Duration>) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanos = now.map_or(0, |now| now.subsec_nanos());
        let pause = (self.0 + self.0 * (nanos % 256) / 512).max(asked_for.unwrap_or_default());
        if Instant::now() + pause >= until {
            return false;
        }
        tokio::time::sleep(pause).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
        true
    }
}

const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// An error without the address, with its causes: the outer one mostly says nothing.
#[must_use]
pub fn words(error: &reqwest::Error) -> String {
    let mut words = match error.is_timeout() {
        true => "no answer in time".to_owned(),
        false if error.is_connect() => "no connection".to_owned(),
        false => "the connection broke".to_owned(),
    };
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        let text = source.to_string();
        if !words.ends_with(&text) {
            words = format!("{words}: {text}");
        }
        next = source.source();
    }
    words
}

/// Whether the other side has shown a certificate that is not accepted, or speaks no TLS: to wait and ask again is of no use then.
#[must_use]
pub fn is_untrusted(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(rustls::Error::InvalidCertificate(_) | rustls::Error::InvalidMessage(_)) =
            cause.downcast_ref()
        {
            return true;
        }
        // What an I/O error was made of is not among its causes, and may be another one.
        next = match cause.downcast_ref::<std::io::Error>() {
            Some(error) => error.get_ref().map(|inner| inner as _),
            None => cause.source(),
        };
    }
    false
}

/// What stays as it is in a segment.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A text as one segment of a path, or as a value of a query.
#[must_use]
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, KEPT).to_string()
}
