//! Names and texts about a volume or a snapshot: `{collection}/{id}/metadata`.

use serde_json::{Map, Value, json};

use super::{change, find};
use crate::openstack::estate::{Kind, shown};
use crate::openstack::shape::{Member, Object, Shape, check};
use crate::openstack::{Answer, Call, Outcome};

static METADATA: Object = Object {
    members: &[Member("metadata", 0, Shape::Texts)],
    needed: &["metadata"],
    is_open: false,
};

/// `GET`.
pub(super) fn show(call: &Call<'_>, kind: Kind) -> Outcome {
    let object = find(call, kind)?;
    Answer::ok(json!({ "metadata": object.get("metadata") }))
}

/// `POST`, with which what is not sent stays, and `PUT`, with which it goes.
pub(super) fn put(call: &mut Call<'_>, kind: Kind, keeps: bool) -> Outcome {
    let object = find(call, kind)?;
    check(&METADATA, &call.body, call.version)?;
    let known = object.get("metadata").and_then(Value::as_object).cloned();
    let mut metadata = known.filter(|_| keeps).unwrap_or_default();
    let sent = call.body["metadata"].as_object().cloned();
    metadata.extend(sent.unwrap_or_else(Map::new));
    let told = json!({ "metadata": metadata });
    change(call, kind, shown(told.clone()));
    Answer::ok(told)
}
