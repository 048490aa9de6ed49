//! `test_member`: a member of a group that knows it elsewhere, and has to leave it before its machine ends.

use async_trait::async_trait;

use super::cloud::Member;
use super::provider::{Wire, failed};
use crate::diagnostic::Diagnostic;
use crate::resource::{
    Answers, Cx, Fetch, Job, Known, Object, Query, Reading, Resource, Verb, Work, configured,
};
use crate::schema::{Attribute, Layer, MarkWay, Quantifier, Schema};
use crate::types::Type;
use crate::value::Value;

/// The resource type.
#[derive(Debug)]
pub(super) struct TestMember {
    schema: Schema,
}

impl Default for TestMember {
    fn default() -> Self {
        let schema = Schema::new("test_member", "A member of a group.")
            .layer(Layer::Cluster)
            .mark(MarkWay::NaturalKey(&["name"]))
            .on_delete("Takes the member out of its group.")
            .attribute(
                "name",
                Attribute::required(Type::String, "Its name in the group.")
                    .replaces()
                    .unique(),
            )
            .attribute(
                "group",
                Attribute::optional(Type::String, "What the group lives on."),
            )
            .attribute(
                "on",
                Attribute::required(Type::String, "The machine it runs on.")
                    .hosting(Quantifier::All)
                    .replaces(),
            );
        Self { schema }
    }
}

#[async_trait]
impl Resource for TestMember {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        Ok(match known.attributes.get("name").is_known() {
            true => vec![Fetch::Api(Query("members".into()))],
            false => Vec::new(),
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let name = known.attributes.get("name");
        let Some(member) = answers.json(0)?.get(name.as_str().unwrap_or_default()) else {
            return Ok(Reading::Absent);
        };
        let member: Member = serde_json::from_value(member.clone())
            .map_err(|error| Diagnostic::bug(error.to_string()))?;
        Ok(Reading::Found(Object {
            attributes: Value::object_of([
                ("name", name),
                ("group", known.attributes.get("group")),
                ("on", member.on.into()),
            ]),
            id: None,
        }))
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let wire: &Wire = configured(cx.provider())?;
        let subject = job.value()?;
        let text = |name: &str| subject.get(name).as_str().unwrap_or_default().to_owned();
        let (name, on) = (text("name"), text("on"));
        cx.begin(&format!("{} the member", job.verb)).await?;
        wire.latency().await?;
        let changed = wire.cloud.change(|state| match job.verb {
            Verb::Create | Verb::Update => {
                state.calls.push(format!("join {name}"));
                match state.members.get(&name) {
                    Some(member) if member.on != on => Err(Diagnostic::remote(
                        "member",
                        format!("the group has a member `{name}` already"),
                    )),
                    _ => {
                        state.members.insert(name, Member { on });
                        Ok(())
                    }
                }
            }
            Verb::Leave => {
                state.calls.push(format!(
                    "leave {name}, dead: {}, successor: {}",
                    job.is_dead, job.has_successor
                ));
                state.members.remove(&name);
                Ok(())
            }
            Verb::Delete => {
                state.calls.push(format!("reset {name}"));
                match state.members.get(&name) {
                    Some(_) => Err(Diagnostic::bug(format!("`{name}` has not left its group"))),
                    None => Ok(()),
                }
            }
        });
        changed.map_err(|error| failed(&error))?
    }

    fn leaves(&self) -> bool {
        true
    }
}
