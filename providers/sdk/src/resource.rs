//! The contract of a resource type and of a data source, as the engine sees it.
//!
//! Reading has two phases: `fetches` says what is wanted from which connection, the engine merges and asks once,
//! `parse` makes something of the answers or asks for more. Writing is either steps as data on machines, which the
//! engine batches, detaches and attaches to again, or calls of an API through [`Cx`]. Only the engine reads: what a
//! write made is read back by it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::address::Address;
use crate::change::{Change, Effect, Intended};
use crate::claim::Claim;
use crate::diagnostic::Diagnostic;
use crate::function::ProviderFunction;
use crate::machine::{Machine, Machines, Step};
use crate::schema::{HoldsData, MarkWay, Schema};
use crate::script::{Output, Script};
use crate::value::Value;

/// The identity that dmp gives an object before it exists, and that the object carries outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// The state's lineage.
    pub lineage: String,
    /// The instance's id: minted once, whatever the address becomes.
    pub instance: String,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dmp.v1.{}.{}", self.lineage, self.instance)
    }
}

/// Why something is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The state records it as whole.
    Refresh,
    /// The state records it as suspect: a write was cut off or failed. A type that waits for something after its writes
    /// looks whether that has come about, and says *half-made* while it has not; all others read as for a refresh.
    Suspect,
    /// It has a natural key, and is about to be created.
    BeforeCreate,
    /// It is there already and is to become dmp's.
    Import,
    /// It was just written.
    AfterWrite,
    /// A write was cut off: look for what it left.
    Settle,
    /// Its `plan` wants to know what a create or an update would come to. What `parse` finds is given to `plan` as
    /// [`Change::dry_run`]; *absent* says that it can't be told yet.
    DryRun,
}

/// What is known of an object when it is to be read.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// The instance.
    pub address: &'a Address,
    /// Why it is read.
    pub purpose: Purpose,
    /// Its id at the provider, once there is one.
    pub id: Option<&'a str>,
    /// Recorded attributes; before a create and for a dry run the planned ones (which may have unknowns).
    pub attributes: &'a Value,
    /// What was chosen before the create.
    pub chosen: &'a Value,
    /// Its mark.
    pub mark: Option<&'a Mark>,
}

/// A wish for an answer.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "most are scripts, and each lives for one reading"
)]
pub enum Fetch {
    /// A script's output on a machine.
    Script {
        /// The machine.
        on: Machine,
        /// The script; it changes nothing.
        script: Script,
    },
    /// An answer of the API behind the instance's provider configuration. Equal queries are asked once.
    Api(Query),
}

/// A question to an API, understood by the provider that asks it. It may hold secrets, and is shown nowhere.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Query(pub String);

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Query(..)")
    }
}

/// What came back for a [`Fetch`].
#[derive(Clone, Debug)]
pub enum Answer {
    /// A script's output, and the host key of the machine.
    Script {
        /// What the script left.
        output: Output,
        /// The machine's host key.
        host_key: Arc<str>,
    },
    /// An API's answer.
    Api(Arc<Json>),
}

impl Answer {
    /// The output, of a script's answer.
    #[must_use]
    pub fn output(&self) -> Option<&Output> {
        match self {
            Self::Script { output, .. } => Some(output),
            Self::Api(_) => None,
        }
    }

    /// The JSON, of an API's answer.
    #[must_use]
    pub fn json(&self) -> Option<&Json> {
        match self {
            Self::Api(json) => Some(json),
            Self::Script { .. } => None,
        }
    }
}

/// Answers to all fetches of an object so far, in the order asked.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a>(pub &'a [Answer]);

impl<'a> Answers<'a> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The output of the script at a position.
    ///
    /// # Errors
    /// A bug, if there is no such answer.
    pub fn output(&self, index: usize) -> Result<&'a Output, Diagnostic> {
        let missing = || Diagnostic::bug(format!("no script's answer at position {index}"));
        self.0
            .get(index)
            .and_then(Answer::output)
            .ok_or_else(missing)
    }

    /// The JSON of the query at a position.
    ///
    /// # Errors
    /// A bug, if there is no such answer.
    pub fn json(&self, index: usize) -> Result<&'a Json, Diagnostic> {
        let missing = || Diagnostic::bug(format!("no API's answer at position {index}"));
        self.0.get(index).and_then(Answer::json).ok_or_else(missing)
    }

    /// The host key that the machine of the script at a position showed.
    #[must_use]
    pub fn host_key(&self, index: usize) -> Option<&'a str> {
        match self.0.get(index)? {
            Answer::Script { host_key, .. } => Some(host_key),
            Answer::Api(_) => None,
        }
    }
}

