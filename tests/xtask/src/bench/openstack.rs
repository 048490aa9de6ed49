//! `cargo xtask bench openstack`: what many servers with ports and volumes cost on the lab's OpenStack: requests and time of an
//! apply, of a plan without changes, also over a slow line; beside Ansible's modules on the same work. With `--cloud real` on a
//! real one, whose servers are on paper.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::lab::{Lab, heading};
use super::real::Real;
use super::released;
use crate::process::{Failure, Shell};

/// What `cargo xtask bench openstack` can be told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many servers.
    #[arg(long, value_delimiter = ',', default_value = "100,500")]
    servers: Vec<usize>,
    /// On which cloud. The real one is installed, started and ended by this command, which needs Debian and root.
    #[arg(long, value_enum, default_value_t = Ground::Lab)]
    cloud: Ground,
    /// Plans of which the median counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// A dmp that is built already.
    #[arg(long, value_name = "FILE")]
    dmp: Option<PathBuf>,
    /// A virtual environment with the packages `ansible` and `openstacksdk`, whose modules do the same work with the first of
    /// `--servers`. Without it they are left out.
    #[arg(long, value_name = "FOLDER")]
    ansible: Option<PathBuf>,
}

/// Where servers are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Ground {
    /// On the lab's OpenStack.
    Lab,
    /// On a real OpenStack of this machine.
    Real,
}

impl Ground {
    /// What is there: the cloud by its name in `clouds.yaml`, an image, a flavor.
    fn names(self) -> [&'static str; 3] {
        match self {
            Self::Lab => ["lab", "debian-13", "small"],
            Self::Real => ["guarded", "paper", "paper.tiny"],
        }
    }
}

/// Measures.
pub(crate) async fn run(shell: &Shell, arguments: &Arguments) -> Result<(), Failure> {
    let dmp = released(shell, arguments.dmp.as_deref()).await?;
    if arguments.cloud == Ground::Real {
        let real = Real::start(shell).await?;
        let measured = on_the_real_one(shell, &real, arguments, &dmp).await;
        return real.end().await.and(measured);
    }
    for count in &arguments.servers {
        many(shell, arguments, &dmp, *count).await?;
    }
    match (&arguments.ansible, arguments.servers.first()) {
        (Some(peers), Some(count)) => others(shell, &dmp, peers, *count).await,
        _ => Ok(()),
    }
}

/// A cloud with room for all. Its servers are on paper: their addresses are no loopback ones.
fn site() -> Json {
    let nodes = (1..=20).map(|number| {
        json!({
            "name": format!("node{number}"), "address": format!("192.0.2.{number}"), "cores": 256,
            "memory_gib": 2048, "bridges": ["vmbr0"],
        })
    });
    let quotas = [
        "instances",
        "cores",
        "ram",
        "port",
        "volumes",
        "gigabytes",
        "network",
        "subnet",
    ];
    let quotas: serde_json::Map<String, Json> = quotas
        .into_iter()
        .map(|name| (name.to_owned(), json!(-1)))
        .collect();
    json!({ "nodes": nodes.collect::<Vec<_>>(), "openstack": { "quotas": quotas }, "speed": 1000 })
}

/// The stack: a network, and each server with a port and a volume.
fn stack(ground: Ground, count: usize) -> String {
    let [cloud, image, flavor] = ground.names();
    format!(
        r#"provider "openstack" {{
  cloud = "{cloud}"
}}
data "openstack_image" "debian" {{
  name = "{image}"
}}
resource "openstack_network" "many" {{
  name = "many"
}}
resource "openstack_subnet" "many" {{
  network_id = openstack_network.many.id
  cidr       = "10.20.0.0/16"
}}
locals {{
  numbers = toset([for number in range({count}) : tostring(number)])
}}
resource "openstack_port" "m" {{
  for_each   = local.numbers
  name       = "m-${{each.key}}"
  network_id = openstack_network.many.id
  depends_on = [openstack_subnet.many]
}}
resource "openstack_server" "m" {{
  for_each = local.numbers
  name     = "m-${{each.key}}"
  flavor   = "{flavor}"
  image_id = data.openstack_image.debian.id
  network {{
    port_id = openstack_port.m[each.key].id
  }}
}}
resource "openstack_volume" "m" {{
  for_each = local.numbers
  name     = "m-${{each.key}}"
  size_gib = 1
}}
resource "openstack_volume_attachment" "m" {{
  for_each  = local.numbers
  server_id = openstack_server.m[each.key].id
  volume_id = openstack_volume.m[each.key].id
}}
"#
    )
}

