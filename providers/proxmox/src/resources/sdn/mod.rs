//! `proxmox_sdn_zone`, `proxmox_sdn_vnet`, `proxmox_sdn_subnet`: networks of a whole cluster.
//!
//! A write changes a draft that is one for all of the cluster; applying it carries out everything in it. So what a run
//! writes is applied once, and drafts that are not of this run stop it.

mod kinds;

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Change, Cx, Diagnostic, Fetch, Intended, Job, Known, Object, Reading, Resource,
    Schema, Value, Verb, Work, configured,
};
use serde_json::Value as Json;

use super::vm::wanted::text;
use crate::client::{Method, Parameters, items};
use crate::cluster::{Cluster, Question};
use crate::drafts::locked;
use crate::values;

use kinds::{Field, Form, Kind};

/// The resource types.
pub(crate) fn all() -> Vec<Sdn> {
    kinds::KINDS
        .iter()
        .map(|kind| Sdn {
            schema: kinds::schema(kind),
            kind,
        })
        .collect()
}

/// The path that a change of a network is drafted at; `None` for what is no network, and while its key is unknown.
pub(crate) fn drafted_at(change: &Intended<'_>) -> Option<String> {
    let kind = Kind::of(&change.address.resource_type)?;
    let value = change.planned.or(change.prior)?;
    kind.is_key_known(value).then(|| kind.path(value))
}

/// One of the resource types.
pub(crate) struct Sdn {
    schema: Schema,
    kind: &'static Kind,
}

impl Sdn {
    /// The object with its key as the listing has it, running and draft together; also one that is drafted to go.
    fn found<'a>(&self, value: &Value, answer: &'a Json) -> Option<&'a Json> {
        let name = text(value, self.kind.name)?;
        let is_it = |item: &&Json| {
            let shown = &item[self.kind.shown];
            let shown = shown
                .as_str()
                .or_else(|| item["pending"][self.kind.shown].as_str());
            shown == Some(name.as_str())
        };
        items(answer).iter().find(is_it)
    }
}

/// Whether it is drafted, and not applied.
fn is_draft(item: &Json) -> bool {
    item["state"]
        .as_str()
        .is_some_and(|state| !state.is_empty())
}

/// A value of an object: the draft's, else the running one.
fn part(item: &Json, key: &str) -> Option<Json> {
    let drafted = &item["pending"][key];
    if drafted == "deleted" {
        return None;
    }
    let value = if drafted.is_null() {
        &item[key]
    } else {
        drafted
    };
    (!value.is_null()).then(|| value.clone())
}

fn read(field: &Field, item: &Json) -> Value {
    let Some(value) = part(item, field.key) else {
        return Value::null();
    };
    match field.form {
        Form::Text => values::as_text(&value).into(),
        Form::Number => values::as_number(&value).into(),
        Form::Switch => {
            let text = values::as_text(&value).unwrap_or_default();
            values::is_true(&text).into()
        }
        Form::Names => {
            let text = values::as_text(&value).unwrap_or_default();
            let names = text
                .split([',', ' ', ';'])
                .filter(|name| !name.is_empty())
                .map(Value::from);
            Value::set(names.collect())
        }
    }
}

fn written(field: &Field, value: &Value) -> Option<String> {
    let value = value.get(field.attribute);
    if let Some(items) = value.as_items() {
        let names: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
        return Some(names.join(","));
    }
    let flag = value.as_bool().map(|flag| values::switch(flag).to_owned());
    let number = || value.as_number().map(ToString::to_string);
    flag.or_else(number)
        .or_else(|| value.as_str().map(ToOwned::to_owned))
}

#[async_trait]
impl Resource for Sdn {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        match self.kind.is_key_known(known.attributes) {
            true => {
                let path = (self.kind.collection)(known.attributes);
                let listing = Question::Path(format!("{path}?pending=1"));
                Ok(vec![listing.fetch()?])
            }
            false => Ok(Vec::new()),
        }
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        if answers.is_empty() {
            return Ok(Reading::Absent);
        }
        let Some(item) = self.found(known.attributes, answers.json(0)?) else {
            return Ok(Reading::Absent);
        };
        let mut attributes = known.attributes.clone();
        for field in self.kind.fields {
            let found = read(field, item);
            // Proxmox leaves out what is off.
            let is_off = found.is_null() && known.attributes.get(field.attribute) == false.into();
            if !is_off {
                attributes = attributes.with(field.attribute, found);
            }
        }
        let object = Object {
            attributes: attributes.with("applied", (!is_draft(item)).into()),
            id: Some(
                (self.kind.key)
                    .iter()
                    .filter_map(|name| text(known.attributes, name))
                    .collect::<Vec<_>>()
                    .join("/"),
            ),
        };
        Ok(Reading::Found(object))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        (self.kind.check)(&change.planned)?;
        // What is drafted and not applied is applied by the way.
        change.set("applied", true.into());
        if change.changes_anything() {
            change.note(
                "the cluster's networks are applied on all nodes, once for all of them that change",
            );
        }
        Ok(())
    }

    fn takes_effect_with(&self) -> Option<&'static str> {
        Some("sdn")
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let cluster: &Cluster = configured(cx.provider())?;
        let value = job.value()?;
        let earlier = job.earlier.filter(|earlier| !earlier.is_null());
        let shall_be = match job.verb {
            Verb::Create | Verb::Update => Some(value),
            Verb::Delete | Verb::Leave => earlier,
        };
        let path = (self.kind.collection)(value);
        cluster.drafts.expect([self.kind.path(value)]);
        let drafting = cluster.drafts.begin();
        // What is drafted by others would be applied with ours.
        cluster.drafts.refuse_foreign(cluster).await?;
        let listed = cluster.client.get(&format!("{path}?pending=1")).await;
        let listed = match listed {
            Ok(listed) => listed,
            // What it was in is gone, and it with that.
            Err(error) if error.is_missing() && shall_be.is_none() => return Ok(()),
            Err(error) => return Err(error.diagnostic("cannot read a network")),
        };
        let found = self.found(value, &listed);
        let is_drafted = found.is_some_and(is_draft);
        // What is drafted to go is made anew in the draft.
        let found = found.filter(|item| item["state"] != "deleted");
        match (shall_be, found) {
            (Some(wanted), None) => self.add(cx, cluster, &path, wanted).await?,
            (Some(wanted), Some(item)) => {
                let changed = self.change(cx, cluster, &path, wanted, item).await?;
                if !changed && !is_drafted {
                    return Ok(());
                }
            }
            (None, Some(item)) => self.remove(cx, cluster, &path, item).await?,
            (None, None) if !is_drafted => return Ok(()),
            (None, None) => {}
        }
        let draft = drafting.drafted();
        cx.drafted().await;
        cluster.drafts.apply(cx, cluster, draft).await
    }
}

