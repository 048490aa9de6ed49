//! `cargo xtask bench cluster`: how long a cluster takes on bare machines.
//!
//! Every run gets new machines, which are up before the clock starts. The baseline is `tests/live/baseline/kubeadm.sh`, which
//! prints its phases; they are taken from there. dmp's half is one apply of `examples/minimal-cluster`, told by the live
//! suite's test of that name; both do the same work, and take turns.

use std::path::PathBuf;
use std::time::Instant;

use crate::bench::table::Table;
use crate::cargo::{build_dmp, executable};
use crate::lab::Lab;
use crate::process::{Failure, Shell, say};

/// What `cargo xtask bench cluster` can be told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Measures the baseline alone, a plain kubeadm script.
    #[arg(long)]
    baseline_only: bool,
    /// How many clusters.
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// How many workers beside the control plane.
    #[arg(long, default_value_t = 1)]
    workers: u32,
    /// Memory of each machine in MiB.
    #[arg(long, default_value_t = 4096)]
    memory: u32,
}

/// Raises clusters one after the other and prints the times.
pub(crate) async fn run(shell: &Shell, arguments: &Arguments) -> Result<(), Failure> {
    let lab = Lab::new(shell)?;
    let _owner = lab.lock("`cargo xtask bench cluster`")?;
    lab.prepare(&[]).await?;
    lab.must_be_empty().await?;
    let mut table = Table::default();
    let measured = measure(shell, &lab, arguments, &mut table).await;
    lab.clear().await?;
    measured?;
    table.print(&format!(
        "seconds, 1 control plane, {} workers",
        arguments.workers
    ));
    Ok(())
}

async fn measure(
    shell: &Shell,
    lab: &Lab<'_>,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<(), Failure> {
    shell.run(lab.command(&["services", "up"])).await?;
    let names: Vec<String> = std::iter::once("cp1".to_owned())
        .chain((1..=arguments.workers).map(|number| format!("w{number}")))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let dmp = if arguments.baseline_only {
        None
    } else {
        Some(Dmp::built(shell).await?)
    };
    for number in 1..=arguments.runs {
        say(format_args!("run {number} of {}", arguments.runs));
        let start = Instant::now();
        let memory = arguments.memory.to_string();
        shell
            .run(lab.command(&[&["up", "--memory", &memory], names.as_slice()].concat()))
            .await?;
        table.add("machines up", start.elapsed().as_secs_f64());
        let mut baseline = shell.command(shell.root().join("tests/live/baseline/kubeadm.sh"));
        baseline.args(&names).envs(lab.environment().await?);
        for (phase, seconds) in phases(&shell.read(baseline).await?) {
            table.add(&format!("kubeadm.sh: {phase}"), seconds);
        }
        shell
            .run(lab.command(&[&["down"], names.as_slice()].concat()))
            .await?;
        if let Some(dmp) = &dmp {
            for (phase, seconds) in phases(&dmp.apply(shell, lab).await?) {
                table.add(&format!("dmp: {phase}"), seconds);
            }
        }
    }
    Ok(())
}

/// dmp's half: the binary, and the live suite that runs it on machines of its own.
struct Dmp {
    binary: PathBuf,
    suite: PathBuf,
}

impl Dmp {
    async fn built(shell: &Shell) -> Result<Self, Failure> {
        let words = [
            "test",
            "--package",
            "dmp-live",
            "--test",
            "cluster",
            "--no-run",
        ];
        Ok(Self {
            binary: build_dmp(shell).await?,
            suite: executable(shell, &words).await?,
        })
    }

    /// Prints lines of a start, a duration and a name.
    async fn apply(&self, shell: &Shell, lab: &Lab<'_>) -> Result<String, Failure> {
        let mut command = shell.command(&self.suite);
        command
            .current_dir(shell.root().join("tests/live"))
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "one_apply_of_the_example",
            ])
            .envs(lab.environment().await?)
            .env("DMP_LIVE_BINARY", &self.binary);
        shell.read(command).await
    }
}

/// Reads lines of a start, a duration and a name.
fn phases(text: &str) -> Vec<(String, f64)> {
    let line = |line: &str| {
        let (_, rest) = line.trim_start().split_once(' ')?;
        let (seconds, name) = rest.trim_start().split_once(' ')?;
        Some((name.trim().to_owned(), seconds.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_read_with_their_durations() {
        let read =
            phases("     0.2      6.5  kernel settings, packages\n     0.0     46.4  total\n");
        assert_eq!(
            read,
            [
                ("kernel settings, packages".to_owned(), 6.5),
                ("total".to_owned(), 46.4)
            ]
        );
    }
}
