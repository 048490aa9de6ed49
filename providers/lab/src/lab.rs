//! A lab that runs: its world under one lock, its listeners, its clock.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::machines::{self, Machines};
pub use crate::openstack::Written as WrittenOpenStack;
use crate::proxmox::{self, Served};
use crate::site::{More, Release, Site};
use crate::wire::server::Entrance;
use crate::wire::{control, server, tls};
use crate::world::store::Store;
use crate::world::{Order, World, now};
use crate::{Trouble, folder};

/// How a lab is to be served.
#[derive(Debug)]
pub struct LabOptions {
    /// The lab's folder; made where it is not there.
    pub folder: PathBuf,
    /// Where the first node listens, the others on the ports after it; port 0 takes any that are free.
    pub listen: SocketAddr,
    /// What a new lab begins as.
    pub site: Option<Site>,
    /// What it is told of beside that, also when it is taken up again.
    pub more: More,
    /// Whether there are to be machines behind the API; they are processes of this program under another name.
    pub has_machines: bool,
}

/// What others need to find a lab: the file `lab.json` in its folder, which its owner alone can read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Written {
    /// The form of this file.
    pub version: u32,
    /// The process that serves it.
    pub pid: u32,
    /// One for each node.
    pub endpoints: Vec<String>,
    /// The nodes' names, in the same order.
    pub nodes: Vec<String>,
    /// The certificate of the lab's authority.
    pub ca_file: PathBuf,
    /// SHA-256 of each node's certificate, in the same order.
    pub fingerprints: Vec<String>,
    /// An API token with all rights: `USER@REALM!NAME=SECRET`.
    pub token: String,
    /// The superuser, for what takes a ticket.
    pub username: String,
    /// The superuser's password.
    pub password: String,
    /// The key for the lab's own calls.
    pub key: String,
    /// Its OpenStack, where it is one.
    #[serde(default)]
    pub openstack: Option<WrittenOpenStack>,
}

/// A lab that runs.
#[derive(Debug)]
pub struct Lab {
    shared: Arc<Shared>,
    written: Written,
    workers: Vec<tokio::task::JoinHandle<()>>,
    _lock: File,
}

