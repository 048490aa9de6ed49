//! The command line: arguments, one file per verb, exit codes.
//!
//! | part | what it does |
//! | --- | --- |
//! | `arguments` | what can be said on the command line |
//! | `examples` | that, with examples |
//! | `stack` | a stack opened: configuration, variables, state |
//! | `unsupported` | what is refused because it would be passed over |
//! | `fetching` | modules from git repositories |
//! | `run` | a run: lock, events, settling, planning |
//! | `plan_file` | a plan that is kept for later |
//! | `encryption` | who can open the state |
//! | `commands` | one verb each |

mod arguments;
mod commands;
mod encryption;
mod examples;
mod exit;
mod fetching;
mod part;
mod plan_file;
mod reach;
mod requirement;
mod run;
mod stack;
mod unsupported;
mod variables;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use clap::FromArgMatches;

use dmp_report::Style;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use commands::import_blocks;
pub use dmp_plan::Registry;
pub use exit::Exit;

/// What is in memory must not end up in a file when dmp crashes.
fn no_core_dumps() {
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Core, none) {
        tracing::debug!("core dumps can't be switched off: {error}");
    }
}

/// Runs dmp with the arguments of the process.
#[must_use]
pub fn run(registry: Registry) -> ExitCode {
    // A machine of the lab is this program under another name; it comes before there is any thread.
    if let Some(code) = dmp_lab::machines::inside::run_if_asked() {
        return code;
    }
    let given = with_long_flags(std::env::args_os());
    let matches = examples::command().get_matches_from(given);
    let arguments =
        arguments::Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    start_logging();
    no_core_dumps();
    // Files that many connections read at once are small: a thread for each would hold more memory than they do.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(4)
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return Exit::Bug.into();
    };
    let context = Context {
        registry: Arc::new(registry),
        style: Style::of(
            std::io::stdout().is_terminal(),
            std::env::var("NO_COLOR").ok().as_deref(),
        ),
        error_style: Style::of(
            std::io::stderr().is_terminal(),
            std::env::var("NO_COLOR").ok().as_deref(),
        ),
        is_terminal: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
        is_live: std::io::stderr().is_terminal(),
    };
    let exit = runtime.block_on(commands::dispatch(&context, arguments));
    // Workers that still wait for something outside must not hold the process.
    runtime.shutdown_background();
    exit.into()
}

/// What all commands share.
pub(crate) struct Context {
    pub registry: Arc<Registry>,
    pub style: Style,
    pub error_style: Style,
    /// Whether a person can be asked.
    pub is_terminal: bool,
    /// Whether what is under way may be redrawn.
    pub is_live: bool,
}

/// Terraform's hands type `-var`, `-json`, `-out=…`: one dash before a long flag is taken for two.
fn with_long_flags(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut is_after_dashes = false;
    let lengthen = |argument: OsString| {
        let Some(text) = argument.to_str() else {
            return argument;
        };
        is_after_dashes = is_after_dashes || text == "--";
        let name = text
            .strip_prefix('-')
            .and_then(|rest| rest.split('=').next())
            .unwrap_or_default();
        let is_long = ONE_DASH.contains(&name);
        if is_long && !is_after_dashes {
            format!("-{text}").into()
        } else {
            argument
        }
    };
    arguments.map(lengthen).collect()
}

/// Flags that Terraform's commands have, as they are typed there.
const ONE_DASH: [&str; 21] = [
    "upgrade",
    "var",
    "var-file",
    "json",
    "out",
    "chdir",
    "raw",
    "auto-approve",
    "detailed-exitcode",
    "destroy",
    "generate-config-out",
    "target",
    "exclude",
    "refresh-only",
    "replace",
    "parallelism",
    "check",
    "diff",
    "recursive",
    "list",
    "write",
];

/// Diagnostics for developers, asked for by `DMP_LOG`; never a value of the configuration.
fn start_logging() {
    let Ok(filter) = std::env::var("DMP_LOG") else {
        return;
    };
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let is_harmless = |metadata: &tracing::Metadata<'_>| !QUOTING.contains(&metadata.target());
    // A second subscriber in one process is no reason to stop.
    let _ = tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr))
        .with(filter)
        .with(tracing_subscriber::filter::filter_fn(is_harmless))
        .try_init();
}

/// Parts of libraries that log what a server has answered, and with it what it was sent. They are never listened to.
const QUOTING: &[&str] = &["kube_client::client"];
