//! `openstack_recordset`: what a name of a zone leads to. Checked against Designate 15 (Zed): `designate/objects/recordset.py`,
//! `designate/api/v2/controllers/zones/recordsets.py`.

use std::net::{Ipv4Addr, Ipv6Addr};

use dmp_sdk::{Attribute, Change, Diagnostic, Effect, Layer, Quantifier, Schema, Type, Value};
use serde_json::Value as Json;

use super::zone::{LONGEST, check_names};
use crate::object::{Kind, Model, Place, State, by, changing, fixed, told};
use crate::session::{Refusal, Service};
use crate::values::{text, text_at, texts_at, wrong};

/// The model.
pub(crate) struct Recordset;

static KIND: Kind = Kind {
    noun: "record set",
    service: Service::Dns,
    collection: "/zones/{zone_id}/recordsets",
    // Of all zones at once.
    listing: "/recordsets",
    // Designate has an object itself, and nothing around it.
    one: "",
    many: "recordsets",
    listed_by: Some(by("openstack_recordsets", "recordsets", "name")),
    mark: Place::Description,
    changes: true,
    metadata_apart: false,
    has_tags: false,
    fields: &[
        told("zone_id"),
        fixed("name"),
        fixed("type"),
        changing("records"),
        changing("ttl"),
        told("zone_name"),
    ],
};

/// Why a record does not fit a type; types that are not looked into are Designate's to judge.
fn record_fault(kind: &str, record: &str) -> Option<&'static str> {
    let is_whole = |name: &str| name.ends_with('.');
    let last = record.rsplit(' ').next().unwrap_or_default();
    match kind {
        "A" if record.parse::<Ipv4Addr>().is_err() => Some("is no IPv4 address"),
        "AAAA" if record.parse::<Ipv6Addr>().is_err() => Some("is no IPv6 address"),
        "CNAME" | "NS" | "PTR" | "MX" | "SRV" if !is_whole(last) => {
            Some("does not end with a dot, as a whole name does")
        }
        "TXT" | "SPF"
            if record.contains(' ') && !(record.starts_with('"') && record.ends_with('"')) =>
        {
            Some("has a space: put it into double quotes of its own, `\"\\\"two words\\\"\"`")
        }
        _ => None,
    }
}

#[async_trait::async_trait]
impl Model for Recordset {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::required(Type::String, doc).replaces();
        Schema::new("openstack_recordset", "What a name of a zone in Designate leads to: all records of one name and one type. It is imported as `ZONE_ID/ID`.")
            .layer(Layer::Network)
            .on_delete("The name leads nowhere; who has asked before may believe in it until its time to live is over.")
            .counterpart("openstack_dns_recordset_v2", &["{id}"])
            .attribute("zone_id", text("The zone.").hosting(Quantifier::All))
            .attribute("name", text("The whole name, with a dot at the end: `www.example.org.`."))
            .attribute("type", text("The type of its records, such as `A`, `AAAA`, `CNAME`, `MX`, `SRV` or `TXT`."))
            .attribute("records", Attribute::required(Type::set(Type::String), "Its records, as a zone file has them: `192.0.2.7`, `10 mail.example.org.`."))
            .attribute("ttl", Attribute::optional(Type::Number, "How long answers may be kept, in seconds; the zone's where nothing is said."))
            .attribute("description", Attribute::optional(Type::String, "A text about it, of at most about 60 bytes: dmp's mark stands behind it, and Designate keeps 160 in all."))
            .attribute("zone_name", Attribute::computed(Type::String, "The name of the zone."))
    }

    fn longest_text(&self) -> usize {
        LONGEST
    }

    fn state(&self, found: &Json) -> State {
        match text(found, "status").as_deref() {
            Some("PENDING") => {
                State::UnderWay("the zone's name servers have not taken it over yet".into())
            }
            Some("ERROR") => State::Failed(
                "the zone's name servers have not taken it over: the record set is in the state `ERROR`"
                    .into(),
            ),
            _ => State::Ready,
        }
    }

    fn is_stuck(&self, found: &Json) -> bool {
        text(found, "status").as_deref() == Some("ERROR")
            && text(found, "action").as_deref() == Some("DELETE")
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let planned = &change.planned;
        check_names(planned)?;
        let kind = text_at(planned, "type").unwrap_or_default();
        if kind == "SOA" {
            return Err(wrong("type", "Designate writes the `SOA` of a zone itself"));
        }
        if kind != kind.to_ascii_uppercase() {
            let upper = kind.to_ascii_uppercase();
            return Err(wrong("type", format!("write `{kind}` as `{upper}`")));
        }
        let records = planned.get("records");
        if records.as_items().is_some_and(<[Value]>::is_empty) {
            return Err(wrong("records", "a record set has at least one record"));
        }
        let records = texts_at(planned, "records");
        if kind == "CNAME" && records.len() > 1 {
            return Err(wrong("records", "a `CNAME` leads to one name only"));
        }
        for record in &records {
            if let Some(fault) = record_fault(&kind, record) {
                return Err(wrong("records", format!("`{record}` {fault}")));
            }
        }
        Ok(())
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        let name = text_at(prior, "name").unwrap_or_default();
        let what = format!("what is found by the name `{name}`");
        (vec![Effect::Downtime { what }], Vec::new())
    }

    fn explain(&self, refused: &Refusal) -> Option<String> {
        if refused.says(&["duplicate_recordset"]) {
            return Some(
                "the zone has records of this name and type already: import them, as `ZONE_ID/ID`"
                    .into(),
            );
        }
        if refused.says(&["invalid_recordset_location", "not contained within"]) {
            return Some("the name has to end with the name of the zone".into());
        }
        refused.says(&["CNAME"]).then(|| {
            "a name with a `CNAME` has no other records, and the zone's own name never one".into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_fit_their_type() {
        for (kind, record) in [
            ("A", "192.0.2.7"),
            ("AAAA", "2001:db8::7"),
            ("MX", "10 mail.example.org."),
            ("TXT", "\"two words\""),
            ("TXT", "one"),
            ("SSHFP", "2 1 aa"),
        ] {
            assert_eq!(record_fault(kind, record), None, "{record}");
        }
        for (kind, record) in [
            ("A", "2001:db8::7"),
            ("AAAA", "192.0.2.7"),
            ("CNAME", "www.example.org"),
            ("MX", "10 mail.example.org"),
            ("TXT", "two words"),
        ] {
            assert!(record_fault(kind, record).is_some(), "{record}");
        }
    }
}
