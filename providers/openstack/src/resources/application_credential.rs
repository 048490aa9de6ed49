//! `openstack_application_credential`: a login of its own for a program, with no more rights than it needs. Its secret is chosen
//! before the call, so that it is recorded whatever becomes of the answer; Keystone never tells it again.

use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Schema, Type, Value};
use serde_json::{Map, Value as Json, json};

use crate::object::{Kind, Model, Place, by, fixed};
use crate::session::{Refusal, Service};
use crate::values::{items, text, text_at, texts_at, wrong};

/// The model.
pub(crate) struct ApplicationCredential;

static KIND: Kind = Kind {
    noun: "application credential",
    service: Service::Identity,
    collection: "/application_credentials",
    listing: "/application_credentials",
    one: "application_credential",
    many: "application_credentials",
    listed_by: Some(by(
        "openstack_application_credentials",
        "application_credentials",
        "name",
    )),
    mark: Place::Description,
    changes: false,
    metadata_apart: false,
    has_tags: false,
    fields: &[
        fixed("name"),
        fixed("expires_at"),
        fixed("unrestricted"),
        fixed("access_rule").named("access_rules"),
    ],
};

/// A moment without what Keystone writes in another way than people do: parts of seconds, and the zone, which is always UTC.
fn to_the_second(moment: &str) -> Option<&str> {
    moment.get(..19)
}

fn is_moment(text: &str) -> bool {
    use time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::parse(text, &Rfc3339).is_ok_and(|moment| moment.offset().is_utc())
}

#[async_trait::async_trait]
impl Model for ApplicationCredential {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc).replaces();
        let rule = Type::object_of_optional([
            ("service", Type::String),
            ("method", Type::String),
            ("path", Type::String),
        ]);
        Schema::new("openstack_application_credential", "A login of its own for a program, in the project and with rights of whoever makes it. It belongs to the user, and ends with that user's rights.")
            .layer(Layer::Machine)
            .on_delete("Whoever logs in by it is let in no longer; tokens that it has given end.")
            .counterpart("openstack_identity_application_credential_v3", &["{id}"])
            .attribute("name", Attribute::required(Type::String, "Its name, one for each user.").replaces())
            .attribute("description", text("A text about it. dmp's mark stands behind it."))
            .attribute("secret", Attribute::required(Type::String, "Its secret, such as the result of a `core_random_password`. Keystone never shows it, so a change made there is not seen.").sensitive().replaces())
            .attribute("roles", Attribute::optional_computed(Type::set(Type::String), "The roles that it has, by name; all of the user's in the project where nothing is said.").replaces())
            .attribute("expires_at", text("When it ends, in UTC: `2027-01-31T00:00:00Z`."))
            .attribute("unrestricted", Attribute::default(Type::Bool, "Whether it may make other application credentials, and trusts.", false).replaces())
            .attribute("access_rule", Attribute::optional(Type::list(rule), "What alone it may call: `service` (`compute`), `method` and `path` (`/v2.1/servers`). Everything where nothing is said.").block().replaces())
    }

    fn fill(&self, wanted: &Value, body: &mut Map<String, Json>) {
        body.insert("secret".into(), json!(text_at(wanted, "secret")));
        let roles = texts_at(wanted, "roles");
        if !roles.is_empty() {
            let roles: Vec<Json> = roles.iter().map(|name| json!({ "name": name })).collect();
            body.insert("roles".into(), json!(roles));
        }
    }

    fn refine(&self, known: &Value, found: &Json, value: Value) -> Value {
        let names = items(&found["roles"]).iter();
        let names = names.filter_map(|role| text(role, "name"));
        let ends = text(found, "expires_at");
        let written = text_at(known, "expires_at").filter(|written| {
            let found = ends.as_deref().and_then(to_the_second);
            found.is_some() && to_the_second(written) == found
        });
        value
            .with("roles", Value::set(names.map(Value::from).collect()))
            .with("expires_at", written.or(ends).into())
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        match text_at(&change.planned, "expires_at").filter(|text| !is_moment(text)) {
            Some(text) => Err(wrong(
                "expires_at",
                format!("`{text}` is no moment in UTC: write it as `2027-01-31T00:00:00Z`"),
            )),
            None => Ok(()),
        }
    }

    fn explain(&self, refused: &Refusal) -> Option<String> {
        if refused.says(&["managing additional application credentials"]) {
            return Some("whoever logs in by an application credential makes others only if it is `unrestricted`: log in by a password, or have one made that is".into());
        }
        refused
            .says(&["Duplicate entry", "already exists"])
            .then(|| {
                "the user has one of this name already: take another name, or import it".into()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_same_however_keystone_writes_it() {
        let known = Value::object_of([("expires_at", "2027-01-31T00:00:00Z".into())]);
        let refined = |moment: &str| {
            let found = json!({ "expires_at": moment, "roles": [{ "id": "r", "name": "member" }] });
            ApplicationCredential.refine(&known, &found, known.clone())
        };
        let same = refined("2027-01-31T00:00:00.000000");
        assert_eq!(same.get("expires_at"), "2027-01-31T00:00:00Z".into());
        assert_eq!(same.get("roles"), Value::set(vec!["member".into()]));
        let other = refined("2028-01-31T00:00:00.000000");
        assert_eq!(other.get("expires_at"), "2028-01-31T00:00:00.000000".into());
        assert!(is_moment("2027-01-31T00:00:00Z"));
        assert!(!is_moment("2027-01-31") && !is_moment("2027-01-31T00:00:00+01:00"));
    }

    #[test]
    fn roles_go_by_name_and_the_secret_goes_with_the_call() {
        let wanted = Value::object_of([
            ("secret", "s3cret".into()),
            ("roles", Value::set(vec!["reader".into()])),
        ]);
        let mut body = Map::new();
        ApplicationCredential.fill(&wanted, &mut body);
        assert_eq!(
            Json::Object(body),
            json!({ "secret": "s3cret", "roles": [{ "name": "reader" }] })
        );
    }
}
