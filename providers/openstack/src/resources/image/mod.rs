//! `openstack_image`: an image of Glance, sent from here or fetched by Glance itself. The call that registers it carries the mark
//! as a property; the bytes follow. What of it was not finished is sent again.

mod schema;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use dmp_sdk::{
    Answers, AttributePath, Candidate, Change, Cx, Diagnostic, Fetch, Job, Known, Object, Purpose,
    Reading, Resource, Schema, Type, Value, Verb, Work, configured,
};
use serde_json::{Map, Value as Json};

use crate::cloud::{Cloud, Question, believe, found};
use crate::marked::KEY;
use crate::object::{State, Task};
use crate::session::Service;
use crate::values::{is_given, items, number, segment, text, text_at, value_of};

/// The resource type.
pub(crate) struct Image {
    schema: Schema,
}

impl Image {
    /// The type.
    pub(crate) fn resource() -> Arc<dyn Resource> {
        Arc::new(Self {
            schema: schema::schema(),
        })
    }
}

/// Members that an image has of itself, beside its properties.
pub(crate) const OWN: &[&str] = &[
    "id",
    "name",
    "status",
    "visibility",
    "owner",
    "tags",
    "min_disk",
    "min_ram",
    "size",
    "virtual_size",
    "disk_format",
    "container_format",
    "created_at",
    "updated_at",
    "checksum",
    "os_hash_algo",
    "os_hash_value",
    "os_hidden",
    "protected",
    "self",
    "file",
    "schema",
    "stores",
    "direct_url",
    "locations",
];

/// Properties that are not people's: what others write of an image's content, and what has arguments of its own.
const HELD: &[&str] = &[
    "owner_specified.openstack.md5",
    "owner_specified.openstack.sha256",
    "owner_specified.openstack.object",
    "kernel_id",
    "ramdisk_id",
];

fn is_own(name: &str) -> bool {
    OWN.contains(&name) || HELD.contains(&name)
}

fn path(id: &str) -> String {
    format!("/images/{}", segment(id))
}

