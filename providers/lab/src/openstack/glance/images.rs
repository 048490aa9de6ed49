//! Images.

use serde_json::{Value, json};

use super::data::forget;
use super::members::{self, is_property};
use crate::openstack::estate::{Kind, Object, Shown, list as items, moment, shown, text};
use crate::openstack::listing::Listing;
use crate::openstack::{Answer, Call, Failure, Outcome, shape};
use crate::world::now;

/// Whether an image may be seen.
fn is_seen(call: &Call<'_>, image: &Object) -> bool {
    call.sees(&image.project) || matches!(text(&image.shown, "visibility"), "public" | "community")
}

/// Returns the image that the path names.
pub(super) fn find(call: &Call<'_>) -> Result<Shown, Failure> {
    let id = call.id();
    let found = call.world.openstack.object(Kind::Image, &id);
    let found = found.filter(|image| is_seen(call, image));
    found
        .map(|image| image.shown.clone())
        .ok_or_else(|| Failure::missing(format!("No image found with ID {id}")))
}

/// Returns the image that the path names, if it may be changed.
fn own(call: &Call<'_>) -> Result<Shown, Failure> {
    let image = find(call)?;
    let project = call
        .world
        .openstack
        .object(Kind::Image, &call.id())
        .map_or("", |image| image.project.as_str());
    match call.sees(project) {
        true => Ok(image),
        false => Err(Failure::forbidden(
            "You are not permitted to modify this image.",
        )),
    }
}

/// `GET /v2/images`.
pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let all = call.world.openstack.all(Kind::Image).into_iter().rev();
    let is_hidden = call
        .asked("os_hidden")
        .and_then(|text| shape::flag(&json!(text)))
        .unwrap_or(false);
    let visibility = call.asked("visibility").unwrap_or("all");
    let seen = all
        .filter(|(_, image)| is_seen(call, image))
        .filter(|(_, image)| {
            image.shown.get("os_hidden").and_then(Value::as_bool) == Some(is_hidden)
                && (visibility == "all" || text(&image.shown, "visibility") == visibility)
        });
    let tags: Vec<String> = call
        .query
        .iter()
        .filter(|(name, _)| name == "tag")
        .map(|(_, tag)| tag.clone())
        .collect();
    let has_tags = |image: &Shown| {
        tags.iter().all(|tag| {
            items(image, "tags")
                .iter()
                .any(|known| *known == tag.as_str())
        })
    };
    let seen = seen.filter(|(_, image)| has_tags(&image.shown));
    let mut listing = Listing {
        many: "images",
        path: "/v2/images".into(),
        items: seen.map(|(_, image)| image.shown.clone()).collect(),
    };
    listing.filter(call, |name| {
        !matches!(
            name,
            "tag"
                | "os_hidden"
                | "visibility"
                | "created_at"
                | "updated_at"
                | "size_min"
                | "size_max"
        )
    });
    let mut page = listing.page(call)?;
    page["first"] = json!("/v2/images");
    page["schema"] = json!("/v2/schemas/images");
    Answer::ok(page)
}

/// `GET /v2/images/{id}`.
pub(super) fn show(call: &mut Call<'_>) -> Outcome {
    let image = find(call)?;
    Answer::ok(Value::Object(image))
}

/// Refuses to let all see an image, to whoever may not.
fn check_visibility(call: &Call<'_>, value: &Value) -> Result<(), Failure> {
    match value == "public" && !call.caller.is_admin {
        true => Err(Failure::forbidden(
            "You are not authorized to complete publicize_image action.",
        )),
        false => Ok(()),
    }
}

/// `POST /v2/images`.
pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let Value::Object(sent) = call.body.clone() else {
        return Err(Failure::bad(
            "Provided object does not match schema 'image'",
        ));
    };
    for (name, value) in &sent {
        members::check(name, value)?;
    }
    check_visibility(call, sent.get("visibility").unwrap_or(&Value::Null))?;
    let id = match text(&sent, "id") {
        "" => call.world.openstack.new_id(),
        id if !shape::is_uuid(id) => {
            return Err(Failure::bad(format!(
                "Provided object does not match schema 'image': '{id}' does not match"
            )));
        }
        id => id.to_owned(),
    };
    if call.world.openstack.get(Kind::Image, &id).is_some() {
        return Err(Failure::conflict(format!("Image ID {id} already exists!")));
    }
    let (project, moment) = (call.caller.project.clone(), moment(now()));
    let mut made = shown(json!({
        "name": null, "status": "queued", "visibility": "shared", "owner": project, "tags": [], "protected": false, "os_hidden": false,
        "min_disk": 0, "min_ram": 0, "disk_format": null, "container_format": null, "size": null, "virtual_size": null,
        "checksum": null, "os_hash_algo": null, "os_hash_value": null,
    }));
    made.extend(sent);
    made.extend(shown(json!({
        "id": id, "owner": project, "created_at": moment, "updated_at": moment, "self": format!("/v2/images/{id}"),
        "file": format!("/v2/images/{id}/file"), "schema": "/v2/schemas/image",
    })));
    call.world
        .openstack
        .put(Kind::Image, &id, &project, made.clone());
    let mut answer = Answer::with(201, Value::Object(made))?;
    answer
        .headers
        .push(("location", format!("{}/image/v2/images/{id}", call.base)));
    answer
        .headers
        .push(("openstack-image-import-methods", "web-download".to_owned()));
    Ok(answer)
}

