//! Processes in namespaces of their own: started, given their user ids, ended.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Uid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;

use super::inside::{NAME, OFF, REBOOT};
use crate::Trouble;

/// How long a namespace may take to be made.
const PATIENCE: Duration = Duration::from_secs(20);

/// User ids of the host that machines have when the superuser serves the lab: the first of them, and how many.
const FIRST: u32 = 1_879_113_728;
const COUNT: u32 = 65_536;

/// Which user ids of the host stand for those in a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    /// An ordinary user serves the lab: it is the superuser of its machines, and there is no other user.
    One,
    /// The superuser serves the lab: machines have a range of ids that mean nobody on the host.
    Range,
}

/// How a machine's first process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The machine wants to be started again.
    Reboot,
    /// It has switched itself off.
    Off,
    /// The lab has ended it.
    Ordered,
}

/// The namespaces of a `process` machine that runs.
#[derive(Debug)]
pub(crate) struct Namespace {
    ids: Ids,
    running: Running,
}

/// A machine's processes.
#[derive(Debug)]
pub(super) struct Running {
    /// The machine's first process.
    pid: u32,
    /// Closing it ends the machine.
    hold: Arc<std::sync::Mutex<Option<File>>>,
    ended: watch::Receiver<Option<Ended>>,
}

impl Ids {
    /// Returns what there is for who serves the lab.
    pub(super) fn here() -> Ids {
        if Uid::effective().is_root() {
            Ids::Range
        } else {
            Ids::One
        }
    }

    pub(super) fn is_range(self) -> bool {
        self == Ids::Range
    }

    fn word(self) -> &'static str {
        if self.is_range() { "range" } else { "one" }
    }

    /// Maps the ids of a process that is in a new user namespace.
    fn map(self, pid: u32) -> std::io::Result<()> {
        let write = |name: &str, text: String| std::fs::write(format!("/proc/{pid}/{name}"), text);
        match self {
            Ids::One => {
                write("setgroups", "deny".into())?;
                write("uid_map", format!("0 {} 1", Uid::effective()))?;
                write("gid_map", format!("0 {} 1", nix::unistd::Gid::effective()))
            }
            Ids::Range => {
                write("uid_map", format!("0 {FIRST} {COUNT}"))?;
                write("gid_map", format!("0 {FIRST} {COUNT}"))
            }
        }
    }
}

pub(super) fn program() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(NAME)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Hands a folder to a machine's superuser.
fn hand_over(folder: &Path, ids: Ids) -> Result<(), Trouble> {
    if !ids.is_range() {
        return Ok(());
    }
    for path in [folder.to_owned(), folder.join("spec.json")] {
        std::os::unix::fs::lchown(&path, Some(FIRST), Some(FIRST)).map_err(Trouble::file(&path))?;
    }
    Ok(())
}

/// A process that tells line by line how far it is.
pub(super) struct Telling {
    child: Child,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
    hold: ChildStdin,
    patience: Duration,
}

impl Telling {
    /// Starts a process.
    pub(super) fn spawn(mut command: Command) -> Result<Telling, Trouble> {
        let mut child = command
            .spawn()
            .map_err(|error| refused(&error.to_string()))?;
        let (Some(out), Some(hold)) = (child.stdout.take(), child.stdin.take()) else {
            return Err(refused("no pipes"));
        };
        Ok(Telling {
            child,
            lines: BufReader::new(out).lines(),
            hold,
            patience: PATIENCE,
        })
    }

    /// Gives each step of it so much time.
    pub(super) fn patient(mut self, patience: Duration) -> Telling {
        self.patience = patience;
        self
    }

    /// Starts a process, and maps its user ids when it has made its namespace.
    async fn begin(command: Command, ids: Ids) -> Result<Telling, Trouble> {
        let mut telling = Telling::spawn(command)?;
        telling.expect("unshared").await?;
        ids.map(telling.pid()?)
            .map_err(|error| refused(&format!("user ids can't be mapped: {error}")))?;
        telling.tell("mapped").await?;
        Ok(telling)
    }

