//! A plan as a person reads it: by layer, with a reason for each action, what it costs, and what is decided later.

use std::collections::BTreeMap;
use std::fmt::Write;

use dmp_plan::{Drift, Earlier, Plan, Planned};
use dmp_sdk::{Action, Layer, Reason, Value};

use crate::style::Style;
use crate::value::{change, render as render_value, render_attributes};

/// Renders what was changed outside; nothing, if that is nothing.
#[must_use]
pub fn render_drift(all: &[Drift], style: Style) -> String {
    let mut text = String::new();
    if all.is_empty() {
        return text;
    }
    let _ = writeln!(
        text,
        "{}",
        style.bold("Changed outside of dmp since the last run:")
    );
    for drift in all {
        match &drift.found {
            None => {
                let _ = writeln!(text, "{} {}   gone", style.bad("  -"), drift.address);
            }
            Some(found) => {
                let _ = writeln!(text, "{} {}", style.notable("  ~"), drift.address);
                let width = drift.changed.iter().map(String::len).max().unwrap_or(0);
                for name in &drift.changed {
                    text.push_str(&change(
                        name,
                        width,
                        &drift.recorded.get(name),
                        &found.get(name),
                        6,
                        style,
                    ));
                }
            }
        }
    }
    text.push('\n');
    text
}

fn render_actions(plan: &Plan, style: Style) -> String {
    let mut text = String::new();
    for layer in Layer::ALL {
        let here: Vec<&Planned> = plan
            .instances
            .values()
            .chain(&plan.deposed)
            .filter(|planned| planned.layer == layer && planned.is_change())
            .map(AsRef::as_ref)
            .collect();
        let later: Vec<_> = plan
            .deferred
            .iter()
            .filter(|deferred| deferred.layer == Some(layer))
            .collect();
        if here.is_empty() && later.is_empty() {
            continue;
        }
        let _ = writeln!(
            text,
            "{}   {}",
            style.bold(layer.as_str()),
            style.dim(&counts(&here))
        );
        for planned in here {
            text.push_str(&render_instance(planned, style));
        }
        for deferred in later {
            let _ = writeln!(
                text,
                "  ? {}   decided later: waits for {}",
                deferred.block, deferred.waits_for
            );
        }
        text.push('\n');
    }
    for deferred in plan
        .deferred
        .iter()
        .filter(|deferred| deferred.layer.is_none())
    {
        let _ = writeln!(
            text,
            "  ? {}   decided later: waits for {}",
            deferred.block, deferred.waits_for
        );
    }
    let outputs: Vec<_> = plan
        .outputs
        .iter()
        .filter(|(_, output)| output.is_change())
        .collect();
    if !outputs.is_empty() {
        let _ = writeln!(text, "{}", style.bold("outputs"));
        let width = outputs
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or(0);
        for (name, output) in outputs {
            let nothing = Value::null();
            let before = output.before.as_ref().unwrap_or(&nothing);
            match &output.after {
                Some(after) if output.before.is_none() => {
                    let _ = writeln!(
                        text,
                        "{} {name:width$} = {}",
                        style.good("  +"),
                        render_value(after, 4)
                    );
                }
                Some(after) => text.push_str(&change(name, width, before, after, 4, style)),
                None => {
                    let _ = writeln!(text, "{} {name}", style.bad("  -"));
                }
            }
        }
        text.push('\n');
    }
    text
}

/// Renders a plan: drift, actions by layer, outputs, summary.
#[must_use]
pub fn render(plan: &Plan, style: Style) -> String {
    format!(
        "{}{}{}",
        render_drift(&plan.drift, style),
        render_actions(plan, style),
        summary(plan)
    )
}

