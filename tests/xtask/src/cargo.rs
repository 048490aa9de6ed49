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
    executable(shell, &["build", "--bin", "dmp"]).await
}

/// Builds something of which there is one executable, and returns that.
pub(crate) async fn executable(shell: &Shell, words: &[&str]) -> Result<PathBuf, Failure> {
    let mut command = cargo(shell, words);
    command.args(["--message-format", "json-render-diagnostics"]);
    let messages = shell.read(command).await?;
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut found =
        messages.filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)));
    found
        .next_back()
        .ok_or_else(|| Failure::Said(format!("`cargo {}` made no executable", words.join(" "))))
}
