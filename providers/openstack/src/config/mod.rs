//! The `provider "openstack"` block, together with `clouds.yaml` and the environment.

mod clouds;
mod login;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dmp_cloud::whole;
use dmp_sdk::{Attribute, AttributePath, Diagnostic, Schema, Type, Value};
use serde_json::{Map, Value as Json, json};

use crate::session::{Reach, Service, Trust};
use clouds::Surroundings;

/// How long one request may take, in seconds, where nothing is said.
const REQUEST_SECONDS: u64 = 60;
/// How many requests go to one service at the same time, where nothing is said.
const AT_ONCE: u64 = 8;

pub(crate) fn schema() -> Schema {
    let text = |doc| Attribute::optional(Type::String, doc);
    Schema::new(
        "openstack",
        "A project of an OpenStack cloud, reached by its APIs. What is not set here comes from `clouds.yaml` or from `OS_*` variables, in the order \
         that openstacksdk has: a cloud that is named (here, else by `OS_CLOUD`), else the variables, else the only cloud of `clouds.yaml`; \
         what this block says wins over it.",
    )
    .attribute("cloud", text("A cloud of `clouds.yaml`. It is looked for in this folder, in `~/.config/openstack` and in `/etc/openstack`, or at `OS_CLIENT_CONFIG_FILE`; `secure.yaml` and profiles of `clouds-public.yaml` are laid over and under it."))
    .attribute("auth_url", text("The address of Keystone, `https://cloud.example:5000/v3`."))
    .attribute("auth_type", text("`password`, `token` or `v3applicationcredential`; by default what the credentials are for."))
    .attribute("username", text("The user's name."))
    .attribute("user_id", text("The user's id, in place of the name and its domain."))
    .attribute("password", text("The user's password.").sensitive())
    .attribute("user_domain_name", text("The domain of the user."))
    .attribute("user_domain_id", text("The same by its id."))
    .attribute("project_name", text("The project that everything is in."))
    .attribute("project_id", text("The same by its id."))
    .attribute("project_domain_name", text("The domain of the project."))
    .attribute("project_domain_id", text("The same by its id."))
    .attribute("domain_name", text("The domain of both; without a project the token is for this domain."))
    .attribute("domain_id", text("The same by its id."))
    .attribute("system_scope", text("`all`: the token is for the cloud itself, which administrators need for some objects."))
    .attribute("token", text("A token that is there already. It is not renewed: when it ends the run fails.").sensitive())
    .attribute("application_credential_id", text("The id of an application credential, which is what a stack should log in by."))
    .attribute("application_credential_name", text("Its name, in place of the id; then the user has to be named too."))
    .attribute("application_credential_secret", text("Its secret.").sensitive())
    .attribute("region", text("The region; needed where the cloud has several."))
    .attribute("interface", text("Which addresses of the catalog are used: `public` (the default), `internal` or `admin`."))
    .attribute("endpoints", Attribute::optional(Type::map(Type::String), "Addresses of services in place of those of the catalog: `{ compute = \"https://nova.example/v2.1\" }`; names are `compute`, `network`, `block-storage`, `image`."))
    .attribute("ca", text("Certificates of authorities (PEM) that the services' certificates are checked against. By default the file that `cacert` names, else those of the system."))
    .attribute("insecure", Attribute::optional(Type::Bool, "Whether certificates go unchecked. Whoever is on the way can then take the password; each plan warns of it."))
    .attribute("request_seconds", Attribute::default(Type::Number, "How long one request may take, in seconds.", 60))
    .attribute("requests_at_once", Attribute::default(Type::Number, "How many requests go to one service at the same time.", 8))
}

fn wrong(why: impl Into<String>) -> Diagnostic {
    Diagnostic::error("bad-configuration", "unusable provider configuration").detail(why)
}

/// The machine that dmp runs on.
struct Here {
    variables: BTreeMap<String, String>,
}

impl Here {
    fn new() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self {
            variables: variables.collect(),
        }
    }
}

