//! What runs for a router in processes of its own: `hold-network` is what its network namespace is there by, and ends with the lab;
//! `in-network` runs one command in it.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};

use super::super::beside::{hear, say};
use super::super::inside::{Done, said, told, word};

/// Makes a network namespace that hands packets on, and keeps it for as long as the lab listens.
pub(in super::super) fn hold(_: &[OsString]) -> Done {
    unshare(CloneFlags::CLONE_NEWNET).map_err(said("unshare"))?;
    // Who goes by an address outside to a neighbour inside would be told of a shorter way, on which nobody translates addresses.
    for (name, value) in [
        ("ip_forward", "1"),
        ("conf/all/send_redirects", "0"),
        ("conf/default/send_redirects", "0"),
    ] {
        std::fs::write(format!("/proc/sys/net/ipv4/{name}"), value).map_err(told(name))?;
    }
    say("unshared")?;
    loop {
        if hear(Duration::from_secs(3600))?.as_deref() == Some("") {
            return Ok(0);
        }
    }
}

/// Becomes a command in the network namespace of a process: PID PROGRAM ARGUMENT….
pub(in super::super) fn within(arguments: &[OsString]) -> Done {
    let pid = word(arguments, 0)?;
    let (program, parameters) = arguments
        .get(1..)
        .and_then(<[OsString]>::split_first)
        .ok_or("no command")?;
    let path = format!("/proc/{pid}/ns/net");
    let namespace = File::open(path).map_err(told("the router is gone"))?;
    setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET).map_err(said("setns"))?;
    let failed = Command::new(program).args(parameters).exec();
    Err(format!("{}: {failed}", program.display()))
}
