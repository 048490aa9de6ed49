//! The resource types, one file each.

mod archive;
mod authorized_keys;
mod block;
mod command;
mod compose_project;
mod directory;
mod file;
mod filesystem;
mod firewall;
mod group;
mod host;
mod hostname;
mod kernel_module;
mod line;
mod mount;
mod package;
mod reboot;
mod repository;
mod service;
mod symlink;
mod sysctl;
mod updates;
mod user;

use std::sync::Arc;

use dmp_sdk::Resource;

pub(crate) use authorized_keys::locks_out;

/// All resource types of the provider.
pub(crate) fn all() -> Vec<Arc<dyn Resource>> {
    vec![
        Arc::new(host::Host::new()),
        Arc::new(file::HostFile::new()),
        Arc::new(directory::HostDirectory::new()),
        Arc::new(symlink::HostSymlink::new()),
        Arc::new(line::HostLine::new()),
        Arc::new(block::HostBlock::new()),
        Arc::new(group::HostGroup::new()),
        Arc::new(user::HostUser::new()),
        Arc::new(authorized_keys::HostAuthorizedKeys::new()),
        Arc::new(hostname::HostHostname::new()),
        Arc::new(mount::HostMount::new()),
        Arc::new(filesystem::HostFilesystem::new()),
        Arc::new(archive::HostArchive::new()),
        Arc::new(reboot::HostReboot::new()),
        Arc::new(package::HostPackage::new()),
        Arc::new(repository::HostRepository::new()),
        Arc::new(service::HostService::new()),
        Arc::new(sysctl::HostSysctl::new()),
        Arc::new(kernel_module::HostKernelModule::new()),
        Arc::new(firewall::HostFirewall::new()),
        Arc::new(updates::HostUpdates::new()),
        Arc::new(command::HostCommand::new()),
        Arc::new(compose_project::HostComposeProject::new()),
    ]
}
