//! `dmp state history`: what the log of the state tells, run by run.

use dmp_sdk::Diagnostic;
use dmp_state::{Serial, Store};
use serde_json::{Value as Json, json};

use super::print;

/// A run, as the log has it.
#[derive(Default)]
struct Run {
    id: String,
    time: String,
    command: String,
    outcome: Option<String>,
    first: u64,
    last: u64,
    changes: Vec<String>,
}

/// Prints every run of the log: when, what it was, how it ended, what it changed in the state.
pub(super) fn print_history(store: &Store, is_json: bool) -> Result<(), Diagnostic> {
    let mut runs: Vec<Run> = Vec::new();
    let mut after = Serial(0);
    loop {
        let commits = store.log(after, PAGE).map_err(|error| {
            Diagnostic::error("state", "cannot read the state").cause(error.to_string())
        })?;
        let Some(last) = commits.last() else { break };
        after = last.serial;
        for commit in commits {
            let is_new = runs.last().is_none_or(|run| run.id != commit.run);
            if is_new {
                runs.push(Run {
                    id: commit.run.clone(),
                    time: commit.time.clone(),
                    first: commit.serial.0,
                    ..Run::default()
                });
            }
            if let Some(run) = runs.last_mut() {
                run.last = commit.serial.0;
                let records: Vec<Json> = serde_json::from_str(&commit.records).unwrap_or_default();
                records.iter().for_each(|record| run.take(record));
            }
        }
    }
    for run in &runs {
        match is_json {
            true => print(&format!("{}\n", run.json())),
            false => print(&run.text()),
        }
    }
    Ok(())
}

const PAGE: usize = 1000;

impl Run {
    fn take(&mut self, record: &Json) {
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        match record["record"].as_str().unwrap_or_default() {
            "run_began" => self.command = text("command"),
            "reconciled" => self.change(format!(
                "went on from an older copy (commit {} was seen before)",
                record["seen"]
            )),
            "run_ended" => self.outcome = Some(text("outcome")),
            "instance_put" => {
                let address = record["instance"]["address"].as_str().unwrap_or_default();
                self.change(format!("recorded {address}"));
            }
            "instance_removed" => {
                self.change(format!("removed {} ({})", text("address"), text("why")));
            }
            "deposed_removed" => {
                let (address, why) = (text("address"), text("why"));
                self.change(format!("removed what {address} replaced ({why})"));
            }
            "instance_moved" => {
                self.change(format!("moved {} to {}", text("from"), text("to")));
            }
            _ => {}
        }
    }

    /// An object may be recorded more than once in a run: its steps are not what is asked for here.
    fn change(&mut self, change: String) {
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }

    fn text(&self) -> String {
        let outcome = self.outcome.as_deref().unwrap_or("without an end");
        let command = match self.command.as_str() {
            "" => "-",
            command => command,
        };
        let mut text = format!(
            "{}  {command}: {outcome}  (run {}, commits {} to {})\n",
            self.time, self.id, self.first, self.last
        );
        for change in &self.changes {
            text.push_str(&format!("    {change}\n"));
        }
        text
    }

    fn json(&self) -> Json {
        json!({
            "run": self.id, "time": self.time, "command": self.command, "outcome": self.outcome,
            "first_commit": self.first, "last_commit": self.last, "changes": self.changes,
        })
    }
}