    /// Returns the process.
    pub(super) fn pid(&self) -> Result<u32, Trouble> {
        self.child.id().ok_or_else(|| refused("it ended"))
    }

    /// Tells the process something.
    pub(super) async fn tell(&mut self, word: &str) -> Result<(), Trouble> {
        self.hold
            .write_all(format!("{word}\n").as_bytes())
            .await
            .map_err(|error| refused(&error.to_string()))
    }

    /// Leaves the process to what it is for; the machine's first process is told.
    pub(super) fn running(self, first: &str) -> Result<Running, Trouble> {
        let Telling {
            mut child, hold, ..
        } = self;
        let pid = first.parse().map_err(|_| refused("no process"))?;
        let hold = hold
            .into_owned_fd()
            .map_err(|error| refused(&error.to_string()))?;
        let (tell, ended) = watch::channel(None);
        tokio::spawn(async move {
            let code = child
                .wait()
                .await
                .ok()
                .and_then(|status| status.code())
                .and_then(|code| u8::try_from(code).ok());
            let how = match code {
                Some(REBOOT) => Ended::Reboot,
                Some(OFF) => Ended::Off,
                _ => Ended::Ordered,
            };
            // Nobody may be waiting.
            let _ = tell.send(Some(how));
        });
        Ok(Running {
            pid,
            hold: Arc::new(std::sync::Mutex::new(Some(File::from(hold)))),
            ended,
        })
    }

    /// Waits for a line that begins with a word, and returns the rest.
    pub(super) async fn expect(&mut self, word: &str) -> Result<String, Trouble> {
        let line = tokio::time::timeout(self.patience, self.lines.next_line()).await;
        match line {
            Ok(Ok(Some(line))) if line.starts_with(word) => {
                Ok(line[word.len()..].trim().to_owned())
            }
            Ok(Ok(Some(line))) => Err(refused(&line)),
            Err(_) => Err(refused("it takes too long")),
            _ => {
                let mut said = String::new();
                if let Some(errors) = &mut self.child.stderr {
                    // Without its words there is still the fact.
                    let _ = tokio::time::timeout(
                        Duration::from_secs(1),
                        errors.read_to_string(&mut said),
                    )
                    .await;
                }
                Err(refused(said.trim()))
            }
        }
    }
}

fn refused(reason: &str) -> Trouble {
    Trouble::Refused(format!(
        "a machine can't be started: {}",
        if reason.is_empty() {
            "it ended"
        } else {
            reason
        }
    ))
}

impl Namespace {
    /// Starts a machine in its folder.
    pub(super) async fn begin(folder: &Path, ids: Ids) -> Result<Namespace, Trouble> {
        hand_over(folder, ids)?;
        let mut command = program();
        command.arg("begin").arg(folder).arg(ids.word());
        let mut telling = Telling::begin(command, ids).await?;
        let first = telling.expect("pid").await?;
        telling.expect("ready").await?;
        Ok(Namespace {
            ids,
            running: telling.running(&first)?,
        })
    }

    /// Ends the machine.
    pub(super) fn end(&self) {
        self.running.end();
    }

    /// Returns how the machine ends, when it does.
    pub(super) fn watch(&self) -> impl Future<Output = Ended> + Send + use<> {
        self.running.watch()
    }

    /// Waits for the machine's end.
    pub(super) async fn ended(&self) {
        // What does not end by itself is ended by the kernel with its first process.
        self.running.ended(Duration::from_secs(5)).await;
    }

