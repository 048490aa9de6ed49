//! Calling cargo, the one which called us.

use std::env;
use std::path::PathBuf;

use serde_json::Value;
use tokio::process::Command;

use crate::process::{Failure, Shell};

/// Returns cargo with these words.
pub(crate) fn cargo(shell: &Shell, words: &[&str]) -> Command {
    let mut command = shell.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words);
    // Set for us by cargo, and of no concern to what we build.
    for name in [
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_PKG_NAME",
        "CARGO_PKG_VERSION",
    ] {
        command.env_remove(name);
    }
    command
}

/// Builds dmp and returns its binary.
pub(crate) async fn build_dmp(shell: &Shell) -> Result<PathBuf, Failure> {
    let command = cargo(
        shell,
        &[
            "build",
            "--bin",
            "dmp",
            "--message-format",
            "json-render-diagnostics",
        ],
    );
    let messages = shell.read(command).await?;
    let binary = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| {
            let executable = message.get("executable")?.as_str()?;
            Some(PathBuf::from(executable))
        });
    binary.ok_or_else(|| Failure::Said("cargo built no binary called dmp".into()))
}
