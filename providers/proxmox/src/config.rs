//! The `provider "proxmox"` block.

use dmp_cloud::whole;
use dmp_sdk::{Attribute, AttributePath, Diagnostic, Schema, Type, Value};

use crate::client::{Credentials, Settings, Trust};

/// A configuration, understood.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// How the API is reached.
    pub settings: Settings,
    /// The ids that new guests may get, first and last.
    pub ids: (u32, u32),
    /// Whether drafts of networks that are not of the run are applied with it.
    pub applies_foreign_drafts: bool,
}

pub(crate) fn schema() -> Schema {
    Schema::new(
        "proxmox",
        "A cluster of Proxmox VE, release 8 or 9, or a single node of it, reached by its API alone.",
    )
    .attribute(
        "endpoints",
        Attribute::required(
            Type::list(Type::String),
            "Addresses of nodes of one cluster, such as `https://pve1.example:8006`; the port is 8006 where none is given. \
             Where one node is down the next is asked.",
        ),
    )
    .attribute(
        "api_token",
        Attribute::optional(
            Type::String,
            "An API token, `user@realm!name=secret`. What dmp needs is listed in the guide; a token with privilege separation \
             has no rights of its user until it is given some itself.",
        )
        .sensitive(),
    )
    .attribute(
        "username",
        Attribute::optional(Type::String, "A user, `root@pam`, in place of a token."),
    )
    .attribute(
        "password",
        Attribute::optional(
            Type::String,
            "The user's password. With it a ticket is fetched, which is renewed after an hour. Users with a second factor need a token.",
        )
        .sensitive(),
    )
    .attribute(
        "ca",
        Attribute::optional(
            Type::String,
            "Certificates of authorities (PEM) that the nodes' certificates are checked against: the text of \
             `/etc/pve/pve-root-ca.pem`. Without it those of the system count.",
        ),
    )
    .attribute(
        "fingerprints",
        Attribute::optional(
            Type::list(Type::String),
            "SHA-256 fingerprints of the nodes' certificates, as `AB:CD:…`: only a node that shows one of them is talked to. \
             In place of `ca`.",
        ),
    )
    .attribute(
        "insecure",
        Attribute::default(
            Type::Bool,
            "Whether certificates go unchecked. Whoever is on the way can then take the token; each plan warns of it.",
            false,
        ),
    )
    .attribute(
        "vm_ids",
        Attribute::optional(
            Type::object([("from", Type::Number), ("to", Type::Number)]),
            "The ids that new guests get, `{ from = 1000, to = 1999 }`: give each environment a range of its own. By default 100 to 999999.",
        ),
    )
    .attribute(
        "sdn_drafts",
        Attribute::default(
            Type::String,
            "What is done where the cluster's networks have drafts that are not of this run: `refuse` names them and changes nothing, `apply` applies them \
             along, for an environment that owns all of the cluster's networks.",
            "refuse",
        ),
    )
    .attribute(
        "request_seconds",
        Attribute::default(
            Type::Number,
            "How long one request may take, in seconds. The nodes themselves give up after 30.",
            45,
        ),
    )
    .attribute(
        "clones_per_storage",
        Attribute::default(
            Type::Number,
            "How many disks are copied to one storage at the same time. More of them wait for its lock, and fail.",
            3,
        ),
    )
}

fn wrong(attribute: &str, why: impl Into<String>) -> Diagnostic {
    Diagnostic::error("bad-configuration", "unusable provider configuration")
        .detail(why)
        .path(AttributePath::of(attribute))
}

pub(crate) fn parse(config: &Value) -> Result<Config, Diagnostic> {
    let settings = Settings {
        endpoints: endpoints(config)?,
        credentials: credentials(config)?,
        trust: trust(config)?,
        request: std::time::Duration::from_secs(seconds(config)?),
        copies: copies(config)?,
    };
    let drafts = text(config, "sdn_drafts");
    if !matches!(drafts.as_deref(), None | Some("refuse" | "apply")) {
        return Err(wrong("sdn_drafts", "it is `refuse` or `apply`"));
    }
    Ok(Config {
        settings,
        applies_foreign_drafts: drafts.as_deref() == Some("apply"),
        ids: ids(&config.get("vm_ids"))?,
    })
}

