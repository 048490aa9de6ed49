//! A lab of its own for a measurement, which ends with it, and what a command costs on it: seconds, calls, memory.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tokio::process::Child;

use super::engine::{Cost, costs};
use crate::process::{Failure, Shell, print};

/// A lab that serves.
pub(super) struct Lab<'a> {
    shell: &'a Shell,
    dmp: &'a Path,
    folder: tempfile::TempDir,
    _serving: Child,
}

impl<'a> Lab<'a> {
    /// Begins as a site says, and serves.
    pub(super) async fn start(
        shell: &'a Shell,
        dmp: &'a Path,
        site: &Json,
    ) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::io("a folder"))?;
        let file = folder.path().join("site.json");
        std::fs::write(&file, site.to_string()).map_err(Failure::io("a site"))?;
        let mut command = shell.command(dmp);
        command
            .args(["lab", "serve", "--site"])
            .arg(&file)
            .arg("--dir")
            .arg(folder.path().join("lab"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let serving = command.spawn().map_err(Failure::io("the lab"))?;
        let lab = Self {
            shell,
            dmp,
            folder,
            _serving: serving,
        };
        let begun = Instant::now();
        while !lab.place().join("lab.json").exists() {
            if begun.elapsed() > Duration::from_secs(30) {
                return Err(Failure::Said("the lab does not come up".into()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(lab)
    }

    /// The lab's own folder.
    pub(super) fn place(&self) -> PathBuf {
        self.folder.path().join("lab")
    }

    /// A folder with files beside the lab, by their names.
    pub(super) fn folder(&self, name: &str, files: &[(&str, &str)]) -> Result<PathBuf, Failure> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).map_err(Failure::io("a folder"))?;
        for (name, text) in files {
            std::fs::write(folder.join(name), text).map_err(Failure::io(name))?;
        }
        Ok(folder)
    }

    /// What `dmp lab WORDS` says.
    pub(super) async fn tell(&self, words: &[&str]) -> Result<String, Failure> {
        let mut command = self.shell.command(self.dmp);
        command
            .arg("lab")
            .args(words)
            .arg("--dir")
            .arg(self.place());
        let output = command.output().await.map_err(Failure::io("the lab"))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(Failure::Said(
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )),
        }
    }

    /// How often it has been called.
    async fn calls(&self) -> Result<u64, Failure> {
        let said = self.tell(&["status", "--json"]).await?;
        let status: Json = serde_json::from_str(&said)
            .map_err(|error| Failure::Said(format!("the lab's status: {error}")))?;
        status["calls"]
            .as_u64()
            .ok_or_else(|| Failure::Said("the lab counts no calls".into()))
    }

    /// What a program costs that is run in a folder, several times if it changes nothing.
    pub(super) async fn cost(
        &self,
        program: &Path,
        words: &[&str],
        folder: &Path,
        runs: usize,
    ) -> Result<Cost, Failure> {
        let cost = costs(self.shell, program, words, folder, runs, None).await?;
        cost.ok_or_else(|| Failure::Said("it has not come to its end".into()))
    }

    /// Runs a program in a folder and prints what it costs; `count` machines are what it is about.
    pub(super) async fn row(
        &self,
        what: &str,
        (program, words): (&Path, &[&str]),
        folder: &Path,
        runs: usize,
        count: usize,
    ) -> Result<(), Failure> {
        let before = self.calls().await?;
        let cost = self.cost(program, words, folder, runs).await?;
        let calls = (self.calls().await? - before) / runs.max(1) as u64;
        print_row(what, &cost, calls, count);
        Ok(())
    }

    /// Lets each answer come later.
    pub(super) async fn delay(&self, milliseconds: u32) -> Result<(), Failure> {
        let milliseconds = milliseconds.to_string();
        let words = ["fault", "call", "latency", "--milliseconds", &milliseconds];
        self.tell(&words).await.map(drop)
    }
}

/// The titles of the rows below.
pub(super) fn heading(title: &str) {
    print(format_args!(
        "{title:<44} {:>9} {:>9} {:>12} {:>7}",
        "seconds", "requests", "of each one", "MB"
    ));
}

/// What something has cost that was about `count` machines.
pub(super) fn print_row(what: &str, cost: &Cost, calls: u64, count: usize) {
    print(format_args!(
        "{what:<44} {:>9.2} {calls:>9} {:>12.2} {:>7.0}",
        cost.seconds,
        each(calls, count),
        cost.megabytes
    ));
}

#[expect(clippy::cast_precision_loss, reason = "nobody calls that often")]
fn each(calls: u64, machines: usize) -> f64 {
    calls as f64 / machines as f64
}
