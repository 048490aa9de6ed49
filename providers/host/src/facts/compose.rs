//! A Compose project on a machine: its files, its containers as Docker has them, and what Compose would make of other files.
//!
//! Containers are read by the labels that Compose gives them, without Compose: `com.docker.compose.project`, `.service`,
//! `.config-hash`, `.project.working_dir`, `.depends_on`, `.oneoff`. What it would recreate is told by its own hash of a
//! service (`docker compose config --hash`), of the resolved model: with `env_file` it hashes another one otherwise
//! (github.com/docker/compose, issue 14001).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmp_sdk::{Mark, Output, Script};

use crate::facts::file::LIMIT;
use crate::kept::keeping;

mod container;
mod model;

pub(crate) use container::{Container, State};
pub(crate) use model::{Answer, Fate, Model, Wanted, model, model_script, outcome, payload};

/// Shell functions in front of a script about the project `$name`:
///
/// - `dmp_engine` tells in `$lacks` what is missing to use Docker and Compose; nothing if nothing is;
/// - `dmp_compose WORD...` runs Compose for the directory `$at`, with the files `$compose_files` and the `$profiles`;
/// - `dmp_containers` prints a line for each container of the project;
/// - `dmp_hashes WORD...` prints a line for each service of the resolved model on its input, with Compose's hash of it;
/// - `dmp_image_ids` prints a line for each image named on its input that the machine has.
macro_rules! with_compose {
    ($script:expr) => {
        $crate::kept::with_kept!(concat!(
            r#"
unset COMPOSE_FILE COMPOSE_PROJECT_NAME COMPOSE_ENV_FILES COMPOSE_PROFILES COMPOSE_IGNORE_ORPHANS COMPOSE_REMOVE_ORPHANS
unset COMPOSE_PATH_SEPARATOR COMPOSE_DISABLE_ENV_FILE
[ -z "$profiles" ] || export COMPOSE_PROFILES="$profiles"
export DOCKER_CLI_HINTS=false COMPOSE_ANSI=never COMPOSE_MENU=false
dmp_engine() {
	lacks=
	if ! command -v docker >/dev/null 2>&1; then
		lacks="Docker is not there"
		if command -v podman >/dev/null 2>&1; then lacks="$lacks; Podman is, and is not supported"; fi
	elif said=$(docker version --format '{{.Server.Version}}' 2>&1); then
		if version=$(docker compose version --short 2>/dev/null); then
			case ${version#v} in
			0.* | 1.*) lacks="Compose is version $version, and 2 or newer is needed" ;;
			esac
		else
			lacks="Docker has no plugin \`compose\`"
			if command -v docker-compose >/dev/null 2>&1; then lacks="$lacks; docker-compose is there, by itself"; fi
		fi
	else
		lacks="Docker does not answer: $(printf '%s\n' "$said" | tail -n 1)"
	fi
}
dmp_compose() {
	words=$#
	for file in $compose_files; do
		set -- "$@" -f "$at/$file"
	done
	while [ "$words" -gt 0 ]; do
		words=$((words - 1)) word=$1
		shift
		set -- "$@" "$word"
	done
	docker compose -p "$name" --project-directory "$at" "$@"
}
dmp_containers() {
	ids=$(docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$name") || return 1
	# One that goes in between is not told.
	[ -z "$ids" ] || docker container inspect --format '{{json .ID}},{{json .Name}},{{json .Image}},{{json .Config.Image}},{{json .State.Status}},{{json .State.ExitCode}},{{if .State.Health}}{{json .State.Health.Status}}{{else}}""{{end}},{{json .HostConfig.RestartPolicy.Name}},{{json .Config.Labels}},[{{range $i, $m := .Mounts}}{{if $i}},{{end}}{{if eq $m.Type "bind"}}{{json $m.Source}}{{else}}""{{end}}{{end}}]' $ids 2>/dev/null | sed 's/^/container [/; s/$/]/'
	return 0
}
dmp_hashes() {
	docker compose -p "$name" --project-directory "$directory" "$@" -f - config --hash '*' 2>/dev/null | sed 's/^/hash /'
}
dmp_image_ids() {
	sort -u | while read -r image; do
		id=$(docker image inspect --format '{{.ID}}' "$image" 2>/dev/null) && printf 'image %s %s\n' "$image" "$id"
	done
	return 0
}
"#,
            $script
        ))
    };
}

pub(crate) use with_compose;

/// Each line of `$known` is a file: the digest that it is known by, or `-`, and its name. Nothing is printed of a content that
/// is known.
const SCRIPT: &str = with_compose!(
    r#"
printf '%s\n' "$known" | while read -r digest file; do
	path=$directory/$file
	if [ -z "$file" ]; then
		continue
	elif [ -L "$path" ]; then
		echo "other $file"
	elif [ ! -e "$path" ]; then
		echo "absent $file"
	elif [ ! -f "$path" ]; then
		echo "other $file"
	else
		sum=$(sha256sum -- "$path") && mode=$(stat -c %a -- "$path") && size=$(stat -c %s -- "$path") || exit 1
		sum=${sum%% *}
		echo "file $file $mode $sum"
		if [ "$sum" != "$digest" ] && [ "$size" -le "$limit" ]; then
			echo "content $file $(base64 <"$path" | tr -d '\n')"
		fi
	fi
done
[ ! -e "$kept/pending" ] || echo pending
dmp_engine
[ -z "$lacks" ] || echo "lacks $lacks"
if command -v docker >/dev/null 2>&1 && containers=$(dmp_containers 2>/dev/null); then
	echo answers
	[ -z "$containers" ] || printf '%s\n' "$containers"
	ids=$(docker ps -aq --filter "label=com.docker.compose.project=$name")
	[ -z "$ids" ] || docker container inspect --format '{{.Config.Image}}' $ids 2>/dev/null | dmp_image_ids
	docker volume ls -q --filter "label=com.docker.compose.project=$name" | sed 's/^/volume /'
	if [ "$hashes" = yes ] && [ -z "$lacks" ]; then
		at=$directory
		[ ! -f "$at/.env" ] || set -- --env-file "$at/.env"
		resolved=$(dmp_compose config --format json 2>/dev/null </dev/null) &&
			printf '%s\n' "$resolved" | dmp_hashes "$@"
	fi
fi
exit 0
"#
);

/// What a project is read by.
pub(crate) struct Asked<'a> {
    pub(crate) name: &'a str,
    pub(crate) directory: &'a str,
    /// Names of files, with the digest of what is known of each.
    pub(crate) files: Vec<(String, Option<String>)>,
    pub(crate) mark: Option<&'a Mark>,
    /// Whether Compose is asked for the services that the files have now.
    pub(crate) wants_hashes: bool,
    pub(crate) compose_files: Vec<String>,
    pub(crate) profiles: Vec<String>,
}

