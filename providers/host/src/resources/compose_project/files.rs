//! The files of a project: those that a value has, how they are written, and what is no file's name.

use std::collections::BTreeMap;

use dmp_sdk::{Change, Diagnostic, Value};

use crate::facts::file::{digest, normal_mode};
use crate::on_host::{text, texts, wrong};

/// The file from which Compose takes variables.
pub(super) const ENV: &str = ".env";

/// The files that a value stands for, by name.
pub(super) struct Files(BTreeMap<String, File>);

struct File {
    mode: String,
    /// `None` while it is not known.
    content: Option<String>,
}

impl Files {
    pub(super) fn of(value: &Value) -> Self {
        let mut files = BTreeMap::new();
        let sensitive_mode = text(value, "sensitive_mode");
        for (attribute, mode) in [
            ("files", "0644"),
            ("sensitive_files", sensitive_mode.as_str()),
        ] {
            let map = value.get(attribute);
            for (name, content) in map.as_members().into_iter().flatten() {
                let file = File {
                    mode: mode.to_owned(),
                    content: content.as_str().map(str::to_owned),
                };
                files.insert(name.to_string(), file);
            }
        }
        let env = value.get("env");
        if !env.is_null() {
            let file = File {
                mode: "0600".into(),
                content: env.as_str().map(str::to_owned),
            };
            files.insert(ENV.to_owned(), file);
        }
        Self(files)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The names with the digests of what is known.
    pub(super) fn digests(&self) -> Vec<(String, Option<String>)> {
        let digest = |file: &File| Some(digest(file.content.as_ref()?.as_bytes()));
        self.0
            .iter()
            .map(|(name, file)| (name.clone(), digest(file)))
            .collect()
    }

    /// Mode, name and content of each, where all are known.
    pub(super) fn to_write(&self) -> Vec<(String, String, String)> {
        let file = |(name, file): (&String, &File)| {
            (
                file.mode.clone(),
                name.clone(),
                file.content.clone().unwrap_or_default(),
            )
        };
        self.0.iter().map(file).collect()
    }
}

/// The names that Compose looks for by itself, the first one first, and those of what it puts over it.
const BASES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// The Compose files of a value: those that it names, else those that Compose would take.
pub(super) fn compose_files(value: &Value) -> Vec<String> {
    let named = texts(value, "compose_files");
    if !named.is_empty() {
        return named;
    }
    let files = Files::of(value);
    let first = |names: &[&str]| {
        let found = names.iter().find(|name| files.0.contains_key(**name));
        found.map(|name| (*name).to_owned())
    };
    let base = first(&BASES);
    let over = base.as_ref().and_then(|_| first(&OVERRIDES));
    base.into_iter().chain(over).collect()
}

/// The active profiles, in order.
pub(super) fn profiles(value: &Value) -> Vec<String> {
    let mut profiles = texts(value, "profiles");
    profiles.sort();
    profiles
}

/// Refuses what can be neither a name nor a place, and says which the Compose files are.
pub(super) fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    check_name(&change.planned)?;
    for attribute in ["files", "sensitive_files"] {
        let map = change.planned.get(attribute);
        for name in map.as_members().into_iter().flatten().map(|(name, _)| name) {
            check_file(attribute, name)?;
        }
    }
    let sensitive = change.planned.get("sensitive_files");
    let twice = sensitive.as_members().into_iter().flatten();
    let files = change.planned.get("files");
    let is_there = |name: &str| {
        let mut names = files.as_members().into_iter().flatten();
        names.any(|(other, _)| other.as_ref() == name)
    };
    if let Some((name, _)) = twice.into_iter().find(|(name, _)| is_there(name)) {
        return Err(wrong(
            "sensitive_files",
            "two contents for one file",
            format!("`{name}` is among `files`, too"),
        ));
    }
    let mode = change.planned.get("sensitive_mode");
    if let Some(written) = mode.as_str() {
        let normal = normal_mode(written).ok_or_else(|| {
            wrong(
                "sensitive_mode",
                "not a mode",
                format!("`{written}` is not an octal number up to 7777"),
            )
        })?;
        change.set("sensitive_mode", normal.into());
    }
    check_profiles(&change.planned)?;
    check_compose_files(change)
}

