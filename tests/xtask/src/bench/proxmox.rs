//! `cargo xtask bench proxmox`: what many machines cost on the lab's API: requests and time of an apply, of a plan without
//! changes, also over a slow line, and how well copies fill the turns that their storage has.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::lab::{Lab, heading};
use super::released;
use crate::process::{Failure, Shell, print};

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
    let dmp = released(shell, arguments.dmp.as_deref()).await?;
    many(shell, arguments, &dmp).await?;
    copies(shell, arguments, &dmp).await
}

/// A cluster of 20 nodes with room for thousands of machines.
fn site(speed: u32) -> Json {
    let nodes = (1..=20).map(|number| {
        json!({
            "name": format!("pve{number}"), "address": format!("192.0.2.{number}"), "cores": 64,
            "memory_gib": 512, "bridges": ["vmbr0"],
        })
    });
    json!({
        "nodes": nodes.collect::<Vec<_>>(),
        "storages": [{ "name": "shared", "kind": "nfs", "content": ["images", "iso"], "shared": true, "size_gib": 1_000_000 }],
        "templates": [{ "vmid": 9000, "name": "debian-13", "node": "pve1", "storage": "shared", "disk_gib": 4 }],
        "speed": speed,
    })
}

/// The folder of a stack of machines.
fn stack(lab: &Lab<'_>, machines: usize, is_copy: bool) -> Result<PathBuf, Failure> {
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
        lab.place().join("lab.json").display(),
        !is_copy
    );
    lab.folder("stack", &[("main.hcl", &text)])
}

/// Linked clones, started; then plans without changes.
async fn many(shell: &Shell, arguments: &Arguments, dmp: &Path) -> Result<(), Failure> {
    let lab = Lab::start(shell, dmp, &site(1000)).await?;
    let count = arguments.machines;
    let folder = stack(&lab, count, false)?;
    heading(&format!("{count} machines"));
    let apply: (&Path, &[&str]) = (dmp, &["apply", "--yes"]);
    let plan: (&Path, &[&str]) = (dmp, &["plan"]);
    lab.row("apply: cloned and started", apply, &folder, 1, count)
        .await?;
    lab.row("plan without changes", plan, &folder, arguments.runs, count)
        .await?;
    lab.delay(20).await?;
    let late = "plan without changes, each answer 20 ms late";
    lab.row(late, plan, &folder, arguments.runs, count).await
}

/// Whole copies, each of which takes its turn at the storage.
async fn copies(shell: &Shell, arguments: &Arguments, dmp: &Path) -> Result<(), Failure> {
    let lab = Lab::start(shell, dmp, &site(COPY_SPEED)).await?;
    let apply: &[&str] = &["apply", "--yes"];
    let folder = stack(&lab, 1, true)?;
    let one = lab.cost(dmp, apply, &folder, 1).await?.seconds;
    let count = 1 + arguments.copies;
    let folder = stack(&lab, count, true)?;
    let all = lab.cost(dmp, apply, &folder, 1).await?;
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
