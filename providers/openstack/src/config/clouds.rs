//! Which settings count: those of `clouds.yaml` with its `secure.yaml` and profiles, of the environment, and of the provider
//! block, in the order that openstacksdk has. Pure but for the files, which come in through [`Surroundings`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value as Json, json};

/// Settings by name; those of `auth` stand in a map of their own.
pub(super) type Settings = Map<String, Json>;

/// What is around the program: variables, folders, files.
pub(super) trait Surroundings {
    /// All variables of the environment.
    fn variables(&self) -> &BTreeMap<String, String>;
    /// The folders in which files are looked for, the first that has one wins.
    fn folders(&self) -> Vec<PathBuf>;
    /// A file's text; `None` where there is none or it may not be read.
    fn read(&self, path: &std::path::Path) -> Option<String>;
}

/// The settings that count, and the name of the cloud that they are of.
#[derive(Debug)]
pub(super) struct Chosen {
    pub settings: Settings,
    pub cloud: Option<String>,
}

/// Finds the settings that count. `given` is what the provider block says, which wins over all else.
pub(super) fn choose(
    given: Settings,
    cloud: Option<&str>,
    around: &impl Surroundings,
) -> Result<Chosen, String> {
    let variables = around.variables();
    let mut clouds = files(around)?;
    let of_environment = environment(variables);
    let name_of_environment = variable(variables, "OS_CLOUD_NAME").unwrap_or("envvars");
    if clouds.contains_key(name_of_environment) {
        return Err(format!(
            "`clouds.yaml` has a cloud `{name_of_environment}`, which is the name of the one that the environment describes: rename it, or set `OS_CLOUD_NAME`"
        ));
    }
    let mut default = variable(variables, "OS_CLOUD").map(ToOwned::to_owned);
    if let Some(settings) = of_environment {
        clouds.insert(name_of_environment.to_owned(), Json::Object(settings));
        default = default.or_else(|| Some(name_of_environment.to_owned()));
    }
    if default.is_none() && clouds.len() == 1 {
        default = clouds.keys().next().cloned();
    }
    let name = cloud.map(ToOwned::to_owned).or(default);
    let mut settings = Settings::new();
    if let Some(name) = &name {
        let Some(own) = clouds.get(name).and_then(Json::as_object) else {
            let known: Vec<&str> = clouds.keys().map(String::as_str).collect();
            return Err(match known.is_empty() {
                true => format!(
                    "there is no cloud `{name}`: no `clouds.yaml` was found in {}",
                    folders_in_words(around)
                ),
                false => format!(
                    "there is no cloud `{name}`; there are: {}",
                    known.join(", ")
                ),
            });
        };
        if let Some(profile) = profile_of(own).filter(|profile| profile != name_of_environment) {
            let profile = profile_settings(&profile, around)?;
            lay_over(&mut settings, profile);
        }
        lay_over(&mut settings, own.clone());
    }
    let region = text(&given, "region_name")
        .or_else(|| variable(variables, "OS_REGION_NAME").map(ToOwned::to_owned));
    let region = choose_region(&mut settings, region)?;
    lay_over(&mut settings, given);
    if let Some(region) = region {
        settings.insert("region_name".into(), json!(region));
    }
    Ok(Chosen {
        settings: in_present_form(settings),
        cloud: name,
    })
}

fn variable<'v>(variables: &'v BTreeMap<String, String>, name: &str) -> Option<&'v str> {
    let value = variables.get(name).map(String::as_str);
    value.filter(|value| !value.is_empty())
}

