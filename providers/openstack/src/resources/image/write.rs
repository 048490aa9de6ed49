//! Making, changing and removing an image.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256, SHA512};
use dmp_sdk::{AttributePath, Diagnostic, Value};
use serde_json::{Map, Value as Json, json};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use super::{checksum, is_gone, is_own, path, properties, state};
use crate::marked::KEY;
use crate::object::{State, Task, wait_for};
use crate::session::{ApiError, Headers, Listing, Pauses, Service, Verb};
use crate::values::{items, json_of, number, text, text_at, texts_at};

/// One piece of work on one image.
pub(super) struct ImageWork<'a> {
    pub task: &'a Task<'a>,
}

impl ImageWork<'_> {
    fn name(&self) -> String {
        let value = self.task.job.wanted.or(self.task.job.prior);
        let name = value.and_then(|value| text_at(value, "name"));
        format!("the image `{}`", name.unwrap_or_default())
    }

    async fn look(&self, id: &str) -> Result<Option<Json>, ApiError> {
        let found = self
            .task
            .cloud
            .session
            .look(Service::Image, &path(id))
            .await?;
        Ok(found.filter(|image| !is_gone(image)))
    }

    async fn present(&self) -> Result<Option<Json>, Diagnostic> {
        match self.task.job.id {
            Some(id) => self
                .look(id)
                .await
                .map_err(|error| error.diagnostic("cannot read an image")),
            None => Ok(None),
        }
    }

    /// Makes the image, or finishes one that was begun.
    pub(super) async fn bring(&self, wanted: &Value) -> Result<(), Diagnostic> {
        let image = match self.present().await? {
            Some(image) => image,
            None => self.register(wanted).await?,
        };
        let id = text(&image, "id").unwrap_or_default();
        let mut image = image;
        // Glance takes an image back to `queued` when the sending of its content was cut off: then it is sent again.
        for _ in 0..MOST_SENDINGS {
            if is_empty(&image) {
                image = self.fill(&id, wanted).await?;
            }
            image = self.ready(&id, image, wanted).await?;
            if !is_empty(&image) {
                return self.change(&id, &image, wanted).await;
            }
        }
        Err(Diagnostic::remote("failed", "cannot send an image")
            .cause("Glance has lost its content each time")
            .help("look at the log of Glance's API: its storage may be full"))
    }

    async fn register(&self, wanted: &Value) -> Result<Json, Diagnostic> {
        let body = self.members(wanted);
        let title = format!("register {}", self.name());
        let made = self
            .task
            .change(
                &title,
                Service::Image,
                Verb::Post,
                "/images",
                &Json::Object(body),
            )
            .await;
        let made = match made {
            Ok(made) => made,
            Err(error) if error.is_unknown() => self.appears(&error).await?,
            Err(error) => return Err(error.diagnostic("cannot register an image")),
        };
        let id = text(&made, "id").ok_or_else(|| {
            ApiError::NotUnderstood("an image was registered and has no id".into())
                .diagnostic("cannot register an image")
        })?;
        self.task.cx.record_id(&id).await?;
        Ok(made)
    }

    /// A call whose answer was lost may have been carried out: the image is looked for by its mark.
    async fn appears(&self, error: &ApiError) -> Result<Json, Diagnostic> {
        let mark = Some(self.task.job.mark.to_string());
        let listing = Listing::of(Service::Image, "/images", "images");
        let until = Instant::now() + UNKNOWN;
        let mut pauses = Pauses::new();
        self.task
            .cx
            .waiting("whether the image came about", UNKNOWN);
        loop {
            if let Ok(listed) = self.task.cloud.session.list(&listing).await
                && let Some(found) = listed.into_iter().find(|image| text(image, KEY) == mark)
            {
                return Ok(found);
            }
            if self.task.cx.is_cancelled() || !pauses.wait(until, None).await {
                return Err(error.diagnostic("cannot register an image"));
            }
        }
    }

    /// All members that can be set, with the mark.
    fn members(&self, wanted: &Value) -> Map<String, Json> {
        let mut members = match json_of(&wanted.get("properties")) {
            Json::Object(properties) => properties,
            _ => Map::new(),
        };
        let names = [
            ("name", "name"),
            ("disk_format", "disk_format"),
            ("container_format", "container_format"),
            ("visibility", "visibility"),
            ("protected", "protected"),
            ("hidden", "os_hidden"),
            ("min_disk_gib", "min_disk"),
            ("min_memory_mib", "min_ram"),
        ];
        for (name, member) in names {
            let value = wanted.get(name);
            if !value.is_null() {
                members.insert(member.into(), json_of(&value));
            }
        }
        members.insert("tags".into(), json!(texts_at(wanted, "tags")));
        members.insert(KEY.into(), json!(self.task.job.mark.to_string()));
        members
    }

    /// Gives the image its content.
    async fn fill(&self, id: &str, wanted: &Value) -> Result<Json, Diagnostic> {
        match (text_at(wanted, "file"), text_at(wanted, "url")) {
            (Some(file), _) => self.send(id, &PathBuf::from(file), wanted).await?,
            (None, Some(url)) => {
                let body = json!({ "method": { "name": "web-download", "uri": url } });
                let title = format!("let Glance fetch {}", self.name());
                let path = format!("{}/import", path(id));
                let begun = self
                    .task
                    .change(&title, Service::Image, Verb::Post, &path, &body)
                    .await;
                match begun {
                    Ok(_) => {}
                    Err(error) if error.is_unknown() || error.is_conflict() => {}
                    Err(error) => return Err(error.diagnostic("cannot let Glance fetch an image")),
                }
            }
            (None, None) => {
                return Err(Diagnostic::error("no-content", "an image has no content")
                    .detail("neither `file` nor `url` is set")
                    .path(AttributePath::of("file")));
            }
        }
        let image = self
            .look(id)
            .await
            .map_err(|error| error.diagnostic("cannot read an image"))?;
        image.ok_or_else(|| Diagnostic::remote("gone", "cannot make an image").cause("it is gone"))
    }

    async fn send(&self, id: &str, file: &Path, wanted: &Value) -> Result<(), Diagnostic> {
        let unreadable = |error: std::io::Error| {
            Diagnostic::error("unreadable", "cannot read a file")
                .detail(format!("`{}`", file.display()))
                .cause(error.to_string())
                .path(AttributePath::of("file"))
        };
        if let Some(given) = text_at(wanted, "checksum") {
            self.task.cx.waiting("the digest of the file", SENT);
            let has = digest(file, given.starts_with("sha256:"))
                .await
                .map_err(unreadable)?;
            if !given.ends_with(&has) {
                return Err(
                    Diagnostic::error("other-content", "a file is not what it should be")
                        .detail(format!("`{}` has the digest `{has}`", file.display()))
                        .path(AttributePath::of("checksum"))
                        .help("correct `checksum`, or the file"),
                );
            }
        }
        let opened = tokio::fs::File::open(file).await.map_err(unreadable)?;
        let length = opened.metadata().await.map_err(unreadable)?.len();
        self.task
            .cx
            .begin(&format!("send {} ({} MiB)", self.name(), length >> 20))
            .await?;
        self.task.cx.waiting("the image to be sent", SENT);
        let stream = ReaderStream::with_capacity(opened, 256 * 1024);
        let body = reqwest::Body::wrap_stream(stream);
        let path = format!("{}/file", path(id));
        let headers = Headers::new();
        let session = &self.task.cloud.session;
        let upload = session.upload(Service::Image, &path, &headers, length, body, SENT);
        tokio::pin!(upload);
        loop {
            tokio::select! {
                sent = &mut upload => {
                    return match sent {
                        Ok(()) => Ok(()),
                        // What came of it is seen by what it is now.
                        Err(error) if error.is_unknown() || error.is_conflict() => Ok(()),
                        Err(error) => Err(error.diagnostic("cannot send an image")),
                    };
                }
                () = tokio::time::sleep(Duration::from_millis(500)) => {
                    if self.task.cx.is_cancelled() {
                        return Err(Diagnostic::error("stopped", "stopped on request"));
                    }
                }
            }
        }
    }

    async fn ready(&self, id: &str, image: Json, wanted: &Value) -> Result<Json, Diagnostic> {
        let what = format!("{} to be ready", self.name());
        let is_file = text_at(wanted, "file").is_some();
        let first = std::sync::Mutex::new(Some(image));
        let first = &first;
        let image = wait_for(self.task.cx, &what, SENT, || async move {
            let known = first.lock().ok().and_then(|mut first| first.take());
            let image = match known {
                Some(image) if state(&image) == State::Ready => Some(image),
                _ => self.look(id).await?,
            };
            let Some(image) = image else {
                let gone = Diagnostic::remote("gone", "an image went while it was waited for");
                return Err(ApiError::Ended(Box::new(gone)));
            };
            Ok(match state(&image) {
                // Nobody is sending it but us.
                State::UnderWay(_) if is_file && is_empty(&image) => Some(image),
                State::UnderWay(_) => None,
                _ => Some(image),
            })
        });
        let image = image
            .await
            .map_err(|error| error.diagnostic("cannot make an image"))?;
        if let State::Failed(why) = state(&image) {
            return Err(Diagnostic::remote("failed", "cannot make an image")
                .cause(why)
                .help("look whether Glance may fetch from there, and reaches it"));
        }
        let given = text_at(wanted, "checksum").filter(|_| text_at(wanted, "url").is_some());
        match (given, checksum(&image)) {
            (Some(given), Some(has)) if !given.eq_ignore_ascii_case(&has) => Err(
                Diagnostic::error("other-content", "an image is not what it should be")
                    .detail(format!("what Glance has fetched has the digest `{has}`"))
                    .path(AttributePath::of("checksum"))
                    .help("correct `checksum` or `url`; the image is replaced then"),
            ),
            _ => Ok(image),
        }
    }

    /// Sends what differs, as Glance wants it: a list of what is to be put in place.
    async fn change(&self, id: &str, image: &Json, wanted: &Value) -> Result<(), Diagnostic> {
        let mut patch = Vec::new();
        let has = properties(image);
        for (name, value) in self.members(wanted) {
            let is_same = match name.as_str() {
                "tags" => {
                    let mut tags: Vec<&str> = items(&image["tags"])
                        .iter()
                        .filter_map(Json::as_str)
                        .collect();
                    tags.sort_unstable();
                    json!(tags) == value
                }
                "min_disk" | "min_ram" => {
                    number(image, &name).map(Json::from) == Some(value.clone())
                }
                _ => image[&name] == value,
            };
            if !is_same {
                let is_there = is_own(&name) || !image[&name].is_null();
                let op = if is_there { "replace" } else { "add" };
                patch.push(json!({ "op": op, "path": pointer(&name), "value": value }));
            }
        }
        // What an earlier description has set and this one does not is taken away.
        let before = self.task.job.prior.map(|prior| prior.get("properties"));
        let wants = wanted.get("properties");
        for (name, _) in before.iter().filter_map(Value::as_members).flatten() {
            let is_kept = wants
                .as_members()
                .is_some_and(|wants| wants.contains_key(name.as_ref()));
            if !is_kept && has.contains_key(name.as_ref()) {
                patch.push(json!({ "op": "remove", "path": pointer(name) }));
            }
        }
        if patch.is_empty() {
            return Ok(());
        }
        let title = format!("change {}", self.name());
        let changed = self
            .task
            .change(
                &title,
                Service::Image,
                Verb::Patch,
                &path(id),
                &Json::Array(patch),
            )
            .await;
        changed
            .map(drop)
            .map_err(|error| error.diagnostic("cannot change an image"))
    }

    pub(super) async fn remove(&self) -> Result<(), Diagnostic> {
        let Some(image) = self.present().await? else {
            return Ok(());
        };
        let id = text(&image, "id").unwrap_or_default();
        let title = format!("delete {}", self.name());
        let deleted = self
            .task
            .change(
                &title,
                Service::Image,
                Verb::Delete,
                &path(&id),
                &Json::Null,
            )
            .await;
        match deleted {
            Ok(_) => {}
            Err(error) if error.is_missing() => return Ok(()),
            Err(error) => {
                let is_protected = image["protected"] == true;
                let diagnostic = error.diagnostic("cannot delete an image");
                return Err(match is_protected {
                    true => diagnostic.help("it is protected: apply `protected = false` first"),
                    false => diagnostic,
                });
            }
        }
        let (what, id) = (format!("{} to be gone", self.name()), &id);
        let gone = wait_for(self.task.cx, &what, GONE, || async move {
            Ok(self.look(id).await?.is_none().then_some(()))
        });
        gone.await
            .map_err(|error| error.diagnostic("cannot delete an image"))
    }
}

