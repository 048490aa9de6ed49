//! Tokens. One holds its user, what it is for and its end, and is signed: the lab keeps only those that were given back.
//!
//! Forms and words are those of `keystone/auth` and `keystone/api/auth.py`.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::catalog;
use crate::openstack::estate::{Ground, Login, Logins, fine_moment};
use crate::openstack::{Answer, Call, Caller, Failure, Outcome};
use crate::wire::gate::same;
use crate::world::now;

/// What is in a token.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    user: String,
    /// Whether it is for the user's project, or for nothing.
    is_scoped: bool,
    method: &'static str,
    /// Milliseconds since 1970.
    issued: u64,
    expires: u64,
}

/// Ways to log in.
const METHODS: [&str; 3] = ["password", "token", "application_credential"];

impl Told {
    fn text(&self) -> String {
        let scope = if self.is_scoped { "project" } else { "nothing" };
        format!(
            "{} {scope} {} {} {}",
            self.user, self.method, self.issued, self.expires
        )
    }

    fn parse(text: &str) -> Option<Told> {
        let mut words = text.split(' ');
        let user = words.next()?.to_owned();
        let is_scoped = words.next()? == "project";
        let method = words.next()?;
        Some(Told {
            user,
            is_scoped,
            method: METHODS.into_iter().find(|known| *known == method)?,
            issued: words.next()?.parse().ok()?,
            expires: words.next()?.parse().ok()?,
        })
    }

    /// Returns the token itself.
    fn sign(&self, key: &str) -> String {
        let text = self.text();
        let signature = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()),
            text.as_bytes(),
        );
        format!(
            "gAAAA{}.{}",
            URL_SAFE_NO_PAD.encode(text),
            URL_SAFE_NO_PAD.encode(signature)
        )
    }

    /// Reads a token that holds.
    fn read(ground: &Ground, token: &str) -> Option<Told> {
        let (text, _) = token.strip_prefix("gAAAA")?.split_once('.')?;
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let told = Told::parse(&text)?;
        let is_ours = same(&told.sign(&ground.logins.key), token);
        let holds = now() < told.expires && !ground.revoked.contains_key(token);
        (is_ours && holds).then_some(told)
    }

    fn login<'l>(&self, logins: &'l Logins) -> Option<&'l Login> {
        logins
            .all()
            .into_iter()
            .find(|login| login.user == self.user)
    }
}

/// Returns who has a token that holds.
pub(in crate::openstack) fn caller(ground: &Ground, token: &str) -> Option<Caller> {
    let told = Told::read(ground, token)?;
    let login = told.login(&ground.logins)?;
    Some(Caller {
        user: login.user.clone(),
        project: match told.is_scoped {
            true => login.project.clone(),
            false => String::new(),
        },
        is_admin: told.is_scoped && login.roles.iter().any(|role| role == "admin"),
    })
}

