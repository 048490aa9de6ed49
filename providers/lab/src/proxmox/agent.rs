//! The guest agent: what it tells when the machine is up, and what is told before. In a `vm` machine it is the machine's own that
//! answers; for all others the lab does.

use serde_json::{Value, json};

use super::{Answer, Call, Failure, Handler, Outcome};
use crate::lab::Shared;
use crate::machines::System;
use crate::world::guest::{Guest, is_net};
use crate::world::now;
use crate::world::roots::Strength;

/// What is told of an agent that does not answer.
pub(crate) const NO_AGENT: &str = "QEMU guest agent is not running";

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("POST /nodes/{node}/qemu/{vmid}/agent/ping", ping),
    (
        "GET /nodes/{node}/qemu/{vmid}/agent/network-get-interfaces",
        interfaces,
    ),
    (
        "GET /nodes/{node}/qemu/{vmid}/agent/get-host-name",
        host_name,
    ),
    ("GET /nodes/{node}/qemu/{vmid}/agent/get-osinfo", system),
];

/// Whether the configuration gives the machine a channel for an agent.
pub(super) fn is_enabled(guest: &Guest) -> bool {
    let text = guest.config.get("agent").map_or("", String::as_str);
    text.split(',')
        .any(|part| matches!(part, "1" | "enabled=1"))
}

/// Returns the guest if its agent answers, and for how long it has been up. A machine's own agent is asked by a command of its own.
fn answering<'a>(call: &'a Call<'_>, command: &'static str) -> Result<(&'a Guest, u64), Failure> {
    let guest = call.guest()?;
    let vmid = guest.vmid;
    if !is_enabled(guest) {
        return Err("No QEMU guest agent configured".into());
    }
    if !guest.is_running() {
        return Err(format!("VM {vmid} is not running").into());
    }
    let up = now().saturating_sub(guest.started);
    let is_silent = call.world.cluster.faults.hanging.contains(&vmid);
    if !guest.agent_channel || is_silent {
        return Err(NO_AGENT.into());
    }
    if call.world.strength_of(guest) == Strength::Vm {
        return Err(Failure::Asks { vmid, command });
    }
    if up < call.world.scaled(10.0) {
        return Err(NO_AGENT.into());
    }
    Ok((guest, up))
}

impl Shared {
    /// Returns what the guest agent in a virtual machine answers, as the API has it.
    ///
    /// # Errors
    /// Where it does not answer.
    pub(crate) async fn ask_agent(&self, vmid: u32, command: &str) -> Outcome {
        let system = self.machines.system(vmid);
        let vm = system.as_deref().and_then(System::vm);
        let vm = vm.ok_or(NO_AGENT)?;
        let told = vm.ask(command, json!({})).await;
        Answer::data(json!({ "result": told.map_err(|_| NO_AGENT)? }))
    }
}

fn ping(call: &mut Call<'_>) -> Outcome {
    answering(call, "guest-ping")?;
    Answer::data(json!({ "result": {} }))
}

/// Addresses come some seconds after the agent, as in life.
fn interfaces(call: &mut Call<'_>) -> Outcome {
    let (guest, up) = answering(call, "guest-network-get-interfaces")?;
    let has_addresses = up >= call.world.scaled(14.0);
    let mut told = vec![json!({
        "name": "lo", "hardware-address": "00:00:00:00:00:00",
        "ip-addresses": [{ "ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8 }],
    })];
    for (key, value) in guest.config.iter().filter(|(key, _)| is_net(key)) {
        let number = key.trim_start_matches("net");
        let mac = value
            .split(',')
            .next()
            .and_then(|part| part.split_once('='))
            .map_or("", |(_, mac)| mac);
        let mut interface =
            json!({ "name": format!("eth{number}"), "hardware-address": mac.to_ascii_lowercase() });
        let configured = guest
            .config
            .get(&format!("ipconfig{number}"))
            .map_or("", String::as_str);
        let mut addresses: Vec<Value> = configured.split(',').filter_map(address).collect();
        let by_dhcp = guest
            .lease
            .filter(|_| number == "0" && addresses.is_empty());
        addresses.extend(by_dhcp.map(|(address, bits)| {
            json!({ "ip-address": address.to_string(), "ip-address-type": "ipv4", "prefix": bits })
        }));
        if has_addresses && !addresses.is_empty() {
            interface["ip-addresses"] = json!(addresses);
        }
        told.push(interface);
    }
    Answer::data(json!({ "result": told }))
}

fn address(part: &str) -> Option<Value> {
    let (key, value) = part.split_once('=')?;
    let kind = match key {
        "ip" => "ipv4",
        "ip6" => "ipv6",
        _ => return None,
    };
    let (address, prefix) = value.split_once('/')?;
    Some(
        json!({ "ip-address": address, "ip-address-type": kind, "prefix": prefix.parse::<u8>().ok()? }),
    )
}

fn host_name(call: &mut Call<'_>) -> Outcome {
    let (guest, _) = answering(call, "guest-get-host-name")?;
    Answer::data(json!({ "result": { "host-name": guest.name() } }))
}

fn system(call: &mut Call<'_>) -> Outcome {
    answering(call, "guest-get-osinfo")?;
    Answer::data(json!({ "result": {
        "id": "debian", "name": "Debian GNU/Linux", "pretty-name": "Debian GNU/Linux 13 (trixie)", "version-id": "13",
        "version": "13 (trixie)", "machine": "x86_64", "kernel-release": "6.12.0-lab", "kernel-version": "#1 SMP",
    } }))
}
