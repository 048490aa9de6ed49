//! A plan that is kept for later. It binds lineage, serial, configuration and dmp's version; all it holds is sealed with
//! the state's key. Applying it plans again and holds the result against what was approved.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dmp_plan::envelope::{Late, compare};
use dmp_plan::instance::Decision;
use dmp_plan::{Earlier, Plan, Planned};
use dmp_sdk::codec::{decode, encode};
use dmp_sdk::{Action, Address, AttributePath, Diagnostic, Value};
use dmp_state::{Serial, Store};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use time::OffsetDateTime;

use crate::part::PartOf;
use crate::stack::{Stack, VERSION};

#[derive(Serialize, Deserialize)]
struct Envelope {
    format: u32,
    dmp: String,
    lineage: String,
    serial: Serial,
    digest: String,
    sealed: String,
}

#[derive(Serialize, Deserialize)]
struct Content {
    is_destroy: bool,
    #[serde(default)]
    part: PartOf,
    /// Seconds of Unix time: what `plantimestamp` gave.
    planned_at: i64,
    variables: BTreeMap<String, Json>,
    instances: Vec<Approved>,
    shown: String,
    json: Json,
}

#[derive(Serialize, Deserialize)]
struct Approved {
    address: Address,
    action: Action,
    planned: Option<Json>,
    is_read: bool,
}

/// A plan read back.
pub(crate) struct Saved {
    pub is_destroy: bool,
    /// The part of the stack that it was made for.
    pub part: PartOf,
    /// When it was made.
    pub planned_at: OffsetDateTime,
    pub variables: BTreeMap<Arc<str>, Value>,
    /// The plan as it was shown.
    pub shown: String,
    /// The plan for machines.
    pub json: Json,
    instances: BTreeMap<Address, (Action, Option<Value>, bool)>,
}

const OWNER: &str = "plan";

