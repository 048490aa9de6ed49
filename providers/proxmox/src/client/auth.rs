//! Who dmp is to the API: a token, or a user whose ticket is fetched, and renewed when half its life is over.

use std::fmt;
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use tokio::sync::Mutex;

use super::error::ApiError;
use super::{Client, Method};
use crate::values;

/// What the API is shown. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub(crate) struct Credentials(Shown);

#[derive(Clone)]
enum Shown {
    Token(String),
    Password { user: String, password: String },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Shown::Token(_) => "Credentials(token)",
            Shown::Password { .. } => "Credentials(password)",
        })
    }
}

impl Credentials {
    /// A token, `user@realm!name=secret`.
    pub(crate) fn token(token: String) -> Self {
        Self(Shown::Token(token))
    }

    /// A user with a password.
    pub(crate) fn password(user: String, password: String) -> Self {
        Self(Shown::Password { user, password })
    }

    /// Whether a ticket has to be fetched.
    pub(crate) fn needs_ticket(&self) -> bool {
        matches!(self.0, Shown::Password { .. })
    }
}

/// A ticket that is in use.
#[derive(Default)]
pub(super) struct Tickets(Mutex<Option<Ticket>>);

#[derive(Clone)]
struct Ticket {
    ticket: String,
    csrf: String,
    since: Instant,
}

/// The headers of one request.
pub(super) type Headers = Vec<(&'static str, HeaderValue)>;

impl Client {
    /// The headers that say who asks. `stale` is the header of a ticket that was refused: another is fetched then.
    pub(super) async fn identify(
        &self,
        method: Method,
        stale: Option<&Headers>,
    ) -> Result<Headers, ApiError> {
        let (user, password) = match &self.settings.credentials.0 {
            Shown::Token(token) => {
                return Ok(vec![(
                    "Authorization",
                    secret(&format!("PVEAPIToken={token}"))?,
                )]);
            }
            Shown::Password { user, password } => (user, password),
        };
        // Held while it is fetched: the others wait for the one ticket.
        let mut held = self.tickets.0.lock().await;
        let is_stale = |ticket: &Ticket| {
            let refused = stale.is_some_and(|headers| headers.first() == cookie(ticket).as_ref());
            refused || ticket.since.elapsed() >= HALF_LIFE
        };
        let ticket = match held.as_ref() {
            Some(ticket) if !is_stale(ticket) => ticket.clone(),
            old => {
                let renewed = match old.filter(|old| old.since.elapsed() < LIFE && stale.is_none())
                {
                    Some(old) => self.fetch_ticket(user, &old.ticket).await.ok(),
                    None => None,
                };
                let ticket = match renewed {
                    Some(ticket) => ticket,
                    None => self.fetch_ticket(user, password).await?,
                };
                held.insert(ticket).clone()
            }
        };
        drop(held);
        let mut headers = Headers::new();
        headers.push(cookie(&ticket).ok_or_else(not_a_ticket)?);
        if method != Method::Get {
            headers.push(("CSRFPreventionToken", secret(&ticket.csrf)?));
        }
        Ok(headers)
    }

    async fn fetch_ticket(&self, user: &str, password: &str) -> Result<Ticket, ApiError> {
        let parameters = [
            ("username".to_owned(), user.to_owned()),
            ("password".to_owned(), password.to_owned()),
        ];
        // A login changes nothing: it may be asked for again.
        let answer = self.login(&parameters).await?;
        if values::flag(&answer, "NeedTFA") {
            return Err(ApiError::NotUnderstood(
                "the user has a second factor, which nobody is there to type: use an API token"
                    .into(),
            ));
        }
        let part = |name: &str| values::text(&answer, name).ok_or_else(not_a_ticket);
        Ok(Ticket {
            ticket: part("ticket")?,
            csrf: part("CSRFPreventionToken")?,
            since: Instant::now(),
        })
    }
}

fn not_a_ticket() -> ApiError {
    ApiError::NotUnderstood("a login without a ticket".into())
}

fn cookie(ticket: &Ticket) -> Option<(&'static str, HeaderValue)> {
    let text = format!("PVEAuthCookie={}", values::segment(&ticket.ticket));
    Some(("Cookie", secret(&text).ok()?))
}

fn secret(text: &str) -> Result<HeaderValue, ApiError> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| ApiError::NotUnderstood("the credentials can't be sent in a header".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

const LIFE: Duration = Duration::from_secs(2 * 3600);
const HALF_LIFE: Duration = Duration::from_secs(3600);
