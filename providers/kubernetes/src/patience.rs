//! Asking again: what is safe to repeat is repeated while the server is too busy or can't be reached, with growing
//! pauses, as long as it asks for, and with an end. Called for every request of the client.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dmp_sdk::FetchFailure;

/// How long a server is asked.
#[derive(Clone)]
pub(crate) struct Patience {
    /// For one answer.
    answer: Duration,
    /// Until when the server does not want to be asked.
    not_before: Arc<Mutex<Option<Instant>>>,
}

/// Why a call came to nothing.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The server said so, or could not be reached.
    Kube(kube::Error),
    /// It was silent for this long.
    Silent(Duration),
}

const TRIES: u32 = 6;
/// A server that asks for more than this is not waited for in silence.
const LONGEST: Duration = Duration::from_secs(30);

impl Patience {
    pub(crate) fn new(answer: Duration) -> Self {
        Self {
            answer,
            not_before: Arc::default(),
        }
    }

    /// Takes note of an answer: a busy server may say when it wants to be asked again.
    pub(crate) fn heed<B>(&self, response: &http::Response<B>) {
        if !matches!(response.status().as_u16(), 429 | 503) {
            return;
        }
        let seconds = response
            .headers()
            .get(http::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.trim().parse().ok());
        if let Some(seconds) = seconds {
            let until = Instant::now() + Duration::from_secs(seconds).min(LONGEST);
            let mut not_before = self
                .not_before
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *not_before = Some(not_before.map_or(until, |known| known.max(until)));
        }
    }

    /// How long the server does not want to be asked.
    fn asked_for(&self) -> Duration {
        let not_before = self
            .not_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        not_before.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    /// How long a call is repeated at most.
    pub(crate) fn longest(&self) -> Duration {
        self.answer * 5 / 2 + LONGEST
    }

    /// Repeats what is safe to repeat.
    pub(crate) async fn repeat<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        // Silence takes long, so it is not waited for as often as a refused connection.
        let until = Instant::now() + self.longest();
        let end_of_silence = Instant::now() + self.answer * 5 / 2;
        let mut pause = Duration::from_millis(250);
        let mut tried = 0;
        loop {
            tried += 1;
            tokio::time::sleep(self.asked_for()).await;
            let error = match tokio::time::timeout(self.answer, call()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if !is_passing(&error) => return Err(CallError::Kube(error)),
                Ok(Err(error)) => CallError::Kube(error),
                Err(_) => CallError::Silent(self.answer * tried),
            };
            let end = match error {
                CallError::Silent(_) => end_of_silence,
                CallError::Kube(_) => until,
            };
            let wait = with_jitter(pause).max(self.asked_for());
            if tried >= TRIES || Instant::now() + wait >= end {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }
}

/// Many that wait for one server do not come back at the same instant.
fn with_jitter(pause: Duration) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = now.map_or(0, |now| now.subsec_nanos());
    pause + pause * (nanos % 256) / 1024
}

fn is_passing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => {
            (matches!(status.code, 429 | 500 | 502 | 503 | 504) && !is_about_the_manifest(status))
                || is_role_still_made(&status.message)
        }
        kube::Error::HyperError(_) | kube::Error::Service(_) => true,
        _ => false,
    }
}

/// A manifest that does not fit its kind's schema is refused as if the server had failed.
pub(crate) fn is_about_the_manifest(status: &kube::core::Status) -> bool {
    status.code == 500 && status.message.contains("failed to create typed")
}

/// A server that has just begun answers "forbidden" until its own roles are made.
fn is_role_still_made(message: &str) -> bool {
    message.contains("RBAC: clusterrole.rbac.authorization.k8s.io") && message.contains("not found")
}

impl CallError {
    /// What the server said, if it said something.
    pub(crate) fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(status),
            _ => None,
        }
    }

    /// The code of its answer.
    pub(crate) fn code(&self) -> Option<u16> {
        self.status().map(|status| status.code)
    }

    /// As a failed fetch, in words.
    pub(crate) fn failure(&self) -> FetchFailure {
        match self {
            Self::Silent(time) => {
                FetchFailure::Unreachable(format!("no answer within {} s", time.as_secs()))
            }
            Self::Kube(kube::Error::Api(status)) => {
                let words = format!("{} ({} {})", status.message, status.code, status.reason);
                match status.code {
                    429 | 502 | 503 | 504 => FetchFailure::Unreachable(words),
                    _ => FetchFailure::Refused(words),
                }
            }
            Self::Kube(kube::Error::HyperError(error)) => FetchFailure::Unreachable(chain(error)),
            Self::Kube(kube::Error::Service(error)) => {
                FetchFailure::Unreachable(chain(error.as_ref()))
            }
            Self::Kube(other) => FetchFailure::Refused(other.to_string()),
        }
    }
}

/// An error with its causes: the outer one mostly says nothing.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = vec![error.to_string()];
    let mut next = error.source();
    while let Some(source) = next {
        let text = source.to_string();
        if words.last() != Some(&text) {
            words.push(text);
        }
        next = source.source();
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn refused(code: u16, message: &str) -> kube::Error {
        let status = kube::core::Status::failure(message, "Test").with_code(code);
        kube::Error::Api(status.boxed())
    }

    #[tokio::test]
    async fn what_passes_is_asked_again_and_what_stays_is_not() {
        let patience = Patience::new(Duration::from_secs(5));
        let asked = Cell::new(0);
        let answer = patience
            .repeat(|| async {
                asked.set(asked.get() + 1);
                if asked.get() < 3 {
                    return Err(refused(500, "etcdserver: leader changed"));
                }
                Ok("well")
            })
            .await;
        assert_eq!((answer.ok(), asked.get()), (Some("well"), 3));

        let asked = Cell::new(0);
        let error = patience
            .repeat(|| async {
                asked.set(asked.get() + 1);
                Err::<(), _>(refused(
                    500,
                    "failed to create typed patch object (a/b): .x",
                ))
            })
            .await
            .expect_err("it stays");
        assert_eq!((error.code(), asked.get()), (Some(500), 1));
    }

    #[test]
    fn a_server_may_say_when_it_wants_to_be_asked_again_within_reason() {
        let patience = Patience::new(Duration::from_secs(5));
        let busy = |status: u16, after: &str| {
            http::Response::builder()
                .status(status)
                .header("Retry-After", after)
                .body(())
                .expect("a response")
        };
        patience.heed(&busy(200, "9"));
        patience.heed(&busy(429, "soon"));
        assert_eq!(patience.asked_for(), Duration::ZERO);
        patience.heed(&busy(429, "2"));
        assert!(patience.asked_for() > Duration::from_millis(1500));
        assert!(patience.asked_for() <= Duration::from_secs(2));
        patience.heed(&busy(503, "86400"));
        assert!(patience.asked_for() <= LONGEST);
    }
}
