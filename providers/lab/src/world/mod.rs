//! All that a lab holds: the cluster, its guests, volumes and tasks. Calls change it under one lock; what has changed is on
//! disk before a call is answered.

pub(crate) mod access;
pub(crate) mod clock;
pub(crate) mod draw;
pub(crate) mod firewall;
pub(crate) mod guest;
pub(crate) mod roots;
pub(crate) mod sdn;
pub(crate) mod storage;
pub(crate) mod store;
pub(crate) mod table;
pub(crate) mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::Trouble;
use crate::image::DiskImage;
use crate::machines::Accelerator;
use crate::openstack::beginning;
use crate::openstack::estate::{Estate, Ground};
use crate::site::Site;
use access::Access;
use draw::Draw;
use firewall::Firewall;
use guest::{Guest, Seen};
use sdn::Sdn;
use storage::{Storage, Volume, VolumeKey};
use store::Store;
use table::{Cell, Table};
use task::{Task, Upid};

/// The lab's whole content.
#[derive(Debug)]
pub(crate) struct World {
    pub cluster: Cell<Cluster>,
    pub guests: Table<u32, Guest>,
    pub volumes: Table<VolumeKey, Volume>,
    pub tasks: Table<Upid, Task>,
    /// What the OpenStack holds.
    pub openstack: Estate,
    /// Tasks that have not ended.
    pub running: BTreeSet<Upid>,
    /// What the nodes last told one another of their guests.
    pub seen: BTreeMap<u32, Seen>,
    seen_at: u64,
    /// What is to be done with machines.
    pub orders: Vec<Order>,
    /// Why machines can't be started, where that is so.
    pub no_machines: Option<String>,
    /// Why `container` machines can't be started, where that is so.
    pub no_containers: Option<String>,
    /// Why `vm` machines can't be started, where that is so.
    pub no_vms: Option<String>,
    /// How they run, where they can be.
    pub accelerator: Option<Accelerator>,
    /// Which of the roots that the lab was told of are disk images.
    pub images: BTreeMap<String, DiskImage>,
    /// Machines with a system of their own which is up, or on its way up or down.
    pub alive: BTreeSet<u32>,
    /// Where uploaded files are.
    pub files: std::path::PathBuf,
}

/// What is to be done with a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Start(u32),
    /// Ends it; what it holds stays.
    Stop(u32),
    /// Ends it, and throws away what it holds.
    Forget(u32),
    /// Ends it and starts it with what it holds.
    Reboot(u32),
    /// Gives one machine the content of another, whose disks have other names there.
    Copy(u32, u32, Vec<(String, String)>),
    /// Asks the system in a machine to go down.
    PowerButton(u32),
    /// Holds a machine still whose guest is paused, or lets it go on.
    Hold(u32),
    /// Sets the clock of a machine as the faults have it.
    SetClock(u32),
    /// Gives what is on a disk another name.
    MoveDisk(u32, String, String),
    /// Makes a disk larger.
    Grow(u32, String, u64),
    /// Keeps, restores or drops what a machine holds, by the name of a snapshot.
    Keep(u32, String),
    Restore(u32, String),
    Drop(u32, String),
    /// Throws away what a machine holds, and starts it empty if it runs.
    Wipe(u32),
    /// Gives a machine another host key, as if somebody else answered at its address.
    NewHostKey(u32),
    /// Lets a machine that runs listen at the addresses that it has by now.
    Readdress(u32),
}

impl Order {
    /// Returns the machines that something is done with.
    pub(crate) fn machines(&self) -> Vec<u32> {
        match self {
            Order::Copy(from, to, _) => vec![*from, *to],
            Order::Start(vmid)
            | Order::Stop(vmid)
            | Order::Forget(vmid)
            | Order::Reboot(vmid)
            | Order::PowerButton(vmid)
            | Order::Hold(vmid)
            | Order::SetClock(vmid)
            | Order::MoveDisk(vmid, _, _)
            | Order::Grow(vmid, _, _)
            | Order::Keep(vmid, _)
            | Order::Restore(vmid, _)
            | Order::Drop(vmid, _)
            | Order::Wipe(vmid)
            | Order::NewHostKey(vmid)
            | Order::Readdress(vmid) => vec![*vmid],
        }
    }
}

