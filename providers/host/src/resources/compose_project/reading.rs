//! How a project is found: its files, and how its services are beside what is recorded of them.

use std::collections::{BTreeMap, BTreeSet};

use dmp_sdk::{Diagnostic, Known, Marks, Purpose, Value};

use super::files::{ENV, Files};
use crate::facts::compose::{Container, File, Project, State};
use crate::facts::file::digest;
use crate::on_host::{flag, list_value, map_value, text, text_map};

/// How a service is called that the files do not have.
pub(super) const ORPHAN: &str = "not in the files";

/// Refuses a project of that name that is somebody else's.
pub(super) fn refuse_anothers(wanted: &Value, containers: &[Container]) -> Result<(), Diagnostic> {
    let (name, directory) = (text(wanted, "name"), text(wanted, "directory"));
    let is_other = |container: &&Container| container.working_dir != directory;
    let Some(other) = containers.iter().find(is_other) else {
        return Ok(());
    };
    let found = &other.working_dir;
    Err(
        Diagnostic::remote("anothers-project", "a Compose project of somebody else")
            .detail(format!(
                "the project `{name}` on the machine is one of the directory `{found}`, not of `{directory}`; dmp leaves it alone"
            ))
            .help(format!(
                "give this one another `name`, or import that one with `directory = \"{found}\"`"
            )),
    )
}

/// Whether what is read may be what a work left that was cut off.
pub(super) fn may_be_half_made(purpose: Purpose) -> bool {
    !matches!(purpose, Purpose::BeforeCreate | Purpose::Import)
}

/// The attributes as they are found there.
pub(super) fn attributes(known: &Known<'_>, project: &Project) -> Value {
    let wanted = known.attributes;
    let state = Services::of(known, project);
    let secret = Marks::sensitive();
    let contents = |attribute: &str| {
        let map = wanted.get(attribute);
        let found = map.as_members().into_iter().flatten();
        let found = found.filter_map(|(name, content)| {
            let file = project.files.get(name.as_ref())?;
            Some((name.to_string(), content_of(file, content)))
        });
        map_value(found.collect())
    };
    let sensitive_files = match wanted.get("sensitive_files") {
        none if none.is_null() => none,
        _ => contents("sensitive_files").marked(&secret),
    };
    let env = match (wanted.get("env"), project.files.get(ENV)) {
        (wanted, Some(file)) if !wanted.is_null() => {
            Value::from(content_of(file, &wanted)).marked(&secret)
        }
        _ => Value::null(),
    };
    wanted
        .with("files", contents("files"))
        .with("sensitive_files", sensitive_files)
        .with("env", env)
        .with("sensitive_mode", mode(wanted, project).into())
        .with("services", map_value(state.services))
        .with("images", map_value(state.images))
        .with(
            "config_hashes",
            map_value(state.hashes).marked(&Marks::sensitive()),
        )
        .with("volumes", list_value(project.volumes.clone()))
        .with(
            "compose_files",
            list_value(super::files::compose_files(wanted)),
        )
}

/// The content of a file: what is recorded or wanted, if it is that.
fn content_of(file: &File, wanted: &Value) -> String {
    match (wanted.as_str(), &file.content) {
        (Some(wanted), _) if digest(wanted.as_bytes()) == file.sha256 => wanted.to_owned(),
        (_, Some(content)) => content.clone(),
        _ => format!("(no text, or too much of it; sha256 {})", file.sha256),
    }
}

/// The mode of the sensitive files; one that has another is named.
fn mode(wanted: &Value, project: &Project) -> String {
    let sensitive_mode = text(wanted, "sensitive_mode");
    let files = Files::of(wanted).to_write();
    let others = files.iter().filter_map(|(mode, name, _)| {
        let found = project.files.get(name)?;
        let is_other = found.mode != *mode && mode != "0644";
        is_other.then(|| format!("{} ({name})", found.mode))
    });
    others.into_iter().next().unwrap_or(sensitive_mode)
}

/// Whether nothing has to be done about a service.
pub(super) fn is_well(state: &str, waits: bool) -> bool {
    let is_whole = !state.contains(" of ") && !state.contains(", ");
    let is_good = state.ends_with("running") || state == "completed";
    (is_whole && is_good) || (state == "unhealthy" && !waits)
}

