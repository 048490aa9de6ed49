//! The bytes of images.

use std::fs::File;
use std::path::Path;

use serde_json::{Value, json};

use super::images::find;
use crate::openstack::estate::{Kind, moment, text};
use crate::openstack::{Answer, Call, Failure, Outcome};
use crate::world::now;

/// Returns the name of the file in the lab's folder that has the bytes of an image.
fn file_name(id: &str) -> String {
    format!("image-{id}")
}

/// Throws the bytes of an image away.
pub(in crate::openstack) fn forget(files: &Path, id: &str) {
    // One that never had content has no file.
    let _ = std::fs::remove_file(files.join(file_name(id)));
}

fn must_wait(call: &Call<'_>) -> Result<(), Failure> {
    let image = find(call)?;
    match text(&image, "status") {
        "queued" => Ok(()),
        status => Err(Failure::conflict(format!(
            "Image status transition from {status} to saving is not allowed"
        ))),
    }
}

/// Sets what is known of an image once it has content.
fn fill(call: &mut Call<'_>, members: Value) {
    let id = call.id();
    if let (Some(image), Value::Object(members)) =
        (call.world.openstack.get_mut(Kind::Image, &id), members)
    {
        image.extend(members);
        image.insert("status".into(), json!("active"));
        image.insert("updated_at".into(), json!(moment(now())));
    }
}

/// `PUT /v2/images/{id}/file`.
pub(super) fn upload(call: &mut Call<'_>) -> Outcome {
    must_wait(call)?;
    let image = find(call)?;
    for name in ["container_format", "disk_format"] {
        if image.get(name).is_none_or(Value::is_null) {
            return Err(Failure::bad(
                "Properties disk_format, container_format must be set prior to saving data.",
            ));
        }
    }
    let Some(upload) = call.upload else {
        return Err(Failure::of(
            415,
            "HTTPUnsupportedMediaType",
            "The lab takes application/octet-stream.",
        ));
    };
    let lost =
        |error: std::io::Error| Failure::of(500, "HTTPInternalServerError", error.to_string());
    let digest = File::open(&upload.path).and_then(|mut file| crate::hash::of("sha512", &mut file));
    let digest = digest.map_err(lost)?.unwrap_or_default();
    let mut sum = md5::Context::new();
    let copied = File::open(&upload.path).and_then(|mut file| std::io::copy(&mut file, &mut sum));
    copied.map_err(lost)?;
    let virtual_size = crate::image::virtual_size(&upload.path);
    let kept = call.world.files.join(file_name(&call.id()));
    std::fs::rename(&upload.path, kept).map_err(lost)?;
    let size = upload.size;
    fill(
        call,
        json!({
            "size": size, "virtual_size": virtual_size, "checksum": format!("{:x}", sum.finalize()), "os_hash_algo": "sha512",
            "os_hash_value": digest, "stores": "lab",
        }),
    );
    Answer::empty(204)
}

/// `GET /v2/images/{id}/file`.
pub(super) fn download(call: &mut Call<'_>) -> Outcome {
    let image = find(call)?;
    let path = call.world.files.join(file_name(&call.id()));
    if text(&image, "status") != "active" || !path.exists() {
        return Answer::empty(204);
    }
    let mut answer = Answer::empty(200)?;
    answer.file = Some(path);
    Ok(answer)
}

/// `POST /v2/images/{id}/import`. The lab reaches nothing: what it is to fetch it has at once, without content.
pub(super) fn import(call: &mut Call<'_>) -> Outcome {
    must_wait(call)?;
    let method = &call.body["method"];
    if method["name"] != "web-download" {
        let name = method["name"].as_str().unwrap_or_default();
        return Err(Failure::bad(format!(
            "Unknown import method name '{name}'."
        )));
    }
    if !method["uri"].is_string() {
        return Err(Failure::bad(
            "URI is required for the 'web-download' import method.",
        ));
    }
    let digest = crate::hash::of("sha512", &mut std::io::empty())
        .ok()
        .flatten();
    fill(
        call,
        json!({ "size": 0, "virtual_size": null, "checksum": format!("{:x}", md5::compute("")), "os_hash_algo": "sha512", "os_hash_value": digest }),
    );
    Answer::empty(202)
}