/// Whether an image has no content, and nothing of it is under way.
fn is_empty(image: &Json) -> bool {
    text(image, "status").as_deref() == Some("queued")
}

/// A member as a patch names it.
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The digest of a file in hexadecimal.
async fn digest(file: &Path, is_short: bool) -> std::io::Result<String> {
    let mut opened = tokio::fs::File::open(file).await?;
    let mut context = Context::new(if is_short { &SHA256 } else { &SHA512 });
    let mut buffer = vec![0; 1 << 18];
    loop {
        match opened.read(&mut buffer).await? {
            0 => return Ok(hex::encode(context.finish())),
            count => context.update(&buffer[..count]),
        }
    }
}

const MOST_SENDINGS: u32 = 3;
const UNKNOWN: Duration = Duration::from_secs(45);
/// An image may be large, and the line slow.
const SENT: Duration = Duration::from_secs(6 * 3600);
const GONE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_named_as_patches_have_it() {
        assert_eq!(pointer("os_distro"), "/os_distro");
        assert_eq!(pointer("a/b~c"), "/a~1b~0c");
    }

    #[tokio::test]
    async fn a_file_has_a_digest() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "abc").expect("it is written");
        let short = digest(&path, true).await.expect("a digest");
        assert_eq!(
            short,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(digest(&path, false).await.expect("a digest").len(), 128);
    }
}