/// Returns the member that a path of a patch names.
fn pointed(path: &Value) -> Result<String, Failure> {
    let path = path.as_str().and_then(|path| path.strip_prefix('/'));
    let path = path.ok_or_else(|| Failure::bad("Pointer must begin with '/'"))?;
    Ok(path.replace("~1", "/").replace("~0", "~"))
}

/// `PATCH /v2/images/{id}`.
pub(super) fn patch(call: &mut Call<'_>) -> Outcome {
    let mut image = own(call)?;
    let changes = call.body.as_array().cloned();
    let changes = changes
        .ok_or_else(|| Failure::bad("Request body must be a JSON array of operation objects."))?;
    for change in changes {
        let name = pointed(&change["path"])?;
        let is_there = image.contains_key(&name);
        match change["op"].as_str().unwrap_or_default() {
            "remove" if !is_property(&name) => {
                return Err(Failure::forbidden(format!(
                    "Property {name} may not be removed."
                )));
            }
            "remove" if !is_there => {
                return Err(Failure::conflict(format!(
                    "Property {name} does not exist."
                )));
            }
            "remove" => {
                image.remove(&name);
            }
            "replace" if !is_there => {
                return Err(Failure::conflict(format!(
                    "Property {name} does not exist."
                )));
            }
            "add" | "replace" => {
                let value = &change["value"];
                members::check(&name, value)?;
                if name == "visibility" {
                    check_visibility(call, value)?;
                }
                let has_content = text(&image, "status") != "queued";
                if has_content
                    && matches!(name.as_str(), "id" | "container_format" | "disk_format")
                    && image.get(&name) != Some(value)
                {
                    return Err(Failure::forbidden(format!(
                        "Attribute {name} can be only replaced for a queued image."
                    )));
                }
                image.insert(name, value.clone());
            }
            other => {
                return Err(Failure::bad(format!(
                    "Operations must be chosen from add, replace, remove: '{other}'"
                )));
            }
        }
    }
    image.insert("updated_at".into(), json!(moment(now())));
    keep(call, &image);
    Answer::ok(Value::Object(image))
}

fn keep(call: &mut Call<'_>, image: &Shown) {
    let id = call.id();
    if let Some(kept) = call.world.openstack.get_mut(Kind::Image, &id) {
        kept.clone_from(image);
    }
}

/// `DELETE /v2/images/{id}`.
pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let image = own(call)?;
    let id = call.id();
    if image.get("protected") == Some(&Value::Bool(true)) {
        return Err(Failure::forbidden(format!(
            "Image {id} is protected and cannot be deleted."
        )));
    }
    call.world.openstack.take(Kind::Image, &id);
    forget(&call.world.files, &id);
    Answer::empty(204)
}

/// `PUT /v2/images/{id}/tags/{tag}`.
pub(super) fn add_tag(call: &mut Call<'_>) -> Outcome {
    let mut image = own(call)?;
    let tag = json!(call.at("tag"));
    let mut tags = items(&image, "tags").to_vec();
    if !tags.contains(&tag) {
        tags.push(tag);
    }
    image.insert("tags".into(), tags.into());
    keep(call, &image);
    Answer::empty(204)
}

/// `DELETE /v2/images/{id}/tags/{tag}`.
pub(super) fn remove_tag(call: &mut Call<'_>) -> Outcome {
    let mut image = own(call)?;
    let tag = call.at("tag").to_owned();
    let mut tags = items(&image, "tags").to_vec();
    let before = tags.len();
    tags.retain(|known| *known != tag.as_str());
    if tags.len() == before {
        return Err(Failure::missing(format!("Tag {tag} could not be found.")));
    }
    image.insert("tags".into(), tags.into());
    keep(call, &image);
    Answer::empty(204)
}
