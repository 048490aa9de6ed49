//! Following one batch from the client's side: through lost connections, until its end.

use std::time::Duration;

use dmp_sdk::{Batch, Machine, Report, Unreachable};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::batch::Program;
use crate::channel::{Running, STDERR_TAIL, Said, no_commands};
use crate::follow::{Decoder, Frame, Journal, Meaning};
use crate::forget::Held;
use crate::pool::Pool;
use crate::retry::Pace;

/// How one attempt to follow a batch ended.
enum Followed {
    /// With the batch's end.
    End,
    /// The machine does not know the batch.
    Unknown,
}

/// A batch being followed.
pub(crate) struct Session<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) on: &'a Machine,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) journal: Journal,
    pub(crate) count: &'a (dyn Fn() + Sync),
    /// Whether it was told that cloud-init is waited for.
    pub(crate) told_of_boot: bool,
}

impl Session<'_> {
    /// Starts the batch, or attaches to it, and follows it to its end.
    pub(crate) async fn run(&mut self, batch: &Batch) -> Result<(), Unreachable> {
        let until = Instant::now() + longest(batch) + self.boot_wait();
        let mut program = self.start(batch);
        let mut pace = Pace::new(Duration::from_millis(250), Duration::from_secs(5));
        loop {
            match self.follow(program).await {
                Ok(Followed::End) => return Ok(()),
                // What was sent before the connection was lost never arrived whole.
                Ok(Followed::Unknown) => program = self.start(batch),
                Err(error @ (Unreachable::Lost { .. } | Unreachable::NoConnection { .. })) => {
                    self.lost(&error, until, &mut pace).await?;
                    program = Program::attach(&batch.id, self.journal.lines);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Follows an earlier run's batch to its end. `false` if it never began; it can't begin any more then.
    pub(crate) async fn settle(&mut self, batch: &str) -> Result<bool, Unreachable> {
        let mut pace = Pace::new(Duration::from_millis(250), Duration::from_secs(5));
        loop {
            let lines = self.journal.lines;
            match self.follow(Program::settle(batch, lines)).await {
                Ok(Followed::End) => return Ok(true),
                Ok(Followed::Unknown) => return Ok(false),
                Err(error @ Unreachable::Lost { .. }) => {
                    // As long as it comes back there is something to wait for.
                    let until = Instant::now() + self.boot_wait();
                    self.lost(&error, until, &mut pace).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// How long this machine may take to boot.
    fn boot_wait(&self) -> Duration {
        self.pool.options.boot_wait(self.on)
    }

    fn start(&self, batch: &Batch) -> Program {
        Program::start(batch, self.boot_wait())
    }

    async fn lost(
        &self,
        error: &Unreachable,
        until: Instant,
        pace: &mut Pace,
    ) -> Result<(), Unreachable> {
        let pause = pace.pause();
        if Instant::now() + pause >= until {
            return Err(error.clone());
        }
        self.pool.options.tell(
            self.on,
            &format!("{error}; the batch goes on there, connects again"),
        );
        sleep(pause).await;
        Ok(())
    }

    async fn follow(&mut self, program: Program) -> Result<Followed, Unreachable> {
        let connection = self.pool.connection(self.on, self.boot_wait()).await?;
        (self.count)();
        let result = self.follow_on(&connection, program).await;
        if let Err(Unreachable::Lost { .. }) = &result {
            self.pool.discard(&connection);
        }
        result
    }

    async fn follow_on(
        &mut self,
        connection: &std::sync::Arc<crate::connect::Connection>,
        program: Program,
    ) -> Result<Followed, Unreachable> {
        let mut running = Running::start_listening(connection, self.on, program.text).await?;
        let mut decoder = Decoder::new(&program.mark);
        let mut errors = Vec::new();
        let mut status = None;
        let mut has_begun = false;
        loop {
            let said = timeout(SILENCE, running.next())
                .await
                .map_err(|_| self.is_lost("it has been silent for too long"))?;
            match said {
                Some(Said::Out(bytes)) => decoder.add(&bytes),
                Some(Said::Err(bytes)) => {
                    errors.extend(bytes);
                    let surplus = errors.len().saturating_sub(STDERR_TAIL);
                    errors.drain(..surplus);
                }
                Some(Said::Status(ended)) => status = Some(ended),
                None if has_begun || connection.is_closed() => {
                    return Err(self.is_lost("the session ended before the batch did"));
                }
                None => return Err(no_commands(self.on, status, &errors)),
            }
            while let Some(frame) = decoder.next().map_err(|why| self.no_commands(why))? {
                has_begun = true;
                if let Some(followed) = self.take(frame, &errors).await? {
                    running.has_said_all();
                    if let Followed::End = followed {
                        connection.hold(Some(Held::new(running, decoder)));
                    }
                    return Ok(followed);
                }
            }
        }
    }

    async fn take(&mut self, frame: Frame, errors: &[u8]) -> Result<Option<Followed>, Unreachable> {
        let (line, output, errors) = match frame {
            Frame::Line {
                line,
                output,
                errors,
            } => (line, output, errors),
            Frame::Word(word) => {
                return match word.strip_prefix("! ") {
                    Some(why) => {
                        let cause = String::from_utf8_lossy(errors);
                        let cause = cause.trim();
                        let sep = if cause.is_empty() { "" } else { ": " };
                        Err(self.no_commands(format!("{why}{sep}{cause}")))
                    }
                    None => {
                        if word == "booting" && !std::mem::replace(&mut self.told_of_boot, true) {
                            let line = "waits for cloud-init to end";
                            self.pool.options.tell(self.on, line);
                        }
                        Ok((word == "none").then_some(Followed::Unknown))
                    }
                };
            }
        };
        match self.journal.take(&line, output, &errors) {
            Meaning::Report(report) => {
                // Nobody listens any more: the batch goes on without us.
                let sent = self.reports.send(report).await;
                sent.map_err(|_| Unreachable::Cancelled)?;
                Ok(None)
            }
            Meaning::WaitsFor(batch) => {
                let line = format!("waits for batch {batch} on the machine");
                self.pool.options.tell(self.on, &line);
                Ok(None)
            }
            Meaning::End => Ok(Some(Followed::End)),
            Meaning::Nothing => Ok(None),
        }
    }

    fn is_lost(&self, why: &str) -> Unreachable {
        Unreachable::Lost {
            machine: self.on.key(),
            why: why.into(),
        }
    }

    fn no_commands(&self, why: String) -> Unreachable {
        Unreachable::NoCommands {
            machine: self.on.key(),
            why,
        }
    }
}

/// The longest that a batch can take.
fn longest(batch: &Batch) -> Duration {
    let steps = batch.items.iter().flat_map(|item| &item.steps);
    let steps: Duration = steps
        .map(|step| step.deadline * if step.check.is_some() { 2 } else { 1 })
        .sum();
    let reads: usize = batch.items.iter().map(|item| item.read.len()).sum();
    steps + Duration::from_secs(300) * u32::try_from(reads).unwrap_or(u32::MAX)
}

/// The far side says something at least every ten seconds.
const SILENCE: Duration = Duration::from_secs(45);
