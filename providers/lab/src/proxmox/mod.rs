//! The methods that are served, one file per part of the API.
//!
//! A method is a function of the lab's world and the checked parameters of a call. It runs under the world's lock, at once;
//! what takes time becomes a task ([`work`]).

mod access;
mod agent;
mod allowed;
mod cloudinit;
mod cluster;
mod drives;
mod firewall;
mod guests;
mod ha;
mod nodes;
mod pools;
mod power;
mod sdn;
mod settings;
mod snapshots;
mod storage;
mod tasks;
mod upload;
pub(crate) mod work;

use serde_json::{Map, Value, json};

use crate::schema::check::{Errors, Parameters};
use crate::wire::body::Upload;
use crate::world::World;
use crate::world::access::Caller;
use crate::world::guest::Guest;
use crate::world::task::{NewTask, Upid};

pub(crate) use agent::NO_AGENT;
pub(crate) use allowed::allow;
pub(crate) use cloudinit::{meta_data, network_data, own_network_data, user_data};

/// A call under way.
pub(crate) struct Call<'a> {
    pub world: &'a mut World,
    pub caller: Caller,
    pub parameters: Parameters,
    /// The node that was asked.
    pub entry: &'a str,
    /// The file that came with it.
    pub upload: Option<&'a Upload>,
}

/// What a call gives.
#[derive(Debug)]
pub(crate) struct Answer {
    pub data: Value,
    /// Members beside `data`.
    pub more: Map<String, Value>,
}

/// Why a call gives nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// 400, by parameter.
    Parameters(Errors),
    /// 403.
    Permission(String),
    /// 401, with a body.
    Login(String),
    /// 500.
    Said(String),
    /// Somebody else has the lock of this file; the call is tried again until its wait is over.
    Busy(String),
    /// Nothing is wrong, but the answer is had from the guest agent in a virtual machine, which takes its time.
    Asks { vmid: u32, command: &'static str },
}

pub(crate) type Outcome = Result<Answer, Failure>;

/// A method that is served.
pub(crate) type Handler = fn(&mut Call<'_>) -> Outcome;

/// A method and its handler.
pub(crate) struct Served {
    pub method: &'static str,
    pub path: &'static str,
    pub handler: Handler,
}

/// Parts of the API, with their methods.
const PARTS: [&[(&str, Handler)]; 15] = [
    access::METHODS,
    agent::METHODS,
    cloudinit::METHODS,
    cluster::METHODS,
    drives::METHODS,
    firewall::METHODS,
    guests::METHODS,
    ha::METHODS,
    nodes::METHODS,
    pools::METHODS,
    power::METHODS,
    sdn::METHODS,
    settings::METHODS,
    snapshots::METHODS,
    storage::METHODS,
];

/// Returns all methods that are served.
pub(crate) fn served() -> impl Iterator<Item = Served> {
    let parts = PARTS.into_iter().chain([tasks::METHODS, upload::METHODS]);
    parts.flatten().filter_map(|(name, handler)| {
        let (method, path) = name.split_once(' ')?;
        Some(Served {
            method,
            path,
            handler: *handler,
        })
    })
}

impl Answer {
    /// Gives a value.
    pub(crate) fn data(data: impl Into<Value>) -> Outcome {
        Ok(Answer {
            data: data.into(),
            more: Map::new(),
        })
    }

    /// Gives nothing but that it was done.
    pub(crate) fn done() -> Outcome {
        Answer::data(Value::Null)
    }

    /// Gives part of a list, and how long the whole is.
    pub(crate) fn part(data: Vec<Value>, total: usize) -> Outcome {
        let more = Map::from_iter([("total".to_owned(), json!(total))]);
        Ok(Answer {
            data: data.into(),
            more,
        })
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::Said(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Failure {
        Failure::Said(text.to_owned())
    }
}

impl Failure {
    /// One parameter that is wrong.
    pub(crate) fn parameter(name: &str, text: impl AsRef<str>) -> Failure {
        Failure::Parameters(Errors::one(name, text.as_ref()))
    }
}

impl Call<'_> {
    /// Returns the node of the path.
    pub(crate) fn node(&self) -> String {
        self.parameters.needed("node").to_owned()
    }

    pub(crate) fn vmid(&self) -> u32 {
        self.parameters.number("vmid").unwrap_or_default()
    }

    /// Returns the guest of the path, which must be on the node of the path.
    pub(crate) fn guest(&self) -> Result<&Guest, Failure> {
        let (node, vmid) = (self.parameters.needed("node"), self.vmid());
        let guest = self
            .world
            .guests
            .get(&vmid)
            .filter(|guest| guest.node == node);
        guest.ok_or_else(|| missing(node, vmid))
    }

    /// Returns the guest of the path to be changed.
    pub(crate) fn guest_mut(&mut self) -> Result<&mut Guest, Failure> {
        let (node, vmid) = (self.node(), self.vmid());
        self.guest()?;
        self.world
            .guests
            .get_mut(&vmid)
            .ok_or_else(|| missing(&node, vmid))
    }

    /// Begins a task of the guest of the path.
    pub(crate) fn task(&mut self, kind: &str, seconds: f64, work: work::Work) -> Outcome {
        let id = self.vmid().to_string();
        self.task_for(kind, id, seconds, work)
    }

    /// Begins a task on the node of the path.
    pub(crate) fn task_for(
        &mut self,
        kind: &str,
        id: String,
        seconds: f64,
        work: work::Work,
    ) -> Outcome {
        let node = match self.parameters.text("node") {
            Some(node) => node.to_owned(),
            None => self.entry.to_owned(),
        };
        let user = self.caller.name();
        let Upid(name) = self.world.begin(NewTask {
            node: &node,
            kind,
            id,
            user: &user,
            seconds,
            work,
        });
        Answer::data(name)
    }

    /// Refuses what takes a majority, where there is none, in the words of the part that is asked.
    pub(crate) fn needs_quorum(&self, words: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.world.is_quorate() {
            Ok(())
        } else {
            Err(Failure::Said(words()))
        }
    }

    /// Refuses a guest that is locked.
    pub(crate) fn unlocked(&self) -> Result<(), Failure> {
        let skips = self.parameters.is_set("skiplock");
        match self.guest()?.lock() {
            Some(lock) if !skips => Err(format!("VM is locked ({lock})").into()),
            _ => Ok(()),
        }
    }

    /// Compares the digest that was sent, if one was.
    pub(crate) fn same_digest(&self, digest: &str, words: &str) -> Result<(), Failure> {
        match self.parameters.text("digest") {
            Some(sent) if sent != digest => Err(words.into()),
            _ => Ok(()),
        }
    }

    /// Whether the caller has any of some privileges at a path.
    pub(crate) fn may(&self, path: &str, privileges: &[&str]) -> bool {
        let pool = allowed::pool_at(self.world, path);
        let rights = self
            .world
            .cluster
            .access
            .rights(&self.caller, path, pool.as_deref());
        privileges.iter().any(|name| rights.contains(*name))
    }

    /// Refuses who has not all of some privileges at a path.
    pub(crate) fn must(&self, path: &str, privileges: &[&str]) -> Result<(), Failure> {
        for name in privileges {
            if !self.may(path, &[name]) {
                return Err(Failure::Permission(format!(
                    "Permission check failed ({path}, {name})"
                )));
            }
        }
        Ok(())
    }
}

/// What most objects are told of whose file was changed by somebody else.
pub(crate) const CHANGED: &str =
    "detected modified configuration - file changed by other user? Try again.";

fn missing(node: &str, vmid: u32) -> Failure {
    format!("Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist").into()
}
