//! Who dmp is to the cloud: what is shown to Keystone, and the token that comes back, renewed before it ends.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::catalog::Catalog;
use super::error::ApiError;
use super::{Lost, Pauses, Session, is_passing};

/// A text that is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(sensitive)")
    }
}

/// A domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Domain {
    /// By its id.
    Id(String),
    /// By its name.
    Name(String),
}

/// Something that has an id, or a name within a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// By its id.
    Id(String),
    /// By its name.
    Name(String, Option<Domain>),
}

/// How one logs in.
#[derive(Clone, Debug)]
pub(crate) enum Method {
    /// By name and password.
    Password {
        /// The user.
        user: Named,
        /// The password.
        password: Secret,
    },
    /// By a token that is there already.
    Token(Secret),
    /// By an application credential.
    ApplicationCredential {
        /// The credential.
        credential: Named,
        /// Whose it is, where it is named.
        user: Option<Named>,
        /// Its secret.
        secret: Secret,
    },
}

/// What the token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A project.
    Project(Named),
    /// A domain.
    Domain(Domain),
    /// The cloud itself.
    System,
    /// That of the application credential.
    OfTheCredential,
}

/// What is shown to Keystone.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// How one logs in.
    pub method: Method,
    /// What for.
    pub scope: Scope,
}

impl Domain {
    fn json(&self) -> Json {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name(name) => json!({ "name": name }),
        }
    }
}

impl Named {
    fn json(&self) -> Json {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name(name, None) => json!({ "name": name }),
            Self::Name(name, Some(domain)) => json!({ "name": name, "domain": domain.json() }),
        }
    }
}

impl Login {
    /// The body of the request for a token.
    pub(super) fn body(&self) -> Json {
        let identity = match &self.method {
            Method::Password { user, password } => {
                let mut user = user.json();
                user["password"] = json!(password.0);
                json!({ "methods": ["password"], "password": { "user": user } })
            }
            Method::Token(token) => json!({ "methods": ["token"], "token": { "id": token.0 } }),
            Method::ApplicationCredential {
                credential,
                user,
                secret,
            } => {
                let mut shown = credential.json();
                shown["secret"] = json!(secret.0);
                if let Some(user) = user {
                    shown["user"] = user.json();
                }
                json!({ "methods": ["application_credential"], "application_credential": shown })
            }
        };
        let mut auth = json!({ "identity": identity });
        match &self.scope {
            Scope::Project(project) => auth["scope"] = json!({ "project": project.json() }),
            Scope::Domain(domain) => auth["scope"] = json!({ "domain": domain.json() }),
            Scope::System => auth["scope"] = json!({ "system": { "all": true } }),
            Scope::OfTheCredential => {}
        }
        json!({ "auth": auth })
    }

    /// Whether a new token can be had when this one ends.
    fn is_renewable(&self) -> bool {
        !matches!(self.method, Method::Token(_))
    }
}

/// A token, with what Keystone says of it.
#[derive(Debug)]
pub(crate) struct Token {
    /// What is shown to services.
    pub(super) id: Secret,
    /// The project that it is for.
    pub project: Option<String>,
    /// Whose it is.
    pub user: String,
    /// The names of its roles.
    pub roles: Vec<String>,
    pub(super) catalog: Catalog,
    renew_at: Option<Instant>,
}

impl Token {
    fn of(id: String, body: &Json, now: Instant) -> Result<Self, ApiError> {
        let token = &body["token"];
        let text = |json: &Json| json.as_str().map(ToOwned::to_owned);
        let user = text(&token["user"]["id"])
            .ok_or_else(|| ApiError::NotUnderstood("a token without a user".into()))?;
        let roles = token["roles"].as_array().into_iter().flatten();
        Ok(Self {
            id: Secret(id),
            project: text(&token["project"]["id"]),
            user,
            roles: roles.filter_map(|role| text(&role["name"])).collect(),
            catalog: Catalog::of(&token["catalog"]),
            renew_at: life(token).map(|life| now + renew_after(life)),
        })
    }

    fn is_due(&self, now: Instant) -> bool {
        self.renew_at.is_some_and(|at| now >= at)
    }
}

/// How long a token lives. Both ends are told by Keystone's clock, so that ours may go wrong.
fn life(token: &Json) -> Option<Duration> {
    let moment = |name: &str| OffsetDateTime::parse(token[name].as_str()?, &Rfc3339).ok();
    let life = moment("expires_at")? - moment("issued_at")?;
    Duration::try_from(life).ok()
}

