//! Images that come by upload or by download.

use serde_json::json;

use super::work::{Checksum, Work};
use super::{Answer, Call, Failure, Handler, Outcome};

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("POST /nodes/{node}/storage/{storage}/upload", upload),
    (
        "POST /nodes/{node}/storage/{storage}/download-url",
        download,
    ),
    ("GET /nodes/{node}/query-url-metadata", metadata),
];

/// Refuses a file name that the content type does not take.
fn check_name(content: &str, name: &str) -> Result<(), Failure> {
    let endings: &[&str] = match content {
        "iso" => &[".iso", ".img"],
        "vztmpl" => &[".tar.gz", ".tar.xz", ".tar.zst"],
        _ => &[".ova", ".qcow2", ".raw", ".vmdk"],
    };
    let lower = name.to_ascii_lowercase();
    if endings.iter().any(|ending| lower.ends_with(ending)) {
        return Ok(());
    }
    let text = if content == "import" {
        "invalid filename or wrong extension"
    } else {
        "wrong file extension"
    };
    Err(Failure::parameter("filename", text))
}

/// Refuses a storage that does not take a content type.
fn check_content(call: &Call<'_>, content: &str) -> Result<(), Failure> {
    let (node, name) = (call.node(), call.parameters.needed("storage"));
    let storage = call.world.storage_on(&node, name)?;
    if storage.content.contains(content) {
        Ok(())
    } else {
        Err(format!("storage '{name}' does not support '{content}' content").into())
    }
}

fn checksum(call: &Call<'_>) -> Option<Checksum> {
    Some(Checksum {
        algorithm: call.parameters.text("checksum-algorithm")?.to_owned(),
        value: call.parameters.text("checksum")?.to_ascii_lowercase(),
    })
}

/// Makes of a file's name what is stored: blanks and the like become underscores.
fn plain(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    last.chars()
        .map(|it| {
            if it.is_ascii_alphanumeric() || "-_.".contains(it) {
                it
            } else {
                '_'
            }
        })
        .collect()
}

fn upload(call: &mut Call<'_>) -> Outcome {
    let content = call.parameters.needed("content").to_owned();
    let storage = call.parameters.needed("storage").to_owned();
    let name = plain(call.parameters.needed("filename"));
    check_name(&content, &name)?;
    check_content(call, &content)?;
    let upload = call.upload.ok_or("can't process upload without a file")?;
    call.world.room(&call.node(), &storage, upload.size)?;
    let shown = format!(
        "/var/tmp/pveupload-{}",
        &crate::hash::sha1(&upload.path.display().to_string())[..32]
    );
    let work = Work::Upload {
        storage,
        content,
        name,
        file: upload.path.clone(),
        size: upload.size,
        shown,
        checksum: checksum(call),
    };
    call.task_for("imgcopy", String::new(), 1.0, work)
}

fn download(call: &mut Call<'_>) -> Outcome {
    let content = call.parameters.needed("content").to_owned();
    let storage = call.parameters.needed("storage").to_owned();
    let name = plain(call.parameters.needed("filename"));
    check_name(&content, &name)?;
    check_content(call, &content)?;
    let volid = format!("{storage}:{content}/{name}");
    if call
        .world
        .volumes
        .contains(&call.world.key(&call.node(), &volid))
    {
        return Err(Failure::parameter(
            "filename",
            "refusing to override existing file",
        ));
    }
    let work = Work::Download {
        url: call.parameters.needed("url").to_owned(),
        storage,
        content,
        name: name.clone(),
        checksum: checksum(call),
    };
    call.task_for("download", name, 5.0, work)
}

/// The lab reaches nothing outside; what it tells of a URL is its name.
fn metadata(call: &mut Call<'_>) -> Outcome {
    let url = call.parameters.needed("url");
    let name = url.split(['?', '#']).next().unwrap_or_default();
    Answer::data(
        json!({ "filename": plain(name), "mimetype": "application/octet-stream", "size": 0 }),
    )
}
