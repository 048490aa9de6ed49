//! The SSH configuration of the person who runs dmp (`~/.ssh/config`, `/etc/ssh/ssh_config`), read the way OpenSSH
//! reads it. Called by the provider `host`, which plans where a host is (`route`), and by `connect`, which logs in
//! (`login`). It runs nothing, and never writes.
//!
//! - `words` cuts a line, `pattern` matches names, `settings` knows each keyword, `jump` what `ProxyJump` names;
//! - `resolve` goes over the lines for one host and gives a [`Found`];
//! - `expand` fills in tokens, homes and variables;
//! - `files` reads the disk, `route` and `login` make of a [`Found`] what dmp needs.
//!
//! What is read differently from OpenSSH, on purpose, is listed in docs/operations/machines.md.

mod expand;
mod files;
mod jump;
mod login;
pub(crate) mod pattern;
mod person;
mod resolve;
mod route;
mod settings;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use expand::Person;
pub use jump::Hop;
pub use login::Login;
pub use resolve::{Asked, ConfigError, Files, Found, Root};
pub use route::{Bastion, Route};
pub use settings::{Place, Settings, Strictness};

/// The configuration of one person, read once.
#[derive(Clone)]
pub struct SshConfig {
    roots: Vec<Root>,
    person: Arc<Person>,
    files: Arc<dyn Files + Send + Sync>,
}

impl SshConfig {
    /// What [`VARIABLE`] names: `none`, a file, or the usual files where it is not set.
    #[must_use]
    pub fn from_environment() -> Self {
        let person = Person::from_environment();
        let wanted = person.variables.get(VARIABLE).cloned();
        match wanted.as_deref() {
            None | Some("") => Self::usual(person),
            Some("none") => Self::none(),
            Some(file) => Self::of_file(Path::new(file), person),
        }
    }

    /// No configuration: every host is what it is called.
    #[must_use]
    pub fn none() -> Self {
        Self::of(
            Vec::new(),
            Person::default(),
            Arc::new(files::Disk::new(0, None)),
        )
    }

    /// One file alone, as by `ssh -F`.
    #[must_use]
    pub fn of_file(file: &Path, person: Person) -> Self {
        let root = Root {
            file: file.to_owned(),
            folder: person.home.join(".ssh"),
            is_own: true,
            is_needed: true,
        };
        let disk = files::Disk::new(person.uid, Some(file.to_owned()));
        Self::of(vec![root], person, Arc::new(disk))
    }

    /// The person's file, then that of the machine here.
    #[must_use]
    pub fn usual(person: Person) -> Self {
        let own = person.home.join(".ssh");
        let root = |folder: PathBuf, name, is_own| Root {
            file: folder.join(name),
            folder,
            is_own,
            is_needed: false,
        };
        let roots = vec![
            root(own, "config", true),
            root("/etc/ssh".into(), "ssh_config", false),
        ];
        let disk = files::Disk::new(person.uid, None);
        Self::of(roots, person, Arc::new(disk))
    }

    /// These files of this person.
    #[must_use]
    pub fn of(roots: Vec<Root>, person: Person, files: Arc<dyn Files + Send + Sync>) -> Self {
        Self {
            roots,
            person: Arc::new(person),
            files,
        }
    }

    /// Whether it is left unread.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.roots.is_empty()
    }

    /// What the files say of a host, as it is written there.
    ///
    /// # Errors
    /// When a file can't be read, or says something that ssh would refuse too.
    pub fn look_up(&self, asked: &Asked) -> Result<Found, ConfigError> {
        resolve::resolve(&self.roots, asked, &self.person, self.files.as_ref())
    }
}

impl std::fmt::Debug for SshConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SshConfig")
            .field("roots", &self.roots)
            .finish_non_exhaustive()
    }
}

/// The variable that says which configuration is read.
pub const VARIABLE: &str = "DMP_SSH_CONFIG";
