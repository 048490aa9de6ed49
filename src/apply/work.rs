//! Tasks that work outside: batches, steps over several machines, calls of an API. They report to the walker and wait
//! for its word where something has to be on disk first.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dmp_plan::Finding;
use dmp_refresh::Reader;
use dmp_sdk::{
    Batch, BatchItem, Configured, Cx, Diagnostic, ItemEnd, Machine, Machines, Mark, Output, Report,
    Step, Unreachable,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::decide::Task;

/// The number of an operation.
pub(crate) type Op = dmp_graph::Op;

/// What the walker hears.
pub(crate) enum Message {
    /// Something was read before a create, or for a data source.
    Read(Vec<(Op, Finding)>),
    /// A batch goes on.
    Report { batch: String, report: Report },
    /// A batch has ended, or can't be followed any more.
    BatchEnded {
        batch: String,
        result: Result<(), Unreachable>,
    },
    /// A part of a work over several machines is about to be sent: it has to be noted first.
    SendPart {
        op: Op,
        on: Machine,
        batch: String,
        ready: oneshot::Sender<Result<(), Diagnostic>>,
    },
    /// A step of a work over several machines or of calls.
    StepBegan {
        op: Op,
        title: String,
        waits: bool,
        ready: Option<oneshot::Sender<Result<(), Diagnostic>>>,
    },
    /// It has ended.
    StepEnded {
        op: Op,
        title: String,
        waits: bool,
        skipped: bool,
        ok: bool,
        milliseconds: u64,
    },
    /// The object of a call has an id.
    RecordId {
        op: Op,
        id: String,
        ready: oneshot::Sender<Result<(), Diagnostic>>,
    },
    /// The object of a call is drafted: what takes effect with it may be begun.
    Drafted { op: Op },
    /// What tells whether a member of a group is healthy was read; `None` where nothing has to be read.
    Probed { op: Op, finding: Option<Finding> },
    /// What a batch made was read back in an exchange of its own.
    ReadBack {
        op: Op,
        result: Result<(), Diagnostic>,
        finding: Finding,
    },
    /// A work is through, and what it made was read back.
    Ended {
        op: Op,
        result: Result<(), Diagnostic>,
        finding: Finding,
        is_settled: bool,
    },
}

/// Follows one batch.
pub(crate) async fn run_batch(
    machines: Arc<dyn Machines>,
    on: Machine,
    batch: Batch,
    to: mpsc::Sender<Message>,
) {
    let (reports, mut incoming) = mpsc::channel(64);
    let id = batch.id.clone();
    let forward = async {
        while let Some(report) = incoming.recv().await {
            // A walker that is gone needs no reports.
            let _ = to
                .send(Message::Report {
                    batch: id.clone(),
                    report,
                })
                .await;
        }
    };
    let run = machines.run(&on, &batch, reports);
    let (result, ()) = futures::join!(run, forward);
    let _ = to
        .send(Message::BatchEnded {
            batch: batch.id,
            result,
        })
        .await;
}

/// Carries out steps on several machines, one after another; what runs on one machine in a row goes as one batch.
pub(crate) async fn run_sequence(
    machines: Arc<dyn Machines>,
    reader: Reader,
    task: Arc<Task>,
    op: Op,
    to: mpsc::Sender<Message>,
) {
    let mut outputs: Vec<Option<Output>> = vec![None; task.steps.len()];
    let result = sequence(&machines, &task, op, &to, &mut outputs).await;
    let (result, is_settled) = match result {
        Ok(result) => (result, true),
        // What had begun may still run there: the intent stays open.
        Err(diagnostic) => (Err(diagnostic), false),
    };
    let finding = read_back(&reader, &task).await;
    let _ = to
        .send(Message::Ended {
            op,
            result,
            finding,
            is_settled,
        })
        .await;
}

async fn sequence(
    machines: &Arc<dyn Machines>,
    task: &Task,
    op: Op,
    to: &mpsc::Sender<Message>,
    outputs: &mut [Option<Output>],
) -> Result<Result<(), Diagnostic>, Diagnostic> {
    let mut start = 0;
    let mut part = 0;
    let began = Instant::now();
    while start < task.steps.len() {
        // Where the time is over, the next machine's first step is what says so.
        let within = task
            .within
            .map(|within| within.saturating_sub(began.elapsed()));
        let on = task.steps[start].on.clone();
        let same = task.steps[start..]
            .iter()
            .take_while(|step| step.on.key() == on.key())
            .count();
        let positions = start..start + same;
        let steps = positions
            .clone()
            .map(|position| relative(&task.steps[position], start, outputs))
            .collect();
        let batch = format!("{}-{part}", task.intent);
        let (ready, wait) = oneshot::channel();
        let _ = to
            .send(Message::SendPart {
                op,
                on: on.clone(),
                batch: batch.clone(),
                ready,
            })
            .await;
        wait.await.map_err(|_| stopped())??;
        let item = BatchItem {
            key: batch.clone(),
            label: task.address.to_string(),
            steps,
            within,
            read: Vec::new(),
            after: vec![],
        };
        let (reports, mut incoming) = mpsc::channel(64);
        let mut end = ItemEnd::Interrupted;
        let follow = async {
            while let Some(report) = incoming.recv().await {
                match report {
                    Report::StepStarted { step, .. } => {
                        let step = &task.steps[start + step];
                        let (title, waits) = (step.title.clone(), step.waits);
                        let _ = to
                            .send(Message::StepBegan {
                                op,
                                title,
                                waits,
                                ready: None,
                            })
                            .await;
                    }
                    Report::StepEnded {
                        step,
                        output,
                        skipped,
                        milliseconds,
                        ..
                    } => {
                        let position = start + step;
                        let (title, waits) = (
                            task.steps[position].title.clone(),
                            task.steps[position].waits,
                        );
                        let ok = skipped || output.is_success();
                        outputs[position] = Some(output);
                        let _ = to
                            .send(Message::StepEnded {
                                op,
                                title,
                                waits,
                                skipped,
                                ok,
                                milliseconds,
                            })
                            .await;
                    }
                    Report::ItemEnded { end: ended, .. } => end = ended,
                }
            }
        };
        let whole = Batch {
            id: batch,
            items: vec![item],
        };
        let run = machines.run(&on, &whole, reports);
        let (result, ()) = futures::join!(run, follow);
        result.map_err(|unreachable| lost(&unreachable))?;
        match end {
            ItemEnd::Done => {}
            ItemEnd::Failed(step) => {
                let position = start + step;
                return Ok(Err(failed_step(
                    task,
                    &task.steps[position],
                    outputs[position].as_ref(),
                )));
            }
            ItemEnd::Skipped | ItemEnd::Interrupted => return Ok(Err(interrupted(&on))),
        }
        start += same;
        part += 1;
    }
    Ok(Ok(()))
}

/// A step as part of a batch that begins at `start`: an output from an earlier batch comes as standard input.
fn relative(step: &Step, start: usize, outputs: &[Option<Output>]) -> Step {
    let mut step = step.clone();
    match step.takes {
        Some(position) if position >= start => step.takes = Some(position - start),
        Some(position) => {
            step.takes = None;
            let given = outputs[position]
                .as_ref()
                .map(|output| output.stdout.clone())
                .unwrap_or_default();
            step.run = step.run.stdin(given);
        }
        None => {}
    }
    step
}

/// Carries out a work of calls, and reads back what it made.
pub(crate) async fn run_calls(
    reader: Reader,
    task: Arc<Task>,
    op: Op,
    to: mpsc::Sender<Message>,
    hard: CancellationToken,
) {
    let cx = CallCx {
        task: Arc::clone(&task),
        op,
        to: to.clone(),
        hard: hard.clone(),
        id: Mutex::new(task.instance.object_id.clone()),
    };
    let job = task.job(task.verb);
    let calls = async {
        if task.leaves {
            let leave = task.job(dmp_sdk::Verb::Leave);
            task.resource.call(&cx, &leave).await?;
        }
        task.resource.call(&cx, &job).await
    };
    let over = async {
        match task.within {
            Some(within) => tokio::time::sleep(within).await,
            None => std::future::pending().await,
        }
    };
    let mut is_late = false;
    let result = tokio::select! {
        result = calls => result,
        () = hard.cancelled() => Err(stopped()),
        () = over => {
            is_late = true;
            Err(out_of_time(&task, task.within.unwrap_or_default()))
        }
    };
    if hard.is_cancelled() {
        let finding = Finding::Unreachable("stopped".into());
        let _ = to
            .send(Message::Ended {
                op,
                result,
                finding,
                is_settled: false,
            })
            .await;
        return;
    }
    let mut request = task.read_back();
    if let dmp_plan::ReadKind::Object {
        object_id,
        purpose,
        attributes,
        ..
    } = &mut request.kind
    {
        *object_id = cx.id.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if result.is_err() && task.verb == dmp_sdk::Verb::Create {
            // The call may have made it all the same: it is looked for by its mark.
            *purpose = dmp_sdk::Purpose::Settle;
        }
        if result.is_err()
            && task.verb == dmp_sdk::Verb::Update
            && let Some(prior) = &task.prior
        {
            // What was wanted is not what is there: it is looked at as what it was before.
            *purpose = dmp_sdk::Purpose::Refresh;
            attributes.clone_from(prior);
        }
    }
    let finding = only_candidate(first_finding(reader.read(vec![request]).await));
    // A call that was let go of may come to something later: what it makes is looked for by the next run.
    let is_settled = !(is_late
        && matches!(
            (task.verb, &finding),
            (dmp_sdk::Verb::Create, Finding::Absent)
        ));
    let result = match is_settled {
        true => result,
        false => result.map_err(|late| {
            late.state(
                "nothing of it is there yet; its intent is open and is settled by the next run",
            )
        }),
    };
    let _ = to
        .send(Message::Ended {
            op,
            result,
            finding,
            is_settled,
        })
        .await;
}

/// The one object that a failed create has left. With several the intent stays open, and the next run says so.
fn only_candidate(finding: Finding) -> Finding {
    let Finding::Candidates(mut candidates) = finding else {
        return finding;
    };
    match (candidates.pop(), candidates.is_empty()) {
        (None, _) => Finding::Absent,
        (Some(one), true) => match one.half_made {
            Some(why) => Finding::HalfMade(one.object, why),
            None => Finding::Found(one.object),
        },
        (Some(_), false) => Finding::Unreachable("several objects carry the same mark".into()),
    }
}

/// Reads back what a work made.
pub(crate) async fn read_back(reader: &Reader, task: &Task) -> Finding {
    first_finding(reader.read(vec![task.read_back()]).await)
}

fn first_finding(findings: Vec<(dmp_sdk::Address, Finding)>) -> Finding {
    let none = || Finding::Failed(Diagnostic::bug("a read gave no finding"));
    findings
        .into_iter()
        .next()
        .map_or_else(none, |(_, finding)| finding)
}

/// What a work of calls may do.
struct CallCx {
    task: Arc<Task>,
    op: Op,
    to: mpsc::Sender<Message>,
    hard: CancellationToken,
    id: Mutex<Option<String>>,
}

#[async_trait]
impl Cx for CallCx {
    fn mark(&self) -> &Mark {
        &self.task.mark
    }

    fn provider(&self) -> &dyn Configured {
        self.task.provider.as_ref()
    }

    async fn begin(&self, title: &str) -> Result<(), Diagnostic> {
        let (ready, wait) = oneshot::channel();
        let began = Message::StepBegan {
            op: self.op,
            title: title.to_owned(),
            waits: false,
            ready: Some(ready),
        };
        let _ = self.to.send(began).await;
        wait.await.map_err(|_| stopped())?
    }

    async fn record_id(&self, id: &str) -> Result<(), Diagnostic> {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
        let (ready, wait) = oneshot::channel();
        let _ = self
            .to
            .send(Message::RecordId {
                op: self.op,
                id: id.to_owned(),
                ready,
            })
            .await;
        wait.await.map_err(|_| stopped())?
    }

    fn waiting(&self, what: &str, deadline: Duration) {
        let seconds = deadline.as_millis().div_ceil(1000);
        let title = format!("{what} (at most {seconds} s)");
        // A full channel only loses a line on the screen.
        let _ = self.to.try_send(Message::StepBegan {
            op: self.op,
            title,
            waits: true,
            ready: None,
        });
    }

    fn is_cancelled(&self) -> bool {
        self.hard.is_cancelled()
    }

    async fn drafted(&self) {
        // A walker that is gone begins nothing more.
        let _ = self.to.send(Message::Drafted { op: self.op }).await;
    }
}

/// What is said of a step that failed.
pub(crate) fn failed_step(task: &Task, step: &Step, output: Option<&Output>) -> Diagnostic {
    let mut diagnostic = Diagnostic::remote("step-failed", "a step failed")
        .detail(format!("`{}` on {}", step.title, step.on.address));
    if let Some(output) = output {
        let is_over = |line: &str| line.trim_end() == dmp_sdk::TIME_IS_OVER;
        if let Some(within) = task.within
            && output.status == 124
            && output.stderr.lines().any(is_over)
        {
            return out_of_time(task, within).detail(format!(
                "`{}` on {} was under way",
                step.title, step.on.address
            ));
        }
        let status = match output.status {
            124 => format!("not done after {} s", step.deadline.as_secs()),
            status => format!("status {status}"),
        };
        let last: Vec<&str> = output.stderr.lines().rev().take(12).collect();
        let words: Vec<&str> = last.into_iter().rev().collect();
        diagnostic = diagnostic.cause(match words.is_empty() {
            true => status,
            false => format!("{status}: {}", words.join("\n")),
        });
    }
    diagnostic
}

/// What is said of a work that took longer than the configuration lets it.
fn out_of_time(task: &Task, within: Duration) -> Diagnostic {
    let verb = task.verb;
    let seconds = within.as_secs_f64();
    Diagnostic::remote("out-of-time", "the time for the work is over")
        .cause(format!(
            "the {verb} was not done within {seconds} s, the time that `timeouts` gives"
        ))
        .help("give it more time, or look why it takes so long; the next apply goes on")
}

/// What is said when the machine went down inside a work.
pub(crate) fn interrupted(on: &Machine) -> Diagnostic {
    Diagnostic::remote("interrupted", "the machine went down during the work")
        .detail(format!(
            "{} restarted, or the work on it was killed",
            on.address
        ))
        .help("run `dmp apply` again: it looks at what is there and goes on")
}

/// What is said when a batch can't be followed any more.
pub(crate) fn lost(unreachable: &Unreachable) -> Diagnostic {
    Diagnostic::remote("lost", "the work can't be followed")
        .cause(unreachable.to_string())
        .state("what had begun goes on there; its intent is open and is settled by the next run")
        .help("run `dmp apply` again when the machine can be reached: nothing is started twice")
}

/// What is said of a work that the person stopped.
pub(crate) fn stopped() -> Diagnostic {
    Diagnostic::error("stopped", "stopped on request")
        .state("what was begun is noted in the state as an intent")
        .help("run `dmp apply` again: it goes on from here")
}
