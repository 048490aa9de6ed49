//! A run: services, settling of what earlier runs left, refresh and plan.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use dmp_apply::{Limits, Run, Services, Stop};
use dmp_events::{BusyWith, Event, Sink};
use dmp_plan::planner::Configure;
use dmp_plan::selection::{Part, Selection};
use dmp_plan::{PlannerInput, Registry};
use dmp_refresh::{Planning, Reader, Refresh};
use dmp_report::Terminal;
use dmp_sdk::{Address, Diagnostic, Machines};
use dmp_state::{Instance, Record, Snapshot, Status, Store, mint_id};
use dmp_transport::Ssh;
use tokio::signal::unix::{SignalKind, signal};

use crate::stack::{Stack, VERSION, now};
use crate::{Context, encryption, reach};

/// The services of a command that looks at a stack and tells a person of it, with so many calls of APIs at once.
pub(crate) fn looking(context: &Context, stack: &Stack, calls: usize) -> Services {
    let events = Arc::new(Terminal::new(
        stack.sources.clone(),
        context.error_style,
        context.is_live,
        false,
    ));
    let limits = limits(stack, calls);
    services(&stack.directory, &context.registry, events, limits, false)
}

/// The services of a run of the stack in a folder, over real machines.
pub(crate) fn services(
    directory: &Path,
    registry: &Arc<Registry>,
    events: Arc<dyn Sink>,
    limits: Limits,
    is_patient: bool,
) -> Services {
    let mut options = reach::options(directory);
    let waiting = Arc::clone(&events);
    options.progress = Arc::new(move |machine: &str, line: &str| {
        waiting.emit(Event::Waiting {
            what: machine.to_owned(),
            why: line.to_owned(),
        });
    });
    let ssh = Ssh::new(options);
    let quick = Reader::new(Arc::new(ssh.clone()));
    let ssh = if is_patient { ssh.patient() } else { ssh };
    let machines: Arc<dyn Machines> = Arc::new(ssh);
    let slow = Arc::clone(&events);
    let tell = Arc::new(move |what: &str, why: &str| {
        slow.emit(Event::Waiting {
            what: what.to_owned(),
            why: why.to_owned(),
        });
    });
    Services {
        reader: Reader::new(Arc::clone(&machines)).telling(tell),
        quick,
        configure: configure(registry, &machines),
        machines,
        events,
        clock: Arc::new(now),
        mint: Arc::new(mint_id),
        stop: Stop::default(),
        limits,
        started: Instant::now(),
    }
}

/// How much of a stack may be under way at once, `calls` of them calls of APIs.
pub(crate) fn limits(stack: &Stack, calls: usize) -> Limits {
    let written = stack.configuration.root().stack.iter();
    let limits = written.flat_map(|stack| &stack.limits);
    Limits {
        calls,
        by_class: limits
            .map(|(name, limit)| (Arc::clone(name), limit.number))
            .collect(),
    }
}

fn configure(registry: &Arc<Registry>, machines: &Arc<dyn Machines>) -> Configure {
    let (registry, machines) = (Arc::clone(registry), Arc::clone(machines));
    Arc::new(move |name, config| {
        let provider = registry.provider(name);
        let provider = provider.ok_or_else(|| Diagnostic::bug(format!("no provider `{name}`")))?;
        provider.configure(config, Arc::clone(&machines))
    })
}

/// Ctrl-C: the first finishes what is under way, the second leaves it. It is heard from the return of this on.
pub(crate) fn stop_on_signals(stop: &Stop, events: &Arc<dyn Sink>) {
    let (stop, events) = (stop.clone(), Arc::clone(events));
    let Ok(mut interrupts) = signal(SignalKind::interrupt()) else {
        return;
    };
    tokio::spawn(async move {
        if interrupts.recv().await.is_none() {
            return;
        }
        tracing::info!("stopping");
        events.emit(Event::Waiting {
            what: "stopping".into(),
            why: "nothing new is begun; Ctrl-C once more leaves what is under way".into(),
        });
        stop.soft.cancel();
        if interrupts.recv().await.is_some() {
            stop.hard.cancel();
        }
    });
}

/// With what in mind the stack is looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// Everything is to be removed.
    pub is_destroy: bool,
    /// What of the stack it is about.
    pub selection: Selection,
    /// What is recorded is taken for what is there.
    pub trusts_record: bool,
    /// What the person says is lost.
    pub lost: BTreeSet<Address>,
    /// A machine that does not answer is not waited for: what is lost is just the question.
    pub is_quick: bool,
    /// Nothing is to be done yet: what takes the place of the lost need not be there.
    pub tolerates_lost: bool,
    /// It is told what became of each instance.
    pub classifies: bool,
}

/// What the person has called lost in an earlier run, and is not made anew yet.
pub(crate) fn recorded_lost(snapshot: &Snapshot) -> BTreeSet<Address> {
    let lost = snapshot
        .instances
        .values()
        .filter(|instance| instance.status == Status::Lost);
    lost.map(|instance| instance.address.clone()).collect()
}

