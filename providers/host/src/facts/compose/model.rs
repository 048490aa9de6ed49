//! What Compose makes of files before they are there, and what bringing them up comes to: which containers are created,
//! recreated, restarted, removed, and why.
//!
//! The files are laid out in memory, with links to all else in the project's directory beside them, and Compose resolves
//! them there. The resolved model, with the paths of the directory in it, is what it hashes when it brings the project up.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmp_sdk::{Output, Script};
use serde_json::Value as Json;

use super::container::{Container, State};
use super::with_compose;

const SCRIPT: &str = with_compose!(
    r#"
dmp_engine
if [ -n "$lacks" ]; then echo "lacks $lacks"; exit 0; fi
memory=/dev/shm
if [ ! -d "$memory" ] || [ ! -w "$memory" ]; then memory=${TMPDIR:-/tmp}; fi
top=$(mktemp -d "$memory/dmp.XXXXXX") || exit 1
trap 'rm -rf -- "$top"' EXIT
trap 'exit 1' HUP INT TERM
umask 077
at=$top/project
mkdir -- "$at" || exit 1
while IFS=' ' read -r mode file content; do
	[ -n "$file" ] || continue
	mkdir -p -- "$(dirname -- "$at/$file")" && printf '%s' "$content" | base64 -d >"$at/$file" || exit 1
	cmp -s -- "$at/$file" "$directory/$file" || echo "changes $file"
done
for folder in $folders; do
	for entry in "$directory/$folder"/* "$directory/$folder"/.[!.]*; do
		last=${entry##*/}
		[ -e "$entry" ] && [ -d "$at/$folder" ] && [ ! -e "$at/$folder/$last" ] || continue
		ln -s -- "$entry" "$at/$folder/$last" || exit 1
	done
done
real() {
	sed "s|$at|$directory|g"
}
if ! dmp_compose config --format json >"$top/model" 2>"$top/said" </dev/null; then
	real <"$top/said" | grep -v '^$' | sed 's/^/refused /'
	exit 0
fi
sed -n 's/.*level=warning msg="\(.*\)"$/warns \1/p' "$top/said" | sed 's/\\"/`/g' | sort -u
real <"$top/model" >"$top/real" || exit 1
set --
[ ! -f "$at/.env" ] || set -- --env-file "$at/.env"
dmp_hashes "$@" <"$top/real"
docker compose -p "$name" --project-directory "$directory" "$@" -f - config --images <"$top/real" 2>/dev/null | dmp_image_ids
echo "model $(base64 <"$top/real" | tr -d '\n')"
dmp_containers
exit 0
"#
);

/// The files of a project as they are wanted.
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) directory: &'a str,
    pub(crate) compose_files: Vec<String>,
    pub(crate) profiles: Vec<String>,
    /// Mode, name and content of each.
    pub(crate) files: Vec<(String, String, String)>,
}

/// The script that asks what files would come to.
pub(crate) fn model_script(wanted: &Wanted<'_>) -> Script {
    let mut folders = BTreeSet::from(["."]);
    for (_, name, _) in &wanted.files {
        folders.extend(name.match_indices('/').map(|(at, _)| &name[..at]));
    }
    Script::new(SCRIPT)
        .var("instance", "none")
        .var("name", wanted.name)
        .var("directory", wanted.directory)
        .var("compose_files", wanted.compose_files.join(" "))
        .var("profiles", wanted.profiles.join(","))
        .var("folders", Vec::from_iter(folders).join(" "))
        .stdin(payload(&wanted.files))
}

/// Files as scripts take them on standard input: a line each, with mode, name, and content in base64.
pub(crate) fn payload(files: &[(String, String, String)]) -> String {
    files
        .iter()
        .map(|(mode, name, content)| format!("{mode} {name} {}\n", STANDARD.encode(content)))
        .collect()
}

/// What Compose made of the files, and what is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) services: BTreeMap<String, Service>,
    /// Files that change or are new.
    pub(crate) changes: Vec<String>,
    /// The images that the machine has, by the names in the files.
    pub(crate) images: BTreeMap<String, String>,
    pub(crate) containers: Vec<Container>,
    /// The names of its volumes, but for those that are made elsewhere.
    pub(crate) volumes: Vec<String>,
    /// What Compose warns of.
    pub(crate) warnings: Vec<String>,
}

/// A service of the files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) image: Option<String>,
    pub(crate) hash: Option<String>,
    /// How many containers it shall have.
    pub(crate) replicas: usize,
    /// Whether it shares a namespace or the volumes of another service: its hash then follows from that one's container.
    is_sharing: bool,
}

/// What came of asking.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Told(Model),
    /// Compose does not take the files: its words.
    Refused(String),
    /// There is no Docker or no Compose: why.
    Lacks(String),
}

