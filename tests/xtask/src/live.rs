//! `cargo xtask live NAME`: a suite of `tests/live/tests`, in a lab of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::cargo::{build_dmp, cargo, executable};
use crate::lab::Lab;
use crate::openstack::Cloud;
use crate::process::{Failure, Shell, print, say};

/// What `cargo xtask live` can be told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The suite: a file of tests/live/tests.
    name: String,
    /// Only tests whose name contains one of these.
    filters: Vec<String>,
    /// Leaves machines and services as the tests left them; `cargo xtask lab` reaches them.
    #[arg(long)]
    keep: bool,
}

/// Prepares a lab, runs the suite in it and clears it away.
pub(crate) async fn run(shell: &Shell, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.name == CRASH {
        return crash(shell, &arguments.filters).await;
    }
    let mut suites = suites(&shell.root().join("tests/live/tests"))?;
    suites.push(CRASH.to_owned());
    if !suites.contains(&arguments.name) {
        return Err(Failure::Said(format!(
            "there is no suite `{}`, but: {}",
            arguments.name,
            suites.join(", ")
        )));
    }
    let lab = Lab::new(shell)?;
    if arguments.name == "language" {
        return language(shell, &lab, arguments).await;
    }
    if arguments.name == "powercut" {
        return powercut(shell, &lab, arguments).await;
    }
    if arguments.name == "openstack" {
        let _owner = lab.lock("`cargo xtask live openstack`")?;
        return openstack(shell, &lab, arguments).await;
    }
    let _owner = lab.lock(&format!("`cargo xtask live {}`", arguments.name))?;
    let start = Instant::now();
    // Machines alone need no cluster's binaries, which take long to build.
    let parts: &[&str] = if arguments.name == "hosts" {
        &["machine", "older", "vm"]
    } else {
        &[]
    };
    lab.prepare(parts).await?;
    if arguments.name == "proxmox" {
        shell.run(lab.command(&["install", "cloud"])).await?;
        shell.run(lab.command(&["build", "roots", "cloud"])).await?;
    }
    lab.must_be_empty().await?;
    let binary = build_dmp(shell).await?;
    // The same with places at which a test kills it.
    let killable = executable(
        shell,
        &["build", "--package", "dmp-e2e", "--bin", "dmp-e2e"],
    )
    .await?;
    let tests = tests(shell, &arguments.name).await?;
    say(format_args!(
        "prepared in {:.1} s",
        start.elapsed().as_secs_f64()
    ));

    let start = Instant::now();
    let passed = suite(shell, &lab, arguments, &tests, [&binary, &killable]).await;
    if arguments.keep {
        say(
            "machines and services stay; `cargo xtask lab down --all` and `cargo xtask lab services down` end them",
        );
    } else {
        lab.clear().await?;
    }
    passed?;
    print(format_args!(
        "live {}: passed in {:.1} s",
        arguments.name,
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// The suite that needs no machines, but time: a stack of two hundred instances, killed at each place of what happens to it.
async fn crash(shell: &Shell, filters: &[String]) -> Result<(), Failure> {
    let start = Instant::now();
    let words = [
        "test",
        "--release",
        "--package",
        "dmp-e2e",
        "--test",
        "estate",
    ];
    // One after the other: each keeps all processors busy.
    let harness = ["--", "--ignored", "--show-output", "--test-threads=1"];
    let words = [&words[..], &harness[..]].concat();
    let mut command = cargo(shell, &words);
    command.args(filters);
    shell.run(command).await?;
    print(format_args!(
        "live crash: passed in {:.1} s",
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}

const CRASH: &str = "crash";

/// The suite that needs no machines, but OpenTofu.
async fn language(shell: &Shell, lab: &Lab<'_>, arguments: &Arguments) -> Result<(), Failure> {
    shell.run(lab.command(&["build", "oracle"])).await?;
    let oracle = shell.read(lab.command(&["oracle"])).await?;
    alone(shell, arguments, ("DMP_LIVE_ORACLE", oracle.trim_end())).await
}

/// The suite that needs a virtual machine of its own, and none of the lab's.
async fn powercut(shell: &Shell, lab: &Lab<'_>, arguments: &Arguments) -> Result<(), Failure> {
    shell.run(lab.command(&["install", "powercut"])).await?;
    shell.run(lab.command(&["build", "powercut"])).await?;
    let made = shell.read(lab.command(&["powercut"])).await?;
    alone(shell, arguments, ("DMP_LIVE_POWERCUT", made.trim_end())).await
}

/// The suite that needs an OpenStack: one whose servers are on paper, and for the tests of `guests` one whose servers boot. Each is
/// installed, started, filled and stopped by `tests/live/openstack/cloud`.
async fn openstack(shell: &Shell, lab: &Lab<'_>, arguments: &Arguments) -> Result<(), Failure> {
    let start = Instant::now();
    let is_about_guests = |filter: &&String| filter.starts_with(GUESTS);
    let (about_guests, others): (Vec<&String>, Vec<&String>) =
        arguments.filters.iter().partition(is_about_guests);
    let has_all = arguments.filters.is_empty();
    let binary = build_dmp(shell).await?;
    let killable = executable(
        shell,
        &["build", "--package", "dmp-e2e", "--bin", "dmp-e2e"],
    )
    .await?;
    let tests = tests(shell, &arguments.name).await?;
    let command = |values: BTreeMap<String, String>, words: &[&str], filters: &[&String]| {
        let mut command = shell.command(&tests);
        command
            .current_dir(shell.root().join("tests/live"))
            .args(["--ignored", "--test-threads", "1", "--show-output"])
            .args(words)
            .args(filters)
            .envs(values)
            .env("DMP_LIVE_BINARY", &binary)
            .env("DMP_LIVE_KILLABLE", &killable);
        command
    };
    if has_all || !others.is_empty() {
        let cloud = Cloud::on_paper(shell);
        cloud.install().await?;
        let ran = async {
            cloud.up(&[]).await?;
            say_prepared(start);
            let values = cloud.environment().await?;
            shell
                .run(command(values, &["--skip", GUESTS], &others))
                .await
        };
        let ran = ran.await;
        end(&cloud, arguments.keep).await.and(ran)?;
    }
    if has_all || !about_guests.is_empty() {
        let cloud = Cloud::with_guests(shell);
        cloud.install().await?;
        shell.run(lab.command(&["install", "cloud"])).await?;
        shell.run(lab.command(&["build", "cloud"])).await?;
        let of_lab = lab.environment().await?;
        let told = |name: &str| of_lab.get(name).cloned().unwrap_or_default();
        let image = format!("{IMAGE}={}", told("DMP_LIVE_DISK_IMAGE"));
        let archives = told("DMP_LIVE_PROXY");
        let ran = async {
            let more = ["--image", &image, "--archives-at", &archives];
            cloud.up(&more).await?;
            say_prepared(start);
            let mut values = cloud.environment().await?;
            values.insert("DMP_LIVE_GUEST_IMAGE".into(), IMAGE.into());
            values.insert("DMP_LIVE_GATEWAY".into(), told("DMP_LIVE_GATEWAY"));
            let all = GUESTS.to_owned();
            let filters = if has_all {
                vec![&all]
            } else {
                about_guests.clone()
            };
            shell.run(command(values, &[], &filters)).await
        };
        let ran = ran.await;
        end(&cloud, arguments.keep).await.and(ran)?;
    }
    print(format_args!(
        "live openstack: passed in {:.1} s",
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// The tests that need servers that boot.
const GUESTS: &str = "guests::";

/// What the image is called there that guests begin as.
const IMAGE: &str = "debian-13";

fn say_prepared(start: Instant) {
    say(format_args!(
        "prepared in {:.1} s",
        start.elapsed().as_secs_f64()
    ));
}

/// Stops a cloud, also where the wish to end is there, unless it is to stay.
async fn end(cloud: &Cloud<'_>, stays: bool) -> Result<(), Failure> {
    if stays {
        say(format_args!(
            "the cloud stays; `{}` ends it",
            cloud.ending()
        ));
        return Ok(());
    }
    cloud.down().await
}

/// Runs a suite that needs none of the lab's machines, but something that was built for it.
async fn alone(
    shell: &Shell,
    arguments: &Arguments,
    (variable, built): (&str, &str),
) -> Result<(), Failure> {
    let binary = build_dmp(shell).await?;
    let tests = tests(shell, &arguments.name).await?;
    let start = Instant::now();
    let mut command = shell.command(&tests);
    command
        .current_dir(shell.root().join("tests/live"))
        .args(["--ignored", "--show-output"])
        .args(&arguments.filters)
        .env(variable, built)
        .env("DMP_LIVE_BINARY", binary);
    shell.run(command).await?;
    print(format_args!(
        "live {}: passed in {:.1} s",
        arguments.name,
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Builds a suite. It is run without cargo, whose lock on the build folder another build may hold.
async fn tests(shell: &Shell, name: &str) -> Result<std::path::PathBuf, Failure> {
    executable(
        shell,
        &["test", "--package", "dmp-live", "--test", name, "--no-run"],
    )
    .await
}

async fn suite(
    shell: &Shell,
    lab: &Lab<'_>,
    arguments: &Arguments,
    tests: &Path,
    [binary, killable]: [&Path; 2],
) -> Result<(), Failure> {
    if arguments.name != "hosts" {
        shell.run(lab.command(&["services", "up"])).await?;
    }
    let mut command = shell.command(tests);
    command
        .current_dir(shell.root().join("tests/live"))
        .args(["--ignored", "--test-threads", "1", "--show-output"])
        .args(&arguments.filters);
    command
        .envs(lab.environment().await?)
        .env("DMP_LIVE_BINARY", binary)
        .env("DMP_LIVE_KILLABLE", killable);
    if arguments.keep {
        command.env("DMP_LIVE_KEEP", "1");
    }
    shell.run(command).await
}

fn suites(folder: &Path) -> Result<Vec<String>, Failure> {
    let entries = fs::read_dir(folder).map_err(Failure::io(folder.display()))?;
    let files = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<String> = files
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}
