//! What it takes to record one change, in small states and in large ones.

use crate::cargo::executable;
use crate::process::{Failure, Shell, print};

/// Runs the measurement of the crate `dmp-state`, on the disk on which the build is: a folder in memory would
/// synchronise nothing.
pub(super) async fn run(shell: &Shell, dmp: &std::path::Path) -> Result<(), Failure> {
    let example = [
        "build",
        "--release",
        "-p",
        "dmp-state",
        "--example",
        "commits",
    ];
    let program = executable(shell, &example).await?;
    let disk = dmp.parent().unwrap_or(dmp);
    let folder = tempfile::tempdir_in(disk).map_err(Failure::io("a folder"))?;
    let mut command = shell.command(&program);
    command
        .arg(folder.path())
        .arg(COMMITS)
        .args(["10", "100000"]);
    let output = command.output().await.map_err(Failure::io("a program"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::Said(format!(
            "the commits were not measured: {why}"
        )));
    }
    print(format_args!(
        "\n{}",
        String::from_utf8_lossy(&output.stdout).trim_end()
    ));
    Ok(())
}

const COMMITS: &str = "2000";
