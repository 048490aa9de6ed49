//! What goes wrong between dmp and a cloud. Each refusal has the id that the service gave the request, for whoever looks into
//! its log. Nothing here holds what was sent.

use std::fmt;

use dmp_sdk::{Diagnostic, FetchFailure};
use serde_json::Value as Json;

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// The service has answered, and said no.
    Refused(Refusal),
    /// Keystone has refused the login, or can't renew it.
    Login(String),
    /// The service can't be reached, or is too busy each time.
    Unreachable(String),
    /// Whoever answers shows a certificate that is not accepted.
    Untrusted(String),
    /// A request that makes something was sent, and what became of it is not known.
    Unknown {
        /// What was asked.
        request: String,
        /// What became of the answer.
        why: String,
    },
    /// The cloud has no such service, region or version.
    NotOffered(String),
    /// The answer is not what such an answer looks like.
    NotUnderstood(String),
    /// The person asked to stop, or a wait has ended.
    Ended(Box<Diagnostic>),
}

/// A refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What was asked: method and path.
    pub request: String,
    /// The status of the answer.
    pub status: u16,
    /// What the service calls it: `badRequest`, `SubnetInUse`.
    pub kind: String,
    /// What it says.
    pub message: String,
    /// The id that the service gave the request.
    pub request_id: Option<String>,
}

impl Refusal {
    /// Reads a refusal: each service writes it in a way of its own.
    pub(super) fn of(request: &str, status: u16, request_id: Option<String>, body: &Json) -> Self {
        let text = |json: &Json| json.as_str().map(|text| text.trim().to_owned());
        let (mut kind, mut message) = (String::new(), None);
        if let Some(members) = body.as_object() {
            let inner = members
                .iter()
                .find(|(_, value)| value.is_object() || value.is_string());
            // Octavia and Designate say it without a member around it.
            let said = [text(&body["faultstring"]), text(&body["message"])];
            let said: Vec<String> = said.into_iter().flatten().chain(of_each(body)).collect();
            if !said.is_empty() {
                kind = text(&body["type"]).unwrap_or_default();
                message = Some(said.join("; "));
            } else if let Some((name, inner)) = inner {
                kind = text(&inner["type"]).unwrap_or_else(|| name.clone());
                message = text(&inner["message"]).or_else(|| text(inner));
                let detail = text(&inner["detail"]).filter(|detail| !detail.is_empty());
                if let Some(detail) = detail {
                    message = Some(format!("{}: {detail}", message.unwrap_or_default()));
                }
            }
        }
        // Some answer in HTML, the words of which stand between the tags.
        let message = message
            .or_else(|| text(body).map(|text| without_tags(&text)))
            .filter(|message| !message.is_empty());
        let message = message.unwrap_or_else(|| "the service gave no reason".into());
        Self {
            request: request.to_owned(),
            status,
            kind,
            message: without_values(&message.split_whitespace().collect::<Vec<_>>().join(" ")),
            request_id,
        }
    }

    /// Whether one of the texts is in what it says.
    pub(crate) fn says(&self, texts: &[&str]) -> bool {
        let message = self.message.to_ascii_lowercase();
        texts
            .iter()
            .any(|text| self.kind == *text || message.contains(&text.to_ascii_lowercase()))
    }

    /// Whether a quota is spent.
    pub(crate) fn is_over_quota(&self) -> bool {
        matches!(self.status, 403 | 409 | 413)
            && self.says(&["quota", "OverQuota", "overLimit", "limit exceeded"])
    }
}

/// What Designate says of each member that it does not take.
fn of_each(body: &Json) -> impl Iterator<Item = String> {
    let each = body["errors"]["errors"].as_array().into_iter().flatten();
    each.filter_map(|error| error["message"].as_str().map(ToOwned::to_owned))
}

/// What checks a request against its schema says the value again that it does not like, which may be a secret.
fn without_values(message: &str) -> String {
    let Some(at) = message.find("Invalid input for field") else {
        return message.to_owned();
    };
    let rest = &message[at..];
    // Nova and Cinder say `attribute x. Value: …`, Keystone says `field 'x': …`.
    let end = [rest.find(". Value:"), rest.find("':").map(|end| end + 1)];
    match end.into_iter().flatten().min() {
        Some(end) => format!("{} (what was sent is not shown)", &message[..at + end]),
        None => message.to_owned(),
    }
}

fn without_tags(text: &str) -> String {
    let mut words = String::new();
    let mut inside = false;
    // A title is said again below it.
    let text = match (text.find("<body>"), text.find("<title>")) {
        (Some(at), Some(_)) => &text[at..],
        _ => text,
    };
    for char in text.chars() {
        match char {
            '<' => inside = true,
            '>' => {
                inside = false;
                words.push(' ');
            }
            char if !inside => words.push(char),
            _ => {}
        }
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.trim_end_matches('.');
        write!(f, "{message} ({} {}", self.request, self.status)?;
        match &self.request_id {
            Some(id) => write!(f, ", {id})"),
            None => f.write_str(")"),
        }
    }
}

