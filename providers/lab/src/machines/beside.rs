//! What the processes beside machines have in common, which run for a machine on the host's side: each runs one machine alone, tells
//! the lab how far it is, hears what the lab says, and ends what it has started with itself.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::inside::{NAME, said, told};

/// How long what is left of an earlier start may take to go, and the lab to plug cables in.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until no other process runs the machine in the current folder.
pub(super) fn alone() -> Result<File, String> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open("running")
        .map_err(told("running"))?;
    let until = Instant::now() + PATIENCE;
    while file.try_lock().is_err() {
        if Instant::now() > until {
            return Err("an earlier start of this machine does not end".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(file)
}

/// Returns a process of this program that does something else for the same machine.
pub(super) fn own(mode: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(NAME).arg(mode).env_clear();
    command
}

/// Has the kernel end this process, and what it becomes, with the one that has started it.
pub(super) fn die_with_parent() -> Result<(), String> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| format!("prctl: {error}"))
}

/// Tells the lab something.
pub(super) fn say(line: &str) -> Result<(), String> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(told("can't tell the lab"))
}

/// Returns what the lab says, if it says something in time; nothing but emptiness when it is gone.
pub(super) fn hear(patience: Duration) -> Result<Option<String>, String> {
    let stdin = std::io::stdin();
    let mut waiting = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    if poll(&mut waiting, timeout).map_err(said("poll"))? == 0 {
        return Ok(None);
    }
    // Words are short, and one follows the other only after an answer or a wait.
    let mut heard = [0; 64];
    let count = nix::unistd::read(stdin.as_fd(), &mut heard).map_err(said("read"))?;
    let text = String::from_utf8_lossy(&heard[..count]).into_owned();
    Ok(Some(text.trim().to_owned()))
}
