//! `dmp apply` and `dmp destroy`: plan, ask, do, record; stage by stage.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dmp_apply::{Checks, Outcome, Run, Services};
use dmp_events::{Event, Sink, Tee};
use dmp_lang::Sources;
use dmp_plan::{Plan, Planned};
use dmp_refresh::Planning;
use dmp_report::{HtmlReport, JsonLines, RunLog, Terminal, Timeline};
use dmp_sdk::{Action, Address, Diagnostic};
use dmp_state::{Lock, Record, Snapshot, Store, mint_id};

use super::{fail, fail_broken, print, rebuild, say, say_counts};
use crate::arguments::Apply;
use crate::plan_file::{self, Saved};
use crate::run::Look;
use crate::stack::{Stack, check_state, now, open_state_for_writing, state_folder};
use crate::{Context, Exit, encryption, run as runs, unsupported};

/// A timeline that is both heard and asked.
struct Shared(Arc<Timeline>);

impl Sink for Shared {
    fn emit(&self, event: Event) {
        self.0.emit(event);
    }
}

/// What an apply is for.
#[derive(Debug)]
pub(crate) enum Errand {
    /// What the configuration describes.
    Apply,
    /// Removing everything.
    Destroy,
    /// Bringing back what is lost.
    Rebuild(rebuild::Wish),
    /// Taking over an object that is there already.
    Import {
        /// For which instance.
        address: String,
        /// By which id.
        id: String,
    },
}

impl Errand {
    fn command(&self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Destroy => "destroy",
            Self::Rebuild(_) => "rebuild",
            Self::Import { .. } => "import",
        }
    }

    fn wish(&self) -> Option<&rebuild::Wish> {
        match self {
            Self::Rebuild(wish) => Some(wish),
            Self::Apply | Self::Destroy | Self::Import { .. } => None,
        }
    }
}

pub(crate) async fn run(
    context: &Context,
    directory: &Path,
    arguments: Apply,
    errand: Errand,
) -> Exit {
    if arguments.refresh_only {
        return match errand {
            Errand::Apply => super::refresh::apply(context, directory, &arguments).await,
            Errand::Destroy | Errand::Rebuild(_) | Errand::Import { .. } => {
                fail(context, &Sources::new(), &[records_nothing()])
            }
        };
    }
    let command = errand.command();
    let given = arguments.plan.is_none().then_some(&arguments.variables);
    let mut stack = match Stack::open(context, directory, given) {
        Ok(stack) => stack,
        Err(broken) if arguments.how.json => return tell(&broken.diagnostics),
        Err(broken) => return fail_broken(context, &broken),
    };
    let imported = match &errand {
        Errand::Import { address, id } => stack.import(address, id),
        _ => Ok(()),
    };
    let sources = stack.sources.clone();
    // Before there is a run to tell of it.
    let refuse = |diagnostics: &[Diagnostic]| match arguments.how.json {
        true => tell(diagnostics),
        false => fail(context, &sources, diagnostics),
    };
    refuse(&stack.warnings);
    if let Some(unheeded) = unsupported::before_changes(&stack.configuration) {
        return refuse(&[unheeded]);
    }
    if let Err(wrong) = imported {
        return refuse(&[wrong]);
    }
    let opened = open(
        &mut stack,
        directory,
        command,
        arguments.plan.as_ref(),
        &arguments,
    );
    let (mut store, lock, saved) = match opened {
        Ok(opened) => opened,
        Err(diagnostics) => return refuse(&diagnostics),
    };
    if let Errand::Import { address, .. } = &errand
        && let Some(known) = recorded(address, store.snapshot())
    {
        return refuse(&[known]);
    }
    let part = saved.as_ref().map_or(&arguments.part, |saved| &saved.part);
    let selection = match part.selection() {
        Ok(selection) => selection,
        Err(wrong) => return refuse(&wrong),
    };
    let mut look = Look {
        selection,
        trusts_record: part.no_refresh,
        is_destroy: saved
            .as_ref()
            .map_or(matches!(errand, Errand::Destroy), |saved| saved.is_destroy),
        ..Look::default()
    };
    if let Some(wish) = errand.wish() {
        look.tolerates_lost = wish.is_dry;
        look.is_quick = true;
        look.classifies = true;
        match wish.addresses(store.snapshot()) {
            Ok(lost) => look.lost = lost,
            Err(diagnostic) => return refuse(&[diagnostic]),
        }
    }
    let run = mint_id();
    let timeline = Arc::new(Timeline::new());
    let events = sink(context, &stack, &arguments, &run, &timeline);
    let services = runs::services(
        &stack.directory,
        &context.registry,
        events,
        runs::limits(&stack, arguments.how.parallelism),
        true,
    );
    if let Some(left) = &lock.left_by {
        services.events.emit(Event::LeftBehind {
            command: left.command.clone(),
            pid: left.pid,
            since: left.since.clone(),
        });
    }
    runs::stop_on_signals(&services.stop, &services.events);
    let mut session = Session {
        context,
        stack: &stack,
        arguments: &arguments,
        services: &services,
        run: &run,
        look,
    };
    let (exit, totals) = session.rounds(&mut store, saved.as_ref(), &errand).await;
    if arguments.how.counts {
        say_counts(services.machines.as_ref());
    }
    services.machines.close().await;
    let outcome = match exit {
        Exit::Success => "applied",
        Exit::Stages => "stages left",
        Exit::Stopped => "stopped",
        Exit::Undecided => "undecided",
        _ => "failed",
    };
    // A state that can't be written has been told of already.
    let _ = store.commit(
        vec![Record::RunEnded {
            outcome: outcome.into(),
        }],
        &run,
        &now(),
    );
    services.events.emit(Event::RunEnded {
        outcome: outcome.into(),
        changed: totals.changed,
        failed: totals.failed,
        skipped: totals.skipped,
        milliseconds: services.elapsed(),
    });
    if !arguments.how.json {
        session.close(&totals, exit, &timeline);
        if totals.failed > 0 {
            let page = state_folder(&stack.directory)
                .join("runs")
                .join(format!("{run}.html"));
            say(&format!("The run as a page: {}\n", page.display()));
        }
    }
    drop(lock);
    exit
}

