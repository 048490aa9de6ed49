//! `cargo xtask check`: everything about a change that is not a test.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use crate::cargo::cargo;
use crate::docs;
use crate::process::{Failure, Shell, print, say};

/// Runs all checks, also after one that failed, and says which were not passed.
pub(crate) async fn run(shell: &Shell) -> Result<(), Failure> {
    let mut failed = Vec::new();
    for name in [
        "formatting",
        "lints",
        "documentation",
        "generated pages",
        "scripts",
    ] {
        shell.go_on()?;
        say(format_args!("checking {name}"));
        let start = Instant::now();
        let checked = one(shell, name).await;
        let outcome = if checked.is_ok() { "ok" } else { "FAILED" };
        print(format_args!(
            "{name:<18} {outcome:<8} {:6.1} s",
            start.elapsed().as_secs_f64()
        ));
        match checked {
            Ok(()) => {}
            Err(Failure::Interrupted) => return Err(Failure::Interrupted),
            Err(failure) => {
                say(failure);
                failed.push(name);
            }
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Said(format!("not clean: {}", failed.join(", "))))
    }
}

async fn one(shell: &Shell, name: &str) -> Result<(), Failure> {
    match name {
        "formatting" => shell.run(cargo(shell, &["fmt", "--all", "--check"])).await,
        "lints" => {
            let words = [
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ];
            shell.run(cargo(shell, &words)).await
        }
        "documentation" => {
            let mut command = cargo(
                shell,
                &[
                    "doc",
                    "--quiet",
                    "--workspace",
                    "--no-deps",
                    "--document-private-items",
                ],
            );
            command.env("RUSTDOCFLAGS", "-D warnings");
            shell.run(command).await
        }
        "generated pages" => docs::fresh(shell).await,
        _ => scripts(shell).await,
    }
}

/// Every shell script of the repository parses, and passes shellcheck where that is installed.
async fn scripts(shell: &Shell) -> Result<(), Failure> {
    let listing = {
        let mut git = shell.command("git");
        git.args(["ls-files", "--cached", "--others", "--exclude-standard"]);
        shell.read(git).await?
    };
    let scripts: Vec<PathBuf> = listing
        .lines()
        .map(|line| shell.root().join(line))
        .filter(is_bash)
        .collect();
    for script in &scripts {
        let mut bash = shell.command("bash");
        bash.arg("-n").arg(script);
        shell.run(bash).await?;
    }
    let mut version = shell.command("shellcheck");
    version.arg("--version").stdout(Stdio::null());
    if shell.run(version).await.is_err() {
        say("shellcheck is not installed; scripts were only parsed");
        return Ok(());
    }
    let mut shellcheck = shell.command("shellcheck");
    shellcheck.arg("--external-sources").args(&scripts);
    shell.run(shellcheck).await
}

fn is_bash(path: &PathBuf) -> bool {
    let Ok(text) = fs::read(path) else {
        return false;
    };
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    (first.starts_with("#!") && first.ends_with("bash"))
        || first.starts_with("# shellcheck shell=bash")
}
