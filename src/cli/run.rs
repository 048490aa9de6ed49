//! A run: services, settling of what earlier runs left, refresh and plan.

use std::sync::Arc;
use std::time::Instant;

use dmp_apply::{Run, Services, Stop};
use dmp_events::{BusyWith, Event, Sink};
use dmp_plan::planner::Configure;
use dmp_plan::{PlannerInput, Registry};
use dmp_refresh::{Planning, Reader};
use dmp_sdk::{Diagnostic, Machines};
use dmp_state::{Record, Snapshot, Store, mint_id};
use dmp_transport::{Options, Ssh};

use crate::stack::{Stack, VERSION, now};

/// The services of a run, over real machines.
pub(crate) fn services(
    registry: &Arc<Registry>,
    events: Arc<dyn Sink>,
    parallelism: usize,
    is_patient: bool,
) -> Services {
    let mut options = Options::from_environment();
    let waiting = Arc::clone(&events);
    options.progress = Arc::new(move |machine: &str, line: &str| {
        waiting.emit(Event::Waiting {
            what: machine.to_owned(),
            why: line.to_owned(),
        });
    });
    let ssh = Ssh::new(options);
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
        configure: configure(registry, &machines),
        machines,
        events,
        clock: Arc::new(now),
        mint: Arc::new(mint_id),
        stop: Stop::default(),
        parallelism,
        started: Instant::now(),
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

/// Ctrl-C: the first finishes what is under way, the second leaves it.
pub(crate) fn stop_on_signals(stop: &Stop, events: &Arc<dyn Sink>) {
    let (stop, events) = (stop.clone(), Arc::clone(events));
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        tracing::info!("stopping");
        events.emit(Event::Waiting {
            what: "stopping".into(),
            why: "nothing new is begun; Ctrl-C once more leaves what is under way".into(),
        });
        stop.soft.cancel();
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.hard.cancel();
        }
    });
}

/// Begins a run in the state and settles what earlier runs left.
pub(crate) async fn begin(
    stack: &Stack,
    store: &mut Store,
    services: &Services,
    run: &str,
    command: &str,
) -> Result<(), Vec<Diagnostic>> {
    let state_error = |error: dmp_state::StateError| {
        vec![Diagnostic::error("state", "cannot write the state").cause(error.to_string())]
    };
    store.begin(mint_id(), run, &now()).map_err(state_error)?;
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
    let mut run = Run {
        store,
        id: run.to_owned(),
        services: services.clone(),
    };
    dmp_apply::settle(&mut run, &stack.world()).await
}

/// Reads what is recorded and makes a plan.
pub(crate) async fn plan(
    stack: &Stack,
    snapshot: &Snapshot,
    services: &Services,
    is_destroy: bool,
) -> Planning {
    let from = services.elapsed();
    services.events.emit(Event::Refreshing {
        instances: snapshot.instances.len(),
    });
    let world = stack.world();
    let recorded =
        dmp_refresh::refresh(&world, snapshot, &services.configure, &services.reader).await;
    let milliseconds = services.elapsed() - from;
    services.events.emit(Event::Refreshed {
        instances: snapshot.instances.len(),
        milliseconds,
    });
    let input = PlannerInput {
        world,
        snapshot: Arc::new(snapshot.clone()),
        findings: recorded.findings,
        configure: Arc::clone(&services.configure),
        is_destroy,
    };
    let planning = dmp_refresh::plan(input, &services.reader).await;
    services.events.emit(Event::Busy {
        layer: None,
        what: BusyWith::Request,
        from,
        to: services.elapsed(),
    });
    planning
}