/// What all connections share.
pub(crate) struct Shared {
    state: Mutex<State>,
    pub served: Vec<Served>,
    missing: Mutex<BTreeMap<String, u64>>,
    calls: AtomicU64,
    files: AtomicU64,
    folder: PathBuf,
    pub machines: Machines,
    /// What the nodes run.
    pub release: Release,
    /// Whether the nodes speak the API of Proxmox VE.
    pub has_proxmox: bool,
    /// What went wrong beside the calls.
    notes: Mutex<Vec<String>>,
    pub stop: Notify,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

struct State {
    world: World,
    store: Store,
}

impl Written {
    /// Reads `lab.json` of a lab's folder.
    ///
    /// # Errors
    /// Where there is none.
    pub fn read(lab: &Path) -> Result<Written, Trouble> {
        let path = lab.join("lab.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|_| Trouble::NotRunning(format!("there is no `{}`", path.display())))?;
        serde_json::from_str(&text)
            .map_err(|error| Trouble::Damaged(format!("`{}`: {error}", path.display())))
    }
}

impl Lab {
    /// Takes a lab up, or begins one, and serves it until it is stopped.
    ///
    /// # Errors
    /// Where its folder can't be used, or another process serves it.
    pub async fn serve(options: LabOptions) -> Result<Lab, Trouble> {
        folder::make(&options.folder)?;
        let lab = options
            .folder
            .canonicalize()
            .map_err(Trouble::file(&options.folder))?;
        let lock = only_one(&lab)?;
        let files = lab.join("files");
        folder::make(&files)?;
        let store = Store::open(&lab.join("lab.sqlite"))?;
        let site = options.site.unwrap_or_default();
        let mut world = World::open(&store, || Ok(site), files)?;
        world.learn(options.more)?;
        if options.has_machines {
            world.no_machines = machines::probe(&lab).await;
            // Who has none of these machines misses nothing.
            let has_roots = world.cluster.site.roots.len() > world.images.len();
            world.no_containers = has_roots.then(|| machines::no_containers(&lab)).flatten();
            if !world.images.is_empty() {
                world.no_vms = machines::no_vms().await;
            }
            if !world.images.is_empty() && world.no_vms.is_none() {
                world.accelerator = Some(machines::accelerator(&lab).await);
            }
        }
        let mut listeners = Vec::new();
        let (mut endpoints, mut fingerprints, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
        let names: Vec<String> = world
            .cluster
            .site
            .nodes
            .iter()
            .map(|node| node.name.clone())
            .collect();
        for (index, name) in (0u16..).zip(names) {
            let identity = tls::identity(&lab, &name)?;
            let before = world.cluster.listen.get(&name).copied();
            let listener = listener(before, options.listen, index).await?;
            let address = listener.local_addr().map_err(Trouble::file(&lab))?;
            world.cluster.listen.insert(name.clone(), address);
            if let Some(node) = world.cluster.nodes.get_mut(&name) {
                node.fingerprint.clone_from(&identity.fingerprint);
            }
            endpoints.push(format!("https://{address}"));
            fingerprints.push(identity.fingerprint);
            nodes.push(name.clone());
            let acceptor = TlsAcceptor::from(identity.config);
            listeners.push((Entrance::Node(name), listener, acceptor));
        }
        let mut openstack = None;
        if world.cluster.site.openstack.is_some() {
            let identity = tls::identity(&lab, "openstack")?;
            let index = u16::try_from(nodes.len()).unwrap_or(u16::MAX);
            let before = world.openstack.ground.listen;
            let listener = listener(before, options.listen, index).await?;
            let address = listener.local_addr().map_err(Trouble::file(&lab))?;
            world.openstack.ground.listen = Some(address);
            let (base, ca_file) = (format!("https://{address}"), tls::authority_file(&lab));
            let ground = &world.openstack.ground;
            openstack = Some(WrittenOpenStack::write(&lab, &base, &ca_file, ground)?);
            let acceptor = TlsAcceptor::from(identity.config);
            listeners.push((Entrance::OpenStack, listener, acceptor));
        }
        let access = &world.cluster.access;
        let password = access
            .users
            .get("root@pam")
            .and_then(|user| user.password.clone())
            .unwrap_or_default();
        let written = Written {
            version: 1,
            pid: std::process::id(),
            endpoints,
            nodes,
            ca_file: tls::authority_file(&lab),
            fingerprints,
            token: format!("dmp@pve!lab={}", access.first_token),
            username: "root@pam".into(),
            password,
            key: world.cluster.secret.clone(),
            openstack,
        };
        let has_proxmox = world.cluster.site.proxmox;
        let release = world.cluster.site.release;
        let shared = Arc::new(Shared {
            release,
            has_proxmox,
            state: Mutex::new(State { world, store }),
            served: proxmox::served().collect(),
            missing: Mutex::default(),
            calls: AtomicU64::new(0),
            files: AtomicU64::new(0),
            folder: lab.clone(),
            machines: Machines::default(),
            notes: Mutex::default(),
            stop: Notify::new(),
        });
        shared.change(|_| ());
        let text = serde_json::to_string_pretty(&written).unwrap_or_default();
        folder::write_private(&lab.join("lab.json"), text.as_bytes())?;
        let mut workers = vec![tokio::spawn(tick(shared.clone()))];
        if options.has_machines {
            workers.push(tokio::spawn(machines::work(shared.clone())));
        }
        for (entrance, listener, acceptor) in listeners {
            workers.push(tokio::spawn(server::serve(
                shared.clone(),
                entrance,
                listener,
                acceptor,
            )));
        }
        Ok(Lab {
            shared,
            written,
            workers,
            _lock: lock,
        })
    }

    /// Returns what is in `lab.json`.
    #[must_use]
    pub fn written(&self) -> &Written {
        &self.written
    }

    /// Returns why machines can't be started here, where that is so.
    #[must_use]
    pub fn no_machines(&self) -> Option<String> {
        self.shared.with(|world| world.no_machines.clone())
    }

    /// Returns why machines can't be made of the root file systems that there are, where that is so.
    #[must_use]
    pub fn no_containers(&self) -> Option<String> {
        self.shared.with(|world| world.no_containers.clone())
    }

    /// Returns why machines can't be made of the disk images that there are, where that is so.
    #[must_use]
    pub fn no_vms(&self) -> Option<String> {
        self.shared.with(|world| world.no_vms.clone())
    }

    /// Returns why virtual machines are emulated, where they are: they take minutes to boot then.
    #[must_use]
    pub fn emulated(&self) -> Option<String> {
        self.shared
            .with(|world| world.accelerator.as_ref()?.reason().map(str::to_owned))
    }

    /// Waits until somebody asks the lab to stop.
    pub async fn stopped(&self) {
        self.shared.stop.notified().await;
    }

    /// Ends it; what it holds stays in its folder.
    pub async fn end(self) {
        for worker in &self.workers {
            worker.abort();
        }
        self.shared.machines.end_all(&self.shared.folder).await;
        // A lab that does not run is not to be found.
        for name in ["lab.json", "clouds.yaml"] {
            let _ = std::fs::remove_file(self.shared.folder.join(name));
        }
    }
}

/// Keeps others from serving the same folder for as long as the file is open.
fn only_one(lab: &Path) -> Result<File, Trouble> {
    let path = lab.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(Trouble::file(&path))?;
    match file.try_lock() {
        Ok(()) => {
            std::fs::write(&path, std::process::id().to_string()).map_err(Trouble::file(&path))?;
            Ok(file)
        }
        Err(std::fs::TryLockError::WouldBlock) => {
            let holder = std::fs::read_to_string(&path)
                .ok()
                .and_then(|text| text.trim().parse().ok());
            Err(Trouble::Taken(holder.unwrap_or(0)))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(Trouble::file(&path)(error)),
    }
}

/// Opens a listener: where it was the last time, where that is what is asked for.
async fn listener(
    before: Option<SocketAddr>,
    wanted: SocketAddr,
    index: u16,
) -> Result<TcpListener, Trouble> {
    let mut address = wanted;
    if wanted.port() != 0 {
        address.set_port(wanted.port().saturating_add(index));
    } else if let Some(before) = before
        && let Ok(listener) = TcpListener::bind(before).await
    {
        return Ok(listener);
    }
    TcpListener::bind(address)
        .await
        .map_err(|error| Trouble::File {
            path: address.to_string(),
            error,
        })
}

/// Ends tasks when they are due, also while nobody calls.
async fn tick(shared: Arc<Shared>) {
    let mut faults = None;
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        shared.read_faults(&mut faults);
        shared.change(|_| ());
    }
}

impl Shared {
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns what is to be done with machines.
    pub(crate) fn take_orders(&self) -> Vec<Order> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.world.orders)
    }