fn records_nothing() -> Diagnostic {
    Diagnostic::error("refresh-only", "what is removed is not recorded as it is")
        .detail("`--refresh-only` is for `dmp plan` and `dmp apply`")
        .help("leave it out")
}

/// What is recorded has its object already.
fn recorded(address: &str, snapshot: &Snapshot) -> Option<Diagnostic> {
    let address: Address = address.parse().ok()?;
    snapshot.instances.get(&address)?;
    Some(
        Diagnostic::error("import-recorded", "the state has it already")
            .address(&address)
            .help("forget it with `dmp state rm`, if it is another object"),
    )
}

type Opened = (Store, Lock, Option<Saved>);

fn open(
    stack: &mut Stack,
    directory: &Path,
    command: &str,
    plan: Option<&PathBuf>,
    arguments: &Apply,
) -> Result<Opened, Vec<Diagnostic>> {
    let (store, lock) =
        open_state_for_writing(directory, command).map_err(|diagnostic| vec![diagnostic])?;
    if let Some(older) = check_state(stack, &store) {
        return Err(vec![older]);
    }
    let Some(path) = plan else {
        return Ok((store, lock, None));
    };
    let saved = plan_file::read(path, Some(&stack.configuration.digest), &store)
        .map_err(|error| vec![error])?;
    stack.inputs.clone_from(&saved.variables);
    stack.opened = saved.planned_at;
    // Ephemeral values are in no file: they are given again.
    let declared = &stack.configuration.root().variables;
    let is_open = declared.keys().any(|name| !stack.inputs.contains_key(name));
    if is_open {
        let mut sources = stack.sources.clone();
        let root = stack.configuration.root();
        let values =
            crate::variables::collect(root, &stack.directory, &arguments.variables, &mut sources)?;
        for (name, value) in values {
            stack.inputs.entry(name).or_insert(value);
        }
    }
    Ok((store, lock, Some(saved)))
}

