//! One command on a machine: a program goes in over standard input, its output comes back in pieces.

use std::sync::Arc;

use dmp_sdk::{Machine, Unreachable};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use crate::connect::Connection;

/// What the far side runs: it reads the whole program before the first line of it takes effect. The program itself
/// is never an argument, so nobody on the machine sees it in the list of processes.
pub(crate) const LOADER: &str = "eval \"$(cat)\"";

/// A running command. Dropping it closes the channel.
pub(crate) struct Running {
    /// Held, so that the connection stays as long as the command does.
    _connection: Arc<Connection>,
    output: ChannelReadHalf,
    input: Option<Arc<ChannelWriteHalf<Msg>>>,
    feeding: JoinHandle<()>,
    permit: Option<OwnedSemaphorePermit>,
    is_over: bool,
}

/// What a running command says.
#[derive(Debug)]
pub(crate) enum Said {
    /// A piece of standard output.
    Out(Vec<u8>),
    /// A piece of standard error.
    Err(Vec<u8>),
    /// It ended with a status.
    Status(u32),
}

impl Running {
    /// Starts a shell on the machine and hands it a program.
    pub(crate) async fn start(
        connection: &Arc<Connection>,
        machine: &Machine,
        program: String,
    ) -> Result<Self, Unreachable> {
        let lost = |error: russh::Error| Unreachable::Lost {
            machine: machine.key(),
            why: error.to_string(),
        };
        let permit = Arc::clone(&connection.channels)
            .acquire_owned()
            .await
            .map_err(|_| lost(russh::Error::Disconnect))?;
        let channel = connection.session().await.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(why) => Unreachable::NoCommands {
                machine: machine.key(),
                why: format!("the SSH server opens no session: {}", why.description()),
            },
            error => lost(error),
        })?;
        channel.exec(true, command(machine)).await.map_err(lost)?;
        let (output, input) = channel.split();
        let input = Arc::new(input);
        let feeding = tokio::spawn({
            let input = Arc::clone(&input);
            async move {
                // A far side that stops reading says why on its own; the program is then of no use to it.
                if input.data_bytes(program).await.is_ok() {
                    let _ = input.eof().await;
                }
            }
        });
        Ok(Self {
            _connection: Arc::clone(connection),
            output,
            input: Some(input),
            feeding,
            permit: Some(permit),
            is_over: false,
        })
    }

    /// The next thing it says; `None` when the channel has ended.
    pub(crate) async fn next(&mut self) -> Option<Said> {
        loop {
            match self.output.wait().await {
                Some(ChannelMsg::Data { data }) => return Some(Said::Out(data.to_vec())),
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    return Some(Said::Err(data.to_vec()));
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    return Some(Said::Status(exit_status));
                }
                Some(ChannelMsg::ExitSignal { .. }) => return Some(Said::Status(255)),
                // The status comes after the end of the data.
                Some(ChannelMsg::Close) | None => {
                    self.is_over = true;
                    return None;
                }
                Some(_) => {}
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.feeding.abort();
        let (Some(input), Ok(runtime)) = (self.input.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let permit = self.permit.take();
        let is_over = self.is_over;
        runtime.spawn(async move {
            if !is_over {
                let _ = input.signal(Sig::TERM).await;
            }
            let _ = input.close().await;
            drop(permit);
        });
    }
}

/// The command line: fixed, whatever the program is.
fn command(machine: &Machine) -> String {
    let sudo = if machine.sudo && machine.user != "root" {
        "sudo -n -H "
    } else {
        ""
    };
    format!("{sudo}sh -c '{LOADER}'")
}

/// Why a shell that said nothing of ours did not run, in words.
pub(crate) fn no_commands(machine: &Machine, status: Option<u32>, stderr: &[u8]) -> Unreachable {
    let stderr = tail(stderr);
    let words = stderr.trim();
    let why = if words.contains("a password is required") || words.contains("terminal is required")
    {
        format!(
            "sudo asks for a password: let `{}` run sudo without one (NOPASSWD in /etc/sudoers.d), or log in as root",
            machine.user
        )
    } else if words.contains("not in the sudoers file") || words.contains("not allowed to execute")
    {
        format!(
            "sudo refuses: `{}` may not run commands as root",
            machine.user
        )
    } else if words.contains("sudo") && words.contains("not found") {
        "sudo is not installed there; log in as root".into()
    } else if !words.is_empty() {
        words.to_owned()
    } else {
        match status {
            Some(status) => format!("the shell ended with status {status} and no word"),
            None => "the session was closed without a word".into(),
        }
    };
    Unreachable::NoCommands {
        machine: machine.key(),
        why,
    }
}

/// The last part of what was written to standard error.
pub(crate) fn tail(bytes: &[u8]) -> String {
    let from = bytes.len().saturating_sub(STDERR_TAIL);
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}

/// How much of standard error is kept.
pub(crate) const STDERR_TAIL: usize = 4096;