/// Understands the script's output. `None` if it is not what the script writes.
pub(crate) fn model(output: &Output) -> Option<Answer> {
    if !output.is_success() {
        return None;
    }
    let mut model = Model::default();
    let mut hashes: BTreeMap<&str, &str> = BTreeMap::new();
    let mut refused: Vec<&str> = Vec::new();
    let text = output.text();
    for line in text.lines() {
        let (kind, rest) = line.split_once(' ')?;
        match kind {
            "lacks" => return Some(Answer::Lacks(rest.to_owned())),
            "refused" => refused.push(rest),
            "changes" => model.changes.push(rest.to_owned()),
            "warns" => model.warnings.push(rest.to_owned()),
            "hash" => hashes.extend(rest.split_once(' ')),
            "image" => {
                let (name, id) = rest.split_once(' ')?;
                model.images.insert(name.to_owned(), id.to_owned());
            }
            "model" => {
                let json = serde_json::from_slice(&STANDARD.decode(rest).ok()?).ok()?;
                model.services = services(&json)?;
                model.volumes = volumes(&json);
            }
            "container" => model.containers.extend(Container::parse(rest)?),
            _ => return None,
        }
    }
    if !refused.is_empty() {
        return Some(Answer::Refused(refused.join("; ")));
    }
    for (name, service) in &mut model.services {
        service.hash = hashes.get(name.as_str()).map(|hash| (*hash).to_owned());
    }
    model.containers.sort();
    Some(Answer::Told(model))
}

fn volumes(json: &Json) -> Vec<String> {
    let all = json["volumes"].as_object().into_iter().flatten();
    let ours = all.filter(|(_, volume)| volume["external"] != Json::Bool(true));
    ours.filter_map(|(_, volume)| Some(volume["name"].as_str()?.to_owned()))
        .collect()
}

fn services(json: &Json) -> Option<BTreeMap<String, Service>> {
    let service = |service: &Json| {
        let number = |of: &Json| of.as_u64().and_then(|number| usize::try_from(number).ok());
        let is_of_service = |name: &&str| {
            let mode = service[*name].as_str();
            mode.is_some_and(|mode| mode.starts_with("service:"))
        };
        let replicas = number(&service["deploy"]["replicas"]).or(number(&service["scale"]));
        Service {
            image: service["image"].as_str().map(str::to_owned),
            hash: None,
            replicas: replicas.unwrap_or(1),
            is_sharing: ["network_mode", "ipc", "pid"].iter().any(is_of_service)
                || service["volumes_from"].is_array(),
        }
    };
    let all = json["services"].as_object()?;
    Some(
        all.iter()
            .map(|(name, json)| (name.clone(), service(json)))
            .collect(),
    )
}

/// What happens to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stays,
    /// It gets this many containers more.
    Created(usize),
    /// Its containers are replaced: why.
    Recreated(String),
    /// Whether it is replaced can't be told: it shares what another service has.
    Open,
    /// It is restarted, for what it mounts: these files.
    Restarted(Vec<String>),
    /// What does not run is started.
    Started(State),
    /// It has ended, and is run again.
    RunAgain,
    /// It is unhealthy, and nothing is done about that.
    Awaited,
    /// It has more containers than it shall have.
    Reduced,
    /// The files do not have it.
    Removed,
    /// The files do not have it, and it is let be.
    Foreign,
}

/// What bringing up a model in a directory comes to, by service.
pub(crate) fn outcome(
    model: &Model,
    directory: &str,
    removes_orphans: bool,
) -> BTreeMap<String, Fate> {
    let mut fates = BTreeMap::new();
    for (name, service) in &model.services {
        let there: Vec<&Container> = model
            .containers
            .iter()
            .filter(|container| container.service == *name)
            .collect();
        fates.insert(name.clone(), fate(model, directory, service, &there));
    }
    for container in &model.containers {
        let orphan = match removes_orphans {
            true => Fate::Removed,
            false => Fate::Foreign,
        };
        fates.entry(container.service.clone()).or_insert(orphan);
    }
    fates
}

fn fate(model: &Model, directory: &str, service: &Service, there: &[&Container]) -> Fate {
    if there.len() < service.replicas {
        return Fate::Created(service.replicas - there.len());
    }
    if there.len() > service.replicas {
        return Fate::Reduced;
    }
    let is_other = |container: &&Container| {
        let hash = service.hash.as_ref();
        hash.is_some_and(|hash| *hash != container.config_hash)
    };
    if service.is_sharing && there.iter().any(is_other) {
        return Fate::Open;
    }
    if let Some(container) = there.iter().copied().find(is_other) {
        return Fate::Recreated(match &service.image {
            Some(image) if *image != container.image => {
                format!("its image is `{image}` and was `{}`", container.image)
            }
            _ => "its configuration is another".to_owned(),
        });
    }
    let image = service.image.as_ref();
    let now = image.and_then(|image| Some((image, model.images.get(image)?)));
    if let Some((image, id)) = now
        && there.iter().any(|container| container.image_id != *id)
    {
        return Fate::Recreated(format!("`{image}` is another image now"));
    }
    let states = there
        .iter()
        .map(|container| container.state(&model.containers));
    let worst = states.max().unwrap_or(State::Running);
    match worst {
        State::Running | State::Unhealthy => {
            let sees = |name: &&String| {
                let path = format!("{directory}/{name}");
                there.iter().any(|container| container.mounts(&path))
            };
            let files: Vec<String> = model.changes.iter().filter(sees).cloned().collect();
            match (files.is_empty(), worst) {
                (false, _) => Fate::Restarted(files),
                (true, State::Unhealthy) => Fate::Awaited,
                (true, _) => Fate::Stays,
            }
        }
        State::Completed => Fate::RunAgain,
        state => Fate::Started(state),
    }
}
