//! `proxmox_firewall_group`: a security group, a list of rules that others name.

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Attribute, Change, Cx, Diagnostic, Fetch, Job, Known, Layer, MarkWay, Object, Reading,
    Resource, Schema, Type, Value, Verb, Work, configured,
};

use super::rules::{self, Whose};
use super::{Named, get};
use crate::client::items;
use crate::cluster::{Cluster, Question};
use crate::resources::vm::wanted::text;
use crate::values;

const GROUPS: &str = "/cluster/firewall/groups";

/// The resource type.
pub(crate) struct Group {
    schema: Schema,
}

impl Group {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("proxmox_firewall_group", "A security group of a cluster's firewall: rules that machines and nodes take in by its name.")
            .layer(Layer::Network)
            .mark(MarkWay::NaturalKey(&["name"]))
            .on_delete("It is removed with its rules, or gets those of before back.")
            .attribute("name", Attribute::required(Type::String, "Its name: up to 18 letters, digits, `-` and `_`.").replaces().unique())
            .attribute("comment", Attribute::optional(Type::String, "A text about it, said when it is made.").replaces())
            .attribute("rule", Attribute::optional(Type::list(rules::rule_type()), rules::DOC).block());
        Self { schema }
    }
}

fn path(name: &str) -> String {
    format!("{GROUPS}/{}", values::segment(name))
}

#[async_trait]
impl Resource for Group {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        match text(known.attributes, "name") {
            Some(_) => Ok(vec![Question::Path(GROUPS.into()).fetch()?]),
            None => Ok(Vec::new()),
        }
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let Some(name) = text(known.attributes, "name").filter(|_| !answers.is_empty()) else {
            return Ok(Reading::Absent);
        };
        let groups = items(answers.json(0)?);
        let Some(group) = groups.iter().find(|group| group["group"] == name.as_str()) else {
            return Ok(Reading::Absent);
        };
        let Some(answer) = answers.0.get(1).and_then(|answer| answer.json()) else {
            return Ok(Reading::More(vec![Question::Path(path(&name)).fetch()?]));
        };
        let wanted = known.attributes.get("rule");
        let found = rules::as_wanted(rules::read(answer, &Whose::All), &wanted);
        let is_empty = found.as_items().is_some_and(<[Value]>::is_empty);
        let found = if is_empty && wanted.is_null() {
            Value::null()
        } else {
            found
        };
        let comment = values::text(group, "comment").filter(|text| !text.is_empty());
        Ok(Reading::Found(Object {
            attributes: known
                .attributes
                .with("rule", found)
                .with("comment", comment.into()),
            id: Some(name),
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        rules::check(&change.planned)
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let cluster: &Cluster = configured(cx.provider())?;
        let value = job.value()?;
        let name = text(value, "name").unwrap_or_default();
        let group = Named {
            cx,
            cluster,
            what: "security group",
            collection: GROUPS,
            key: "group",
            name: &name,
        };
        let earlier = job.earlier.filter(|earlier| !earlier.is_null());
        match (job.verb, earlier) {
            (Verb::Create | Verb::Update, _) => {
                if get(cluster, &path(&name)).await?.is_none() {
                    group.make(text(value, "comment")).await?;
                }
                rules::set(cx, cluster, &path(&name), &Whose::All, &value.get("rule")).await
            }
            (Verb::Delete | Verb::Leave, Some(earlier)) => {
                match get(cluster, &path(&name)).await? {
                    Some(_) => {
                        rules::set(cx, cluster, &path(&name), &Whose::All, &earlier.get("rule"))
                            .await
                    }
                    None => Ok(()),
                }
            }
            (Verb::Delete | Verb::Leave, None) => {
                if get(cluster, &path(&name)).await?.is_none() {
                    return Ok(());
                }
                // Only an empty one can be removed.
                rules::set(cx, cluster, &path(&name), &Whose::All, &Value::null()).await?;
                group.remove().await
            }
        }
    }
}
