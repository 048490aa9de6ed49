//! How machines are reached: as whoever runs dmp reaches them, and with what the state knows of their pinned keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dmp_state::{Serial, Store};
use dmp_transport::Options;
use serde_json::Value as Json;

use crate::stack::open_state;

/// The options of the person who runs dmp, for the machines of a stack.
pub(crate) fn options(directory: &Path) -> Options {
    let directory = PathBuf::from(directory);
    Options {
        // Only asked where a key does not fit, so the state is opened anew for it.
        pin_history: Arc::new(move |key| pinned_since(&open_state(&directory).ok()?, key)),
        ..Options::from_environment()
    }
}

/// Which run was the first to record a host key, and when. `None` where the log does not reach back that far.
fn pinned_since(store: &Store, key: &str) -> Option<String> {
    let data = key.split_whitespace().nth(1)?;
    let (mut after, mut run, mut command) = (Serial(0), String::new(), String::new());
    loop {
        let commits = store.log(after, PAGE).ok()?;
        after = commits.last()?.serial;
        for commit in commits {
            if commit.run != run {
                (run, command) = (commit.run.clone(), String::new());
            }
            let records: Vec<Json> = serde_json::from_str(&commit.records).unwrap_or_default();
            for record in &records {
                match record["record"].as_str() {
                    Some("run_began") => {
                        record["command"].as_str()?.clone_into(&mut command);
                    }
                    Some("instance_put") if holds(&record["instance"], data) => {
                        let by = match command.as_str() {
                            "" => format!("run {run}"),
                            command => format!("`dmp {command}`, run {run}"),
                        };
                        return Some(format!("pinned on {} by {by}", commit.time));
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Whether a text stands anywhere in what was recorded.
fn holds(value: &Json, text: &str) -> bool {
    match value {
        Json::String(string) => string.contains(text),
        Json::Array(items) => items.iter().any(|item| holds(item, text)),
        Json::Object(members) => members.values().any(|member| holds(member, text)),
        _ => false,
    }
}

const PAGE: usize = 1000;