/// Everything but guests, volumes and tasks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cluster {
    pub site: Site,
    pub draw: Draw,
    /// The key that signs tickets.
    pub secret: String,
    pub nodes: BTreeMap<String, Node>,
    pub storages: BTreeMap<String, Storage>,
    pub access: Access,
    pub pools: BTreeMap<String, Pool>,
    pub options: BTreeMap<String, String>,
    pub firewall: Firewall,
    pub groups: BTreeMap<String, firewall::Group>,
    pub guest_firewalls: BTreeMap<u32, Firewall>,
    pub sdn: Sdn,
    pub faults: crate::faults::Faults,
    /// Where the nodes listen, so that a lab that is taken up again is found at the same place.
    pub listen: BTreeMap<String, std::net::SocketAddr>,
    pub next_pid: u32,
}

/// A hypervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Node {
    pub id: u32,
    pub address: String,
    pub cores: u32,
    pub memory: u64,
    pub bridges: BTreeSet<String>,
    pub fingerprint: String,
    pub booted: u64,
}

/// Guests and storages under one name.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Pool {
    pub comment: Option<String>,
    pub guests: BTreeSet<u32>,
    pub storages: BTreeSet<String>,
}

/// The shortest time between two rounds of news, in milliseconds, however fast tasks run: a round looks at every guest.
const SHORTEST: u64 = 50;

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl World {
    /// Reads a lab from its folder, or begins one.
    pub(crate) fn open(
        store: &Store,
        site: impl FnOnce() -> Result<Site, Trouble>,
        files: std::path::PathBuf,
    ) -> Result<World, Trouble> {
        let known = store.one("cluster")?;
        let is_new = known.is_none();
        let cluster = match known {
            Some(cluster) => cluster,
            None => Cell::new(Cluster::begin(site()?)?),
        };
        let tasks: Table<Upid, Task> = store.table("task")?;
        let running = tasks
            .iter()
            .filter(|(_, task)| task.exit.is_none())
            .map(|(upid, _)| upid.clone());
        let known_ground = store.one::<Ground>("openstack")?;
        let openstack = match known_ground {
            Some(ground) => Estate {
                ground,
                objects: store.table("openstack-object")?,
                servers: store.table("openstack-server")?,
            },
            None => {
                let wanted = cluster.site.openstack.clone();
                let is_one = wanted.is_some();
                let mut estate = Estate::begin(wanted.unwrap_or_default(), cluster.site.seed)?;
                if is_one {
                    beginning::fill(&mut estate);
                }
                estate
            }
        };
        let mut world = World {
            running: running.collect(),
            openstack,
            cluster,
            guests: store.table("guest")?,
            volumes: store.table("volume")?,
            tasks,
            seen: BTreeMap::new(),
            seen_at: 0,
            orders: Vec::new(),
            no_machines: None,
            no_containers: None,
            no_vms: None,
            accelerator: None,
            images: BTreeMap::new(),
            alive: BTreeSet::new(),
            files,
        };
        world.look_at_roots();
        if is_new {
            world.make_templates();
        }
        world.tell(now(), true);
        Ok(world)
    }

    /// Whether an address is reached from its own network alone.
    pub(crate) fn is_private(&self, address: Ipv4Addr) -> bool {
        self.cluster.site.is_private(address) || self.openstack.is_inside(address)
    }

    /// Returns an address for a machine that asks for one by DHCP.
    pub(crate) fn free_lease(&self) -> Option<(Ipv4Addr, u8)> {
        let given = self.guests.values().flat_map(|guest| {
            let fixed = crate::machines::addresses_of(&guest.config).into_iter();
            fixed.chain(guest.lease).map(|(address, _)| address)
        });
        let taken: BTreeSet<Ipv4Addr> = given.collect();
        self.cluster.site.lease(|address| taken.contains(&address))
    }

    /// How long something takes here that takes so many seconds in life.
    pub(crate) fn scaled(&self, seconds: f64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a speed of zero gives the longest time there is"
        )]
        let milliseconds = (seconds * 1000.0 / self.cluster.site.speed) as u64;
        milliseconds
    }

    /// Lets the nodes tell one another of their guests, as they do every ten seconds.
    pub(crate) fn tell(&mut self, now: u64, at_once: bool) {
        let is_frozen = self.cluster.faults.is_stale(now);
        if !at_once && (is_frozen || now < self.seen_at + self.scaled(10.0).max(SHORTEST)) {
            return;
        }
        self.seen_at = now;
        let seen = |(vmid, guest): (&u32, &Guest)| (*vmid, guest.seen());
        self.seen = self.guests.iter().map(seen).collect();
    }

    /// Whether the nodes that are up are a majority.
    pub(crate) fn is_quorate(&self) -> bool {
        !self.cluster.faults.no_quorum && self.up().count() * 2 > self.cluster.nodes.len()
    }

    /// Returns the names of the nodes that are up.
    pub(crate) fn up(&self) -> impl Iterator<Item = &String> {
        let faults = &self.cluster.faults;
        self.cluster
            .nodes
            .keys()
            .filter(|name| !faults.down.contains(*name))
    }

    pub(crate) fn is_up(&self, node: &str) -> bool {
        self.cluster.nodes.contains_key(node) && !self.cluster.faults.down.contains(node)
    }

    /// Returns the pool of a guest.
    pub(crate) fn pool_of(&self, vmid: u32) -> Option<&str> {
        let mut pools = self.cluster.pools.iter();
        pools
            .find(|(_, pool)| pool.guests.contains(&vmid))
            .map(|(name, _)| name.as_str())
    }

    fn make_templates(&mut self) {
        for template in self.cluster.site.templates.clone() {
            self.make_template(&template);
        }
    }

    fn make_template(&mut self, template: &crate::site::TemplateSite) {
        let root = self.root_named(&template.name);
        let size = self.size_with(root.as_deref(), template.disk_gib << 30);
        let mut guest = Guest::new(template.vmid, &template.node);
        let disk = self.put_volume(
            &template.node,
            &template.storage,
            storage::NewVolume {
                name: storage::disk_name(self, &template.storage, template.vmid, "base", 0),
                content: "images",
                format: storage::format_of(self, &template.storage),
                size,
                owner: Some(template.vmid),
                parent: None,
                root,
            },
        );
        let seed = self.put_volume(
            &template.node,
            &template.storage,
            storage::NewVolume {
                name: storage::cloudinit_name(self, &template.storage, template.vmid),
                content: "images",
                format: storage::format_of(self, &template.storage),
                size: 4 << 20,
                owner: Some(template.vmid),
                parent: None,
                root: None,
            },
        );
        let uuid = self.cluster.draw.uuid();
        let generation = self.cluster.draw.uuid();
        let settings = [
            ("name", template.name.clone()),
            ("template", "1".into()),
            ("memory", "1024".into()),
            ("cores", "1".into()),
            ("agent", "1".into()),
            ("ostype", "l26".into()),
            ("boot", "order=scsi0".into()),
            ("scsihw", "virtio-scsi-single".into()),
            ("serial0", "socket".into()),
            (
                "net0",
                format!("virtio={},bridge=vmbr0", self.cluster.draw.mac()),
            ),
            ("smbios1", format!("uuid={uuid}")),
            ("vmgenid", generation),
            (
                "scsi0",
                format!("{disk},size={}", storage::short_size(size)),
            ),
            ("ide2", format!("{seed},media=cdrom,size=4M")),
        ];
        guest
            .config
            .extend(settings.map(|(key, value)| (key.to_owned(), value)));
        self.guests.insert(template.vmid, guest);
    }
}

