//! Running other programs such that Ctrl-C ends them in good order and what they leave behind can still be cleared away.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

/// Why a chore ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A program ended with anything but 0.
    #[error("`{command}` failed ({status})")]
    Failed { command: String, status: String },
    /// A program could not be started, or a file not be used.
    #[error("cannot use {what}: {cause}")]
    Io { what: String, cause: io::Error },
    /// Ctrl-C, or a signal to end.
    #[error("interrupted")]
    Interrupted,
    /// Anything else, in words.
    #[error("{0}")]
    Said(String),
}

impl Failure {
    pub(crate) fn io(what: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io {
            what: what.to_string(),
            cause,
        }
    }
}

/// Starts programs in the workspace and watches for the wish to end.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    root: PathBuf,
    ended: watch::Receiver<bool>,
}

impl Shell {
    /// Returns it for a workspace; from now on Ctrl-C ends what [`Shell::run`] runs, not this process.
    pub(crate) fn listening(root: PathBuf) -> Self {
        let (wish, ended) = watch::channel(false);
        tokio::spawn(async move {
            let (Ok(mut interrupt), Ok(mut terminate)) = (
                signal(SignalKind::interrupt()),
                signal(SignalKind::terminate()),
            ) else {
                return;
            };
            loop {
                tokio::select! {
                    _ = interrupt.recv() => say("interrupted; a moment, what was started is being ended"),
                    _ = terminate.recv() => {}
                }
                let _ = wish.send(true);
            }
        });
        Self { root, ended }
    }

    /// Returns the workspace's folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns a command in the workspace, without standard input, in a process group of its own.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// Fails if the wish to end is there.
    pub(crate) fn go_on(&self) -> Result<(), Failure> {
        if *self.ended.borrow() {
            Err(Failure::Interrupted)
        } else {
            Ok(())
        }
    }

    /// Runs a program to its end, its streams being ours.
    pub(crate) async fn run(&self, mut command: Command) -> Result<(), Failure> {
        self.go_on()?;
        let child = command.spawn().map_err(Failure::io(shown(&command)))?;
        succeeded(&command, &self.watched(child).await?)
    }

    /// Runs a program to its end and returns what it printed; what it tells goes to our standard error.
    pub(crate) async fn read(&self, mut command: Command) -> Result<String, Failure> {
        self.go_on()?;
        command.stdout(Stdio::piped());
        let child = command.spawn().map_err(Failure::io(shown(&command)))?;
        let output = self.watched(child).await?;
        succeeded(&command, &output)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a program to its end whatever anybody wishes: for clearing away.
    pub(crate) async fn finish(&self, mut command: Command) -> Result<(), Failure> {
        let status = command
            .status()
            .await
            .map_err(Failure::io(shown(&command)))?;
        succeeded(
            &command,
            &Output {
                status,
                stdout: Vec::new(),
                stderr: Vec::new(),
            },
        )
    }

    /// Waits for a child, and ends it with all its own children if that is wished.
    async fn watched(&self, child: Child) -> Result<Output, Failure> {
        let group = child.id();
        let mut ended = self.ended.clone();
        let mut waiting = Box::pin(child.wait_with_output());
        tokio::select! {
            output = &mut waiting => return output.map_err(Failure::io("a program")),
            _ = ended.wait_for(|ended| *ended) => {}
        }
        for word in ["-TERM", "-KILL"] {
            let group = group.map_or_else(String::new, |group| format!("-{group}"));
            let _ = Command::new("kill")
                .args([word, "--", &group])
                .stderr(Stdio::null())
                .status()
                .await;
            if timeout(Duration::from_secs(20), &mut waiting).await.is_ok() {
                break;
            }
        }
        Err(Failure::Interrupted)
    }
}

fn succeeded(command: &Command, output: &Output) -> Result<(), Failure> {
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::Failed {
        command: shown(command),
        status: output.status.to_string(),
    })
}

fn shown(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Tells a person something, on standard error.
pub(crate) fn say(text: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "xtask: {text}");
}

/// Prints a line of a result, on standard output.
pub(crate) fn print(text: impl fmt::Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// What all processes have taken that this one has started and seen the end of, in seconds.
pub(crate) fn processor() -> Result<f64, Failure> {
    let stat =
        std::fs::read_to_string("/proc/self/stat").map_err(Failure::io("/proc/self/stat"))?;
    let behind = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = |position: usize| -> f64 {
        let word = behind.split(' ').nth(position);
        word.and_then(|word| word.parse().ok()).unwrap_or(0.0)
    };
    // Fields 16 and 17 of proc(5), counted from the third; a tick is a hundredth of a second.
    Ok((ticks(13) + ticks(14)) / 100.0)
}
