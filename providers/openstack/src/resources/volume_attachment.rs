//! `openstack_volume_attachment`: that a server has a volume.

use std::time::{Duration, Instant};

use dmp_sdk::{
    Attribute, Change, Diagnostic, Effect, Layer, MarkWay, Quantifier, Schema, Type, Value,
};
use serde_json::{Value as Json, json};

use crate::cloud::{Question, found};
use crate::object::{Keyed, Seen, State, Task, wait_for};
use crate::session::{ApiError, Pauses, Service, Verb};
use crate::values::{items, segment, text, text_at};

/// The model.
pub(crate) struct VolumeAttachment;

fn volume_path(id: &str) -> String {
    format!("/volumes/{}", segment(id))
}

fn server_path(id: &str) -> String {
    format!("/servers/{}", segment(id))
}

/// The volume's own word on its attachment to a server.
fn attachment<'a>(volume: &'a Json, server: &str) -> Option<&'a Json> {
    let mut all = items(&volume["attachments"]).iter();
    all.find(|one| one["server_id"] == server)
}

/// Whether the server has it among its volumes, and whether it goes with the server.
fn at_server(server: &Json, volume: &str) -> Option<bool> {
    let mut all = items(&server["os-extended-volumes:volumes_attached"]).iter();
    let one = all.find(|one| one["id"] == volume)?;
    Some(one["delete_on_termination"].as_bool().unwrap_or(false))
}

struct Ends {
    server: String,
    volume: String,
}

impl Ends {
    fn of(value: &Value) -> Self {
        Self {
            server: text_at(value, "server_id").unwrap_or_default(),
            volume: text_at(value, "volume_id").unwrap_or_default(),
        }
    }

    fn path(&self) -> String {
        format!("{}/os-volume_attachments", server_path(&self.server))
    }

    fn own_path(&self) -> String {
        format!("{}/{}", self.path(), segment(&self.volume))
    }

    /// Whether one of them says that the server has the volume.
    fn are_tied(&self, volume: Option<&Json>, server: Option<&Json>) -> bool {
        volume.is_some_and(|volume| attachment(volume, &self.server).is_some())
            || server.is_some_and(|server| at_server(server, &self.volume).is_some())
    }

    async fn look(&self, task: &Task<'_>) -> Result<(Option<Json>, Option<Json>), ApiError> {
        let volume = task
            .look(Service::BlockStorage, &volume_path(&self.volume), "volume")
            .await?;
        let server = task
            .look(Service::Compute, &server_path(&self.server), "server")
            .await?;
        Ok((volume, server))
    }
}

#[async_trait::async_trait]
impl Keyed for VolumeAttachment {
    fn schema(&self) -> Schema {
        Schema::new("openstack_volume_attachment", "That a server has a volume as one of its disks.")
            .layer(Layer::Storage)
            .mark(MarkWay::NaturalKey(&["server_id", "volume_id"]))
            .on_delete("The volume is taken out of the server, as if its cable were pulled: unmount it first. The volume stays. One that was attached before stays so.")
            .attribute("server_id", Attribute::required(Type::String, "The server.").hosting(Quantifier::All).replaces().unique())
            .attribute("volume_id", Attribute::required(Type::String, "The volume.").replaces().unique())
            .attribute("device", Attribute::optional_computed(Type::String, "Its name, `/dev/vdb`. Most hypervisors choose it themselves, whatever is said: to find the disk inside, look for the volume's id below `/dev/disk/by-id`. It is chosen as the volume is attached, and stays."))
            .attribute("tag", Attribute::optional(Type::String, "A word by which the machine finds it in its metadata.").replaces())
            .attribute("delete_on_termination", Attribute::default(Type::Bool, "Whether the volume goes when the server goes.", false))
            .attribute("project_id", Attribute::computed(Type::String, "The project that it is in."))
    }

    fn questions(&self, value: &Value, alone: bool) -> Vec<Question> {
        let ends = Ends::of(value);
        match alone {
            true => vec![
                Question::One {
                    service: Service::BlockStorage,
                    path: volume_path(&ends.volume),
                },
                Question::One {
                    service: Service::Compute,
                    path: server_path(&ends.server),
                },
            ],
            false => vec![
                Question::list(Service::BlockStorage, "/volumes/detail", "volumes"),
                Question::list(Service::Compute, "/servers/detail", "servers"),
            ],
        }
    }

