//! `dmp ssh`: a shell on a machine, by the connection that the state has of it: its keys, certificates and bastions, each
//! with its pins. The client is OpenSSH's, by a configuration that is written for this one call and removed after it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use dmp_lang::Sources;
use dmp_sdk::{Address, Diagnostic, Machine};
use dmp_state::Snapshot;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::fail;
use crate::arguments::Ssh;
use crate::stack::open_state;
use crate::{Context, Exit};

pub(crate) async fn run(context: &Context, directory: &Path, arguments: &Ssh) -> Exit {
    if arguments.is_for_many() {
        return super::ssh_many::run(context, directory, arguments).await;
    }
    match connect(directory, arguments).await {
        Ok(status) => Exit::of_program(status),
        Err(diagnostic) => fail(context, &Sources::new(), &[diagnostic]),
    }
}

/// The connection that the state has of an instance.
fn machine(snapshot: &Snapshot, written: &str) -> Result<Machine, Diagnostic> {
    let instances = &snapshot.instances;
    let address: Option<Address> = written.parse().ok();
    let instance = address
        .and_then(|address| instances.get(&address))
        .ok_or_else(|| {
            let with_connection = instances
                .values()
                .filter(|instance| !instance.attributes.get("connection").is_null());
            let names: Vec<String> = with_connection
                .map(|instance| instance.address.to_string())
                .collect();
            Diagnostic::error("unknown-address", "unknown address")
                .detail(format!("the state has no `{written}`"))
                .help(format!("machines of this stack: {}", names.join(", ")))
        })?;
    Machine::from_value(&instance.attributes.get("connection")).map_err(|error| {
        Diagnostic::error("no-connection", "not a machine")
            .detail(format!("`{written}` has no usable `connection`: {error}"))
    })
}

/// Runs `ssh` to its end.
async fn connect(directory: &Path, arguments: &Ssh) -> Result<ExitStatus, Diagnostic> {
    let address = arguments.address.as_deref().unwrap_or_default();
    let machine = machine(open_state(directory)?.snapshot(), address)?;
    let cannot = |error: std::io::Error| {
        Diagnostic::error("no-ssh", "cannot prepare the connection").cause(error.to_string())
    };
    let folder = private_folder().map_err(cannot)?;
    let host = prepare(&machine, folder.path(), &persons_files()).map_err(cannot)?;
    let mut command = Command::new("ssh");
    command.arg("-F").arg(folder.path().join("config"));
    command.arg("--").arg(host).args(&arguments.command);
    // Signals are for `ssh`: it ends, and what was written for it is removed.
    let mut ignored = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::quit()] {
        ignored.push(signal(kind).map_err(cannot)?);
    }
    let mut ended = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut hung_up = signal(SignalKind::hangup()).map_err(cannot)?;
    let mut child = command.kill_on_drop(true).spawn().map_err(|error| {
        Diagnostic::error("no-ssh", "cannot start `ssh`")
            .cause(error.to_string())
            .help("install the OpenSSH client")
    })?;
    let status = tokio::select! {
        status = child.wait() => status.map_err(cannot)?,
        _ = ended.recv() => stopped(&mut child).await.map_err(cannot)?,
        _ = hung_up.recv() => stopped(&mut child).await.map_err(cannot)?,
    };
    drop(ignored);
    Ok(status)
}

async fn stopped(child: &mut tokio::process::Child) -> std::io::Result<ExitStatus> {
    child.start_kill()?;
    child.wait().await
}

