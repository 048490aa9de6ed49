//! Making, changing and removing a server. Each begins by looking what is there, and does what is still to be done, so that it
//! may be begun again at any point.

use std::time::{Duration, Instant};

use dmp_sdk::{Diagnostic, Value, Verb as Work};
use serde_json::{Value as Json, json};

use super::{path, read, wanted};
use crate::marked;
use crate::object::{State, Task, wait_for};
use crate::session::{ApiError, Listing, Pauses, Service, Verb};
use crate::values::{text, text_at, texts_at};

pub(super) async fn carry_out(task: &Task<'_>) -> Result<(), Diagnostic> {
    let work = ServerWork { task };
    match task.job.verb {
        Work::Create => {
            let wanted = task.job.wanted()?;
            let id = match work.present().await? {
                Some(server) => text(&server, "id").unwrap_or_default(),
                None => work.make(wanted).await?,
            };
            work.bring(&id, wanted).await
        }
        Work::Update => {
            let wanted = task.job.wanted()?;
            let server = work.present().await?.ok_or_else(|| {
                Diagnostic::remote("gone", "cannot change a server").cause("it is gone")
            })?;
            work.bring(&text(&server, "id").unwrap_or_default(), wanted)
                .await
        }
        Work::Delete | Work::Leave => work.remove().await,
    }
}

/// One piece of work on one server.
pub(super) struct ServerWork<'a> {
    pub task: &'a Task<'a>,
}

