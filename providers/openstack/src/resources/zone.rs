//! `openstack_zone`: a zone of names in Designate, whose name servers answer for it once it is active. Checked against Designate
//! 15 (Zed): `designate/objects/zone.py`, `designate/api/v2/controllers/zones`.

use std::time::Duration;

use dmp_sdk::{Attribute, Change, Diagnostic, Effect, HoldsData, Layer, Schema, Type, Value};
use serde_json::Value as Json;

use super::primary;
use crate::object::{Kind, Model, Place, State, Task, by, changing, fixed, told, wait_for};
use crate::session::{Refusal, Service, Verb};
use crate::values::{text, text_at, wrong};

/// The model.
pub(crate) struct Zone;

static KIND: Kind = Kind {
    noun: "zone",
    service: Service::Dns,
    collection: "/zones",
    listing: "/zones",
    // Designate has an object itself, and nothing around it.
    one: "",
    many: "zones",
    listed_by: Some(by("openstack_zones", "zones", "name")),
    mark: Place::Description,
    changes: true,
    metadata_apart: false,
    has_tags: false,
    fields: &[
        fixed("name"),
        changing("email"),
        changing("ttl"),
        fixed("type"),
        changing("masters").or_none(),
        fixed("attributes"),
        told("pool_id"),
    ],
};

/// How long a description may be in Designate.
pub(super) const LONGEST: usize = 160;
/// How long the name servers have to take over a change.
const TAKEN: Duration = Duration::from_secs(600);

/// Why a name can't be one of DNS.
pub(super) fn name_fault(name: &str) -> Option<&'static str> {
    match name {
        _ if !name.ends_with('.') => Some("does not end with a dot: `example.org.`"),
        _ if name.len() > 255 => Some("is longer than 255 bytes"),
        _ if name.trim_end_matches('.').split('.').any(str::is_empty) => Some("has an empty label"),
        _ if name.split('.').any(|label| label.len() > 63) => {
            Some("has a label of more than 63 bytes")
        }
        _ => None,
    }
}

/// Refuses a name that can't be one, and a time to live out of range.
pub(super) fn check_names(planned: &Value) -> Result<(), Diagnostic> {
    if let Some(name) = text_at(planned, "name")
        && let Some(fault) = name_fault(&name)
    {
        return Err(wrong("name", format!("`{name}` {fault}")));
    }
    match planned.get("ttl").as_i64() {
        Some(ttl) if !(1..=i64::from(i32::MAX)).contains(&ttl) => Err(wrong(
            "ttl",
            "it is a number of seconds from 1 to 2147483647",
        )),
        _ => Ok(()),
    }
}

/// How far Designate is with something: what has not reached all name servers yet is pending.
fn status(found: &Json) -> String {
    text(found, "status").unwrap_or_default()
}

