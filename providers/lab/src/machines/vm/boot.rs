//! What runs for a `vm` machine in processes of its own, each the next one's parent:
//!
//! - `emulate` stays beside the machine for as long as it runs, and ends it when the lab goes away;
//! - `dependent` ends with that one, and becomes QEMU.
//!
//! QEMU makes the host's ends of the machine's cables, which go with it however it ends: so nothing has to be cleared away.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::chdir;

use super::super::beside::{PATIENCE, alone, die_with_parent, hear, own, say};
use super::super::inside::{Done, OFF, said, told, word};
use super::super::root::PATH;
use super::spec::Spec;
use super::{QEMU, agent, command, monitor};

/// What QEMU says, in the machine's folder.
const LOG: &str = "qemu.log";

/// How long QEMU may take for one answer, before it is asked anew.
const ANSWER: Duration = Duration::from_secs(5);

/// Runs a machine in its folder until it ends: FOLDER.
pub(in super::super) fn emulate(arguments: &[OsString]) -> Done {
    chdir(word(arguments, 0)?).map_err(said("chdir"))?;
    let spec = Spec::read()?;
    let _alone = alone()?;
    for socket in [monitor::SOCKET, agent::SOCKET] {
        // There is none before the first start.
        let _ = std::fs::remove_file(socket);
    }
    let log = File::create(LOG).map_err(told(LOG))?;
    let errors = log.try_clone().map_err(told(LOG))?;
    let now = i64::try_from(crate::world::now() / 1000).unwrap_or(i64::MAX);
    let mut machine = own("dependent")
        .env("PATH", PATH)
        .arg(QEMU)
        .args(command::of(&spec, now))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(told("QEMU can't be started"))?;
    let ended = say(&format!("pid {}", machine.id()))
        .and_then(|()| begun(&mut machine))
        .and_then(|is_begun| {
            if is_begun {
                follow(&mut machine)
            } else {
                Ok(0)
            }
        });
    // As if the plug were pulled, where it has not ended by itself.
    let _ = machine.kill();
    let _ = machine.wait();
    ended
}

/// Becomes a program that ends with its parent: PROGRAM ARGUMENT….
pub(in super::super) fn dependent(arguments: &[OsString]) -> Done {
    die_with_parent()?;
    let (program, parameters) = arguments.split_first().ok_or("no command")?;
    let failed = Command::new(program).args(parameters).exec();
    Err(format!("{}: {failed}", program.display()))
}

/// Waits until QEMU answers, and tells the lab; whether the lab is still there.
fn begun(machine: &mut Child) -> Result<bool, String> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = machine.try_wait().map_err(told("wait"))? {
            return Err(format!("QEMU ended with {status}: {}", last_words()));
        }
        if answers().is_ok() {
            say("ready")?;
            return Ok(true);
        }
        if Instant::now() > until {
            return Err(format!("QEMU does not answer: {}", last_words()));
        }
        if hear(Duration::from_millis(50))?.as_deref() == Some("") {
            return Ok(false);
        }
    }
}

/// Asks QEMU for nothing but an answer, which it gives when all its devices are made.
fn answers() -> std::io::Result<()> {
    let mut stream = UnixStream::connect(monitor::SOCKET)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(b"{\"execute\": \"qmp_capabilities\"}\n")?;
    for line in BufReader::new(stream).lines() {
        if line?.contains("\"return\"") {
            return Ok(());
        }
    }
    Err(std::io::ErrorKind::UnexpectedEof.into())
}

fn last_words() -> String {
    let said = std::fs::read_to_string(LOG).unwrap_or_default();
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    last.unwrap_or("it says nothing").trim().to_owned()
}

/// Waits for the machine's end, or for that of the lab.
fn follow(machine: &mut Child) -> Done {
    loop {
        if machine.try_wait().map_err(told("wait"))?.is_some() {
            // Its system has switched it off: a restart does not end QEMU.
            return Ok(OFF);
        }
        if hear(Duration::from_millis(50))?.as_deref() == Some("") {
            return Ok(0);
        }
    }
}
