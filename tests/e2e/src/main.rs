//! dmp as its end-to-end tests run it: the same command line, with the provider for tests beside the real ones, and with
//! the places at which a test kills the process.

use std::process::ExitCode;
use std::sync::Arc;

use dmp_cli::Registry;
use dmp_provider_core::CoreProvider;
use dmp_provider_host::HostProvider;
use dmp_provider_kubeadm::KubeadmProvider;
use dmp_provider_kubernetes::KubernetesProvider;
use dmp_provider_openstack::OpenStackProvider;
use dmp_provider_proxmox::ProxmoxProvider;
use dmp_sdk::testing::TestProvider;

fn main() -> ExitCode {
    dmp_cli::run(Registry::new(vec![
        Arc::new(CoreProvider::new()),
        Arc::new(HostProvider::new()),
        Arc::new(KubeadmProvider::new()),
        Arc::new(KubernetesProvider::new()),
        Arc::new(OpenStackProvider::new()),
        Arc::new(ProxmoxProvider::new()),
        Arc::new(TestProvider::default()),
    ]))
}
