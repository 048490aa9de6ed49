//! A run as a page: how it ended, where the time went, what was done, what went wrong. Made from the events alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use dmp_events::{Event, OperationEnd, Sink};
use dmp_lang::Sources;
use dmp_sdk::{Address, Layer};
use serde::Serialize;
use tera::{Context, Tera};

use crate::diagnostic;
use crate::progress::{past, seconds};
use crate::style::Style;

/// Collects the events of a run and writes the page when the run ends.
pub struct HtmlReport {
    path: PathBuf,
    sources: Sources,
    now: fn() -> String,
    started: Instant,
    page: Mutex<Page>,
}

#[derive(Default, Serialize)]
struct Page {
    command: String,
    version: String,
    run: String,
    began: String,
    ended: String,
    outcome: String,
    took: String,
    changed: usize,
    failed: usize,
    skipped: usize,
    left: Vec<Left>,
    rebuilt: Option<Rebuilt>,
    operations: Vec<Operation>,
    layers: Vec<Lane>,
    problems: Vec<String>,
    settled: Vec<String>,
    checks: Vec<Check>,
    #[serde(skip)]
    open: BTreeMap<Address, usize>,
}

impl Page {
    fn has_content(&self) -> bool {
        let is_empty = self.operations.is_empty()
            && self.settled.is_empty()
            && self.problems.is_empty()
            && self.left.is_empty()
            && self.checks.is_empty();
        !is_empty || self.rebuilt.is_some()
    }
}

/// What a rebuild found of an instance.
#[derive(Serialize)]
struct Left {
    address: String,
    condition: String,
    why: String,
}

#[derive(Serialize)]
struct Rebuilt {
    /// No longer in the configuration; the others are counted in `lost`.
    dropped: usize,
    lost: usize,
    back: usize,
    missing: Vec<String>,
    took: String,
    estimate: String,
}

#[derive(Serialize)]
struct Operation {
    address: String,
    layer: String,
    action: String,
    end: String,
    why: String,
    from: u64,
    to: u64,
    took: String,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    title: String,
    took: String,
    waits: bool,
    skipped: bool,
    ok: bool,
}

/// The bars of a layer.
#[derive(Serialize)]
struct Lane {
    name: String,
    bars: Vec<Bar>,
}

#[derive(Serialize)]
struct Bar {
    left: f64,
    width: f64,
    title: String,
    end: String,
}

#[derive(Serialize)]
struct Check {
    name: String,
    holds: bool,
    message: String,
}

impl HtmlReport {
    /// Writes to a path when the run ends. `now` gives the time in RFC 3339.
    #[must_use]
    pub fn new(path: PathBuf, sources: Sources, now: fn() -> String) -> Self {
        let page = Page {
            began: now(),
            ..Page::default()
        };
        Self {
            path,
            sources,
            now,
            started: Instant::now(),
            page: Mutex::new(page),
        }
    }

    fn at(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn write(&self, page: &Page) {
        let made = Context::from_serialize(page).and_then(|context| {
            let mut tera = Tera::default();
            // The name's ending switches escaping on.
            tera.add_raw_template("run.html", TEMPLATE)?;
            tera.render("run.html", &context)
        });
        match made {
            // That it can't be written must not end the run.
            Ok(html) => {
                let _ = std::fs::write(&self.path, html);
            }
            Err(error) => tracing::warn!("the run's page can't be made: {error}"),
        }
    }
}

impl Sink for HtmlReport {
    fn emit(&self, event: Event) {
        let at = self.at();
        let mut page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        let page = &mut *page;
        match event {
            Event::RunStarted {
                run,
                command,
                version,
            } => (page.run, page.command, page.version) = (run, command, version),
            Event::Settled {
                address, outcome, ..
            } => page.settled.push(format!("{address}: {outcome}")),
            Event::Classified { conditions } => {
                let left = conditions
                    .into_iter()
                    .filter(|condition| condition.condition != "intact");
                page.left = left
                    .map(|condition| Left {
                        address: condition.address.to_string(),
                        condition: condition.condition.replace('-', " "),
                        why: condition.why.unwrap_or_default(),
                    })
                    .collect();
            }
            Event::Rebuilt {
                lost,
                back,
                missing,
                milliseconds,
                estimate,
                dropped,
                ..
            } => {
                page.rebuilt = Some(Rebuilt {
                    lost: lost.len() - dropped.len(),
                    back: back.len(),
                    dropped: dropped.len(),
                    missing: missing.iter().map(ToString::to_string).collect(),
                    took: seconds(milliseconds),
                    estimate: seconds(estimate),
                });
            }
            Event::OperationStarted {
                address,
                layer,
                action,
            } => {
                page.open.insert(address.clone(), page.operations.len());
                page.operations.push(Operation {
                    address: address.to_string(),
                    layer: layer.as_str().into(),
                    action: past(action).into(),
                    end: "open".into(),
                    why: String::new(),
                    from: at,
                    to: at,
                    took: String::new(),
                    steps: Vec::new(),
                });
            }
            Event::StepEnded {
                address,
                title,
                waits,
                skipped,
                ok,
                milliseconds,
            } => {
                let step = Step {
                    title,
                    took: seconds(milliseconds),
                    waits,
                    skipped,
                    ok,
                };
                let open = page.open.get(&address);
                if let Some(operation) = open.and_then(|at| page.operations.get_mut(*at)) {
                    operation.steps.push(step);
                }
            }
            Event::OperationEnded {
                address,
                layer,
                action,
                end,
                milliseconds,
            } => page.ended(&address, layer, past(action), &end, at, milliseconds),
            Event::Diagnosed { diagnostic } => {
                let text = diagnostic::render(&diagnostic, &self.sources, Style::Plain);
                page.problems.push(text);
            }
            Event::Checked {
                name,
                holds,
                message,
            } => page.checks.push(Check {
                name,
                holds,
                message: message.unwrap_or_default(),
            }),
            Event::RunEnded {
                outcome,
                changed,
                failed,
                skipped,
                milliseconds,
            } => {
                page.outcome = outcome;
                (page.changed, page.failed, page.skipped) = (changed, failed, skipped);
                page.took = seconds(milliseconds);
                page.ended = (self.now)();
                // Of a run that found all as it should be there is nothing to be shown.
                if page.has_content() {
                    page.draw();
                    self.write(page);
                }
            }
            Event::LeftBehind { .. }
            | Event::Settling { .. }
            | Event::Refreshing { .. }
            | Event::Refreshed { .. }
            | Event::Waiting { .. }
            | Event::StepStarted { .. }
            | Event::Busy { .. } => {}
        }
    }
}

impl Page {
    fn ended(
        &mut self,
        address: &Address,
        layer: Layer,
        action: &str,
        end: &OperationEnd,
        at: u64,
        milliseconds: u64,
    ) {
        let (end, why) = match end {
            OperationEnd::Done => ("done", String::new()),
            OperationEnd::Unchanged => ("unchanged", String::new()),
            OperationEnd::Failed => ("failed", String::new()),
            OperationEnd::Skipped => ("skipped", "something it needs is not done".into()),
            OperationEnd::Stage { why } => ("asked for on its own", why.clone()),
        };
        let position = self.open.remove(address).unwrap_or_else(|| {
            self.operations.push(Operation {
                address: address.to_string(),
                layer: layer.as_str().into(),
                action: action.into(),
                end: String::new(),
                why: String::new(),
                from: at,
                to: at,
                took: String::new(),
                steps: Vec::new(),
            });
            self.operations.len() - 1
        });
        let operation = &mut self.operations[position];
        operation.end = end.into();
        operation.why = why;
        operation.to = at;
        operation.took = seconds(milliseconds);
    }

