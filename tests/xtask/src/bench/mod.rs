//! `cargo xtask bench NAME`: what takes how long, as a table.

mod build;
mod cluster;
mod commits;
mod engine;
mod hosts;
mod lab;
mod makespan;
mod openstack;
mod proxmox;
mod real;
mod table;

use std::path::{Path, PathBuf};

use crate::cargo::executable;
use crate::process::{Failure, Shell, say};

/// What `cargo xtask bench` can be told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    name: Bench,
}

#[derive(clap::Subcommand)]
enum Bench {
    /// Builds everything from nothing, in a folder of its own.
    Build(build::Arguments),
    /// Plans and applies large stacks that touch nothing outside.
    Engine(engine::Arguments),
    /// Does the same work on many hosts, beside others.
    Hosts(hosts::Arguments),
    /// Makes many machines on the lab's Proxmox VE API, and looks at them again.
    Proxmox(proxmox::Arguments),
    /// Makes many servers on the lab's OpenStack or on a real one, and looks at them again, beside Ansible.
    Openstack(openstack::Arguments),
    /// Raises clusters on bare machines.
    Cluster(cluster::Arguments),
}

/// Measures.
pub(crate) async fn run(shell: &Shell, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.name {
        Bench::Build(arguments) => build::run(shell, arguments).await,
        Bench::Engine(arguments) => engine::run(shell, arguments).await,
        Bench::Hosts(arguments) => hosts::run(shell, arguments).await,
        Bench::Proxmox(arguments) => proxmox::run(shell, arguments).await,
        Bench::Openstack(arguments) => openstack::run(shell, arguments).await,
        Bench::Cluster(arguments) => cluster::run(shell, arguments).await,
    }
}

/// The dmp that is measured, by a path that holds in every folder: one that is built already, or this tree's as it is released.
async fn released(shell: &Shell, given: Option<&Path>) -> Result<PathBuf, Failure> {
    match given {
        Some(file) => file.canonicalize().map_err(Failure::io(file.display())),
        None => {
            say("building dmp as it is released");
            executable(shell, &["build", "--release", "--bin", "dmp"]).await
        }
    }
}