pub(super) fn text(settings: &Settings, name: &str) -> Option<String> {
    match settings.get(name)? {
        Json::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn folders_in_words(around: &impl Surroundings) -> String {
    let folders = around.folders();
    let folders: Vec<String> = folders
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    folders.join(", ")
}

/// The clouds of `clouds.yaml`, with what `secure.yaml` adds.
fn files(around: &impl Surroundings) -> Result<Map<String, Json>, String> {
    let mut all = load("clouds", "OS_CLIENT_CONFIG_FILE", around)?.unwrap_or_default();
    let secure = load("secure", "OS_CLIENT_SECURE_FILE", around)?.unwrap_or_default();
    merge(&mut all, secure);
    match all.remove("clouds") {
        None | Some(Json::Null) => Ok(Map::new()),
        Some(Json::Object(clouds)) => Ok(clouds),
        Some(_) => Err("`clouds` of `clouds.yaml` is no map of clouds".into()),
    }
}

/// The first file of a name that is there. One that can't be understood is an error: to pass over it would choose another
/// cloud than was meant.
fn load(
    stem: &str,
    named_by: &str,
    around: &impl Surroundings,
) -> Result<Option<Map<String, Json>>, String> {
    let named = variable(around.variables(), named_by).map(PathBuf::from);
    let searched = around.folders().into_iter().flat_map(|folder| {
        ["yaml", "yml", "json"].map(|suffix| folder.join(format!("{stem}.{suffix}")))
    });
    for path in named.into_iter().chain(searched) {
        let Some(content) = around.read(&path) else {
            continue;
        };
        // A parser's words can quote the line, and with it a password: only where it stands is told.
        let parsed: Json = serde_yaml_ng::from_str(&content).map_err(|error| {
            let place = error.location();
            let place = place
                .map(|place| format!(" at line {}", place.line()))
                .unwrap_or_default();
            format!("`{}` can't be understood{place}", path.display())
        })?;
        return match parsed {
            Json::Object(members) => Ok(Some(members)),
            Json::Null => Ok(None),
            _ => Err(format!("`{}` holds no map", path.display())),
        };
    }
    Ok(None)
}

/// Lays one map over another, at every depth.
fn merge(under: &mut Map<String, Json>, over: Map<String, Json>) {
    for (name, value) in over {
        match (under.get_mut(&name), value) {
            (Some(Json::Object(under)), Json::Object(over)) => merge(under, over),
            (_, value) => {
                under.insert(name, value);
            }
        }
    }
}

/// Lays settings over others; only what stands in `auth` is laid over member by member.
fn lay_over(under: &mut Settings, over: Settings) {
    for (name, value) in over {
        if value.is_null() {
            continue;
        }
        match (name.as_str(), under.get_mut(&name), value) {
            ("auth", Some(Json::Object(under)), Json::Object(over)) => under.extend(over),
            (_, _, value) => {
                under.insert(name, value);
            }
        }
    }
}

/// The cloud that variables describe; none where they only choose one.
fn environment(variables: &BTreeMap<String, String>) -> Option<Settings> {
    let is_one = |name: &str| {
        name.starts_with("OS_")
            && !["OS_TEST", "OS_STD", "OS_LOG"]
                .iter()
                .any(|other| name.starts_with(other))
    };
    let own: Vec<(&String, &String)> = variables.iter().filter(|(name, _)| is_one(name)).collect();
    let describes = own
        .iter()
        .any(|(name, _)| !CHOOSING.contains(&name.as_str()));
    describes.then(|| {
        let setting = |(name, value): (&String, &String)| {
            let name = name.trim_start_matches("OS_").to_ascii_lowercase();
            (name, json!(value))
        };
        let set = own.into_iter().filter(|(_, value)| !value.is_empty());
        set.map(setting).collect()
    })
}

const CHOOSING: [&str; 5] = [
    "OS_CLOUD",
    "OS_REGION_NAME",
    "OS_CLIENT_CONFIG_FILE",
    "OS_CLIENT_SECURE_FILE",
    "OS_CLOUD_NAME",
];

fn profile_of(own: &Settings) -> Option<String> {
    text(own, "profile").or_else(|| text(own, "cloud"))
}

fn profile_settings(name: &str, around: &impl Surroundings) -> Result<Settings, String> {
    let mut all = load("clouds-public", "", around)?.unwrap_or_default();
    let found = all.remove("public-clouds");
    let found = found.and_then(|clouds| clouds.get(name).cloned());
    match found {
        Some(Json::Object(settings)) => Ok(settings),
        _ => Err(format!(
            "there is no profile `{name}` in a `clouds-public.yaml`, and the list of vendors that openstacksdk carries is not read: write what \
             it says, `auth_url` in `auth` and `region_name`, into the cloud itself; `openstack configuration show` tells it"
        )),
    }
}

/// The region that counts, and the settings that it brings. Where a cloud lists regions the first is meant if none is named.
fn choose_region(
    settings: &mut Settings,
    wanted: Option<String>,
) -> Result<Option<String>, String> {
    let listed = match (settings.remove("regions"), settings.get("region_name")) {
        (Some(Json::Array(regions)), _) => regions,
        (None, Some(Json::Array(regions))) => regions.clone(),
        (None, Some(Json::String(text))) if text.contains(',') => {
            text.split(',').map(|name| json!(name.trim())).collect()
        }
        (None, Some(Json::String(one))) => {
            let one = one.clone();
            // One that the cloud does not list is still one that its catalog may have.
            return Ok(wanted.or(Some(one)));
        }
        _ => return Ok(wanted),
    };
    let name_of = |region: &Json| match region {
        Json::Object(members) => text(members, "name"),
        other => other.as_str().map(ToOwned::to_owned),
    };
    let chosen = match &wanted {
        None => listed.first(),
        Some(name) => listed
            .iter()
            .find(|region| name_of(region).as_ref() == Some(name)),
    };
    let Some(chosen) = chosen else {
        let names: Vec<String> = listed.iter().filter_map(name_of).collect();
        return Err(format!(
            "`{}` is no region of this cloud; there are: {}",
            wanted.unwrap_or_default(),
            names.join(", ")
        ));
    };
    if let Json::Object(members) = chosen
        && let Some(Json::Object(values)) = members.get("values")
    {
        lay_over(settings, values.clone());
    }
    Ok(name_of(chosen))
}

/// Old names become those of today, and what may stand outside of `auth` goes into it. What stands outside wins: it comes from
/// variables or from the block.
fn in_present_form(mut settings: Settings) -> Settings {
    let mut auth = match settings.remove("auth") {
        Some(Json::Object(auth)) => auth,
        _ => Map::new(),
    };
    for (name, olds) in AUTH {
        let mut found = None;
        for old in olds.iter().chain([name]) {
            for spelled in [old.replace('_', "-"), (*old).to_owned()] {
                found = auth.remove(&spelled).or(found);
                found = settings.remove(&spelled).or(found);
            }
        }
        if let Some(value) = found.filter(|value| !value.is_null()) {
            auth.insert((*name).to_owned(), value);
        }
    }
    share_domain(&mut auth);
    let renamed = |(name, value): (String, Json)| {
        let name = name.replace('-', "_");
        let name = match name.strip_suffix("endpoint_type") {
            Some(stem) => format!("{stem}interface"),
            None => name,
        };
        (name, value)
    };
    let mut settings: Settings = settings.into_iter().map(renamed).collect();
    if let Some(plugin) = settings.remove("auth_plugin") {
        settings.entry("auth_type").or_insert(plugin);
    }
    settings.insert("auth".into(), Json::Object(auth));
    settings
}

/// Where a project is named a bare domain stands for the domain of the user and of the project; else it is what is asked for.
fn share_domain(auth: &mut Settings) {
    let has_project = auth.contains_key("project_id") || auth.contains_key("project_name");
    if !has_project {
        return;
    }
    for kind in ["id", "name"] {
        if let Some(domain) = auth.remove(&format!("domain_{kind}")) {
            for whose in ["user", "project"] {
                auth.entry(format!("{whose}_domain_{kind}"))
                    .or_insert_with(|| domain.clone());
            }
        }
    }
}

/// What belongs into `auth`, with its old names; the present name wins.
const AUTH: &[(&str, &[&str])] = &[
    ("auth_url", &[]),
    ("username", &["user_name"]),
    ("user_id", &[]),
    ("password", &[]),
    ("passcode", &[]),
    ("user_domain_id", &[]),
    ("user_domain_name", &[]),
    ("project_id", &["tenant_id"]),
    ("project_name", &["tenant_name"]),
    ("project_domain_id", &[]),
    ("project_domain_name", &[]),
    ("domain_id", &[]),
    ("domain_name", &[]),
    ("default_domain", &[]),
    ("default_domain_id", &[]),
    ("default_domain_name", &[]),
    ("system_scope", &[]),
    ("trust_id", &[]),
    ("token", &["auth_token"]),
    ("application_credential_id", &[]),
    ("application_credential_name", &[]),
    ("application_credential_secret", &[]),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[derive(Default)]
    struct Around {
        variables: BTreeMap<String, String>,
        files: BTreeMap<PathBuf, String>,
    }

    impl Surroundings for Around {
        fn variables(&self) -> &BTreeMap<String, String> {
            &self.variables
        }

        fn folders(&self) -> Vec<PathBuf> {
            vec![
                "/here".into(),
                "/home/.config/openstack".into(),
                "/etc/openstack".into(),
            ]
        }

        fn read(&self, path: &Path) -> Option<String> {
            self.files.get(path).cloned()
        }
    }

    fn around(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Around {
        Around {
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            files: files
                .iter()
                .map(|(path, content)| ((*path).into(), (*content).into()))
                .collect(),
        }
    }

    const TWO: &str = "
clouds:
  one:
    auth: { auth_url: 'https://one.example/v3', username: u, project_name: p, domain_name: Default }
    region_name: R1
  two:
    profile: vendor
    auth: { username: u2 }
    regions: [{ name: A, values: { volume_endpoint_override: 'https://a' } }, B]
";

    fn auth(chosen: &Chosen, name: &str) -> Option<String> {
        text(chosen.settings["auth"].as_object().expect("a map"), name)
    }

    fn given(pairs: &[(&str, Json)]) -> Settings {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    }

    #[test]
    fn the_first_file_that_is_there_counts_and_secrets_are_laid_over_it() {
        let around = around(
            &[("OS_CLOUD", "one")],
            &[
                (
                    "/etc/openstack/clouds.yaml",
                    "clouds: { one: { auth: { auth_url: 'https://etc' } } }",
                ),
                ("/home/.config/openstack/clouds.yaml", TWO),
                (
                    "/etc/openstack/secure.yaml",
                    "clouds: { one: { auth: { password: secret } } }",
                ),
            ],
        );
        let chosen = choose(Settings::new(), None, &around).expect("a cloud");
        assert_eq!(chosen.cloud.as_deref(), Some("one"));
        assert_eq!(
            auth(&chosen, "auth_url").as_deref(),
            Some("https://one.example/v3")
        );
        assert_eq!(auth(&chosen, "password").as_deref(), Some("secret"));
        assert_eq!(
            auth(&chosen, "user_domain_name").as_deref(),
            Some("Default")
        );
        assert_eq!(
            auth(&chosen, "project_domain_name").as_deref(),
            Some("Default")
        );
        assert_eq!(auth(&chosen, "domain_name"), None);
        assert_eq!(text(&chosen.settings, "region_name").as_deref(), Some("R1"));
    }

    #[test]
    fn a_file_that_is_named_by_a_variable_comes_first() {
        let around = around(
            &[("OS_CLIENT_CONFIG_FILE", "/own.yaml")],
            &[
                ("/here/clouds.yaml", TWO),
                (
                    "/own.yaml",
                    "clouds: { only: { auth: { auth_url: 'https://only' } } }",
                ),
            ],
        );
        let chosen = choose(Settings::new(), None, &around).expect("a cloud");
        assert_eq!(chosen.cloud.as_deref(), Some("only"));
    }

    #[test]
    fn variables_are_a_cloud_of_their_own_unless_they_only_choose_one() {
        let variables = [
            ("OS_AUTH_URL", "https://env"),
            ("OS_USERNAME", "e"),
            ("OS_TENANT_NAME", "t"),
        ];
        let files = [("/here/clouds.yaml", TWO)];
        let chosen = choose(Settings::new(), None, &around(&variables, &files)).expect("a cloud");
        assert_eq!(chosen.cloud.as_deref(), Some("envvars"));
        assert_eq!(auth(&chosen, "project_name").as_deref(), Some("t"));
        // A cloud that is named wins over them, as a whole.
        let named = [&variables[..], &[("OS_CLOUD", "one")]].concat();
        let chosen = choose(Settings::new(), None, &around(&named, &files)).expect("a cloud");
        assert_eq!(auth(&chosen, "username").as_deref(), Some("u"));
        let chosen =
            choose(Settings::new(), Some("one"), &around(&variables, &files)).expect("one");
        assert_eq!(
            auth(&chosen, "auth_url").as_deref(),
            Some("https://one.example/v3")
        );
        let only_region = [("OS_REGION_NAME", "R9"), ("OS_CLOUD", "one")];
        let chosen = choose(Settings::new(), None, &around(&only_region, &files)).expect("one");
        assert_eq!(text(&chosen.settings, "region_name").as_deref(), Some("R9"));
    }

    #[test]
    fn the_block_wins_over_all() {
        let files = [("/here/clouds.yaml", TWO)];
        let block = given(&[("username", json!("b")), ("region_name", json!("RB"))]);
        let chosen = choose(
            block,
            Some("one"),
            &around(&[("OS_REGION_NAME", "E")], &files),
        );
        let chosen = chosen.expect("one");
        assert_eq!(auth(&chosen, "username").as_deref(), Some("b"));
        assert_eq!(text(&chosen.settings, "region_name").as_deref(), Some("RB"));
        assert_eq!(auth(&chosen, "project_name").as_deref(), Some("p"));
    }

    #[test]
    fn a_profile_lies_below_a_cloud_and_a_region_brings_settings() {
        let files = [
            ("/here/clouds.yaml", TWO),
            (
                "/etc/openstack/clouds-public.yaml",
                "public-clouds: { vendor: { auth: { auth_url: 'https://vendor', username: v }, interface: internal } }",
            ),
        ];
        let chosen = choose(Settings::new(), Some("two"), &around(&[], &files)).expect("two");
        assert_eq!(auth(&chosen, "auth_url").as_deref(), Some("https://vendor"));
        assert_eq!(auth(&chosen, "username").as_deref(), Some("u2"));
        assert_eq!(
            text(&chosen.settings, "interface").as_deref(),
            Some("internal")
        );
        assert_eq!(text(&chosen.settings, "region_name").as_deref(), Some("A"));
        assert!(text(&chosen.settings, "volume_endpoint_override").is_some());
        let block = given(&[("region_name", json!("C"))]);
        let refused = choose(block, Some("two"), &around(&[], &files)).expect_err("no region");
        assert!(refused.contains("there are: A, B"), "{refused}");
        let alone = choose(Settings::new(), Some("two"), &around(&[], &files[..1]));
        assert!(alone.expect_err("no profile").contains("`vendor`"));
    }

    #[test]
    fn what_is_wrong_is_said_without_what_stands_there() {
        let broken = around(
            &[],
            &[(
                "/here/clouds.yaml",
                "clouds: { a: { auth: { password: 'hunter2 } } }",
            )],
        );
        let why = choose(Settings::new(), None, &broken).expect_err("no YAML");
        assert!(
            why.contains("/here/clouds.yaml") && !why.contains("hunter2"),
            "{why}"
        );
        let none = around(&[], &[("/here/clouds.yaml", TWO)]);
        let why = choose(Settings::new(), Some("three"), &none).expect_err("no cloud");
        assert_eq!(why, "there is no cloud `three`; there are: one, two");
    }

    #[test]
    fn domains_alone_are_a_scope_where_no_project_is_named() {
        let variables = [("OS_AUTH_URL", "https://env"), ("OS_DOMAIN_NAME", "D")];
        let chosen = choose(Settings::new(), None, &around(&variables, &[])).expect("a cloud");
        assert_eq!(auth(&chosen, "domain_name").as_deref(), Some("D"));
    }
}
