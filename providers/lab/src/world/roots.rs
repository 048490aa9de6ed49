//! Root file systems and disk images that the lab was told of, and which guests are made of them: those are `container` machines and
//! `vm` machines.

use std::path::PathBuf;

use super::World;
use super::guest::{self, Guest};
use super::storage;
use crate::Trouble;
use crate::image::DiskImage;
use crate::openstack::beginning;
use crate::site::TemplateSite;

/// What a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strength {
    /// A root of its own over the host's programs.
    Process,
    /// A whole system on the host's kernel.
    Container,
    /// A virtual machine.
    Vm,
}

impl Strength {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Strength::Process => "process",
            Strength::Container => "container",
            Strength::Vm => "vm",
        }
    }
}

/// What the disk of a guest holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct System {
    /// The name under which the lab was told of the root file system, or the disk image.
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

    /// Returns what the machine of a guest is: by what it boots.
    pub(crate) fn strength_of(&self, guest: &Guest) -> Strength {
        match self.system_of(guest) {
            None => Strength::Process,
            Some(system) if self.images.contains_key(&system.root) => Strength::Vm,
            Some(_) => Strength::Container,
        }
    }

    /// Returns how large a disk is that holds a root: as large as is asked for, and as the image.
    pub(crate) fn size_with(&self, root: Option<&str>, bytes: u64) -> u64 {
        let image = root.and_then(|name| self.images.get(name));
        image.map_or(bytes, |image| image.bytes.max(bytes))
    }

    /// Returns what a guest boots, where that is a root file system or a disk image of the lab.
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

    /// Refuses a machine with a system of its own that can't be started here.
    ///
    /// # Errors
    /// Why, and what to do.
    pub(crate) fn can_run(&self, guest: &Guest, system: &System) -> Result<(), String> {
        let name = &system.root;
        match self.root_path(name) {
            Some(path) if path.exists() => {}
            Some(path) => {
                return Err(format!(
                    "what `{name}` stands for is not at `{}`: serve the lab with `--root {name}=PATH`",
                    path.display()
                ));
            }
            None => {
                return Err(format!(
                    "the lab does not know what `{name}` stands for: serve it with `--root {name}=PATH`"
                ));
            }
        }
        let missing = match self.images.contains_key(name) {
            true => self.no_vms.clone().or_else(|| not_emulated(guest)),
            false => self.no_containers.clone(),
        };
        if let Some(reason) = missing {
            return Err(reason);
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
    /// it from then on; where there is none, one is made, unless the name is that of an image file. The network of the OpenStack that
    /// leads out lies where the host is on it.
    ///
    /// # Errors
    /// Where that network is in use, and was elsewhere.
    pub(crate) fn learn(&mut self, more: crate::site::More) -> Result<(), Trouble> {
        for network in more.networks {
            if self.has_openstack_network(&network.bridge) {
                let moved = beginning::lie_at(&mut self.openstack, &network.address);
                moved.map_err(Trouble::Refused)?;
            }
            let networks = &mut self.cluster.site.networks;
            networks.retain(|known| known.bridge != network.bridge);
            networks.push(network);
        }
        let new: Vec<String> = more.roots.iter().map(|root| root.name.clone()).collect();
        for root in more.roots {
            let roots = &mut self.cluster.site.roots;
            roots.retain(|known| known.name != root.name);
            roots.push(root);
        }
        self.look_at_roots();
        for name in new {
            let is_template = |guest: &&Guest| guest.is_template() && guest.name() == name;
            let template = self.guests.values().find(is_template).cloned();
            match template {
                Some(template) => self.put_root(&template, &name),
                None if name.contains('.') => {}
                None => self.make_template_of(&name),
            }
        }
        Ok(())
    }

    /// Whether a name is that of the OpenStack's network that leads out.
    fn has_openstack_network(&self, name: &str) -> bool {
        self.cluster.site.openstack.is_some() && self.openstack.ground.site.external.name == name
    }

    /// Finds out which of the roots are disk images. What is at a place may be another thing each time that the lab is served.
    pub(super) fn look_at_roots(&mut self) {
        let roots = self.cluster.site.roots.iter();
        let images = roots.filter_map(|root| Some((root.name.clone(), DiskImage::of(&root.path)?)));
        self.images = images.collect();
    }

    /// Makes the disk that a template boots from one with a root file system, or with what an image holds.
    fn put_root(&mut self, template: &Guest, root: &str) {
        let mut drives = template.config.iter().filter(|(key, drive)| {
            guest::is_drive(key) && !drive.contains("media=cdrom") && !drive.contains("-cloudinit")
        });
        let Some((setting, drive)) = drives.next() else {
            return;
        };
        let volid = drive.split(',').next().unwrap_or_default();
        let key = self.key(&template.node, volid);
        let size = self.size_with(Some(root), guest::size(drive));
        if let Some(volume) = self.volumes.get_mut(&key) {
            volume.root = Some(root.to_owned());
            volume.size = size;
        }
        let parts = drive.split(',').map(|part| match part.split_once('=') {
            Some(("size", _)) => format!("size={}", storage::short_size(size)),
            _ => part.to_owned(),
        });
        let drive = parts.collect::<Vec<_>>().join(",");
        if let Some(guest) = self.guests.get_mut(&template.vmid) {
            guest.config.insert(setting.clone(), drive);
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

/// Why the lab has no virtual machine for a guest's settings, where that is so.
fn not_emulated(guest: &Guest) -> Option<String> {
    let word = |key: &str| guest.config.get(key).map_or("", String::as_str);
    let asks = match (word("bios"), word("arch")) {
        ("ovmf", _) => "`bios=ovmf`: the lab boots virtual machines by SeaBIOS",
        (_, arch) if !matches!(arch, "" | "x86_64") => {
            "another `arch`: the lab has virtual machines of x86_64"
        }
        _ => return None,
    };
    Some(format!("machine {} asks for {asks}", guest.vmid))
}