impl ServerWork<'_> {
    pub(super) fn name(&self) -> String {
        let value = self.task.job.wanted.or(self.task.job.prior);
        let name = value.and_then(|value| text_at(value, "name"));
        format!("the server `{}`", name.unwrap_or_default())
    }

    pub(super) async fn look(&self, id: &str) -> Result<Option<Json>, ApiError> {
        let found = self
            .task
            .look(Service::Compute, &path(id), "server")
            .await?;
        Ok(found.filter(|server| !read::is_deleted(server)))
    }

    async fn present(&self) -> Result<Option<Json>, Diagnostic> {
        match self.task.job.id {
            Some(id) => {
                let found = self.look(id).await;
                found.map_err(|error| error.diagnostic("cannot read a server"))
            }
            None => Ok(None),
        }
    }

    async fn make(&self, wanted: &Value) -> Result<String, Diagnostic> {
        let task = self.task;
        let flavor = self.flavor(wanted).await?;
        let body = wanted::body(wanted, task.job.chosen, task.job.mark, &flavor);
        let title = format!("create {}", self.name());
        let made = task
            .change(&title, Service::Compute, Verb::Post, "/servers", &body)
            .await;
        let made = match made {
            Ok(answer) => answer["server"].clone(),
            Err(error) if error.is_unknown() => self.appears(&error).await?,
            Err(error) => return Err(error.diagnostic("cannot create a server")),
        };
        let id = text(&made, "id").ok_or_else(|| {
            ApiError::NotUnderstood("a server was made and has no id".into())
                .diagnostic("cannot create a server")
        })?;
        task.cx.record_id(&id).await?;
        Ok(id)
    }

    /// A call whose answer was lost may have been carried out: the server is looked for by its mark.
    async fn appears(&self, error: &ApiError) -> Result<Json, Diagnostic> {
        let mark = Some(self.task.job.mark.to_string());
        let listing = Listing::of(Service::Compute, "/servers/detail", "servers");
        let until = Instant::now() + UNKNOWN;
        let mut pauses = Pauses::new();
        self.task
            .cx
            .waiting("whether the server came about", UNKNOWN);
        loop {
            // While Nova is away nothing is known.
            if let Ok(listed) = self.task.cloud.session.list(&listing).await {
                let is_it = |server: &Json| marked::in_metadata(&server["metadata"]) == mark;
                if let Some(found) = listed.into_iter().find(is_it) {
                    return Ok(found);
                }
            }
            if self.task.cx.is_cancelled() || !pauses.wait(until, None).await {
                return Err(error.diagnostic("cannot create a server"));
            }
        }
    }

    /// The id of the flavor that is named.
    pub(super) async fn flavor(&self, wanted: &Value) -> Result<String, Diagnostic> {
        let named = text_at(wanted, "flavor").unwrap_or_default();
        let listing = Listing::of(Service::Compute, "/flavors/detail", "flavors");
        let flavors = self.task.cloud.session.list(&listing).await;
        let flavors = flavors.map_err(|error| error.diagnostic("cannot list flavors"))?;
        let by = |member: &str| {
            flavors
                .iter()
                .find(|one| text(one, member).as_ref() == Some(&named))
        };
        let found = by("id")
            .or_else(|| by("name"))
            .and_then(|one| text(one, "id"));
        found.ok_or_else(|| {
            let names: Vec<String> = flavors.iter().filter_map(|one| text(one, "name")).collect();
            Diagnostic::error("no-flavor", "no such flavor")
                .detail(format!("the cloud has no flavor `{named}`"))
                .path(dmp_sdk::AttributePath::of("flavor"))
                .help(format!("there are: {}", names.join(", ")))
        })
    }

    /// Waits until nothing is under way. One that waits for its new size to be confirmed is settled too.
    pub(super) async fn settled(
        &self,
        id: &str,
        what: &str,
        within: Duration,
    ) -> Result<Json, ApiError> {
        wait_for(self.task.cx, what, within, || async move {
            let Some(server) = self.look(id).await? else {
                let gone = Diagnostic::remote("gone", "the server went while it was waited for");
                return Err(ApiError::Ended(Box::new(gone)));
            };
            let status = text(&server, "status").unwrap_or_default();
            let is_busy = text(&server, "OS-EXT-STS:task_state").is_some();
            Ok(match read::state(&server) {
                State::Failed(_) => Some(server),
                State::UnderWay(_) if status == "VERIFY_RESIZE" && !is_busy => Some(server),
                State::Ready if !is_busy => Some(server),
                _ => None,
            })
        })
        .await
    }

    pub(super) async fn ready(&self, id: &str, what: &str) -> Result<Json, Diagnostic> {
        let server = self.settled(id, what, READY).await;
        let server = server.map_err(|error| error.diagnostic("cannot wait for a server"))?;
        match read::state(&server) {
            State::Failed(why) => Err(Diagnostic::remote("failed", "a server has failed")
                .cause(why)
                .help("mend the cause; the next plan proposes to replace it")),
            _ => Ok(server),
        }
    }

    /// Brings a server that is there into the wanted form.
    async fn bring(&self, id: &str, wanted: &Value) -> Result<(), Diagnostic> {
        let server = self
            .ready(id, &format!("{} to be made", self.name()))
            .await?;
        let server = self.finish_resize(id, server, wanted).await?;
        self.describe(id, &server, wanted).await?;
        self.set_metadata(id, &server, wanted).await?;
        self.set_tags(id, &server, wanted).await?;
        self.set_plugs(id, wanted).await?;
        self.set_groups(id, wanted).await?;
        let server = self.resize(id, server, wanted).await?;
        // The new size may be what the new image needs.
        let server = self.rebuild(id, server, wanted).await?;
        self.set_power(id, server, wanted).await
    }

    async fn write(
        &self,
        title: &str,
        verb: Verb,
        path: &str,
        body: &Json,
        cannot: &str,
    ) -> Result<(), Diagnostic> {
        let written = self
            .task
            .change(title, Service::Compute, verb, path, body)
            .await;
        written.map(drop).map_err(|error| error.diagnostic(cannot))
    }

    async fn describe(&self, id: &str, server: &Json, wanted: &Value) -> Result<(), Diagnostic> {
        let mut body = serde_json::Map::new();
        for name in ["name", "description"] {
            let (has, wants) = (text(server, name), text_at(wanted, name));
            if has != wants {
                body.insert(name.to_owned(), json!(wants));
            }
        }
        if body.is_empty() {
            return Ok(());
        }
        let title = format!("rename or describe {}", self.name());
        self.write(
            &title,
            Verb::Put,
            &path(id),
            &json!({ "server": body }),
            "cannot change a server",
        )
        .await
    }

    async fn set_metadata(
        &self,
        id: &str,
        server: &Json,
        wanted: &Value,
    ) -> Result<(), Diagnostic> {
        let metadata = wanted::metadata(wanted, self.task.job.mark);
        if server["metadata"] == metadata {
            return Ok(());
        }
        let title = format!("set the metadata of {}", self.name());
        let path = format!("{}/metadata", path(id));
        self.write(
            &title,
            Verb::Put,
            &path,
            &json!({ "metadata": metadata }),
            "cannot set a server's metadata",
        )
        .await
    }

    async fn set_tags(&self, id: &str, server: &Json, wanted: &Value) -> Result<(), Diagnostic> {
        let mut has: Vec<&str> = crate::values::items(&server["tags"])
            .iter()
            .filter_map(Json::as_str)
            .collect();
        let wants = texts_at(wanted, "tags");
        has.sort_unstable();
        if has == wants.iter().map(String::as_str).collect::<Vec<_>>() {
            return Ok(());
        }
        let title = format!("tag {}", self.name());
        let path = format!("{}/tags", path(id));
        self.write(
            &title,
            Verb::Put,
            &path,
            &json!({ "tags": wants }),
            "cannot tag a server",
        )
        .await
    }

    /// Does an action, once nothing else is under way. `begin` names it on the screen.
    pub(super) async fn act(&self, id: &str, title: &str, body: &Json) -> Result<(), ApiError> {
        let begun = self.task.cx.begin(title).await;
        begun.map_err(|stopped| ApiError::Ended(Box::new(stopped)))?;
        let path = format!("{}/action", path(id));
        let until = Instant::now() + BUSY;
        let mut pauses = Pauses::new();
        loop {
            let done = self
                .task
                .cloud
                .session
                .write(Service::Compute, Verb::Post, &path, body)
                .await;
            match done {
                Ok(_) => return Ok(()),
                Err(error) if is_busy(&error) => {
                    self.task.cx.waiting("the server to be free", BUSY);
                    if self.task.cx.is_cancelled() || !pauses.wait(until, None).await {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn remove(&self) -> Result<(), Diagnostic> {
        let Some(server) = self.present().await? else {
            return Ok(());
        };
        let id = text(&server, "id").unwrap_or_default();
        let failed = |error: ApiError| error.diagnostic("cannot delete a server");
        self.task
            .cx
            .begin(&format!("delete {}", self.name()))
            .await?;
        let until = Instant::now() + BUSY;
        let mut pauses = Pauses::new();
        loop {
            let deleted = self
                .task
                .cloud
                .session
                .write(Service::Compute, Verb::Delete, &path(&id), &Json::Null)
                .await;
            match deleted {
                Ok(_) => break,
                Err(error) if error.is_missing() => return Ok(()),
                Err(error) if is_busy(&error) => {
                    self.task.cx.waiting("the server to be free", BUSY);
                    if self.task.cx.is_cancelled() || !pauses.wait(until, None).await {
                        return Err(failed(error));
                    }
                }
                Err(error) => return Err(failed(error)),
            }
        }
        let (what, id) = (format!("{} to be gone", self.name()), &id);
        let gone = wait_for(self.task.cx, &what, GONE, || async move {
            Ok(match self.look(id).await? {
                None => Some(()),
                Some(_) => None,
            })
        });
        gone.await.map_err(failed)
    }
}

/// Whether something else is under way, which passes. A lock that somebody has put on it does not.
fn is_busy(error: &ApiError) -> bool {
    error.is_conflict()
        && error
            .refusal()
            .is_some_and(|refusal| refusal.says(&["task_state"]) && !refusal.says(&["is locked"]))
}

/// How long a server takes at most to be made or to change.
pub(super) const READY: Duration = Duration::from_secs(1800);
const GONE: Duration = Duration::from_secs(900);
const BUSY: Duration = Duration::from_secs(180);
const UNKNOWN: Duration = Duration::from_secs(60);