impl ApiError {
    /// The refusal, if it is one.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether there is no such object.
    pub(crate) fn is_missing(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.status == 404)
    }

    /// Whether something stands in the way that may pass.
    pub(crate) fn is_conflict(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.status == 409)
    }

    /// Whether what became of a request is not known.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }

    /// As a failed fetch.
    pub(crate) fn failure(&self) -> FetchFailure {
        let words = self.to_string();
        match self {
            // A failed fetch has no help of its own.
            Self::Untrusted(_) => FetchFailure::Refused(format!("{words}; {TRUST}")),
            Self::Unreachable(_) | Self::Unknown { .. } => FetchFailure::Unreachable(words),
            Self::Refused(refusal) if super::is_passing(refusal.status) => {
                FetchFailure::Unreachable(words)
            }
            _ => FetchFailure::Refused(words),
        }
    }

    /// As a diagnostic of something that could not be done: `cannot create a server`.
    pub(crate) fn diagnostic(&self, cannot: &str) -> Diagnostic {
        if let Self::Ended(diagnostic) = self {
            return diagnostic.as_ref().clone();
        }
        let diagnostic = Diagnostic::remote("openstack", cannot).cause(self.to_string());
        match self.help() {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }

    fn help(&self) -> Option<&'static str> {
        match self {
            Self::Unknown { .. } => Some("run it again: what has come of it is looked up"),
            Self::Login(_) => Some(
                "compare the cloud of `clouds.yaml`, the `OS_*` variables and the provider block; `openstack token issue` tries the same",
            ),
            Self::Untrusted(_) => Some(TRUST),
            Self::Refused(refusal) if refusal.is_over_quota() => Some(
                "have the quota raised, or remove what is no longer needed: `openstack quota show --usage`",
            ),
            Self::Refused(refusal) if refusal.status == 403 => Some(
                "the user's roles in this project don't allow it: ask who administers the cloud",
            ),
            _ => None,
        }
    }
}

/// What to do about a certificate that is not accepted.
const TRUST: &str = "name the authority that has signed it, by `cacert` of the cloud or `ca` of the provider block, and the service by the name that its certificate is for";

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Login(why) | Self::Unreachable(why) | Self::NotOffered(why) => f.write_str(why),
            Self::Unknown { request, why } => {
                write!(f, "whether {request} was carried out is not known: {why}")
            }
            Self::Untrusted(why) => write!(f, "nothing was sent to whoever answers: {why}"),
            Self::NotUnderstood(why) => {
                write!(f, "the cloud gave an answer of another form: {why}")
            }
            Self::Ended(diagnostic) => write!(f, "{diagnostic}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(status: u16, body: &Json) -> Refusal {
        Refusal::of("POST /x", status, Some("req-1".into()), body)
    }

    #[test]
    fn the_words_of_each_service_are_found() {
        let nova = json!({ "badRequest": { "code": 400, "message": "Invalid flavor." } });
        let neutron = json!({ "NeutronError": { "type": "SubnetInUse", "message": "In use.", "detail": "" } });
        let keystone =
            json!({ "error": { "code": 401, "message": "No.", "title": "Unauthorized" } });
        let glance = json!(
            "<html><head><title>403 Forbidden</title></head><body><h1>403 Forbidden</h1>Not yours.</body></html>"
        );
        assert_eq!(
            refusal(400, &nova).to_string(),
            "Invalid flavor (POST /x 400, req-1)"
        );
        assert_eq!(refusal(409, &neutron).kind, "SubnetInUse");
        assert_eq!(refusal(401, &keystone).message, "No.");
        let octavia =
            json!({ "faultcode": "Client", "faultstring": "It is immutable.", "debuginfo": null });
        assert_eq!(refusal(409, &octavia).message, "It is immutable.");
        let designate = json!({ "code": 400, "type": "invalid_object",
            "errors": { "errors": [{ "message": "'a' is no name", "path": ["name"] }] } });
        assert_eq!(refusal(400, &designate).kind, "invalid_object");
        assert_eq!(refusal(400, &designate).message, "'a' is no name");
        assert_eq!(refusal(403, &glance).message, "403 Forbidden Not yours.");
        assert_eq!(
            refusal(500, &Json::Null).message,
            "the service gave no reason"
        );
    }

    #[test]
    fn what_was_sent_is_not_said_again() {
        let nova = json!({ "badRequest": { "code": 400, "message":
            "Invalid input for field/attribute user_data. Value: c2VjcmV0. 'c2VjcmV0' is too long" } });
        let message = refusal(400, &nova).message;
        assert_eq!(
            message,
            "Invalid input for field/attribute user_data (what was sent is not shown)"
        );
        let keystone = json!({ "error": { "message": "Invalid input for field 'password': 5 is not of type 'string'" } });
        let message = refusal(400, &keystone).message;
        assert_eq!(
            message,
            "Invalid input for field 'password' (what was sent is not shown)"
        );
    }

    #[test]
    fn a_spent_quota_is_told_from_a_missing_right() {
        let of = |status, message: &str| {
            refusal(status, &json!({ "forbidden": { "message": message } }))
        };
        assert!(of(403, "Quota exceeded for instances").is_over_quota());
        assert!(of(413, "VolumeLimitExceeded: limit exceeded").is_over_quota());
        assert!(!of(403, "Policy doesn't allow it").is_over_quota());
        let neutron = json!({ "NeutronError": { "type": "OverQuota", "message": "x" } });
        assert!(refusal(409, &neutron).is_over_quota());
    }
}