fn check_name(planned: &Value) -> Result<(), Diagnostic> {
    let name = planned.get("name");
    let is_name = |name: &str| {
        let mut letters = name.bytes();
        let is_plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        letters.next().is_some_and(is_plain)
            && letters.all(|letter| is_plain(letter) || b"-_".contains(&letter))
    };
    if let Some(name) = name.as_str().filter(|name| !is_name(name)) {
        return Err(wrong(
            "name",
            "not a project's name",
            format!(
                "`{name}` has to be of lower-case letters, digits, `-` and `_`, and begin with a letter or a digit"
            ),
        ));
    }
    let directory = planned.get("directory");
    let is_directory = |path: &str| {
        path.starts_with('/') && path.len() > 1 && path[1..].split('/').all(is_plain_part)
    };
    match directory.as_str().filter(|path| !is_directory(path)) {
        Some(path) => Err(wrong(
            "directory",
            "not a directory for a project",
            format!(
                "`{path}` has to be an absolute path of letters, digits and `._+@-`, without a `/` at its end"
            ),
        )),
        None => Ok(()),
    }
}

/// What needs no quotes anywhere.
fn is_plain_part(part: &str) -> bool {
    !["", ".", ".."].contains(&part)
        && !part.starts_with('-')
        && part
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._+@-".contains(&byte))
}

fn check_file(attribute: &str, name: &str) -> Result<(), Diagnostic> {
    if name == ENV {
        return Err(wrong(
            attribute,
            "a file with a place of its own",
            format!("`{ENV}` is given as `env`"),
        )
        .help("write `env = …` instead"));
    }
    if !name.split('/').all(is_plain_part) {
        return Err(wrong(
            attribute,
            "not a file's name",
            format!(
                "`{name}` has to lie below the directory, and be of letters, digits and `._+@-`"
            ),
        ));
    }
    Ok(())
}

fn check_profiles(planned: &Value) -> Result<(), Diagnostic> {
    let is_profile = |name: &String| {
        name.starts_with(|letter: char| letter.is_ascii_alphanumeric())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    match profiles(planned).iter().find(|name| !is_profile(name)) {
        Some(name) => Err(wrong(
            "profiles",
            "not a profile's name",
            format!("`{name}` has to be of letters, digits and `_.-`"),
        )),
        None => Ok(()),
    }
}

fn check_compose_files(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    let named = change.config.get("compose_files");
    let are_names_known = ["files", "sensitive_files"].iter().all(|name| {
        let map = change.planned.get(name);
        map.is_null() || map.as_members().is_some()
    });
    if !named.is_wholly_known() || !are_names_known {
        if named.is_null() {
            change.unknown("compose_files");
        }
        return Ok(());
    }
    let files = Files::of(&change.planned);
    if named.is_null() {
        let none = change.planned.with("compose_files", Value::null());
        let found = compose_files(&none);
        if found.is_empty() {
            return Err(wrong(
                "files",
                "a project without a Compose file",
                format!("none of the files is called `{}`", BASES.join("`, `")),
            )
            .help("give it one of these names, or name it in `compose_files`"));
        }
        change.set("compose_files", crate::on_host::list_value(found));
        return Ok(());
    }
    let named = compose_files(&change.planned);
    match named.iter().find(|name| !files.0.contains_key(*name)) {
        Some(name) => Err(wrong(
            "compose_files",
            "a Compose file that is not there",
            format!("`{name}` is not among `files`"),
        )
        .did_you_mean(name, files.names())),
        None => Ok(()),
    }
}