/// What a read found. *Unreachable* and *not configurable yet* are the engine's findings, not a provider's.
#[derive(Clone, Debug)]
pub enum Reading {
    /// The object, whole.
    Found(Object),
    /// The object, not finished: why.
    HalfMade(Object, String),
    /// With authority: there is none.
    Absent,
    /// More answers are needed.
    More(Vec<Fetch>),
}

/// An object as it was found.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// All attributes of the schema; what can't be read is taken from what is known.
    pub attributes: Value,
    /// Its id at the provider.
    pub id: Option<String>,
}

impl Default for Value {
    fn default() -> Self {
        Self::null()
    }
}

/// A part of the ground below a provider configuration which can fail as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FailureDomain {
    /// What it is, in the provider's word: `node`, `storage`, `zone`.
    pub kind: String,
    /// Its name there.
    pub name: String,
}

/// What is to be done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Make it.
    Create,
    /// Change it in place.
    Update,
    /// Remove it; already gone is success.
    Delete,
    /// Take it out of what knows it elsewhere, before it ends or after it is dead.
    Leave,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Leave => "leave",
        })
    }
}

/// One piece of work on one object. Everything in it is known.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// What to do.
    pub verb: Verb,
    /// The instance.
    pub address: &'a Address,
    /// The mark that the object has to carry.
    pub mark: &'a Mark,
    /// Its id at the provider.
    pub id: Option<&'a str>,
    /// The recorded and refreshed value; for a create, `None`.
    pub prior: Option<&'a Value>,
    /// What it shall be; for a delete, `None`.
    pub wanted: Option<&'a Value>,
    /// What was chosen before the create.
    pub chosen: &'a Value,
    /// What stood there before dmp owned it; null with authority: nothing. `None`: not known.
    pub earlier: Option<&'a Value>,
    /// Whether the object itself is dead (only for leave).
    pub is_dead: bool,
    /// Whether another takes its place (only for leave).
    pub has_successor: bool,
}

impl Job<'_> {
    /// What it shall be.
    ///
    /// # Errors
    /// A bug, in a delete.
    pub fn wanted(&self) -> Result<&Value, Diagnostic> {
        self.wanted
            .ok_or_else(|| Diagnostic::bug("a create or update without a wanted value"))
    }

    /// What it shall be; in a delete, what it is.
    ///
    /// # Errors
    /// A bug, where it is neither.
    pub fn value(&self) -> Result<&Value, Diagnostic> {
        self.wanted
            .or(self.prior)
            .ok_or_else(|| Diagnostic::bug("a work without a value"))
    }

    /// What it is.
    ///
    /// # Errors
    /// A bug, in a create.
    pub fn prior(&self) -> Result<&Value, Diagnostic> {
        self.prior
            .ok_or_else(|| Diagnostic::bug("an update or delete without a prior value"))
    }
}

/// How a piece of work is done.
#[derive(Clone, Debug)]
pub enum Work {
    /// Steps on machines, in order.
    Steps(Vec<Step>),
    /// Calls of an API: the engine calls [`Resource::call`].
    Calls,
}

/// What a work of calls may do besides calling: record, report, wait.
#[async_trait]
pub trait Cx: Send + Sync {
    /// The mark that the object has to carry.
    fn mark(&self) -> &Mark;

    /// The configured provider, to be downcast by `configured::<T>`.
    fn provider(&self) -> &dyn Configured;

    /// Names on the screen what is about to be changed, and is a place where dmp may be killed by a test. Fails if
    /// the user has asked to stop.
    async fn begin(&self, title: &str) -> Result<(), Diagnostic>;

    /// Records the object's id at the provider, durably; call it before the first wait.
    async fn record_id(&self, id: &str) -> Result<(), Diagnostic>;

    /// Names on the screen what is waited for; time until the next `begin` or the end is accounted for as waiting.
    fn waiting(&self, what: &str, deadline: Duration);

    /// Whether the user has asked to stop at once.
    fn is_cancelled(&self) -> bool;

    /// Says that the object is drafted, of a type that [takes effect with](Resource::takes_effect_with) others: those of
    /// them that need it may be drafted now, while this call goes on to let it take effect. Nothing by default.
    async fn drafted(&self) {}
}

/// The provider's own configured form behind a [`Cx`].
///
/// # Errors
/// A bug, if it is another provider's.
pub fn configured<T: 'static>(provider: &dyn Configured) -> Result<&T, Diagnostic> {
    provider
        .as_any()
        .downcast_ref()
        .ok_or_else(|| Diagnostic::bug("a resource was given another provider's connection"))
}

/// A resource type.
#[async_trait]
pub trait Resource: Send + Sync {
    /// What it looks like.
    fn schema(&self) -> &Schema;

    /// What has to be asked to read the object. Empty where it can't be asked yet because a part of its key is unknown.
    ///
    /// # Errors
    /// When the configuration is wrong in a way that only shows here; never for a remote reason.
    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic>;