impl Surroundings for Here {
    fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    fn folders(&self) -> Vec<PathBuf> {
        let home = self.variables.get("HOME").map(PathBuf::from);
        let config = self.variables.get("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config
            .filter(|path| path.is_absolute())
            .map(|path| path.join("openstack"));
        let mut folders = vec![PathBuf::from(".")];
        folders.extend(config);
        folders.extend(home.map(|home| home.join(".config/openstack")));
        folders.push("/etc/xdg/openstack".into());
        folders.push("/etc/openstack".into());
        folders
    }

    fn read(&self, path: &Path) -> Option<String> {
        std::fs::read_to_string(self.at_home(path)).ok()
    }
}

impl Here {
    /// `~/x` is in the home folder.
    fn at_home(&self, path: &Path) -> PathBuf {
        match (path.strip_prefix("~"), self.variables.get("HOME")) {
            (Ok(rest), Some(home)) => Path::new(home).join(rest),
            _ => path.to_owned(),
        }
    }
}

/// Understands a configuration.
pub(crate) fn parse(config: &Value) -> Result<Reach, Diagnostic> {
    parse_in(config, &Here::new())
}

fn parse_in(config: &Value, around: &impl Surroundings) -> Result<Reach, Diagnostic> {
    let cloud = config.get("cloud");
    let chosen = clouds::choose(given(config), cloud.as_str(), around);
    let chosen = chosen.map_err(|why| wrong(why).path(AttributePath::of("cloud")))?;
    let settings = chosen.settings;
    let named = chosen.cloud.as_deref();
    let (auth_url, login) = login::login(&settings, named).map_err(wrong)?;
    let (seconds, at_once) = (
        whole(config, "request_seconds", REQUEST_SECONDS, 1..=3600)?,
        whole(config, "requests_at_once", AT_ONCE, 1..=256)?,
    );
    Ok(Reach {
        auth_url,
        login,
        region: clouds::text(&settings, "region_name"),
        interface: interface(&settings)?,
        overrides: overrides(&settings)?,
        trust: trust(config, &settings, around)?,
        identity: client_certificate(&settings, around)?,
        request: Duration::from_secs(seconds),
        at_once: usize::try_from(at_once).unwrap_or(8),
    })
}

/// What the block says, by the names of `clouds.yaml`.
fn given(config: &Value) -> Map<String, Json> {
    let mut given = Map::new();
    for name in TEXTS {
        let value = config.get(name);
        if let Some(text) = value
            .as_str()
            .map(str::trim)
            .filter(|text| !text.is_empty())
        {
            let name = if *name == "region" {
                "region_name"
            } else {
                name
            };
            given.insert(name.to_owned(), json!(text));
        }
    }
    let endpoints = config.get("endpoints");
    for (service, url) in endpoints.as_members().into_iter().flatten() {
        if let Some(url) = url.as_str() {
            let name = format!("{}_endpoint_override", service.replace('-', "_"));
            given.insert(name, json!(url));
        }
    }
    given
}

const TEXTS: &[&str] = &[
    "auth_url",
    "auth_type",
    "username",
    "user_id",
    "password",
    "user_domain_name",
    "user_domain_id",
    "project_name",
    "project_id",
    "project_domain_name",
    "project_domain_id",
    "domain_name",
    "domain_id",
    "system_scope",
    "token",
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
    "region",
    "interface",
];

fn interface(settings: &Map<String, Json>) -> Result<String, Diagnostic> {
    let interface = clouds::text(settings, "interface").unwrap_or_else(|| "public".into());
    let interface = interface.trim_end_matches("URL").to_ascii_lowercase();
    match matches!(interface.as_str(), "public" | "internal" | "admin") {
        true => Ok(interface),
        false => Err(wrong("`interface` is `public`, `internal` or `admin`")
            .path(AttributePath::of("interface"))),
    }
}

/// Addresses that stand in place of the catalog's.
fn overrides(settings: &Map<String, Json>) -> Result<BTreeMap<Service, String>, Diagnostic> {
    let mut found = BTreeMap::new();
    for service in Service::ALL {
        let names = service.setting_names().iter();
        let names = names.flat_map(|name| {
            [
                format!("{name}_endpoint_override"),
                format!("{name}_endpoint"),
            ]
        });
        let url = names
            .into_iter()
            .find_map(|name| clouds::text(settings, &name));
        if let Some(url) = url {
            let parsed = reqwest::Url::parse(&url).ok();
            let is_one = parsed.is_some_and(|url| matches!(url.scheme(), "http" | "https"));
            if !is_one {
                return Err(
                    wrong(format!("the address of `{service}` is no `https://…`"))
                        .path(AttributePath::of("endpoints")),
                );
            }
            found.insert(service, url.trim_end_matches('/').to_owned());
        }
    }
    Ok(found)
}

fn trust(
    config: &Value,
    settings: &Map<String, Json>,
    around: &impl Surroundings,
) -> Result<Trust, Diagnostic> {
    let insecure = config.get("insecure").as_bool();
    let pem = config.get("ca");
    if let Some(pem) = pem.as_str() {
        return match insecure {
            Some(true) => {
                Err(wrong("`insecure` and `ca` exclude each other")
                    .path(AttributePath::of("insecure")))
            }
            _ => Ok(Trust::Authorities(pem.to_owned())),
        };
    }
    let says = |name: &str| match settings.get(name)? {
        Json::Bool(value) => Some(*value),
        Json::String(text) => Some(matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "yes" | "1" | "on"
        )),
        _ => None,
    };
    let unchecked = insecure
        .or_else(|| says("insecure").filter(|insecure| *insecure))
        .or_else(|| says("verify").map(|verify| !verify));
    if unchecked == Some(true) {
        return Ok(Trust::Nobody);
    }
    match clouds::text(settings, "cacert") {
        None => Ok(Trust::System),
        Some(path) => {
            let pem = around.read(Path::new(&path)).ok_or_else(|| {
                wrong(format!("the file of `cacert`, `{path}`, can't be read"))
                    .path(AttributePath::of("ca"))
            })?;
            Ok(Trust::Authorities(pem))
        }
    }
}

