//! `cargo xtask bench proxmox`: what many machines cost on the lab's API: requests and time of an apply, of a plan without
//! changes, also over a slow line, and how well copies fill the turns that their storage has.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tokio::process::Child;

use super::engine::{Cost, costs};
use crate::cargo::executable;
use crate::process::{Failure, Shell, print, say};

/// What `cargo xtask bench proxmox` can be told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many machines.
    #[arg(long, default_value_t = 1000)]
    machines: usize,
    /// How many whole copies, onto one storage.
    #[arg(long, default_value_t = 30)]
    copies: usize,
    /// Plans of which the median counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// A dmp that is built already.
    #[arg(long, value_name = "FILE")]
    dmp: Option<PathBuf>,
}

/// How many are copied to one storage at once, where nothing else is said.
const TURNS: usize = 3;

/// In the lab a whole copy takes two seconds and one more for each of its 4 GiB, at this speed.
const COPY_SECONDS: f64 = 6.0;
const COPY_SPEED: u32 = 1;

/// Measures.
pub(crate) async fn run(shell: &Shell, arguments: &Arguments) -> Result<(), Failure> {
    let dmp = match &arguments.dmp {
        Some(dmp) => dmp.clone(),
        None => {
            say("building dmp as it is released");
            executable(shell, &["build", "--release", "--bin", "dmp"]).await?
        }
    };
    many(shell, arguments, &dmp).await?;
    copies(shell, arguments, &dmp).await
}

/// A lab of its own, that ends with this.
struct Lab {
    folder: tempfile::TempDir,
    _serving: Child,
}

