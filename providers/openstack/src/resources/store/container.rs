//! `openstack_container`: a container of Swift.

use std::time::Duration;

use dmp_sdk::{Attribute, Change, Diagnostic, Effect, Layer, MarkWay, Schema, Type, Value};
use serde_json::Value as Json;

use super::{as_value, check_metadata, header, metadata_in, metadata_of, said};
use crate::cloud::{Question, found};
use crate::object::{Keyed, Seen, State, Task};
use crate::session::{ApiError, Headers, Pauses, Service, Verb};
use crate::values::{items, segment, text, text_at, wrong};

/// The model.
pub(crate) struct Container;

const PREFIX: &str = "x-container-meta-";
/// How long it is waited for objects to leave the listing.
const EMPTY: Duration = Duration::from_secs(20);
/// How many objects are asked for at once.
const PAGE: usize = 1000;

fn path(name: &str) -> String {
    format!("/{}", segment(name))
}

fn name_of(value: &Value) -> String {
    text_at(value, "name").unwrap_or_default()
}

/// Why a name can't be one of a container.
fn name_fault(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("a container has a name"),
        "." | ".." => Some("it is read as a path"),
        _ if name.contains('/') => Some("a `/` ends the name of a container"),
        _ if name.len() > 256 => Some("it is longer than 256 bytes"),
        _ => None,
    }
}

