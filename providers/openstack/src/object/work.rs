//! Writing: one call makes the object and carries its mark; its id is recorded before anything is waited for. An update asks
//! first what is there, and sends only what differs, so that it may be begun again.

use std::time::{Duration, Instant};

use dmp_sdk::{Cx, Diagnostic, Job, Value, Verb};
use serde_json::{Map, Value as Json, json};

use super::{Kind, Model, Objects, Place, Sent, State, Unset};
use crate::cloud::Cloud;
use crate::marked::{self, describe};
use crate::session::{self, ApiError, Listing, Pauses};
use crate::values::{json_of, text_at, texts_at};

/// One piece of work on one object.
pub(crate) struct Task<'a> {
    /// What it may do besides calling.
    pub cx: &'a dyn Cx,
    /// What is to be done.
    pub job: &'a Job<'a>,
    /// Where.
    pub cloud: &'a Cloud,
}

impl Task<'_> {
    /// Writes, as a change that is named on the screen.
    pub(crate) async fn change(
        &self,
        title: &str,
        service: session::Service,
        verb: session::Verb,
        path: &str,
        body: &Json,
    ) -> Result<Json, ApiError> {
        let begun = self.cx.begin(title).await;
        begun.map_err(ended)?;
        self.cloud.session.write(service, verb, path, body).await
    }

    /// An object as it is, by the member of the answer that has it.
    pub(crate) async fn look(
        &self,
        service: session::Service,
        path: &str,
        one: &str,
    ) -> Result<Option<Json>, ApiError> {
        let found = self.cloud.session.look(service, path).await?;
        Ok(found.map(
            |mut found| match found.get(one).is_some_and(Json::is_object) {
                true => found[one].take(),
                false => found,
            },
        ))
    }
}

/// Waits until something has come about; `look` says `None` as long as it has not. It ends when the person asks to stop.
pub(crate) async fn wait_for<T, F>(
    cx: &dyn Cx,
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> F,
) -> Result<T, ApiError>
where
    F: Future<Output = Result<Option<T>, ApiError>>,
{
    let begun = Instant::now();
    let mut has_said = false;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if !has_said {
            cx.waiting(what, within);
            has_said = true;
        }
        if cx.is_cancelled() {
            let stopped = Diagnostic::error("stopped", "stopped on request");
            return Err(ApiError::Ended(Box::new(stopped)));
        }
        if begun.elapsed() >= within {
            let slow = Diagnostic::remote("too-slow", "it did not come about in time")
                .detail(format!("{what}: not within {} s", within.as_secs()))
                .help("it may still go on there; run it again later");
            return Err(ApiError::Ended(Box::new(slow)));
        }
        let pause = (begun.elapsed() / 8).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        tokio::time::sleep(pause).await;
    }
}

const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(1500);
/// How long an object takes at most to be ready.
const READY: Duration = Duration::from_secs(1800);
/// How long one takes at most to go.
const GONE: Duration = Duration::from_secs(900);
/// How long it is looked whether something came about that was not answered for.
const UNKNOWN: Duration = Duration::from_secs(45);
/// How long it is waited for something that is changing, so that what is part of it can't.
const BUSY: Duration = Duration::from_secs(900);
/// How long it is waited for what still needs an object that goes.
const IN_USE: Duration = Duration::from_secs(60);

