//! `dmp lab`: serving a lab, and asking one that runs. It prints nothing itself.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

pub use crate::faults::CallFaultKind;
use crate::lab::{Lab, LabOptions, Written};
use crate::openstack::CLOUD;
use crate::site::{More, NetworkSite, RootSite, Site};
use crate::wire::client::ask;
use crate::{Trouble, folder};

/// What `dmp lab` can be told.
#[derive(Debug, Args)]
pub struct LabArguments {
    /// The lab's folder, instead of `.dmp/lab` in the stack's.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub verb: LabVerb,
}

/// A verb of `dmp lab`.
#[derive(Debug, Subcommand)]
pub enum LabVerb {
    /// Serve a Proxmox VE API and an OpenStack with machines behind them, until it is stopped. What it holds stays in its folder.
    Serve(Serve),
    /// Show what a running lab holds, what goes wrong in it, and which methods it was asked for and does not serve.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Throw away everything that was made in a running lab. Addresses, certificates and the token stay.
    Reset,
    /// Cut the power of a machine, by its name or number.
    Kill {
        /// The machine.
        machine: String,
    },
    /// Let something go wrong, list what does, or end it.
    #[command(subcommand)]
    Fault(FaultVerb),
    /// Stop a running lab.
    Stop,
}

/// How a lab is served.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where the first node listens, the others and then the OpenStack on the ports after it; port 0 takes any that are free, or
    /// those of the last time.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// What a new lab begins as: nodes, storages, templates, flavors, as JSON.
    #[arg(long, value_name = "FILE")]
    pub site: Option<PathBuf>,
    /// How many times faster than life tasks run, in a new lab.
    #[arg(long, value_name = "NUMBER")]
    pub speed: Option<f64>,
    /// What a new lab draws from: addresses, identities, faults.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// A root file system, as a folder or a tar archive, or the image of a disk, qcow2 or raw: machines cloned from the template of
    /// this name, or with a disk from the image of this name, are system containers or virtual machines. Needs the superuser. May be
    /// given more than once.
    #[arg(long, value_name = "NAME=PATH")]
    pub root: Vec<RootSite>,
    /// The host's own address on a bridge or network of such machines: without one nothing but their neighbours reaches them.
    #[arg(long, value_name = "BRIDGE=ADDRESS/PREFIX")]
    pub network: Vec<NetworkSite>,
}

/// What can go wrong.
#[derive(Debug, Subcommand)]
pub enum FaultVerb {
    /// Show what goes wrong.
    List,
    /// End everything that goes wrong.
    Clear,
    /// Calls of the API meet something.
    Call {
        /// What they meet.
        kind: CallFaultKind,
        /// Only calls by this method: GET, POST, PUT, DELETE.
        #[arg(long, value_name = "METHOD")]
        method: Option<String>,
        /// Only calls whose path holds this.
        #[arg(long, value_name = "TEXT")]
        path: Option<String>,
        /// How many calls of a hundred.
        #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
        percent: u8,
        /// How many calls, before it ends by itself.
        #[arg(long, value_name = "NUMBER")]
        times: Option<u32>,
        /// How many calls pass first.
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u32,
        /// How much later the answer comes, for `latency`.
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        milliseconds: u64,
    },
    /// Tasks fail.
    Task {
        /// Only tasks of this type, such as `qmclone`, or `nova:build` and `cinder:create` of the OpenStack.
        #[arg(long, value_name = "TYPE")]
        kind: Option<String>,
        /// What they end with.
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "the lab lets this task fail"
        )]
        reason: String,
        /// How many tasks of a hundred.
        #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
        percent: u8,
        /// How many tasks, before it ends by itself.
        #[arg(long, value_name = "NUMBER")]
        times: Option<u32>,
    },
    /// A node goes down, with the machines that run on it: it answers nobody, the others answer 595 for it.
    NodeDown {
        /// The node.
        node: String,
    },
    /// A node comes back; its machines stay off.
    NodeUp {
        /// The node.
        node: String,
    },
    /// The cluster has no majority: reads work, writes fail.
    NoQuorum,
    /// The cluster has its majority again.
    Quorum,
    /// A storage has no room.
    Full {
        /// The storage.
        storage: String,
    },
    /// A storage has room again.
    Room {
        /// The storage.
        storage: String,
    },
    /// The system in a machine does not answer: no agent, no clean shutdown.
    Hang {
        /// The machine, by its name or number.
        machine: String,
    },
    /// The system in a machine answers again.
    Answer {
        /// The machine, by its name or number.
        machine: String,
    },
    /// No connection reaches a machine, and none leaves it by way of its SSH server.
    Cut {
        /// The machine, by its name or number.
        machine: String,
    },
    /// Connections reach a machine again.
    Join {
        /// The machine, by its name or number.
        machine: String,
    },
    /// A machine loses what it holds, and starts as if for the first time.
    Wipe {
        /// The machine, by its name or number.
        machine: String,
    },
    /// A running machine has another host key, as if somebody else answered at its address.
    HostKey {
        /// The machine, by its name or number.
        machine: String,
    },
    /// The clock of a node is off: in what the node tells of times, and in how long it takes a ticket for good.
    NodeClock {
        /// The node.
        node: String,
        /// By how many seconds it is ahead, or behind, if less than 0; 0 ends the fault. Without, it is drawn.
        #[arg(allow_negative_numbers = true)]
        seconds: Option<i64>,
    },
    /// The clock of a virtual machine is off, at once if its guest agent answers, and from each start.
    Clock {
        /// The machine, by its name or number.
        machine: String,
        /// By how many seconds it is ahead, or behind, if less than 0; 0 ends the fault. Without, it is drawn.
        #[arg(allow_negative_numbers = true)]
        seconds: Option<i64>,
    },
    /// `/cluster/resources` stays as it is for so many seconds.
    Stale {
        /// Seconds.
        seconds: u64,
    },
}