impl Sdn {
    async fn add(
        &self,
        cx: &dyn Cx,
        cluster: &Cluster,
        path: &str,
        wanted: &Value,
    ) -> Result<(), Diagnostic> {
        let name = text(wanted, self.kind.name).unwrap_or_default();
        cx.begin(&format!("draft the {} `{name}`", self.kind.noun))
            .await?;
        let mut form: Parameters = vec![(self.kind.sent.to_owned(), name)];
        form.extend(
            self.kind
                .always
                .iter()
                .map(|&(key, value)| (key.to_owned(), value.to_owned())),
        );
        for field in self.kind.fields {
            form.extend(written(field, wanted).map(|value| (field.key.to_owned(), value)));
        }
        match cluster.client.write(Method::Post, path, &form).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_unknown() || error.is_taken() => {
                let listed = cluster.client.get(&format!("{path}?pending=1")).await;
                let is_there = listed.is_ok_and(|listed| self.found(wanted, &listed).is_some());
                if is_there {
                    Ok(())
                } else {
                    Err(locked(error.diagnostic("cannot draft a network")))
                }
            }
            Err(error) => Err(locked(error.diagnostic("cannot draft a network"))),
        }
    }

    fn item_path(&self, path: &str, item: &Json) -> String {
        let id = values::text(item, self.kind.id)
            .or_else(|| values::text(&item["pending"], self.kind.id))
            .unwrap_or_default();
        format!("{path}/{}", values::segment(&id))
    }

    async fn change(
        &self,
        cx: &dyn Cx,
        cluster: &Cluster,
        path: &str,
        wanted: &Value,
        item: &Json,
    ) -> Result<bool, Diagnostic> {
        let mut form = Parameters::new();
        let mut gone = Vec::new();
        for field in self.kind.fields.iter().filter(|field| !field.is_fixed) {
            let found = read(field, item);
            let value = wanted.get(field.attribute);
            if found == value.deep_unmarked() || (found.is_null() && value == false.into()) {
                continue;
            }
            match written(field, wanted) {
                Some(value) => form.push((field.key.to_owned(), value)),
                None => gone.push(field.key),
            }
        }
        if !gone.is_empty() {
            form.push(("delete".to_owned(), gone.join(",")));
        }
        if form.is_empty() {
            return Ok(false);
        }
        let name = text(wanted, self.kind.name).unwrap_or_default();
        cx.begin(&format!(
            "draft a change of the {} `{name}`",
            self.kind.noun
        ))
        .await?;
        // Said twice it is the same: an answer that was lost is asked for once more.
        let path = self.item_path(path, item);
        let mut changed = cluster.client.write(Method::Put, &path, &form).await;
        if changed
            .as_ref()
            .is_err_and(crate::client::ApiError::is_unknown)
        {
            changed = cluster.client.write(Method::Put, &path, &form).await;
        }
        changed.map_err(|error| locked(error.diagnostic("cannot draft a network")))?;
        Ok(true)
    }

    async fn remove(
        &self,
        cx: &dyn Cx,
        cluster: &Cluster,
        path: &str,
        item: &Json,
    ) -> Result<(), Diagnostic> {
        let path = self.item_path(path, item);
        cx.begin(&format!("draft the end of a {}", self.kind.noun))
            .await?;
        let mut gone = cluster.client.write(Method::Delete, &path, &[]).await;
        if gone
            .as_ref()
            .is_err_and(crate::client::ApiError::is_unknown)
        {
            gone = cluster.client.write(Method::Delete, &path, &[]).await;
        }
        match gone {
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(locked(error.diagnostic("cannot remove a network"))),
        }
    }
}
