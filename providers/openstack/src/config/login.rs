//! What is shown to Keystone, of the settings that count.

use serde_json::{Map, Value as Json};

use super::clouds::{Settings, text};
use crate::session::{Domain, Login, Method, Named, Scope, Secret};

/// The address of Keystone, and what is shown there.
pub(super) fn login(settings: &Settings, cloud: Option<&str>) -> Result<(String, Login), String> {
    let nothing = Map::new();
    let auth = settings.get("auth").and_then(Json::as_object);
    let auth = auth.unwrap_or(&nothing);
    let whose = match cloud {
        Some(cloud) => format!("the cloud `{cloud}`"),
        None => "the provider block".to_owned(),
    };
    let url = text(auth, "auth_url").ok_or_else(|| {
        format!("{whose} has no `auth_url`: name a `cloud` of `clouds.yaml`, set `OS_AUTH_URL`, or set `auth_url`")
    })?;
    let method = method(settings, auth, &whose)?;
    let scope = match method {
        // Its project stands in the credential itself.
        Method::ApplicationCredential { .. } => Scope::OfTheCredential,
        _ => scope(auth, &whose)?,
    };
    Ok((keystone(&url)?, Login { method, scope }))
}

/// Keystone's address, with its version.
fn keystone(url: &str) -> Result<String, String> {
    let parsed =
        reqwest::Url::parse(url).map_err(|_| format!("`auth_url` is no address: `{url}`"))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err("`auth_url` begins with `https://`".into());
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("`auth_url` may hold no user and no password".into());
    }
    let bare = url.trim_end_matches('/');
    match bare.rsplit('/').next() {
        Some("v3") => Ok(bare.to_owned()),
        Some("v2.0") => Ok(format!("{}/v3", bare.trim_end_matches("/v2.0"))),
        _ => Ok(format!("{bare}/v3")),
    }
}

fn method(settings: &Settings, auth: &Settings, whose: &str) -> Result<Method, String> {
    let kind = text(settings, "auth_type").map(|kind| kind.to_ascii_lowercase());
    let has = |name: &str| text(auth, name).is_some();
    let kind = match kind.as_deref() {
        Some("password" | "v3password" | "v2password") | None
            if has("token") && !has("password") && kind.is_none() =>
        {
            "token"
        }
        None if has("application_credential_secret") => "v3applicationcredential",
        None | Some("password" | "v3password") => "password",
        Some("token" | "v3token") => "token",
        Some("v3applicationcredential") => "v3applicationcredential",
        Some(other) => {
            return Err(format!(
                "`auth_type` of {whose} is `{other}`, which dmp can't do: use `v3applicationcredential`, `password` or `token`"
            ));
        }
    };
    let need = |name: &str| text(auth, name).ok_or_else(|| format!("{whose} has no `{name}`"));
    match kind {
        "token" => Ok(Method::Token(Secret(need("token")?))),
        "password" => {
            if has("passcode") {
                return Err(
                    "a second factor can't be typed in: use an application credential".into(),
                );
            }
            Ok(Method::Password {
                user: user(auth, whose)?,
                password: Secret(need("password")?),
            })
        }
        _ => {
            let secret = Secret(need("application_credential_secret")?);
            let credential = match text(auth, "application_credential_id") {
                Some(id) => Named::Id(id),
                None => Named::Name(
                    need("application_credential_name")
                        .map_err(|why| format!("{why} and no `application_credential_id`"))?,
                    None,
                ),
            };
            let user = match credential {
                Named::Id(_) => None,
                Named::Name(..) => Some(user(auth, whose)?),
            };
            Ok(Method::ApplicationCredential {
                credential,
                user,
                secret,
            })
        }
    }
}

fn user(auth: &Settings, whose: &str) -> Result<Named, String> {
    if let Some(id) = text(auth, "user_id") {
        return Ok(Named::Id(id));
    }
    let name = text(auth, "username").ok_or_else(|| format!("{whose} has no `username`"))?;
    let domain = domain(auth, "user_domain").or_else(|| domain(auth, "domain"));
    let domain = domain.or_else(|| default_domain(auth)).ok_or_else(|| {
        format!(
            "{whose} does not say which domain the user is of: `user_domain_name`, often `Default`"
        )
    })?;
    Ok(Named::Name(name, Some(domain)))
}

