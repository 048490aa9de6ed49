//! Server groups: servers that are kept on one host, or on different ones.

use serde_json::{Value, json};

use crate::openstack::estate::{Kind, Shown, list as items, shown, text};
use crate::openstack::listing::Listing;
use crate::openstack::shape::{Member, Object, Shape, check};
use crate::openstack::{Answer, Call, Failure, Outcome, Version};

const POLICIES: Shape = Shape::Word(&[
    "anti-affinity",
    "affinity",
    "soft-anti-affinity",
    "soft-affinity",
]);

/// `nova/api/openstack/compute/schemas/server_groups.py`, from 2.64 on.
static CREATE: Object = Object {
    members: &[Member("server_group", 1, Shape::Object(&GROUP))],
    needed: &["server_group"],
    is_open: false,
};

static GROUP: Object = Object {
    members: &[
        Member("name", 1, Shape::Name),
        Member("policy", 64, POLICIES),
        Member("rules", 64, Shape::Object(&RULES)),
    ],
    needed: &["name", "policy"],
    is_open: false,
};

static RULES: Object = Object {
    members: &[Member(
        "max_server_per_host",
        64,
        Shape::Number(1, i32::MAX as i64),
    )],
    needed: &[],
    is_open: false,
};

/// The same before.
static OLD: Object = Object {
    members: &[Member("server_group", 1, Shape::Object(&OLD_GROUP))],
    needed: &["server_group"],
    is_open: false,
};

static OLD_GROUP: Object = Object {
    members: &[
        Member("name", 1, Shape::Name),
        Member("policies", 1, Shape::List(&POLICIES, 1)),
    ],
    needed: &["name", "policies"],
    is_open: false,
};

/// Returns a group as a version shows it.
fn told(call: &Call<'_>, group: &Shown) -> Shown {
    let mut told = group.clone();
    let id = text(group, "id");
    let servers = call.world.openstack.servers.values();
    let members = servers.filter(|server| server.hints.group.as_deref() == Some(id));
    let members: Vec<&str> = members.map(|server| server.id.as_str()).collect();
    told.insert("members".into(), json!(members));
    if call.version < Version(2, 64) {
        let policy = told.remove("policy").unwrap_or_default();
        told.remove("rules");
        told.insert("policies".into(), json!([policy]));
        told.insert("metadata".into(), json!({}));
    }
    if call.version < Version(2, 13) {
        told.remove("project_id");
        told.remove("user_id");
    }
    told
}

/// `GET /v2.1/os-server-groups`.
pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let all = call.world.openstack.all(Kind::ServerGroup).into_iter();
    let own = all.filter(|(_, group)| group.project == call.caller.project);
    let listing = Listing {
        many: "server_groups",
        path: "/compute/v2.1/os-server-groups".into(),
        items: own.map(|(_, group)| told(call, &group.shown)).collect(),
    };
    Answer::ok(listing.page(call)?)
}

fn find(call: &Call<'_>) -> Result<Shown, Failure> {
    let id = call.id();
    let found = call.world.openstack.object(Kind::ServerGroup, &id);
    let found = found.filter(|group| call.sees(&group.project));
    let shown = found.map(|group| group.shown.clone());
    shown.ok_or_else(|| Failure::missing(format!("Instance group {id} could not be found.")))
}

/// `GET /v2.1/os-server-groups/{id}`.
pub(super) fn show(call: &mut Call<'_>) -> Outcome {
    let found = find(call)?;
    Answer::ok(json!({ "server_group": told(call, &found) }))
}

/// `DELETE /v2.1/os-server-groups/{id}`.
pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    find(call)?;
    let id = call.id();
    call.world.openstack.take(Kind::ServerGroup, &id);
    Answer::empty(204)
}

/// `POST /v2.1/os-server-groups`.
pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let is_new = call.version >= Version(2, 64);
    check(
        if is_new { &CREATE } else { &OLD },
        &call.body,
        call.version,
    )?;
    let sent = call.body["server_group"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let policy = match is_new {
        true => sent.get("policy").cloned().unwrap_or_default(),
        false => items(&sent, "policies")
            .first()
            .cloned()
            .unwrap_or_default(),
    };
    let rules = sent.get("rules").cloned().unwrap_or_else(|| json!({}));
    if rules != json!({}) && policy != "anti-affinity" {
        return Err(Failure::bad("Only anti-affinity policy supports rules."));
    }
    let project = call.caller.project.clone();
    let most = call.quota("server_groups");
    if most >= 0 && call.world.openstack.count(Kind::ServerGroup, &project) >= most {
        return Err(Failure::forbidden(
            "Quota exceeded, too many server groups.",
        ));
    }
    put(call, &project, text(&sent, "name"), &policy, &rules)
}

fn put(call: &mut Call<'_>, project: &str, name: &str, policy: &Value, rules: &Value) -> Outcome {
    let id = call.world.openstack.new_id();
    let group = shown(json!({
        "id": id, "name": name, "policy": policy, "rules": rules, "project_id": project, "user_id": call.caller.user,
    }));
    call.world
        .openstack
        .put(Kind::ServerGroup, &id, project, group.clone());
    Answer::ok(json!({ "server_group": told(call, &group) }))
}
