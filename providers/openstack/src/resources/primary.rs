//! What holds data that may exist nowhere else, by its argument `primary`: a server, a volume, a share, a zone.

use dmp_sdk::{Effect, HoldsData, Value};

use crate::object::Task;
use crate::session::Service;
use crate::values::{items, text, text_at};

/// Whether its data may exist nowhere else.
pub(super) fn is_primary(value: &Value) -> bool {
    value.get("primary").as_bool() == Some(true)
}

/// What goes with it in a delete: effects and notes. `noun` is what it is called.
pub(super) fn ends(prior: &Value, noun: &str) -> (Vec<Effect>, Vec<String>) {
    let name = text_at(prior, "name").or_else(|| text_at(prior, "id"));
    let name = name.unwrap_or_default();
    let size = prior.get("size_gib").as_i64().unwrap_or_default();
    let effects = match is_primary(prior) {
        true => vec![Effect::DataLoss {
            what: format!("{noun} `{name}`, {size} GiB"),
        }],
        false => Vec::new(),
    };
    (effects, vec![format!("{size} GiB go with it")])
}

/// The worth of its data.
pub(super) fn holds_data(value: &Value) -> HoldsData {
    match is_primary(value) {
        true => HoldsData::Primary,
        false => HoldsData::None,
    }
}

/// The snapshots that keep it from going, by the query of a listing that names it.
pub(super) async fn snapshots(task: &Task<'_>, service: Service, query: &str) -> Vec<String> {
    let path = format!("/snapshots?{query}");
    let Ok(answer) = task.cloud.session.get(service, &path).await else {
        return Vec::new();
    };
    let snapshots = items(&answer["snapshots"]).iter();
    let named = snapshots.filter_map(|one| Some(format!("the snapshot `{}`", text(one, "id")?)));
    named.collect()
}

/// What the service tells users of it, the newest first, by the query of a listing that says so.
pub(super) async fn message(task: &Task<'_>, service: Service, query: &str) -> Option<String> {
    let path = format!("/messages?{query}&limit=1");
    let answer = task.cloud.session.get(service, &path).await.ok()?;
    text(items(&answer["messages"]).first()?, "user_message")
}
