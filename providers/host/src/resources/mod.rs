//! The resource types, one file each.

mod command;
mod directory;
mod file;
mod firewall;
mod host;
mod kernel_module;
mod package;
mod repository;
mod service;
mod sysctl;
mod updates;

use std::sync::Arc;

use dmp_sdk::Resource;

/// All resource types of the provider.
pub(crate) fn all() -> Vec<Arc<dyn Resource>> {
    vec![
        Arc::new(host::Host::new()),
        Arc::new(file::HostFile::new()),
        Arc::new(directory::HostDirectory::new()),
        Arc::new(package::HostPackage::new()),
        Arc::new(repository::HostRepository::new()),
        Arc::new(service::HostService::new()),
        Arc::new(sysctl::HostSysctl::new()),
        Arc::new(kernel_module::HostKernelModule::new()),
        Arc::new(firewall::HostFirewall::new()),
        Arc::new(updates::HostUpdates::new()),
        Arc::new(command::HostCommand::new()),
    ]
}
