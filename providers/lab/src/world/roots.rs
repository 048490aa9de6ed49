//! Root file systems that the lab was told of, and which guests are made of them: those are `container` machines.

use std::path::PathBuf;

use super::World;
use super::guest::{self, Guest};
use crate::site::TemplateSite;

/// What the disk of a guest holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct System {
    /// The name under which the lab was told of the root file system.
    pub root: String,
    /// Which of the guest's disks it is on.
    pub disk: String,
}

impl World {
    /// Returns the name of the root file system that a template of this name, or an image, stands for: `debian-13` and
    /// `shared:import/debian-13.qcow2` are one.
    pub(crate) fn root_named(&self, name: &str) -> Option<String> {
        let last = name.rsplit(['/', ':']).next().unwrap_or(name);
        let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
        let roots = &self.cluster.site.roots;
        let known = roots
            .iter()
            .find(|root| root.name == last || root.name == stem);
        known.map(|root| root.name.clone())
    }

    /// Returns where a root file system is.
    pub(crate) fn root_path(&self, name: &str) -> Option<PathBuf> {
        let roots = &self.cluster.site.roots;
        let known = roots.iter().find(|root| root.name == name);
        known.map(|root| root.path.clone())
    }

    /// Returns what a guest boots, where that is a root file system of the lab: it is a `container` machine then.
    pub(crate) fn system_of(&self, guest: &Guest) -> Option<System> {
        let boot = guest.config.get("boot").map_or("", String::as_str);
        let first = boot.trim_start_matches("order=").split(';');
        let drives = guest.config.keys().filter(|key| guest::is_drive(key));
        let mut keys = first.chain(drives.map(String::as_str));
        keys.find_map(|key| {
            let drive = guest.config.get(key)?;
            let volid = drive.split(',').next()?;
            let volume = self.volumes.get(&self.key(&guest.node, volid))?;
            Some(System {
                root: volume.root.clone()?,
                disk: super::storage::disk_of(volid)?,
            })
        })
    }

    /// Refuses a `container` machine that can't be started here.
    ///
    /// # Errors
    /// Why, and what to do.
    pub(crate) fn can_contain(&self, guest: &Guest, system: &System) -> Result<(), String> {
        if let Some(reason) = &self.no_containers {
            return Err(reason.clone());
        }
        let name = &system.root;
        match self.root_path(name) {
            Some(path) if path.exists() => {}
            Some(path) => {
                return Err(format!(
                    "the root file system `{name}` is not at `{}`: serve the lab with `--root {name}=PATH`",
                    path.display()
                ));
            }
            None => {
                return Err(format!(
                    "the lab does not know the root file system `{name}`: serve it with `--root {name}=PATH`"
                ));
            }
        }
        let addresses = crate::machines::addresses_of(&guest.config);
        match addresses.iter().find(|(address, _)| address.is_loopback()) {
            Some((address, _)) => Err(format!(
                "a machine made of `{name}` has a network of its own, where {address} is its own loopback: give it an address such as 10.90.0.11"
            )),
            None => Ok(()),
        }
    }

    /// Takes over root file systems and networks that a lab is told of when it is served. A template of a root's name is made of
    /// it from then on; where there is none, one is made, unless the name is that of an image file.
    pub(crate) fn learn(&mut self, more: crate::site::More) {
        for network in more.networks {
            let networks = &mut self.cluster.site.networks;
            networks.retain(|known| known.bridge != network.bridge);
            networks.push(network);
        }
        for root in more.roots {
            let name = root.name.clone();
            let roots = &mut self.cluster.site.roots;
            roots.retain(|known| known.name != name);
            roots.push(root);
            let is_template = |guest: &&Guest| guest.is_template() && guest.name() == name;
            let template = self.guests.values().find(is_template).cloned();
            match template {
                Some(template) => self.put_root(&template, &name),
                None if name.contains('.') => {}
                None => self.make_template_of(&name),
            }
        }
    }

    /// Makes the disk that a template boots from one with a root file system.
    fn put_root(&mut self, template: &Guest, root: &str) {
        let drives = template.config.iter().filter(|(key, drive)| {
            guest::is_drive(key) && !drive.contains("media=cdrom") && !drive.contains("-cloudinit")
        });
        let volids = drives.filter_map(|(_, drive)| drive.split(',').next());
        let keys: Vec<_> = volids
            .map(|volid| self.key(&template.node, volid))
            .collect();
        if let Some(volume) = keys.first().and_then(|key| self.volumes.get_mut(key)) {
            volume.root = Some(root.to_owned());
        }
    }

    fn make_template_of(&mut self, root: &str) {
        let site = &self.cluster.site;
        let (Some(node), Some(storage)) = (
            site.nodes.first(),
            site.storages
                .iter()
                .find(|storage| storage.shared && storage.content.iter().any(|it| it == "images"))
                .or(site
                    .storages
                    .iter()
                    .find(|storage| storage.content.iter().any(|it| it == "images"))),
        ) else {
            return;
        };
        let vmid = (9000..)
            .find(|vmid| {
                !self.guests.contains(vmid)
                    && !site.templates.iter().any(|template| template.vmid == *vmid)
            })
            .unwrap_or(9000);
        let template = TemplateSite {
            vmid,
            name: root.to_owned(),
            node: node.name.clone(),
            storage: storage.name.clone(),
            disk_gib: 4,
        };
        self.make_template(&template);
        self.cluster.site.templates.push(template);
    }
}
