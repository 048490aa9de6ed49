//! Running the binary in a stack's folder, inside the lab's network.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Lab;

/// The binary under test with a stack of its own, in a folder that goes when this is dropped.
#[derive(Debug)]
pub struct Dmp {
    lab: Lab,
    home: tempfile::TempDir,
}

impl Dmp {
    /// Returns it with an empty folder for the stack.
    ///
    /// # Panics
    ///
    /// If no folder can be made.
    #[must_use]
    pub fn new(lab: &Lab) -> Self {
        let home = tempfile::Builder::new()
            .prefix("dmp-live-")
            .tempdir()
            .expect("a folder for the stack");
        fs::create_dir(home.path().join("stack")).expect("a folder for the stack");
        Self {
            lab: lab.clone(),
            home,
        }
    }

    /// Returns it with a copy of a folder, such as one of `examples/`.
    ///
    /// # Panics
    ///
    /// If the folder cannot be copied.
    #[must_use]
    pub fn with_stack(lab: &Lab, from: &Path) -> Self {
        let dmp = Self::new(lab);
        copy(from, &dmp.folder());
        dmp
    }

    /// Returns the home of whoever runs the binary: the stack, its state and the identity are in it.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Returns the stack's folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.home.path().join("stack")
    }

    /// Writes a file of the stack.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: impl std::fmt::Display) {
        let path = self.folder().join(name);
        fs::create_dir_all(path.parent().expect("it lies in the stack"))
            .expect("its folder can be made");
        fs::write(path, text.to_string()).expect("it can be written");
    }

    /// Runs the binary with these words and returns when it has ended, well or not.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn run(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        self.run_with(words, &[])
    }

    /// The same with these variables in its environment.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn run_with(
        &self,
        words: impl IntoIterator<Item = impl AsRef<OsStr>>,
        environment: &[(&str, &str)],
    ) -> Outcome {
        let start = Instant::now();
        let mut command = self.command();
        command.args(words).envs(environment.iter().copied());
        let output = command.output().expect("dmp starts");
        Outcome {
            command: format!("{command:?}"),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            time: start.elapsed(),
        }
    }

    /// Returns the command for a test which wants to end it early, or to talk with it.
    #[must_use]
    pub fn command(&self) -> Command {
        self.command_of(self.lab.binary())
    }

    /// Returns the command of another binary in dmp's place, such as the one with places where it may be killed.
    #[must_use]
    pub fn command_of(&self, binary: &Path) -> Command {
        let mut command = self.lab.enter(binary);
        // Nothing of who runs the tests: neither settings, nor keys, nor an agent.
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.home.path());
        command.current_dir(self.folder());
        command
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in
        fs::read_dir(from).unwrap_or_else(|error| panic!("cannot read {}: {error}", from.display()))
    {
        let path = entry.expect("it can be read").path();
        let target = to.join(path.file_name().expect("it has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target)
                .unwrap_or_else(|error| panic!("cannot copy {}: {error}", path.display()));
        }
    }
}

/// What a run of the binary came to.
#[derive(Debug, Clone)]
#[must_use = "a run may have failed"]
pub struct Outcome {
    command: String,
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed as data.
    pub stdout: String,
    /// What it told beside that.
    pub stderr: String,
    /// How long it took.
    pub time: Duration,
}

impl Outcome {
    /// Returns the outcome if it has this exit code.
    ///
    /// # Panics
    ///
    /// With both streams, if it has another.
    pub fn expect_code(self, code: i32) -> Self {
        assert!(
            self.code == Some(code),
            "{} ended with {:?} and not {code}\n-- stdout\n{}\n-- stderr\n{}",
            self.command,
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Returns the outcome of a run that went well.
    ///
    /// # Panics
    ///
    /// With both streams, if it did not.
    pub fn success(self) -> Self {
        self.expect_code(0)
    }
}
