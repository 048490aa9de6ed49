//! `cargo xtask lab …`: the lab's own command, and its lock.
//!
//! One suite at a time owns a lab. The lock is held as long as the process lives, so nothing has to be cleared after a crash.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use tokio::process::Command;

use crate::process::{Failure, Shell};

/// What `cargo xtask lab` can be told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A command of the lab and its words; none lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Runs one of the lab's commands by hand, such as `up n1 n2`, `ssh n1` or `down --all`.
pub(crate) async fn run(shell: &Shell, arguments: &Arguments) -> Result<(), Failure> {
    let lab = Lab::new(shell)?;
    let first = arguments.words.first().map(String::as_str);
    if let Some("up" | "kill" | "reboot" | "down" | "resize" | "services" | "balance" | "build") =
        first
    {
        drop(lab.lock("a command by hand")?);
    }
    match first {
        Some("up") if arguments.words.iter().any(|word| word == "--vm") => {
            lab.prepare(&["vm"]).await?;
        }
        Some("up") => lab.prepare(&["machine"]).await?,
        Some("services") if arguments.words.get(1).is_some_and(|word| word == "up") => {
            lab.prepare(&[]).await?;
        }
        _ => {}
    }
    // In this process's place: an interactive shell in a machine wants the terminal.
    let failed = std::process::Command::new(&lab.command)
        .args(&arguments.words)
        .exec();
    Err(Failure::Io {
        what: lab.command.display().to_string(),
        cause: failed,
    })
}

/// The lab of this user's cache folder.
pub(crate) struct Lab<'a> {
    shell: &'a Shell,
    command: PathBuf,
    cache: PathBuf,
}

impl<'a> Lab<'a> {
    pub(crate) fn new(shell: &'a Shell) -> Result<Self, Failure> {
        let folder = |name: &str| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let cache = folder("DMP_LIVE_CACHE")
            .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("dmp-live")))
            .or_else(|| Some(folder("HOME")?.join(".cache/dmp-live")))
            .ok_or_else(|| Failure::Said("neither DMP_LIVE_CACHE nor HOME is set".into()))?;
        Ok(Self {
            shell,
            command: shell.root().join("tests/live/lab/lab"),
            cache,
        })
    }

    /// Returns the lab's command with these words.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.shell.command(&self.command);
        command.args(words).env("DMP_LIVE_CACHE", &self.cache);
        command
    }

    /// Takes the lab for oneself until the file is dropped.
    pub(crate) fn lock(&self, why: &str) -> Result<File, Failure> {
        let path = self.cache.join("owner");
        fs::create_dir_all(&self.cache).map_err(Failure::io(self.cache.display()))?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Failure::io(path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = fs::read_to_string(&path).unwrap_or_default();
                let cache = self.cache.display();
                return Err(Failure::Said(format!(
                    "the lab in {cache} belongs to {} just now",
                    owner.trim()
                )));
            }
            Err(TryLockError::Error(cause)) => {
                return Err(Failure::Io {
                    what: path.display().to_string(),
                    cause,
                });
            }
        }
        let written = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{why} (process {})", std::process::id()));
        written.map_err(Failure::io(path.display()))?;
        Ok(file)
    }

    /// Fails if machines are there which somebody has started by hand.
    pub(crate) async fn must_be_empty(&self) -> Result<(), Failure> {
        let machines = self.shell.read(self.command(&["list"])).await?;
        let names: Vec<&str> = machines
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(Failure::Said(format!(
            "the lab has machines: {} (`cargo xtask lab down --all` deletes them)",
            names.join(", ")
        )))
    }

    /// Installs what the host lacks and builds these parts, or all.
    pub(crate) async fn prepare(&self, parts: &[&str]) -> Result<(), Failure> {
        let host = match parts {
            [] => "all",
            parts if parts.contains(&"vm") => "vms",
            _ => "machines",
        };
        self.shell.run(self.command(&["install", host])).await?;
        self.shell
            .run(self.command(&[&["build"], parts].concat()))
            .await
    }

    /// Returns the environment that tells of this lab.
    pub(crate) async fn environment(&self) -> Result<BTreeMap<String, String>, Failure> {
        let text = self.shell.read(self.command(&["env"])).await?;
        let values = text.lines().filter_map(|line| line.split_once('='));
        let mut values: BTreeMap<String, String> = values
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        values.insert("DMP_LIVE_LAB".into(), self.command.display().to_string());
        Ok(values)
    }

    /// Deletes all machines and stops all services, even after Ctrl-C.
    pub(crate) async fn clear(&self) -> Result<(), Failure> {
        let machines = self.shell.finish(self.command(&["down", "--all"])).await;
        self.shell
            .finish(self.command(&["services", "down"]))
            .await
            .and(machines)
    }
}