/// Whether somebody serves the lab in a folder.
pub async fn is_served(lab: &Path) -> bool {
    match Written::read(lab) {
        Ok(written) => ask(&written, "GET", "/lab/status", None).await.is_ok(),
        Err(_) => false,
    }
}

/// Serves the lab in a folder by a process of its own, which outlives this one, and waits until it can be asked.
///
/// # Errors
/// What that process says before it ends.
pub async fn begin_in_background(lab: &Path) -> Result<Written, Trouble> {
    folder::make(lab)?;
    let log = lab.join("serve.log");
    let file = std::fs::File::create(&log).map_err(Trouble::file(&log))?;
    let errors = file.try_clone().map_err(Trouble::file(&log))?;
    let program = std::env::current_exe().map_err(Trouble::file(lab))?;
    let mut process = std::process::Command::new(program)
        .args(["lab", "serve", "--dir"])
        .arg(lab)
        .stdin(std::process::Stdio::null())
        .stdout(file)
        .stderr(errors)
        // What ends this run by the terminal does not end the lab.
        .process_group(0)
        .spawn()
        .map_err(Trouble::file(lab))?;
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        if let Ok(written) = Written::read(lab)
            && written.pid == process.id()
        {
            return Ok(written);
        }
        let has_ended = process.try_wait().map_err(Trouble::file(lab))?.is_some();
        if has_ended || std::time::Instant::now() > deadline {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(Trouble::Refused(format!(
                "it can't be served: {}",
                said.trim()
            )));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How long a lab may take to be served.
const PATIENCE: Duration = Duration::from_secs(30);

/// Does what was asked of the lab in its folder, or in the usual one, and returns what is to be printed.
///
/// # Errors
/// Why it can't be done.
pub async fn run(
    arguments: &LabArguments,
    usual: &Path,
    say: &(dyn Fn(&str) + Sync),
) -> Result<String, Trouble> {
    let lab = arguments.dir.clone().unwrap_or_else(|| usual.to_owned());
    if let LabVerb::Serve(serve) = &arguments.verb {
        return serve_until_stopped(lab, serve, say).await;
    }
    let written = Written::read(&lab)?;
    match &arguments.verb {
        LabVerb::Serve(_) => Ok(String::new()),
        LabVerb::Status { json } => {
            let status = ask(&written, "GET", "/lab/status", None).await?;
            Ok(if *json {
                format!("{status:#}\n")
            } else {
                status_text(&written, &status)
            })
        }
        LabVerb::Reset => {
            ask(&written, "POST", "/lab/reset", None).await?;
            Ok("everything that was made is gone\n".to_owned())
        }
        LabVerb::Stop => {
            ask(&written, "POST", "/lab/stop", None).await?;
            Ok("the lab stops\n".to_owned())
        }
        LabVerb::Kill { machine } => {
            let told = ask(
                &written,
                "POST",
                "/lab/machines/kill",
                Some(&json!({ "machine": machine })),
            )
            .await?;
            Ok(format!("{}\n", told.as_str().unwrap_or_default()))
        }
        LabVerb::Fault(FaultVerb::List) => {
            let faults = ask(&written, "GET", "/lab/faults", None).await?;
            Ok(format!("{faults:#}\n"))
        }
        LabVerb::Fault(FaultVerb::Clear) => {
            ask(&written, "DELETE", "/lab/faults", None).await?;
            Ok(String::new())
        }
        LabVerb::Fault(verb) => {
            ask(&written, "POST", "/lab/faults", Some(&fault(verb))).await?;
            Ok(String::new())
        }
    }
}

/// Returns a fault as the lab's own call takes it.
fn fault(verb: &FaultVerb) -> Value {
    match verb {
        FaultVerb::List | FaultVerb::Clear => Value::Null,
        FaultVerb::Call {
            kind,
            method,
            path,
            percent,
            times,
            after,
            milliseconds,
        } => {
            json!({ "call": {
                "kind": kind, "method": method, "path": path,
                "percent": percent, "times": times, "after": after, "milliseconds": milliseconds,
            } })
        }
        FaultVerb::Task {
            kind,
            reason,
            percent,
            times,
        } => {
            json!({ "task": { "kind": kind, "reason": reason, "percent": percent, "times": times } })
        }
        FaultVerb::NodeDown { node } => json!({ "node-down": node }),
        FaultVerb::NodeUp { node } => json!({ "node-up": node }),
        FaultVerb::NoQuorum => json!({ "no-quorum": true }),
        FaultVerb::Quorum => json!({ "no-quorum": false }),
        FaultVerb::Full { storage } => json!({ "full": storage }),
        FaultVerb::Room { storage } => json!({ "room": storage }),
        FaultVerb::Hang { machine } => json!({ "hang": machine }),
        FaultVerb::Answer { machine } => json!({ "answer": machine }),
        FaultVerb::Cut { machine } => json!({ "cut": machine }),
        FaultVerb::Join { machine } => json!({ "join": machine }),
        FaultVerb::Wipe { machine } => json!({ "wipe": machine }),
        FaultVerb::HostKey { machine } => json!({ "host-key": machine }),
        FaultVerb::NodeClock { node, seconds } => {
            json!({ "node-clock": { "node": node, "seconds": seconds } })
        }
        FaultVerb::Clock { machine, seconds } => {
            json!({ "clock": { "machine": machine, "seconds": seconds } })
        }
        FaultVerb::Stale { seconds } => json!({ "stale": seconds }),
    }
}

async fn serve_until_stopped(
    lab: PathBuf,
    serve: &Serve,
    say: &(dyn Fn(&str) + Sync),
) -> Result<String, Trouble> {
    let folder = lab.clone();
    let site = site(serve)?;
    // One that is no more where it was is missed by the machine that needs it; one that was never there is a mistake.
    if let Some(root) = serve.root.iter().find(|root| !root.path.exists()) {
        let path = root.path.display();
        return Err(Trouble::Refused(format!("there is no `{path}`")));
    }
    let lab = Lab::serve(LabOptions {
        folder: lab,
        listen: serve.listen,
        site: Some(site),
        more: More {
            roots: serve.root.clone(),
            networks: serve.network.clone(),
        },
        has_machines: true,
    })
    .await?;
    say(&serving(lab.written()));
    let missing = [lab.no_machines(), lab.no_containers(), lab.no_vms()];
    for reason in missing.into_iter().flatten() {
        say(&format!("warning: {reason}\n"));
    }
    if let Some(reason) = lab.emulated() {
        say(&format!(
            "warning: virtual machines are emulated, and take minutes to boot: {reason}\n"
        ));
    }
    let mut terminated = signal(SignalKind::terminate()).map_err(Trouble::file(&folder))?;
    tokio::select! {
        () = lab.stopped() => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
    lab.end().await;
    Ok(String::new())
}

/// Returns what a new lab begins as.
fn site(serve: &Serve) -> Result<Site, Trouble> {
    let mut site = match &serve.site {
        Some(path) => serde_json::from_str(&folder::read(path)?)
            .map_err(|error| Trouble::Refused(format!("`{}`: {error}", path.display())))?,
        None => Site::default(),
    };
    site.seed = serve.seed.unwrap_or(site.seed);
    site.speed = serve.speed.unwrap_or(site.speed);
    if site.speed.is_nan() || site.speed <= 0.0 {
        return Err(Trouble::Refused("the speed has to be more than 0".into()));
    }
    for root in &mut site.roots {
        root.path = std::path::absolute(&root.path).map_err(Trouble::file(&root.path))?;
    }
    for network in &site.networks {
        network.checked().map_err(Trouble::Refused)?;
    }
    if site.nodes.is_empty() {
        return Err(Trouble::Refused("a site needs a node".into()));
    }
    if let Some(openstack) = &site.openstack {
        let nodes: Vec<String> = site.nodes.iter().map(|node| node.name.clone()).collect();
        openstack.checked(&nodes).map_err(Trouble::Refused)?;
    } else if !site.proxmox {
        let text = "a site is a Proxmox VE, an OpenStack, or both";
        return Err(Trouble::Refused(text.into()));
    }
    Ok(site)
}

/// Says where a lab is served. The secrets are in its file alone.
fn serving(written: &Written) -> String {
    let mut text = String::new();
    for ((node, endpoint), fingerprint) in written
        .nodes
        .iter()
        .zip(&written.endpoints)
        .zip(&written.fingerprints)
    {
        text.push_str(&format!("{node:<12} {endpoint}  {fingerprint}\n"));
    }
    let folder = written.ca_file.parent().unwrap_or(Path::new("."));
    text.push_str(&format!("authority    {}\n", written.ca_file.display()));
    text.push_str(&format!(
        "token        in {}\n",
        folder.join("lab.json").display()
    ));
    if let Some(openstack) = &written.openstack {
        text.push_str(&format!(
            "openstack    {}\n             OS_CLIENT_CONFIG_FILE={} OS_CLOUD={CLOUD}\n",
            openstack.auth_url,
            openstack.clouds_file.display()
        ));
    }
    text
}

fn status_text(written: &Written, status: &Value) -> String {
    let word = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let mut text = format!(
        "cluster {}, {} times as fast as life, {} calls so far, {} running tasks{}\n",
        word(&status["cluster"]),
        status["speed"],
        status["calls"],
        status["running_tasks"],
        if status["quorate"] == json!(true) {
            ""
        } else {
            ", NO QUORUM"
        },
    );
    for (node, endpoint) in written.nodes.iter().zip(&written.endpoints) {
        let is_up = status["nodes"][node] == json!(true);
        text.push_str(&format!(
            "  {node:<12} {endpoint}{}\n",
            if is_up { "" } else { "  DOWN" }
        ));
    }
    let machines = status["machines"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    text.push_str(&format!("{} machines\n", machines.len()));
    for machine in machines {
        let state = match (
            machine["template"] == json!(true),
            machine["running"] == json!(true),
        ) {
            (true, _) => "template",
            (_, true) => "running",
            _ => "off",
        };
        let lock = machine["lock"]
            .as_str()
            .map(|lock| format!("  locked: {lock}"))
            .unwrap_or_default();
        let (vmid, name, node) = (
            machine["vmid"].to_string(),
            word(&machine["name"]),
            word(&machine["node"]),
        );
        let addresses = machine["addresses"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let reached: String = addresses.map(|address| format!("  {address}")).collect();
        text.push_str(&format!(
            "  {vmid:<7} {name:<24} {node:<12} {state}{reached}{lock}\n"
        ));
    }
    if let Some(missing) = status["not_served"]
        .as_object()
        .filter(|missing| !missing.is_empty())
    {
        text.push_str("asked for and not served\n");
        for (name, count) in missing {
            text.push_str(&format!("  {count:>5}  {name}\n"));
        }
    }
    for note in status["notes"]
        .as_array()
        .into_iter()
        .flatten()
        .chain(status.get("no_machines").filter(|it| it.is_string()))
        .chain(status.get("no_containers").filter(|it| it.is_string()))
        .chain(status.get("no_vms").filter(|it| it.is_string()))
    {
        text.push_str(&format!("warning: {}\n", word(note)));
    }
    if !status["faults"].is_null() {
        text.push_str("something goes wrong on demand: dmp lab fault list\n");
    }
    text
}