impl Cluster {
    fn begin(site: Site) -> Result<Cluster, Trouble> {
        let nodes = (1..).zip(&site.nodes).map(|(id, node)| {
            let made = Node {
                id,
                address: node.address.clone(),
                cores: node.cores,
                memory: node.memory_gib << 30,
                bridges: node.bridges.iter().cloned().collect(),
                fingerprint: String::new(),
                booted: now(),
            };
            (node.name.clone(), made)
        });
        let storages = site
            .storages
            .iter()
            .map(|storage| (storage.name.clone(), Storage::of(storage)));
        let secret = crate::secret(32)?;
        Ok(Cluster {
            draw: Draw::new(site.seed),
            nodes: nodes.collect(),
            storages: storages.collect(),
            access: Access::begin(crate::secret(12)?, Draw::secret_uuid()?, site.release),
            secret,
            pools: BTreeMap::new(),
            options: BTreeMap::new(),
            firewall: Firewall::default(),
            groups: BTreeMap::new(),
            guest_firewalls: BTreeMap::new(),
            sdn: Sdn::default(),
            faults: crate::faults::Faults::new(site.seed),
            listen: BTreeMap::new(),
            next_pid: 1000,
            site,
        })
    }
}

impl World {
    /// Returns the number of a guest by its number or its name.
    pub(crate) fn vmid_of(&self, name: &str) -> Option<u32> {
        if let Some(vmid) = name.parse().ok().filter(|vmid| self.guests.contains(vmid)) {
            return Some(vmid);
        }
        let mut named = self
            .guests
            .iter()
            .filter(|(_, guest)| guest.config.get("name").is_some_and(|it| it == name));
        let found = named.next().map(|(vmid, _)| *vmid);
        // Two of one name: neither is meant.
        found.filter(|_| named.next().is_none())
    }

