//! `proxmox_pool`: a pool of guests and storages. Its name is its key; what is in it besides storages is said by the guests.

use std::collections::BTreeSet;

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Attribute, Change, Cx, Diagnostic, Fetch, Job, Known, Layer, MarkWay, Object, Reading,
    Resource, Schema, Type, Value, Verb, Work, configured,
};
use serde_json::Value as Json;

use super::vm::wanted::{text, texts};
use crate::client::{ApiError, Method, items, parameters};
use crate::cluster::{self, Cluster, Question};
use crate::values;

/// The resource type.
pub(crate) struct Pool {
    schema: Schema,
}

impl Pool {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "proxmox_pool",
            "A pool of Proxmox VE: guests and storages on which rights are given together. Guests name their pool themselves.",
        )
        .layer(Layer::Machine)
        .mark(MarkWay::NaturalKey(&["name"]))
        .on_delete("The pool is removed, which Proxmox refuses while guests are in it; one that was there before gets its comment and its storages back.")
        .attribute(
            "name",
            Attribute::required(Type::String, "Its name; `parent/child` for one in another.")
                .replaces()
                .unique(),
        )
        .attribute("comment", Attribute::optional(Type::String, "A text about it."))
        .attribute(
            "storages",
            Attribute::optional(Type::set(Type::String), "Storages that are in it. What is not set is left as it is."),
        );
        Self { schema }
    }
}

fn path(name: &str) -> String {
    format!("/pools?poolid={}", values::segment(name))
}

#[async_trait]
impl Resource for Pool {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        let name = known.attributes.get("name");
        match name.as_str().or(known.id) {
            // Pools are few: all of them are listed once.
            Some(_) if name.is_known() => Ok(vec![Question::Path("/pools".into()).fetch()?]),
            _ => Ok(Vec::new()),
        }
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        if answers.is_empty() {
            return Ok(Reading::Absent);
        }
        let name = known.attributes.get("name");
        let Some(name) = name.as_str().or(known.id) else {
            return Ok(Reading::Absent);
        };
        let pools = items(answers.json(0)?).iter();
        let found = pools.into_iter().find(|pool| pool["poolid"] == name);
        let Some(pool) = found else {
            return absent(name, answers);
        };
        let storages = known.attributes.get("storages");
        let mut attributes = known.attributes.with("name", name.into()).with(
            "comment",
            values::text(pool, "comment")
                .filter(|text| !text.is_empty())
                .into(),
        );
        if !storages.is_null() {
            let Some(whole) = answers.0.get(1).and_then(|answer| answer.json()) else {
                return Ok(Reading::More(vec![Question::Path(path(name)).fetch()?]));
            };
            let found = storages_of(whole).into_iter().map(Value::from);
            attributes = attributes.with("storages", Value::set(found.collect()));
        }
        Ok(Reading::Found(Object {
            attributes,
            id: Some(name.to_owned()),
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        if let (None, Some(_)) = (change.prior, change.earlier) {
            change
                .note("it is there already: a delete leaves it, with the comment that it has now");
        }
        Ok(())
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let cluster: &Cluster = configured(cx.provider())?;
        match job.verb {
            Verb::Create | Verb::Update => {
                let wanted = job.wanted()?;
                let name = text(wanted, "name").unwrap_or_default();
                let found = look(cluster, &name).await?;
                if found.is_none() {
                    make(cx, cluster, wanted, &name).await?;
                }
                set(cx, cluster, &name, wanted).await
            }
            Verb::Delete | Verb::Leave => remove(cx, cluster, job).await,
        }
    }
}

/// A pool that is not listed may only be hidden.
fn absent(name: &str, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
    let path = format!("/pool/{name}");
    match answers.0.get(1).and_then(|answer| answer.json()) {
        Some(answer) => {
            cluster::believe(answer, &path)?;
            Ok(Reading::Absent)
        }
        None => Ok(Reading::More(vec![Question::Authority { path }.fetch()?])),
    }
}

fn storages_of(answer: &Json) -> BTreeSet<String> {
    // Asked for one, the answer is a list of one.
    let pool = items(answer).first().unwrap_or(answer);
    let members = items(&pool["members"]).iter();
    members
        .filter(|member| member["type"] == "storage")
        .filter_map(|member| values::text(member, "storage"))
        .collect()
}

async fn look(cluster: &Cluster, name: &str) -> Result<Option<Json>, Diagnostic> {
    match cluster.client.get(&path(name)).await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.diagnostic("cannot read a pool")),
    }
}