    /// Makes a reading of the answers to all fetches so far. Must be pure.
    ///
    /// # Errors
    /// When an answer can't be understood.
    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic>;

    /// Refines a change. Must be pure; may see unknown values.
    ///
    /// # Errors
    /// When the change can never succeed.
    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let _ = change;
        Ok(())
    }

    /// What a delete does to others, and sentences for the plan: what goes, what stays. Must be pure; `prior` is what is
    /// recorded. Nothing by default.
    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        let _ = prior;
        (Vec::new(), Vec::new())
    }

    /// Whether the object is there but switched off: what lives on it can't be asked, and is as it was. Must be pure; may
    /// see unknown values. Never by default.
    fn is_off(&self, value: &Value) -> bool {
        let _ = value;
        false
    }

    /// The parts of the ground that the object is lost with although no resource describes them: the hypervisor that it
    /// runs on, the storage that holds its disks. Must be pure; may see unknown values, which name nothing. Nothing by
    /// default.
    fn failure_domains(&self, value: &Value) -> Vec<FailureDomain> {
        let _ = value;
        Vec::new()
    }

    /// Which worth the data of one object has, where that is not the same for all of the type. Must be pure; may see unknown
    /// values. What the schema says by default.
    fn holds_data(&self, value: &Value) -> HoldsData {
        let _ = value;
        self.schema().holds_data
    }

    /// What the object takes on its machine beside its own key; what contradicts the claims of another object is refused
    /// in the plan. Must be pure; may see unknown values, of which nothing is claimed. Nothing by default.
    fn claims(&self, value: &Value) -> Vec<Claim> {
        let _ = value;
        Vec::new()
    }

    /// Chooses what is to be chosen once and recorded before the first call: ids, names with the mark in them, minted
    /// keys. Secrets in it are to be marked sensitive. Null by default. Of a type that is marked by
    /// [`MarkWay::IdBefore`] the member of the id's name is the object's id from then on.
    ///
    /// # Errors
    /// When nothing can be chosen.
    fn choose(&self, mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let _ = (mark, wanted);
        Ok(Value::null())
    }

    /// Says how a piece of work is done.
    ///
    /// # Errors
    /// When it can't be done, in words a person understands.
    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic>;

    /// Does a piece of work by calls. Only called after `work` has said [`Work::Calls`].
    ///
    /// # Errors
    /// When a call failed for good; the engine reads what there is and records it as suspect.
    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let _ = (cx, job);
        Err(Diagnostic::bug("a resource type has no calls"))
    }

    /// How long after its call, at most, an object may come about that nobody sees before: a service works on when its caller is
    /// gone. After a run that was cut off what is not found is looked for so long before it is asked for again. Nothing by
    /// default: what is asked for is seen at once.
    fn comes_within(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }

    /// The name of what carries out drafts together, such as a cluster's network configuration. An object of such a type is
    /// drafted, and takes effect with all other drafts of the same name; its call says [`Cx::drafted`] in between. Drafts
    /// are made by calls alone. `None` by default.
    fn takes_effect_with(&self) -> Option<&'static str> {
        None
    }

    /// Whether the type has effects elsewhere that end by a `leave` before the object does.
    fn leaves(&self) -> bool {
        false
    }

    /// All objects that a create which was cut off may have left, among the answers to [`Resource::fetches`] for
    /// [`Purpose::Settle`]. By default the object with the natural key or the recorded id, if it is there.
    ///
    /// # Errors
    /// When an answer can't be understood.
    fn find(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Vec<Candidate>, Diagnostic> {
        Ok(match self.parse(known, answers)? {
            Reading::Found(object) => vec![Candidate {
                object,
                half_made: None,
            }],
            Reading::HalfMade(object, why) => vec![Candidate {
                object,
                half_made: Some(why),
            }],
            Reading::Absent | Reading::More(_) => Vec::new(),
        })
    }

    /// What is known of an object that is to be imported: the configuration's attributes and the id of the `import`
    /// block. By default an object with a natural key has the id at the key that the configuration names first, beside
    /// what it lives on; the two must agree. All others are read by the id alone.
    ///
    /// # Errors
    /// When the id names another object than the configuration, or objects of this type can't be imported.
    fn import(&self, id: &str, attributes: &Value) -> Result<Value, Diagnostic> {
        let schema = self.schema();
        let MarkWay::NaturalKey(keys) = schema.mark else {
            return Ok(attributes.clone());
        };
        let is_name = |key: &&&str| {
            let attribute = schema.attributes.get(**key);
            attribute.is_some_and(|attribute| attribute.hosting.is_none())
        };
        let Some(key) = keys.iter().find(is_name) else {
            return Err(
                Diagnostic::error("no-import", "it can't be imported").detail(format!(
                    "objects of type `{}` have no id to find them by",
                    schema.name
                )),
            );
        };
        let described = attributes.get(key);
        let text = match described.as_items() {
            Some(items) => {
                let names: Vec<_> = items.iter().filter_map(Value::as_str).collect();
                names.join(",")
            }
            None => described.as_str().unwrap_or_default().to_owned(),
        };
        if text == id {
            return Ok(attributes.clone());
        }
        Err(
            Diagnostic::error("import-id", "the `import` block names another object")
                .detail(format!(
                    "its id is `{id}`, `{key}` in the configuration is `{text}`"
                ))
                .help("make the two agree"),
        )
    }

    /// Turns attributes recorded with an older schema version into those of the next version.
    ///
    /// # Errors
    /// When there is no way from that version.
    fn upgrade(&self, from: u32, attributes: Value) -> Result<Value, Diagnostic> {
        let _ = attributes;
        Err(Diagnostic::bug(format!(
            "no upgrade of `{}` from schema version {from}",
            self.schema().name
        )))
    }
}