    /// Returns a command of the machine, not started yet.
    pub(super) fn command<S: AsRef<OsStr>>(
        &self,
        user: &User,
        has_terminal: bool,
        settings: &[(String, String)],
        words: &[S],
    ) -> Command {
        let mut command = program();
        command
            .arg("enter")
            .arg(self.running.pid.to_string())
            .arg(self.ids.word());
        let (uid, gid) = if self.ids.is_range() {
            (user.uid, user.gid)
        } else {
            (0, 0)
        };
        command.arg(uid.to_string()).arg(gid.to_string());
        command
            .arg(if has_terminal { "tty" } else { "no" })
            .arg(&user.home);
        command
            .args(
                settings
                    .iter()
                    .map(|(name, value)| format!("{name}={value}")),
            )
            .arg("--")
            .args(words);
        command.kill_on_drop(false);
        command
    }
}

impl Running {
    /// Returns the machine's first process.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    fn hold(&self) -> std::sync::MutexGuard<'_, Option<File>> {
        self.hold
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Ends the machine.
    pub(super) fn end(&self) {
        self.hold().take();
    }

    /// Tells the process beside the machine something.
    pub(super) fn tell(&self, word: &str) -> std::io::Result<()> {
        match self.hold().as_mut() {
            Some(hold) => hold.write_all(format!("{word}\n").as_bytes()),
            // It is about to end.
            None => Ok(()),
        }
    }

    /// Returns how the machine ends, when it does.
    pub(super) fn watch(&self) -> impl Future<Output = Ended> + Send + use<> {
        let (mut ended, hold) = (self.ended.clone(), Arc::clone(&self.hold));
        async move {
            let how = match ended.wait_for(Option::is_some).await {
                Ok(how) => how.unwrap_or(Ended::Ordered),
                Err(_) => Ended::Ordered,
            };
            let is_held = hold
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .is_some();
            // Nobody has ordered it: it went away.
            if is_held && how == Ended::Ordered {
                return Ended::Off;
            }
            how
        }
    }

    /// Waits for the machine's end, for so long.
    pub(super) async fn ended(&self, patience: Duration) {
        let _ = tokio::time::timeout(patience, self.watch()).await;
    }
}

/// A user of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: String,
    pub shell: String,
}

/// Runs a command of the host with a machine's user ids.
async fn mapped(folder: &Path, ids: Ids, words: &[&OsStr]) -> Result<(), Trouble> {
    let mut command = program();
    command
        .arg("mapped")
        .arg(folder)
        .arg(ids.word())
        .args(words);
    let mut telling = Telling::begin(command, ids).await?;
    let status = telling
        .child
        .wait()
        .await
        .map_err(|error| refused(&error.to_string()))?;
    if status.success() {
        Ok(())
    } else {
        Err(Trouble::Refused(format!(
            "the files of a machine can't be changed in `{}`",
            folder.display()
        )))
    }
}

/// Removes a machine's folder, whoever owns what is in it.
pub(super) async fn remove(folder: &Path, ids: Ids) -> Result<(), Trouble> {
    if !folder.exists() {
        return Ok(());
    }
    if !ids.is_range() {
        // What its owner can't look into, the superuser of its namespace can.
        mapped(
            folder,
            ids,
            &["rm", "-rf", "--", "root", "local"].map(OsStr::new),
        )
        .await?;
    }
    tokio::fs::remove_dir_all(folder)
        .await
        .map_err(Trouble::file(folder))
}

/// Copies a machine's folder, with owners and modes.
pub(super) async fn copy(from: &Path, to: &Path, ids: Ids) -> Result<(), Trouble> {
    let words = ["cp", "-a", "--reflink=auto", "--"].map(OsStr::new);
    let words: Vec<&OsStr> = words
        .into_iter()
        .chain([from.as_os_str(), to.as_os_str()])
        .collect();
    if !ids.is_range() {
        let parent = from.parent().unwrap_or(Path::new("."));
        return mapped(parent, ids, &words).await;
    }
    let status = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .status()
        .await
        .map_err(Trouble::file(from))?;
    if status.success() {
        Ok(())
    } else {
        Err(Trouble::Refused(format!(
            "`{}` can't be copied",
            from.display()
        )))
    }
}
