//! One command on a machine: a program goes in over standard input, its output comes back in pieces.

use std::sync::Arc;
use std::time::Duration;

use dmp_sdk::{Machine, Unreachable};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::connect::Connection;
use crate::retry::Pace;
use crate::{quote, sudo};

/// What the far side runs: it reads the whole program before the first line of it takes effect. The program itself
/// is never an argument, so nobody on the machine sees it in the list of processes.
pub(crate) const LOADER: &str = "eval \"$(cat)\"";

/// The same for a program of one line; what follows the line is left for the program.
const LINE_LOADER: &str = "IFS= read -r dmp_line; eval \"$dmp_line\"";

/// A running command. Dropping it closes the channel.
pub(crate) struct Running {
    /// Held, so that the connection stays as long as the command does.
    connection: Option<Arc<Connection>>,
    output: Option<ChannelReadHalf>,
    input: Option<Arc<ChannelWriteHalf<Msg>>>,
    feeding: Option<JoinHandle<()>>,
    permit: Option<OwnedSemaphorePermit>,
    may_be_killed: bool,
    has_said_all: bool,
    /// Whether the end of its standard input ends it.
    listens: bool,
}

/// The standard input of a running command.
pub(crate) struct Input(Option<Arc<ChannelWriteHalf<Msg>>>);

impl Input {
    /// Feeds a piece. Waits while the far side takes nothing, also for ever if the connection breaks meanwhile.
    pub(crate) async fn feed(&self, bytes: Vec<u8>) -> Result<(), russh::Error> {
        match &self.0 {
            Some(input) => feed(input, bytes).await,
            None => Err(russh::Error::Disconnect),
        }
    }

    /// Says that there is no more.
    pub(crate) async fn end(&self) -> Result<(), russh::Error> {
        match &self.0 {
            Some(input) => input.eof().await,
            None => Ok(()),
        }
    }
}

/// How much is handed to a connection at once. It encrypts all that it is given, and holds that until it is sent: with a
/// connection to each of many hosts whole programs would be what takes most of the memory.
const PIECE: usize = 16 * 1024;