/// A folder that only this user can look into, in memory where there is such a place: a key may lie in it.
fn private_folder() -> std::io::Result<TempDir> {
    let places = [
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
        Some(PathBuf::from("/dev/shm")),
        Some(std::env::temp_dir()),
    ];
    let mut result = Err(std::io::Error::other("no place for files"));
    for place in places.into_iter().flatten() {
        result = tempfile::Builder::new()
            .prefix("dmp-ssh-")
            .tempdir_in(place);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// The person's own configuration, as the transport reads it.
fn persons_files() -> Vec<PathBuf> {
    match std::env::var_os("DMP_SSH_CONFIG") {
        Some(none) if none == "none" => Vec::new(),
        Some(file) if !file.is_empty() => vec![PathBuf::from(file)],
        _ => {
            let own = std::env::home_dir().map(|home| home.join(".ssh/config"));
            let files = own
                .into_iter()
                .chain([PathBuf::from("/etc/ssh/ssh_config")]);
            files.filter(|file| file.exists()).collect()
        }
    }
}

/// Writes the configuration, the known hosts and the keys of a machine and of what it is reached through. The name that
/// the configuration calls it by.
fn prepare(machine: &Machine, folder: &Path, includes: &[PathBuf]) -> std::io::Result<String> {
    let mut config = String::from("# Written by dmp for one call of ssh.\n");
    let mut before = None;
    for (position, hop) in machine.bastions.iter().chain([machine]).enumerate() {
        let key = match &hop.private_key {
            Some(text) => {
                let file = folder.join(format!("key{position}"));
                write_private(&file, &format!("{}\n", text.trim()))?;
                Some(file.display().to_string())
            }
            None => hop.key_file.clone(),
        };
        // A file for each: what one authority may sign is nothing that another machine is known by.
        let known = known_hosts_of(hop);
        let file = folder.join(format!("known_hosts{position}"));
        write_private(&file, &known)?;
        let is_known = (!known.is_empty()).then_some(file);
        let block = Block {
            machine: hop,
            name: name(machine, position),
            through: before.as_deref(),
            key: key.as_deref(),
            known_hosts: is_known.as_deref(),
            includes,
        };
        config.push_str(&block.text());
        before = Some(block.name);
    }
    write_private(&folder.join("config"), &config)?;
    Ok(name(machine, machine.bastions.len()))
}

/// What a machine is called: what the person's configuration calls it, unless another on the way has that name.
fn name(machine: &Machine, position: usize) -> String {
    let called = |hop: &Machine| hop.alias.clone().unwrap_or_else(|| hop.address.clone());
    let names: Vec<String> = machine
        .bastions
        .iter()
        .chain([machine])
        .map(called)
        .collect();
    let own = names.get(position).cloned().unwrap_or_default();
    let is_used = names.iter().filter(|name| **name == own).count() > 1;
    if is_used {
        format!("dmp-{position}")
    } else {
        own
    }
}

struct Block<'a> {
    machine: &'a Machine,
    name: String,
    through: Option<&'a str>,
    key: Option<&'a str>,
    known_hosts: Option<&'a Path>,
    includes: &'a [PathBuf],
}

impl Block<'_> {
    /// What dmp knows comes first and counts; the person's own settings for the same name follow.
    fn text(&self) -> String {
        let Machine {
            address,
            port,
            user,
            ..
        } = self.machine;
        let mut text = format!("Host {}\n", self.name);
        let mut line = |keyword: &str, value: &str| {
            let _ = writeln!(text, "  {keyword} \"{value}\"");
        };
        line("HostName", &address.replace('%', "%%"));
        line("Port", &port.to_string());
        line("User", user);
        line("PasswordAuthentication", "no");
        line("KbdInteractiveAuthentication", "no");
        if let Some(file) = self.known_hosts {
            line("UserKnownHostsFile", &file.display().to_string());
            line("GlobalKnownHostsFile", "none");
            line("StrictHostKeyChecking", "yes");
            if self.machine.host_ca.is_empty() {
                line("HostKeyAlias", &self.machine.address);
            }
        }
        if let Some(key) = self.key {
            line("IdentitiesOnly", "yes");
            line("IdentityFile", &key.replace('%', "%%"));
        }
        // `ProxyJump` takes the line as it is.
        let _ = match self.through {
            Some(name) => writeln!(text, "  ProxyJump {name}"),
            None => writeln!(text, "  ProxyCommand none"),
        };
        if self.key.is_none() {
            for file in self.includes {
                let _ = writeln!(text, "  Include \"{}\"", file.display());
            }
        }
        text
    }
}

/// The pins of a machine as lines of a `known_hosts`.
fn known_hosts_of(machine: &Machine) -> String {
    // `HostKeyAlias` stands for the name whatever the port is; a certificate is for the name that the person gave it.
    let name = match machine.host_ca.is_empty() {
        true => machine.address.as_str(),
        false => "*",
    };
    let keys = machine
        .host_keys
        .iter()
        .map(|key| format!("{name} {key}\n"));
    let authorities = machine.host_ca.iter();
    let authorities = authorities.map(|key| format!("@cert-authority {name} {key}\n"));
    keys.chain(authorities).collect()
}

fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(file)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hop_has_its_own_keys_and_pins_and_the_persons_settings_come_after() {
        let folder = tempfile::tempdir().expect("a folder");
        let gate = Machine {
            address: "gate".into(),
            user: "op".into(),
            private_key: Some("KEY".into()),
            host_ca: vec!["ssh-ed25519 CA".into()],
            ..Machine::default()
        };
        let machine = Machine {
            address: "10.0.0.5".into(),
            port: 2200,
            alias: Some("web".into()),
            host_keys: vec!["ssh-ed25519 AAAA".into()],
            bastions: vec![gate],
            ..Machine::default()
        };
        let includes = [PathBuf::from("/home/ann/.ssh/config")];
        let host = prepare(&machine, folder.path(), &includes).expect("writable");
        assert_eq!(host, "web");
        let read =
            |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("is there");
        assert_eq!(read("known_hosts0"), "@cert-authority * ssh-ed25519 CA\n");
        assert_eq!(read("known_hosts1"), "10.0.0.5 ssh-ed25519 AAAA\n");
        assert_eq!(read("key0"), "KEY\n");
        let config = read("config");
        let (first, second) = config.split_once("Host web\n").expect("two blocks");
        assert!(first.contains("IdentityFile") && first.contains("ProxyCommand none"));
        assert!(
            !first.contains("Include"),
            "its own key is the only one: {first}"
        );
        assert!(second.contains("  Port \"2200\"\n") && second.contains("  ProxyJump gate\n"));
        assert!(
            second.ends_with("  Include \"/home/ann/.ssh/config\"\n"),
            "{second}"
        );
    }
}
