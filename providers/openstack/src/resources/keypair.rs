//! `openstack_keypair`: a public key that servers let in. Its name is its key, for each user; a key of another content under the
//! same name is somebody else's.

use dmp_sdk::{Attribute, AttributePath, Change, Diagnostic, Layer, MarkWay, Schema, Type, Value};
use serde_json::{Value as Json, json};

use crate::cloud::{Question, found};
use crate::object::{Keyed, Seen, State, Task};
use crate::session::{Service, Verb};
use crate::values::{items, segment, text, text_at};

/// The model.
pub(crate) struct Keypair;

fn path(name: &str) -> String {
    format!("/os-keypairs/{}", segment(name))
}

/// The key itself, without the comment and the space around it.
fn bare(key: &str) -> String {
    let mut words = key.split_whitespace();
    let (kind, body) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    match body.is_empty() || key.contains("-----BEGIN") {
        true => key.split_whitespace().collect(),
        false => format!("{kind} {body}"),
    }
}

async fn look(task: &Task<'_>, name: &str) -> Result<Option<Json>, Diagnostic> {
    let found = task.look(Service::Compute, &path(name), "keypair").await;
    found.map_err(|error| error.diagnostic("cannot read a key pair"))
}

fn has_key(found: &Json, key: &str) -> bool {
    text(found, "public_key").is_some_and(|has| bare(&has) == bare(key))
}

#[async_trait::async_trait]
impl Keyed for Keypair {
    fn schema(&self) -> Schema {
        Schema::new("openstack_keypair", "A public SSH key that servers let in. It belongs to the user, not to the project.")
            .layer(Layer::Machine)
            .mark(MarkWay::NaturalKey(&["name"]))
            .on_delete("The key pair is removed; servers that have the key keep it. One that was there before stays.")
            .counterpart("openstack_compute_keypair_v2", &["{id}"])
            .attribute("name", Attribute::required(Type::String, "Its name.").replaces().unique())
            .attribute("public_key", Attribute::required(Type::String, "The public key, `ssh-ed25519 AAAA…`.").replaces())
            .attribute("type", Attribute::default(Type::String, "`ssh` or `x509`.", "ssh").replaces())
            .attribute("fingerprint", Attribute::computed(Type::String, "The key's fingerprint."))
            .attribute("user_id", Attribute::computed(Type::String, "Whose it is."))
    }

    fn questions(&self, value: &Value, alone: bool) -> Vec<Question> {
        let name = text_at(value, "name").unwrap_or_default();
        vec![match alone {
            true => Question::One {
                service: Service::Compute,
                path: path(&name),
            },
            false => Question::list(Service::Compute, "/os-keypairs", "keypairs"),
        }]
    }

    fn read(&self, known: &Value, answers: &[&Json]) -> Result<Option<Seen>, Diagnostic> {
        let name = text_at(known, "name").unwrap_or_default();
        let Some(answer) = answers.first() else {
            return Ok(None);
        };
        let one = found(answer);
        let listed = items(one).iter().map(|item| &item["keypair"]);
        let single = one.get("keypair").into_iter();
        let asked = answer["user"].as_str().unwrap_or_default();
        let Some(keypair) = listed
            .chain(single)
            .find(|item| item["name"] == name.as_str())
        else {
            return match text_at(known, "user_id").filter(|user| user != asked) {
                Some(user) => Err(Diagnostic::error("other-user", "another user than the recorded one")
                    .detail(format!("key pairs belong to users: `{name}` is recorded as one of `{user}`, and the credentials are those of `{asked}`"))
                    .help("use the credentials of that user, or `dmp state forget` the key pair")),
                None => Ok(None),
            };
        };
        let given = text_at(known, "public_key");
        let key = match given {
            Some(given) if has_key(keypair, &given) => given.into(),
            _ => text(keypair, "public_key")
                .map(|key| key.trim().to_owned())
                .into(),
        };
        let kind = text(keypair, "type").unwrap_or_else(|| "ssh".into());
        let attributes = known
            .with("name", name.as_str().into())
            .with("public_key", key)
            .with("type", kind.into())
            .with("fingerprint", text(keypair, "fingerprint").into())
            .with("user_id", asked.into());
        Ok(Some(Seen {
            attributes,
            id: name,
            state: State::Ready,
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let (None, Some(earlier)) = (change.prior, change.earlier) else {
            return Ok(());
        };
        let (has, wants) = (
            text_at(earlier, "public_key"),
            text_at(&change.planned, "public_key"),
        );
        match has.zip(wants) {
            Some((has, wants)) if bare(&has) != bare(&wants) => Err(taken(
                change.planned.get("name").as_str().unwrap_or_default(),
            )
            .path(AttributePath::of("name"))),
            _ => {
                change.note("it is there already, with this key: a delete leaves it");
                Ok(())
            }
        }
    }

    async fn bring(&self, task: &Task<'_>, wanted: &Value) -> Result<(), Diagnostic> {
        let name = text_at(wanted, "name").unwrap_or_default();
        let key = text_at(wanted, "public_key").unwrap_or_default();
        match look(task, &name).await? {
            Some(found) if has_key(&found, &key) => return Ok(()),
            Some(_) => return Err(taken(&name)),
            None => {}
        }
        let kind = text_at(wanted, "type").unwrap_or_else(|| "ssh".into());
        let body = json!({ "keypair": { "name": name, "public_key": key, "type": kind } });
        let title = format!("create the key pair `{name}`");
        let made = task
            .change(&title, Service::Compute, Verb::Post, "/os-keypairs", &body)
            .await;
        match made {
            Ok(_) => Ok(()),
            Err(error) => match look(task, &name).await? {
                Some(found)
                    if has_key(&found, &key) && (error.is_unknown() || error.is_conflict()) =>
                {
                    Ok(())
                }
                Some(_) if error.is_conflict() => Err(taken(&name)),
                _ => Err(error.diagnostic("cannot create a key pair")),
            },
        }
    }

    async fn remove(&self, task: &Task<'_>, prior: &Value) -> Result<(), Diagnostic> {
        let name = text_at(prior, "name").unwrap_or_default();
        let key = text_at(prior, "public_key").unwrap_or_default();
        match look(task, &name).await? {
            Some(found) if has_key(&found, &key) => {}
            // Ours is gone; the name is another's by now.
            _ => return Ok(()),
        }
        let title = format!("delete the key pair `{name}`");
        let deleted = task
            .change(
                &title,
                Service::Compute,
                Verb::Delete,
                &path(&name),
                &Json::Null,
            )
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error.diagnostic("cannot delete a key pair")),
        }
    }
}

fn taken(name: &str) -> Diagnostic {
    Diagnostic::error("taken", "a name is taken")
        .detail(format!(
            "there is a key pair `{name}` with another key already"
        ))
        .help("take another name, or remove that one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_whatever_its_comment() {
        assert_eq!(
            bare("ssh-ed25519 AAAA me@here\n"),
            bare(" ssh-ed25519  AAAA")
        );
        assert_ne!(bare("ssh-ed25519 AAAA"), bare("ssh-ed25519 AAAB"));
    }
}