/// An object that a cut-off create may have left.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What it is.
    pub object: Object,
    /// Why it is not whole, if it isn't.
    pub half_made: Option<String>,
}

/// Something that is read and never owned.
pub trait DataSource: Send + Sync {
    /// What it looks like.
    fn schema(&self) -> &Schema;

    /// What has to be asked, for a wholly known configuration.
    ///
    /// # Errors
    /// When the configuration is wrong.
    fn fetches(&self, config: &Value) -> Result<Vec<Fetch>, Diagnostic>;

    /// Makes a value of the answers, or asks for more.
    ///
    /// # Errors
    /// When there is no such thing, or an answer can't be understood.
    fn parse(&self, config: &Value, answers: Answers<'_>) -> Result<DataReading, Diagnostic>;
}

/// What a data source made of the answers.
#[derive(Clone, Debug)]
pub enum DataReading {
    /// All attributes of its schema.
    Value(Value),
    /// More answers are needed.
    More(Vec<Fetch>),
}

/// A provider: a family of resource types.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Its name, which its resource types begin with.
    fn name(&self) -> &str;

    /// The schema of its `provider` block.
    fn schema(&self) -> &Schema;

    /// Its resource types.
    fn resources(&self) -> Vec<Arc<dyn Resource>>;

    /// Its data sources.
    fn data_sources(&self) -> Vec<Arc<dyn DataSource>> {
        Vec::new()
    }

    /// The pure functions that it brings into the language.
    fn functions(&self) -> Vec<ProviderFunction> {
        Vec::new()
    }

    /// Makes a usable form of a wholly known configuration. No remote call yet.
    ///
    /// # Errors
    /// When the configuration is wrong.
    fn configure(
        &self,
        config: &Value,
        machines: Arc<dyn Machines>,
    ) -> Result<Arc<dyn Configured>, Diagnostic>;
}

/// A configured provider: the wire to its API.
#[async_trait]
pub trait Configured: Send + Sync {
    /// For `configured::<T>`.
    fn as_any(&self) -> &dyn Any;

    /// Answers queries, each once; in the same order.
    async fn fetch(&self, queries: &[Query]) -> Vec<Result<Json, FetchFailure>> {
        let none = |_| {
            Err(FetchFailure::NotUnderstood(
                "this provider has no API".into(),
            ))
        };
        queries.iter().map(none).collect()
    }

    /// Looks whether the changes of a plan can succeed, before the first is made: permissions, quotas, capacity, names,
    /// versions. Changes nothing. What it finds is part of the plan: an error refuses it. Values may be unknown. Called
    /// once for each configuration that has changes and that is known while planning.
    async fn preflight(&self, changes: &[Intended<'_>]) -> Vec<Diagnostic> {
        let _ = changes;
        Vec::new()
    }
}

/// Answers side by side, so many at once, in their order: how most providers fetch.
pub async fn side_by_side(
    answers: Vec<BoxFuture<'_, Result<Json, FetchFailure>>>,
    at_once: usize,
) -> Vec<Result<Json, FetchFailure>> {
    futures::stream::iter(answers)
        .buffered(at_once)
        .collect()
        .await
}

/// A provider without an API of its own: everything it does is on machines.
#[derive(Clone, Copy, Debug)]
pub struct OnMachines;

impl Configured for OnMachines {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Why an API gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchFailure {
    /// It can't be reached: what depends on it is *unreachable*.
    #[error("{0}")]
    Unreachable(String),
    /// It refused or failed.
    #[error("{0}")]
    Refused(String),
    /// The query has no meaning to it: a bug.
    #[error("{0}")]
    NotUnderstood(String),
}