fn sink(
    context: &Context,
    stack: &Stack,
    arguments: &Apply,
    run: &str,
    timeline: &Arc<Timeline>,
) -> Arc<dyn Sink> {
    let screen: Box<dyn Sink> = if arguments.how.json {
        Box::new(JsonLines::new())
    } else {
        let sources = stack.sources.clone();
        Box::new(Terminal::new(
            sources,
            context.error_style,
            context.is_live,
            arguments.how.verbose,
        ))
    };
    let mut readers = vec![screen, Box::new(Shared(Arc::clone(timeline)))];
    let log = state_folder(&stack.directory)
        .join("runs")
        .join(format!("{run}.jsonl"));
    let page = state_folder(&stack.directory)
        .join("runs")
        .join(format!("{run}.html"));
    readers.push(Box::new(HtmlReport::new(page, stack.sources.clone(), now)));
    // A log that can't be written must not keep anybody from mending a stack.
    if let Ok(file) = std::fs::File::create(log) {
        readers.push(Box::new(RunLog::new(file)));
    }
    Arc::new(Tee(readers))
}

/// Tells machines what is wrong, as events.
fn tell(diagnostics: &[Diagnostic]) -> Exit {
    let lines = JsonLines::new();
    for diagnostic in diagnostics {
        lines.emit(Event::Diagnosed {
            diagnostic: diagnostic.clone(),
        });
    }
    Exit::of(diagnostics)
}

/// What the rounds of one apply share.
pub(super) struct Session<'a> {
    pub(super) context: &'a Context,
    pub(super) stack: &'a Stack,
    pub(super) arguments: &'a Apply,
    pub(super) services: &'a Services,
    run: &'a str,
    pub(super) look: Look,
}

/// What all rounds together came to.
#[derive(Default)]
pub(super) struct Totals {
    changed: usize,
    failed: usize,
    skipped: usize,
    began: Option<u64>,
    ended: u64,
    was_empty: bool,
}

impl Totals {
    /// How long the work took, in milliseconds.
    pub(super) fn milliseconds(&self) -> u64 {
        self.ended.saturating_sub(self.began.unwrap_or(self.ended))
    }
}

/// Whether a plan may be carried out.
enum Approval {
    Given,
    Refused(Exit),
}

