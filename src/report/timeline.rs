//! Where the time of an apply went: by layer, with waits apart and the time in which nothing outside was busy.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use dmp_events::{BusyWith, Event, Sink};
use dmp_sdk::Layer;

use crate::progress::seconds;

/// Collects what was busy when.
#[derive(Default)]
pub struct Timeline {
    spans: Mutex<Vec<Span>>,
}

struct Span {
    layer: Option<Layer>,
    what: BusyWith,
    from: u64,
    to: u64,
}

impl Timeline {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The account up to a moment, in milliseconds since the run began.
    #[must_use]
    pub fn render(&self, began: u64, ended: u64) -> String {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::from("Timeline, from the first to the last second of the work:\n");
        let mut layers: BTreeMap<Option<Layer>, Vec<&Span>> = BTreeMap::new();
        for span in spans.iter() {
            layers.entry(span.layer).or_default().push(span);
        }
        for (layer, spans) in &layers {
            let name = layer.map_or("reads", Layer::as_str);
            let first = spans
                .iter()
                .map(|span| span.from)
                .min()
                .unwrap_or(0)
                .saturating_sub(began);
            let last = spans
                .iter()
                .map(|span| span.to)
                .max()
                .unwrap_or(0)
                .saturating_sub(began);
            let work = covered(
                spans.iter().filter(|span| span.what != BusyWith::Wait),
                began,
                ended,
            );
            let waits = covered(
                spans.iter().filter(|span| span.what == BusyWith::Wait),
                began,
                ended,
            );
            let _ = writeln!(
                text,
                "  {name:8}  {:>8} to {:>8}   at work {:>8}   waiting {:>8}",
                seconds(first),
                seconds(last),
                seconds(work),
                seconds(waits)
            );
        }
        let all = covered(spans.iter(), began, ended);
        let only_waits = all
            - covered(
                spans.iter().filter(|span| span.what != BusyWith::Wait),
                began,
                ended,
            );
        let total = ended.saturating_sub(began);
        let _ = writeln!(
            text,
            "  all {}, of it only named waits {}",
            seconds(total),
            seconds(only_waits)
        );
        let _ = writeln!(
            text,
            "  nothing under way outside: {}",
            seconds(total.saturating_sub(all))
        );
        text
    }
}

/// How much of a time is covered by any of the spans.
fn covered<'a>(
    spans: impl Iterator<Item = impl std::borrow::Borrow<&'a Span>>,
    began: u64,
    ended: u64,
) -> u64 {
    let clip = |at: u64| at.clamp(began, ended);
    let mut parts: Vec<(u64, u64)> = spans
        .map(|span| (clip(span.borrow().from), clip(span.borrow().to)))
        .collect();
    parts.sort_unstable();
    let (mut sum, mut end) = (0, 0);
    for (from, to) in parts {
        sum += to.saturating_sub(from.max(end));
        end = end.max(to);
    }
    sum
}

impl Sink for Timeline {
    fn emit(&self, event: Event) {
        if let Event::Busy {
            layer,
            what,
            from,
            to,
        } = event
        {
            let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
            spans.push(Span {
                layer,
                what,
                from,
                to,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_covered_once_however_many_are_busy() {
        let timeline = Timeline::new();
        for (from, to) in [(0, 1000), (500, 2000), (3000, 4000)] {
            timeline.emit(Event::Busy {
                layer: Some(Layer::Host),
                what: BusyWith::Process,
                from,
                to,
            });
        }
        let text = timeline.render(0, 5000);
        assert!(text.contains("nothing under way outside: 2.0 s"), "{text}");
    }
}