/// Ten minutes before its end, or when nine tenths of a short life are over.
fn renew_after(life: Duration) -> Duration {
    life.saturating_sub(BEFORE_THE_END).max(life * 9 / 10)
}

const BEFORE_THE_END: Duration = Duration::from_secs(600);

impl Session {
    /// A token that is good. `refused`: the one that a service has just refused. Whoever asks while a login is under way
    /// waits for it and takes what it brings.
    pub(super) async fn token(&self, refused: Option<&Secret>) -> Result<Arc<Token>, ApiError> {
        let mut held = self.held.lock().await;
        let is_refused = |token: &Token| Some(&token.id) == refused;
        if let Some(token) = held.as_ref().filter(|token| !is_refused(token)) {
            let is_due = token.is_due(Instant::now()) && self.reach.login.is_renewable();
            if !is_due {
                return Ok(Arc::clone(token));
            }
        }
        if held.is_some() && !self.reach.login.is_renewable() {
            return Err(ApiError::Login(
                "the given token is no longer accepted, and dmp can't get another by it".into(),
            ));
        }
        let token = Arc::new(self.log_in().await?);
        *held = Some(Arc::clone(&token));
        Ok(token)
    }

    /// Asks for a token. It changes nothing, so what passes is asked again.
    async fn log_in(&self) -> Result<Token, ApiError> {
        let url = format!("{}/auth/tokens", self.reach.auth_url);
        let until = Instant::now() + self.patience();
        let mut pauses = Pauses::new();
        loop {
            let asked = Instant::now();
            let request = self.http.post(&url).json(&self.reach.login.body());
            let why = match self.exchange(request, "POST /v3/auth/tokens").await {
                Ok(answer) if (200..300).contains(&answer.status) => {
                    let id = answer.subject_token.clone().ok_or_else(|| {
                        ApiError::NotUnderstood("a login was answered without a token".into())
                    })?;
                    return Token::of(id, &answer.body, asked);
                }
                Ok(answer) if !is_passing(answer.status) => {
                    let refused = answer.refusal("POST /v3/auth/tokens");
                    return Err(match answer.status {
                        404 if !answer.body["error"].is_object() => ApiError::Login(format!(
                            "there is no Keystone of version 3 at `{}`",
                            self.reach.auth_url
                        )),
                        // In its own words Keystone says 404 of an application credential that is gone.
                        401 | 404 => ApiError::Login(format!(
                            "Keystone refuses the login: {}",
                            refused.message
                        )),
                        _ => ApiError::Refused(refused),
                    });
                }
                Ok(answer) => answer.refusal("POST /v3/auth/tokens").to_string(),
                Err(Lost::Untrusted(why)) => return Err(ApiError::Untrusted(why)),
                Err(lost) => lost.into_words(),
            };
            if !pauses.wait(until, None).await {
                return Err(ApiError::Unreachable(format!(
                    "Keystone at `{}`: {why}",
                    self.reach.auth_url
                )));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_login_is_written_as_keystone_wants_it() {
        let password = Login {
            method: Method::Password {
                user: Named::Name("u".into(), Some(Domain::Name("D".into()))),
                password: Secret("p".into()),
            },
            scope: Scope::Project(Named::Id("x".into())),
        };
        assert_eq!(
            password.body(),
            json!({ "auth": {
                "identity": { "methods": ["password"], "password": { "user": {
                    "name": "u", "domain": { "name": "D" }, "password": "p" } } },
                "scope": { "project": { "id": "x" } },
            } })
        );
        let credential = Login {
            method: Method::ApplicationCredential {
                credential: Named::Id("c".into()),
                user: None,
                secret: Secret("s".into()),
            },
            scope: Scope::OfTheCredential,
        };
        assert_eq!(
            credential.body(),
            json!({ "auth": { "identity": {
                "methods": ["application_credential"],
                "application_credential": { "id": "c", "secret": "s" },
            } } })
        );
        let text = format!("{password:?} {credential:?}");
        assert!(!text.contains("\"p\"") && !text.contains("\"s\""), "{text}");
    }

    #[test]
    fn a_token_is_renewed_before_its_end() {
        let hour = Duration::from_secs(3600);
        assert_eq!(renew_after(hour), Duration::from_secs(3240));
        assert_eq!(renew_after(hour * 24), Duration::from_secs(86400 - 600));
        let token = json!({ "issued_at": "2026-01-01T00:00:00.000000Z", "expires_at": "2026-01-01T01:00:00.000000Z" });
        assert_eq!(life(&token), Some(hour));
        assert_eq!(life(&json!({})), None);
    }
}
