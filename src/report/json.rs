//! For machines: one JSON object per line, and the plan as one.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use dmp_events::{Event, Sink};
use dmp_plan::{Drift, Plan, Planned};
use dmp_sdk::codec::to_display_json;
use serde_json::{Value as Json, json};

/// Writes each event as a line of JSON to standard output.
pub struct JsonLines {
    started: Instant,
}

impl JsonLines {
    /// Counts milliseconds from now on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Default for JsonLines {
    fn default() -> Self {
        Self::new()
    }
}

fn line(event: &Event, started: Instant) -> Json {
    let mut json = serde_json::to_value(event).unwrap_or_default();
    if let Some(members) = json.as_object_mut() {
        members.insert(
            "at".into(),
            json!(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)),
        );
    }
    json
}

impl Sink for JsonLines {
    fn emit(&self, event: Event) {
        // A reader that went away must not end the run.
        let _ = writeln!(anstream::stdout(), "{}", line(&event, self.started));
    }
}

/// Writes each event as a line of JSON to the run's log.
pub struct RunLog {
    file: Mutex<std::fs::File>,
    started: Instant,
}

impl RunLog {
    /// Writes to an open file.
    #[must_use]
    pub fn new(file: std::fs::File) -> Self {
        Self {
            file: Mutex::new(file),
            started: Instant::now(),
        }
    }
}

impl Sink for RunLog {
    fn emit(&self, event: Event) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // The log is for people; that it can't be written must not end the run.
        let _ = writeln!(file, "{}", line(&event, self.started));
    }
}

/// A plan for machines, in the shape that Terraform's tools know.
#[must_use]
pub fn plan_json(plan: &Plan) -> Json {
    let mut changes: Vec<Json> = plan
        .instances
        .values()
        .map(|planned| instance_json(planned))
        .collect();
    changes.extend(plan.deposed.iter().map(|planned| {
        let mut json = instance_json(planned);
        // The name that Terraform's tools know for it.
        json["deposed"] = json!(planned.record.as_ref().map(|record| &record.id));
        json
    }));
    let outputs: serde_json::Map<String, Json> = plan
        .outputs
        .iter()
        .map(|(name, output)| {
            let shown = |value: &Option<dmp_sdk::Value>| value.as_ref().map(to_display_json);
            let actions = match (&output.before, &output.after) {
                _ if !output.is_change() => "no-op",
                (None, _) => "create",
                (_, None) => "delete",
                _ => "update",
            };
            let change = json!({
                "actions": [actions], "before": shown(&output.before), "after": shown(&output.after),
            });
            (name.clone(), change)
        })
        .collect();
    let deferred: Vec<Json> = plan
        .deferred
        .iter()
        .map(|deferred| json!({ "block": deferred.block, "waits_for": deferred.waits_for }))
        .collect();
    json!({
        "format_version": "1.0",
        "resource_changes": changes,
        "output_changes": outputs,
        "resource_drift": drift_json(&plan.drift),
        "deferred_changes": deferred,
        "errored": plan.has_errors(),
    })
}

/// What was changed outside, as data: a list of objects.
#[must_use]
pub fn drift_json(all: &[Drift]) -> Json {
    let shown = all.iter().map(|drift| {
        json!({
            "address": drift.address,
            "changed": drift.changed,
            "before": to_display_json(&drift.recorded),
            "after": drift.found.as_ref().map(to_display_json),
        })
    });
    shown.collect()
}

fn instance_json(planned: &Planned) -> Json {
    let actions: &[&str] = match planned.action {
        dmp_sdk::Action::NoOp => &["no-op"],
        dmp_sdk::Action::Read => &["read"],
        dmp_sdk::Action::Import => &["import"],
        dmp_sdk::Action::Create => &["create"],
        dmp_sdk::Action::Update => &["update"],
        dmp_sdk::Action::DeleteThenCreate => &["delete", "create"],
        dmp_sdk::Action::CreateThenDelete => &["create", "delete"],
        dmp_sdk::Action::Delete => &["delete"],
        dmp_sdk::Action::Forget | dmp_sdk::Action::LostWithHost => &["forget"],
        dmp_sdk::Action::Defer => &["defer"],
    };
    let mut json = json!({
        "address": planned.address,
        "mode": if planned.address.mode == dmp_sdk::Mode::Data { "data" } else { "managed" },
        "type": planned.address.resource_type.as_ref(),
        "layer": planned.layer,
        "provider": planned.provider,
        "change": {
            "actions": actions,
            "before": planned.prior.as_ref().map(to_display_json),
            "after": planned.planned.as_ref().map(to_display_json),
        },
        "changed": planned.changed,
        "reasons": planned.reasons,
        "effects": planned.effects,
        "notes": planned.notes,
        "lost_with": planned.lost_with,
    });
    if let Some(from) = &planned.moved_from {
        json["previous_address"] = json!(from);
    }
    json
}
