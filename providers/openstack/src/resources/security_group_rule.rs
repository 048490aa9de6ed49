//! `openstack_security_group_rule`: one rule of a group. Neutron changes none in place.

use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Quantifier, Schema, Type};

use crate::object::{Kind, Model, Place, by, fixed};
use crate::session::{Refusal, Service};
use crate::values::{is_given, text_at, wrong};

/// The model.
pub(crate) struct SecurityGroupRule;

static KIND: Kind = Kind {
    noun: "rule of a security group",
    service: Service::Network,
    collection: "/security-group-rules",
    listing: "/security-group-rules",
    one: "security_group_rule",
    many: "security_group_rules",
    listed_by: Some(by(
        "openstack_security_group_rules",
        "security_group_rules",
        "id",
    )),
    mark: Place::Description,
    changes: false,
    metadata_apart: false,
    has_tags: false,
    fields: &[
        fixed("security_group_id"),
        fixed("direction"),
        fixed("ethertype"),
        fixed("protocol"),
        fixed("port_range_min"),
        fixed("port_range_max"),
        fixed("remote_ip_prefix"),
        fixed("remote_group_id"),
        fixed("remote_address_group_id"),
    ],
};

/// A single address is a range of one.
fn as_prefix(text: &str) -> String {
    match text.contains('/') {
        true => text.to_ascii_lowercase(),
        false if text.contains(':') => format!("{}/128", text.to_ascii_lowercase()),
        false => format!("{text}/32"),
    }
}

#[async_trait::async_trait]
impl Model for SecurityGroupRule {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc).replaces();
        let number = |doc| Attribute::optional(Type::Number, doc).replaces();
        Schema::new(
            "openstack_security_group_rule",
            "A rule of a security group: what is let in or out.",
        )
        .layer(Layer::Network)
        .on_delete("The rule is removed; what it let through no longer gets through.")
        .counterpart("openstack_networking_secgroup_rule_v2", &["{id}"])
        .attribute(
            "security_group_id",
            Attribute::required(Type::String, "The group that it is of.")
                .hosting(Quantifier::All)
                .replaces(),
        )
        .attribute(
            "direction",
            Attribute::required(Type::String, "`ingress` or `egress`.").replaces(),
        )
        .attribute(
            "ethertype",
            Attribute::default(Type::String, "`IPv4` or `IPv6`.", "IPv4").replaces(),
        )
        .attribute(
            "protocol",
            text(
                "`tcp`, `udp`, `icmp` or another, or its number; every one where nothing is said.",
            ),
        )
        .attribute(
            "port_range_min",
            number("The first port; with ICMP the type."),
        )
        .attribute(
            "port_range_max",
            number("The last port; with ICMP the code."),
        )
        .attribute(
            "remote_ip_prefix",
            text("From or to which addresses; all where nothing is said."),
        )
        .attribute("remote_group_id", text("From or to ports of which group."))
        .attribute(
            "remote_address_group_id",
            text("From or to addresses of which address group."),
        )
        .attribute(
            "description",
            text("A text about it. dmp's mark stands behind it."),
        )
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let planned = &change.planned;
        match text_at(planned, "direction").as_deref() {
            None | Some("ingress" | "egress") => {}
            Some(other) => {
                return Err(wrong(
                    "direction",
                    format!("`{other}` is neither `ingress` nor `egress`"),
                ));
            }
        }
        match text_at(planned, "ethertype").as_deref() {
            None | Some("IPv4" | "IPv6") => {}
            Some(other) => {
                return Err(wrong(
                    "ethertype",
                    format!("`{other}` is neither `IPv4` nor `IPv6`"),
                ));
            }
        }
        let has_port = ["port_range_min", "port_range_max"]
            .iter()
            .any(|name| is_given(planned, name));
        if has_port && planned.get("protocol").is_null() {
            return Err(wrong("protocol", "ports need a `protocol`"));
        }
        if let (Some(first), Some(last)) = (
            planned.get("port_range_min").as_i64(),
            planned.get("port_range_max").as_i64(),
        ) {
            let is_icmp =
                text_at(planned, "protocol").is_some_and(|protocol| protocol.contains("icmp"));
            if first > last && !is_icmp {
                return Err(wrong("port_range_min", format!("{first} is above {last}")));
            }
        }
        let remotes = [
            "remote_ip_prefix",
            "remote_group_id",
            "remote_address_group_id",
        ];
        let given: Vec<&str> = remotes
            .into_iter()
            .filter(|name| is_given(planned, name))
            .collect();
        if let [_, second, ..] = given.as_slice() {
            return Err(wrong(
                second,
                format!("these exclude each other: `{}`", given.join("`, `")),
            ));
        }
        // Neutron writes some things in a way of its own.
        let Some(prior) = change.prior else {
            return Ok(());
        };
        let same = |name: &str, form: fn(&str) -> String| {
            let (has, wants) = (text_at(prior, name), text_at(&change.planned, name));
            has.zip(wants)
                .is_some_and(|(has, wants)| form(&has) == form(&wants))
        };
        let lower: fn(&str) -> String = str::to_ascii_lowercase;
        let (prefix, protocol) = (same("remote_ip_prefix", as_prefix), same("protocol", lower));
        if prefix {
            change.keep("remote_ip_prefix");
        }
        if protocol {
            change.keep("protocol");
        }
        Ok(())
    }

    fn explain(&self, refused: &Refusal) -> Option<String> {
        refused
            .says(&["already exists", "SecurityGroupRuleExists"])
            .then(|| "the group has such a rule that is not this one: leave one of both out, or import it".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_range_of_one() {
        assert_eq!(as_prefix("192.0.2.1"), "192.0.2.1/32");
        assert_eq!(as_prefix("2001:DB8::1"), "2001:db8::1/128");
        assert_eq!(as_prefix("192.0.2.0/24"), "192.0.2.0/24");
    }
}
