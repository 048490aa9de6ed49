//! The binary with stacks for the cloud of this suite.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use dmp_live::Cloud;
use serde_json::{Value as Json, json};

use crate::world::{ALL, World, mark};

/// What tests find on the cloud of this suite.
pub(crate) fn there() -> World {
    World::on(Cloud::of_this_suite("member"), None)
}

/// How much of everything carries a mark.
pub(crate) fn left(cloud: &Cloud) -> Vec<String> {
    let mut left = Vec::new();
    for collection in ALL {
        for object in collection.marked(cloud) {
            left.push(format!(
                "{} `{}` ({})",
                collection.many,
                object["id"],
                mark(&object).unwrap_or_default()
            ));
        }
    }
    left
}

/// Has the cloud do something, as its own command does: `stop cinder`.
pub(crate) fn tell(words: &[&str]) {
    let command = std::env::var_os("DMP_LIVE_CLOUD");
    let command = command.expect("started by `cargo xtask live openstack`");
    let status = Command::new(&command).args(words).status();
    assert!(status.expect("it starts").success(), "cloud {words:?}");
}

/// How many requests have come by before TLS so far.
pub(crate) fn requests() -> u64 {
    let file = std::env::var_os("DMP_LIVE_REQUESTS");
    let file = file.expect("started by `cargo xtask live openstack`");
    let text = fs::read_to_string(file).expect("it can be read");
    text.trim().parse().expect("a number")
}

/// What has to be undone however a test ends.
#[derive(Debug)]
pub(crate) struct Undone(pub(crate) &'static [&'static str]);

impl Drop for Undone {
    fn drop(&mut self) {
        tell(self.0);
    }
}

/// A `clouds.yaml` with one cloud, `other`: one of this suite's, altered.
#[derive(Debug)]
pub(crate) struct Other {
    folder: tempfile::TempDir,
}

impl Other {
    pub(crate) fn of(name: &str, alter: impl FnOnce(&mut Json)) -> Self {
        let cloud = Cloud::of_this_suite(name);
        let text = fs::read_to_string(cloud.clouds()).expect("it can be read");
        // As the suite's command writes it, it is JSON.
        let mut all: Json = serde_json::from_str(&text).expect("JSON");
        let mut own = all["clouds"][name].take();
        alter(&mut own);
        let folder = tempfile::tempdir().expect("a folder");
        let other = json!({ "clouds": { "other": own } });
        fs::write(folder.path().join("clouds.yaml"), other.to_string()).expect("it can be written");
        Self { folder }
    }

    pub(crate) fn cloud(&self) -> Cloud {
        Cloud::of(self.folder.path().join("clouds.yaml"), "other")
    }
}

/// The binary in a folder of its own, with a stack for a cloud.
#[derive(Debug)]
pub(crate) struct Stack {
    home: tempfile::TempDir,
    cloud: Cloud,
}

impl Stack {
    /// A stack for an ordinary member's project.
    pub(crate) fn of(text: &str) -> Self {
        Self::on(Cloud::of_this_suite("member"), text)
    }

    pub(crate) fn on(cloud: Cloud, text: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir(home.path().join("stack")).expect("a folder");
        let stack = Self { home, cloud };
        stack.write("main.hcl", text);
        stack
    }

    pub(crate) fn folder(&self) -> std::path::PathBuf {
        self.home.path().join("stack")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder().join(name), text).expect("it can be written");
    }

    pub(crate) fn edit(&self, from: &str, to: &str) {
        let path = self.folder().join("main.hcl");
        let text = fs::read_to_string(&path).expect("it can be read");
        assert!(text.contains(from), "the stack has no `{from}`");
        fs::write(path, text.replace(from, to)).expect("it can be written");
    }

    /// A run of the binary that a variable names: `DMP_LIVE_BINARY`, or the one that can be killed.
    pub(crate) fn command(&self, binary: &str) -> Command {
        let binary = std::env::var_os(binary).expect("started by `cargo xtask live openstack`");
        let mut command = Command::new(Path::new(&binary));
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.home.path())
            .env("OS_CLIENT_CONFIG_FILE", self.cloud.clouds())
            .env("OS_CLOUD", self.cloud.name())
            .current_dir(self.folder());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        let mut command = self.command("DMP_LIVE_BINARY");
        command.args(words).output().expect("dmp starts")
    }

    /// Runs it, to this exit code; what it printed on both streams.
    pub(crate) fn ends(&self, words: &[&str], code: i32) -> String {
        let output = self.run(words);
        let text = format!(
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(
            output.status.code(),
            Some(code),
            "dmp {}:\n{text}",
            words.join(" ")
        );
        text
    }
}
