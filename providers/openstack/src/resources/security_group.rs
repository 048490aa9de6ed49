//! `openstack_security_group`: a group of rules for packets. The rules are objects of their own, but for the two that Neutron
//! makes with each group, which let everything out.

use dmp_sdk::{Attribute, Diagnostic, Layer, Schema, Type, Value};
use serde_json::{Value as Json, json};

use super::ports_in_words;
use crate::object::{Kind, Model, Place, Task, by, changing};
use crate::session::{Service, Verb};
use crate::values::{items, text};

/// The model.
pub(crate) struct SecurityGroup;

static KIND: Kind = Kind {
    noun: "security group",
    service: Service::Network,
    collection: "/security-groups",
    listing: "/security-groups",
    one: "security_group",
    many: "security_groups",
    listed_by: Some(by("openstack_security_groups", "security_groups", "name")),
    mark: Place::Description,
    changes: true,
    metadata_apart: false,
    has_tags: true,
    fields: &[changing("name"), changing("stateful")],
};

/// Whether a rule is one of those that let everything out.
fn lets_all_out(rule: &Json) -> bool {
    let is_open = |name: &str| rule[name].is_null();
    rule["direction"] == "egress"
        && [
            "protocol",
            "port_range_min",
            "port_range_max",
            "remote_group_id",
        ]
        .iter()
        .all(|name| is_open(name))
        && matches!(
            rule["remote_ip_prefix"].as_str(),
            None | Some("0.0.0.0/0" | "::/0")
        )
        && crate::marked::Described::read(rule["description"].as_str())
            .mark
            .is_none()
}

fn default_rules(group: &Json) -> Vec<&Json> {
    let rules = items(&group["security_group_rules"]).iter();
    rules.filter(|rule| lets_all_out(rule)).collect()
}

#[async_trait::async_trait]
impl Model for SecurityGroup {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        Schema::new("openstack_security_group", "A group of rules for the packets of ports.")
            .layer(Layer::Network)
            .on_delete("The group and its rules are removed, which Neutron refuses while ports are in it.")
            .counterpart("openstack_networking_secgroup_v2", &["{id}"])
            .attribute("name", Attribute::required(Type::String, "Its name."))
            .attribute("stateful", Attribute::optional_computed(Type::Bool, "Whether answers are let through by themselves."))
            .attribute(
                "default_rules",
                Attribute::default(Type::Bool, "Whether the rules that Neutron makes with each group stay, which let everything out.", true),
            )
    }

    fn refine(&self, _known: &Value, found: &Json, value: Value) -> Value {
        value.with("default_rules", (!default_rules(found).is_empty()).into())
    }

    async fn settle(
        &self,
        task: &Task<'_>,
        id: &str,
        found: &Json,
        wanted: &Value,
    ) -> Result<(), Diagnostic> {
        let stay = wanted.get("default_rules").as_bool() != Some(false);
        let there = default_rules(found);
        let name = text(found, "name").unwrap_or_default();
        if stay && there.is_empty() {
            for version in ["IPv4", "IPv6"] {
                let body = json!({ "security_group_rule": {
                    "security_group_id": id, "direction": "egress", "ethertype": version,
                } });
                let title = format!("let everything out of `{name}` by {version}");
                let made = task
                    .change(
                        &title,
                        Service::Network,
                        Verb::Post,
                        "/security-group-rules",
                        &body,
                    )
                    .await;
                match made {
                    Ok(_) => {}
                    Err(error) if error.is_conflict() => {}
                    Err(error) => return Err(error.diagnostic("cannot make a rule")),
                }
            }
        }
        if !stay {
            for rule in there {
                let rule = text(rule, "id").unwrap_or_default();
                let title = format!("remove a rule that lets everything out of `{name}`");
                let path = format!("/security-group-rules/{rule}");
                match task
                    .change(&title, Service::Network, Verb::Delete, &path, &Json::Null)
                    .await
                {
                    Ok(_) => {}
                    Err(error) if error.is_missing() => {}
                    Err(error) => return Err(error.diagnostic("cannot remove a rule")),
                }
            }
        }
        Ok(())
    }

    async fn blockers(&self, task: &Task<'_>, id: &str) -> Vec<String> {
        ports_in_words(task, &format!("security_groups={id}")).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_neutrons_own_open_rules_are_meant() {
        let rule = json!({ "direction": "egress", "ethertype": "IPv4", "protocol": null, "description": "" });
        assert!(lets_all_out(&rule));
        for (name, value) in [
            ("direction", json!("ingress")),
            ("protocol", json!("tcp")),
            ("remote_ip_prefix", json!("192.0.2.0/24")),
            ("description", json!("[dmp.v1.l.i]")),
        ] {
            let mut other = rule.clone();
            other[name] = value;
            assert!(!lets_all_out(&other), "{name}");
        }
    }
}