/// `POST /v3/auth/tokens`.
pub(super) fn issue(call: &mut Call<'_>) -> Outcome {
    let auth = &call.body["auth"];
    let identity = &auth["identity"];
    if !identity.is_object() {
        return Err(Failure::bad("'identity' is a required property"));
    }
    let methods = identity["methods"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let method = match methods {
        [one] => one.as_str().unwrap_or_default(),
        _ => {
            return Err(Failure::bad(
                "The lab takes one method of authentication at a time.",
            ));
        }
    };
    let Some(method) = METHODS.into_iter().find(|known| *known == method) else {
        return Err(Failure::of(
            401,
            "Unauthorized",
            format!("Attempted to authenticate with an unsupported method: {method}."),
        ));
    };
    let ground = &call.world.openstack.ground;
    let logins = &ground.logins;
    let shown = &identity[method];
    let user = match method {
        "password" => by_password(logins, &shown["user"]),
        "token" => {
            let told = Told::read(ground, shown["id"].as_str().unwrap_or_default());
            told.and_then(|told| told.login(logins))
        }
        _ => by_credential(logins, shown),
    };
    let Some(login) = user.cloned() else {
        return Err(match shown["id"].as_str() {
            // As Keystone has it, where it does not know the credential.
            Some(id) if method == "application_credential" && id != logins.credential => {
                let why = format!("Could not find Application Credential: {id}.");
                Failure::of(404, "Not Found", why)
            }
            _ => Failure::unauthorized(),
        });
    };
    let is_scoped = is_scoped(auth, method, &login, &logins.domain)?;
    let issued = now();
    let told = Told {
        user: login.user.clone(),
        is_scoped,
        method,
        issued,
        expires: issued + ground.site.token_seconds * 1000,
    };
    let token = told.sign(&logins.key);
    let body = describe(call, &told, &login);
    let mut answer = Answer::with(201, body)?;
    answer.headers.push(("x-subject-token", token));
    Ok(answer)
}

fn by_password<'l>(logins: &'l Logins, shown: &Value) -> Option<&'l Login> {
    let login = named_user(logins, shown)?;
    same(&login.password, shown["password"].as_str()?).then_some(login)
}

fn named_user<'l>(logins: &'l Logins, shown: &Value) -> Option<&'l Login> {
    let mut all = logins.all().into_iter();
    if let Some(id) = shown["id"].as_str() {
        return all.find(|login| login.user == id);
    }
    let name = shown["name"].as_str()?;
    let is_domain = is_domain(&shown["domain"], &logins.domain);
    all.find(|login| login.name == name && is_domain)
}

fn by_credential<'l>(logins: &'l Logins, shown: &Value) -> Option<&'l Login> {
    let is_it = match shown["id"].as_str() {
        Some(id) => id == logins.credential,
        None => {
            let owner = named_user(logins, &shown["user"])?;
            shown["name"] == "lab" && owner.user == logins.member.user
        }
    };
    let has_secret = same(&logins.credential_secret, shown["secret"].as_str()?);
    (is_it && has_secret).then_some(&logins.member)
}

fn is_domain(shown: &Value, domain: &str) -> bool {
    shown["id"].as_str() == Some(domain) || shown["name"] == "Default"
}

/// Whether a token is for the user's project.
///
/// # Errors
/// 401 where another scope is asked for.
fn is_scoped(auth: &Value, method: &str, login: &Login, domain: &str) -> Result<bool, Failure> {
    let scope = &auth["scope"];
    if method == "application_credential" {
        return match scope.is_null() {
            true => Ok(true),
            // The scope is the credential's own.
            false => Err(Failure::of(
                401,
                "Unauthorized",
                "Application credentials cannot request a scope.",
            )),
        };
    }
    if scope.is_null() {
        // Each user has a default project, which is its only one.
        return Ok(true);
    }
    if scope == "unscoped" || scope.get("unscoped").is_some() {
        return Ok(false);
    }
    let project = &scope["project"];
    let is_own = project["id"].as_str() == Some(&login.project)
        || project["name"].as_str() == Some(&login.name) && is_domain(&project["domain"], domain);
    match is_own {
        true => Ok(true),
        false => Err(Failure::unauthorized()),
    }
}

/// Returns what a token holds, as Keystone shows it.
fn describe(call: &Call<'_>, told: &Told, login: &Login) -> Value {
    let ground = &call.world.openstack.ground;
    let domain = json!({ "id": ground.logins.domain, "name": "Default" });
    let mut token = json!({
        "methods": [told.method],
        "user": { "id": login.user, "name": login.name, "domain": domain, "password_expires_at": null },
        "audit_ids": [crate::hash::sha1(&told.text())[..22]],
        "issued_at": format!("{}Z", fine_moment(told.issued)),
        "expires_at": format!("{}Z", fine_moment(told.expires)),
    });
    if told.is_scoped {
        let roles = login
            .roles
            .iter()
            .map(|name| json!({ "id": crate::hash::sha1(name)[..32], "name": name }));
        token["project"] = json!({ "id": login.project, "name": login.name, "domain": domain });
        token["is_domain"] = json!(false);
        token["roles"] = roles.collect();
        token["catalog"] = catalog::of(ground, call.base, &login.project);
    }
    if told.method == "application_credential" {
        token["application_credential"] =
            json!({ "id": ground.logins.credential, "name": "lab", "restricted": true });
    }
    json!({ "token": token })
}