    fn read(&self, known: &Value, answers: &[&Json]) -> Result<Option<Seen>, Diagnostic> {
        let ends = Ends::of(known);
        let find = |at: usize, one: &str, id: &str| {
            let answer = found(answers.get(at)?);
            let listed = items(answer).iter().find(|item| item["id"] == id);
            listed.or_else(|| answer.get(one))
        };
        let volume = find(0, "volume", &ends.volume);
        let server = find(1, "server", &ends.server);
        let at_volume = volume.and_then(|volume| attachment(volume, &ends.server));
        let at_server = server.and_then(|server| at_server(server, &ends.volume));
        if at_volume.is_none() && at_server.is_none() {
            return Ok(None);
        }
        let status = volume
            .and_then(|volume| text(volume, "status"))
            .unwrap_or_default();
        let state = match (at_volume, at_server, status.as_str()) {
            (Some(_), Some(_), "in-use") => State::Ready,
            _ => State::UnderWay(format!("the volume is in the state `{status}`")),
        };
        let device = at_volume.and_then(|one| text(one, "device"));
        let device = device.map_or_else(|| known.get("device"), Value::from);
        let goes = at_server.map_or_else(|| known.get("delete_on_termination"), Value::from);
        let project = volume.and_then(|volume| text(volume, "os-vol-tenant-attr:tenant_id"));
        Ok(Some(Seen {
            attributes: known
                .with("device", device)
                .with("delete_on_termination", goes)
                .with("project_id", project.into()),
            id: ends.volume,
            state,
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        // Where the hypervisor has chosen another name, that is no reason to pull the disk out.
        match change.prior.map(|prior| prior.get("device")) {
            // It has none yet: it is being attached.
            Some(device) if device.is_null() && change.is_half_made => change.unknown("device"),
            Some(_) => change.keep("device"),
            None if !change.config.get("device").is_null() => {
                change.note("the hypervisor may choose another name than `device`");
                change.unknown("device");
            }
            None => {}
        }
        if change.prior.is_none() && change.earlier.is_some() {
            change.note("it is attached already: a delete leaves it so");
        }
        Ok(())
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        let device = text_at(prior, "device").unwrap_or_else(|| "the volume".into());
        let what = format!("what uses {device} in the server");
        (
            vec![Effect::Downtime { what }],
            vec!["the volume stays".into()],
        )
    }

    async fn bring(&self, task: &Task<'_>, wanted: &Value) -> Result<(), Diagnostic> {
        let ends = Ends::of(wanted);
        let failed = |error: ApiError| error.diagnostic("cannot attach a volume");
        let goes = wanted.get("delete_on_termination").as_bool() == Some(true);
        let (volume, server) = ends.look(task).await.map_err(failed)?;
        let is_begun = ends.are_tied(volume.as_ref(), server.as_ref());
        if !is_begun {
            let mut body = json!({ "volumeId": ends.volume, "delete_on_termination": goes });
            // The name is chosen by the configuration, or by nobody.
            for name in ["device", "tag"] {
                if let Some(given) = text_at(wanted, name) {
                    body[name] = json!(given);
                }
            }
            let body = json!({ "volumeAttachment": body });
            task.cx.begin("attach a volume to a server").await?;
            self.attach(task, &ends, &body).await?;
        }
        let has = self.attached(task, &ends).await?;
        if has != goes {
            let body = json!({ "volumeAttachment": { "volumeId": ends.volume, "delete_on_termination": goes } });
            let title = "say whether a volume goes with its server";
            let changed = task
                .change(title, Service::Compute, Verb::Put, &ends.own_path(), &body)
                .await;
            changed.map_err(failed)?;
        }
        Ok(())
    }

    async fn remove(&self, task: &Task<'_>, prior: &Value) -> Result<(), Diagnostic> {
        let ends = Ends::of(prior);
        let failed = |error: ApiError| error.diagnostic("cannot detach a volume");
        let (volume, server) = ends.look(task).await.map_err(failed)?;
        let is_there = ends.are_tied(volume.as_ref(), server.as_ref());
        if !is_there {
            return Ok(());
        }
        task.cx.begin("detach a volume from a server").await?;
        // One that is on its way out already takes no second word.
        let is_going = volume
            .as_ref()
            .is_some_and(|volume| text(volume, "status").as_deref() == Some("detaching"));
        if !is_going {
            self.detach(task, &ends).await.map_err(failed)?;
        }
        let ends = &ends;
        let gone = wait_for(task.cx, "the volume to be free", CHANGED, || async move {
            let (volume, server) = ends.look(task).await?;
            let at_volume = volume.as_ref().is_some_and(|volume| {
                let status = text(volume, "status").unwrap_or_default();
                attachment(volume, &ends.server).is_some() || status == "detaching"
            });
            let at_server = server
                .as_ref()
                .is_some_and(|server| at_server(server, &ends.volume).is_some());
            Ok((!at_volume && !at_server).then_some(()))
        });
        gone.await.map_err(failed)
    }
}

impl VolumeAttachment {
    /// Asks until the server is free to do it; what is gone already is detached.
    async fn detach(&self, task: &Task<'_>, ends: &Ends) -> Result<(), ApiError> {
        let until = Instant::now() + BUSY;
        let mut pauses = Pauses::new();
        loop {
            let path = ends.own_path();
            let detached = task
                .cloud
                .session
                .write(Service::Compute, Verb::Delete, &path, &Json::Null)
                .await;
            match detached {
                Ok(_) => return Ok(()),
                Err(error) if error.is_missing() => return Ok(()),
                Err(error) if is_busy(&error) => {
                    task.cx.waiting("the server to be free", BUSY);
                    if task.cx.is_cancelled() || !pauses.wait(until, None).await {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A server that is doing something else refuses for a while; a call whose answer was lost is looked at.
    async fn attach(&self, task: &Task<'_>, ends: &Ends, body: &Json) -> Result<(), Diagnostic> {
        let until = Instant::now() + BUSY;
        let mut pauses = Pauses::new();
        loop {
            let made = task
                .cloud
                .session
                .write(Service::Compute, Verb::Post, &ends.path(), body)
                .await;
            match made {
                Ok(_) => return Ok(()),
                Err(error) if is_busy(&error) => {
                    task.cx.waiting("the server to be free", BUSY);
                    if task.cx.is_cancelled() || !pauses.wait(until, None).await {
                        return Err(error.diagnostic("cannot attach a volume"));
                    }
                }
                Err(error) if error.is_unknown() => {
                    let (volume, server) = ends
                        .look(task)
                        .await
                        .map_err(|_| error.diagnostic("cannot attach a volume"))?;
                    let is_begun = volume.as_ref().is_some_and(|volume| {
                        attachment(volume, &ends.server).is_some()
                            || matches!(
                                text(volume, "status").as_deref(),
                                Some("attaching" | "reserved")
                            )
                    }) || server
                        .as_ref()
                        .is_some_and(|server| at_server(server, &ends.volume).is_some());
                    return match is_begun {
                        true => Ok(()),
                        false => Err(error.diagnostic("cannot attach a volume")),
                    };
                }
                Err(error) => return Err(error.diagnostic("cannot attach a volume")),
            }
        }
    }

    /// Waits until the server has it; whether it goes with the server.
    async fn attached(&self, task: &Task<'_>, ends: &Ends) -> Result<bool, Diagnostic> {
        let looked = wait_for(
            task.cx,
            "the volume to be attached",
            CHANGED,
            || async move {
                let (volume, server) = ends.look(task).await?;
                let (Some(volume), Some(server)) = (volume, server) else {
                    return Err(ApiError::Ended(Box::new(
                        Diagnostic::remote("gone", "cannot attach a volume")
                            .cause("the server or the volume is gone"),
                    )));
                };
                let status = text(&volume, "status").unwrap_or_default();
                let is_attached = status == "in-use" && attachment(&volume, &ends.server).is_some();
                match (is_attached, at_server(&server, &ends.volume)) {
                    (true, Some(goes)) => Ok(Some(Ok(goes))),
                    // The server has refused it: it is free again, and nobody has it.
                    (false, None) if matches!(status.as_str(), "available" | "error") => {
                        Ok(Some(Err(status)))
                    }
                    _ => Ok(None),
                }
            },
        );
        let attached = looked
            .await
            .map_err(|error| error.diagnostic("cannot attach a volume"))?;
        match attached {
            Ok(goes) => Ok(goes),
            Err(status) => {
                let why = super::volume::messages(task, &ends.volume).await;
                let why = why.unwrap_or_else(|| "the server does not have it".into());
                Err(
                    Diagnostic::remote("failed", "cannot attach a volume").cause(format!(
                        "the volume is in the state `{status}` again: {why}"
                    )),
                )
            }
        }
    }
}

/// Whether something else is under way at the server.
fn is_busy(error: &ApiError) -> bool {
    error.is_conflict()
        && error.refusal().is_some_and(|refusal| {
            refusal.says(&[
                "task_state",
                "vm_state",
                "while it is in",
                "is locked by another",
            ])
        })
}

const BUSY: Duration = Duration::from_secs(180);
const CHANGED: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_whole_when_server_and_volume_agree() {
        let known = Value::object_of([("server_id", "s".into()), ("volume_id", "v".into())]);
        let volume = |status: &str| json!({ "found": [{ "id": "v", "status": status, "attachments": [{ "server_id": "s", "device": "/dev/vdb" }] }] });
        let server = json!({ "found": [{ "id": "s", "os-extended-volumes:volumes_attached": [{ "id": "v", "delete_on_termination": true }] }] });
        let none = json!({ "found": [] });
        let read = |volume: &Json, server: &Json| {
            VolumeAttachment
                .read(&known, &[volume, server])
                .expect("understood")
        };
        let whole = read(&volume("in-use"), &server).expect("it is there");
        assert_eq!(whole.state, State::Ready);
        assert_eq!(whole.attributes.get("device"), "/dev/vdb".into());
        assert_eq!(whole.attributes.get("delete_on_termination"), true.into());
        let half = read(&volume("attaching"), &none).expect("it is begun");
        assert!(matches!(half.state, State::UnderWay(_)));
        assert!(read(&none, &none).is_none());
    }
}