/// The last line of a plan.
#[must_use]
pub fn summary(plan: &Plan) -> String {
    let is_broken = plan.diagnostics.iter().any(dmp_sdk::Diagnostic::is_error);
    if plan.is_empty() && is_broken {
        return "Not known what is to do: see the errors.\n".into();
    }
    if plan.is_empty() && plan.is_destroy {
        return "Nothing to do: nothing is recorded that could be removed.\n".into();
    }
    if plan.is_empty() {
        return "Nothing to do: what is there is what the configuration describes.\n".into();
    }
    let count = |wanted: Action| {
        let all = plan.instances.values().chain(&plan.deposed);
        all.filter(|planned| shown_as(planned) == wanted).count()
    };
    let mut parts = vec![
        format!("{} to create", count(Action::Create)),
        format!("{} to change", count(Action::Update)),
        format!(
            "{} to replace",
            count(Action::DeleteThenCreate) + count(Action::CreateThenDelete)
        ),
        format!("{} to delete", count(Action::Delete)),
    ];
    let further = [
        (count(Action::Import), "to import"),
        (moves(plan), "to move"),
        (count(Action::LostWithHost), "lost with their host"),
        (count(Action::Forget), "to forget"),
        (count(Action::Read), "to read"),
        (plan.deferred.len(), "decided later"),
    ];
    parts.extend(
        further
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, words)| format!("{count} {words}")),
    );
    let mut text = format!("Plan: {}.\n", parts.join(", "));
    let mut effects: BTreeMap<String, usize> = BTreeMap::new();
    for effect in plan
        .instances
        .values()
        .filter(|planned| planned.is_change())
        .flat_map(|planned| &planned.effects)
    {
        *effects.entry(effect.to_string()).or_default() += 1;
    }
    if !effects.is_empty() {
        let words: Vec<_> = effects.into_keys().collect();
        let _ = writeln!(text, "It {}.", words.join("; "));
    }
    text
}

/// How many stay as they are under another address.
fn moves(plan: &Plan) -> usize {
    let moved = |planned: &Planned| planned.moved_from.is_some() && planned.action == Action::NoOp;
    plan.instances
        .values()
        .filter(|planned| moved(planned))
        .count()
}

fn counts(here: &[&Planned]) -> String {
    let mut by_action: BTreeMap<Action, usize> = BTreeMap::new();
    for planned in here {
        *by_action.entry(shown_as(planned)).or_default() += 1;
    }
    let words: Vec<_> = by_action
        .into_iter()
        .map(|(action, count)| format!("{count} {}", verb(action)))
        .collect();
    words.join(", ")
}

/// What is lost with its host and made anew is a create to whoever reads it.
fn shown_as(planned: &Planned) -> Action {
    match planned.lost_with {
        Some(_) if planned.action.replaces() => Action::Create,
        _ => planned.action,
    }
}

fn verb(action: Action) -> &'static str {
    match action {
        // What stays as it is is only shown if it moves.
        Action::NoOp => "to move",
        Action::Read => "to read",
        Action::Create => "to create",
        Action::Import => "to import",
        Action::Update => "to change",
        Action::DeleteThenCreate => "to replace, deleted first",
        Action::CreateThenDelete => "to replace, created first",
        Action::Delete => "to delete",
        Action::Forget => "to forget",
        Action::LostWithHost => "lost with their host",
        Action::Defer => "decided later",
    }
}

fn render_instance(planned: &Planned, style: Style) -> String {
    let reasons: Vec<String> = planned.reasons.iter().map(reason).collect();
    let mut text = format!(
        "{} {}   {}\n",
        style.symbol(shown_as(planned)),
        planned.address,
        style.dim(&reasons.join("; "))
    );
    if let Some(from) = &planned.moved_from {
        let _ = writeln!(text, "      it moves here from {from}");
    }
    let nothing = Value::null();
    match (planned.action, &planned.prior, &planned.planned) {
        // The old one is gone with its host: there is nothing to compare with.
        (_, None, Some(value)) if planned.lost_with.is_some() => {
            text.push_str(&made_anew(value));
        }
        (Action::Create, _, Some(value)) => match planned.earlier.found() {
            Some(earlier) => text.push_str(&taken_over(planned, earlier, value, style)),
            None => text.push_str(&made_anew(value)),
        },
        (
            Action::Update | Action::DeleteThenCreate | Action::CreateThenDelete,
            prior,
            Some(value),
        ) => {
            let prior = prior.as_ref().unwrap_or(&nothing);
            let width = planned.changed.iter().map(String::len).max().unwrap_or(0);
            for name in &planned.changed {
                text.push_str(&change(
                    name,
                    width,
                    &prior.get(name),
                    &value.get(name),
                    6,
                    style,
                ));
            }
        }
        _ => {}
    }
    for effect in &planned.effects {
        let _ = writeln!(text, "      {}", style.notable(&format!("! {effect}")));
    }
    for note in &planned.notes {
        let _ = writeln!(text, "      {note}");
    }
    text
}

