//! A real OpenStack on this machine, which `tests/live/openstack/cloud` installs, starts, fills and stops: for the live suite and for
//! measurements. Whoever starts one also ends it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::process::Command;

use crate::process::{Failure, Shell};

/// One cloud.
pub(crate) struct Cloud<'a> {
    shell: &'a Shell,
    program: PathBuf,
    has_guests: bool,
}

impl<'a> Cloud<'a> {
    /// The one whose servers are on paper.
    pub(crate) fn on_paper(shell: &'a Shell) -> Self {
        Self {
            shell,
            program: shell.root().join("tests/live/openstack/cloud"),
            has_guests: false,
        }
    }

    /// The one whose servers are guests under qemu.
    pub(crate) fn with_guests(shell: &'a Shell) -> Self {
        Self {
            has_guests: true,
            ..Self::on_paper(shell)
        }
    }

    /// Its command with these words.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.shell.command(&self.program);
        if self.has_guests {
            command.arg("--guests");
        }
        command.args(words);
        command
    }

    /// Installs the packages that it needs.
    pub(crate) async fn install(&self) -> Result<(), Failure> {
        self.shell.run(self.command(&["install"])).await
    }

    /// Starts and fills it.
    pub(crate) async fn up(&self, more: &[&str]) -> Result<(), Failure> {
        self.shell
            .run(self.command(&[&["up"], more].concat()))
            .await
    }

    /// What whoever uses it has to be told, as variables of an environment.
    pub(crate) async fn environment(&self) -> Result<BTreeMap<String, String>, Failure> {
        let text = self.shell.read(self.command(&["env"])).await?;
        let values = text.lines().filter_map(|line| line.split_once('='));
        Ok(values
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }

    /// Stops it and removes all that was made, even after Ctrl-C.
    pub(crate) async fn down(&self) -> Result<(), Failure> {
        self.shell.finish(self.command(&["down", "--purge"])).await
    }

    /// What a person types to end it.
    pub(crate) fn ending(&self) -> &'static str {
        match self.has_guests {
            true => "tests/live/openstack/cloud --guests down --purge",
            false => "tests/live/openstack/cloud down --purge",
        }
    }
}
