//! What dmp owns, and whether it is safely on disk.
//!
//! The truth is a log of commits, each with its serial and the hash of the one before; a backend keeps the log and
//! what it amounts to in one transaction. [`Store`] is the only way in: it seals secrets, checks the chain, and
//! refuses a second writer, a newer format and a log that was changed.

pub mod backends;
pub mod commit;
pub mod id;
pub mod intent;
pub mod keys;
pub mod lock;
pub mod recipients;
pub mod record;
pub mod seen;
pub mod store;

pub use age::secrecy::SecretString;
pub use backends::{Backend, Wiped, local::Local};
pub use commit::{Commit, Hash, Serial};
pub use id::{mint_id, mint_seed};
pub use intent::{Intent, RunningBatch};
pub use keys::Keys;
pub use lock::{Holder, Lock, LockError};
pub use recipients::{Access, Wanted};
pub use record::{
    Dependency, EdgeKind, Group, Hosting, Instance, Output, ProviderRecord, Record, Status,
};
pub use store::{Outside, Snapshot, StateError, Store};