async fn make(
    cx: &dyn Cx,
    cluster: &Cluster,
    wanted: &Value,
    name: &str,
) -> Result<(), Diagnostic> {
    cx.begin(&format!("make the pool `{name}`")).await?;
    let mut form = parameters([("poolid", name)]);
    form.extend(text(wanted, "comment").map(|comment| ("comment".to_owned(), comment)));
    match cluster.client.write(Method::Post, "/pools", &form).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_taken() => Ok(()),
        Err(error) if error.is_unknown() && look(cluster, name).await?.is_some() => Ok(()),
        Err(error) => Err(error.diagnostic("cannot make a pool")),
    }
}

/// Gives a pool its comment and its storages, where they differ. Said twice it is the same.
async fn set(cx: &dyn Cx, cluster: &Cluster, name: &str, wanted: &Value) -> Result<(), Diagnostic> {
    let Some(answer) = look(cluster, name).await? else {
        return Err(Diagnostic::remote("proxmox", "cannot change a pool")
            .cause(format!("`{name}` is gone")));
    };
    let pool = items(&answer).first().unwrap_or(&answer);
    let comment = text(wanted, "comment").unwrap_or_default();
    let has = values::text(pool, "comment").unwrap_or_default();
    let failed = |error: ApiError| error.diagnostic("cannot change a pool");
    if comment != has {
        cx.begin(&format!("set the comment of the pool `{name}`"))
            .await?;
        let form = parameters([("poolid", name), ("comment", &comment)]);
        cluster
            .client
            .write(Method::Put, "/pools", &form)
            .await
            .map_err(failed)?;
    }
    if wanted.get("storages").is_null() {
        return Ok(());
    }
    let has = storages_of(&answer);
    let wanted: BTreeSet<String> = texts(wanted, "storages").into_iter().collect();
    for (names, delete) in [(&wanted - &has, None), (&has - &wanted, Some("1"))] {
        if names.is_empty() {
            continue;
        }
        cx.begin(&format!("set the storages of the pool `{name}`"))
            .await?;
        let names = names.into_iter().collect::<Vec<_>>().join(",");
        let mut form = parameters([("poolid", name), ("storage", &names)]);
        form.extend(delete.map(|delete| ("delete".to_owned(), delete.to_owned())));
        cluster
            .client
            .write(Method::Put, "/pools", &form)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

async fn remove(cx: &dyn Cx, cluster: &Cluster, job: &Job<'_>) -> Result<(), Diagnostic> {
    let prior = job.prior()?;
    let name = text(prior, "name").unwrap_or_default();
    if look(cluster, &name).await?.is_none() {
        return Ok(());
    }
    if let Some(earlier) = job.earlier.filter(|earlier| !earlier.is_null()) {
        return set(cx, cluster, &name, earlier).await;
    }
    let storages = texts(prior, "storages");
    if !storages.is_empty() {
        // Only an empty one can be removed.
        let nothing = prior.with("storages", Value::set(Vec::new()));
        set(cx, cluster, &name, &nothing).await?;
    }
    cx.begin(&format!("remove the pool `{name}`")).await?;
    let form = parameters([("poolid", &name)]);
    match cluster.client.write(Method::Delete, "/pools", &form).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_missing() => Ok(()),
        Err(error) if error.is_unknown() && look(cluster, &name).await?.is_none() => Ok(()),
        Err(error) => Err(error.diagnostic("cannot remove a pool")),
    }
}