    /// Keeps what went wrong beside the calls, to be told in the status.
    pub(crate) fn note(&self, text: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(text);
        let surplus = notes.len().saturating_sub(100);
        notes.drain(..surplus);
    }

    /// Looks at the world.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        look(&state.world)
    }

    /// Changes the world; what has changed is on disk when this returns.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { world, store } = &mut *state;
        world.settle();
        world.settle_openstack();
        world.tell(now(), false);
        let done = change(world);
        if let Err(error) = store.save(world) {
            self.give_up(&error);
        }
        done
    }

    /// A lab that can't write would forget what it has answered: it stops.
    fn give_up(&self, error: &Trouble) {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "error: {error}; the lab stops");
        self.stop.notify_waiters();
    }

    /// Carries a call out.
    pub(crate) fn call<T>(&self, call: impl FnOnce(&mut World) -> T) -> T {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.change(call)
    }

    pub(crate) fn count_missing(&self, method: &str, path: &str) {
        let numbers = |part: &str| {
            let is_number = !part.is_empty() && part.chars().all(|it| it.is_ascii_digit());
            let is_id =
                part.len() >= 32 && part.chars().all(|it| it.is_ascii_hexdigit() || it == '-');
            if is_number || is_id {
                "N".to_owned()
            } else {
                part.to_owned()
            }
        };
        let path: Vec<_> = path.split('/').map(numbers).collect();
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        *missing
            .entry(format!("{method} {}", path.join("/")))
            .or_default() += 1;
    }

    /// Returns where a file can be put that is being received.
    pub(crate) fn new_file(&self) -> PathBuf {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        self.folder
            .join("files")
            .join(format!("upload-{}-{number}", std::process::id()))
    }

    /// Returns what goes on.
    pub(crate) fn status(&self) -> Value {
        let missing = self
            .missing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let notes = self
            .notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        self.with(|world| {
            let port = world.cluster.site.ssh_port;
            let machines = world.guests.values().map(|guest| {
                json!({
                    "addresses": self.machines.doors(guest.vmid, port), "strength": world.strength_of(guest).name(),
                    "vmid": guest.vmid, "name": guest.name(), "node": guest.node, "template": guest.is_template(),
                    "running": guest.is_running(), "lock": guest.lock(),
                })
            });
            let nodes: BTreeMap<_, _> = world.cluster.nodes.keys().map(|name| (name, world.is_up(name))).collect();
            json!({
                "cluster": world.cluster.site.cluster, "speed": world.cluster.site.speed, "seed": world.cluster.site.seed,
                "quorate": world.is_quorate(), "nodes": nodes, "machines": machines.collect::<Vec<_>>(),
                "running_tasks": world.running.len() + world.openstack.ground.steps.len(), "calls": self.calls.load(Ordering::Relaxed), "not_served": missing, "no_machines": world.no_machines, "no_containers": world.no_containers,
                "no_vms": world.no_vms, "emulated": world.accelerator.as_ref().and_then(machines::Accelerator::reason), "notes": notes,
                "faults": if world.cluster.faults.is_none() { Value::Null } else { json!(world.cluster.faults) },
            })
        })
    }

    /// Cuts the power of a machine.
    pub(crate) fn kill(&self, name: &str) -> Result<String, String> {
        self.change(|world| {
            let vmid = world
                .vmid_of(name)
                .ok_or(format!("there is no machine `{name}`"))?;
            if !world
                .guests
                .get(&vmid)
                .is_some_and(crate::world::guest::Guest::is_running)
            {
                return Err(format!("`{name}` does not run"));
            }
            world.power_off(vmid);
            Ok(format!("machine {vmid} is off"))
        })
    }

    /// Throws away all that was made, and begins anew with the same secrets, certificates and addresses.
    pub(crate) fn reset(&self) -> Result<(), Trouble> {
        self.change(World::reset)
    }

    /// Takes over `faults.json` of the folder when it has changed.
    fn read_faults(&self, last: &mut Option<std::time::SystemTime>) {
        let path = self.folder.join("faults.json");
        let changed = std::fs::metadata(&path)
            .and_then(|about| about.modified())
            .ok();
        if changed == *last {
            return;
        }
        *last = changed;
        let Ok(text) = std::fs::read_to_string(&path) else {
            return;
        };
        let read: Result<Vec<Value>, _> = serde_json::from_str(&text);
        let applied = read.map_err(|error| error.to_string()).and_then(|faults| {
            self.change(|world| {
                world.clear_faults();
                faults
                    .iter()
                    .try_for_each(|fault| control::apply(world, fault))
            })
        });
        if let Err(error) = applied {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "warning: `{}`: {error}", path.display());
        }
    }
}