/// Begins a run in the state and settles what earlier runs left. What was begun on something lost is not waited for.
pub(crate) async fn begin(
    stack: &Stack,
    store: &mut Store,
    services: &Services,
    run: &str,
    command: &str,
    lost: &BTreeSet<Address>,
) -> Result<(), Vec<Diagnostic>> {
    let state_error = |error: dmp_state::StateError| {
        vec![Diagnostic::error("state", "cannot write the state").cause(error.to_string())]
    };
    let wanted = encryption::wanted(&stack.configuration);
    let at_first = wanted.clone().unwrap_or_default();
    store
        .begin(mint_id(), &at_first, run, &now())
        .map_err(state_error)?;
    let began = Record::RunBegan {
        command: command.to_owned(),
        version: VERSION.to_owned(),
    };
    store
        .commit(vec![began], run, &now())
        .map_err(state_error)?;
    services.events.emit(Event::RunStarted {
        run: run.to_owned(),
        command: command.to_owned(),
        version: VERSION.to_owned(),
    });
    if let Some(wanted) = wanted {
        let before = store.rewrap(&wanted, run, &now()).map_err(state_error)?;
        if let (Some(before), Some(after)) = (before, store.access()) {
            let diagnostic = encryption::changed(&before, &after);
            services.events.emit(Event::Diagnosed { diagnostic });
        }
    }
    let mut run = Run {
        store,
        id: run.to_owned(),
        services: services.clone(),
    };
    let mut lost = lost.clone();
    lost.extend(recorded_lost(run.store.snapshot()));
    dmp_apply::settle(&mut run, &stack.world(), &lost).await
}

/// Reads what is recorded and makes a plan.
pub(crate) async fn plan(
    stack: &Stack,
    snapshot: &Snapshot,
    services: &Services,
    look: &Look,
) -> Planning {
    let reader = if look.is_quick {
        &services.quick
    } else {
        &services.reader
    };
    let from = services.elapsed();
    services.events.emit(Event::Refreshing {
        instances: snapshot.instances.len(),
    });
    let world = stack.world();
    let moves = dmp_plan::moves::follow(&stack.configuration, snapshot);
    let snapshot = Arc::new(moves.snapshot);
    let mut lost = recorded_lost(&snapshot);
    // A person calls it by the address that the state has.
    let now = |address: &Address| {
        let mut moves = moves.moves.iter();
        let moved = moves.find(|(from, _)| from == address);
        moved.map_or_else(|| address.clone(), |(_, to)| to.clone())
    };
    let called: BTreeSet<Address> = look.lost.iter().map(now).collect();
    let newly = called
        .iter()
        .filter_map(|address| snapshot.instances.get(address))
        .filter(|instance| instance.status != Status::Lost);
    // From then on every run knows it, also the one after a kill.
    let newly: Vec<Record> = newly
        .map(|instance| {
            let mut instance = instance.as_ref().clone();
            instance.status = Status::Lost;
            Record::InstancePut(Box::new(instance))
        })
        .collect();
    lost.extend(called.iter().cloned());
    let part = Part::of(&world, look.selection.clone(), look.is_destroy);
    let mut passed_over = dmp_plan::ending::all_lost(&snapshot, &lost);
    let is_passed_over =
        |instance: &&Arc<Instance>| look.trusts_record || !part.has_recorded(&world, instance);
    let others = snapshot.instances.values().filter(is_passed_over);
    passed_over.extend(others.map(|instance| instance.address.clone()));
    let refresh = Refresh::new(&world, &snapshot, &passed_over, &services.configure);
    let input = |world, findings| PlannerInput {
        world,
        snapshot: Arc::clone(&snapshot),
        findings,
        configure: Arc::clone(&services.configure),
        is_destroy: look.is_destroy,
        part: part.clone(),
        lost: lost.clone(),
        tolerates_lost: look.tolerates_lost,
        moves: moves.moves.clone(),
    };
    let foreseen = refresh.foresee(|findings| input(stack.world(), findings));
    let reader = reader.foreseeing(&foreseen);
    let findings = refresh.read(&reader).await;
    let milliseconds = services.elapsed() - from;
    services.events.emit(Event::Refreshed {
        instances: snapshot.instances.len(),
        milliseconds,
    });
    let conditions = match look.classifies {
        true => dmp_plan::classify::classify(&world, &snapshot, &findings, &lost),
        false => Vec::new(),
    };
    let mut planning = dmp_refresh::plan(input(world, findings), &reader).await;
    planning.plan.diagnostics.extend(moves.diagnostics);
    planning.conditions = conditions;
    planning.before = moves.records;
    planning.before.extend(newly);
    services.events.emit(Event::Busy {
        layer: None,
        what: BusyWith::Request,
        from,
        to: services.elapsed(),
    });
    planning
}