/// The headers that bring a container from what it has to what is wanted. An empty one takes away.
fn headers(has: &Value, wanted: &Value) -> Headers {
    let mut headers = Headers::new();
    for (name, attribute) in ACCESS {
        if has.get(attribute) != wanted.get(attribute) {
            let text = text_at(wanted, attribute).unwrap_or_default();
            said(&mut headers, name, Some(text));
        }
    }
    let (before, after) = (metadata_in(has), metadata_in(wanted));
    for (name, text) in &after {
        if before.get(name) != Some(text) {
            said(&mut headers, &format!("{PREFIX}{name}"), Some(text.clone()));
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        said(
            &mut headers,
            &format!("{PREFIX}{name}"),
            Some(String::new()),
        );
    }
    headers
}

/// Who may read and write.
const ACCESS: [(&str, &str); 2] = [
    ("x-container-read", "container_read"),
    ("x-container-write", "container_write"),
];

/// What headers say of a container.
fn attributes(known: &Value, headers: &Json) -> Value {
    let mut value = known
        .with("metadata", as_value(metadata_of(headers, PREFIX), known))
        .with("storage_policy", header(headers, "x-storage-policy"));
    for (name, attribute) in ACCESS {
        value = value.with(attribute, header(headers, name));
    }
    value
}

async fn look(task: &Task<'_>, name: &str) -> Result<Option<Value>, Diagnostic> {
    let session = &task.cloud.session;
    let headers = session.headers(Service::ObjectStore, &path(name)).await;
    let headers = headers.map_err(|error| error.diagnostic("cannot read a container"))?;
    Ok(headers.map(|headers| attributes(&Value::object_of([]), &headers)))
}

/// Tells a container something; an empty list makes it as it is.
async fn tell(
    task: &Task<'_>,
    name: &str,
    title: &str,
    headers: &Headers,
) -> Result<(), Diagnostic> {
    task.cx.begin(title).await?;
    let session = &task.cloud.session;
    let told = session
        .tell(Service::ObjectStore, Verb::Put, &path(name), headers)
        .await;
    told.map_err(|error| error.diagnostic("cannot set up a container"))
}

/// Removes all objects, page by page. What is gone meanwhile is gone.
async fn empty(task: &Task<'_>, name: &str) -> Result<(), ApiError> {
    let session = &task.cloud.session;
    let mut marker = String::new();
    loop {
        let page = format!(
            "{}?format=json&limit={PAGE}&marker={}",
            path(name),
            segment(&marker)
        );
        let Some(listed) = session.look(Service::ObjectStore, &page).await? else {
            return Ok(());
        };
        let names: Vec<String> = items(&listed)
            .iter()
            .filter_map(|object| text(object, "name"))
            .collect();
        let Some(last) = names.last() else {
            return Ok(());
        };
        marker.clone_from(last);
        for object in &names {
            if task.cx.is_cancelled() {
                let stopped = Diagnostic::error("stopped", "stopped on request");
                return Err(ApiError::Ended(Box::new(stopped)));
            }
            let path = format!("{}/{}", path(name), segment(object));
            let removed = session
                .write(Service::ObjectStore, Verb::Delete, &path, &Json::Null)
                .await;
            match removed {
                Ok(_) => {}
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait::async_trait]
impl Keyed for Container {
    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc);
        Schema::new("openstack_container", "A container of Swift, which holds objects. Each is read on its own: Swift has no listing that shows all of a container.")
            .layer(Layer::Storage)
            .mark(MarkWay::NaturalKey(&["name"]))
            .on_delete("The container is removed, which Swift refuses while it has objects; with `force_destroy` they go first, and their data is gone.")
            .counterpart("openstack_objectstorage_container_v1", &["{name}"])
            .attribute("name", Attribute::required(Type::String, "Its name.").replaces().unique())
            .attribute("metadata", Attribute::optional(Type::map(Type::String), "Names in lower case and texts about it. `quota-bytes` and `quota-count` bound what it takes, `web-index` and others are for Swift's web pages."))
            .attribute("container_read", text("Who may read it beside its project: `.r:*,.rlistings` for everybody, `PROJECT:USER` and others."))
            .attribute("container_write", text("Who may write to it beside its project."))
            .attribute("storage_policy", Attribute::optional_computed(Type::String, "How its objects are kept, by the name of Swift's policy.").replaces())
            .attribute("force_destroy", Attribute::default(Type::Bool, "Whether a delete removes the objects in it, whoever has put them there.", false))
            .attribute("project_id", Attribute::computed(Type::String, "The project that it is in."))
    }

    fn questions(&self, value: &Value, _alone: bool) -> Vec<Question> {
        vec![Question::Headers {
            service: Service::ObjectStore,
            path: path(&name_of(value)),
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
        let force = match known.get("force_destroy").is_null() {
            true => false.into(),
            false => known.get("force_destroy"),
        };
        let value = attributes(known, headers)
            .with("force_destroy", force)
            .with("project_id", text(answer, "project").into());
        Ok(Some(Seen {
            attributes: value,
            id: name_of(known),
            state: State::Ready,
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let planned = &change.planned;
        if planned.get("name").is_known()
            && let Some(fault) = name_fault(&name_of(planned))
        {
            return Err(wrong("name", fault));
        }
        check_metadata(planned)?;
        if let (None, Some(earlier)) = (change.prior, change.earlier) {
            let (has, wants) = (
                text_at(earlier, "storage_policy"),
                text_at(&change.planned, "storage_policy"),
            );
            if let Some((has, wants)) = has.zip(wants).filter(|(has, wants)| has != wants) {
                return Err(wrong(
                    "storage_policy",
                    format!(
                        "the container is there already, and keeps its objects by `{has}` and not by `{wants}`: import it, or take another name"
                    ),
                ));
            }
            change.note("it is there already: a delete leaves it, as it was");
        }
        Ok(())
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        match prior.get("force_destroy").as_bool() {
            Some(true) => (
                Vec::new(),
                vec!["all objects in it are removed too, whoever has put them there".into()],
            ),
            _ => (Vec::new(), Vec::new()),
        }
    }

    async fn bring(&self, task: &Task<'_>, wanted: &Value) -> Result<(), Diagnostic> {
        let name = name_of(wanted);
        match look(task, &name).await? {
            None => {
                let mut headers = headers(&Value::object_of([]), wanted);
                said(
                    &mut headers,
                    "x-storage-policy",
                    text_at(wanted, "storage_policy"),
                );
                let title = format!("create the container `{name}`");
                tell(task, &name, &title, &headers).await
            }
            Some(has) => {
                let headers = headers(&has, wanted);
                match headers.is_empty() {
                    true => Ok(()),
                    false => {
                        let title = format!("change the container `{name}`");
                        tell(task, &name, &title, &headers).await
                    }
                }
            }
        }
    }

    async fn remove(&self, task: &Task<'_>, prior: &Value) -> Result<(), Diagnostic> {
        let name = name_of(prior);
        let with_objects = prior.get("force_destroy").as_bool() == Some(true);
        if look(task, &name).await?.is_none() {
            return Ok(());
        }
        task.cx
            .begin(&format!("delete the container `{name}`"))
            .await?;
        let until = std::time::Instant::now() + EMPTY;
        let mut pauses = Pauses::new();
        loop {
            let cannot = |error: &ApiError| error.diagnostic("cannot delete a container");
            if with_objects {
                task.cx.waiting("the objects in it to be removed", EMPTY);
                let emptied = empty(task, &name).await;
                emptied.map_err(|error| cannot(&error))?;
            }
            let removed = task
                .cloud
                .session
                .write(
                    Service::ObjectStore,
                    Verb::Delete,
                    &path(&name),
                    &Json::Null,
                )
                .await;
            let error = match removed {
                Ok(_) => return Ok(()),
                Err(error) if error.is_missing() => return Ok(()),
                Err(error) if !error.is_conflict() => return Err(cannot(&error)),
                Err(error) => error,
            };
            // A listing follows what has just been removed a little later.
            task.cx.waiting("the container to be empty", EMPTY);
            if task.cx.is_cancelled() || !pauses.wait(until, None).await {
                return Err(cannot(&error)
                    .help("it has objects: remove them, or apply `force_destroy = true` first"));
            }
        }
    }

    async fn put_back(
        &self,
        task: &Task<'_>,
        prior: &Value,
        earlier: &Value,
    ) -> Result<(), Diagnostic> {
        let name = name_of(prior);
        let Some(has) = look(task, &name).await? else {
            return Ok(());
        };
        let headers = headers(&has, earlier);
        match headers.is_empty() {
            true => Ok(()),
            false => {
                let title = format!("put the container `{name}` back as it was");
                tell(task, &name, &title, &headers).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container(read: Value, metadata: &[(&str, &str)]) -> Value {
        let metadata = metadata.iter();
        let metadata = metadata.map(|(name, text)| ((*name).into(), Value::from(*text)));
        Value::object_of([
            ("container_read", read),
            ("metadata", Value::map(metadata.collect())),
        ])
    }

    #[test]
    fn only_what_differs_is_told_and_what_is_no_longer_wanted_is_emptied() {
        let has = container(".r:*".into(), &[("a", "1"), ("b", "2")]);
        let wants = container(Value::null(), &[("b", "3")]);
        let told = headers(&has, &wants);
        let told: Vec<(&str, &str)> = told
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("x-container-read", ""),
                ("x-container-meta-b", "3"),
                ("x-container-meta-a", "")
            ]
        );
        assert!(headers(&has, &has).is_empty());
    }

    #[test]
    fn a_container_is_read_from_its_headers() {
        let headers = json!({ "x-container-read": ".r:*", "x-container-meta-a": "1", "x-storage-policy": "gold" });
        let value = attributes(&Value::object_of([]), &headers);
        assert_eq!(value.get("container_read"), ".r:*".into());
        assert!(value.get("container_write").is_null());
        assert_eq!(value.get("storage_policy"), "gold".into());
    }

    #[test]
    fn names_have_no_slash() {
        assert_eq!(name_fault("a b"), None);
        assert!(name_fault("a/b").is_some() && name_fault("").is_some());
    }
}
