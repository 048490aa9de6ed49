//! `cargo xtask bench NAME`: what takes how long, as a table.

mod build;
mod cluster;
mod commits;
mod engine;
mod hosts;
mod makespan;
mod proxmox;
mod table;

use crate::process::{Failure, Shell};

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
        Bench::Cluster(arguments) => cluster::run(shell, arguments).await,
    }
}