/// The client's own certificate and its key, PEM, where the cloud asks for one.
fn client_certificate(
    settings: &Map<String, Json>,
    around: &impl Surroundings,
) -> Result<Option<String>, Diagnostic> {
    let Some(path) = clouds::text(settings, "cert") else {
        return Ok(None);
    };
    let read = |path: &str| {
        around.read(Path::new(path)).ok_or_else(|| {
            wrong(format!(
                "the client's certificate or key, `{path}`, can't be read"
            ))
        })
    };
    let mut pem = read(&path)?;
    if let Some(key) = clouds::text(settings, "key") {
        pem.push('\n');
        pem.push_str(&read(&key)?);
    }
    Ok(Some(pem))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing(BTreeMap<String, String>);

    impl Surroundings for Nothing {
        fn variables(&self) -> &BTreeMap<String, String> {
            &self.0
        }

        fn folders(&self) -> Vec<PathBuf> {
            Vec::new()
        }

        fn read(&self, path: &Path) -> Option<String> {
            (path == Path::new("/ca.pem")).then(|| "PEM".to_owned())
        }
    }

    fn parsed(config: &Value, variables: &[(&str, &str)]) -> Result<Reach, Diagnostic> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        parse_in(config, &Nothing(variables.collect()))
    }

    const ENOUGH: &[(&str, &str)] = &[
        ("OS_AUTH_URL", "https://keystone.example:5000"),
        ("OS_USERNAME", "u"),
        ("OS_PASSWORD", "hunter2"),
        ("OS_PROJECT_NAME", "p"),
        ("OS_USER_DOMAIN_NAME", "Default"),
        ("OS_PROJECT_DOMAIN_NAME", "Default"),
    ];

    #[test]
    fn variables_are_enough() {
        let reach = parsed(&Value::object_of([]), ENOUGH).expect("it is understood");
        assert_eq!(reach.auth_url, "https://keystone.example:5000/v3");
        assert_eq!(reach.interface, "public");
        assert_eq!(reach.at_once, 8);
        assert!(matches!(reach.trust, Trust::System));
        assert!(!format!("{reach:?}").contains("hunter2"));
    }

    #[test]
    fn certificates_are_checked_unless_it_is_said_loudly() {
        let with = |name: &'static str, value: &'static str| [ENOUGH, &[(name, value)]].concat();
        let nothing = Value::object_of([]);
        let reach = parsed(&nothing, &with("OS_CACERT", "/ca.pem")).expect("understood");
        assert!(matches!(reach.trust, Trust::Authorities(pem) if pem == "PEM"));
        assert!(parsed(&nothing, &with("OS_CACERT", "/none.pem")).is_err());
        let reach = parsed(&nothing, &with("OS_INSECURE", "true")).expect("understood");
        assert!(matches!(reach.trust, Trust::Nobody));
        let checks = Value::object_of([("insecure", false.into())]);
        let reach = parsed(&checks, &with("OS_INSECURE", "true")).expect("understood");
        assert!(matches!(reach.trust, Trust::System));
    }

    #[test]
    fn addresses_of_services_are_put_in_place_of_the_catalogs() {
        let map: dmp_sdk::Members = [
            ("block-storage".into(), "https://cinder.example/v3/".into()),
            ("compute".into(), "https://nova.example/v2.1".into()),
        ]
        .into_iter()
        .collect();
        let config = Value::object_of([("endpoints", Value::map(map))]);
        let reach = parsed(&config, ENOUGH).expect("understood");
        assert_eq!(
            reach.overrides[&Service::BlockStorage],
            "https://cinder.example/v3"
        );
        assert_eq!(
            reach.overrides[&Service::Compute],
            "https://nova.example/v2.1"
        );
        let wrong: dmp_sdk::Members = [("compute".into(), "nova".into())].into_iter().collect();
        let config = Value::object_of([("endpoints", Value::map(wrong))]);
        assert!(parsed(&config, ENOUGH).is_err());
    }
}
