//! `openstack_object`: an object of Swift, written from a text or sent from a file here. Swift's ETag is the MD5 of its content, by
//! which the plan sees whether that is as it should be; nothing is trusted to it.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use dmp_sdk::{
    Attribute, AttributePath, Change, Diagnostic, Layer, MarkWay, Quantifier, Schema, Type, Value,
};
use serde_json::Value as Json;
use tokio_util::io::ReaderStream;

use super::{as_value, check_metadata, header, metadata_in, metadata_of, said};
use crate::cloud::{Question, found};
use crate::object::{Keyed, Seen, State, Task};
use crate::session::{Headers, Service, Verb};
use crate::values::{number, segment, text, text_at, wrong};

/// The model.
pub(crate) struct StoredObject;

const PREFIX: &str = "x-object-meta-";
/// What Swift takes as one object.
const LARGEST: u64 = 5_368_709_122;
/// What is sent in a moment needs no line on the screen.
const WORTH_A_LINE: u64 = 1 << 20;
/// A file may be large, and the line slow.
const SENT: Duration = Duration::from_secs(6 * 3600);

fn path(value: &Value) -> String {
    let part = |name| segment(&text_at(value, name).unwrap_or_default());
    format!("/{}/{}", part("container"), part("name"))
}

fn id_of(value: &Value) -> String {
    let part = |name| text_at(value, name).unwrap_or_default();
    format!("{}/{}", part("container"), part("name"))
}

/// The ETag of a file's content, and its length.
fn etag_of_file(path: &Path) -> std::io::Result<(String, u64)> {
    let mut file = std::fs::File::open(path)?;
    let mut context = md5::Context::new();
    let (mut buffer, mut length) = (vec![0; 1 << 18], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((format!("{:x}", context.finalize()), length)),
            count => {
                context.consume(&buffer[..count]);
                length += count as u64;
            }
        }
    }
}

fn unreadable(path: &str, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error("unreadable", "cannot read a file")
        .detail(format!("`{path}`"))
        .cause(error.to_string())
        .path(AttributePath::of("source"))
}

/// The ETag and the length of what is wanted; `None` while it is not known.
fn wanted_content(wanted: &Value) -> Result<Option<(String, u64)>, Diagnostic> {
    let content = wanted.get("content");
    if let Some(content) = content.as_str() {
        let etag = format!("{:x}", md5::compute(content));
        return Ok(Some((etag, content.len() as u64)));
    }
    match text_at(wanted, "source") {
        Some(source) => {
            let found = etag_of_file(Path::new(&source));
            found.map(Some).map_err(|error| unreadable(&source, &error))
        }
        None => Ok(None),
    }
}

/// What is said of an object, beside its content.
fn headers(wanted: &Value) -> Headers {
    let mut headers = Headers::new();
    for (name, attribute) in SAID {
        said(&mut headers, name, text_at(wanted, attribute));
    }
    for (name, text) in metadata_in(wanted) {
        headers.push((format!("{PREFIX}{name}"), text));
    }
    headers
}

const SAID: [(&str, &str); 3] = [
    ("content-type", "content_type"),
    ("content-encoding", "content_encoding"),
    ("content-disposition", "content_disposition"),
];

/// What headers say of an object.
fn attributes(known: &Value, headers: &Json) -> Value {
    let etag = text(headers, "etag").map(|etag| etag.trim_matches('"').to_owned());
    let mut value = known
        .with("metadata", as_value(metadata_of(headers, PREFIX), known))
        .with("etag", etag.into())
        .with("size_bytes", number(headers, "content-length").into());
    for (name, attribute) in SAID {
        value = value.with(attribute, header(headers, name));
    }
    value
}

async fn look(task: &Task<'_>, value: &Value) -> Result<Option<Value>, Diagnostic> {
    let session = &task.cloud.session;
    let headers = session.headers(Service::ObjectStore, &path(value)).await;
    let headers = headers.map_err(|error| error.diagnostic("cannot read an object"))?;
    Ok(headers.map(|headers| attributes(&Value::object_of([]), &headers)))
}

