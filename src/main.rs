//! dmp: provisions a stack through every layer. Registers what this binary can do, and runs the command line.

use std::process::ExitCode;
use std::sync::Arc;

use dmp_cli::Registry;
use dmp_sdk::Provider;

/// Plans are many small values: `cargo xtask bench engine` shows what this one gains over the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let providers: Vec<Arc<dyn Provider>> = vec![
        Arc::new(dmp_provider_core::CoreProvider::new()),
        Arc::new(dmp_provider_host::HostProvider::new()),
        Arc::new(dmp_provider_kubeadm::KubeadmProvider::new()),
        #[cfg(feature = "kubernetes")]
        Arc::new(dmp_provider_kubernetes::KubernetesProvider::new()),
        #[cfg(feature = "openstack")]
        Arc::new(dmp_provider_openstack::OpenStackProvider::new()),
        #[cfg(feature = "proxmox")]
        Arc::new(dmp_provider_proxmox::ProxmoxProvider::new()),
    ];
    dmp_cli::run(Registry::new(providers))
}
