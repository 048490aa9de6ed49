//! Why a call gives nothing, in the form and the words of each service.

use serde_json::{Value, json};

use super::Service;

/// Why a call gives nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub status: u16,
    /// What Neutron calls it.
    pub kind: &'static str,
    pub message: String,
}

impl Failure {
    pub(super) fn of(status: u16, kind: &'static str, message: impl Into<String>) -> Failure {
        Failure {
            status,
            kind,
            message: message.into(),
        }
    }

    /// 400: what was sent can't be meant.
    pub(super) fn bad(message: impl Into<String>) -> Failure {
        Failure::of(400, "HTTPBadRequest", message)
    }

    /// 403.
    pub(super) fn forbidden(message: impl Into<String>) -> Failure {
        Failure::of(403, "HTTPForbidden", message)
    }

    /// 404.
    pub(super) fn missing(message: impl Into<String>) -> Failure {
        Failure::of(404, "HTTPNotFound", message)
    }

    /// 409: what is there stands against it.
    pub(super) fn conflict(message: impl Into<String>) -> Failure {
        Failure::of(409, "HTTPConflict", message)
    }

    /// 501: the lab does not have this.
    pub(super) fn not_served(what: impl std::fmt::Display) -> Failure {
        Failure::of(
            501,
            "HTTPNotImplemented",
            format!("The lab does not serve {what}."),
        )
    }

    /// 401, in the words of the middleware that stands before each service.
    pub(super) fn unauthorized() -> Failure {
        Failure::of(
            401,
            "HTTPUnauthorized",
            "The request you have made requires authentication.",
        )
    }

    /// Returns the body of the answer; a text is HTML, which Glance says to whoever does not ask for JSON.
    pub(super) fn body(&self, service: Service, takes_json: bool) -> Value {
        let (code, message) = (self.status, &self.message);
        match service {
            // The middleware answers in the same way for all.
            _ if code == 401 => {
                json!({ "error": { "code": code, "title": "Unauthorized", "message": message } })
            }
            Service::Identity => {
                json!({ "error": { "code": code, "title": reason(code), "message": message } })
            }
            Service::Compute | Service::BlockStorage => {
                json!({ fault(code): { "code": code, "message": message } })
            }
            Service::Network => {
                json!({ "NeutronError": { "type": self.kind, "message": message, "detail": "" } })
            }
            Service::Image if takes_json => json!({
                "message": format!("{message}<br /><br />\n\n\n"),
                "code": format!("{code} {}", reason(code)),
                "title": reason(code),
            }),
            Service::Image => {
                let title = format!("{code} {}", reason(code));
                Value::String(format!(
                    "<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n  {}<br /><br />\n\n\n </body>\n</html>",
                    message.replace('&', "&amp;").replace('<', "&lt;")
                ))
            }
        }
    }
}

/// What Nova and Cinder call a status.
fn fault(status: u16) -> &'static str {
    match status {
        400 => "badRequest",
        403 => "forbidden",
        404 => "itemNotFound",
        405 => "badMethod",
        409 => "conflictingRequest",
        413 | 429 => "overLimit",
        415 => "badMediaType",
        501 => "notImplemented",
        503 => "serviceUnavailable",
        _ => "computeFault",
    }
}

/// The reason phrase of a status.
pub(super) fn reason(status: u16) -> &'static str {
    let status = http::StatusCode::from_u16(status).ok();
    status
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_says_it_in_a_way_of_its_own() {
        let failure = Failure::of(409, "SubnetInUse", "In use.");
        assert_eq!(
            failure.body(Service::Network, true),
            json!({ "NeutronError": { "type": "SubnetInUse", "message": "In use.", "detail": "" } })
        );
        assert_eq!(
            failure.body(Service::Compute, true),
            json!({ "conflictingRequest": { "code": 409, "message": "In use." } })
        );
        assert_eq!(
            failure.body(Service::Identity, true)["error"]["title"],
            "Conflict"
        );
        let html = failure.body(Service::Image, false);
        assert!(
            html.as_str()
                .is_some_and(|html| html.contains("<h1>409 Conflict</h1>"))
        );
        assert!(Failure::unauthorized().body(Service::Image, false)["error"].is_object());
    }
}
