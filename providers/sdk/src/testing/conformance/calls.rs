//! What a call may do while it is tried: it is let through, refused, or cut off at a moment.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::pending;
use tokio::sync::Notify;

use crate::diagnostic::Diagnostic;
use crate::resource::{Configured, Cx, Mark};

/// When a work is to end before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It goes to its end.
    Never,
    /// It is killed at the moment of this number, from 0: between two steps; at each `begin`, before and after an id is
    /// recorded, at each wait, and when all is done and nobody has heard of it.
    At(usize),
    /// The person wanted to stop before it began.
    BeforeAll,
    /// The person wants to stop when it waits for the first time.
    AtWait,
}

pub(super) struct Calls<'a> {
    mark: &'a Mark,
    provider: &'a dyn Configured,
    stop: Stop,
    id: Mutex<Option<String>>,
    moments: AtomicUsize,
    cut: Notify,
    is_cancelled: AtomicBool,
    has_waited: AtomicBool,
    has_waited_without_id: AtomicBool,
    asked_at: Mutex<Option<Instant>>,
}

impl<'a> Calls<'a> {
    pub(super) fn new(
        mark: &'a Mark,
        provider: &'a dyn Configured,
        id: Option<String>,
        stop: Stop,
    ) -> Self {
        Self {
            mark,
            provider,
            stop,
            id: Mutex::new(id),
            moments: AtomicUsize::new(0),
            cut: Notify::new(),
            is_cancelled: AtomicBool::new(stop == Stop::BeforeAll),
            has_waited: AtomicBool::new(false),
            has_waited_without_id: AtomicBool::new(false),
            asked_at: Mutex::new(None),
        }
    }

    /// Resolves when the call is to be dropped, as the engine drops it.
    pub(super) async fn is_cut(&self) {
        self.cut.notified().await;
    }

    /// Whether this moment is the one at which it is killed.
    pub(super) fn passes_its_end(&self) -> bool {
        let moment = self.moments.fetch_add(1, Ordering::SeqCst);
        self.stop == Stop::At(moment)
    }

    pub(super) fn id(&self) -> Option<String> {
        let id = self.id.lock().unwrap_or_else(PoisonError::into_inner);
        id.clone()
    }

    pub(super) fn has_waited(&self) -> bool {
        self.has_waited.load(Ordering::SeqCst)
    }

    pub(super) fn has_waited_without_id(&self) -> bool {
        self.has_waited_without_id.load(Ordering::SeqCst)
    }

    /// How long ago the person wanted to stop.
    pub(super) fn since_asked(&self) -> Option<Duration> {
        let asked = self.asked_at.lock().unwrap_or_else(PoisonError::into_inner);
        asked.map(|at| at.elapsed())
    }

    async fn moment(&self) {
        if self.passes_its_end() {
            self.cut.notify_one();
            pending::<()>().await;
        }
    }
}

#[async_trait]
impl Cx for Calls<'_> {
    fn mark(&self) -> &Mark {
        self.mark
    }

    fn provider(&self) -> &dyn Configured {
        self.provider
    }

    async fn begin(&self, _title: &str) -> Result<(), Diagnostic> {
        if self.is_cancelled() {
            return Err(Diagnostic::error("stopped", "stopped on request"));
        }
        self.moment().await;
        Ok(())
    }

    async fn record_id(&self, id: &str) -> Result<(), Diagnostic> {
        self.moment().await;
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
        self.moment().await;
        Ok(())
    }

    fn waiting(&self, _what: &str, _deadline: Duration) {
        self.has_waited.store(true, Ordering::SeqCst);
        if self.id().is_none() {
            self.has_waited_without_id.store(true, Ordering::SeqCst);
        }
        if self.passes_its_end() {
            self.cut.notify_one();
        }
        if self.stop == Stop::AtWait && !self.is_cancelled.swap(true, Ordering::SeqCst) {
            *self.asked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            self.cut.notify_one();
        }
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::SeqCst)
    }
}
