//! Machines over SSH: what providers share on the wire.
//!
//! [`Ssh`] implements [`dmp_sdk::Machines`]. The way of a call:
//!
//! - `ssh_config` reads the person's SSH configuration: the provider `host` plans by it where a machine is, each
//!   connection asks it how to log in;
//! - `pool` holds one connection per machine, made by `connect` (port or bastion, handshake, `auth`), judged by
//!   `host_keys` (pins, `known_hosts`, first contact);
//! - `channel` runs one fixed command there and feeds it a program over standard input, after `sudo` has had its password;
//! - `exchange` is the program that reads: all scripts at once;
//! - `once` runs a person's own command, `copy` brings whole files to and from a machine;
//! - `batch` is the program that writes: it spools a batch into the machine's memory and starts `runner.sh` detached;
//!   `session` follows it through lost connections, `follow` understands what comes back;
//! - `quote` alone turns data into shell text.
//!
//! On the far side a POSIX shell (dash, bash or busybox), `flock` and the usual tools are enough. Root's batches live
//! in `/run/dmp` (memory) and `/var/lib/dmp` (journals and logs), other users' in `/tmp/dmp-<uid>` and
//! `~/.local/state/dmp`; `DMP_RUN_DIR` and `DMP_STATE_DIR` in the session's environment move them.

mod auth;
mod batch;
mod channel;
mod connect;
mod copy;
mod exchange;
mod follow;
mod forget;
mod host_certificates;
mod host_keys;
mod key_files;
mod known_hosts;
mod once;
mod options;
mod pool;
mod quote;
mod retry;
mod session;
mod ssh;
pub mod ssh_config;
mod stand_in;
mod sudo;

pub use copy::{Copied, CopyError, Copying, Target};
pub use host_keys::fingerprint;
pub use once::Piece;
pub use options::{Options, PinHistory, Progress};
pub use ssh::Ssh;

/// Whether a text fits a pattern, where `*` stands for any characters and `?` for one.
#[must_use]
pub fn fits(pattern: &str, text: &str) -> bool {
    ssh_config::pattern::matches(pattern.as_bytes(), text.as_bytes())
}
