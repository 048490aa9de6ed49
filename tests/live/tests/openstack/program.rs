//! The binary with stacks for the cloud of this suite.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use dmp_live::Cloud;

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

/// The binary in a folder of its own, with a stack for this cloud.
#[derive(Debug)]
pub(crate) struct Stack {
    home: tempfile::TempDir,
}

impl Stack {
    pub(crate) fn of(text: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir(home.path().join("stack")).expect("a folder");
        let stack = Self { home };
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
        let cloud = Cloud::of_this_suite("member");
        let mut command = Command::new(Path::new(&binary));
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.home.path())
            .env("OS_CLIENT_CONFIG_FILE", cloud.clouds())
            .env("OS_CLOUD", cloud.name())
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
