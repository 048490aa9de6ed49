//! Programs on the machine that dmp runs on. What they are given in secret goes through their environment or standard
//! input, never through arguments. Whoever stops waiting for one ends it, with all that it has started.

use std::collections::BTreeMap;
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// A program to be run.
#[derive(Serialize, Deserialize)]
pub(crate) struct Run {
    /// Its name or path, and its arguments.
    pub(crate) arguments: Vec<String>,
    /// Variables beside those that dmp has itself.
    pub(crate) environment: BTreeMap<String, String>,
    /// Where it runs; the folder in which dmp runs if there is none.
    pub(crate) directory: Option<String>,
    /// What it reads.
    pub(crate) stdin: String,
    /// After how many seconds it is ended.
    pub(crate) seconds: u64,
}

/// How it ended.
pub(crate) struct Ended {
    /// Its exit status; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output, up to [`MOST`].
    pub(crate) out: Vec<u8>,
    /// The last lines of its standard error.
    pub(crate) said: String,
}

impl Ended {
    pub(crate) fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// How it ended, with what it said.
    pub(crate) fn in_words(&self) -> String {
        let how = self.without_words();
        match self.said.is_empty() {
            true => how,
            false => format!("{how}: {}", self.said),
        }
    }

    /// How it ended, without what it said.
    pub(crate) fn without_words(&self) -> String {
        match self.code {
            Some(code) => format!("it ended with status {code}"),
            None => "a signal ended it".to_owned(),
        }
    }
}

/// Ends a process and all of its group, unless it has ended by itself.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
            // What it was in the middle of is over when it is dead, not before. Whoever collects it finds it still there.
            let _ = waitid(
                WaitId::Pid(group),
                WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
            );
        }
    }
}

/// Runs it to its end.
///
/// # Errors
/// When it can't be started, says too much, or does not end in time.
pub(crate) async fn run(run: &Run) -> io::Result<Ended> {
    let Some((program, arguments)) = run.arguments.split_first() else {
        return Err(io::Error::other("no program is named"));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        // Input variables of the stack may be secret, and are not for everybody.
        .envs(std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("DMP_")))
        .envs(&run.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(directory) = &run.directory {
        command.current_dir(directory);
    }
    let mut child = command.spawn()?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group(id.and_then(Pid::from_raw));
    let (stdin, text) = (child.stdin.take(), run.stdin.clone());
    let write = tokio::spawn(async move {
        if let Some(mut stdin) = stdin {
            // Whoever does not read it is not wrong.
            let _ = stdin.write_all(text.as_bytes()).await;
        }
    });
    let (out, reads_out) = reading(child.stdout.take());
    let (said, reads_said) = reading(child.stderr.take());
    let within = Duration::from_secs(run.seconds);
    let status = tokio::time::timeout(within, child.wait()).await;
    write.abort();
    let status = status.map_err(|_| {
        let text = format!("it did not end within {} s, and was ended", run.seconds);
        io::Error::new(io::ErrorKind::TimedOut, text)
    })??;
    group.0 = None;
    // What it has left running may hold the other ends for ever.
    for mut reads in [reads_out, reads_said] {
        if tokio::time::timeout(A_MOMENT, &mut reads).await.is_err() {
            reads.abort();
        }
    }
    let (out, said) = (taken(&out), taken(&said));
    if out.len() > MOST {
        let text = format!("it printed more than {MOST} bytes");
        return Err(io::Error::other(text));
    }
    Ok(Ended {
        code: status.code(),
        out,
        said: last_lines(&String::from_utf8_lossy(&said)),
    })
}

type Taken = Arc<Mutex<Vec<u8>>>;

/// Reads to the end, and keeps a little more than [`MOST`].
fn reading(
    from: Option<impl AsyncRead + Send + Unpin + 'static>,
) -> (Taken, tokio::task::JoinHandle<()>) {
    let taken = Taken::default();
    let into = Arc::clone(&taken);
    let task = tokio::spawn(async move {
        let Some(mut from) = from else { return };
        let mut buffer = vec![0; 1 << 14];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let mut into = into.lock().unwrap_or_else(PoisonError::into_inner);
            if into.len() <= MOST {
                into.extend_from_slice(&buffer[..count]);
            }
        }
    });
    (taken, task)
}

fn taken(from: &Taken) -> Vec<u8> {
    std::mem::take(&mut *from.lock().unwrap_or_else(PoisonError::into_inner))
}

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let from = lines.len().saturating_sub(LINES);
    lines[from..].join("\n")
}

/// The most bytes that are kept of an output.
const MOST: usize = 1 << 20;
/// How many lines of an error are told.
const LINES: usize = 10;
/// How long outputs are read after the program has ended.
const A_MOMENT: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Run {
        Run {
            arguments: ["sh", "-c", script].map(str::to_owned).into(),
            environment: [("GREETING".to_owned(), "hello".to_owned())].into(),
            directory: Some("/".into()),
            stdin: "from stdin".into(),
            seconds: 1,
        }
    }

    #[tokio::test]
    async fn a_program_is_given_what_it_needs_and_its_end_is_told() {
        let program = shell("pwd; echo $GREETING; cat; echo no >&2; exit 3");
        let ended = run(&program).await.expect("runs");
        assert_eq!(ended.out, b"/\nhello\nfrom stdin");
        assert_eq!(ended.in_words(), "it ended with status 3: no");
    }

    #[tokio::test]
    async fn what_takes_too_long_is_ended_with_its_children() {
        let folder = tempfile::tempdir().expect("a folder");
        let left = folder.path().join("left");
        let script = format!("(sleep 2; echo >{}) & wait", left.display());
        let error = run(&shell(&script)).await.err().expect("is ended");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!left.exists(), "its child went on");
    }

    #[tokio::test]
    async fn what_it_leaves_running_is_not_waited_for() {
        let ended = run(&shell("sleep 1.5 & echo done")).await.expect("runs");
        assert_eq!(ended.out, b"done\n");
    }
}
