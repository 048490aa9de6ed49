//! The lab: an embedded Proxmox VE API and an embedded OpenStack, with machines behind them, for trying stacks and rehearsing
//! disasters.
//!
//! It meets providers on the wire alone. Everything is in one process and one folder.
//!
//! | part | what it does |
//! | --- | --- |
//! | `site` | what a lab begins as |
//! | `world` | all that a lab holds, and how it is kept in its folder |
//! | `schema` | what the published description says of each method, and the check of parameters |
//! | `proxmox` | the methods of Proxmox VE, and what tasks do |
//! | `openstack` | the OpenStack |
//! | `faults` | what goes wrong on demand |
//! | `wire` | TLS, who calls, what is sent and answered, the lab's own calls |
//! | `machines` | machines with a shell in them, reached by SSH |
//! | `services` | what stands in for haproxy and nginx in `process` machines |
//! | `lab` | a lab that runs |
//! | `command` | `dmp lab` |

pub mod command;
mod faults;
mod folder;
mod hash;
mod image;
mod lab;
pub mod machines;
mod openstack;
mod proxmox;
mod schema;
mod services;
mod site;
mod wire;
mod world;

use std::path::Path;

pub use lab::{Lab, LabOptions, Written, WrittenOpenStack};
pub use openstack::{ExternalSite, FlavorSite, OpenStackSite};
pub use site::{More, NetworkSite, NodeSite, Release, RootSite, Site, StorageSite, TemplateSite};

/// Why a lab can't do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// A file or folder.
    #[error("`{path}`: {error}")]
    File {
        /// Which.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The lab's documents.
    #[error("the lab's folder can't be written: {0}")]
    Store(#[from] rusqlite::Error),
    /// Something in the folder is not as it was left.
    #[error("the lab's folder is damaged: {0}")]
    Damaged(String),
    /// No certificate can be made.
    #[error("no certificate can be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS can't be set up.
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandom,
    /// Another process serves this lab.
    #[error("this lab is served already, by process {0}")]
    Taken(u32),
    /// No lab answers.
    #[error("the lab does not run: {0}")]
    NotRunning(String),
    /// The lab says no.
    #[error("{0}")]
    Refused(String),
}

impl Trouble {
    fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Trouble {
        let path = path.display().to_string();
        move |error| Trouble::File { path, error }
    }
}

/// Returns a secret of so many bytes, in hexadecimal digits.
fn secret(bytes: usize) -> Result<String, Trouble> {
    let mut drawn = vec![0; bytes];
    aws_lc_rs::rand::fill(&mut drawn).map_err(|_| Trouble::NoRandom)?;
    Ok(hex::encode(drawn))
}

/// Returns the names of all methods that are served, as `GET /nodes`.
pub fn served() -> Vec<String> {
    proxmox::served()
        .map(|served| format!("{} {}", served.method, served.path))
        .collect()
}