#[derive(Default)]
struct Services {
    services: BTreeMap<String, String>,
    images: BTreeMap<String, String>,
    hashes: BTreeMap<String, String>,
}

impl Services {
    fn of(known: &Known<'_>, project: &Project) -> Self {
        let is_recorded = matches!(known.purpose, Purpose::Refresh | Purpose::Suspect);
        let recorded = |name: &str| match is_recorded {
            true => text_map(known.attributes, name),
            false => BTreeMap::new(),
        };
        let (hashes, images, services) = (
            recorded("config_hashes"),
            recorded("images"),
            recorded("services"),
        );
        if !project.answers {
            let why = project.lacks.as_deref().unwrap_or("Docker does not answer");
            let unknown = |name: &String| (name.clone(), format!("not known: {why}"));
            return Self {
                services: hashes.keys().map(unknown).collect(),
                images,
                hashes,
            };
        }
        let is_cut_off = project.is_pending && may_be_half_made(known.purpose);
        let mut found = Self::default();
        let mut groups: BTreeMap<&str, Vec<&Container>> = BTreeMap::new();
        for container in &project.containers {
            groups
                .entry(&container.service)
                .or_default()
                .push(container);
        }
        let of_the_files: BTreeSet<&String> = match hashes.is_empty() {
            false => hashes.keys().collect(),
            true => project.hashes.keys().collect(),
        };
        for (name, group) in &groups {
            let name = (*name).to_owned();
            if !of_the_files.is_empty() && !of_the_files.contains(&name) {
                if flag(known.attributes, "remove_orphans") {
                    found.services.insert(name, ORPHAN.to_owned());
                }
                continue;
            }
            let before = services.get(&name).map_or(1, |text| count(text));
            let mut state = summary(group, &project.containers, before);
            // What is just made is taken as it is.
            let expected = match known.purpose {
                Purpose::Import => project.hashes.get(&name),
                _ => hashes.get(&name),
            };
            if expected.is_some_and(|hash| group.iter().any(|one| one.config_hash != *hash)) {
                state.push_str(", configured otherwise");
            } else if let Some(one) = group.iter().find(|one| is_of_another_image(one, project)) {
                state = format!("{state}, of an earlier image than `{}` is now", one.image);
            }
            if is_cut_off {
                state.push_str(", in the middle of a change");
            }
            let hash = hashes.get(&name).unwrap_or(&group[0].config_hash);
            found.hashes.insert(name.clone(), hash.clone());
            let image = images.get(&name).unwrap_or(&group[0].image_id);
            found.images.insert(
                name.clone(),
                match is_recorded {
                    // One that was replaced shows, as long as the name leads to another image.
                    true if group.iter().all(|one| !is_of_another_image(one, project)) => {
                        group[0].image_id.clone()
                    }
                    _ => image.clone(),
                },
            );
            found.services.insert(name, state);
        }
        for (name, hash) in &hashes {
            if !groups.contains_key(name.as_str()) {
                found.services.insert(name.clone(), "missing".to_owned());
                found.hashes.insert(name.clone(), hash.clone());
                let image = images.get(name).cloned().unwrap_or_default();
                found.images.insert(name.clone(), image);
            }
        }
        found
    }
}

fn is_of_another_image(container: &Container, project: &Project) -> bool {
    let now = project.images.get(&container.image);
    now.is_some_and(|id| *id != container.image_id)
}

/// How many containers a state tells of.
fn count(state: &str) -> usize {
    let last = state.split(" of ").last().unwrap_or(state);
    let number = last.split(' ').next().and_then(|word| word.parse().ok());
    number.unwrap_or(1)
}

/// How the containers of a service are, of which there were so many.
fn summary(group: &[&Container], all: &[Container], before: usize) -> String {
    let states: Vec<State> = group.iter().map(|one| one.state(all)).collect();
    let total = states.len().max(before);
    let worst = states.iter().max().copied().unwrap_or(State::Running);
    let like_it = states.iter().filter(|state| **state == worst).count();
    match (total, like_it == total) {
        (1, _) => worst.to_string(),
        (_, true) if worst.is_well() => format!("{total} {worst}"),
        _ => format!("{like_it} of {total} {worst}"),
    }
}