/// A create where something is already: what it changes of that.
fn taken_over(planned: &Planned, earlier: &Value, value: &Value, style: Style) -> String {
    let names: Vec<_> = value
        .as_members()
        .into_iter()
        .flatten()
        .filter(|(name, value)| {
            !value.is_null() && value.is_wholly_known() && **value != earlier.get(name)
        })
        .map(|(name, _)| name.to_string())
        .collect();
    if names.is_empty() {
        return "      it is there already, as wanted: it is taken over\n".into();
    }
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let is_connection =
        |name: &str| matches!(planned.earlier, Earlier::Found(_)) && name == "connection";
    let mut text = String::from("      it is there already; this changes:\n");
    for name in names.iter().filter(|name| !is_connection(name)) {
        text.push_str(&change(
            name,
            width,
            &earlier.get(name),
            &value.get(name),
            6,
            style,
        ));
    }
    text
}

/// All of a new object. Where much of it is known only later, that is a list of names.
fn made_anew(value: &Value) -> String {
    let shown = without_connections(value);
    let members = shown.as_members().into_iter().flatten();
    let (known, later): (Vec<_>, Vec<_>) = members.partition(|(_, member)| member.is_known());
    if later.len() <= FEW {
        return render_attributes(&shown, 6);
    }
    let known = known.into_iter();
    let known = known.map(|(name, member)| (std::sync::Arc::clone(name), member.clone()));
    let known = Value::object(known.collect()).marked(shown.marks());
    let mut text = render_attributes(&known, 6);
    let mut line = String::from("      (known after apply):");
    for (position, (name, _)) in later.iter().enumerate() {
        if line.len() + name.len() > WIDTH {
            let _ = writeln!(text, "{line}");
            line = " ".repeat(7);
        }
        let comma = if position + 1 < later.len() { "," } else { "" };
        let _ = write!(line, " {name}{comma}");
    }
    let _ = writeln!(text, "{line}");
    text
}

/// So many attributes that are known only later have a line each.
const FEW: usize = 3;
const WIDTH: usize = 100;

/// Connections repeat on every object of a machine: a word is enough.
fn without_connections(value: &Value) -> Value {
    let Some(members) = value.as_members() else {
        return value.clone();
    };
    let short = members.iter().map(|(name, member)| {
        let address = member
            .as_members()
            .filter(|inner| inner.contains_key("host_keys"));
        let word = address
            .and_then(|inner| inner.get("address"))
            .and_then(Value::as_str)
            .map(Value::from);
        (
            std::sync::Arc::clone(name),
            word.unwrap_or_else(|| member.clone()),
        )
    });
    Value::object(short.collect()).marked(value.marks())
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::New => "new".into(),
        Reason::Gone => "it is gone".into(),
        Reason::Differs { attributes } => format!(
            "`{}` differ from the configuration",
            attributes.join("`, `")
        )
        .replace(
            " differ ",
            if attributes.len() == 1 {
                " differs "
            } else {
                " differ "
            },
        ),
        Reason::CannotChangeInPlace { attribute, why } => match why {
            Some(why) => format!("`{attribute}` cannot change in place: {why}"),
            None => format!("`{attribute}` cannot change in place"),
        },
        Reason::NotInConfiguration => "it is not in the configuration".into(),
        Reason::KeyGone => "its key is gone from the block".into(),
        Reason::Disabled => "it is not enabled any more".into(),
        Reason::Destroy => "everything is to be removed".into(),
        Reason::Suspect { why } => format!("it is not whole: {why}"),
        Reason::HostEnds { host } => format!("{host} ends, and it with it"),
        Reason::WaitsFor { what } => format!("known when {what} is applied"),
        Reason::Triggered { by } => format!("{by} changes"),
        Reason::Lost => "it is lost".into(),
        Reason::Unreachable => "it can't be reached, and is forgotten as you said".into(),
        Reason::Deposed => "it was replaced, and the old object is still there".into(),
        Reason::Import { id } => format!("it is there already, as `{id}`"),
        Reason::Asked => "asked for".into(),
    }
}

#[cfg(test)]
mod tests {
    use dmp_sdk::Type;

    use super::*;

    #[test]
    fn of_a_new_object_what_is_known_only_later_is_a_list_of_names() {
        let later = || Value::unknown(Type::String);
        let few = Value::object_of([("name", "web".into()), ("id", later()), ("uuid", later())]);
        assert_eq!(
            made_anew(&few),
            "      id   = (known after apply)\n      name = \"web\"\n      uuid = (known after apply)\n"
        );
        let names = ["address", "bios", "connection", "id", "uuid"];
        let many = names
            .iter()
            .fold(few, |value, name| value.with(name, later()));
        assert_eq!(
            made_anew(&many),
            "      name = \"web\"\n      (known after apply): address, bios, connection, id, uuid\n"
        );
    }
}