impl Lab {
    /// A cluster of 20 nodes with room for thousands of machines.
    async fn start(shell: &Shell, dmp: &Path, speed: u32) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::io("a folder"))?;
        let nodes = (1..=20).map(|number| {
            json!({
                "name": format!("pve{number}"), "address": format!("192.0.2.{number}"), "cores": 64,
                "memory_gib": 512, "bridges": ["vmbr0"],
            })
        });
        let site = json!({
            "nodes": nodes.collect::<Vec<_>>(),
            "storages": [{ "name": "shared", "kind": "nfs", "content": ["images", "iso"], "shared": true, "size_gib": 1_000_000 }],
            "templates": [{ "vmid": 9000, "name": "debian-13", "node": "pve1", "storage": "shared", "disk_gib": 4 }],
            "speed": speed,
        });
        let file = folder.path().join("site.json");
        std::fs::write(&file, site.to_string()).map_err(Failure::io("a site"))?;
        let mut command = shell.command(dmp);
        command
            .args(["lab", "serve", "--site"])
            .arg(&file)
            .arg("--dir")
            .arg(folder.path().join("lab"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let serving = command.spawn().map_err(Failure::io("the lab"))?;
        let lab = Self {
            folder,
            _serving: serving,
        };
        let begun = Instant::now();
        while !lab.folder.path().join("lab/lab.json").exists() {
            if begun.elapsed() > Duration::from_secs(30) {
                return Err(Failure::Said("the lab does not come up".into()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(lab)
    }

    /// The folder of a stack of machines on it.
    fn stack(&self, machines: usize, is_copy: bool) -> Result<PathBuf, Failure> {
        let folder = self.folder.path().join("stack");
        std::fs::create_dir_all(&folder).map_err(Failure::io("a folder"))?;
        let lab = self.folder.path().join("lab/lab.json");
        let text = format!(
            r#"locals {{
  lab = jsondecode(file("{}"))
}}
provider "proxmox" {{
  endpoints = local.lab.endpoints
  api_token = local.lab.token
  ca        = file(local.lab.ca_file)
  vm_ids    = {{ from = 10000, to = 99999 }}
}}
resource "proxmox_vm" "m" {{
  for_each   = toset([for number in range({machines}) : tostring(number)])
  name       = "m-${{each.key}}"
  memory_mib = 512
  started    = {}
  clone {{
    template = "debian-13"
    full     = {is_copy}
  }}
  network {{ bridge = "vmbr0" }}
}}
"#,
            lab.display(),
            !is_copy
        );
        std::fs::write(folder.join("main.hcl"), text).map_err(Failure::io("a stack"))?;
        Ok(folder)
    }

    /// What `dmp lab WORDS` says.
    async fn tell(&self, shell: &Shell, dmp: &Path, words: &[&str]) -> Result<String, Failure> {
        let mut command = shell.command(dmp);
        command
            .arg("lab")
            .args(words)
            .arg("--dir")
            .arg(self.folder.path().join("lab"));
        let output = command.output().await.map_err(Failure::io("the lab"))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(Failure::Said(
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )),
        }
    }

    /// How often it has been called.
    async fn calls(&self, shell: &Shell, dmp: &Path) -> Result<u64, Failure> {
        let said = self.tell(shell, dmp, &["status", "--json"]).await?;
        let status: Json = serde_json::from_str(&said)
            .map_err(|error| Failure::Said(format!("the lab's status: {error}")))?;
        status["calls"]
            .as_u64()
            .ok_or_else(|| Failure::Said("the lab counts no calls".into()))
    }
}

async fn cost(
    shell: &Shell,
    dmp: &Path,
    words: &[&str],
    folder: &Path,
    runs: usize,
) -> Result<Cost, Failure> {
    let cost = costs(shell, dmp, words, folder, runs, None).await?;
    cost.ok_or_else(|| Failure::Said("dmp has not come to its end".into()))
}

#[expect(clippy::cast_precision_loss, reason = "nobody calls that often")]
fn each(calls: u64, machines: usize) -> f64 {
    calls as f64 / machines as f64
}

/// Linked clones, started; then plans without changes.
async fn many(shell: &Shell, arguments: &Arguments, dmp: &Path) -> Result<(), Failure> {
    let lab = Lab::start(shell, dmp, 1000).await?;
    let count = arguments.machines;
    let folder = lab.stack(count, false)?;
    print(format_args!(
        "{:<44} {:>9} {:>9} {:>12} {:>7}",
        format!("{count} machines"),
        "seconds",
        "requests",
        "of each one",
        "MB"
    ));
    let row = async |what: &str, words: &[&str], runs: usize| {
        let before = lab.calls(shell, dmp).await?;
        let cost = cost(shell, dmp, words, &folder, runs).await?;
        let calls = (lab.calls(shell, dmp).await? - before) / runs.max(1) as u64;
        print(format_args!(
            "{what:<44} {:>9.2} {calls:>9} {:>12.2} {:>7.0}",
            cost.seconds,
            each(calls, count),
            cost.megabytes
        ));
        Ok::<_, Failure>(())
    };
    row("apply: cloned and started", &["apply", "--yes"], 1).await?;
    row("plan without changes", &["plan"], arguments.runs).await?;
    let slow = ["fault", "call", "latency", "--milliseconds", "20"];
    lab.tell(shell, dmp, &slow).await?;
    row(
        "plan without changes, each answer 20 ms late",
        &["plan"],
        arguments.runs,
    )
    .await
}

/// Whole copies, each of which takes its turn at the storage.
async fn copies(shell: &Shell, arguments: &Arguments, dmp: &Path) -> Result<(), Failure> {
    let lab = Lab::start(shell, dmp, COPY_SPEED).await?;
    let one = lab.stack(1, true)?;
    let one = cost(shell, dmp, &["apply", "--yes"], &one, 1)
        .await?
        .seconds;
    let count = 1 + arguments.copies;
    let folder = lab.stack(count, true)?;
    let all = cost(shell, dmp, &["apply", "--yes"], &folder, 1).await?;
    let waves = arguments.copies.div_ceil(TURNS);
    let path =
        COPY_SECONDS / f64::from(COPY_SPEED) * f64::from(u32::try_from(waves).unwrap_or(u32::MAX));
    print(format_args!(
        "\n{} whole copies to one storage, {TURNS} at once: {:.1} s, critical path {path:.1} s ({:.0} % more); one alone {one:.1} s",
        arguments.copies,
        all.seconds,
        (all.seconds / path - 1.0) * 100.0
    ));
    Ok(())
}