/// The script that reads a project.
pub(crate) fn script(asked: &Asked<'_>) -> Script {
    let line = |(name, digest): &(String, Option<String>)| {
        format!("{} {name}", digest.as_deref().unwrap_or("-"))
    };
    let known: Vec<String> = asked.files.iter().map(line).collect();
    let script = Script::new(SCRIPT)
        .var("name", asked.name)
        .var("directory", asked.directory)
        .var("known", known.join("\n"))
        .var("limit", LIMIT.to_string())
        .var("hashes", if asked.wants_hashes { "yes" } else { "no" })
        .var("compose_files", asked.compose_files.join(" "))
        .var("profiles", asked.profiles.join(","));
    match asked.mark {
        Some(mark) => keeping(script, mark),
        None => script.var("instance", "none"),
    }
}

/// A file as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// In four digits.
    pub(crate) mode: String,
    pub(crate) sha256: String,
    /// What it is, where that was not known and is a text of no great size.
    pub(crate) content: Option<String>,
}

/// A project as it was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Project {
    /// The regular files among those asked for.
    pub(crate) files: BTreeMap<String, File>,
    /// Names at which something else stands.
    pub(crate) others: Vec<String>,
    /// Whether a work on it has not come to its end.
    pub(crate) is_pending: bool,
    /// What is missing for Docker and Compose to be used, in words.
    pub(crate) lacks: Option<String>,
    /// Whether Docker told of its containers.
    pub(crate) answers: bool,
    /// Its containers, but for those of `docker compose run`.
    pub(crate) containers: Vec<Container>,
    /// The images that the machine has by the names in its containers.
    pub(crate) images: BTreeMap<String, String>,
    /// Its named volumes.
    pub(crate) volumes: Vec<String>,
    /// Compose's hashes of the services that the files have, if they were asked for and could be told.
    pub(crate) hashes: BTreeMap<String, String>,
}

/// Understands the script's output. `None` if it is not what the script writes.
pub(crate) fn parse(output: &Output) -> Option<Project> {
    if !output.is_success() {
        return None;
    }
    let mut project = Project::default();
    for line in output.text().lines() {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "file" => {
                let words: Vec<&str> = rest.split(' ').collect();
                let [name, mode, sha256] = words[..] else {
                    return None;
                };
                let file = File {
                    mode: crate::facts::file::normal_mode(mode)?,
                    sha256: sha256.to_owned(),
                    content: None,
                };
                project.files.insert(name.to_owned(), file);
            }
            "content" => {
                let (name, content) = rest.split_once(' ')?;
                let content = String::from_utf8(STANDARD.decode(content).ok()?).ok();
                project.files.get_mut(name)?.content = content;
            }
            "other" => project.others.push(rest.to_owned()),
            "pending" => project.is_pending = true,
            "lacks" => project.lacks = Some(rest.to_owned()),
            "answers" => project.answers = true,
            "container" => project.containers.extend(Container::parse(rest)?),
            "image" => {
                let (name, id) = rest.split_once(' ')?;
                project.images.insert(name.to_owned(), id.to_owned());
            }
            "hash" => {
                let (name, hash) = rest.split_once(' ')?;
                project.hashes.insert(name.to_owned(), hash.to_owned());
            }
            "volume" => project.volumes.push(rest.to_owned()),
            "absent" => {}
            _ => return None,
        }
    }
    project.containers.sort();
    project.volumes.sort();
    Some(project)
}

#[cfg(test)]
pub(crate) mod tests;
