//! A stack in a folder of its own, with a cloud in a file, an identity and a home nobody else uses.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dmp_sdk::testing::{Cloud, State};
use tempfile::TempDir;

/// A sealed place for one stack.
pub struct Sandbox {
    folder: TempDir,
}

/// How a command ended.
pub struct Ran {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
}

impl Sandbox {
    /// A stack of one file.
    pub fn stack(hcl: &str) -> Self {
        let sandbox = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        std::fs::create_dir(sandbox.stack_folder()).expect("a folder");
        sandbox.write("main.hcl", hcl);
        sandbox
    }

    /// The sandbox's own folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The stack's folder.
    pub fn stack_folder(&self) -> PathBuf {
        self.path().join("stack")
    }

    /// Writes a file of the stack; `CLOUD` stands for the path of the cloud's file.
    pub fn write(&self, name: &str, text: &str) {
        let cloud = self.path().join("cloud.json");
        let text = text.replace("CLOUD", &cloud.display().to_string());
        std::fs::write(self.stack_folder().join(name), text).expect("writes");
    }

    /// The cloud.
    pub fn cloud(&self) -> Cloud {
        Cloud::at(&self.path().join("cloud.json"))
    }

    /// What the cloud holds.
    pub fn look(&self) -> State {
        self.cloud().look().expect("readable")
    }

    /// Runs dmp.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    /// Runs dmp with more in its environment.
    #[must_use]
    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let output = self
            .command(arguments)
            .envs(environment.iter().copied())
            .output()
            .expect("starts");
        Ran::from(output)
    }

    /// dmp, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dmp-e2e"));
        command
            .args(arguments)
            .current_dir(self.stack_folder())
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(std::process::Stdio::null());
        command
    }

    /// Applies, and expects it to go well.
    pub fn applied(self) -> Self {
        self.run(&["apply", "--yes"]).expect_success();
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }
}

impl Ran {
    /// Expects exit code 0.
    pub fn expect_success(self) -> Self {
        self.expect_code(0)
    }

    /// Expects an exit code.
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "\n--- out\n{}\n--- err\n{}",
            self.out,
            self.err
        );
        self
    }

    /// Expects a text on standard output.
    pub fn shows(self, text: &str) -> Self {
        assert!(
            self.out.contains(text),
            "no `{text}` in\n--- out\n{}\n--- err\n{}",
            self.out,
            self.err
        );
        self
    }

    /// Expects a text on standard error.
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.err.contains(text),
            "no `{text}` in\n--- out\n{}\n--- err\n{}",
            self.out,
            self.err
        );
        self
    }

    /// Expects that a text is on neither.
    pub fn hides(self, text: &str) -> Self {
        assert!(
            !self.out.contains(text) && !self.err.contains(text),
            "`{text}` is shown\n{}\n{}",
            self.out,
            self.err
        );
        self
    }
}
