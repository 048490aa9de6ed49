//! The OpenStack of a lab: its APIs on one listener, each below a path of its own, with the machines of the lab behind.
//!
//! A call is a function of the lab's world, run under its lock, at once; what takes time becomes a step. Words and statuses are
//! those of the projects' own sources; what a service of the lab does not have is answered by 501 and counted.
//!
//! | part | what it does |
//! | --- | --- |
//! | `site`, `beginning` | what it begins as |
//! | `estate` | all that it holds |
//! | `steps` | what goes on by itself after a call was answered |
//! | `wire`, `versions` | what is sent and answered, tokens, versions, faults |
//! | `listing` | filters, order and pages of listings |
//! | `shape`, `failure` | the form of what is sent, and why a call gives nothing |
//! | `keystone`, `nova`, `neutron`, `cinder`, `glance` | the services |

mod addresses;
pub(crate) mod beginning;
mod cinder;
mod clouds;
pub(crate) mod estate;
mod failure;
mod glance;
mod keystone;
mod listing;
mod neutron;
mod nova;
mod shape;
mod site;
mod steps;
mod versions;
mod wire;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::wire::body::Upload;
use crate::world::World;
pub(crate) use clouds::CLOUD;
pub use clouds::Written;
pub(crate) use failure::Failure;
pub(crate) use neutron::{Allowed, Guard, Plug, Way};
pub use site::{ExternalSite, FlavorSite, OpenStackSite};
pub(crate) use wire::answer;

/// The services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Keystone.
    Identity,
    /// Nova.
    Compute,
    /// Neutron.
    Network,
    /// Cinder.
    BlockStorage,
    /// Glance.
    Image,
}

impl Service {
    const ALL: [Service; 5] = [
        Service::Identity,
        Service::Compute,
        Service::Network,
        Service::BlockStorage,
        Service::Image,
    ];

    /// Returns the part of the path that it is below.
    fn prefix(self) -> &'static str {
        match self {
            Service::Identity => "identity",
            Service::Compute => "compute",
            Service::Network => "network",
            Service::BlockStorage => "volume",
            Service::Image => "image",
        }
    }

    fn routes(self) -> &'static [Route] {
        match self {
            Service::Identity => keystone::ROUTES,
            Service::Compute => nova::ROUTES,
            Service::Network => neutron::ROUTES,
            Service::BlockStorage => cinder::ROUTES,
            Service::Image => glance::ROUTES,
        }
    }
}

/// A version of an API: major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub u32, pub u32);

/// What is served: method and path, and what does it.
type Route = (&'static str, Handler);

type Handler = fn(&mut Call<'_>) -> Outcome;

type Outcome = Result<Answer, Failure>;

/// A call under way.
pub(crate) struct Call<'a> {
    pub world: &'a mut World,
    pub caller: Caller,
    /// Where the lab is asked: `https://127.0.0.1:5000`.
    pub base: &'a str,
    pub placeholders: BTreeMap<String, String>,
    pub query: Vec<(String, String)>,
    pub body: Value,
    pub version: Version,
    /// The file that came with it.
    pub upload: Option<&'a Upload>,
    /// The token that is asked about.
    pub subject: Option<String>,
}

/// Who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    pub user: String,
    /// The id of the project that the token is for.
    pub project: String,
    pub is_admin: bool,
}

/// What a call gives.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// Null where there is none.
    pub body: Value,
    pub headers: Vec<(&'static str, String)>,
    /// A file in place of a body.
    pub file: Option<std::path::PathBuf>,
}

impl Answer {
    fn with(status: u16, body: Value) -> Outcome {
        Ok(Answer {
            status,
            body,
            headers: Vec::new(),
            file: None,
        })
    }

    /// Gives a value, with 200.
    fn ok(body: Value) -> Outcome {
        Answer::with(200, body)
    }

    /// Gives nothing but a status.
    fn empty(status: u16) -> Outcome {
        Answer::with(status, Value::Null)
    }
}

impl Call<'_> {
    /// Returns what the path has at a placeholder.
    fn at(&self, name: &str) -> &str {
        self.placeholders.get(name).map_or("", String::as_str)
    }

    /// Returns the id that the path names.
    fn id(&self) -> String {
        self.at("id").to_owned()
    }

    /// Returns the value of a word of the query.
    fn asked(&self, name: &str) -> Option<&str> {
        let mut query = self.query.iter();
        query
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns what the body asks to be done, by its only member.
    fn action(&self) -> Result<(String, Value), Failure> {
        let members = self.body.as_object();
        let sent = members.and_then(|members| members.iter().next());
        let (name, value) = sent.ok_or_else(|| Failure::bad("Malformed request body"))?;
        Ok((name.clone(), value.clone()))
    }

    /// Whether an object of a project may be seen.
    fn sees(&self, project: &str) -> bool {
        self.caller.is_admin || self.caller.project == project
    }

    /// Returns how much of something a project may have.
    fn quota(&self, name: &str) -> i64 {
        self.world.openstack.ground.site.quota(name)
    }
}
