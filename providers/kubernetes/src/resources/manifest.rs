//! `k8s_manifest`: any object, by server-side apply.
//!
//! Identity is kind, namespace and name; the uid must agree before anything is deleted. One listing per kind shows
//! whether the fields that the manifest sets are as they were when it was applied.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Attribute, Change, Cx, Diagnostic, Fetch, Job, Known, Layer, MarkWay, Object, Purpose,
    Reading, Resource, Schema, Type, Value, Verb, Work, configured,
};
use serde_json::{Value as Json, json};

use super::wait::{condition_left, rollout_left};
use crate::client::Cluster;
use crate::manifest::{Identity, as_found, observed, plain, stripped, value};

/// The resource type.
#[derive(Debug)]
pub(crate) struct Manifest {
    schema: Schema,
}

impl Manifest {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("k8s_manifest", "Any object of a Kubernetes cluster, applied server-side.")
            .layer(Layer::Platform)
            .mark(MarkWay::NaturalKey(&["manifest"]))
            .on_delete("Deletes the object and waits until it is gone; one that was there before gets its fields back.")
            .attribute(
                "manifest",
                Attribute::required(Type::Any, "The object, as in a manifest file: `apiVersion`, `kind`, `metadata` …"),
            )
            .attribute(
                "force",
                Attribute::default(Type::Bool, "Whether fields that another manager owns are taken from it.", false),
            )
            .attribute(
                "wait_rollout",
                Attribute::default(
                    Type::Bool,
                    "Whether a Deployment, DaemonSet or StatefulSet is waited for until all its pods are ready.",
                    true,
                ),
            )
            .attribute(
                "wait_conditions",
                Attribute::optional(
                    Type::map(Type::String),
                    "Conditions of its status to wait for, such as `{ Established = \"True\" }`.",
                ),
            )
            .attribute("wait_seconds", Attribute::default(Type::Number, "How long to wait, in seconds.", 300))
            .attribute(
                "identity",
                Attribute::computed(Type::String, "Which object it is: version, kind, namespace and name.").unique(),
            )
            .attribute("uid", Attribute::computed(Type::String, "The object's uid."))
            .attribute(
                "observed",
                Attribute::computed(Type::Any, "What the server keeps at the places that the manifest sets.").sensitive(),
            );
        Self { schema }
    }
}

#[async_trait]
impl Resource for Manifest {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        let identity = Identity::of(&known.attributes.get("manifest"))?;
        Ok(identity
            .map(|identity| Fetch::Api(identity.query()))
            .into_iter()
            .collect())
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let written = known.attributes.get("manifest");
        let Some(identity) = Identity::of(&written)? else {
            return Ok(Reading::Absent);
        };
        let items = answers
            .json(0)?
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let Some(object) = items.iter().find(|object| identity.is(object)) else {
            return Ok(Reading::Absent);
        };
        let marks = written.deep_marks().without_origins();
        // Before a create a part of the manifest may be unknown: then what is there is told as it is.
        let manifest = plain(&written).ok();
        let now = manifest
            .as_ref()
            .map_or_else(|| object.clone(), |manifest| observed(manifest, object));
        let recorded = known.attributes.get("observed");
        let found = match (&manifest, plain(&recorded)) {
            (Some(manifest), Ok(recorded))
                if known.purpose == Purpose::Refresh && !recorded.is_null() =>
            {
                as_found(manifest, &recorded, &now)
            }
            // Just applied: what the server has of it is what was meant.
            (Some(manifest), _) if known.purpose == Purpose::AfterWrite => manifest.clone(),
            _ => now.clone(),
        };
        let attributes = known
            .attributes
            .with("identity", identity.to_text().into())
            .with("manifest", value(&found).marked(&marks))
            .with(
                "uid",
                object
                    .pointer("/metadata/uid")
                    .and_then(Json::as_str)
                    .map(ToOwned::to_owned)
                    .into(),
            )
            .with("observed", value(&now));
        let object = Object {
            attributes,
            id: None,
        };
        Ok(Reading::Found(object))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let manifest = stripped(&change.planned.get("manifest"));
        change.set("manifest", manifest.clone());
        let identity = Identity::of(&manifest)?;
        if let Some(identity) = &identity {
            change.set("identity", identity.to_text().into());
        }
        let Some(prior) = change.prior else {
            return Ok(());
        };
        let before = Identity::of(&prior.get("manifest"))?;
        if identity.is_some() && before.is_some() && identity != before {
            change.replace("manifest", "it is another object");
        } else if change.changes("manifest") {
            change.unknown("observed");
        }
        Ok(())
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let cluster: &Cluster = configured(cx.provider())?;
        match job.verb {
            Verb::Create | Verb::Update => apply(cx, cluster, job).await,
            Verb::Delete | Verb::Leave => delete(cx, cluster, job).await,
        }
    }
}

