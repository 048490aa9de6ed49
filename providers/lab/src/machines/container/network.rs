//! The network of a `container` machine: a cable's own end is an interface in the machine's network namespace, which gets its addresses
//! from within.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::super::bridges::{self, Bridges, Cable, checked};
use super::super::interfaces::Interface;
use super::Spec;
use crate::Trouble;
use crate::site::Site;

/// Plugs a machine's cables in. Its network namespace is that of a process.
pub(super) fn plug(
    bridges: &Bridges,
    site: &Site,
    cables: &[Cable],
    pid: u32,
) -> Result<(), Trouble> {
    let pid = pid.to_string();
    for cable in cables {
        bridges::unplug(cable)?;
        let Interface { name, mac, .. } = &cable.interface;
        let mut words = vec![
            "link",
            "add",
            &cable.link,
            "type",
            "veth",
            "peer",
            "name",
            name,
        ];
        words.extend(mac.iter().flat_map(|mac| ["address", mac]));
        words.extend(["netns", &pid]);
        bridges::ip(&words)?;
        bridges.join(site, cable)?;
    }
    Ok(())
}

/// Gives the machine's interfaces their addresses and ways out, from within its network namespace; what is of version 6 goes
/// missing where the host's kernel has none.
pub(super) fn configure(spec: &Spec) -> Result<(), String> {
    let mut needed = String::from("link set lo up\n");
    let mut version_6 = String::new();
    for (metric, Cable { interface, .. }) in (100..).zip(&spec.cables) {
        let name = &interface.name;
        needed.push_str(&format!("link set {name} up\n"));
        for (address, bits) in &interface.addresses {
            if address.is_ipv4() {
                needed.push_str(&format!("address add {address}/{bits} dev {name}\n"));
            } else {
                version_6.push_str(&format!("address add {address}/{bits} dev {name} nodad\n"));
            }
        }
        for gateway in &interface.gateways {
            if gateway.is_ipv4() {
                needed.push_str(&format!(
                    "route add default via {gateway} dev {name} onlink metric {metric}\n"
                ));
            } else {
                version_6.push_str(&format!(
                    "route add default via {gateway} dev {name} metric {metric}\n"
                ));
            }
        }
    }
    batch(&needed)?;
    if !version_6.is_empty() {
        let _ = batch(&version_6);
    }
    Ok(())
}

fn batch(lines: &str) -> Result<String, String> {
    let run = || -> std::io::Result<Output> {
        let mut child = Command::new("ip")
            .args(["-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(lines.as_bytes())?;
        }
        child.wait_with_output()
    };
    checked(run(), "-batch")
}
