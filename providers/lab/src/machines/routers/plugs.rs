//! The cables of a router, and its settings: what was there is brought to what is to be.

use std::io::Write as _;
use std::process::{Output, Stdio};

use super::super::beside::own;
use super::super::bridges::{self, Bridges};
use super::super::root::PATH;
use super::commands;
use crate::Trouble;
use crate::openstack::Way;
use crate::site::Site;

/// Makes a router as it is to be. Its network namespace is that of a process.
pub(super) fn change(
    bridges: &Bridges,
    site: &Site,
    before: Option<&Way>,
    way: &Way,
    pid: u32,
) -> Result<(), Trouble> {
    super::probe().map_err(Trouble::Refused)?;
    let pid = pid.to_string();
    let (old, new) = (
        before.map(commands::devices).unwrap_or_default(),
        commands::devices(way),
    );
    let link = |name: &str| bridges.link(&format!("{}/{name}", way.router));
    for device in &old {
        if !new.iter().any(|other| other.is_cable_of(device)) {
            bridges::unplug_link(&link(&device.name))?;
        }
    }
    for device in &new {
        if old.iter().any(|other| other.is_cable_of(device)) {
            continue;
        }
        let end = link(&device.name);
        bridges::unplug_link(&end)?;
        let words = [
            "link",
            "add",
            &end,
            "type",
            "veth",
            "peer",
            "name",
            &device.name,
            "address",
            &device.mac,
            "netns",
            &pid,
        ];
        bridges::ip(&words)?;
        bridges.join_link(site, &end, &device.network)?;
    }
    if let Some(before) = before {
        // What went with a cable is gone already.
        let _ = within(
            &pid,
            &["ip", "-force", "-batch", "-"],
            &commands::removals(before, way),
        );
    }
    within(&pid, &["ip", "-batch", "-"], &commands::wishes(way))?;
    within(&pid, &["nft", "-f", "-"], &commands::rules(way))?;
    for (outside, _) in &way.floating {
        if before.is_none_or(|before| before.floating != way.floating) {
            // Who had it before may be remembered on the host.
            let _ = bridges::ip(&["neigh", "flush", "to", &outside.to_string()]);
        }
    }
    Ok(())
}

/// Runs a command in a router's network namespace.
fn within(pid: &str, words: &[&str], input: &str) -> Result<(), Trouble> {
    let run = || -> std::io::Result<Output> {
        let mut child = own("in-network")
            .arg(pid)
            .args(words)
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        child.wait_with_output()
    };
    let refused = |why: &dyn std::fmt::Display| {
        Trouble::Refused(format!("`{}` in its network: {why}", words.join(" ")))
    };
    let output = run().map_err(|error| refused(&error))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(refused(&String::from_utf8_lossy(&output.stderr).trim())),
    }
}
