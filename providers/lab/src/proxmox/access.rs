//! Logging in, users, tokens, roles and rules.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Answer, Call, Failure, Handler, Outcome};
use crate::wire::gate;
use crate::world::access::{Access, Caller, Rule, Token, User};
use crate::world::draw::Draw;

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("GET /version", version),
    ("POST /access/ticket", log_in),
    ("GET /access/permissions", permissions),
    ("GET /access/users", users),
    ("POST /access/users", add_user),
    ("GET /access/users/{userid}", user),
    ("DELETE /access/users/{userid}", drop_user),
    ("GET /access/users/{userid}/token", tokens),
    ("GET /access/users/{userid}/token/{tokenid}", token),
    ("POST /access/users/{userid}/token/{tokenid}", add_token),
    ("DELETE /access/users/{userid}/token/{tokenid}", drop_token),
    ("GET /access/acl", rules),
    ("PUT /access/acl", change_rules),
    ("GET /access/roles", roles),
    ("POST /access/roles", add_role),
    ("GET /access/roles/{roleid}", role),
    ("DELETE /access/roles/{roleid}", drop_role),
];

pub(super) fn version(call: &mut Call<'_>) -> Outcome {
    let (release, version, _) = call.world.cluster.site.release.words();
    Answer::data(json!({ "version": version, "release": release, "repoid": "1ab0000000000000" }))
}

fn log_in(call: &mut Call<'_>) -> Outcome {
    let failed = || Failure::Login("authentication failure".into());
    let mut name = call.parameters.needed("username").to_owned();
    if let Some(realm) = call
        .parameters
        .text("realm")
        .filter(|_| !name.contains('@'))
    {
        name = format!("{name}@{realm}");
    }
    let password = call.parameters.needed("password");
    let user = call
        .world
        .cluster
        .access
        .users
        .get(&name)
        .filter(|user| !user.is_disabled)
        .ok_or_else(failed)?;
    let secret = &call.world.cluster.secret;
    let now = call.world.clock_of(call.entry) / 1000;
    let renews = gate::user_of_ticket(secret, password, now).is_some_and(|of| of == name);
    let known = user
        .password
        .as_deref()
        .is_some_and(|known| gate::same(known, password));
    if !known && !renews {
        return Err(failed());
    }
    let caller = Caller {
        user: name.clone(),
        token: None,
    };
    Answer::data(json!({
        "username": name,
        "ticket": gate::ticket(secret, &name, now),
        "CSRFPreventionToken": gate::csrf(secret, &name, now),
        "clustername": call.world.cluster.site.cluster,
        "cap": capabilities(&call.world.cluster.access, &caller),
    }))
}

/// What the web interface shows or hides.
fn capabilities(access: &Access, caller: &Caller) -> Value {
    let parts: [(&str, &str, &[&str]); 7] = [
        ("vms", "/vms", &["VM.", "Permissions."]),
        ("storage", "/storage", &["Datastore.", "Permissions."]),
        ("nodes", "/nodes", &["Sys.", "Permissions."]),
        ("sdn", "/sdn", &["SDN.", "Permissions."]),
        ("dc", "/", &["Sys.Audit", "Sys.Modify", "SDN."]),
        ("mapping", "/mapping", &["Mapping.", "Permissions."]),
        ("access", "/access", &["User.", "Group.", "Permissions."]),
    ];
    let part = |(name, path, prefixes): (&str, &str, &[&str])| {
        let rights = access.rights(caller, path, None).into_iter();
        let shown = rights.filter(|right| prefixes.iter().any(|prefix| right.starts_with(prefix)));
        (
            name.to_owned(),
            Value::Object(shown.map(|right| (right, json!(1))).collect()),
        )
    };
    Value::Object(parts.map(part).into_iter().collect())
}

fn permissions(call: &mut Call<'_>) -> Outcome {
    let access = &call.world.cluster.access;
    let caller = match call.parameters.text("userid") {
        Some(name)
            if name == call.caller.name()
                || name.starts_with(&format!("{}!", call.caller.user)) =>
        {
            caller_of(name)
        }
        Some(name) => {
            call.must("/access", &["Sys.Audit"])?;
            caller_of(name)
        }
        None => call.caller.clone(),
    };
    let usual = [
        "/",
        "/access",
        "/access/groups",
        "/nodes",
        "/pool",
        "/sdn",
        "/storage",
        "/vms",
    ]
    .map(str::to_owned);
    let paths: BTreeSet<String> = match call.parameters.text("path") {
        Some(path) => BTreeSet::from([path.to_owned()]),
        None => usual
            .into_iter()
            .chain(access.rules.iter().map(|rule| rule.path.clone()))
            .collect(),
    };
    let mut told = Map::new();
    for path in paths {
        let rights = access.rights(&caller, &path, None);
        if rights.is_empty() && call.parameters.text("path").is_none() {
            continue;
        }
        told.insert(
            path,
            Value::Object(rights.into_iter().map(|right| (right, json!(1))).collect()),
        );
    }
    Answer::data(told)
}

