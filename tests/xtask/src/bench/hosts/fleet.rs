//! Many hosts on one machine: an sshd each at an address of loopback, with a root of its own that is gone with it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::relay::Relay;
use crate::process::{Failure, Shell};

/// Running hosts, all with one key and one host key.
pub(super) struct Fleet {
    hosts: Vec<Child>,
    wires: Vec<Relay>,
    /// How each is reached.
    pub(super) addresses: Vec<IpAddr>,
    /// Keys, and what a client needs to be told.
    pub(super) keys: PathBuf,
}

impl Fleet {
    /// Starts so many hosts behind wires of a length.
    pub(super) async fn start(
        shell: &Shell,
        place: &Path,
        count: u8,
        round_trip: Duration,
    ) -> Result<Self, Failure> {
        let keys = place.join("keys");
        if !keys.exists() {
            std::fs::create_dir(&keys).map_err(Failure::io(keys.display()))?;
            for name in ["user_key", "host_key"] {
                let mut command = shell.command("ssh-keygen");
                command
                    .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                    .arg(keys.join(name));
                shell.run(command).await?;
            }
        }
        let mut fleet = Self {
            hosts: Vec::new(),
            wires: Vec::new(),
            addresses: Vec::new(),
            keys,
        };
        for number in 1..=count {
            let direct = IpAddr::V4(Ipv4Addr::new(127, 0, 1, number));
            let root = place.join(format!("host-{number}"));
            std::fs::create_dir_all(&root).map_err(Failure::io(root.display()))?;
            // Hosts end with us, however we end.
            let mut command = Command::new("setpriv");
            command
                .args(["--pdeathsig", "KILL", "unshare"])
                .args(["--mount", "--pid", "--fork", "--kill-child"])
                .arg(shell.root().join("tests/bench/hosts/host.sh"))
                .args([&root, Path::new(&direct.to_string()), &fleet.keys])
                .stdin(Stdio::null())
                .process_group(0)
                .kill_on_drop(true);
            let host = command.spawn().map_err(Failure::io("setpriv"))?;
            fleet.hosts.push(host);
            let reached = if round_trip.is_zero() {
                direct
            } else {
                let far = IpAddr::V4(Ipv4Addr::new(127, 0, 2, number));
                let wire = Relay::start(
                    SocketAddr::new(far, 22),
                    SocketAddr::new(direct, 22),
                    round_trip,
                );
                fleet.wires.push(wire.await?);
                far
            };
            fleet.addresses.push(reached);
            wait(direct).await?;
        }
        fleet.write_settings()?;
        Ok(fleet)
    }

    /// Files for OpenSSH's client: known hosts, and a configuration that asks nobody anything.
    fn write_settings(&self) -> Result<(), Failure> {
        let key = self.keys.join("host_key.pub");
        let key = std::fs::read_to_string(&key).map_err(Failure::io(key.display()))?;
        let key: Vec<&str> = key.split_whitespace().take(2).collect();
        let mut known = String::new();
        for address in &self.addresses {
            known.push_str(&format!("{address} {}\n", key.join(" ")));
        }
        let keys = self.keys.display();
        let config = format!(
            "Host *\n  User root\n  IdentityFile {keys}/user_key\n  IdentitiesOnly yes\n  UserKnownHostsFile {keys}/known_hosts\n  \
             StrictHostKeyChecking yes\n  BatchMode yes\n"
        );
        for (name, text) in [("known_hosts", known), ("config", config)] {
            let file = self.keys.join(name);
            std::fs::write(&file, text).map_err(Failure::io(file.display()))?;
        }
        Ok(())
    }

    /// Ends the hosts with all that was written on them.
    pub(super) async fn end(mut self) -> Result<(), Failure> {
        for host in &mut self.hosts {
            host.start_kill().map_err(Failure::io("a host"))?;
        }
        for wire in self.wires {
            wire.end().await;
        }
        for host in &mut self.hosts {
            host.wait().await.map_err(Failure::io("a host"))?;
        }
        Ok(())
    }
}

/// Waits until a host answers.
async fn wait(address: IpAddr) -> Result<(), Failure> {
    let began = Instant::now();
    while TcpStream::connect((address, 22)).await.is_err() {
        if began.elapsed() > Duration::from_secs(20) {
            return Err(Failure::Said(format!("the host {address} does not answer")));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
