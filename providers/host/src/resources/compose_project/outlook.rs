//! What a plan says of a project's services: from what Compose made of the files and what runs, before anything is touched.

use dmp_sdk::{Change, Diagnostic, Effect, Marks, Type, Value};

use super::reading::is_well;
use crate::facts::compose::{Fate, Model, outcome};
use crate::on_host::{flag, list_value, text, text_map, texts, wrong};

/// What a dry run tells: sentences, and which services stay as they are, are interrupted, and go.
pub(super) fn told(model: &Model, planned: &Value) -> Result<Value, Diagnostic> {
    let fates = outcome(
        model,
        &text(planned, "directory"),
        flag(planned, "remove_orphans"),
    );
    let mut notes: Vec<String> = fates
        .iter()
        .filter_map(|(service, fate)| sentence(service, fate))
        .collect();
    let named = |is: fn(&Fate) -> bool| -> Vec<String> {
        let names = fates.iter().filter(|(_, fate)| is(fate));
        names.map(|(name, _)| name.clone()).collect()
    };
    let stays = named(|fate| *fate == Fate::Stays);
    let same_containers = named(|fate| {
        use Fate::{Awaited, Restarted, RunAgain, Started, Stays};
        matches!(fate, Stays | RunAgain | Awaited | Restarted(_) | Started(_))
    });
    // One that is pulled may be another.
    let pulls = |service: &String| {
        let image = model
            .services
            .get(service)
            .and_then(|service| service.image.as_ref());
        let is_missing = image.is_some_and(|image| !model.images.contains_key(image));
        is_missing || text(planned, "pull") == "always"
    };
    let same_images = same_containers.iter().filter(|name| !pulls(name));
    let same_images = same_images.cloned().collect();
    if !stays.is_empty() {
        notes.push(format!("as it is: {}", stays.join(", ")));
    }
    notes.extend(images(model, &text(planned, "pull"))?);
    let warnings = model.warnings.iter();
    notes.extend(warnings.map(|words| format!("Compose warns: {words}")));
    let interrupted = named(|fate| matches!(fate, Fate::Recreated(_) | Fate::Restarted(_)));
    let services = model.services.keys().cloned().collect();
    Ok(Value::object_of([
        ("notes", list_value(notes)),
        ("services", list_value(services)),
        ("stays", list_value(stays)),
        ("same_containers", list_value(same_containers)),
        ("same_images", list_value(same_images)),
        ("volumes", list_value(model.volumes.clone())),
        ("interrupted", list_value(interrupted)),
    ]))
}

fn sentence(service: &str, fate: &Fate) -> Option<String> {
    Some(match fate {
        Fate::Stays => return None,
        Fate::Created(1) => format!("{service} is created"),
        Fate::Created(count) => format!("{service} gets {count} containers"),
        Fate::Recreated(why) => format!("{service} is recreated: {why}"),
        Fate::Open => {
            format!("{service} may be recreated: it shares what another service has")
        }
        Fate::Restarted(files) => {
            format!("{service} is restarted: it mounts {}", files.join(", "))
        }
        Fate::Started(state) => format!("{service} is started: it is {state}"),
        Fate::RunAgain => format!("{service} runs again: Compose starts what has ended"),
        Fate::Awaited => {
            format!(
                "{service} is unhealthy: its health is waited for, and nothing else done about it"
            )
        }
        Fate::Reduced => {
            format!("{service} has more containers than it shall have: they are removed")
        }
        Fate::Removed => {
            format!("{service} is removed: the files do not have it, or not with these profiles")
        }
        Fate::Foreign => format!(
            "{service} is let be, although the files do not have it, or not with these profiles"
        ),
    })
}

/// Which images are pulled.
fn images(model: &Model, pull: &str) -> Result<Option<String>, Diagnostic> {
    let mut wanted: Vec<&str> = model
        .services
        .values()
        .filter_map(|service| service.image.as_deref())
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let missing: Vec<&str> = wanted
        .into_iter()
        .filter(|image| !model.images.contains_key(*image))
        .collect();
    match (pull, missing.is_empty()) {
        ("always", _) => Ok(Some(
            "all images are pulled before; a service is recreated if its own is a newer one".into(),
        )),
        (_, true) => Ok(None),
        ("never", _) => Err(wrong(
            "pull",
            "an image that is not there",
            format!(
                "`{}` is not on the machine, and `pull` is `never`",
                missing.join("`, `")
            ),
        )
        .help("load it there first, or let it be pulled by `pull = \"missing\"`")),
        _ => Ok(Some(format!("pulled: {}", missing.join(", ")))),
    }
}

/// Puts what was told into a change, or that nothing is known of the services.
pub(super) fn apply(change: &mut Change<'_>, told: Option<&Value>) {
    let Some(told) = told else {
        for name in ["services", "images", "config_hashes", "volumes"] {
            change.unknown(name);
        }
        return;
    };
    for note in texts(told, "notes") {
        change.note(note);
    }
    for what in texts(told, "interrupted") {
        change.effect(Effect::Restart { what });
    }
    let is_kept = |list: &str, wait: bool| if wait { texts(told, list) } else { Vec::new() };
    // Without a wait nobody knows how they are afterwards.
    let stays = is_kept("stays", flag(&change.planned, "wait"));
    for (name, same) in [
        ("services", stays),
        ("images", is_kept("same_images", true)),
        ("config_hashes", is_kept("same_containers", true)),
    ] {
        let kept = kept(change, told, name, &same);
        change.set(name, kept);
    }
    let before = change.prior.map(|prior| texts(prior, "volumes"));
    let is_there = |name| before.as_ref().is_some_and(|before| before.contains(name));
    if !texts(told, "volumes").iter().all(is_there) {
        change.unknown("volumes");
    }
}

/// The map of services with the values known of those for which nothing changes in it.
fn kept(change: &Change<'_>, told: &Value, name: &str, same: &[String]) -> Value {
    let prior = change.prior.map(|prior| text_map(prior, name));
    let prior = prior.unwrap_or_default();
    let member = |service: String| {
        let known = prior.get(&service).filter(|_| same.contains(&service));
        let known = known.filter(|text| name != "services" || is_well(text, true));
        let value = known.map_or_else(
            || Value::unknown(Type::String),
            |text| Value::from(text.as_str()),
        );
        (service.into(), value)
    };
    let map = Value::map(texts(told, "services").into_iter().map(member).collect());
    match name {
        "config_hashes" => map.marked(&Marks::sensitive()),
        _ => map,
    }
}