fn domain(auth: &Settings, stem: &str) -> Option<Domain> {
    let id = text(auth, &format!("{stem}_id")).map(Domain::Id);
    id.or_else(|| text(auth, &format!("{stem}_name")).map(Domain::Name))
}

fn default_domain(auth: &Settings) -> Option<Domain> {
    domain(auth, "default_domain").or_else(|| text(auth, "default_domain").map(Domain::Id))
}

fn scope(auth: &Settings, whose: &str) -> Result<Scope, String> {
    if let Some(id) = text(auth, "trust_id") {
        return Err(format!(
            "{whose} names a trust (`{id}`), which dmp can't log in by: use an application credential"
        ));
    }
    if let Some(id) = text(auth, "project_id") {
        return Ok(Scope::Project(Named::Id(id)));
    }
    if let Some(name) = text(auth, "project_name") {
        let domain = domain(auth, "project_domain").or_else(|| default_domain(auth));
        let domain = domain.or_else(|| domain_of_user(auth)).ok_or_else(|| {
            format!("{whose} does not say which domain the project is of: `project_domain_name`, often `Default`")
        })?;
        return Ok(Scope::Project(Named::Name(name, Some(domain))));
    }
    match text(auth, "system_scope").as_deref() {
        Some("all" | "true") => return Ok(Scope::System),
        Some(other) => return Err(format!("`system_scope` is `all`, not `{other}`")),
        None => {}
    }
    if let Some(domain) = domain(auth, "domain") {
        return Ok(Scope::Domain(domain));
    }
    Err(format!(
        "{whose} names no project: `project_name` (or `project_id`), `domain_name` or `system_scope`"
    ))
}

fn domain_of_user(auth: &Settings) -> Option<Domain> {
    domain(auth, "user_domain")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(settings: Json) -> Result<(String, Login), String> {
        let Json::Object(settings) = settings else {
            panic!("a map");
        };
        login(&settings, Some("c"))
    }

    #[test]
    fn keystone_is_asked_by_its_third_version() {
        for (given, url) in [
            ("https://a:5000", "https://a:5000/v3"),
            ("https://a/identity/v3/", "https://a/identity/v3"),
            ("https://a/identity/v2.0", "https://a/identity/v3"),
        ] {
            assert_eq!(keystone(given).expect("an address"), url);
        }
        assert!(keystone("a").is_err() && keystone("ftp://a").is_err());
        assert!(keystone("https://u:p@a").is_err());
    }

    #[test]
    fn what_is_shown_follows_from_what_is_there() {
        let (_, login) = of(json!({ "auth": {
            "auth_url": "https://a", "application_credential_id": "i", "application_credential_secret": "s",
            "project_name": "ignored",
        } }))
        .expect("a login");
        assert!(matches!(login.scope, Scope::OfTheCredential));
        let (_, login) = of(json!({ "auth": {
            "auth_url": "https://a", "token": "t", "project_id": "p",
        } }))
        .expect("a login");
        assert!(matches!(login.method, Method::Token(_)));
        let (_, login) = of(json!({ "auth_type": "password", "auth": {
            "auth_url": "https://a", "username": "u", "password": "p", "user_domain_id": "default",
            "system_scope": "all",
        } }))
        .expect("a login");
        assert!(matches!(login.scope, Scope::System));
    }

    #[test]
    fn what_is_missing_is_named() {
        let of = |auth: Json| of(json!({ "auth": auth })).expect_err("it is not enough");
        assert!(of(json!({})).contains("`auth_url`"));
        let why = of(json!({ "auth_url": "https://a", "username": "u", "password": "p" }));
        assert!(why.contains("`user_domain_name`"), "{why}");
        let why = of(json!({ "auth_url": "https://a", "user_id": "u", "password": "p" }));
        assert!(why.contains("no project"), "{why}");
        let why = of(json!({ "auth_url": "https://a", "user_id": "u" }));
        assert!(why.contains("no `password`"), "{why}");
    }

    #[test]
    fn other_kinds_of_login_are_refused_in_words() {
        let why = of(json!({ "auth_type": "v3oidcpassword", "auth": { "auth_url": "https://a" } }));
        assert!(why.expect_err("it can't").contains("v3oidcpassword"));
    }
}