#[async_trait::async_trait]
impl Keyed for StoredObject {
    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc);
        let key = |doc| Attribute::required(Type::String, doc).replaces().unique();
        Schema::new("openstack_object", "An object of Swift. Each is read on its own, by its headers. It is imported as `CONTAINER/NAME`.")
            .layer(Layer::Storage)
            .mark(MarkWay::NaturalKey(&["container", "name"]))
            .on_delete("The object is gone, as it is to all who read it.")
            .counterpart("openstack_objectstorage_object_v1", &["{container_name}/{name}"])
            .attribute("container", key("The container that it is in.").hosting(Quantifier::All))
            .attribute("name", key("Its name; a `/` in it is part of the name."))
            .attribute("content", text("What it holds, as a text. What is long is better a file: the state keeps texts."))
            .attribute("source", text("The file that it holds, of this machine, of at most 5 GiB. The plan reads it."))
            .attribute("content_type", Attribute::optional_computed(Type::String, "What its content is: `text/plain`; by its name where nothing is said."))
            .attribute("content_encoding", text("How its content is packed: `gzip`."))
            .attribute("content_disposition", text("What browsers do with it: `attachment; filename=\"a.txt\"`."))
            .attribute("metadata", Attribute::optional(Type::map(Type::String), "Names in lower case and texts about it."))
            .attribute("etag", Attribute::computed(Type::String, "The MD5 of its content, in hexadecimal."))
            .attribute("size_bytes", Attribute::computed(Type::Number, "How many bytes it holds."))
            .attribute("project_id", Attribute::computed(Type::String, "The project that it is in."))
    }

    fn questions(&self, value: &Value, _alone: bool) -> Vec<Question> {
        vec![Question::Headers {
            service: Service::ObjectStore,
            path: path(value),
        }]
    }

    fn read(&self, known: &Value, answers: &[&Json]) -> Result<Option<Seen>, Diagnostic> {
        let Some(answer) = answers.first() else {
            return Ok(None);
        };
        let headers = found(answer);
        if headers.is_null() {
            return Ok(None);
        }
        let value = attributes(known, headers).with("project_id", text(answer, "project").into());
        Ok(Some(Seen {
            attributes: value,
            id: id_of(known),
            state: State::Ready,
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let has = |name: &str| !change.config.get(name).is_null();
        match (has("content"), has("source")) {
            (false, false) => {
                return Err(wrong(
                    "content",
                    "an object holds a text or a file: name one",
                ));
            }
            (true, true) => {
                return Err(wrong(
                    "source",
                    "it holds one of the two, `content` or `source`",
                ));
            }
            _ => {}
        }
        check_metadata(&change.planned)?;
        let name = text_at(&change.planned, "name").unwrap_or_default();
        if name.len() > 1024 {
            return Err(wrong("name", "it is longer than 1024 bytes"));
        }
        match wanted_content(&change.planned)? {
            Some((_, size)) if size > LARGEST => {
                return Err(wrong(
                    "source",
                    format!("it has {size} bytes, and Swift takes {LARGEST} as one object"),
                ));
            }
            Some((etag, size)) => {
                change.set("etag", etag.into());
                change.set("size_bytes", i64::try_from(size).unwrap_or(i64::MAX).into());
            }
            None => {
                change.unknown("etag");
                change.unknown("size_bytes");
            }
        }
        if let (None, Some(earlier)) = (change.prior, change.earlier) {
            if text_at(earlier, "etag") != text_at(&change.planned, "etag") {
                return Err(wrong(
                    "name",
                    "an object of this name is there already, with another content",
                )
                .help("import it, or take another name"));
            }
            change.note("it is there already, with this content: a delete leaves it");
        }
        Ok(())
    }

    async fn bring(&self, task: &Task<'_>, wanted: &Value) -> Result<(), Diagnostic> {
        let Some((etag, size)) = wanted_content(wanted)? else {
            return Err(wrong(
                "content",
                "an object holds a text or a file: name one",
            ));
        };
        let planned = text_at(wanted, "etag");
        if planned.is_some_and(|planned| planned != etag) {
            return Err(
                Diagnostic::error("other-content", "a file is not what was planned")
                    .detail("it has changed since the plan")
                    .path(AttributePath::of("source"))
                    .help("plan again"),
            );
        }
        let has = look(task, wanted).await?;
        match has {
            Some(has) if text_at(&has, "etag").as_ref() == Some(&etag) => {
                describe(task, &has, wanted).await
            }
            _ => send(task, wanted, &etag, size).await,
        }
    }

    async fn remove(&self, task: &Task<'_>, prior: &Value) -> Result<(), Diagnostic> {
        let title = format!("delete the object `{}`", id_of(prior));
        let removed = task
            .change(
                &title,
                Service::ObjectStore,
                Verb::Delete,
                &path(prior),
                &Json::Null,
            )
            .await;
        match removed {
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error.diagnostic("cannot delete an object")),
        }
    }

    /// Its content was the same before; what was said of it comes back.
    async fn put_back(
        &self,
        task: &Task<'_>,
        prior: &Value,
        earlier: &Value,
    ) -> Result<(), Diagnostic> {
        let Some(has) = look(task, prior).await? else {
            return Ok(());
        };
        // What somebody else has written meanwhile is no longer ours.
        if text_at(&has, "etag") != text_at(earlier, "etag") {
            return Ok(());
        }
        let earlier = earlier
            .with("container", prior.get("container"))
            .with("name", prior.get("name"));
        describe(task, &has, &earlier).await
    }
}

/// Says of an object what is wanted, where it says something else. What is left out of such a call is taken away.
async fn describe(task: &Task<'_>, has: &Value, wanted: &Value) -> Result<(), Diagnostic> {
    let is_left = wanted.get("content_type").is_null();
    let differs = |name: &&str| has.get(name) != wanted.get(name);
    let texts = ["content_encoding", "content_disposition"];
    let is_same = (is_left || has.get("content_type") == wanted.get("content_type"))
        && !texts.iter().any(differs)
        && metadata_in(has) == metadata_in(wanted);
    if is_same {
        return Ok(());
    }
    let title = format!("change what is said of the object `{}`", id_of(wanted));
    task.cx.begin(&title).await?;
    let told = task
        .cloud
        .session
        .tell(
            Service::ObjectStore,
            Verb::Post,
            &path(wanted),
            &headers(wanted),
        )
        .await;
    told.map_err(|error| error.diagnostic("cannot change an object"))
}

/// Sends the content, with all that is said of it. Swift compares the ETag, and keeps nothing of what arrived broken.
async fn send(task: &Task<'_>, wanted: &Value, etag: &str, size: u64) -> Result<(), Diagnostic> {
    let mut headers = headers(wanted);
    headers.push(("etag".into(), etag.to_owned()));
    if text_at(wanted, "content_type").is_none() {
        // By the name, as Swift does where nothing is said at all.
        headers.push(("x-detect-content-type".into(), "true".into()));
    }
    let id = id_of(wanted);
    task.cx
        .begin(&format!("write the object `{id}` ({size} bytes)"))
        .await?;
    let content = wanted.get("content");
    let body = match (content.as_str(), text_at(wanted, "source")) {
        (None, Some(source)) => {
            let opened = tokio::fs::File::open(&source).await;
            let opened = opened.map_err(|error| unreadable(&source, &error))?;
            reqwest::Body::wrap_stream(ReaderStream::with_capacity(opened, 256 * 1024))
        }
        (content, _) => reqwest::Body::from(content.unwrap_or_default().to_owned()),
    };
    let path = path(wanted);
    let session = &task.cloud.session;
    let upload = session.upload(Service::ObjectStore, &path, &headers, size, body, SENT);
    if size > WORTH_A_LINE {
        task.cx.waiting("the object to be sent", SENT);
    }
    tokio::pin!(upload);
    let sent = loop {
        tokio::select! {
            sent = &mut upload => break sent,
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                if task.cx.is_cancelled() {
                    return Err(Diagnostic::error("stopped", "stopped on request"));
                }
            }
        }
    };
    match sent {
        Ok(()) => Ok(()),
        Err(error) => {
            let has = look(task, wanted).await?;
            let has = has.and_then(|has| text_at(&has, "etag"));
            match error.is_unknown() && has.as_deref() == Some(etag) {
                true => Ok(()),
                false => {
                    let cannot = error.diagnostic("cannot write an object");
                    Err(match error.is_missing() {
                        true => cannot.help("its container is not there: make it with an `openstack_container`, and refer to its name"),
                        false => cannot,
                    })
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn content_is_known_by_its_etag() {
        let text = Value::object_of([("content", "hello".into())]);
        let wanted = Some(("5d41402abc4b2a76b9719d911017c592".to_owned(), 5));
        assert_eq!(wanted_content(&text).expect("a text"), wanted);
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "hello").expect("it is written");
        let file = |path: &Path| Value::object_of([("source", path.display().to_string().into())]);
        let there = folder.path().join("file");
        assert_eq!(wanted_content(&file(&there)).expect("a file"), wanted);
        assert!(wanted_content(&file(&folder.path().join("none"))).is_err());
        assert_eq!(
            wanted_content(&Value::object_of([])).expect("nothing"),
            None
        );
    }

    #[test]
    fn an_object_is_read_from_its_headers() {
        let headers = json!({ "etag": "\"5d41\"", "content-length": "5", "content-type": "text/plain", "x-object-meta-a": "1" });
        let value = attributes(&Value::object_of([]), &headers);
        assert_eq!(value.get("etag"), "5d41".into());
        assert_eq!(value.get("size_bytes"), 5.into());
        assert_eq!(value.get("content_type"), "text/plain".into());
        assert!(value.get("content_encoding").is_null());
    }

    #[test]
    fn a_slash_is_part_of_a_name() {
        let value = Value::object_of([("container", "a b".into()), ("name", "c/d".into())]);
        assert_eq!(path(&value), "/a%20b/c%2Fd");
        assert_eq!(id_of(&value), "a b/c/d");
    }
}
