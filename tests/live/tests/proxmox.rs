//! dmp's own lab with machines that are whole systems, as Proxmox VE and as OpenStack, and a cluster on them: `cargo xtask live proxmox`.

#![expect(
    clippy::print_stdout,
    reason = "the figures are for the person who runs it"
)]

#[path = "proxmox/cluster.rs"]
mod cluster;
#[path = "proxmox/life.rs"]
mod life;
#[path = "proxmox/machine.rs"]
mod machine;
#[path = "proxmox/networks.rs"]
mod networks;
#[path = "proxmox/openstack.rs"]
mod openstack;
#[path = "proxmox/served.rs"]
mod served;
#[path = "proxmox/servers.rs"]
mod servers;
#[path = "proxmox/stand_ins.rs"]
mod stand_ins;
#[path = "proxmox/told.rs"]
mod told;
