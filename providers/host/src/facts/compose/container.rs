//! A container of a project, as `docker container inspect` and Compose's labels tell of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Container {
    pub(crate) service: String,
    pub(crate) name: String,
    /// The ID of the image that it was made of, and that image's name.
    pub(crate) image_id: String,
    pub(crate) image: String,
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    status: String,
    exit_code: i64,
    /// `starting`, `healthy`, `unhealthy`; empty without a health check.
    health: String,
    /// `no`, `always`, `unless-stopped` or `on-failure`.
    restart: String,
    /// Compose's hash of the service that it was made of.
    pub(crate) config_hash: String,
    /// The directory of the project that it was made for.
    pub(crate) working_dir: String,
    /// The services that it waits for until they have ended well.
    awaits: BTreeSet<String>,
    /// What it mounts of the machine's files.
    pub(crate) binds: Vec<String>,
}

/// How a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// It runs, and is not known to be unhealthy.
    Running,
    /// It has ended with status 0, as it was to.
    Completed,
    /// It runs, and its health check fails.
    Unhealthy,
    /// It ends again and again.
    Restarting,
    /// It is paused.
    Paused,
    /// It was made, and never started.
    Created,
    /// It has ended, with this status.
    Exited(i64),
}

impl Container {
    /// Understands a line of the script; nothing for a container of `docker compose run`, nor for one that Compose was to put
    /// in another's place when it was cut off: that one was never started, and is cleared away by the next work.
    pub(super) fn parse(line: &str) -> Option<Option<Self>> {
        let fields: Vec<Json> = serde_json::from_str(line).ok()?;
        let [
            _id,
            name,
            image_id,
            image,
            status,
            exit_code,
            health,
            restart,
            labels,
            binds,
        ] = &fields[..]
        else {
            return None;
        };
        let text = |json: &Json| Some(json.as_str()?.to_owned());
        let labels: BTreeMap<String, String> = serde_json::from_value(labels.clone()).ok()?;
        let label = |name: &str| {
            let label = labels.get(&format!("com.docker.compose.{name}"));
            label.cloned().unwrap_or_default()
        };
        let plain_name = text(name)?.trim_start_matches('/').to_owned();
        let is_hex = |letter: u8| matches!(letter, b'0'..=b'9' | b'a'..=b'f');
        let replaces = plain_name.split_once('_').is_some_and(|(old, _)| {
            old.len() == 12 && old.bytes().all(is_hex) && !label("replace").is_empty()
        });
        let is_left_over = replaces && status.as_str() == Some("created");
        if is_left_over || label("oneoff").eq_ignore_ascii_case("true") {
            return Some(None);
        }
        let depends_on = label("depends_on");
        let awaits = depends_on.split(',').filter_map(|dependency| {
            let mut parts = dependency.split(':');
            let service = parts.next()?;
            (parts.next()? == "service_completed_successfully").then(|| service.to_owned())
        });
        let binds = binds.as_array()?.iter().filter_map(Json::as_str);
        Some(Some(Self {
            service: label("service"),
            name: plain_name,
            image_id: text(image_id)?,
            image: text(image)?,
            status: text(status)?,
            exit_code: exit_code.as_i64()?,
            health: text(health)?,
            restart: text(restart)?,
            config_hash: label("config-hash"),
            working_dir: label("project.working_dir"),
            awaits: awaits.collect(),
            binds: binds
                .filter(|path| !path.is_empty())
                .map(str::to_owned)
                .collect(),
        }))
    }

    /// How it is. One that others wait for until it has ended, or whose restart policy is `on-failure`, may end.
    pub(crate) fn state(&self, all: &[Self]) -> State {
        let may_end = || {
            self.restart == "on-failure" || all.iter().any(|one| one.awaits.contains(&self.service))
        };
        match self.status.as_str() {
            "running" if self.health == "unhealthy" => State::Unhealthy,
            "running" => State::Running,
            "restarting" => State::Restarting,
            "paused" => State::Paused,
            "created" => State::Created,
            _ if self.exit_code == 0 && may_end() => State::Completed,
            _ => State::Exited(self.exit_code),
        }
    }

    /// Whether it sees a file of the machine, by itself or in a directory.
    pub(crate) fn mounts(&self, path: &str) -> bool {
        self.binds.iter().any(|bind| {
            let rest = path.strip_prefix(bind.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

impl State {
    /// Whether nothing has to be done about it.
    pub(crate) fn is_well(self) -> bool {
        matches!(self, Self::Running | Self::Completed)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Completed => f.write_str("completed"),
            Self::Unhealthy => f.write_str("unhealthy"),
            Self::Restarting => f.write_str("restarting again and again"),
            Self::Paused => f.write_str("paused"),
            Self::Created => f.write_str("not started"),
            Self::Exited(status) => write!(f, "stopped (status {status})"),
        }
    }
}
