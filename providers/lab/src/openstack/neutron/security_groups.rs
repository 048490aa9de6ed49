//! Security groups. They are kept and told of; what comes to whole systems through a router is filtered by them.

use serde_json::{Value, json};

use super::attributes::{Attribute, Rule, always, told};
use super::{Collection, nobody, rules, standard};
use crate::openstack::estate::{Estate, Kind, Shown, list, shown, text};
use crate::openstack::{Call, Failure};

static ATTRIBUTES: [Attribute; 4] = [
    always("name", Rule::Text(255)).needed(),
    always("stateful", Rule::Flag).or(true),
    always("shared", Rule::Flag).or(false).by_admin(),
    told("security_group_rules"),
];

pub(super) static COLLECTION: Collection = Collection {
    kind: Kind::SecurityGroup,
    path: "security-groups",
    one: "security_group",
    many: "security_groups",
    missing: ("SecurityGroupNotFound", "Security group", "does not exist"),
    attributes: &ATTRIBUTES,
    make,
    change,
    remove,
    show,
    follow: nobody,
};

const DEFAULT: &str = "default";

fn make(call: &mut Call<'_>, group: &mut Shown) -> Result<(), Failure> {
    if text(group, "name").eq_ignore_ascii_case(DEFAULT) {
        return Err(Failure::of(
            409,
            "SecurityGroupDefaultAlreadyExists",
            "Default security group already exists.",
        ));
    }
    let id = text(group, "id").to_owned();
    let project = call.caller.project.clone();
    for version in ["IPv4", "IPv6"] {
        rules::put(
            &mut call.world.openstack,
            &project,
            &id,
            json!({ "direction": "egress", "ethertype": version }),
        );
    }
    Ok(())
}

fn change(call: &mut Call<'_>, id: &str, group: &mut Shown) -> Result<(), Failure> {
    let estate = &call.world.openstack;
    let before = estate
        .get(Kind::SecurityGroup, id)
        .cloned()
        .unwrap_or_default();
    let is_renamed = before.get("name") != group.get("name");
    if is_renamed && text(&before, "name") == DEFAULT {
        return Err(Failure::of(
            409,
            "SecurityGroupCannotUpdateDefault",
            "Updating default security group not allowed.",
        ));
    }
    if before.get("stateful") != group.get("stateful") && is_used(estate, id) {
        return Err(in_use(id));
    }
    Ok(())
}

fn is_used(estate: &Estate, id: &str) -> bool {
    let mut ports = estate.all(Kind::Port).into_iter();
    ports.any(|(_, port)| {
        list(&port.shown, "security_groups")
            .iter()
            .any(|group| group == id)
    })
}

fn in_use(id: &str) -> Failure {
    Failure::of(
        409,
        "SecurityGroupInUse",
        format!("Security Group {id} in use."),
    )
}

fn remove(call: &mut Call<'_>, id: &str) -> Result<(), Failure> {
    let estate = &mut call.world.openstack;
    if is_used(estate, id) {
        return Err(in_use(id));
    }
    let is_default = estate
        .get(Kind::SecurityGroup, id)
        .is_some_and(|group| text(group, "name") == DEFAULT);
    if is_default && !call.caller.is_admin {
        return Err(Failure::of(
            409,
            "SecurityGroupCannotRemoveDefault",
            "Insufficient rights for removing default security group.",
        ));
    }
    for rule in estate.having(Kind::Rule, "security_group_id", id) {
        estate.take(Kind::Rule, &rule);
    }
    // Rules that let in what is in the group go with it.
    for rule in estate.having(Kind::Rule, "remote_group_id", id) {
        estate.take(Kind::Rule, &rule);
    }
    Ok(())
}

fn show(estate: &Estate, group: &mut Shown) {
    let rules = estate.having(Kind::Rule, "security_group_id", text(group, "id"));
    let rules = rules
        .iter()
        .filter_map(|id| estate.get(Kind::Rule, id).cloned());
    let rules: Vec<Value> = rules.map(Value::Object).collect();
    group.insert("security_group_rules".into(), rules.into());
}

/// Makes the group that ports of a project are in of which nothing is said.
pub(in crate::openstack) fn default_group(estate: &mut Estate, project: &str) {
    let id = estate.new_id();
    let mut group = standard(project);
    group.extend(shown(json!({
        "id": id, "name": DEFAULT, "description": "Default security group", "stateful": true, "shared": false,
    })));
    estate.put(Kind::SecurityGroup, &id, project, group);
    for version in ["IPv4", "IPv6"] {
        let inward = json!({ "direction": "ingress", "ethertype": version, "remote_group_id": id });
        rules::put(estate, project, &id, inward);
        rules::put(
            estate,
            project,
            &id,
            json!({ "direction": "egress", "ethertype": version }),
        );
    }
}

impl Estate {
    /// Returns the default group of a project.
    pub(super) fn default_group_of(&self, project: &str) -> Option<String> {
        self.group_named(project, DEFAULT)
    }

    /// Returns a group of a project by its name or id.
    pub(in crate::openstack) fn group_named(&self, project: &str, name: &str) -> Option<String> {
        let mut all = self.all(Kind::SecurityGroup).into_iter();
        let found = all.find(|(id, group)| {
            group.project == project && (*id == name || text(&group.shown, "name") == name)
        });
        found.map(|(id, _)| id.to_owned())
    }
}
