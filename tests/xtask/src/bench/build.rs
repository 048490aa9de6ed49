//! `cargo xtask bench build`: a build from nothing.
//!
//! The folder is a new one each time, the sources are fetched before the clock starts. Cargo tells when each crate is done;
//! a crate of another origin than this workspace is a dependency. It is the figure for a new machine or a full CI run, and
//! it loads every core for minutes.

use std::process::Stdio;
use std::time::Instant;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::bench::table::Table;
use crate::cargo::cargo;
use crate::process::{Failure, Shell, print};

/// What `cargo xtask bench build` can be told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The package to build.
    #[arg(long, default_value = "dmp")]
    package: String,
    /// Builds as for a release.
    #[arg(long)]
    release: bool,
    /// How many times.
    #[arg(long, default_value_t = 1)]
    runs: u32,
}

/// Builds and prints the times.
pub(crate) async fn run(shell: &Shell, arguments: &Arguments) -> Result<(), Failure> {
    shell.run(cargo(shell, &["fetch", "--quiet"])).await?;
    let mut table = Table::default();
    let mut counted = Counted::default();
    for _ in 0..arguments.runs {
        let folder = tempfile::tempdir().map_err(Failure::io("a folder to build in"))?;
        counted = once(shell, arguments, folder.path(), &mut table).await?;
        let start = Instant::now();
        shell
            .run(build(shell, arguments, folder.path(), false))
            .await?;
        table.add("again, nothing to do", start.elapsed().as_secs_f64());
    }
    table.print("seconds");
    print(format_args!(
        "{} crates of others, {} of our own",
        counted.dependencies, counted.own
    ));
    Ok(())
}

#[derive(Default)]
struct Counted {
    dependencies: usize,
    own: usize,
}

async fn once(
    shell: &Shell,
    arguments: &Arguments,
    folder: &std::path::Path,
    table: &mut Table,
) -> Result<Counted, Failure> {
    shell.go_on()?;
    let start = Instant::now();
    let mut command = build(shell, arguments, folder, true);
    // Without a task that waits for it, nothing but this ends it when the chore is ended.
    let mut child = command
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(Failure::io("cargo"))?;
    let mut messages = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut counted = Counted::default();
    let mut dependencies = 0.0;
    while let Some(line) = messages
        .next_line()
        .await
        .map_err(Failure::io("cargo's messages"))?
    {
        shell.go_on()?;
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        if message["reason"] != "compiler-artifact" {
            continue;
        }
        if message["package_id"]
            .as_str()
            .is_some_and(|id| id.starts_with("path+"))
        {
            counted.own += 1;
        } else {
            counted.dependencies += 1;
            dependencies = start.elapsed().as_secs_f64();
        }
    }
    let status = child.wait().await.map_err(Failure::io("cargo"))?;
    if !status.success() {
        return Err(Failure::Said(format!("the build failed ({status})")));
    }
    table.add("until the last dependency is built", dependencies);
    table.add("until everything is built", start.elapsed().as_secs_f64());
    Ok(counted)
}

fn build(
    shell: &Shell,
    arguments: &Arguments,
    folder: &std::path::Path,
    messages: bool,
) -> tokio::process::Command {
    let mut command = cargo(
        shell,
        &[
            "build",
            "--quiet",
            "--package",
            &arguments.package,
            "--target-dir",
        ],
    );
    command.arg(folder);
    if messages {
        command.args(["--message-format", "json-render-diagnostics"]);
    }
    if arguments.release {
        command.arg("--release");
    }
    command
}