fn text(config: &Value, name: &str) -> Option<String> {
    let value = config.get(name);
    let text = value.as_str().map(str::trim)?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn texts(config: &Value, name: &str) -> Vec<String> {
    let value = config.get(name);
    let items = value.as_items().into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(ToOwned::to_owned))
        .collect()
}

fn endpoints(config: &Value) -> Result<Vec<String>, Diagnostic> {
    let given = texts(config, "endpoints");
    if given.is_empty() {
        return Err(wrong(
            "endpoints",
            "`endpoints` names no node: write `[\"https://pve1.example:8006\"]`",
        ));
    }
    given.iter().map(|text| endpoint(text)).collect()
}

/// An endpoint as `https://host:port`.
fn endpoint(text: &str) -> Result<String, Diagnostic> {
    let text = text.trim().trim_end_matches('/');
    let text = text.strip_suffix("/api2/json").unwrap_or(text);
    let not_one = || {
        wrong(
            "endpoints",
            "an endpoint is written as `https://pve1.example:8006`, without a path",
        )
    };
    let host = match text.split_once("://") {
        Some(("https", rest)) => rest,
        Some(_) => {
            return Err(wrong(
                "endpoints",
                "the API is reached by `https://` alone: a token may not travel in the clear",
            ));
        }
        None => text,
    };
    let bare = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    let with_port = match bare.contains(':') {
        true => host.to_owned(),
        false => format!("{host}:8006"),
    };
    let url = format!("https://{with_port}");
    let parsed = reqwest::Url::parse(&url).map_err(|_| not_one())?;
    let is_bare = parsed.path() == "/" && parsed.query().is_none() && parsed.username().is_empty();
    match is_bare && !host.ends_with(':') {
        true => Ok(url),
        false => Err(not_one()),
    }
}

fn credentials(config: &Value) -> Result<Credentials, Diagnostic> {
    let token = text(config, "api_token");
    let (user, password) = (text(config, "username"), text(config, "password"));
    match (token, user, password) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(wrong(
            "api_token",
            "`api_token` and `username` with `password` exclude each other",
        )),
        (Some(token), None, None) => {
            let (id, secret) = token.split_once('=').unwrap_or((&token, ""));
            let is_token = id
                .split_once('!')
                .is_some_and(|(user, name)| user.contains('@') && !name.is_empty());
            match is_token && !secret.is_empty() && !token.contains(char::is_control) {
                true => Ok(Credentials::token(token)),
                false => Err(wrong(
                    "api_token",
                    "an API token is written as `user@realm!name=secret`",
                )),
            }
        }
        (None, Some(user), Some(password)) if user.contains('@') => {
            Ok(Credentials::password(user, password))
        }
        (None, Some(_), Some(_)) => Err(wrong(
            "username",
            "a user is written with its realm: `root@pam`",
        )),
        _ => Err(wrong(
            "api_token",
            "`api_token` is missing (or `username` and `password`)",
        )),
    }
}

fn trust(config: &Value) -> Result<Trust, Diagnostic> {
    let ca = text(config, "ca");
    let fingerprints = texts(config, "fingerprints");
    let is_insecure = config.get("insecure").as_bool() == Some(true);
    match (ca, fingerprints.as_slice(), is_insecure) {
        (None, [], true) => Ok(Trust::Nobody),
        (_, _, true) => Err(wrong(
            "insecure",
            "`insecure` excludes `ca` and `fingerprints`: leave it out",
        )),
        (Some(_), [_, ..], _) => Err(wrong(
            "fingerprints",
            "`ca` and `fingerprints` exclude each other",
        )),
        (Some(pem), [], _) => Ok(Trust::Authorities(pem)),
        (None, [], _) => Ok(Trust::System),
        (None, given, _) => {
            let parsed = given.iter().map(|text| fingerprint(text));
            let parsed: Option<Vec<_>> = parsed.collect();
            parsed.map(Trust::Pinned).ok_or_else(|| {
                wrong(
                    "fingerprints",
                    "a fingerprint is 32 bytes in hexadecimal, as `AB:CD:…`; `GET /nodes` lists them",
                )
            })
        }
    }
}

fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|char| !":- ".contains(*char)).collect();
    hex::decode(digits).ok()?.try_into().ok()
}

fn ids(range: &Value) -> Result<(u32, u32), Diagnostic> {
    if range.is_null() {
        return Ok((100, 999_999));
    }
    let bound = |name: &str| {
        let number = range.get(name).as_i64();
        number.and_then(|number| u32::try_from(number).ok())
    };
    match (bound("from"), bound("to")) {
        (Some(from @ 100..), Some(to @ ..=999_999_999)) if from <= to => Ok((from, to)),
        _ => Err(wrong(
            "vm_ids",
            "ids are from 100 to 999999999, and `from` is not above `to`",
        )),
    }
}

fn seconds(config: &Value) -> Result<u64, Diagnostic> {
    whole(config, "request_seconds", 45, 5..=3600)
}

fn copies(config: &Value) -> Result<usize, Diagnostic> {
    let copies = whole(config, "clones_per_storage", 3, 1..=64)?;
    Ok(usize::try_from(copies).unwrap_or(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config<const N: usize>(more: [(&str, Value); N]) -> Value {
        let base = Value::object_of([
            ("endpoints", Value::list(vec!["pve1.example".into()])),
            ("api_token", "dmp@pve!ci=00000000".into()),
        ]);
        more.into_iter()
            .fold(base, |config, (name, value)| config.with(name, value))
    }

    fn why(config: &Value) -> String {
        parse(config).expect_err("it is wrong").detail.clone()
    }

    #[test]
    fn endpoints_get_their_port_and_no_path() {
        for (given, url) in [
            ("pve1.example", "https://pve1.example:8006"),
            ("https://192.0.2.1:18006/", "https://192.0.2.1:18006"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]:8006"),
            ("https://a:8006/api2/json", "https://a:8006"),
        ] {
            assert_eq!(endpoint(given).expect("an endpoint"), url);
        }
        for given in ["http://a:8006", "https://a/b", "https://u@a", "https://"] {
            assert!(endpoint(given).is_err(), "{given}");
        }
    }

    #[test]
    fn what_excludes_each_other_is_refused_in_words() {
        assert!(parse(&config([])).is_ok());
        let both = config([("username", "root@pam".into()), ("password", "x".into())]);
        assert!(why(&both).contains("exclude each other"));
        let none = config([("api_token", Value::null())]);
        assert!(why(&none).contains("`api_token` is missing"));
        let loose = config([("insecure", true.into()), ("ca", "x".into())]);
        assert!(why(&loose).contains("leave it out"));
        let short = config([("fingerprints", Value::list(vec!["AB:CD".into()]))]);
        assert!(why(&short).contains("32 bytes"));
    }

    #[test]
    fn a_token_is_never_quoted() {
        let error = why(&config([("api_token", "hunter2".into())]));
        assert!(!error.contains("hunter2"));
        let whole = format!("{:?}", parse(&config([])).expect("it is right"));
        assert!(!whole.contains("00000000"), "{whole}");
    }

    #[test]
    fn a_range_of_ids_has_its_bounds() {
        let range =
            |from: i64, to: i64| Value::object_of([("from", from.into()), ("to", to.into())]);
        assert_eq!(ids(&range(1000, 1999)).expect("a range"), (1000, 1999));
        assert!(ids(&range(99, 200)).is_err());
        assert!(ids(&range(300, 200)).is_err());
    }
}
