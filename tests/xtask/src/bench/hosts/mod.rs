//! `cargo xtask bench hosts`: thirty resources on each of many hosts, beside what others take for the same.
//!
//! Hosts are sshds of this machine with roots of their own, behind wires of a length. Each contender begins with new hosts:
//! it makes everything, runs again without a change, and mends one host in ten. What stands on the hosts then is compared
//! byte for byte.

mod contender;
mod fleet;
mod relay;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::process::Command;

use self::contender::Contender;
use self::fleet::Fleet;
use super::released;
use crate::process::{Failure, Shell, print, processor, say};

/// What `cargo xtask bench hosts` can be told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many hosts.
    #[arg(long, value_delimiter = ',', default_value = "1,10,50")]
    hosts: Vec<u8>,
    /// How many milliseconds a round trip to them takes.
    #[arg(long, value_delimiter = ',', default_value = "0,50")]
    delays: Vec<u64>,
    /// Contenders: script, dmp, ansible, mitogen, pyinfra.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "script,dmp,pyinfra,mitogen,ansible"
    )]
    only: Vec<String>,
    /// How often the run without a change is measured; the median counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// A built dmp, instead of this tree's.
    #[arg(long, value_name = "FILE")]
    dmp: Option<PathBuf>,
    /// A folder for what is installed of others; made if it is missing.
    #[arg(long, value_name = "FOLDER")]
    peers: Option<PathBuf>,
}

/// What one contender needs to know.
struct Site {
    place: PathBuf,
    files: PathBuf,
    peers: PathBuf,
    dmp: PathBuf,
    keys: PathBuf,
    /// The hosts by name.
    hosts: BTreeMap<String, IpAddr>,
}

/// What a run took.
#[derive(Clone, Copy, Default)]
struct Cost {
    seconds: f64,
    /// Of this machine's processes that are no hosts, in seconds.
    processor: f64,
    megabytes: f64,
}

/// Measures all contenders and prints the table.
pub(crate) async fn run(shell: &Shell, arguments: &Arguments) -> Result<(), Failure> {
    let dmp = released(shell, arguments.dmp.as_deref()).await?;
    let contenders: Vec<Contender> = arguments
        .only
        .iter()
        .map(|name| Contender::of(name))
        .collect::<Result<_, _>>()?;
    let peers = match &arguments.peers {
        Some(folder) => folder.clone(),
        None => home()?.join(".cache/dmp-bench-peers"),
    };
    if contenders.iter().any(Contender::is_installed) {
        install(shell, &peers).await?;
    }
    let place = tempfile::tempdir().map_err(Failure::io("a temporary folder"))?;
    print(format_args!(
        "{:>5} {:>6}  {:<9} {:>8} {:>8} {:>8} {:>12} {:>7}  {}",
        "hosts", "ms", "", "first", "again", "mended", "CPU ms/host", "MB", "on the hosts"
    ));
    for delay in &arguments.delays {
        for count in &arguments.hosts {
            let mut reference = None;
            for contender in &contenders {
                let round_trip = Duration::from_millis(*delay);
                let fleet = Fleet::start(shell, place.path(), *count, round_trip).await?;
                let site = Site {
                    place: place.path().to_owned(),
                    files: shell.root().join("tests/bench/hosts"),
                    peers: peers.clone(),
                    dmp: dmp.clone(),
                    keys: fleet.keys.clone(),
                    hosts: (1..)
                        .map(|number| format!("h{number:02}"))
                        .zip(fleet.addresses.clone())
                        .collect(),
                };
                let measured = measure(shell, &site, contender, arguments.runs).await;
                let tree = tree(shell, &site).await;
                fleet.end().await?;
                let (first, again, mended) = measured?;
                let tree = tree?;
                let same = match &reference {
                    None => "taken as they are",
                    Some(other) if *other == tree => "the same",
                    Some(_) => "NOT the same",
                };
                print(format_args!(
                    "{count:>5} {delay:>6}  {:<9} {:>8.2} {:>8.2} {:>8.2} {:>12.1} {:>7.0}  {same}",
                    contender.name(),
                    first.seconds,
                    again.seconds,
                    mended.seconds,
                    again.processor * 1000.0 / f64::from(*count),
                    again.megabytes
                ));
                reference.get_or_insert(tree);
            }
        }
    }
    Ok(())
}

