//! Stand-ins for two services that a `process` machine can have: `haproxy` and `nginx`.
//!
//! They read the configuration files of the real programs, as far as what follows needs, and refuse whatever else stands in
//! them: a file that works here works with the real program, but not the other way round.

mod balancer;
mod blocks;
mod web;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Why a stand-in can't do what it was told.
#[derive(Debug, Error)]
pub(crate) enum ServiceError {
    /// The command line has something that the stand-in does not know.
    #[error("this stand-in of {program} does not know `{word}`")]
    Argument {
        /// The real program.
        program: &'static str,
        /// The word.
        word: String,
    },
    /// A file can't be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A line is wrong, or beyond what the stand-in knows.
    #[error("{path}:{line}: {why}")]
    Line {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// A port can't be listened at.
    #[error("cannot listen at {address}: {error}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        error: std::io::Error,
    },
    /// A signal can't be waited for.
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
}

/// Does what the program of this name does, and says why it can't.
pub(crate) fn run(called: &OsStr, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<String> = arguments
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let name = Path::new(called).file_name().and_then(OsStr::to_str);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            say(format_args!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let ended = match name {
        Some("haproxy") => runtime.block_on(haproxy(&arguments)),
        Some("nginx") => runtime.block_on(nginx(&arguments)),
        _ => {
            say(format_args!(
                "a machine of the lab has dmp for its stand-ins alone"
            ));
            return ExitCode::FAILURE;
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
}

/// `haproxy -f FILE [-c]`: balances, or checks the file.
///
/// # Errors
/// When the command line, the file or a port can't be used.
async fn haproxy(arguments: &[String]) -> Result<(), ServiceError> {
    let program = "haproxy";
    let mut file = "/etc/haproxy/haproxy.cfg".to_owned();
    let mut only_checks = false;
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-f" => file = value(program, word, rest.next())?,
            "-p" | "-S" => drop(value(program, word, rest.next())?),
            "-c" => only_checks = true,
            "-q" | "-W" | "-Ws" | "-db" => {}
            _ => return Err(unknown(program, word)),
        }
    }
    let read = || balancer::Config::read(Path::new(&file));
    if only_checks {
        read()?;
        say(format_args!("Configuration file is valid"));
        return Ok(());
    }
    run_until_told(read, |config, tasks| {
        Box::pin(balancer::start(config, tasks))
    })
    .await
}

/// `nginx [-t] [-g DIRECTIVES]`: serves files, or checks the configuration.
///
/// # Errors
/// When the command line, a file or a port can't be used.
async fn nginx(arguments: &[String]) -> Result<(), ServiceError> {
    let program = "nginx";
    let mut only_checks = false;
    let mut folder = "/etc/nginx".to_owned();
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-t" => only_checks = true,
            "-q" => {}
            "-g" => drop(value(program, word, rest.next())?),
            "-p" => folder = value(program, word, rest.next())?,
            _ => return Err(unknown(program, word)),
        }
    }
    let read = || web::Config::read(Path::new(&folder));
    if only_checks {
        read()?;
        say(format_args!("nginx: configuration file test is successful"));
        return Ok(());
    }
    run_until_told(read, |config, tasks| Box::pin(web::start(config, tasks))).await
}

/// Listens at an address, and serves whoever comes. A connection is not among the tasks that end with the configuration: what is
/// under way goes on.
async fn listen<Served>(
    address: &str,
    tasks: &mut JoinSet<()>,
    serve: impl Fn(TcpStream) -> Served + Send + 'static,
) -> Result<(), ServiceError>
where
    Served: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| ServiceError::Listen {
            address: address.to_owned(),
            error,
        })?;
    tasks.spawn(async move {
        loop {
            match listener.accept().await {
                Ok((connection, _)) => drop(tokio::spawn(serve(connection))),
                // Out of file descriptors, as a rule: some connection will end.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    });
    Ok(())
}

/// Whoever started it may not listen any more.
fn say(text: std::fmt::Arguments<'_>) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

fn unknown(program: &'static str, word: &str) -> ServiceError {
    ServiceError::Argument {
        program,
        word: word.to_owned(),
    }
}

fn value(
    program: &'static str,
    flag: &str,
    value: Option<&String>,
) -> Result<String, ServiceError> {
    value.cloned().ok_or_else(|| unknown(program, flag))
}

type Starting<'a> = std::pin::Pin<Box<dyn Future<Output = Result<(), ServiceError>> + Send + 'a>>;

/// Runs until it is told to end. Told to read its configuration anew (SIGHUP, SIGUSR2), it goes on with the old one if the
/// new one is wrong; connections under way are kept.
async fn run_until_told<Config>(
    read: impl Fn() -> Result<Config, ServiceError>,
    start: impl for<'a> Fn(Arc<Config>, &'a mut JoinSet<()>) -> Starting<'a>,
) -> Result<(), ServiceError> {
    let listen = |kind| signal(kind).map_err(ServiceError::Signals);
    let (mut hangup, mut again) = (
        listen(SignalKind::hangup())?,
        listen(SignalKind::user_defined2())?,
    );
    let (mut terminate, mut interrupt) = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    let mut config = Arc::new(read()?);
    loop {
        let mut tasks = JoinSet::new();
        start(Arc::clone(&config), &mut tasks).await?;
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = hangup.recv() => {}
                _ = again.recv() => {}
            }
            match read() {
                Ok(new) => {
                    config = Arc::new(new);
                    break;
                }
                Err(error) => say(format_args!("the old configuration stays: {error}")),
            }
        }
        tasks.shutdown().await;
    }
}
