//! dmp with the provider of this example beside `host`, whose connections it uses.

use std::process::ExitCode;
use std::sync::Arc;

use dmp_cli::Registry;
use dmp_provider_host::HostProvider;
use example_provider_hosts::HostsProvider;

fn main() -> ExitCode {
    dmp_cli::run(Registry::new(vec![
        Arc::new(HostProvider::new()),
        Arc::new(HostsProvider::new()),
    ]))
}
