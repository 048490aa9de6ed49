//! `cargo xtask fuzz NAME`: lets a fuzzer make up inputs, and keeps those that reach code which no other reaches.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::cargo::{cargo, executable};
use crate::process::{Failure, Shell, print, processor, say};

/// What `cargo xtask fuzz` can be told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What is tried: parse, evaluate, format, state, import; none means all, one after the other.
    names: Vec<String>,
    /// For how many minutes of processor time each.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
}

const TARGETS: [&str; 5] = ["parse", "evaluate", "format", "state", "import"];

/// Coverage as LLVM counts it. All these are stable options of rustc; the fuzzer's own part comes from `libfuzzer-sys`.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks=on -Ccodegen-units=1";

/// Fuzzes, and writes what is worth keeping into the corpus.
pub(crate) async fn run(shell: &Shell, arguments: &Arguments) -> Result<(), Failure> {
    if let Some(name) = arguments
        .names
        .iter()
        .find(|name| !TARGETS.contains(&name.as_str()))
    {
        let known = TARGETS.join(", ");
        return Err(Failure::Said(format!(
            "there is no target `{name}`: {known}"
        )));
    }
    let names: Vec<&str> = match arguments.names.as_slice() {
        [] => TARGETS.to_vec(),
        given => given.iter().map(String::as_str).collect(),
    };
    let keeper = executable(shell, &["build", "--package", "dmp-fuzz"]).await?;
    let fuzzer = fuzzer(shell, &keeper).await?;
    let place = tempfile::tempdir().map_err(Failure::io("a temporary folder"))?;
    for name in names {
        one(
            shell,
            name,
            arguments.minutes,
            &keeper,
            &fuzzer,
            place.path(),
        )
        .await?;
    }
    Ok(())
}

/// Builds the fuzzer in a folder of its own, since everything is compiled anew for it.
async fn fuzzer(shell: &Shell, keeper: &Path) -> Result<PathBuf, Failure> {
    let target = keeper
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("target"))
        .join("fuzz");
    let host = shell.read(rustc(shell)).await?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or_else(|| Failure::Said("rustc does not say what it builds for".into()))?;
    let mut command = cargo(
        shell,
        &[
            "build",
            "--release",
            "--package",
            "dmp-fuzz",
            "--target",
            host,
        ],
    );
    // With a target named, build scripts and macros are built without these.
    command
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_TARGET_DIR", &target);
    shell.run(command).await?;
    Ok(target.join(host).join("release/dmp-fuzz"))
}

fn rustc(shell: &Shell) -> Command {
    let mut command = shell.command(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.arg("-vV");
    command
}

async fn one(
    shell: &Shell,
    name: &str,
    minutes: u64,
    keeper: &Path,
    fuzzer: &Path,
    place: &Path,
) -> Result<(), Failure> {
    let corpus = place.join(name);
    let kept = place.join(format!("{name}-kept"));
    let found = shell.root().join("tests/fuzz/found").join(name);
    for folder in [&corpus, &kept, &found] {
        std::fs::create_dir_all(folder).map_err(Failure::io(folder.display()))?;
    }
    let keep = |verb: &str, folder: &Path| {
        let mut command = shell.command(keeper);
        command.args([verb, name]).arg(folder);
        command
    };
    shell.run(keep("unpack", &corpus)).await?;
    say(format_args!(
        "fuzzing {name} for {minutes} minutes of processor time; what breaks it goes to {}",
        found.display()
    ));
    let fuzz = |words: &[String]| {
        let mut command = shell.command(fuzzer);
        command.env("DMP_FUZZ", name).args(words);
        command.args([
            "-timeout=20",
            "-rss_limit_mb=2048",
            "-max_len=4096",
            "-print_final_stats=1",
        ]);
        command.arg(format!("-artifact_prefix={}/", found.display()));
        command
    };
    // The fuzzer counts by the clock, and has a part of the machine alone while others work on it.
    let end = processor()? + Duration::from_secs(minutes * 60).as_secs_f64();
    loop {
        let left = (end - processor()?).ceil();
        if left < 1.0 {
            break;
        }
        let mut command = fuzz(&[format!("-max_total_time={left}"), "-len_control=50".into()]);
        command.arg(&corpus);
        shell.run(command).await?;
    }
    // What is kept reaches each place in the code once; how often is for the next run to find.
    let mut command = fuzz(&["-set_cover_merge=1".into(), "-use_counters=0".into()]);
    command.arg(&kept).arg(&corpus);
    shell.run(command).await?;
    shell.run(keep("pack", &kept)).await?;
    print(format_args!(
        "{name}: {minutes} minutes of processor time, nothing found"
    ));
    Ok(())
}