    /// Cuts the power of a guest: nothing that waits is taken over.
    pub(crate) fn power_off(&mut self, vmid: u32) {
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest.power = guest::Power::Stopped;
            guest.agent_channel = false;
            self.orders.push(Order::Stop(vmid));
        }
    }

    /// Lets a node go down, with the guests that run on it.
    pub(crate) fn node_down(&mut self, node: &str) {
        self.cluster.faults.down.insert(node.to_owned());
        let on: Vec<u32> = self
            .guests
            .values()
            .filter(|guest| guest.node == node && guest.is_running())
            .map(|guest| guest.vmid)
            .collect();
        for vmid in on {
            self.power_off(vmid);
        }
    }

    /// Throws away all that was made; secrets and addresses stay.
    pub(crate) fn reset(&mut self) -> Result<(), Trouble> {
        let guests: Vec<u32> = self.guests.iter().map(|(vmid, _)| *vmid).collect();
        for vmid in guests {
            self.guests.remove(&vmid);
            self.orders.push(Order::Forget(vmid));
        }
        let volumes: Vec<_> = self.volumes.iter().map(|(key, _)| key.clone()).collect();
        for key in volumes {
            if let Some(file) = self.volumes.remove(&key).and_then(|volume| volume.file) {
                // A file that is gone already is no trouble.
                let _ = std::fs::remove_file(self.files.join(file));
            }
        }
        if self.cluster.site.openstack.is_some() {
            // The machines are among the guests, which are gone by now.
            self.openstack.reset(self.cluster.site.seed, &self.files);
        }
        let tasks: Vec<_> = self.tasks.iter().map(|(upid, _)| upid.clone()).collect();
        for upid in tasks {
            self.tasks.remove(&upid);
        }
        self.running.clear();
        self.seen.clear();
        let mut new = Cluster::begin(self.cluster.site.clone())?;
        new.secret.clone_from(&self.cluster.secret);
        new.listen.clone_from(&self.cluster.listen);
        for (name, node) in &mut new.nodes {
            if let Some(old) = self.cluster.nodes.get(name) {
                node.fingerprint.clone_from(&old.fingerprint);
            }
        }
        let first = self.cluster.access.first_token.clone();
        let password = self
            .cluster
            .access
            .users
            .get("root@pam")
            .and_then(|user| user.password.clone());
        new.access = Access::begin(password.unwrap_or_default(), first, new.site.release);
        *self.cluster = new;
        self.make_templates();
        self.tell(now(), true);
        Ok(())
    }
}
