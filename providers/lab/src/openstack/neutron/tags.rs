//! Tags, which all objects with a name have.

use serde_json::{Value, json};

use super::Collection;
use crate::openstack::estate::list as items;
use crate::openstack::{Answer, Call, Failure, Outcome};

fn tags(call: &Call<'_>) -> Result<(&'static Collection, String, Vec<Value>), Failure> {
    let collection = Collection::of(call)?;
    let id = call.id();
    let object = collection.own(call, &id)?;
    let tags = items(&object.shown, "tags").to_vec();
    Ok((collection, id, tags))
}

fn set(call: &mut Call<'_>, collection: &Collection, id: &str, tags: Vec<Value>) {
    if let Some(object) = call.world.openstack.get_mut(collection.kind, id) {
        object.insert("tags".into(), tags.into());
        super::touch(object);
    }
}

/// `GET /v2.0/{collection}/{id}/tags`.
pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let (_, _, tags) = tags(call)?;
    Answer::ok(json!({ "tags": tags }))
}

/// `PUT /v2.0/{collection}/{id}/tags`.
pub(super) fn replace(call: &mut Call<'_>) -> Outcome {
    let (collection, id, _) = tags(call)?;
    let invalid = |what: &str| {
        Failure::of(
            400,
            "InvalidInput",
            format!("Invalid input for operation: {what}."),
        )
    };
    let sent = call.body["tags"].as_array().cloned();
    let mut sent = sent.ok_or_else(|| invalid("Invalid tags body"))?;
    let is_tag = |tag: &Value| {
        tag.as_str()
            .is_some_and(|tag| (1..=255).contains(&tag.chars().count()))
    };
    if let Some(wrong) = sent.iter().find(|tag| !is_tag(tag)) {
        return Err(invalid(&format!("{wrong} is not a valid tag")));
    }
    sent.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
    sent.dedup();
    set(call, collection, &id, sent.clone());
    Answer::ok(json!({ "tags": sent }))
}

/// `DELETE /v2.0/{collection}/{id}/tags`.
pub(super) fn clear(call: &mut Call<'_>) -> Outcome {
    let (collection, id, _) = tags(call)?;
    set(call, collection, &id, Vec::new());
    Answer::empty(204)
}

fn missing(tag: &str) -> Failure {
    Failure::of(404, "TagNotFound", format!("Tag {tag} could not be found."))
}

/// `GET /v2.0/{collection}/{id}/tags/{tag}`.
pub(super) fn look(call: &mut Call<'_>) -> Outcome {
    let (_, _, tags) = tags(call)?;
    let tag = call.at("tag");
    match tags.iter().any(|known| known == tag) {
        true => Answer::empty(204),
        false => Err(missing(tag)),
    }
}

/// `PUT /v2.0/{collection}/{id}/tags/{tag}`.
pub(super) fn add(call: &mut Call<'_>) -> Outcome {
    let (collection, id, mut tags) = tags(call)?;
    let tag = json!(call.at("tag"));
    if !tags.contains(&tag) {
        tags.push(tag);
    }
    set(call, collection, &id, tags);
    Answer::empty(201)
}

/// `DELETE /v2.0/{collection}/{id}/tags/{tag}`.
pub(super) fn remove(call: &mut Call<'_>) -> Outcome {
    let (collection, id, mut tags) = tags(call)?;
    let tag = call.at("tag").to_owned();
    let before = tags.len();
    tags.retain(|known| *known != tag.as_str());
    if tags.len() == before {
        return Err(missing(&tag));
    }
    set(call, collection, &id, tags);
    Answer::empty(204)
}