impl Session<'_> {
    /// Plans, asks and applies until nothing is left that was decided later.
    async fn rounds(
        &mut self,
        store: &mut Store,
        saved: Option<&Saved>,
        errand: &Errand,
    ) -> (Exit, Totals) {
        let mut totals = Totals::default();
        let begun = runs::begin(
            self.stack,
            store,
            self.services,
            self.run,
            errand.command(),
            &self.look.lost,
        );
        if let Err(diagnostics) = begun.await {
            return (self.fail(&diagnostics), totals);
        }
        let mut report = None;
        let mut approved: Option<Approved> = None;
        for round in 0..MAX_ROUNDS {
            // While it is planned nothing is under way that would have to be finished.
            let mut planning = tokio::select! {
                planning = runs::plan(self.stack, store.snapshot(), self.services, &self.look) => planning,
                () = self.services.stop.soft.cancelled() => return (Exit::Stopped, totals),
            };
            if let (Some(wish), 0) = (errand.wish(), round) {
                match self.decide_lost(store, &mut planning).await {
                    Ok(()) => {}
                    Err(exit) => return (exit, totals),
                }
                report = Some(rebuild::Report::begin(&planning));
                if wish.is_dry {
                    self.show(&planning.plan);
                    return (self.fail(&planning.plan.diagnostics), totals);
                }
            }
            let exit = self.fail(&planning.plan.diagnostics);
            if round == 0 {
                let (plan, world) = (&planning.plan, &planning.world);
                let alone = encryption::warn_of_one(self.stack, store, plan, world);
                self.fail(alone.as_slice());
            }
            if exit != Exit::Success {
                self.show(&planning.plan);
                return (exit, totals);
            }
            if planning.plan.is_empty() {
                totals.was_empty = round == 0;
                if round == 0 {
                    self.show(&planning.plan);
                }
                // Refreshed values and changed dependencies are recorded all the same.
                let applied = self.apply(store, &mut planning, &mut totals).await;
                let exit = self.after_all(applied, &mut planning, errand).await;
                self.report(report.as_ref(), store, &totals, exit);
                return (exit, totals);
            }
            // What has just been made may still boot, and is no longer lost: what still is, the state says.
            self.look.is_quick = false;
            self.look.lost.clear();
            // What was replaced is not replaced once more.
            self.look.selection.replace.clear();
            let approval = self.approve(&planning, saved, round, approved.as_ref());
            match approval.await {
                Approval::Given => {}
                Approval::Refused(exit) => return (exit, totals),
            }
            let deferred = planning.plan.deferred.iter();
            let blocks = deferred.map(|deferred| deferred.block.clone()).collect();
            let outcome = match self.apply(store, &mut planning, &mut totals).await {
                Ok(outcome) => outcome,
                Err(diagnostic) => return (self.fail(&[diagnostic]), totals),
            };
            if outcome.stopped {
                return (Exit::Stopped, totals);
            }
            if outcome.failed > 0 {
                self.report(report.as_ref(), store, &totals, Exit::User);
                return (Exit::of(&outcome.diagnostics).max(Exit::User), totals);
            }
            let changes = &planning.plan.instances;
            let left = |address: &Address| Some((address.clone(), changes.get(address)?.clone()));
            approved = Some(Approved {
                blocks,
                left: outcome.left.iter().filter_map(left).collect(),
            });
            let has_more = !outcome.stages.is_empty() || !planning.plan.deferred.is_empty();
            if !has_more {
                let exit = self.after_all(Ok(outcome), &mut planning, errand).await;
                self.report(report.as_ref(), store, &totals, exit);
                return (exit, totals);
            }
        }
        let endless =
            Diagnostic::bug("after ten rounds there is still something that is decided later");
        (self.fail(&[endless]), totals)
    }

    async fn apply(
        &self,
        store: &mut Store,
        planning: &mut Planning,
        totals: &mut Totals,
    ) -> Result<Outcome, Diagnostic> {
        totals.began = totals.began.or(Some(self.services.elapsed()));
        let mut run = Run {
            store,
            id: self.run.to_owned(),
            services: self.services.clone(),
        };
        run.commit(std::mem::take(&mut planning.before))?;
        let Planning {
            plan,
            world,
            providers,
            ..
        } = planning;
        let outcome = dmp_apply::apply(&mut run, plan, world, providers).await?;
        totals.changed += outcome.changed;
        totals.failed += outcome.failed;
        // What was skipped in an earlier round is part of this one.
        totals.skipped = outcome.skipped;
        totals.ended = self.services.elapsed();
        Ok(outcome)
    }

    /// Checks, when everything is applied.
    async fn after_all(
        &self,
        applied: Result<Outcome, Diagnostic>,
        planning: &mut Planning,
        errand: &Errand,
    ) -> Exit {
        let outcome = match applied {
            Ok(outcome) => outcome,
            Err(diagnostic) => return self.fail(&[diagnostic]),
        };
        if outcome.stopped {
            return Exit::Stopped;
        }
        if !outcome.diagnostics.is_empty() {
            return Exit::of(&outcome.diagnostics);
        }
        // A part of a stack need not work yet.
        if !planning.plan.is_destroy && self.look.selection.is_whole() {
            let warnings = dmp_apply::check(
                self.services,
                &mut planning.world,
                &planning.providers,
                Checks::All,
            )
            .await;
            // What is rebuilt has to work.
            let is_broken = !warnings.is_empty() && errand.wish().is_some();
            for diagnostic in warnings {
                self.services.events.emit(Event::Diagnosed { diagnostic });
            }
            if is_broken {
                return Exit::Remote;
            }
        }
        Exit::Success
    }

    async fn approve(
        &self,
        planning: &Planning,
        saved: Option<&Saved>,
        round: usize,
        approved: Option<&Approved>,
    ) -> Approval {
        let plan = &planning.plan;
        if let (Some(saved), 0) = (saved, round) {
            let beyond = saved.beyond(plan, &planning.world);
            if beyond.is_empty() {
                return Approval::Given;
            }
            let mut diagnostic = Diagnostic::error(
                "beyond-plan",
                "what is there has changed since the plan was made",
            )
            .help("make a new plan with `dmp plan --out`");
            for (address, why) in beyond {
                diagnostic = diagnostic.help(format!("{address}: {why}"));
            }
            self.fail(&[diagnostic]);
            return Approval::Refused(Exit::Stages);
        }
        // What a block that was shown as decided later now turns out to have may be created.
        if approved.is_some_and(|approved| approved.covers(planning)) {
            return Approval::Given;
        }
        self.show(plan);
        let removes = plan
            .instances
            .values()
            .chain(&plan.deposed)
            .any(|planned| planned.action.deletes());
        if self.arguments.yes && !(round > 0 && removes) {
            return Approval::Given;
        }
        if !self.context.is_terminal || self.arguments.how.json || saved.is_some() {
            let why = if round > 0 {
                "what was approved is done; the rest goes beyond it and there is nobody to ask"
            } else {
                "there is no terminal to ask on"
            };
            let help = if round > 0 {
                "see it with `dmp plan`, then apply again"
            } else {
                "use `--yes`, or a saved plan"
            };
            self.fail(&[Diagnostic::error("not-approved", "not approved")
                .detail(why)
                .help(help)]);
            return Approval::Refused(if round > 0 { Exit::Stages } else { Exit::User });
        }
        let (refused, exit) = match round {
            0 => ("Not approved; nothing was changed.\n", Exit::User),
            _ => (
                "Not approved; what was approved before is done, nothing more was changed.\n",
                Exit::Stages,
            ),
        };
        // Whoever presses Ctrl-C at the question has answered it.
        tokio::select! {
            answer = ask(if plan.is_destroy { "Remove all this?" } else { "Apply this?" }) => {
                if answer {
                    return Approval::Given;
                }
                say(refused);
                Approval::Refused(exit)
            }
            () = self.services.stop.soft.cancelled() => {
                say(&format!("\n{refused}"));
                Approval::Refused(Exit::Stopped)
            }
        }
    }

    pub(super) fn show(&self, plan: &Plan) {
        if self.arguments.how.json {
            print(&format!(
                "{}\n",
                serde_json::json!({ "event": "planned", "plan": dmp_report::plan_json(plan) })
            ));
        } else {
            print(&dmp_report::render_plan(plan, self.context.style));
        }
    }

    pub(super) fn fail(&self, diagnostics: &[Diagnostic]) -> Exit {
        if self.arguments.how.json {
            for diagnostic in diagnostics {
                self.services.events.emit(Event::Diagnosed {
                    diagnostic: diagnostic.clone(),
                });
            }
            return Exit::of(diagnostics);
        }
        fail(self.context, &self.stack.sources, diagnostics)
    }

    fn close(&self, totals: &Totals, exit: Exit, timeline: &Timeline) {
        if totals.began.is_some() && !totals.was_empty {
            let words = match exit {
                Exit::Success => "Done",
                Exit::Stopped => "Stopped on request; `dmp apply` goes on from here",
                _ => "Not everything could be done; `dmp apply` goes on from here",
            };
            say(&format!(
                "{words}: {} changed, {} failed, {} skipped.\n",
                totals.changed, totals.failed, totals.skipped
            ));
        }
        if let (true, Some(began)) = (self.arguments.how.timeline, totals.began) {
            print(&timeline.render(began, totals.ended));
        }
    }
}