async fn many(
    shell: &Shell,
    arguments: &Arguments,
    dmp: &Path,
    count: usize,
) -> Result<(), Failure> {
    let lab = Lab::start(shell, dmp, &site()).await?;
    let folder = lab.folder(
        "stack",
        &[
            ("main.hcl", &stack(Ground::Lab, count)),
            ("clouds.yaml", &clouds(&lab)?),
        ],
    )?;
    heading(&format!("{count} servers"));
    let apply: (&Path, &[&str]) = (dmp, &["apply", "--yes"]);
    let plan: (&Path, &[&str]) = (dmp, &["plan"]);
    let made = "apply: ports, servers, volumes, attached";
    lab.row(made, apply, &folder, 1, count).await?;
    lab.row("plan without changes", plan, &folder, arguments.runs, count)
        .await?;
    lab.delay(20).await?;
    let late = "plan without changes, each answer 20 ms late";
    lab.row(late, plan, &folder, arguments.runs, count).await
}

/// What is measured there; Ansible's modules, where they are wanted, after dmp has cleared away.
async fn on_the_real_one(
    shell: &Shell,
    real: &Real<'_>,
    arguments: &Arguments,
    dmp: &Path,
) -> Result<(), Failure> {
    for &count in &arguments.servers {
        real.has_room_for(count).await?;
        let folder = real.folder(
            &format!("stack-{count}"),
            &[("main.hcl", &stack(Ground::Real, count))],
        )?;
        heading(&format!("{count} servers on a real OpenStack"));
        for (what, words, runs) in [
            (
                "apply: ports, servers, volumes, attached",
                &["apply", "--yes"][..],
                1,
            ),
            ("plan without changes", &["plan"][..], arguments.runs),
            ("destroy", &["destroy", "--yes"][..], 1),
        ] {
            real.row(what, (dmp, words), &folder, runs, count).await?;
        }
    }
    if let (Some(peers), Some(&count)) = (&arguments.ansible, arguments.servers.first()) {
        let playbook = Playbook::of(Ground::Real, peers, count);
        let files = playbook.files(shell)?;
        let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
        let folder = real.folder("playbook", &files)?;
        for what in Playbook::ROWS {
            let words = playbook.words();
            let program = (playbook.program.as_path(), &words[..]);
            real.row(what, program, &folder, 1, count).await?;
        }
    }
    Ok(())
}

/// How clients find the lab.
fn clouds(lab: &Lab<'_>) -> Result<String, Failure> {
    std::fs::read_to_string(lab.place().join("clouds.yaml")).map_err(Failure::io("clouds.yaml"))
}

/// The same work for the modules of Ansible's collection `openstack.cloud`, one after the other, as they are.
struct Playbook {
    program: PathBuf,
    /// `NAME=VALUE` for the play.
    told: Vec<String>,
}

impl Playbook {
    const ROWS: [&str; 2] = ["Ansible: the same work", "Ansible: again, without changes"];

    fn of(ground: Ground, peers: &Path, count: usize) -> Self {
        let [cloud, image, flavor] = ground.names();
        let python = peers.join("bin/python");
        let told = vec![
            format!("ansible_python_interpreter={}", python.display()),
            format!("servers={count}"),
            format!("cloud={cloud}"),
            format!("image={image}"),
            format!("flavor={flavor}"),
        ];
        Self {
            program: peers.join("bin/ansible-playbook"),
            told,
        }
    }

    fn words(&self) -> Vec<&str> {
        let told = self.told.iter().flat_map(|one| ["-e", one]);
        ["playbook.yml"].into_iter().chain(told).collect()
    }

    /// What lies in its folder, beside `clouds.yaml`.
    fn files(&self, shell: &Shell) -> Result<[(&'static str, String); 2], Failure> {
        let file = shell.root().join("tests/bench/openstack/playbook.yml");
        let text = std::fs::read_to_string(&file).map_err(Failure::io(file.display()))?;
        let settings = "[defaults]\ninventory = localhost,\n".to_owned();
        Ok([("playbook.yml", text), ("ansible.cfg", settings)])
    }
}

async fn others(shell: &Shell, dmp: &Path, peers: &Path, count: usize) -> Result<(), Failure> {
    let lab = Lab::start(shell, dmp, &site()).await?;
    let playbook = Playbook::of(Ground::Lab, peers, count);
    let [(name, text), (settings, set)] = playbook.files(shell)?;
    let clouds = clouds(&lab)?;
    let files = [(name, &*text), (settings, &*set), ("clouds.yaml", &*clouds)];
    let folder = lab.folder("playbook", &files)?;
    for what in Playbook::ROWS {
        let words = playbook.words();
        lab.row(what, (&playbook.program, &words), &folder, 1, count)
            .await?;
    }
    Ok(())
}