async fn apply(cx: &dyn Cx, cluster: &Cluster, job: &Job<'_>) -> Result<(), Diagnostic> {
    let wanted = job.wanted()?;
    let identity = identity(wanted)?;
    let manifest = plain(&wanted.get("manifest"))?;
    let force = wanted.get("force").as_bool().unwrap_or(false) || job.verb == Verb::Update;
    cx.begin(&format!("apply {identity}")).await?;
    cluster.apply(&identity, &manifest, force).await?;
    let seconds = wanted
        .get("wait_seconds")
        .as_i64()
        .and_then(|seconds| u64::try_from(seconds).ok());
    let limit = Duration::from_secs(seconds.unwrap_or(300));
    let rollout = wanted.get("wait_rollout").as_bool().unwrap_or(true);
    let conditions = wanted.get("wait_conditions");
    wait(cx, cluster, &identity, limit, |object| {
        let mut left = if rollout { rollout_left(object) } else { None };
        for (name, value) in conditions.as_members().into_iter().flatten() {
            left = left.or_else(|| condition_left(object, name, value.as_str().unwrap_or("True")));
        }
        left
    })
    .await
}

async fn delete(cx: &dyn Cx, cluster: &Cluster, job: &Job<'_>) -> Result<(), Diagnostic> {
    let prior = job.prior()?;
    let identity = identity(prior)?;
    if let Some(earlier) = job.earlier.filter(|earlier| !earlier.is_null()) {
        cx.begin(&format!("put back {identity}")).await?;
        let before = plain(&earlier.get("observed"))?;
        cluster.merge(&identity, &before).await?;
        // Only its name is left to own: the fields that were dmp's alone go.
        let mut bare = json!({
            "apiVersion": identity.api_version, "kind": identity.kind, "metadata": { "name": identity.name },
        });
        if let Some(namespace) = &identity.namespace {
            bare["metadata"]["namespace"] = json!(namespace);
        }
        return cluster.apply(&identity, &bare, true).await;
    }
    let uid = prior.get("uid");
    cx.begin(&format!("delete {identity}")).await?;
    cluster.delete(&identity, uid.as_str()).await?;
    let limit = Duration::from_secs(120);
    cx.waiting(&format!("until {identity} is gone"), limit);
    let until = Instant::now() + limit;
    while let Some(object) = cluster.get(&identity).await? {
        if object.pointer("/metadata/uid").and_then(Json::as_str) != uid.as_str() {
            return Ok(());
        }
        if Instant::now() > until {
            let finalizers = object
                .pointer("/metadata/finalizers")
                .cloned()
                .unwrap_or_default();
            return Err(Diagnostic::remote("not-gone", "an object does not go")
                .detail(format!(
                    "{identity} is still there after {} s",
                    limit.as_secs()
                ))
                .help(format!("its finalizers wait for something: {finalizers}")));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

/// Looks at an object until nothing is left to wait for.
async fn wait(
    cx: &dyn Cx,
    cluster: &Cluster,
    identity: &Identity,
    limit: Duration,
    left: impl Fn(&Json) -> Option<String> + Send,
) -> Result<(), Diagnostic> {
    let until = Instant::now() + limit;
    let mut shown = None;
    loop {
        let object = cluster.get(identity).await?;
        let why = match &object {
            Some(object) => left(object),
            None => Some("it is not there".into()),
        };
        let Some(why) = why else { return Ok(()) };
        if Instant::now() > until {
            return Err(
                Diagnostic::remote("not-ready", "an object did not become ready")
                    .detail(format!("{identity} after {} s: {why}", limit.as_secs())),
            );
        }
        if shown.as_ref() != Some(&why) {
            cx.waiting(&format!("{identity}: {why}"), limit);
            shown = Some(why);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn identity(value: &Value) -> Result<Identity, Diagnostic> {
    Identity::of(&value.get("manifest"))?
        .ok_or_else(|| Diagnostic::bug("a manifest whose identity is unknown"))
}