#[async_trait::async_trait]
impl Model for Zone {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc);
        Schema::new("openstack_zone", "A zone of names in Designate.")
            .layer(Layer::Network)
            .on_delete("The zone and all names in it are gone: its name servers no longer answer for it.")
            .counterpart("openstack_dns_zone_v2", &["{id}"])
            .attribute("name", Attribute::required(Type::String, "Its name, with a dot at the end: `example.org.`.").replaces())
            .attribute("email", text("The address of whoever answers for it, which a primary zone needs."))
            .attribute("description", text("A text about it, of at most about 60 bytes: dmp's mark stands behind it, and Designate keeps 160 in all."))
            .attribute("ttl", Attribute::optional_computed(Type::Number, "How long answers may be kept, in seconds, where a record set does not say it; what is set is never unset again."))
            .attribute("type", Attribute::default(Type::String, "`PRIMARY`, or `SECONDARY` for one that is copied from other name servers.", "PRIMARY").replaces())
            .attribute("masters", Attribute::optional(Type::set(Type::String), "The name servers that a secondary zone is copied from: `192.0.2.53` or `192.0.2.53:5353`."))
            .attribute("attributes", Attribute::optional(Type::map(Type::String), "What the scheduler chooses the pool of name servers by.").replaces())
            .attribute("pool_id", Attribute::computed(Type::String, "The pool of name servers that it is on."))
            .attribute("primary", Attribute::default(Type::Bool, "Whether the names in it may be written down nowhere else: then it is never deleted or replaced without a word.", false))
    }

    fn longest_text(&self) -> usize {
        LONGEST
    }

    fn changes_by(&self) -> Verb {
        Verb::Patch
    }

    fn refine(&self, known: &Value, found: &Json, value: Value) -> Value {
        // What is wanted is that of the record: a secondary zone has its address from whom it is copied.
        let value = match text(found, "type").as_deref() {
            Some("SECONDARY") => value.with("email", known.get("email")),
            _ => value,
        };
        match known.get("primary").is_null() {
            true => value.with("primary", false.into()),
            false => value,
        }
    }

    /// While names in it change a zone is pending too: that is no change of its own.
    fn state(&self, found: &Json) -> State {
        let action = text(found, "action").unwrap_or_default();
        match status(found).as_str() {
            "ERROR" => State::Failed(match action.as_str() {
                "DELETE" => {
                    "its name servers have not let go of it: the zone is in the state `ERROR`"
                        .into()
                }
                _ => "its name servers have not taken it over: the zone is in the state `ERROR`"
                    .into(),
            }),
            "PENDING" if action != "UPDATE" => {
                State::UnderWay("its name servers have not taken it over yet".into())
            }
            _ => State::Ready,
        }
    }

    fn is_stuck(&self, found: &Json) -> bool {
        status(found) == "ERROR" && text(found, "action").as_deref() == Some("DELETE")
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let planned = &change.planned;
        check_names(planned)?;
        let is_secondary = match text_at(planned, "type").as_deref() {
            None | Some("PRIMARY") => false,
            Some("SECONDARY") => true,
            Some(other) => {
                return Err(wrong(
                    "type",
                    format!("`{other}` is neither `PRIMARY` nor `SECONDARY`"),
                ));
            }
        };
        let has_masters = !planned.get("masters").is_null();
        match is_secondary {
            true if !has_masters => {
                return Err(wrong(
                    "masters",
                    "a secondary zone is copied from somewhere",
                ));
            }
            true if !change.config.get("email").is_null() => {
                return Err(wrong("email", "a secondary zone has that of its master"));
            }
            true if !change.config.get("ttl").is_null() => {
                return Err(wrong("ttl", "a secondary zone has that of its master"));
            }
            false if has_masters => {
                return Err(wrong("masters", "only a secondary zone is copied"));
            }
            false if planned.get("email").is_null() => {
                return Err(wrong("email", "a primary zone names who answers for it"));
            }
            _ => {}
        }
        let email = text_at(planned, "email");
        if let Some(email) = email.filter(|email| !email.contains('@')) {
            return Err(wrong("email", format!("`{email}` is no address of mail")));
        }
        Ok(())
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        let name = text_at(prior, "name").unwrap_or_default();
        let what = format!("what is found by names in `{name}`");
        (vec![Effect::Downtime { what }], Vec::new())
    }

    fn holds_data(&self, value: &Value) -> Option<HoldsData> {
        primary::is_primary(value).then_some(HoldsData::Primary)
    }

    /// Until all of its name servers have a change.
    async fn settle(
        &self,
        task: &Task<'_>,
        id: &str,
        found: &Json,
        _wanted: &Value,
    ) -> Result<(), Diagnostic> {
        if status(found) != "PENDING" {
            return Ok(());
        }
        let path = format!("/zones/{id}");
        let path = &path;
        let taken = wait_for(
            task.cx,
            "its name servers to take it over",
            TAKEN,
            || async move {
                let found = task.look(Service::Dns, path, KIND.one).await?;
                Ok(found.filter(|found| status(found) != "PENDING"))
            },
        );
        let found = taken
            .await
            .map_err(|error| error.diagnostic("cannot change a zone"))?;
        match self.state(&found) {
            State::Failed(why) => Err(Diagnostic::remote("failed", "a zone has failed")
                .cause(why)
                .help("look at the name servers of its pool; Designate tries again by itself")),
            _ => Ok(()),
        }
    }

    fn explain(&self, refused: &Refusal) -> Option<String> {
        if refused.says(&["duplicate_zone"]) {
            return Some(
                "the zone is there already: import it, or look in which project it is".into(),
            );
        }
        if refused.says(&["subzone in another tenant", "superzone"]) {
            return Some("a zone above or below it belongs to another project: that one has to make it, or give it away".into());
        }
        refused
            .says(&["delete any subzones"])
            .then(|| "zones below it go first".into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_zone_whose_names_change_is_whole() {
        let state =
            |status: &str, action: &str| Zone.state(&json!({ "status": status, "action": action }));
        assert_eq!(state("ACTIVE", "NONE"), State::Ready);
        assert_eq!(state("PENDING", "UPDATE"), State::Ready);
        assert!(matches!(state("PENDING", "CREATE"), State::UnderWay(_)));
        assert!(matches!(state("ERROR", "UPDATE"), State::Failed(_)));
        let stuck = |action: &str| Zone.is_stuck(&json!({ "status": "ERROR", "action": action }));
        assert!(stuck("DELETE") && !stuck("UPDATE"));
    }

    #[test]
    fn names_end_with_a_dot() {
        assert_eq!(name_fault("example.org."), None);
        for name in ["example.org", "a..b.", &format!("{}.", "x".repeat(64))] {
            assert!(name_fault(name).is_some(), "{name}");
        }
    }
}
