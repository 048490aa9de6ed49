//! `proxmox_firewall_ipset`: a set of addresses that rules name as `+NAME`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Attribute, Cx, Diagnostic, Fetch, Job, Known, Layer, MarkWay, Object, Reading,
    Resource, Schema, Type, Value, Verb, Work, configured,
};
use serde_json::Value as Json;

use super::{Named, cannot, get, say};
use crate::client::{Method, items, parameters};
use crate::cluster::{Cluster, Question};
use crate::resources::vm::wanted::{text, texts};
use crate::values;

const SETS: &str = "/cluster/firewall/ipset";

/// The resource type.
pub(crate) struct IpSet {
    schema: Schema,
}

impl IpSet {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("proxmox_firewall_ipset", "A set of addresses of a cluster's firewall, which rules name as `+NAME`.")
            .layer(Layer::Network)
            .mark(MarkWay::NaturalKey(&["name"]))
            .on_delete("It is removed with its addresses, or gets those of before back.")
            .attribute("name", Attribute::required(Type::String, "Its name: letters, digits, `-` and `_`, a letter first.").replaces().unique())
            .attribute("comment", Attribute::optional(Type::String, "A text about it, said when it is made.").replaces())
            .attribute("addresses", Attribute::default(Type::set(Type::String), "Addresses, networks and aliases in it, such as `192.0.2.0/24`; `!` before one takes it out of a larger one.", Value::set(Vec::new())));
        Self { schema }
    }
}

fn path(name: &str) -> String {
    format!("{SETS}/{}", values::segment(name))
}

/// The entries, by what is written for them; a `!` says that it is excepted.
fn entries(answer: &Json) -> BTreeMap<String, String> {
    let entries = items(answer).iter().filter_map(|entry| {
        let cidr = values::text(entry, "cidr")?;
        let except = if values::flag(entry, "nomatch") {
            "!"
        } else {
            ""
        };
        Some((normal(&format!("{except}{cidr}")), cidr))
    });
    entries.collect()
}

/// A single address is the same with its whole prefix.
fn normal(text: &str) -> String {
    let text = text.trim().to_ascii_lowercase();
    let bare = text.strip_suffix("/32").filter(|bare| !bare.contains(':'));
    bare.or(text.strip_suffix("/128"))
        .unwrap_or(&text)
        .to_owned()
}

#[async_trait]
impl Resource for IpSet {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        match text(known.attributes, "name") {
            Some(_) => Ok(vec![Question::Path(SETS.into()).fetch()?]),
            None => Ok(Vec::new()),
        }
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let Some(name) = text(known.attributes, "name").filter(|_| !answers.is_empty()) else {
            return Ok(Reading::Absent);
        };
        let sets = items(answers.json(0)?);
        let Some(set) = sets.iter().find(|set| set["name"] == name.as_str()) else {
            return Ok(Reading::Absent);
        };
        let Some(answer) = answers.0.get(1).and_then(|answer| answer.json()) else {
            return Ok(Reading::More(vec![Question::Path(path(&name)).fetch()?]));
        };
        let given = texts(known.attributes, "addresses");
        let spelled = |entry: &String| {
            let given = given.iter().find(|text| normal(text) == *entry);
            given.unwrap_or(entry).as_str().into()
        };
        let found = entries(answer).keys().map(spelled).collect();
        let comment = values::text(set, "comment").filter(|text| !text.is_empty());
        Ok(Reading::Found(Object {
            attributes: known
                .attributes
                .with("addresses", Value::set(found))
                .with("comment", comment.into()),
            id: Some(name),
        }))
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let cluster: &Cluster = configured(cx.provider())?;
        let value = job.value()?;
        let name = text(value, "name").unwrap_or_default();
        let set = Named {
            cx,
            cluster,
            what: "IP set",
            collection: SETS,
            key: "name",
            name: &name,
        };
        let found = get(cluster, &path(&name)).await?;
        let earlier = job.earlier.filter(|earlier| !earlier.is_null());
        match (job.verb, earlier) {
            (Verb::Create | Verb::Update, _) => {
                if found.is_none() {
                    set.make(text(value, "comment")).await?;
                }
                fill(cx, cluster, &name, value).await
            }
            (Verb::Delete | Verb::Leave, _) if found.is_none() => Ok(()),
            (Verb::Delete | Verb::Leave, Some(earlier)) => fill(cx, cluster, &name, earlier).await,
            (Verb::Delete | Verb::Leave, None) => {
                fill(
                    cx,
                    cluster,
                    &name,
                    &value.with("addresses", Value::set(Vec::new())),
                )
                .await?;
                set.remove().await
            }
        }
    }
}

/// Puts in what is missing, then takes out what is too much.
async fn fill(
    cx: &dyn Cx,
    cluster: &Cluster,
    name: &str,
    wanted: &Value,
) -> Result<(), Diagnostic> {
    let answer = get(cluster, &path(name)).await?.unwrap_or_default();
    let found = entries(&answer);
    let wanted: BTreeMap<String, String> = texts(wanted, "addresses")
        .into_iter()
        .map(|text| (normal(&text), text))
        .collect();
    if found.keys().eq(wanted.keys()) {
        return Ok(());
    }
    cx.begin(&format!("set the addresses of the IP set `{name}`"))
        .await?;
    for (_, text) in wanted.iter().filter(|(key, _)| !found.contains_key(*key)) {
        let (cidr, is_except) = match text.strip_prefix('!') {
            Some(cidr) => (cidr.trim(), true),
            None => (text.as_str(), false),
        };
        let form = parameters([("cidr", cidr), ("nomatch", values::switch(is_except))]);
        match say(cluster, Method::Post, &path(name), &form).await {
            Ok(()) => {}
            Err(error) if error.is_taken() => {}
            Err(error) => return Err(cannot(&error)),
        }
    }
    for (_, cidr) in found.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
        let path = format!("{}/{}", path(name), values::segment(cidr));
        match say(cluster, Method::Delete, &path, &Vec::new()).await {
            Ok(()) => {}
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(cannot(&error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_with_its_whole_prefix() {
        assert_eq!(normal("192.0.2.7/32"), "192.0.2.7");
        assert_eq!(normal("2001:DB8::1/128"), "2001:db8::1");
        assert_eq!(normal("2001:db8::/32"), "2001:db8::/32");
        assert_eq!(normal("!192.0.2.0/24"), "!192.0.2.0/24");
    }
}