/// What was approved in a round and not done in it.
struct Approved {
    /// Blocks that were shown as decided later.
    blocks: BTreeSet<String>,
    /// What was put off, or waits for such.
    left: BTreeMap<Address, Box<Planned>>,
}

impl Approved {
    /// Whether a plan only does what was put off as it was approved, and creates instances of blocks that were shown as
    /// decided later.
    fn covers(&self, planning: &Planning) -> bool {
        let plan = &planning.plan;
        let mut changes = plan
            .instances
            .values()
            .filter(|planned| planned.is_change());
        plan.deposed.is_empty()
            && changes.all(|planned| {
                if let Some(left) = self.left.get(&planned.address) {
                    return plan_file::is_within(planned, left, &planning.world);
                }
                let address = planned.address.to_string();
                let is_inside = |block: &String| is_under(&address, block);
                let is_new = matches!(planned.action, Action::Create | Action::Read);
                // What stands there already was shown to nobody.
                is_new && planned.earlier.found().is_none() && self.blocks.iter().any(is_inside)
            })
    }
}

/// Whether an address is one of a block's instances, or stands inside a module's block.
fn is_under(address: &str, block: &str) -> bool {
    let rest = address.strip_prefix(block);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
}

pub(super) async fn ask(question: &str) -> bool {
    say(&format!("{question} Only `yes` is taken for a yes: "));
    let _ = std::io::stderr().flush();
    // A thread of its own: what waits for a line can't be stopped, but it need not be waited for.
    let line = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).map(|_| answer)
    });
    matches!(line.await, Ok(Ok(answer)) if answer.trim() == "yes")
}

const MAX_ROUNDS: usize = 10;
