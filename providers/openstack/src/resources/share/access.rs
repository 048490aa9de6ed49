//! `openstack_share_access`: who may mount a share.

use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Quantifier, Schema, Type, Value};
use serde_json::{Value as Json, json};

use crate::object::{Kind, Model, Place, State, fixed, told};
use crate::session::{Refusal, Service};
use crate::values::{segment, text, text_at, wrong};

/// The model.
pub(crate) struct ShareAccess;

static KIND: Kind = Kind {
    noun: "rule of access",
    service: Service::Share,
    collection: "/share-access-rules",
    listing: "/share-access-rules?share_id={share_id}",
    one: "access",
    many: "access_list",
    // Manila lists those of one share only.
    listed_by: None,
    mark: Place::Metadata,
    changes: true,
    metadata_apart: true,
    has_tags: false,
    fields: &[
        fixed("access_type"),
        fixed("access_to"),
        fixed("access_level"),
        told("access_key"),
    ],
};

const TYPES: &[&str] = &["cephx", "cert", "ip", "user"];

#[async_trait::async_trait]
impl Model for ShareAccess {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let key = |doc| Attribute::required(Type::String, doc).replaces();
        Schema::new(
            "openstack_share_access",
            "Who may mount a share of Manila. It is imported as `SHARE_ID/ID`.",
        )
        .layer(Layer::Storage)
        .on_delete("Who had access by it has none any more.")
        .counterpart(
            "openstack_sharedfilesystem_share_access_v2",
            &["{share_id}/{id}"],
        )
        .attribute("share_id", key("The share.").hosting(Quantifier::All))
        .attribute(
            "access_type",
            key("What `access_to` is: `ip`, `user`, `cert` or `cephx`."),
        )
        .attribute(
            "access_to",
            key(
                "Who: an address or a range, the name of a user, the common name of a certificate.",
            ),
        )
        .attribute(
            "access_level",
            Attribute::default(Type::String, "What they may do: `rw` or `ro`.", "rw").replaces(),
        )
        .attribute(
            "access_key",
            Attribute::computed(Type::String, "The key that a user of CephX shows.").sensitive(),
        )
        .attribute(
            "project_id",
            Attribute::computed(Type::String, "The project of the share."),
        )
    }

    fn making(&self, wanted: &Value) -> Option<(String, &'static str)> {
        let share = segment(&text_at(wanted, "share_id")?);
        Some((format!("/shares/{share}/action"), "allow_access"))
    }

    fn removing(&self, prior: &Value, id: &str) -> Option<(String, Json)> {
        let share = segment(&text_at(prior, "share_id")?);
        let body = json!({ "deny_access": { "access_id": id } });
        Some((format!("/shares/{share}/action"), body))
    }

    /// A listing does not say again of which share it is.
    fn refine(&self, _known: &Value, found: &Json, value: Value) -> Value {
        match text(found, "share_id") {
            Some(share) => value.with("share_id", share.into()),
            None => value,
        }
    }

    fn state(&self, found: &Json) -> State {
        match text(found, "state").as_deref() {
            Some("error") => State::Failed("Manila could not give this access".into()),
            Some("active") | None => State::Ready,
            Some(state) => State::UnderWay(format!("it is in the state `{state}`")),
        }
    }

    fn is_stuck(&self, found: &Json) -> bool {
        text(found, "state").as_deref() == Some("error")
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let planned = &change.planned;
        let kind = text_at(planned, "access_type");
        if let Some(kind) = kind.as_ref().filter(|kind| !TYPES.contains(&kind.as_str())) {
            return Err(wrong(
                "access_type",
                format!("`{kind}` is none of `{}`", TYPES.join("`, `")),
            ));
        }
        let level = text_at(planned, "access_level");
        if let Some(level) = level.filter(|level| !matches!(level.as_str(), "rw" | "ro")) {
            return Err(wrong(
                "access_level",
                format!("`{level}` is neither `rw` nor `ro`"),
            ));
        }
        let to = text_at(planned, "access_to");
        match to.filter(|to| kind.as_deref() == Some("ip") && !is_range(to)) {
            Some(to) => Err(wrong(
                "access_to",
                format!("`{to}` is neither an address nor a range"),
            )),
            None => Ok(()),
        }
    }

    fn explain(&self, refused: &Refusal) -> Option<String> {
        refused.says(&["Share access", "already exists"]).then(|| {
            "the share has a rule for the same already: import it, as `SHARE_ID/ID`".into()
        })
    }
}

/// Whether it is an address, or a range of them.
fn is_range(text: &str) -> bool {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, bits.parse::<u8>().ok()),
        None => (text, Some(0)),
    };
    match (address.parse(), bits) {
        (Ok(std::net::IpAddr::V4(_)), Some(bits)) => bits <= 32,
        (Ok(std::net::IpAddr::V6(_)), Some(bits)) => bits <= 128,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_made_and_taken_back_by_actions_of_its_share() {
        let value = Value::object_of([("share_id", "s".into())]);
        let made = ShareAccess.making(&value);
        assert_eq!(made, Some(("/shares/s/action".into(), "allow_access")));
        let taken = ShareAccess.removing(&value, "a").expect("an action");
        assert_eq!(taken.1, json!({ "deny_access": { "access_id": "a" } }));
    }

    #[test]
    fn addresses_and_ranges_are_told_from_names() {
        for text in ["192.0.2.7", "192.0.2.0/24", "2001:db8::/32"] {
            assert!(is_range(text), "{text}");
        }
        for text in ["web", "192.0.2.0/33", "192.0.2/24"] {
            assert!(!is_range(text), "{text}");
        }
    }
}