fn caller_of(name: &str) -> Caller {
    match name.split_once('!') {
        Some((user, token)) => Caller {
            user: user.to_owned(),
            token: Some(token.to_owned()),
        },
        None => Caller {
            user: name.to_owned(),
            token: None,
        },
    }
}

fn users(call: &mut Call<'_>) -> Outcome {
    let sees_all = call.may("/access/groups", &["User.Modify", "Sys.Audit"]);
    let shown = call
        .world
        .cluster
        .access
        .users
        .iter()
        .filter(|(name, _)| sees_all || **name == call.caller.user);
    let told = shown.map(|(name, user)| {
        let mut told = settings(user);
        told.insert("userid".into(), json!(name));
        Value::Object(told)
    });
    Answer::data(told.collect::<Vec<_>>())
}

fn settings(user: &User) -> Map<String, Value> {
    let mut told: Map<_, _> = user
        .settings
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    told.insert("enable".into(), json!(i32::from(!user.is_disabled)));
    told.insert("expire".into(), json!(0));
    told
}

fn known<'a>(call: &'a Call<'_>) -> Result<&'a User, Failure> {
    let name = call.parameters.needed("userid");
    call.world
        .cluster
        .access
        .users
        .get(name)
        .ok_or_else(|| no_such_user(name))
}

fn known_mut<'a>(call: &'a mut Call<'_>) -> Result<&'a mut User, Failure> {
    let name = call.parameters.needed("userid").to_owned();
    call.world
        .cluster
        .access
        .users
        .get_mut(&name)
        .ok_or_else(|| no_such_user(&name))
}

fn no_such_user(name: &str) -> Failure {
    format!("no such user ('{name}')").into()
}

fn user(call: &mut Call<'_>) -> Outcome {
    let user = known(call)?;
    let mut told = settings(user);
    let tokens = user
        .tokens
        .iter()
        .map(|(name, token)| (name.clone(), about(token)));
    told.insert("tokens".into(), Value::Object(tokens.collect()));
    Answer::data(told)
}

fn add_user(call: &mut Call<'_>) -> Outcome {
    call.needs_quorum(|| "create user failed: cfs-lock 'file-user_cfg' error: no quorum!".into())?;
    let name = call.parameters.needed("userid").to_owned();
    let mut user = User {
        password: call.parameters.text("password").map(str::to_owned),
        is_disabled: call.parameters.flag("enable") == Some(false),
        ..User::default()
    };
    for key in ["comment", "email", "firstname", "lastname", "groups"] {
        if let Some(value) = call.parameters.text(key) {
            user.settings.insert(key.into(), value.into());
        }
    }
    let users = &mut call.world.cluster.access.users;
    if users.contains_key(&name) {
        return Err(format!("create user failed: user '{name}' already exists").into());
    }
    users.insert(name, user);
    Answer::done()
}

/// A user that is not there is dropped as well as one that is, as in life.
fn drop_user(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.needed("userid").to_owned();
    let access = &mut call.world.cluster.access;
    access.users.remove(&name);
    let prefix = format!("{name}!");
    access
        .rules
        .retain(|rule| rule.who != name && !rule.who.starts_with(&prefix));
    Answer::done()
}

fn about(token: &Token) -> Value {
    let mut told = Map::new();
    told.insert("expire".into(), json!(token.expire));
    told.insert("privsep".into(), json!(i32::from(token.is_separate)));
    if let Some(comment) = &token.comment {
        told.insert("comment".into(), json!(comment));
    }
    Value::Object(told)
}

fn tokens(call: &mut Call<'_>) -> Outcome {
    let told = known(call)?.tokens.iter().map(|(name, token)| {
        let mut told = about(token);
        told["tokenid"] = json!(name);
        told
    });
    Answer::data(told.collect::<Vec<_>>())
}

fn token(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.needed("tokenid").to_owned();
    let full = format!("{}!{name}", call.parameters.needed("userid"));
    let token = known(call)?.tokens.get(&name);
    Answer::data(about(token.ok_or(format!("no such token '{full}'"))?))
}

