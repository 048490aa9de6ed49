//! `k8s_manifest`: any object, by server-side apply.
//!
//! Identity is kind, namespace and name; the uid must agree before anything is deleted. One listing per kind shows
//! whether the fields that the manifest sets are as they were when it was applied.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Attribute, AttributePath, Change, Cx, Diagnostic, Fetch, Job, Known, Layer, MarkWay,
    Marks, Object, Purpose, Reading, Resource, Schema, Type, Value, Verb, Work, configured,
};
use serde_json::{Value as Json, json};

use super::wait::{condition_left, rollout_left};
use crate::client::{Cluster, NotApplied};
use crate::counterparts::counterparts;
use crate::dry_run::{self, Conflict, Told, Trial};
use crate::manifest::{
    Identity, as_found, kept_otherwise, manifest_of, observed, plain, stripped, value,
};

/// The resource type.
#[derive(Debug)]
pub(crate) struct Manifest {
    schema: Schema,
}

impl Manifest {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("k8s_manifest", "Any object of a Kubernetes cluster, applied server-side. A plan tries what it would change by a dry run.")
            .layer(Layer::Platform)
            .mark(MarkWay::NaturalKey(&["manifest"]))
            .on_delete("Deletes the object and waits until it is gone; one that was there before gets its fields back.");
        let schema = counterparts(schema)
            .attribute(
                "manifest",
                Attribute::required(Type::Any, "The object, as in a manifest file: `apiVersion`, `kind`, `metadata` …"),
            )
            .attribute(
                "force",
                Attribute::default(Type::Bool, "Whether fields that another manager owns are taken from it. Without this they are an error of the plan; what was changed by hand is put back all the same.", false),
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
        let query = match known.purpose {
            Purpose::DryRun => trial(known.attributes)?.and_then(|trial| trial.query()),
            _ => identity_of(known)?.map(|identity| identity.query()),
        };
        Ok(query.map(Fetch::Api).into_iter().collect())
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        if known.purpose == Purpose::DryRun {
            return told(known, answers.json(0)?);
        }
        let written = known.attributes.get("manifest");
        let Some(identity) = identity_of(known)? else {
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
        let mut marks = written.deep_marks().without_origins();
        // Read by its identity alone it is as the server has it; before a create a part of the manifest may be unknown:
        // then what is there is told as it is.
        let manifest = match written.is_null() {
            true => Some(manifest_of(object)),
            false => plain(&written).ok(),
        };
        if written.is_null() && identity.kind == "Secret" {
            marks = marks.union(&Marks::sensitive());
        }
        let now = manifest
            .as_ref()
            .map_or_else(|| object.clone(), |manifest| observed(manifest, object));
        let recorded = known.attributes.get("observed");
        let found = match (&manifest, plain(&recorded)) {
            (Some(manifest), Ok(recorded))
                if matches!(known.purpose, Purpose::Refresh | Purpose::Suspect)
                    && !recorded.is_null() =>
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
        // The wait after a write may have been cut off with it.
        let left = match known.purpose {
            Purpose::Settle | Purpose::Suspect => left_to_wait_for(known.attributes, object),
            _ => None,
        };
        let object = Object {
            attributes,
            id: None,
        };
        Ok(match left {
            Some(why) => Reading::HalfMade(object, why),
            None => Reading::Found(object),
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let manifest = stripped(&change.planned.get("manifest"));
        change.set("manifest", manifest.clone());
        let identity = Identity::of(&manifest)?;
        if let Some(identity) = &identity {
            change.set("identity", identity.to_text().into());
        }
        let Some(prior) = change.prior else {
            return heed_dry_run(change);
        };
        let before = Identity::of(&prior.get("manifest"))?;
        if identity.is_some() && before.is_some() && identity != before {
            change.replace("manifest", "it is another object");
        } else if change.changes("manifest") {
            change.unknown("observed");
            heed_dry_run(change)?;
        }
        Ok(())
    }

    /// The id of an `import` block is version, kind, namespace and name; the manifest has to mean the same object.
    fn import(&self, id: &str, attributes: &Value) -> Result<Value, Diagnostic> {
        let named = Identity::of_text(id)?;
        match Identity::of(&attributes.get("manifest"))? {
            Some(described) if !described.is_same(&named) => Err(Diagnostic::error(
                "import-id",
                "the `import` block names another object",
            )
            .detail(format!(
                "its id is `{id}`, the manifest is of `{}`",
                described.to_text()
            ))
            .help("make the two agree")),
            _ => Ok(attributes.clone()),
        }
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

/// The object that is read: the manifest's, or where there is none the one that the id names.
fn identity_of(known: &Known<'_>) -> Result<Option<Identity>, Diagnostic> {
    let manifest = known.attributes.get("manifest");
    match (manifest.is_null(), known.id) {
        (true, Some(id)) => Identity::of_text(id).map(Some),
        (true, None) if known.purpose != Purpose::BeforeCreate => Ok(None),
        _ => Identity::of(&manifest),
    }
}

/// What is asked by a dry run; nothing while a part of the manifest is unknown.
fn trial(wanted: &Value) -> Result<Option<Trial>, Diagnostic> {
    let manifest = wanted.get("manifest");
    let force = wanted.get("force");
    let Some(identity) = Identity::of(&manifest)?.filter(|_| manifest.is_wholly_known()) else {
        return Ok(None);
    };
    Ok(Some(Trial {
        identity,
        manifest: plain(&manifest)?,
        force: force.as_bool().unwrap_or(false),
    }))
}

/// What a dry run told, for `heed_dry_run`.
fn told(known: &Known<'_>, answer: &Json) -> Result<Reading, Diagnostic> {
    let wanted = known.attributes.get("manifest");
    let told = serde_json::from_value(answer.clone())
        .map_err(|error| Diagnostic::bug(format!("a dry run's answer: {error}")))?;
    match told {
        Told::NotYet => Ok(Reading::Absent),
        Told::Refused(why) => Err(refused(&identity(known.attributes)?, &why)),
        Told::Object(object, conflicts) => {
            let observed = observed(&plain(&wanted)?, &object);
            let attributes = Value::object_of([
                ("observed", value(&observed).marked(&Marks::sensitive())),
                ("conflicts", dry_run::to_value(&conflicts)),
            ]);
            Ok(Reading::Found(Object {
                attributes,
                id: None,
            }))
        }
    }
}

/// Takes into the plan what the server would keep, and refuses what it would refuse.
fn heed_dry_run(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    let Some(told) = change.dry_run() else {
        return Ok(());
    };
    let manifest = change.planned.get("manifest");
    let conflicts = dry_run::of_value(&told.get("conflicts"));
    let (back, owned): (Vec<Conflict>, _) = conflicts
        .into_iter()
        .partition(|conflict| is_drift(std::slice::from_ref(conflict), change.prior));
    if !owned.is_empty() {
        let Some(identity) = Identity::of(&manifest)? else {
            return Err(Diagnostic::bug("a manifest whose identity is unknown"));
        };
        return Err(owned_by_others(&identity, &owned));
    }
    for conflict in back {
        let (field, manager) = (&conflict.field, &conflict.manager);
        change.note(format!("takes `{field}` back from `{manager}`"));
    }
    let kept = told.get("observed");
    let before = change.prior.map(|prior| {
        let (manifest, kept) = (prior.get("manifest"), prior.get("observed"));
        differences(&manifest, &kept)
    });
    let before = before.unwrap_or_default();
    let is_secret = manifest.deep_marks().is_sensitive();
    let news = differences(&manifest, &kept)
        .into_iter()
        .filter(|difference| !before.contains(difference));
    for (place, kept) in news.take(MOST_NOTES) {
        change.note(match kept {
            None => format!("the server does not keep `{place}`"),
            Some(_) if is_secret => format!("the server keeps `{place}` in another way"),
            Some(kept) => format!("the server keeps `{place}` as {kept}"),
        });
    }
    if change
        .prior
        .is_some_and(|prior| prior.get("observed") == kept)
    {
        change.note("what the server keeps stays as it is: only the record changes");
    }
    change.set("observed", kept);
    Ok(())
}

fn differences(manifest: &Value, kept: &Value) -> Vec<(String, Option<Json>)> {
    match (plain(manifest), plain(kept)) {
        (Ok(manifest), Ok(kept)) => kept_otherwise(&manifest, &kept),
        _ => Vec::new(),
    }
}

/// Whether all conflicts are of fields which dmp has set before, and that were changed by hand since.
fn is_drift(conflicts: &[Conflict], prior: Option<&Value>) -> bool {
    let before = prior.and_then(|prior| plain(&prior.get("manifest")).ok());
    before.is_some_and(|before| conflicts.iter().all(|conflict| conflict.is_drift(&before)))
}

fn owned_by_others(identity: &Identity, conflicts: &[Conflict]) -> Diagnostic {
    let mut diagnostic = Diagnostic::error("conflict", "another manager owns fields of a manifest")
        .path(AttributePath::of("manifest"))
        .detail(identity.to_string());
    let fields = conflicts
        .iter()
        .map(|conflict| format!("`{}` belongs to `{}`", conflict.field, conflict.manager));
    diagnostic = diagnostic.cause(fields.collect::<Vec<_>>().join("; "));
    diagnostic
        .help("take these fields out of the manifest, or set `force = true` to take them over")
}

fn refused(identity: &Identity, why: &str) -> Diagnostic {
    let diagnostic = Diagnostic::error("refused", "the server would refuse a manifest")
        .path(AttributePath::of("manifest"))
        .detail(identity.to_string())
        .cause(why);
    match why.contains("field is immutable") {
        true => diagnostic.help(
            "what can't be changed takes a new object: give it another name, or delete it first",
        ),
        false => diagnostic,
    }
}

fn not_applied(identity: &Identity, why: NotApplied) -> Diagnostic {
    match why {
        NotApplied::Failed(diagnostic) => *diagnostic,
        NotApplied::Conflicts(conflicts) => owned_by_others(identity, &conflicts),
    }
}

async fn apply(cx: &dyn Cx, cluster: &Cluster, job: &Job<'_>) -> Result<(), Diagnostic> {
    let wanted = job.wanted()?;
    let identity = identity(wanted)?;
    let manifest = plain(&wanted.get("manifest"))?;
    let force = wanted.get("force").as_bool().unwrap_or(false);
    cx.begin(&format!("apply {identity}")).await?;
    let call = cluster.apply(&identity, &manifest, force);
    let mut applied = telling(cx, &identity, cluster.patience(), call).await;
    if let Err(NotApplied::Conflicts(conflicts)) = &applied
        && is_drift(conflicts, job.prior)
    {
        applied = cluster.apply(&identity, &manifest, true).await;
    }
    applied.map_err(|why| not_applied(&identity, why))?;
    let seconds = wanted
        .get("wait_seconds")
        .as_i64()
        .and_then(|seconds| u64::try_from(seconds).ok());
    let limit = Duration::from_secs(seconds.unwrap_or(300));
    let left = |object: &Json| left_to_wait_for(wanted, object);
    wait(cx, cluster, &identity, limit, left).await
}

/// What an object has not become yet of what its arguments wait for.
fn left_to_wait_for(arguments: &Value, object: &Json) -> Option<String> {
    let rollout = arguments.get("wait_rollout").as_bool().unwrap_or(true);
    let mut left = if rollout { rollout_left(object) } else { None };
    let conditions = arguments.get("wait_conditions");
    for (name, value) in conditions.as_members().into_iter().flatten() {
        left = left.or_else(|| condition_left(object, name, value.as_str().unwrap_or("True")));
    }
    left
}

async fn delete(cx: &dyn Cx, cluster: &Cluster, job: &Job<'_>) -> Result<(), Diagnostic> {
    let prior = job.prior()?;
    let identity = identity(prior)?;
    if let Some(earlier) = job.earlier.filter(|earlier| !earlier.is_null()) {
        cx.begin(&format!("put back {identity}")).await?;
        let before = plain(&earlier.get("observed"))?;
        if !cluster.merge(&identity, &before).await? {
            return Ok(());
        }
        // Only its name is left to own: the fields that were dmp's alone go.
        let mut bare = json!({
            "apiVersion": identity.api_version, "kind": identity.kind, "metadata": { "name": identity.name },
        });
        if let Some(namespace) = &identity.namespace {
            bare["metadata"]["namespace"] = json!(namespace);
        }
        let applied = cluster.apply(&identity, &bare, true).await;
        return applied.map_err(|why| not_applied(&identity, why));
    }
    let uid = prior.get("uid");
    cx.begin(&format!("delete {identity}")).await?;
    let call = cluster.delete(&identity, uid.as_str());
    telling(cx, &identity, cluster.patience(), call).await?;
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

/// Waits for a call, and says so if that takes long.
async fn telling<T>(
    cx: &dyn Cx,
    identity: &Identity,
    limit: Duration,
    call: impl Future<Output = T> + Send,
) -> T {
    tokio::pin!(call);
    if let Ok(answer) = tokio::time::timeout(SLOW, &mut call).await {
        return answer;
    }
    cx.waiting(
        &format!("{identity}: the API server does not answer"),
        limit,
    );
    call.await
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

const MOST_NOTES: usize = 8;
const SLOW: Duration = Duration::from_secs(3);

fn identity(value: &Value) -> Result<Identity, Diagnostic> {
    Identity::of(&value.get("manifest"))?
        .ok_or_else(|| Diagnostic::bug("a manifest whose identity is unknown"))
}
