//! `dmp copy`: a file to one or several machines, or from one, by the connections that the state has. What is at the
//! other end is the file as a whole, or what was there before.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dmp_lang::Sources;
use dmp_sdk::{Address, Diagnostic, Machine, Machines};
use dmp_state::Snapshot;
use dmp_transport::{Copied, Ssh as Transport, Target};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{fail, say, ssh_many};
use crate::arguments::Copy;
use crate::stack::open_state;
use crate::{Context, Exit, reach};

pub(crate) async fn run(context: &Context, directory: &Path, arguments: &Copy) -> Exit {
    let fail = |diagnostic| fail(context, &Sources::new(), &[diagnostic]);
    let store = match open_state(directory) {
        Ok(store) => store,
        Err(diagnostic) => return fail(diagnostic),
    };
    match errands(store.snapshot(), arguments) {
        Ok(errands) => carry_out(directory, errands, arguments.parallelism).await,
        Err(diagnostic) => fail(diagnostic),
    }
}

/// One copy.
enum Errand {
    Up(Address, Machine, PathBuf, Target),
    Down(Address, Machine, String, PathBuf),
}

fn errands(snapshot: &Snapshot, arguments: &Copy) -> Result<Vec<Errand>, Diagnostic> {
    let (from, to) = (side(&arguments.from), side(&arguments.to));
    match (from, to) {
        (Side::Here(file), Side::There(pattern, path)) => {
            let target = target(&file, path, arguments)?;
            let machines = ssh_many::fitting(snapshot, pattern, None)?;
            let errand =
                |(address, machine)| Errand::Up(address, machine, file.clone(), target.clone());
            Ok(machines.into_iter().map(errand).collect())
        }
        (Side::There(pattern, path), Side::Here(file)) => {
            let path = absolute(path)?;
            let mut machines = ssh_many::fitting(snapshot, pattern, None)?;
            let Some((address, machine)) = machines.pop().filter(|_| machines.is_empty()) else {
                return Err(wrong("a file comes from one machine, and several fit"));
            };
            let file = if file.is_dir() {
                file.join(path.rsplit('/').next().unwrap_or_default())
            } else {
                file
            };
            Ok(vec![Errand::Down(address, machine, path, file)])
        }
        _ => Err(wrong(
            "one of the two is on a machine, as `ADDRESS:/path`, and one is here",
        )),
    }
}

fn wrong(what: &str) -> Diagnostic {
    Diagnostic::error("wrong-copy", "this can't be copied").detail(what)
}

enum Side<'a> {
    Here(PathBuf),
    There(&'a str, &'a str),
}

/// `ADDRESS:/path`, where the colon is not one inside of quotes; all else is a path here.
fn side(text: &str) -> Side<'_> {
    let mut is_quoted = false;
    for (position, char) in text.char_indices() {
        match char {
            '"' => is_quoted = !is_quoted,
            '/' if !is_quoted => break,
            ':' if !is_quoted && position > 0 => {
                return Side::There(&text[..position], &text[position + 1..]);
            }
            _ => {}
        }
    }
    Side::Here(PathBuf::from(text))
}

fn absolute(path: &str) -> Result<String, Diagnostic> {
    if path.starts_with('/') && !path.contains(['\n', '\0']) {
        return Ok(path.to_owned());
    }
    Err(wrong("a path on a machine begins with `/`"))
}

fn target(file: &Path, path: &str, arguments: &Copy) -> Result<Target, Diagnostic> {
    let metadata = std::fs::metadata(file).map_err(|error| {
        wrong(&format!("`{}` can't be read", file.display())).cause(error.to_string())
    })?;
    if !metadata.is_file() {
        return Err(wrong(&format!("`{}` is no file", file.display())));
    }
    let mut path = absolute(path)?;
    if path.ends_with('/') {
        path.push_str(&file.file_name().unwrap_or_default().to_string_lossy());
    }
    let own = || format!("{:o}", metadata.permissions().mode() & 0o777);
    let mode = arguments.mode.clone().unwrap_or_else(own);
    if mode.len() > 4 || mode.is_empty() || mode.bytes().any(|byte| !(b'0'..=b'7').contains(&byte))
    {
        return Err(wrong(&format!("`{mode}` is no mode such as `0644`")));
    }
    let owner = arguments.owner.clone();
    if owner
        .as_deref()
        .is_some_and(|owner| owner.is_empty() || owner.starts_with('-'))
    {
        return Err(wrong("`--owner` is `USER` or `USER:GROUP`"));
    }
    Ok(Target { path, mode, owner })
}

async fn carry_out(directory: &Path, errands: Vec<Errand>, parallelism: usize) -> Exit {
    let ssh = Transport::new(reach::options(directory));
    let room = Arc::new(Semaphore::new(parallelism));
    let mut tasks = JoinSet::new();
    for errand in errands {
        let (ssh, room) = (ssh.clone(), Arc::clone(&room));
        tasks.spawn(async move {
            // The room is never closed.
            let _place = room.acquire().await;
            one(&ssh, errand).await
        });
    }
    let (all, mut wrong) = (tasks.len(), 0);
    let stopped = loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(is_copied) => wrong += usize::from(!is_copied.unwrap_or(false)),
                None => break false,
            },
            _ = tokio::signal::ctrl_c() => break true,
        }
    };
    tasks.shutdown().await;
    ssh.close().await;
    if stopped {
        return Exit::Stopped;
    }
    if wrong == 0 {
        return Exit::Success;
    }
    if all > 1 {
        say(&format!("{wrong} of {all} machines failed\n"));
    }
    Exit::Remote
}

/// Whether it was copied.
async fn one(ssh: &Transport, errand: Errand) -> bool {
    let (address, result) = match &errand {
        Errand::Up(address, machine, file, target) => {
            let progress = Progress::of(address);
            let copying = |done, size| progress.tell(done, size);
            (address, ssh.upload(file, machine, target, &copying).await)
        }
        Errand::Down(address, machine, path, file) => {
            let progress = Progress::of(address);
            let copying = |done, size| progress.tell(done, size);
            (address, ssh.download(machine, path, file, &copying).await)
        }
    };
    match result {
        Ok(Copied { size, sent }) if sent < size => {
            let rest = size - sent;
            say(&format!(
                "{address}: {size} bytes, {rest} of them were there from before\n"
            ));
            true
        }
        Ok(copied) => {
            say(&format!("{address}: {} bytes\n", copied.size));
            true
        }
        Err(error) => {
            say(&format!("{address}: {error}\n"));
            false
        }
    }
}

/// A line a second for what takes longer than that.
struct Progress {
    address: String,
    told: Mutex<Instant>,
}

impl Progress {
    fn of(address: &Address) -> Self {
        Self {
            address: address.to_string(),
            told: Mutex::new(Instant::now()),
        }
    }

    fn tell(&self, done: u64, size: u64) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() < Duration::from_secs(1) {
            return;
        }
        *told = Instant::now();
        let percent = (done * 100).checked_div(size).unwrap_or(100);
        say(&format!("{}: {percent} % of {size} bytes\n", self.address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_tells_a_machine_from_a_path_unless_it_is_in_a_key_or_behind_a_slash() {
        let is_there = |text: &str| matches!(side(text), Side::There(..));
        assert!(matches!(
            side("host.a[\"x:y\"]:/etc/motd"),
            Side::There("host.a[\"x:y\"]", "/etc/motd")
        ));
        assert!(is_there("host.*:/tmp/"));
        assert!(!is_there("./a:b") && !is_there("/a:b") && !is_there("motd") && !is_there(":x"));
    }
}