/// What a first run, one without a change and one that mends take.
async fn measure(
    shell: &Shell,
    site: &Site,
    contender: &Contender,
    runs: usize,
) -> Result<(Cost, Cost, Cost), Failure> {
    contender.prepare(site)?;
    let first = cost(shell, contender.command(shell, site)).await?;
    let mut again = Vec::new();
    for _ in 0..runs.max(1) {
        again.push(cost(shell, contender.command(shell, site)).await?);
    }
    again.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
    let damage = "echo changed >>/srv/bench/app/conf/3.conf; chmod 0700 /srv/bench/data; rm /srv/bench/app/current-1";
    for address in site.hosts.values().step_by(10) {
        shell.read(ssh(shell, site, *address, damage)).await?;
    }
    let mended = cost(shell, contender.command(shell, site)).await?;
    Ok((first, again[again.len() / 2], mended))
}

/// Everything that the work is about, of all hosts.
async fn tree(shell: &Shell, site: &Site) -> Result<String, Failure> {
    let look = "cd /srv/bench && find . -printf '%P %y %m %u %g %l\\n' | sort && find . -type f -exec sha256sum {} + | sort; \
                getent passwd bench1 bench2 | cut -d: -f1,7";
    let mut all = String::new();
    for (name, address) in &site.hosts {
        all.push_str(&format!("== {name}\n"));
        all.push_str(&shell.read(ssh(shell, site, *address, look)).await?);
    }
    Ok(all)
}

fn ssh(shell: &Shell, site: &Site, address: IpAddr, script: &str) -> Command {
    let mut command = shell.command("ssh");
    command.arg("-F").arg(site.keys.join("config"));
    command.arg(address.to_string()).arg(script);
    command
}

/// Runs a command to its end and looks at what it needs.
async fn cost(shell: &Shell, mut command: Command) -> Result<Cost, Failure> {
    shell.go_on()?;
    let log = std::env::temp_dir().join(format!("dmp-bench-hosts-{}.log", std::process::id()));
    let file = std::fs::File::create(&log).map_err(Failure::io(log.display()))?;
    let both = file.try_clone().map_err(Failure::io(log.display()))?;
    command.stdout(file).stderr(both);
    let (before, began) = (processor()?, Instant::now());
    let mut child = command.spawn().map_err(Failure::io("a contender"))?;
    let status_file = format!("/proc/{}/status", child.id().unwrap_or_default());
    let mut kilobytes = 0_u32;
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(Failure::io("a contender"))?,
            _ = ticks.tick() => kilobytes = kilobytes.max(super::engine::most_memory(&status_file).unwrap_or(0)),
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    if !status.success() {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let tail: Vec<&str> = said.lines().rev().take(30).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        return Err(Failure::Said(format!(
            "a contender failed ({status}):\n{}",
            tail.join("\n")
        )));
    }
    let _ = std::fs::remove_file(&log);
    Ok(Cost {
        seconds,
        processor: processor()? - before,
        megabytes: f64::from(kilobytes) / 1024.0,
    })
}

fn home() -> Result<PathBuf, Failure> {
    std::env::home_dir().ok_or_else(|| Failure::Said("there is no home folder".into()))
}

/// Others from their package index, in an environment of their own.
async fn install(shell: &Shell, peers: &Path) -> Result<(), Failure> {
    if peers.join("installed").exists() {
        return Ok(());
    }
    say(format_args!("installing others into {}", peers.display()));
    let mut command = shell.command("/usr/bin/python3");
    command.args(["-m", "venv"]).arg(peers);
    shell.run(command).await?;
    let mut command = shell.command(peers.join("bin/pip"));
    command
        .args(["install", "--quiet"])
        .args(contender::PACKAGES);
    shell.run(command).await?;
    let marker = peers.join("installed");
    std::fs::write(&marker, "").map_err(Failure::io(marker.display()))
}
