//! What a person sees while a run goes on: finished work as lines, on a terminal also what is under way, by layer.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dmp_events::{Event, OperationEnd, Sink};
use dmp_lang::Sources;
use dmp_sdk::{Action, Address, Layer};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::diagnostic;
use crate::style::Style;

/// Prints to standard error.
pub struct Terminal {
    sources: Sources,
    style: Style,
    is_live: bool,
    is_verbose: bool,
    state: Mutex<State>,
}

struct State {
    bars: MultiProgress,
    layers: BTreeMap<Layer, LayerBar>,
}

/// What is under way in a layer.
struct LayerBar {
    bar: ProgressBar,
    running: BTreeMap<Address, String>,
    done: usize,
}

impl Terminal {
    /// Prints; `is_live` redraws what is under way, which takes a terminal. `is_verbose` adds a line for each step.
    #[must_use]
    pub fn new(sources: Sources, style: Style, is_live: bool, is_verbose: bool) -> Self {
        let target = if is_live {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bars = MultiProgress::with_draw_target(target);
        Self {
            sources,
            style,
            is_live,
            is_verbose,
            state: Mutex::new(State {
                bars,
                layers: BTreeMap::new(),
            }),
        }
    }

    fn line(&self, state: &State, text: &str) {
        if self.is_live {
            let _ = state.bars.println(text);
        } else {
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    fn ended(
        &self,
        state: &State,
        address: &Address,
        action: Action,
        end: &OperationEnd,
        milliseconds: u64,
    ) {
        let took = seconds(milliseconds);
        let style = self.style;
        let text = match end {
            OperationEnd::Done => format!(
                "{} {address}   {} in {took}",
                style.good("  ✓"),
                past(action)
            ),
            OperationEnd::Unchanged => {
                format!("{} {address}   as wanted already", style.good("  ✓"))
            }
            OperationEnd::Failed => format!("{} {address}   failed after {took}", style.bad("  ✗")),
            OperationEnd::Skipped => format!(
                "{} {address}   skipped: something it needs is not done",
                style.dim("  -")
            ),
            OperationEnd::Stage { why } => {
                format!(
                    "{} {address}   not done: {why}; it is asked for on its own",
                    style.notable("  ?")
                )
            }
        };
        self.line(state, &text);
    }
}

impl State {
    fn layer(&mut self, layer: Layer) -> &mut LayerBar {
        let bars = self.bars.clone();
        self.layers.entry(layer).or_insert_with(|| {
            let bar = bars.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("{spinner} {prefix:8} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(layer.as_str());
            bar.enable_steady_tick(Duration::from_millis(120));
            LayerBar {
                bar,
                running: BTreeMap::new(),
                done: 0,
            }
        })
    }
}

impl LayerBar {
    fn show(&self) {
        let mut parts: Vec<String> = self
            .running
            .iter()
            .take(3)
            .map(|(address, step)| {
                if step.is_empty() {
                    address.to_string()
                } else {
                    format!("{address}: {step}")
                }
            })
            .collect();
        if self.running.len() > 3 {
            parts.push(format!("and {} more", self.running.len() - 3));
        }
        self.bar
            .set_message(format!("{} done   {}", self.done, parts.join(", ")));
    }
}

impl Sink for Terminal {
    fn emit(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let style = self.style;
        match event {
            Event::LeftBehind {
                command,
                pid,
                since,
            } => {
                let text = format!(
                    "`dmp {command}` (process {pid}, since {since}) ended without a word; going on from there"
                );
                self.line(&state, &style.notable(&text));
            }
            Event::Settling { address, verb } => {
                self.line(
                    &state,
                    &format!("    {address}   looking what became of an unfinished {verb}"),
                );
            }
            Event::Settled {
                address, outcome, ..
            } => self.line(&state, &format!("    {address}   {outcome}")),
            Event::Classified { conditions } => {
                for line in crate::rebuild::classified(&conditions, style) {
                    self.line(&state, &line);
                }
            }
            Event::Rebuilt {
                lost,
                back,
                missing,
                dropped,
                milliseconds,
                estimate,
            } => {
                let ended = crate::rebuild::Ended {
                    lost: &lost,
                    back: &back,
                    missing: &missing,
                    dropped: &dropped,
                    milliseconds,
                    estimate,
                };
                for line in crate::rebuild::ended(&ended, style) {
                    self.line(&state, &line);
                }
            }
            Event::Waiting { what, why } => {
                self.line(&state, &style.dim(&format!("    {what}: {why}")));
            }
            Event::OperationStarted { address, layer, .. } => {
                let layer = state.layer(layer);
                layer.running.insert(address, String::new());
                layer.show();
            }
            Event::StepStarted { address, title, .. } => {
                if self.is_verbose {
                    self.line(&state, &style.dim(&format!("    {address}   {title}")));
                }
                for layer in state.layers.values_mut() {
                    if let Some(step) = layer.running.get_mut(&address) {
                        step.clone_from(&title);
                        layer.show();
                    }
                }
            }
            Event::OperationEnded {
                address,
                layer,
                action,
                end,
                milliseconds,
            } => {
                self.ended(&state, &address, action, &end, milliseconds);
                let layer = state.layer(layer);
                layer.running.remove(&address);
                layer.done += 1;
                layer.show();
            }
            Event::Diagnosed { diagnostic } => {
                let text = diagnostic::render(&diagnostic, &self.sources, style);
                self.line(&state, &text);
            }
            Event::Checked {
                name,
                holds,
                message,
            } => {
                let text = match (holds, message) {
                    (true, _) => format!("{} check {name}", style.good("  ✓")),
                    (false, Some(message)) => {
                        format!("{} check {name}   {message}", style.bad("  ✗"))
                    }
                    (false, None) => format!("{} check {name}", style.bad("  ✗")),
                };
                self.line(&state, &text);
            }
            Event::RunEnded { .. } => {
                for layer in state.layers.values() {
                    layer.bar.finish_and_clear();
                }
            }
            // Nobody has to wonder whether a large stack is looked at.
            Event::Refreshing { instances } if instances >= MANY => {
                let text = format!("    looking at {instances} recorded instances");
                self.line(&state, &style.dim(&text));
            }
            Event::RunStarted { .. }
            | Event::Refreshing { .. }
            | Event::Refreshed { .. }
            | Event::StepEnded { .. }
            | Event::Busy { .. } => {}
        }
    }
}

/// So many instances take a moment to be looked at.
const MANY: usize = 1000;

pub(crate) fn past(action: Action) -> &'static str {
    match action {
        Action::Create => "created",
        Action::Import => "imported",
        Action::Update => "changed",
        Action::DeleteThenCreate | Action::CreateThenDelete => "replaced",
        Action::Delete => "deleted",
        Action::Forget => "forgotten",
        // Only what leaves a group before its host ends has an operation of its own.
        Action::LostWithHost => "taken out",
        Action::Read => "read",
        Action::NoOp | Action::Defer => "done",
    }
}

pub(crate) fn seconds(milliseconds: u64) -> String {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a run does not last that many milliseconds"
    )]
    let seconds = milliseconds as f64 / 1000.0;
    format!("{seconds:.1} s")
}
