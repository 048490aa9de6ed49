//! `dmp ssh`: a shell on a machine, by the connection that the state has of it. Its host key is pinned there.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use dmp_lang::Sources;
use dmp_sdk::{Address, Diagnostic, Machine};

use super::fail;
use crate::arguments::Ssh;
use crate::stack::{open_state, state_folder};
use crate::{Context, Exit};

pub(crate) fn run(context: &Context, directory: &Path, arguments: &Ssh) -> Exit {
    match connect(directory, arguments) {
        Ok(error) => {
            let diagnostic =
                Diagnostic::error("no-ssh", "cannot start `ssh`").cause(error.to_string());
            fail(
                context,
                &Sources::new(),
                &[diagnostic.help("install the OpenSSH client")],
            )
        }
        Err(diagnostic) => fail(context, &Sources::new(), &[diagnostic]),
    }
}

/// Becomes `ssh`. Returns only if that fails.
fn connect(directory: &Path, arguments: &Ssh) -> Result<std::io::Error, Diagnostic> {
    let store = open_state(directory)?;
    let instances = &store.snapshot().instances;
    let address: Option<Address> = arguments.address.parse().ok();
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
                .detail(format!("the state has no `{}`", arguments.address))
                .help(format!("machines of this stack: {}", names.join(", ")))
        })?;
    let machine = Machine::from_value(&instance.attributes.get("connection")).map_err(|error| {
        Diagnostic::error("no-connection", "not a machine").detail(format!(
            "`{}` has no usable `connection`: {error}",
            arguments.address
        ))
    })?;
    let cannot = |error: std::io::Error| {
        Diagnostic::error("no-ssh", "cannot prepare the connection").cause(error.to_string())
    };
    let folder = state_folder(directory).join("ssh");
    std::fs::create_dir_all(&folder).map_err(cannot)?;
    let mut command = Command::new("ssh");
    let mut hosts = String::new();
    for hop in machine.bastions.iter().chain([&machine]) {
        for key in &hop.host_keys {
            let name = if hop.port == 22 {
                hop.address.clone()
            } else {
                format!("[{}]:{}", hop.address, hop.port)
            };
            hosts.push_str(&format!("{name} {key}\n"));
        }
    }
    let known_hosts = folder.join("known_hosts");
    std::fs::write(&known_hosts, hosts).map_err(cannot)?;
    let known_hosts = known_hosts.canonicalize().map_err(cannot)?;
    command
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", known_hosts.display()));
    command.args([
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "PasswordAuthentication=no",
    ]);
    if let Some(key) = &machine.key_file {
        command.args(["-o", "IdentitiesOnly=yes", "-i", key]);
    }
    if !machine.bastions.is_empty() {
        let hops: Vec<String> = machine
            .bastions
            .iter()
            .map(|hop| format!("{}@{}:{}", hop.user, hop.address, hop.port))
            .collect();
        command.arg("-J").arg(hops.join(","));
    }
    command.args([
        "-p",
        &machine.port.to_string(),
        "-l",
        &machine.user,
        "--",
        &machine.address,
    ]);
    command.args(&arguments.command);
    Ok(command.exec())
}