impl<M: Model> Objects<M> {
    fn kind(&self) -> &'static Kind {
        self.model.kind()
    }

    /// The path of an object, by its recorded id.
    fn path(&self, id: &str) -> Result<String, ApiError> {
        let path = self.kind().path_of(id);
        path.ok_or_else(|| ApiError::NotUnderstood(format!("`{id}` does not say where it is")))
    }

    fn named(&self, value: &Value) -> String {
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

    fn cannot(&self, verb: &str, error: &ApiError) -> Diagnostic {
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
    async fn present(&self, task: &Task<'_>) -> Result<Option<Json>, ApiError> {
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

    /// Sends to an object; see [`Objects::send`].
    async fn send_to(
        &self,
        task: &Task<'_>,
        title: &str,
        verb: session::Verb,
        id: &str,
        body: &Json,
    ) -> Result<Json, ApiError> {
        let path = self.path(id)?;
        self.send(task, title, verb, &path, body).await
    }

    /// Sends, as a change that is named on the screen.
    async fn send(
        &self,
        task: &Task<'_>,
        title: &str,
        verb: session::Verb,
        path: &str,
        body: &Json,
    ) -> Result<Json, ApiError> {
        task.cx.begin(title).await.map_err(ended)?;
        self.deliver(task, verb, path, body).await
    }

    /// Sends. Where it is refused because something else is just changing, that is waited for, and it is sent again.
    async fn deliver(
        &self,
        task: &Task<'_>,
        verb: session::Verb,
        path: &str,
        body: &Json,
    ) -> Result<Json, ApiError> {
        let service = self.kind().service;
        let until = Instant::now() + BUSY;
        loop {
            let error = match task.cloud.session.write(service, verb, path, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let busy = error.refusal().and_then(|refused| self.model.busy(refused));
            let Some((path, one)) = busy.filter(|_| Instant::now() < until) else {
                return Err(error);
            };
            self.settled(task, &path, one).await?;
        }
    }

    /// Waits until something else changes no longer.
    async fn settled(
        &self,
        task: &Task<'_>,
        path: &str,
        one: &'static str,
    ) -> Result<(), ApiError> {
        let service = self.kind().service;
        let what = format!("`{path}` to change no longer");
        let state = wait_for(task.cx, &what, BUSY, || async move {
            let found = task.look(service, path, one).await?;
            Ok(match found.map(|found| self.model.state(&found)) {
                Some(State::UnderWay(_)) => None,
                state => Some(state),
            })
        });
        match state.await? {
            Some(State::Failed(why)) => {
                let failed = Diagnostic::remote("failed", format!("`{path}` takes no change"));
                Err(ended(failed.cause(why).help(
                    "mend it, or let the next plan replace it; what is part of it can't change before",
                )))
            }
            // It may have begun something else at once.
            _ => {
                tokio::time::sleep(SHORTEST_PAUSE).await;
                Ok(())
            }
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

    async fn delete(&self, task: &Task<'_>) -> Result<(), Diagnostic> {
        let kind = self.kind();
        let Some(id) = task.job.id else {
            return Ok(());
        };
        let found = self
            .present(task)
            .await
            .map_err(|error| self.cannot("read", &error))?;
        if found.is_none() {
            return Ok(());
        }
        let title = format!("delete {}", self.named(task.job.prior()?));
        let path = self
            .path(id)
            .map_err(|error| self.cannot("delete", &error))?;
        task.cx.begin(&title).await?;
        let until = Instant::now() + IN_USE;
        let mut pauses = Pauses::new();
        loop {
            let removing = self.model.removing(task.job.prior()?, kind.spot(id).id);
            let deleted = match &removing {
                Some((path, body)) => self.deliver(task, session::Verb::Post, path, body).await,
                None => {
                    self.deliver(task, session::Verb::Delete, &path, &Json::Null)
                        .await
                }
            };
            match deleted {
                Ok(_) => break,
                Err(error) if error.is_missing() => return Ok(()),
                Err(error) if is_in_use(&error) => {
                    let what = format!("{} to be free", self.named(task.job.prior()?));
                    task.cx.waiting(&what, IN_USE);
                    if task.cx.is_cancelled() || !pauses.wait(until, None).await {
                        let blockers = self.model.blockers(task, id).await;
                        let cannot = self.cannot("delete", &error);
                        return Err(match blockers.is_empty() {
                            true => cannot,
                            false => cannot
                                .help(format!("it is still needed by {}", blockers.join(", "))),
                        });
                    }
                }
                Err(error) => return Err(self.cannot("delete", &error)),
            }
        }
        let what = format!("{} to be gone", self.named(task.job.prior()?));
        let path = &path;
        let gone = wait_for(task.cx, &what, GONE, || async move {
            let found = task.look(kind.service, path, kind.one).await?;
            let Some(found) = found else {
                return Ok(Some(Ok(())));
            };
            let status = crate::values::text(&found, "status")
                .unwrap_or_default()
                .to_ascii_lowercase();
            Ok(match status.as_str() {
                "deleted" => Some(Ok(())),
                _ if self.model.is_stuck(&found) => Some(Err(self.model.state(&found))),
                _ => None,
            })
        });
        match gone.await.map_err(|error| self.cannot("delete", &error))? {
            Ok(()) => Ok(()),
            Err(state) => {
                let why = match state {
                    State::Failed(why) | State::UnderWay(why) => why,
                    State::Ready => "it is still there".into(),
                };
                Err(Diagnostic::remote(
                    "failed",
                    format!("cannot delete {} {}", article(kind.noun), kind.noun),
                )
                .cause(why))
            }
        }
    }
}

/// A call that was not sent, or is waited for no longer.
fn ended(why: Diagnostic) -> ApiError {
    ApiError::Ended(Box::new(why))
}

/// Whether a delete is refused because something else still needs the object, which may pass.
fn is_in_use(error: &ApiError) -> bool {
    error.is_conflict()
        || error.refusal().is_some_and(|refusal| {
            refusal.status == 400
                && refusal.says(&[
                    "status must be",
                    "attached",
                    "in-use",
                    "in use",
                    "has children",
                ])
        })
}

/// Glance takes the object itself; all others under its name.
fn wrapped(one: &str, body: Json) -> Json {
    match one.is_empty() {
        true => body,
        false => json!({ one: body }),
    }
}

fn article(noun: &str) -> &'static str {
    match noun.starts_with(['a', 'e', 'i', 'o']) {
        true => "an",
        false => "a",
    }
}