fn add_token(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.needed("tokenid").to_owned();
    let full = format!("{}!{name}", call.parameters.needed("userid"));
    let value = Draw::secret_uuid().map_err(|error| Failure::Said(error.to_string()))?;
    let token = Token {
        value: value.clone(),
        is_separate: call.parameters.flag("privsep") != Some(false),
        comment: call.parameters.text("comment").map(str::to_owned),
        expire: call.parameters.number("expire").unwrap_or(0),
    };
    let mut info = Map::new();
    for key in ["privsep", "comment", "expire"] {
        if let Some(value) = call.parameters.text(key) {
            info.insert(key.into(), json!(value));
        }
    }
    info.entry("privsep").or_insert(json!("1"));
    let user = known_mut(call)?;
    if user.tokens.contains_key(&name) {
        return Err(Failure::parameter("tokenid", "Token already exists."));
    }
    user.tokens.insert(name, token);
    Answer::data(json!({ "full-tokenid": full, "info": info, "value": value }))
}

fn drop_token(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.needed("tokenid").to_owned();
    let full = format!("{}!{name}", call.parameters.needed("userid"));
    if known_mut(call)?.tokens.remove(&name).is_none() {
        return Err(format!("no such token '{full}'").into());
    }
    call.world
        .cluster
        .access
        .rules
        .retain(|rule| rule.who != full);
    Answer::done()
}

fn rules(call: &mut Call<'_>) -> Outcome {
    let shown = call
        .world
        .cluster
        .access
        .rules
        .iter()
        .filter(|rule| call.may(&rule.path, &["Permissions.Modify"]));
    let told = shown.map(|rule| {
        json!({
            "path": rule.path, "type": rule.kind, "ugid": rule.who, "roleid": rule.role,
            "propagate": i32::from(rule.propagates),
        })
    });
    Answer::data(told.collect::<Vec<_>>())
}

fn change_rules(call: &mut Call<'_>) -> Outcome {
    let path = call
        .parameters
        .needed("path")
        .trim_end_matches('/')
        .to_owned();
    let path = if path.is_empty() {
        "/".to_owned()
    } else {
        path
    };
    let drops = call.parameters.is_set("delete");
    let propagates = call.parameters.flag("propagate") != Some(false);
    let access = &call.world.cluster.access;
    let mut changes = Vec::new();
    for role in call.parameters.list("roles") {
        if access.role(&role).is_none() {
            return Err(format!("role '{role}' does not exist").into());
        }
        for (kind, list) in [("user", "users"), ("token", "tokens"), ("group", "groups")] {
            for who in call.parameters.list(list) {
                let is_known = match kind {
                    "user" => access.users.contains_key(&who),
                    "token" => who.split_once('!').is_some_and(|(user, token)| {
                        access
                            .users
                            .get(user)
                            .is_some_and(|user| user.tokens.contains_key(token))
                    }),
                    _ => false,
                };
                if !is_known {
                    return Err(format!("{kind} '{who}' does not exist").into());
                }
                changes.push(Rule {
                    path: path.clone(),
                    kind: kind.into(),
                    who,
                    role: role.clone(),
                    propagates,
                });
            }
        }
    }
    let rules = &mut call.world.cluster.access.rules;
    for change in changes {
        rules.retain(|rule| {
            (&rule.path, &rule.kind, &rule.who, &rule.role)
                != (&change.path, &change.kind, &change.who, &change.role)
        });
        if !drops {
            rules.push(change);
        }
    }
    Answer::done()
}

fn roles(call: &mut Call<'_>) -> Outcome {
    let access = &call.world.cluster.access;
    let names = Access::built_in_roles()
        .into_iter()
        .map(|name| (name.to_owned(), 1));
    let told = names
        .chain(access.roles.keys().map(|name| (name.clone(), 0)))
        .map(|(name, special)| {
            let privileges = access.role(&name).unwrap_or_default();
            let privileges: Vec<_> = privileges.into_iter().collect();
            json!({ "roleid": name, "privs": privileges.join(","), "special": special })
        });
    Answer::data(told.collect::<Vec<_>>())
}

fn role(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.needed("roleid");
    let privileges = call.world.cluster.access.role(name);
    let privileges = privileges.ok_or(format!("role '{name}' does not exist"))?;
    let told = privileges.into_iter().map(|name| (name, json!(1)));
    Answer::data(Value::Object(told.collect()))
}

fn add_role(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.needed("roleid").to_owned();
    let privileges: BTreeSet<_> = call.parameters.list("privs").into_iter().collect();
    if let Some(unknown) = privileges.iter().find(|name| {
        !call
            .world
            .cluster
            .access
            .privileges()
            .any(|known| known == *name)
    }) {
        return Err(Failure::parameter(
            "privs",
            format!("invalid format - invalid privilege '{unknown}'\n"),
        ));
    }
    if call.world.cluster.access.role(&name).is_some() {
        return Err(format!("create role failed: role '{name}' already exists").into());
    }
    call.world.cluster.access.roles.insert(name, privileges);
    Answer::done()
}

fn drop_role(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.needed("roleid").to_owned();
    if call.world.cluster.access.roles.remove(&name).is_none() {
        return Err(format!("delete role failed: role '{name}' does not exist").into());
    }
    Answer::done()
}