    /// Lays the operations of each layer out between the first and the last moment of the work.
    fn draw(&mut self) {
        let first = self.operations.iter().map(|operation| operation.from).min();
        let last = self.operations.iter().map(|operation| operation.to).max();
        let (Some(first), Some(last)) = (first, last) else {
            return;
        };
        let percent = |at: u64| {
            let whole = u32::try_from(last.saturating_sub(first).max(1)).unwrap_or(u32::MAX);
            let part = u32::try_from(at.saturating_sub(first)).unwrap_or(u32::MAX);
            f64::from(part) * 100.0 / f64::from(whole)
        };
        for layer in Layer::ALL {
            let here = self
                .operations
                .iter()
                .filter(|operation| operation.layer == layer.as_str());
            let bars: Vec<Bar> = here
                .map(|operation| Bar {
                    left: percent(operation.from),
                    width: (percent(operation.to) - percent(operation.from)).max(0.3),
                    title: format!("{}: {}", operation.address, operation.took),
                    end: operation.end.clone(),
                })
                .collect();
            if !bars.is_empty() {
                self.layers.push(Lane {
                    name: layer.as_str().into(),
                    bars,
                });
            }
        }
    }
}

const TEMPLATE: &str = include_str!("html/run.html");

#[cfg(test)]
mod tests {
    use super::*;
    use dmp_sdk::{Action, Diagnostic};

    #[test]
    fn a_run_is_a_page_in_which_nothing_is_taken_for_markup() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.html");
        let report = HtmlReport::new(path.clone(), Sources::new(), || {
            "2026-01-01T00:00:00Z".into()
        });
        let address: Address = "host_file.motd[\"<b>\"]".parse().expect("an address");
        report.emit(Event::RunStarted {
            run: "r1".into(),
            command: "apply".into(),
            version: "0.1.0".into(),
        });
        report.emit(Event::OperationStarted {
            address: address.clone(),
            layer: Layer::Host,
            action: Action::Create,
        });
        report.emit(Event::StepEnded {
            address: address.clone(),
            title: "write <script>".into(),
            waits: false,
            skipped: false,
            ok: false,
            milliseconds: 1200,
        });
        report.emit(Event::OperationEnded {
            address,
            layer: Layer::Host,
            action: Action::Create,
            end: OperationEnd::Failed,
            milliseconds: 1300,
        });
        report.emit(Event::Diagnosed {
            diagnostic: Diagnostic::remote("step-failed", "a step failed").cause("</pre> & more"),
        });
        assert!(!path.exists(), "it is written at the end");
        report.emit(Event::RunEnded {
            outcome: "failed".into(),
            changed: 0,
            failed: 1,
            skipped: 0,
            milliseconds: 1500,
        });
        let html = std::fs::read_to_string(&path).expect("it is there");
        for text in [
            "dmp apply",
            "failed",
            "write &lt;script&gt;",
            "&lt;/pre&gt; &amp; more",
            "[&quot;&lt;b&gt;&quot;]",
        ] {
            assert!(html.contains(text), "{text} is missing in\n{html}");
        }
        assert!(!html.contains("<script>") && !html.contains("<b>"));
    }

    #[test]
    fn a_run_that_found_all_as_it_should_be_leaves_no_page() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.html");
        let report = HtmlReport::new(path.clone(), Sources::new(), String::new);
        let ended = || Event::RunEnded {
            outcome: "done".into(),
            changed: 0,
            failed: 0,
            skipped: 0,
            milliseconds: 10,
        };
        report.emit(ended());
        assert!(!path.exists());
        report.emit(Event::Checked {
            name: "page".into(),
            holds: true,
            message: None,
        });
        report.emit(ended());
        assert!(path.exists());
    }
}
