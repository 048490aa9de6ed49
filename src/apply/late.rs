//! What a run that was cut off has asked a service for may still come about: the service works on when its caller is gone. So what
//! is not found is looked for until that is over, before it is asked for again; else it would be there twice.

use std::time::{Duration, Instant};

use dmp_events::Event;
use dmp_plan::{Finding, Findings, ReadKind, ReadRequest};
use dmp_sdk::{Address, Verb};
use dmp_state::{Intent, Serial};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::run::{Run, Services};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// Reads what intents may have left, and what is not found again while it may still come. `silent` is how long nobody has worked
/// on the state. Where the person wants to stop, what may still come counts as not to be reached.
pub(crate) async fn read(
    services: &Services,
    silent: Duration,
    requests: Vec<ReadRequest>,
    may_come: impl Fn(&Address) -> bool,
) -> Findings {
    let begun = Instant::now();
    let read = services.reader.read(requests.clone()).await;
    let mut findings: Findings = read.into_iter().collect();
    let mut is_told = false;
    loop {
        let passed = silent + begun.elapsed();
        let is_open = |request: &&ReadRequest| {
            let found = findings.get(&request.address);
            may_come(&request.address) && may_come_late(request, passed) && is_nothing(found)
        };
        let open: Vec<ReadRequest> = requests.iter().filter(is_open).cloned().collect();
        let Some(first) = open.first() else {
            return findings;
        };
        if !std::mem::replace(&mut is_told, true) {
            services.events.emit(Event::Waiting {
                what: first.address.to_string(),
                why: "an earlier run has asked for it, and it may still come about".into(),
            });
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = services.stop.soft.cancelled() => {
                let why = || Finding::Unreachable("it may still come about, and was not waited for".into());
                findings.extend(open.into_iter().map(|request| (request.address, why())));
                return findings;
            }
        }
        findings.extend(services.reader.read(open).await);
    }
}

/// Whether the intent is one of a create whose call may not have come back.
pub(crate) fn is_unanswered(intent: &Intent) -> bool {
    intent.verb == Verb::Create && intent.object_id.is_none() && intent.batches.is_empty()
}

/// How long ago the run that was cut off has said its last word, as far as the clocks agree.
pub(crate) fn silence(run: &Run<'_>) -> Duration {
    let Serial(last) = run.store.snapshot().serial;
    let log = run
        .store
        .log(Serial(last.saturating_sub(LOOKED_AT)), LOOKED_AT as usize);
    let log = log.unwrap_or_default();
    let before = log.iter().rev().find(|commit| commit.run != run.id);
    let then = before.and_then(|commit| OffsetDateTime::parse(&commit.time, &Rfc3339).ok());
    let now = OffsetDateTime::parse(&(run.services.clock)(), &Rfc3339).ok();
    let passed = now.zip(then).map(|(now, then)| now - then);
    passed
        .and_then(|passed| passed.try_into().ok())
        .unwrap_or_default()
}

/// So many commits are looked at: this run has few of its own before.
const LOOKED_AT: u64 = 16;

fn may_come_late(request: &ReadRequest, passed: Duration) -> bool {
    match &request.kind {
        ReadKind::Object { resource, .. } => resource.comes_within() > passed,
        ReadKind::Data { .. } => false,
    }
}

fn is_nothing(finding: Option<&Finding>) -> bool {
    match finding {
        Some(Finding::Candidates(candidates)) => candidates.is_empty(),
        Some(Finding::Absent) => true,
        _ => false,
    }
}