/// Returns the token that is asked about.
fn subject(call: &Call<'_>) -> Result<(String, Told), Failure> {
    let token = call.subject.clone().unwrap_or_default();
    let told = Told::read(&call.world.openstack.ground, &token);
    let told = told.ok_or_else(|| Failure::missing(format!("Could not find token: {token}.")))?;
    match told.user == call.caller.user || call.caller.is_admin {
        true => Ok((token, told)),
        false => Err(Failure::forbidden(
            "You are not authorized to perform the requested action.",
        )),
    }
}

/// `GET /v3/auth/tokens`.
pub(super) fn show(call: &mut Call<'_>) -> Outcome {
    let (token, told) = subject(call)?;
    let login = told.login(&call.world.openstack.ground.logins).cloned();
    let login = login.ok_or_else(Failure::unauthorized)?;
    let mut answer = Answer::ok(describe(call, &told, &login))?;
    answer.headers.push(("x-subject-token", token));
    Ok(answer)
}

/// `HEAD /v3/auth/tokens`.
pub(super) fn look(call: &mut Call<'_>) -> Outcome {
    subject(call)?;
    Answer::empty(200)
}

/// `DELETE /v3/auth/tokens`.
pub(super) fn revoke(call: &mut Call<'_>) -> Outcome {
    let (token, told) = subject(call)?;
    let ground = &mut call.world.openstack.ground;
    let moment = now();
    ground.revoked.retain(|_, end| *end > moment);
    ground.revoked.insert(token, told.expires);
    Answer::empty(204)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openstack::site::OpenStackSite;

    fn told(expires: u64) -> Told {
        Told {
            user: "u".into(),
            is_scoped: true,
            method: "password",
            issued: 1,
            expires,
        }
    }

    #[test]
    fn a_token_holds_until_its_end_and_only_as_it_was_signed() {
        let mut ground = Ground::begin(OpenStackSite::default(), 1).expect("a ground");
        let key = ground.logins.key.clone();
        let good = told(u64::MAX);
        let token = good.sign(&key);
        assert_eq!(Told::read(&ground, &token), Some(good.clone()));
        assert_eq!(Told::read(&ground, &good.sign("another key")), None);
        assert_eq!(
            Told::read(&ground, &told(2).sign(&key)),
            None,
            "it has ended"
        );
        ground.revoked.insert(token.clone(), u64::MAX);
        assert_eq!(Told::read(&ground, &token), None, "it was given back");
    }

    #[test]
    fn a_scope_is_the_users_own_project_or_none() {
        let ground = Ground::begin(OpenStackSite::default(), 1).expect("a ground");
        let login = &ground.logins.member;
        let scoped = |scope: Value, method: &str| {
            let auth = json!({ "scope": scope });
            is_scoped(&auth, method, login, "default").map_err(|failure| failure.status)
        };
        assert_eq!(
            scoped(json!({ "project": { "id": login.project } }), "password"),
            Ok(true)
        );
        let by_name = json!({ "project": { "name": "lab", "domain": { "name": "Default" } } });
        assert_eq!(scoped(by_name.clone(), "password"), Ok(true));
        assert_eq!(scoped(json!({ "unscoped": {} }), "password"), Ok(false));
        assert_eq!(
            scoped(json!({ "project": { "id": "x" } }), "password"),
            Err(401)
        );
        assert_eq!(
            scoped(json!({ "system": { "all": true } }), "password"),
            Err(401)
        );
        assert_eq!(scoped(by_name, "application_credential"), Err(401));
    }
}