/// Writes a plan, readable by its owner only.
pub(crate) fn write(
    path: &Path,
    stack: &Stack,
    store: &Store,
    plan: &Plan,
    part: &PartOf,
    shown: String,
    json: Json,
) -> Result<(), Diagnostic> {
    let failed = |why: String| Diagnostic::error("plan-file", "cannot keep the plan").cause(why);
    let keys = store
        .keys()
        .ok_or_else(|| failed("the state was never begun".into()))?;
    let sealer = keys.sealer(OWNER);
    let sealed = |value: &Value| encode(value, &sealer).map_err(|error| failed(error.to_string()));
    let mut instances = Vec::new();
    for planned in plan
        .instances
        .values()
        .filter(|planned| planned.is_change())
    {
        instances.push(Approved {
            address: planned.address.clone(),
            action: planned.action,
            planned: planned.planned.as_ref().map(sealed).transpose()?,
            is_read: planned.earlier != Earlier::NotRead,
        });
    }
    let declared = &stack.configuration.root().variables;
    let mut variables = BTreeMap::new();
    for (name, value) in &stack.inputs {
        let mut marks = dmp_sdk::Marks::none();
        if declared
            .get(name)
            .is_some_and(|variable| variable.ephemeral)
        {
            marks = dmp_sdk::Marks::ephemeral();
        }
        variables.insert(name.to_string(), sealed(&value.clone().marked(&marks))?);
    }
    let content = Content {
        is_destroy: plan.is_destroy,
        part: part.clone(),
        planned_at: stack.opened.unix_timestamp(),
        variables,
        instances,
        shown,
        json,
    };
    let text = serde_json::to_string(&content).map_err(|error| failed(error.to_string()))?;
    let bytes = keys
        .seal_bytes(OWNER, &AttributePath::of("content"), text.as_bytes())
        .map_err(|error| failed(error.to_string()))?;
    let envelope = Envelope {
        format: 1,
        dmp: VERSION.to_owned(),
        lineage: store.snapshot().lineage.clone(),
        serial: store.snapshot().serial,
        digest: stack.configuration.digest.clone(),
        sealed: BASE64.encode(bytes),
    };
    let text = serde_json::to_string(&envelope).map_err(|error| failed(error.to_string()))?;
    write_private(path, &text).map_err(|error| failed(format!("`{}`: {error}", path.display())))
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // A temporary file is made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Reads a plan, and checks that it was made for just this stack in just this state.
pub(crate) fn read(path: &Path, digest: Option<&str>, store: &Store) -> Result<Saved, Diagnostic> {
    let failed =
        |why: String| Diagnostic::error("plan-file", "cannot use the saved plan").detail(why);
    let again = "make a new plan with `dmp plan --out`";
    let text = std::fs::read_to_string(path)
        .map_err(|error| failed(format!("`{}`: {error}", path.display())))?;
    let envelope: Envelope =
        serde_json::from_str(&text).map_err(|_| failed("this is not a saved plan".into()))?;
    if envelope.format != 1 || envelope.dmp != VERSION {
        return Err(failed(format!(
            "it was made by dmp {}, this is {VERSION}",
            envelope.dmp
        ))
        .help(again));
    }
    if envelope.lineage != store.snapshot().lineage {
        return Err(failed("it was made for another stack's state".into()).help(again));
    }
    if let Some(digest) = digest {
        if envelope.serial != store.snapshot().serial {
            let why = format!(
                "the state has changed: it had commit {}, it has {}",
                envelope.serial,
                store.snapshot().serial
            );
            return Err(failed(why).help(again));
        }
        if envelope.digest != digest {
            return Err(
                failed("the configuration has changed since the plan was made".into()).help(again),
            );
        }
    }
    let keys = store
        .keys()
        .ok_or_else(|| failed("there is no state".into()))?;
    let bytes = BASE64
        .decode(&envelope.sealed)
        .map_err(|_| failed("it is damaged".into()))?;
    let plain = keys
        .open_bytes(OWNER, &AttributePath::of("content"), &bytes)
        .ok_or_else(|| failed("it was changed after it was made".into()))?;
    let content: Content =
        serde_json::from_slice(&plain).map_err(|_| failed("it is damaged".into()))?;
    let sealer = keys.sealer(OWNER);
    let opened = |json: &Json| decode(json, &sealer).map_err(|error| failed(error.to_string()));
    let mut instances = BTreeMap::new();
    for approved in content.instances {
        let planned = approved.planned.as_ref().map(opened).transpose()?;
        instances.insert(
            approved.address,
            (approved.action, planned, approved.is_read),
        );
    }
    let mut variables = BTreeMap::new();
    for (name, json) in &content.variables {
        let value = opened(json)?;
        // A hole is filled from what is given with the apply.
        if value.is_wholly_known() {
            variables.insert(Arc::from(name.as_str()), value);
        }
    }
    let planned_at = OffsetDateTime::from_unix_timestamp(content.planned_at)
        .map_err(|_| failed("it is damaged".into()))?;
    Ok(Saved {
        is_destroy: content.is_destroy,
        part: content.part,
        planned_at,
        variables,
        shown: content.shown,
        json: content.json,
        instances,
    })
}

impl Saved {
    /// What a new plan would do beyond this one.
    pub(crate) fn beyond(&self, plan: &Plan, world: &dmp_plan::World) -> Vec<(Address, String)> {
        let mut beyond = Vec::new();
        for planned in plan
            .instances
            .values()
            .filter(|planned| planned.is_change())
        {
            let Some((action, value, is_read)) = self.instances.get(&planned.address) else {
                beyond.push((
                    planned.address.clone(),
                    "it is not in the saved plan".into(),
                ));
                continue;
            };
            if let Some(why) = exceeds(planned, *action, value.as_ref(), *is_read, world) {
                beyond.push((planned.address.clone(), why));
            }
        }
        beyond
    }
}

/// Whether what is planned now is within what was approved of the same instance in an earlier round.
pub(crate) fn is_within(now: &Planned, approved: &Planned, world: &dmp_plan::World) -> bool {
    // Of a replacement that was begun the old object may be gone; what stands there now was shown to nobody.
    let is_new_there = now.earlier.found().is_some() && approved.earlier.found().is_none();
    if approved.action.replaces() || is_new_there {
        return false;
    }
    let is_read = approved.earlier != Earlier::NotRead;
    exceeds(
        now,
        approved.action,
        approved.planned.as_ref(),
        is_read,
        world,
    )
    .is_none()
}

fn exceeds(
    planned: &Planned,
    action: Action,
    value: Option<&Value>,
    is_read: bool,
    world: &dmp_plan::World,
) -> Option<String> {
    let schema = world.schema_of(&planned.address)?;
    let mut approved = planned.clone();
    approved.action = action;
    approved.planned = value.map(|value| dmp_plan::instance::conform(schema, value));
    approved.earlier = if is_read {
        planned.earlier.clone()
    } else {
        Earlier::NotRead
    };
    let decision = Decision {
        action: planned.action,
        reasons: Vec::new(),
        prior: None,
        planned: planned.planned.clone().unwrap_or_default(),
        changed: Vec::new(),
        effects: Vec::new(),
        notes: Vec::new(),
        half_made: None,
        wants_dry_run: false,
    };
    if planned.action.deletes() || planned.planned.is_none() {
        let same = action == planned.action || (action.replaces() && planned.action.replaces());
        if !same {
            return Some("it would be deleted".into());
        }
    }
    if planned.planned.is_none() || planned.action == Action::Delete {
        return None;
    }
    match compare(&approved, &decision, &planned.earlier, schema) {
        Late::Within => None,
        Late::Beyond(why) => Some(why),
    }
}