/// The properties that people set. Glance keeps some for itself.
fn properties(image: &Json) -> Map<String, Json> {
    let members = image.as_object().into_iter().flatten();
    members
        .filter(|(name, value)| {
            !is_own(name) && !name.starts_with("os_glance") && *name != KEY && !value.is_null()
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn state(image: &Json) -> State {
    match text(image, "status").unwrap_or_default().as_str() {
        "active" | "deactivated" => State::Ready,
        "killed" => State::Failed("Glance has given the image up".into()),
        "queued" => {
            let failed = text(image, "os_glance_failed_import").is_some();
            match failed {
                true => State::Failed("Glance could not fetch the image".into()),
                false => State::UnderWay("the image has no content yet".into()),
            }
        }
        status => State::UnderWay(format!("the image is in the state `{status}`")),
    }
}

fn is_gone(image: &Json) -> bool {
    image.is_null()
        || matches!(
            text(image, "status").as_deref(),
            Some("deleted" | "pending_delete")
        )
}

/// The digest as it is written in a configuration: `sha512:…`.
fn checksum(image: &Json) -> Option<String> {
    Some(format!(
        "{}:{}",
        text(image, "os_hash_algo")?,
        text(image, "os_hash_value")?
    ))
}

fn attributes(known: &Value, image: &Json) -> Value {
    let own = properties(image);
    // Properties that the cloud adds by itself are only shown where somebody has set them.
    let wished = known.get("properties");
    let is_ours = |name: &str| {
        wished
            .as_members()
            .is_some_and(|members| members.contains_key(name))
    };
    let ours: Map<String, Json> = own
        .iter()
        .filter(|(name, _)| is_ours(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let properties = match wished.is_null() {
        true => Value::null(),
        false => value_of(&Json::Object(ours), &Type::map(Type::String)),
    };
    let tags = match items(&image["tags"]).is_empty() && known.get("tags").is_null() {
        true => Value::null(),
        false => value_of(&image["tags"], &Type::set(Type::String)),
    };
    known
        .with("id", text(image, "id").into())
        .with("project_id", text(image, "owner").into())
        .with("name", text(image, "name").into())
        .with("disk_format", text(image, "disk_format").into())
        .with("container_format", text(image, "container_format").into())
        .with("visibility", text(image, "visibility").into())
        .with(
            "protected",
            image["protected"].as_bool().unwrap_or(false).into(),
        )
        .with(
            "hidden",
            image["os_hidden"].as_bool().unwrap_or(false).into(),
        )
        .with(
            "min_disk_gib",
            number(image, "min_disk").unwrap_or(0).into(),
        )
        .with(
            "min_memory_mib",
            number(image, "min_ram").unwrap_or(0).into(),
        )
        .with("properties", properties)
        .with("tags", tags)
        .with("size_bytes", number(image, "size").into())
        .with("digest", checksum(image).into())
        .with("status", text(image, "status").into())
}

fn object(known: &Value, image: &Json) -> Object {
    Object {
        attributes: attributes(known, image),
        id: text(image, "id"),
    }
}

#[async_trait]
impl Resource for Image {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn comes_within(&self) -> std::time::Duration {
        crate::object::COMES_WITHIN
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        let all = || Question::list(Service::Image, "/images", "images").fetch();
        let one = |id: &str| {
            Question::One {
                service: Service::Image,
                path: path(id),
            }
            .fetch()
        };
        match (known.purpose, known.id) {
            (Purpose::DryRun | Purpose::BeforeCreate, _) => Ok(Vec::new()),
            (Purpose::Settle, _) | (Purpose::Refresh, Some(_)) => Ok(vec![all()?]),
            (_, Some(id)) => Ok(vec![one(id)?]),
            (_, None) => Ok(Vec::new()),
        }
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let Some(id) = known
            .id
            .filter(|_| !answers.is_empty() && known.purpose != Purpose::Settle)
        else {
            return Ok(Reading::Absent);
        };
        let answer = answers.json(answers.len() - 1)?;
        let image = match found(answer) {
            Json::Array(listed) => match listed.iter().find(|image| image["id"] == id) {
                Some(listed) => listed,
                // Hidden images are in no listing.
                None => {
                    let one = Question::One {
                        service: Service::Image,
                        path: path(id),
                    };
                    return Ok(Reading::More(vec![one.fetch()?]));
                }
            },
            one => one,
        };
        if is_gone(image) {
            believe(answer, known.attributes)?;
            return Ok(Reading::Absent);
        }
        let object = object(known.attributes, image);
        Ok(match state(image) {
            State::Ready => Reading::Found(object),
            _ if known.purpose == Purpose::Import => Reading::Found(object),
            State::UnderWay(why) | State::Failed(why) => Reading::HalfMade(object, why),
        })
    }

    fn find(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Vec<Candidate>, Diagnostic> {
        let mark = known.mark.map(ToString::to_string);
        let is_it = |image: &&Json| {
            let is_marked = mark.is_some() && text(image, KEY) == mark;
            (is_marked || known.id.is_some() && image["id"].as_str() == known.id) && !is_gone(image)
        };
        let candidate = |image: &Json| Candidate {
            object: object(known.attributes, image),
            half_made: match state(image) {
                State::Ready => None,
                State::UnderWay(why) | State::Failed(why) => Some(why),
            },
        };
        let images = items(found(answers.json(0)?)).iter();
        Ok(images.filter(is_it).map(candidate).collect())
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let wrong = |attribute: &str, why: String| {
            Err(Diagnostic::error("wrong-argument", "unusable argument")
                .detail(why)
                .path(AttributePath::of(attribute)))
        };
        let (file, url) = (
            is_given(change.config, "file"),
            is_given(change.config, "url"),
        );
        if file && url {
            return wrong("url", "an image comes from a `file` or from a `url`".into());
        }
        let nothing = change.config.get("file").is_null() && change.config.get("url").is_null();
        if nothing && change.prior.is_none() {
            return wrong(
                "file",
                "there is nothing to make an image of: name a `file` here, or a `url`".into(),
            );
        }
        if let Some(given) = text_at(&change.planned, "checksum") {
            let (kind, digits) = given.split_once(':').unwrap_or_default();
            let length = match kind {
                "sha512" => 128,
                "sha256" => 64,
                _ => {
                    return wrong(
                        "checksum",
                        "a checksum is written as `sha512:…` or `sha256:…`".into(),
                    );
                }
            };
            if digits.len() != length || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return wrong(
                    "checksum",
                    format!("a `{kind}` has {length} hexadecimal digits"),
                );
            }
            if url && kind != "sha512" {
                return wrong("checksum", "what Glance fetches is compared by the digest that it makes, which is a `sha512` nearly everywhere".into());
            }
        }
        let properties = change.planned.get("properties");
        let reserved = properties
            .as_members()
            .into_iter()
            .flatten()
            .find(|(name, _)| is_own(name) || name.as_ref() == KEY);
        if let Some((name, _)) = reserved {
            return wrong(
                "properties",
                format!("`{name}` is no property that can be set"),
            );
        }
        let status = change
            .prior
            .map(|prior| text_at(prior, "status").unwrap_or_default());
        match status.as_deref() {
            None | Some("active" | "deactivated") => {}
            Some("killed") => change.replace("status", "Glance has given it up"),
            // Its content is still to come.
            Some(_) => {
                for name in ["status", "digest", "size_bytes"] {
                    change.unknown(name);
                }
            }
        }
        Ok(())
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let cloud: &Cloud = configured(cx.provider())?;
        let task = Task { cx, job, cloud };
        let work = write::ImageWork { task: &task };
        match job.verb {
            Verb::Create | Verb::Update => work.bring(job.wanted()?).await,
            Verb::Delete | Verb::Leave => work.remove().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_properties_that_were_set_are_shown() {
        let image = json!({ "id": "i", "status": "active", "os_distro": "debian", "owner_specified.shade.sha256": "x", KEY: "m", "min_disk": 2 });
        let set = Value::map(
            [("os_distro".into(), "debian".into())]
                .into_iter()
                .collect(),
        );
        let known = Value::object_of([("properties", set.clone())]);
        assert_eq!(attributes(&known, &image).get("properties"), set);
        assert!(
            attributes(&Value::object_of([]), &image)
                .get("properties")
                .is_null()
        );
        assert_eq!(attributes(&known, &image).get("min_disk_gib"), 2.into());
    }

    #[test]
    fn an_image_without_content_is_not_finished() {
        assert!(matches!(
            state(&json!({ "status": "queued" })),
            State::UnderWay(_)
        ));
        assert!(matches!(
            state(&json!({ "status": "queued", "os_glance_failed_import": "file" })),
            State::Failed(_)
        ));
        assert_eq!(state(&json!({ "status": "active" })), State::Ready);
        assert!(is_gone(&json!({ "status": "deleted" })));
    }
}