/// Feeds a command what it reads, piece by piece.
async fn feed(input: &ChannelWriteHalf<Msg>, bytes: Vec<u8>) -> Result<(), russh::Error> {
    if bytes.len() <= PIECE {
        return input.data_bytes(bytes).await;
    }
    for piece in bytes.chunks(PIECE) {
        input.data_bytes(piece.to_vec()).await?;
        // The connection sends what it has before it gets more.
        tokio::task::yield_now().await;
    }
    Ok(())
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
        let mut running = Self::begin(connection, machine, LOADER).await?;
        let input = running.input.clone();
        running.feeding = Some(tokio::spawn(async move {
            // A far side that stops reading says why on its own; the program is then of no use to it.
            if let Some(input) = input
                && feed(&input, program.into_bytes()).await.is_ok()
            {
                let _ = input.eof().await;
            }
        }));
        Ok(running)
    }

    /// Starts a shell on the machine and hands it a program that may listen to more, once it is through.
    pub(crate) async fn start_listening(
        connection: &Arc<Connection>,
        machine: &Machine,
        program: String,
    ) -> Result<Self, Unreachable> {
        let loader = format!("eval \"$(head -c {})\"", program.len());
        let mut running = Self::begin(connection, machine, &loader).await?;
        running.listens = true;
        let input = running.input();
        running.feeding = Some(tokio::spawn(async move {
            // A far side that stops reading says why on its own.
            let _ = input.feed(program.into_bytes()).await;
        }));
        Ok(running)
    }

    /// Starts a shell on the machine and hands it a program of one line. What is fed after that is its standard input.
    pub(crate) async fn start_line(
        connection: &Arc<Connection>,
        machine: &Machine,
        line: String,
    ) -> Result<Self, Unreachable> {
        let running = Self::begin(connection, machine, LINE_LOADER).await?;
        let input = running.input();
        let fed = input.feed(format!("{line}\n").into_bytes()).await;
        fed.map_err(|error| Unreachable::Lost {
            machine: machine.key(),
            why: error.to_string(),
        })?;
        Ok(running)
    }

    /// Its standard input.
    pub(crate) fn input(&self) -> Input {
        Input(self.input.clone())
    }

    async fn begin(
        connection: &Arc<Connection>,
        machine: &Machine,
        loader: &str,
    ) -> Result<Self, Unreachable> {
        let lost = |error: russh::Error| Unreachable::Lost {
            machine: machine.key(),
            why: error.to_string(),
        };
        // Where the server allows a single session, one that only waits for a word is in the way.
        drop(connection.hold(None));
        let permit = Arc::clone(&connection.channels)
            .acquire_owned()
            .await
            .map_err(|_| lost(russh::Error::Disconnect))?;
        let mut turn = sudo::turn(connection, machine).await?;
        let channel = open(connection, machine).await?;
        let question = sudo::Question::of(machine);
        let command = command(machine, question.as_ref(), loader);
        channel.exec(true, command).await.map_err(lost)?;
        let (mut output, input) = channel.split();
        let input = Arc::new(input);
        if let (Some(question), Some(known)) = (question, turn.as_deref_mut()) {
            question.answer(machine, &mut output, &input, known).await?;
        }
        drop(turn);
        Ok(Self {
            connection: Some(Arc::clone(connection)),
            output: Some(output),
            input: Some(input),
            feeding: None,
            permit: Some(permit),
            may_be_killed: false,
            has_said_all: false,
            listens: false,
        })
    }

    /// Says that nothing is lost if the command is killed together with this value.
    pub(crate) fn killed_on_drop(mut self) -> Self {
        self.may_be_killed = true;
        self
    }

    /// Says that the command has said all that it will say, and ends on its own.
    pub(crate) fn has_said_all(&mut self) {
        self.has_said_all = true;
    }

    /// Leaves the connection to others: it is kept by it from now on.
    pub(crate) fn kept_by_its_connection(mut self) -> Self {
        self.connection = None;
        self
    }

    /// The next thing it says; `None` when the channel has ended.
    pub(crate) async fn next(&mut self) -> Option<Said> {
        loop {
            match self.output.as_mut()?.wait().await {
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
                    self.output = None;
                    return None;
                }
                Some(_) => {}
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(feeding) = &self.feeding {
            feeding.abort();
        }
        let (Some(input), Ok(runtime)) = (self.input.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let (permit, output) = (self.permit.take(), self.output.take());
        let Some(mut output) = output else { return };
        let (may_be_killed, has_said_all) = (self.may_be_killed, self.has_said_all);
        let listens = self.listens;
        runtime.spawn(async move {
            if listens {
                let _ = input.eof().await;
            }
            if may_be_killed && !has_said_all {
                let _ = input.signal(Sig::TERM).await;
            }
            // The server counts a session until its command has ended; only then there is room for another. A close
            // of ours would make russh forget the channel before the server has closed it.
            let closed = async { while output.wait().await.is_some() {} };
            let patience = if has_said_all { CLOSING } else { ABORTING };
            if timeout(patience, closed).await.is_err() {
                let _ = input.close().await;
            }
            drop(permit);
        });
    }
}

/// Opens a session channel. OpenSSH counts a session for a moment after it was closed, so a refusal may mean nothing.
async fn open(
    connection: &Connection,
    machine: &Machine,
) -> Result<russh::Channel<Msg>, Unreachable> {
    let mut pace = Pace::new(Duration::from_millis(10), Duration::from_millis(400));
    let mut refused = 0;
    loop {
        match connection.session().await {
            Ok(channel) => {
                connection.serves();
                return Ok(channel);
            }
            Err(russh::Error::ChannelOpenFailure(why)) if !connection.has_served() => {
                return Err(Unreachable::NoCommands {
                    machine: machine.key(),
                    why: format!("the SSH server opens no session: {}", why.description()),
                });
            }
            Err(russh::Error::ChannelOpenFailure(_)) if refused < REFUSALS => {
                refused += 1;
                sleep(pace.pause()).await;
            }
            // Commands that hang keep their sessions: another connection has room.
            Err(error) => {
                return Err(Unreachable::Lost {
                    machine: machine.key(),
                    why: error.to_string(),
                });
            }
        }
    }
}

/// The command line: fixed, whatever the program is.
fn command(machine: &Machine, question: Option<&sudo::Question>, loader: &str) -> String {
    let target = match (machine.becomes(), &machine.run_as) {
        (Some(_), Some(user)) => format!("-u {} ", quote::quoted(user)),
        _ => String::new(),
    };
    match (machine.becomes(), question) {
        (None, _) => format!("sh -c '{loader}'"),
        (Some(_), None) => format!("sudo -n -H {target}sh -c '{loader}'"),
        (Some(_), Some(question)) => {
            let (prompt, ready) = (question.prompt(), question.ready());
            format!("sudo -k -S -p '{prompt}' -H {target}sh -c 'echo {ready} >&2; {loader}'")
        }
    }
}

/// Why a shell that said nothing of ours did not run, in words.
pub(crate) fn no_commands(machine: &Machine, status: Option<u32>, stderr: &[u8]) -> Unreachable {
    let stderr = tail(stderr);
    let words = stderr.trim();
    let why = if words.contains("a password is required") || words.contains("terminal is required")
    {
        format!(
            "sudo asks for a password: set `sudo_password`, let `{}` run sudo without one (NOPASSWD in /etc/sudoers.d), or log in as root",
            machine.user
        )
    } else if words.contains("not in the sudoers file") || words.contains("not allowed to execute")
    {
        format!(
            "sudo refuses: `{}` may not run commands as {}",
            machine.user,
            machine.becomes().unwrap_or("root")
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

/// How often a session is asked for on a connection that had some.
const REFUSALS: u32 = 8;

/// How long a command may take to end after its last word.
const CLOSING: Duration = Duration::from_secs(10);

/// How long one that nobody listens to any more may take.
const ABORTING: Duration = Duration::from_secs(1);

/// How much of standard error is kept.
pub(crate) const STDERR_TAIL: usize = 4096;
