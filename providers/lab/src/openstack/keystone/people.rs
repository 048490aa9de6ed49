//! Projects, users and the only domain, as far as they may be seen: each user sees what is its own, the administrator all.

use serde_json::{Value, json};

use crate::openstack::estate::Login;
use crate::openstack::{Answer, Call, Failure, Outcome};

fn logins(call: &Call<'_>) -> Vec<Login> {
    let all = call.world.openstack.ground.logins.all().into_iter();
    let own = all.filter(|login| call.caller.is_admin || login.user == call.caller.user);
    own.cloned().collect()
}

fn project_of(call: &Call<'_>, login: &Login) -> Value {
    let domain = &call.world.openstack.ground.logins.domain;
    json!({
        "id": login.project, "name": login.name, "domain_id": domain, "parent_id": domain, "enabled": true, "is_domain": false,
        "description": "", "tags": [], "options": {},
    })
}

fn user_of(call: &Call<'_>, login: &Login) -> Value {
    let domain = &call.world.openstack.ground.logins.domain;
    json!({
        "id": login.user, "name": login.name, "domain_id": domain, "default_project_id": login.project, "enabled": true,
        "password_expires_at": null, "options": {},
    })
}

/// Whether what a query asks for by name is this.
fn fits(call: &Call<'_>, login: &Login) -> bool {
    call.asked("name").is_none_or(|name| name == login.name)
}

fn listed(call: &Call<'_>, many: &str, one: fn(&Call<'_>, &Login) -> Value) -> Outcome {
    let all = logins(call);
    let found = all.iter().filter(|login| fits(call, login));
    let found: Vec<Value> = found.map(|login| one(call, login)).collect();
    Answer::ok(json!({ many: found, "links": { "next": null, "previous": null } }))
}

/// `GET /v3/auth/projects` and `GET /v3/users/{id}/projects`.
pub(super) fn own_projects(call: &mut Call<'_>) -> Outcome {
    let all = logins(call);
    let own = all.iter().filter(|login| login.user == call.caller.user);
    let own: Vec<Value> = own.map(|login| project_of(call, login)).collect();
    Answer::ok(json!({ "projects": own, "links": { "next": null, "previous": null } }))
}

/// `GET /v3/projects`.
pub(super) fn projects(call: &mut Call<'_>) -> Outcome {
    listed(call, "projects", project_of)
}

/// `GET /v3/projects/{id}`.
pub(super) fn project(call: &mut Call<'_>) -> Outcome {
    let id = call.id();
    let all = logins(call);
    match all.iter().find(|login| login.project == id) {
        Some(login) => Answer::ok(json!({ "project": project_of(call, login) })),
        None => Err(Failure::missing(format!("Could not find project: {id}."))),
    }
}

/// `GET /v3/users`.
pub(super) fn users(call: &mut Call<'_>) -> Outcome {
    listed(call, "users", user_of)
}

/// `GET /v3/users/{id}`.
pub(super) fn user(call: &mut Call<'_>) -> Outcome {
    let id = call.id();
    let all = logins(call);
    match all.iter().find(|login| login.user == id) {
        Some(login) => Answer::ok(json!({ "user": user_of(call, login) })),
        None => Err(Failure::missing(format!("Could not find user: {id}."))),
    }
}

fn the_domain(call: &Call<'_>) -> Value {
    let id = &call.world.openstack.ground.logins.domain;
    json!({ "id": id, "name": "Default", "enabled": true, "description": "", "tags": [], "options": {} })
}

/// `GET /v3/domains` and `GET /v3/auth/domains`.
pub(super) fn domains(call: &mut Call<'_>) -> Outcome {
    let is_it = call.asked("name").is_none_or(|name| name == "Default");
    let found: Vec<Value> = is_it.then(|| the_domain(call)).into_iter().collect();
    Answer::ok(json!({ "domains": found, "links": { "next": null, "previous": null } }))
}

/// `GET /v3/domains/{id}`.
pub(super) fn domain(call: &mut Call<'_>) -> Outcome {
    let id = call.id();
    match the_domain(call) {
        domain if domain["id"] == id.as_str() => Answer::ok(json!({ "domain": domain })),
        _ => Err(Failure::missing(format!("Could not find domain: {id}."))),
    }
}
