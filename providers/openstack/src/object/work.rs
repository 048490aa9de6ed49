//! Writing: one call makes the object and carries its mark; its id is recorded before anything is waited for. An update asks
//! first what is there, and sends only what differs, so that it may be begun again.

use std::time::{Duration, Instant};

use dmp_sdk::{Diagnostic, Value, Verb};
use serde_json::{Map, Value as Json, json};

use super::{Kind, Model, Objects, Place, Sent, State, Task, Unset, wait_for};
use crate::marked::{self, describe};
use crate::session::{self, ApiError, Listing, Pauses};
use crate::values::{json_of, text_at, texts_at};

/// How long an object takes at most to be ready.
const READY: Duration = Duration::from_secs(1800);
/// How long it is looked whether something came about that was not answered for.
const UNKNOWN: Duration = Duration::from_secs(45);

impl<M: Model> Objects<M> {
    pub(super) fn kind(&self) -> &'static Kind {
        self.model.kind()
    }

    /// The path of an object, by its recorded id.
    pub(super) fn path(&self, id: &str) -> Result<String, ApiError> {
        let path = self.kind().path_of(id);
        path.ok_or_else(|| ApiError::NotUnderstood(format!("`{id}` does not say where it is")))
    }

    pub(super) fn named(&self, value: &Value) -> String {
        let noun = self.kind().noun;
        match text_at(value, "name") {
            Some(name) => format!("the {noun} `{name}`"),
            None => format!("the {noun}"),
        }
    }

    pub(super) async fn carry_out(&self, task: &Task<'_>) -> Result<(), Diagnostic> {
        let noun = self.kind().noun;
        match task.job.verb {
            Verb::Create => {
                let wanted = task.job.wanted()?;
                match self
                    .present(task)
                    .await
                    .map_err(|error| self.cannot("read", &error))?
                {
                    Some(found) => self.update(task, found, wanted).await,
                    None => self.create(task, wanted).await,
                }
            }
            Verb::Update => {
                let wanted = task.job.wanted()?;
                let found = self
                    .present(task)
                    .await
                    .map_err(|error| self.cannot("read", &error))?;
                let found = found.ok_or_else(|| {
                    Diagnostic::remote("gone", format!("cannot change a {noun}"))
                        .cause("it is gone")
                })?;
                self.update(task, found, wanted).await
            }
            Verb::Delete | Verb::Leave => self.delete(task).await,
        }
    }

    pub(super) fn cannot(&self, verb: &str, error: &ApiError) -> Diagnostic {
        let noun = self.kind().noun;
        let diagnostic = error.diagnostic(&format!("cannot {verb} {} {noun}", article(noun)));
        let more = error
            .refusal()
            .and_then(|refused| self.model.explain(refused));
        match more {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }

    /// The object of the recorded id, if it is there.
    pub(super) async fn present(&self, task: &Task<'_>) -> Result<Option<Json>, ApiError> {
        match task.job.id {
            Some(id) => {
                let path = self.path(id)?;
                task.look(self.kind().service, &path, self.kind().one).await
            }
            None => Ok(None),
        }
    }

    async fn create(&self, task: &Task<'_>, wanted: &Value) -> Result<(), Diagnostic> {
        let kind = self.kind();
        let body = Json::Object(self.body(task, wanted));
        let title = format!("create {}", self.named(wanted));
        let parent = kind.parent_in(wanted);
        let (collection, name) = match self.model.making(wanted) {
            Some((path, name)) => (Some(path), name),
            None => (kind.collection_of(parent.as_deref()), kind.one),
        };
        let collection = collection.ok_or_else(|| {
            Diagnostic::bug(format!("what a {} is part of is not known", kind.noun))
        })?;
        let body = wrapped(name, body);
        let made = self
            .send(task, &title, session::Verb::Post, &collection, &body)
            .await;
        let made = match made {
            Ok(mut answer) => match answer.get(kind.one).is_some_and(Json::is_object) {
                true => answer[kind.one].take(),
                false => answer,
            },
            Err(error) if error.is_unknown() => self.appears(task, &error).await?,
            Err(error) => return Err(self.cannot("create", &error)),
        };
        let id = made["id"].as_str().ok_or_else(|| {
            self.cannot(
                "create",
                &ApiError::NotUnderstood("it was made and has no id".into()),
            )
        })?;
        let id = kind.recorded(parent.as_deref(), id);
        task.cx.record_id(&id).await?;
        self.finish(task, &id, wanted).await
    }

    /// A call whose answer was lost may have been carried out: the object is looked for by its mark.
    async fn appears(&self, task: &Task<'_>, error: &ApiError) -> Result<Json, Diagnostic> {
        let kind = self.kind();
        let mark = Some(task.job.mark.to_string());
        let parent = task.job.wanted.and_then(|wanted| kind.parent_in(wanted));
        let listing = kind.listing_of(parent.as_deref()).unwrap_or_default();
        let listing = Listing::of(kind.service, &listing, kind.many);
        let until = Instant::now() + UNKNOWN;
        let mut pauses = Pauses::new();
        task.cx.waiting("whether it came about", UNKNOWN);
        loop {
            // While the service is away nothing is known.
            if let Ok(listed) = task.cloud.session.list(&listing).await {
                let mut own: Vec<Json> = listed
                    .into_iter()
                    .filter(|item| self.mark_of(item) == mark)
                    .collect();
                if let Some(found) = own.pop() {
                    return Ok(found);
                }
            }
            if task.cx.is_cancelled() || !pauses.wait(until, None).await {
                return Err(self.cannot("create", error));
            }
        }
    }

    /// The creating call's body.
    fn body(&self, task: &Task<'_>, wanted: &Value) -> Map<String, Json> {
        let mut body = Map::new();
        for field in self.kind().fields {
            let value = wanted.get(field.attribute);
            if field.sent != Sent::Never && !value.is_null() {
                body.insert(field.member.to_owned(), json_of(&value));
            }
        }
        let (name, marked) = self.marked(task, wanted);
        body.insert(name.into(), marked);
        self.model.fill(wanted, &mut body);
        body
    }

    /// The member that carries the mark, with what is wanted of it.
    fn marked(&self, task: &Task<'_>, wanted: &Value) -> (&'static str, Json) {
        let described = |name| {
            let text = text_at(wanted, name);
            (name, json!(describe(text.as_deref(), task.job.mark)))
        };
        match self.kind().mark {
            Place::Description => described("description"),
            Place::Metadata => ("metadata", self.metadata(task, wanted)),
            Place::Name => described("name"),
            Place::Tags => {
                let mut tags = texts_at(wanted, "tags");
                tags.push(task.job.mark.to_string());
                ("tags", json!(tags))
            }
        }
    }

    fn metadata(&self, task: &Task<'_>, wanted: &Value) -> Json {
        let mut metadata = match json_of(&wanted.get("metadata")) {
            Json::Object(members) => members,
            _ => Map::new(),
        };
        metadata.insert(marked::KEY.into(), json!(task.job.mark.to_string()));
        Json::Object(metadata)
    }

    /// Sends what differs.
    async fn update(&self, task: &Task<'_>, found: Json, wanted: &Value) -> Result<(), Diagnostic> {
        let kind = self.kind();
        let id = task.job.id.unwrap_or_default().to_owned();
        // What is under way first comes to its end: some services take no change before.
        let found = match self.model.state(&found) {
            State::UnderWay(_) => self.ready(task, &id, wanted).await?,
            _ => found,
        };
        let now = self.attributes(wanted, &found);
        let mut body = Map::new();
        let changing = |field: &&super::Field| kind.changes && field.sent == Sent::Always;
        for field in kind.fields.iter().filter(changing) {
            let (has, wants) = (now.get(field.attribute), wanted.get(field.attribute));
            let declared = self.schema.attributes.get(field.attribute);
            let is_filled = declared.is_some_and(dmp_sdk::Attribute::is_computed);
            // What nobody has said anything about is the server's.
            let is_left =
                wants.is_null() && is_filled && !self.model.takes_away(wanted, field.attribute);
            if has != wants && !is_left {
                let sent = match (wants.is_null(), field.unset) {
                    (true, Unset::Null) => Json::Null,
                    (true, Unset::Text) => json!(""),
                    (true, Unset::List) => json!([]),
                    (true, Unset::Map) => json!({}),
                    (false, _) => json_of(&wants),
                };
                body.insert(field.member.to_owned(), sent);
            }
        }
        let is_marked = self.mark_of(&found) == Some(task.job.mark.to_string());
        let (name, marked) = self.marked(task, wanted);
        if kind.changes && (!is_marked || now.get(name) != wanted.get(name)) {
            if kind.metadata_apart {
                let title = format!("set the metadata of {}", self.named(wanted));
                let path = self
                    .path(&id)
                    .map_err(|error| self.cannot("change", &error))?;
                let path = format!("{path}/metadata");
                let body = json!({ "metadata": marked });
                let set = task
                    .change(&title, kind.service, session::Verb::Put, &path, &body)
                    .await;
                set.map_err(|error| self.cannot("change", &error))?;
            } else {
                body.insert(name.into(), marked);
            }
        }
        if !body.is_empty() {
            let title = format!("change {}", self.named(wanted));
            let body = wrapped(kind.one, Json::Object(body));
            let changed = self
                .send_to(task, &title, self.model.changes_by(), &id, &body)
                .await;
            changed.map_err(|error| self.cannot("change", &error))?;
        }
        self.finish(task, &id, wanted).await
    }

    /// Waits until it is ready, and does what only then can be done.
    async fn finish(&self, task: &Task<'_>, id: &str, wanted: &Value) -> Result<(), Diagnostic> {
        let found = self.ready(task, id, wanted).await?;
        self.set_tags(task, id, &found, wanted).await?;
        self.model.settle(task, id, &found, wanted).await
    }

    async fn ready(&self, task: &Task<'_>, id: &str, wanted: &Value) -> Result<Json, Diagnostic> {
        let what = format!("{} to be ready", self.named(wanted));
        let path = self.path(id).map_err(|error| self.cannot("read", &error))?;
        let path = &path;
        let looked = wait_for(task.cx, &what, READY, || async move {
            let found = task
                .look(self.kind().service, path, self.kind().one)
                .await?;
            let Some(found) = found else {
                return Err(ApiError::Ended(Box::new(
                    Diagnostic::remote("gone", "it went while it was waited for")
                        .detail(format!("`{id}`")),
                )));
            };
            Ok(match self.model.state(&found) {
                State::UnderWay(_) => None,
                _ => Some(found),
            })
        });
        let found = looked
            .await
            .map_err(|error| self.cannot("finish", &error))?;
        match self.model.state(&found) {
            State::Failed(why) => {
                let why = self.model.fault(task, id).await.unwrap_or(why);
                let noun = self.kind().noun;
                Err(
                    Diagnostic::remote("failed", format!("{} {noun} has failed", article(noun)))
                        .cause(why)
                        .help("mend the cause; the next plan proposes to replace it"),
                )
            }
            _ => Ok(found),
        }
    }

    async fn set_tags(
        &self,
        task: &Task<'_>,
        id: &str,
        found: &Json,
        wanted: &Value,
    ) -> Result<(), Diagnostic> {
        if !self.kind().has_tags {
            return Ok(());
        }
        let now = self.attributes(wanted, found).get("tags");
        if now == wanted.get("tags") {
            return Ok(());
        }
        let title = format!("tag {}", self.named(wanted));
        let path = self.path(id).map_err(|error| self.cannot("tag", &error))?;
        let path = format!("{path}/tags");
        let body = json!({ "tags": texts_at(wanted, "tags") });
        let set = task
            .change(
                &title,
                self.kind().service,
                session::Verb::Put,
                &path,
                &body,
            )
            .await;
        set.map(drop).map_err(|error| self.cannot("tag", &error))
    }
}

/// Glance takes the object itself; all others under its name.
fn wrapped(one: &str, body: Json) -> Json {
    match one.is_empty() {
        true => body,
        false => json!({ one: body }),
    }
}

pub(super) fn article(noun: &str) -> &'static str {
    match noun.starts_with(['a', 'e', 'i', 'o']) {
        true => "an",
        false => "a",
    }
}
