//! The real OpenStack of this machine for a measurement, which starts and ends it. Requests are counted by the front with TLS before
//! its services, through which they go.

use std::path::{Path, PathBuf};

use super::engine::costs;
use super::lab::print_row;
use crate::openstack::Cloud;
use crate::process::{Failure, Shell};

/// The cloud, until [`Real::end`].
pub(super) struct Real<'a> {
    shell: &'a Shell,
    cloud: Cloud<'a>,
    clouds: PathBuf,
    counter: PathBuf,
    folder: tempfile::TempDir,
}

impl<'a> Real<'a> {
    /// Installs what is missing, and starts it.
    pub(super) async fn start(shell: &'a Shell) -> Result<Self, Failure> {
        let cloud = Cloud::on_paper(shell);
        cloud.install().await?;
        let folder = tempfile::tempdir().map_err(Failure::io("a folder"))?;
        let started = cloud.up(&[]).await;
        let told = match started {
            Ok(()) => cloud.environment().await,
            Err(failure) => Err(failure),
        };
        let told = match told {
            Ok(told) => told,
            Err(failure) => {
                cloud.down().await?;
                return Err(failure);
            }
        };
        let file = |name: &str| PathBuf::from(told.get(name).cloned().unwrap_or_default());
        Ok(Self {
            shell,
            cloud,
            clouds: file("DMP_LIVE_CLOUDS"),
            counter: file("DMP_LIVE_REQUESTS"),
            folder,
        })
    }

    /// Stops it, and removes what was made.
    pub(super) async fn end(&self) -> Result<(), Failure> {
        self.cloud.down().await
    }

    /// Raises the quotas.
    pub(super) async fn has_room_for(&self, servers: usize) -> Result<(), Failure> {
        let servers = servers.to_string();
        self.shell
            .run(self.cloud.command(&["room", &servers]))
            .await
    }

    /// A folder with these files, and `clouds.yaml`.
    pub(super) fn folder(&self, name: &str, files: &[(&str, &str)]) -> Result<PathBuf, Failure> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).map_err(Failure::io("a folder"))?;
        for (name, text) in files {
            std::fs::write(folder.join(name), text).map_err(Failure::io(name))?;
        }
        std::fs::copy(&self.clouds, folder.join("clouds.yaml"))
            .map_err(Failure::io("clouds.yaml"))?;
        Ok(folder)
    }

    /// Runs a program in a folder and prints what it costs; `count` servers are what it is about.
    pub(super) async fn row(
        &self,
        what: &str,
        (program, words): (&Path, &[&str]),
        folder: &Path,
        runs: usize,
        count: usize,
    ) -> Result<(), Failure> {
        let before = self.calls()?;
        let cost = costs(self.shell, program, words, folder, runs, None).await?;
        let cost = cost.ok_or_else(|| Failure::Said("it has not come to its end".into()))?;
        let calls = (self.calls()? - before) / runs.max(1) as u64;
        print_row(what, &cost, calls, count);
        Ok(())
    }

    /// How many requests have come by.
    fn calls(&self) -> Result<u64, Failure> {
        let text =
            std::fs::read_to_string(&self.counter).map_err(Failure::io(self.counter.display()))?;
        let count = text.trim().parse();
        count.map_err(|error| Failure::Said(format!("{}: {error}", self.counter.display())))
    }
}
