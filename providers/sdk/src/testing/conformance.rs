//! The contract of a resource type, clause by clause, without the engine: read before create, create, second plan,
//! update, find, delete, what happens outside, unknown inputs, secrets. Every provider's tests run all of it over each
//! of its resource types; each clause begins with a world of its own, made by the caller.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use crate::address::Address;
use crate::change::Change;
use crate::diagnostic::Diagnostic;
use crate::machine::{Batch, BatchItem, ItemEnd, Machines, Report, Step};
use crate::marks::Marks;
use crate::resource::{
    Answer, Answers, Configured, Cx, Fetch, Job, Known, Mark, Object, Purpose, Reading, Resource,
    Verb, Work,
};
use crate::schema::{Attribute, MarkWay, Presence};
use crate::types::{Strictness, convert};
use crate::value::{Kind, Value};

/// What one resource type is tried with.
pub struct Case {
    /// The resource type.
    pub resource: Arc<dyn Resource>,
    /// A usable provider configuration.
    pub provider: Arc<dyn Configured>,
    /// Machines, for types that work on them.
    pub machines: Option<Arc<dyn Machines>>,
    /// What the configuration says; null or left out where it says nothing.
    pub config: Value,
    /// The same with a change that can be made in place; `None` if the type has none.
    pub changed: Option<Value>,
    /// Does to the object what a stranger would.
    pub outside: Outside,
}

/// Changes the world behind dmp's back.
pub type Outside = Box<dyn Fn(Stranger) + Send + Sync>;

/// What a stranger does to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// Removes it.
    Deletes,
    /// Changes an attribute that the configuration sets.
    Alters,
}

/// A clause that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The clause.
    pub clause: &'static str,
    /// How it is broken.
    pub how: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.clause, self.how)
    }
}

/// Whether a clause holds; if not, how it is broken.
pub type Verdict = Result<(), String>;

/// A clause by name.
pub type Clause = (&'static str, for<'a> fn(&'a Case) -> BoxFuture<'a, Verdict>);

macro_rules! clauses {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), |case| $name(case).boxed())),*] };
}

/// All clauses of the contract.
pub const CLAUSES: &[Clause] = clauses![
    nothing_or_the_earlier_is_found_before_a_create,
    what_was_created_is_found_as_it_was_wanted,
    a_second_plan_changes_nothing,
    an_update_reaches_the_object,
    exactly_one_candidate_is_found_after_a_create,
    deleting_twice_succeeds,
    nothing_or_the_earlier_is_found_after_a_delete,
    what_a_stranger_deleted_is_absent,
    what_a_stranger_altered_is_seen_and_mended,
    unknown_inputs_are_planned,
    an_unknown_key_is_not_asked_for,
    secrets_keep_their_marks,
    secrets_are_never_shown,
];

/// Tries every clause, each on a case of its own.
///
/// # Errors
/// All clauses that do not hold.
pub async fn check(make: impl Fn() -> Case) -> Result<(), Vec<Broken>> {
    let mut broken = Vec::new();
    for (clause, run) in CLAUSES {
        let case = make();
        if let Err(how) = run(&case).await {
            broken.push(Broken { clause, how });
        }
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken)
    }
}

/// Before it is created there is no object, or, at a natural key, what stood there before.
pub async fn nothing_or_the_earlier_is_found_before_a_create(case: &Case) -> Verdict {
    Subject::new(case).look_before().await.map(drop)
}

/// After a create the object is found, whole, with every attribute known and as it was wanted.
pub async fn what_was_created_is_found_as_it_was_wanted(case: &Case) -> Verdict {
    let mut subject = Subject::new(case);
    let (planned, found) = subject.create().await?;
    for name in case.resource.schema().attributes.keys() {
        if !found.get(name).is_wholly_known() {
            return Err(format!("`{name}` is unknown after the create"));
        }
    }
    same_where_known(&planned, &found)
}

/// A plan over what was just created has nothing to do.
pub async fn a_second_plan_changes_nothing(case: &Case) -> Verdict {
    let mut subject = Subject::new(case);
    let (_, found) = subject.create().await?;
    let again = subject.plan(&case.config, Some(&found))?;
    if again.replaces {
        return Err("the second plan replaces the object".into());
    }
    match differing(&again.value, &found).as_slice() {
        [] => Ok(()),
        names => Err(format!("the second plan changes `{}`", names.join("`, `"))),
    }
}

/// An update makes of the object what was wanted, in place: its id stays.
pub async fn an_update_reaches_the_object(case: &Case) -> Verdict {
    let Some(changed) = &case.changed else {
        return Ok(());
    };
    let mut subject = Subject::new(case);
    let (_, before) = subject.create().await?;
    let id = subject.id.clone();
    let plan = subject.plan(changed, Some(&before))?;
    if plan.replaces {
        return Err("the change demands a replacement".into());
    }
    if differing(&plan.value, &before).is_empty() {
        return Err("the change is not seen".into());
    }
    subject.update(&before, &plan.value).await?;
    let found = subject.found(Purpose::AfterWrite, &plan.value).await?;
    if subject.id != id {
        return Err("the id of the object has changed".into());
    }
    same_where_known(&plan.value, &found)?;
    let again = subject.plan(changed, Some(&found))?;
    match differing(&again.value, &found).as_slice() {
        [] => Ok(()),
        names => Err(format!("it is changed again: `{}`", names.join("`, `"))),
    }
}

/// The mark alone leads from a create that was cut off to the one object that it left, and to no other.
pub async fn exactly_one_candidate_is_found_after_a_create(case: &Case) -> Verdict {
    let mut subject = Subject::new(case);
    let (planned, _) = subject.create().await?;
    subject.id = None;
    let wanted = without_unknowns(&planned);
    let count = subject.candidates(&wanted).await?;
    if count != 1 {
        return Err(format!("{count} candidates instead of one"));
    }
    if case.resource.schema().has_natural_key() {
        return Ok(());
    }
    subject.mark.instance = "another".into();
    match subject.candidates(&wanted).await? {
        0 => Ok(()),
        _ => Err("it is also found by another's mark".into()),
    }
}

/// A delete of what is already gone is a success.
pub async fn deleting_twice_succeeds(case: &Case) -> Verdict {
    let mut subject = Subject::new(case);
    let (_, found) = subject.create().await?;
    subject.delete(&found).await?;
    subject.delete(&found).await
}

/// After a delete there is no object, or what stood there before it.
pub async fn nothing_or_the_earlier_is_found_after_a_delete(case: &Case) -> Verdict {
    let mut subject = Subject::new(case);
    let (_, found) = subject.create().await?;
    subject.delete(&found).await?;
    let earlier = subject.earlier.clone().filter(|earlier| !earlier.is_null());
    match (subject.read(Purpose::Refresh, &found).await?, earlier) {
        (Found::Absent, None) => Ok(()),
        (Found::Whole(object), Some(earlier)) => {
            match differing(&subject.conform(&object.attributes), &earlier).as_slice() {
                [] => Ok(()),
                names => Err(format!("`{}` is not as before", names.join("`, `"))),
            }
        }
        (Found::Absent, Some(_)) => Err("what stood there before is not back".into()),
        (_, None) => Err("it is still there".into()),
        (Found::HalfMade(why), _) => Err(format!("it is half-made: {why}")),
    }
}

/// What is gone is absent with authority, and deleting it succeeds.
pub async fn what_a_stranger_deleted_is_absent(case: &Case) -> Verdict {
    let mut subject = Subject::new(case);
    let (_, found) = subject.create().await?;
    (case.outside)(Stranger::Deletes);
    match subject.read(Purpose::Refresh, &found).await? {
        Found::Absent => subject.delete(&found).await,
        Found::Whole(_) | Found::HalfMade(_) => Err("it is still found".into()),
    }
}

/// What a stranger altered is read as it is, and the next update mends it.
pub async fn what_a_stranger_altered_is_seen_and_mended(case: &Case) -> Verdict {
    let mut subject = Subject::new(case);
    let (_, before) = subject.create().await?;
    (case.outside)(Stranger::Alters);
    let altered = subject.found(Purpose::Refresh, &before).await?;
    let plan = subject.plan(&case.config, Some(&altered))?;
    if differing(&plan.value, &altered).is_empty() {
        return Err("what a stranger altered is not seen".into());
    }
    if plan.replaces {
        return Ok(());
    }
    subject.update(&altered, &plan.value).await?;
    let found = subject.found(Purpose::AfterWrite, &plan.value).await?;
    same_where_known(&plan.value, &found)
}

/// Any argument that is given may be unknown while it is planned: there is a plan. Others may exclude each other, but
/// lead to no panic.
pub async fn unknown_inputs_are_planned(case: &Case) -> Verdict {
    let mut subject = Subject::new(case);
    let arguments = case.resource.schema().arguments();
    let (given, others): (Vec<String>, Vec<String>) = arguments
        .map(str::to_owned)
        .partition(|name| !case.config.get(name).is_null());
    let try_all = |subject: &Subject<'_>, prior: Option<&Value>| {
        for name in &given {
            let config = subject.with_unknown(&case.config, std::slice::from_ref(name));
            subject
                .plan(&config, prior)
                .map_err(|why| format!("`{name}` unknown: {why}"))?;
        }
        for name in &others {
            let config = subject.with_unknown(&case.config, std::slice::from_ref(name));
            let _ = subject.plan(&config, prior);
        }
        let config = subject.with_unknown(&case.config, &given);
        subject.plan(&config, prior).map(drop)
    };
    try_all(&subject, None)?;
    let (_, found) = subject.create().await?;
    try_all(&subject, Some(&found))
}

/// Where a part of the natural key is unknown nothing is asked; elsewhere an unknown argument is no error.
pub async fn an_unknown_key_is_not_asked_for(case: &Case) -> Verdict {
    let subject = Subject::new(case);
    let schema = case.resource.schema();
    let keys: &[&str] = match schema.mark {
        MarkWay::NaturalKey(keys) => keys,
        _ => &[],
    };
    for name in schema.arguments() {
        let attributes = subject.with_unknown(&case.config, &[name.to_owned()]);
        let known = subject.known(Purpose::BeforeCreate, &attributes);
        let fetches = case.resource.fetches(&known).map_err(said)?;
        if keys.contains(&name) && !fetches.is_empty() {
            return Err(format!("it is asked for although `{name}` is unknown"));
        }
    }
    Ok(())
}

/// What was written as a secret is one when it is read back: by the schema, or because it came from a secret.
pub async fn secrets_keep_their_marks(case: &Case) -> Verdict {
    let mut subject = Subject::new(case);
    let config = all_secret(&case.config);
    let (planned, found) = subject.create_from(&config).await?;
    let found = found.with_secrecy_of(&planned);
    for name in case.resource.schema().arguments() {
        let value = found.get(name);
        let was_given = !config.get(name).is_null();
        if was_given && !value.is_null() && !value.deep_marks().is_sensitive() {
            return Err(format!("`{name}` is no secret any more"));
        }
    }
    Ok(())
}

/// No debug text of a change, a job, a work or a read object shows a secret.
pub async fn secrets_are_never_shown(case: &Case) -> Verdict {
    let schema = case.resource.schema();
    let is_secret = |(name, _): &(&Arc<str>, &Attribute)| {
        let attribute = schema.attributes.get(name.as_ref());
        attribute.is_some_and(|attribute| attribute.sensitive || attribute.ephemeral)
    };
    let secrets: Vec<String> = schema
        .attributes
        .iter()
        .filter(is_secret)
        .filter_map(|(name, _)| case.config.get(name).as_str().map(ToOwned::to_owned))
        .collect();
    let mut subject = Subject::new(case);
    let (planned, found) = subject.create().await?;
    let wanted = without_unknowns(&planned);
    let mut texts = vec![
        format!("{planned:?}"),
        format!("{:?}", subject.conform(&found)),
    ];
    for verb in [Verb::Create, Verb::Update, Verb::Delete] {
        let job = subject.job(verb, Some(&found), Some(&wanted));
        texts.push(format!("{job:?}"));
        if let Ok(work) = case.resource.work(&job) {
            texts.push(format!("{work:?}"));
            if let Work::Steps(steps) = work {
                texts.extend(steps.into_iter().map(|step| step.title));
            }
        }
    }
    match texts
        .iter()
        .find(|text| secrets.iter().any(|secret| text.contains(secret)))
    {
        Some(text) => {
            let begin: String = text.chars().take(40).collect();
            Err(format!("a secret is in `{begin}…`"))
        }
        None => Ok(()),
    }
}

/// What a read found.
enum Found {
    Whole(Object),
    HalfMade(String),
    Absent,
}

/// A planned value.
struct Planned {
    value: Value,
    replaces: bool,
}

/// One object under trial, and what a state would hold of it.
struct Subject<'a> {
    case: &'a Case,
    address: Address,
    mark: Mark,
    id: Option<String>,
    chosen: Value,
    earlier: Option<Value>,
    works: u32,
}

impl<'a> Subject<'a> {
    fn new(case: &'a Case) -> Self {
        Self {
            case,
            address: Address::managed(&case.resource.schema().name, "tried"),
            mark: Mark {
                lineage: "conformance".into(),
                instance: "tried".into(),
            },
            id: None,
            chosen: Value::null(),
            earlier: None,
            works: 0,
        }
    }

    fn known<'k>(&'k self, purpose: Purpose, attributes: &'k Value) -> Known<'k> {
        Known {
            address: &self.address,
            purpose,
            id: self.id.as_deref(),
            attributes,
            chosen: &self.chosen,
            mark: Some(&self.mark),
        }
    }

    fn job<'k>(
        &'k self,
        verb: Verb,
        prior: Option<&'k Value>,
        wanted: Option<&'k Value>,
    ) -> Job<'k> {
        Job {
            verb,
            address: &self.address,
            mark: &self.mark,
            id: self.id.as_deref(),
            prior: prior.filter(|_| verb != Verb::Create),
            wanted: wanted.filter(|_| verb != Verb::Delete),
            chosen: &self.chosen,
            earlier: self.earlier.as_ref(),
            is_dead: false,
            has_successor: false,
        }
    }

    /// Looks at what stands at the natural key, and remembers it as the state would.
    async fn look_before(&mut self) -> Result<(), String> {
        if !self.case.resource.schema().has_natural_key() {
            return Ok(());
        }
        let attributes = self.value_of(&self.case.config, Some(&Value::null()));
        match self.read(Purpose::BeforeCreate, &attributes).await? {
            Found::Absent => self.earlier = Some(Value::null()),
            Found::Whole(object) => self.earlier = Some(self.conform(&object.attributes)),
            Found::HalfMade(why) => return Err(format!("half-made before it was made: {why}")),
        }
        Ok(())
    }

    async fn create(&mut self) -> Result<(Value, Value), String> {
        let config = self.case.config.clone();
        self.create_from(&config).await
    }

    /// Creates it; what was planned and what was found.
    async fn create_from(&mut self, config: &Value) -> Result<(Value, Value), String> {
        self.look_before().await?;
        let planned = self.plan(config, None)?.value;
        let wanted = without_unknowns(&planned);
        self.chosen = self.case.resource.choose(&wanted).map_err(said)?;
        self.carry_out(Verb::Create, None, Some(&wanted)).await?;
        let found = self.found(Purpose::AfterWrite, &wanted).await?;
        Ok((planned, found))
    }

    async fn update(&mut self, prior: &Value, planned: &Value) -> Verdict {
        let wanted = without_unknowns(planned);
        self.carry_out(Verb::Update, Some(prior), Some(&wanted))
            .await
    }

    async fn delete(&mut self, prior: &Value) -> Verdict {
        self.carry_out(Verb::Delete, Some(prior), None).await
    }

    fn plan(&self, config: &Value, prior: Option<&Value>) -> Result<Planned, String> {
        let schema = self.case.resource.schema();
        let config = self.conform(config);
        let mut change = Change {
            address: &self.address,
            schema,
            prior,
            earlier: self.earlier.as_ref().filter(|earlier| !earlier.is_null()),
            config: &config,
            planned: self.value_of(&config, prior),
            replacements: Vec::new(),
            effects: Vec::new(),
            notes: Vec::new(),
            dry_run: crate::DryRun::NotAsked,
        };
        self.case.resource.plan(&mut change).map_err(said)?;
        let value = self.conform(&change.planned).with_secrecy_of(&config);
        let changed = prior
            .map(|prior| differing(&value, prior))
            .unwrap_or_default();
        let demands = |name: &String| {
            let attribute = schema.attributes.get(name.as_str());
            attribute.is_some_and(|attribute| attribute.replaces)
        };
        Ok(Planned {
            replaces: !change.replacements.is_empty() || changed.iter().any(demands),
            value,
        })
    }

    /// Configuration, defaults and prior value together, as the engine proposes them.
    fn value_of(&self, config: &Value, prior: Option<&Value>) -> Value {
        let attributes = self.case.resource.schema().attributes.iter();
        let member = |(name, attribute): (&Arc<str>, &Attribute)| {
            let given = Some(config.get(name)).filter(|value| !value.is_null());
            let kept = || {
                let unknown = || Value::unknown(attribute.ty.clone());
                prior.map_or_else(unknown, |prior| prior.get(name))
            };
            let value = match (&attribute.presence, given) {
                (Presence::Computed, _) | (Presence::OptionalComputed, None) => kept(),
                (_, Some(value)) => value,
                (Presence::Optional(default), None) => default.clone().unwrap_or_default(),
                (Presence::Required, None) => Value::null(),
            };
            (Arc::clone(name), value)
        };
        self.conform(&Value::object(attributes.map(member).collect()))
    }

    /// A value with the types and secrets of the schema.
    fn conform(&self, value: &Value) -> Value {
        let attributes = self.case.resource.schema().attributes.iter();
        let member = |(name, attribute): (&Arc<str>, &Attribute)| {
            let given = value.get(name);
            let mut value = convert(&given, &attribute.ty, Strictness::Lenient).unwrap_or(given);
            if attribute.sensitive && !value.is_null() {
                value = value.marked(&Marks::sensitive());
            }
            (Arc::clone(name), value)
        };
        Value::object(attributes.map(member).collect())
    }

    fn with_unknown(&self, config: &Value, names: &[String]) -> Value {
        let schema = self.case.resource.schema();
        let make = |config: Value, name: &String| {
            let attribute = schema.attributes.get(name.as_str());
            match attribute {
                Some(attribute) => config.with(name, Value::unknown(attribute.ty.clone())),
                None => config,
            }
        };
        names.iter().fold(self.conform(config), make)
    }

    /// The object, whole.
    async fn found(&mut self, purpose: Purpose, attributes: &Value) -> Result<Value, String> {
        let attributes = without_unknowns(attributes);
        match self.read(purpose, &attributes).await? {
            Found::Whole(object) => {
                self.id = object.id.or(self.id.take());
                Ok(self
                    .conform(&object.attributes)
                    .with_secrecy_of(&attributes))
            }
            Found::HalfMade(why) => Err(format!("it is half-made: {why}")),
            Found::Absent => Err("it is not found".into()),
        }
    }

    async fn read(&self, purpose: Purpose, attributes: &Value) -> Result<Found, String> {
        let known = self.known(purpose, attributes);
        let mut fetches = self.case.resource.fetches(&known).map_err(said)?;
        let mut answers = Vec::new();
        for _ in 0..MAX_ROUNDS {
            answers.extend(self.ask(fetches).await?);
            let reading = self.case.resource.parse(&known, Answers(&answers));
            fetches = match reading.map_err(said)? {
                Reading::Found(object) => return Ok(Found::Whole(object)),
                Reading::HalfMade(_, why) => return Ok(Found::HalfMade(why)),
                Reading::Absent => return Ok(Found::Absent),
                Reading::More(fetches) => fetches,
            };
        }
        Err("it asks for more without end".into())
    }

    /// How many objects a create may have left.
    async fn candidates(&self, attributes: &Value) -> Result<usize, String> {
        let known = self.known(Purpose::Settle, attributes);
        let mut fetches = self.case.resource.fetches(&known).map_err(said)?;
        let mut answers = Vec::new();
        for _ in 0..MAX_ROUNDS {
            answers.extend(self.ask(fetches).await?);
            let reading = self.case.resource.parse(&known, Answers(&answers));
            let Reading::More(more) = reading.map_err(said)? else {
                let found = self.case.resource.find(&known, Answers(&answers));
                return Ok(found.map_err(said)?.len());
            };
            fetches = more;
        }
        Err("it asks for more without end".into())
    }

    async fn ask(&self, fetches: Vec<Fetch>) -> Result<Vec<Answer>, String> {
        let mut answers = Vec::new();
        for fetch in fetches {
            answers.push(match fetch {
                Fetch::Script { on, script } => {
                    let read = self.machines()?.read(&on, &[script], PATIENCE).await;
                    let exchange = read.map_err(|unreachable| unreachable.to_string())?;
                    let output = exchange.outputs.into_iter().next();
                    Answer::Script {
                        output: output.ok_or("a machine gave no answer")?,
                        host_key: exchange.host_key.into(),
                    }
                }
                Fetch::Api(query) => {
                    let answers = self.case.provider.fetch(&[query]).await;
                    let answer = answers.into_iter().next().ok_or("the API gave no answer")?;
                    Answer::Api(Arc::new(answer.map_err(|failure| failure.to_string())?))
                }
            });
        }
        Ok(answers)
    }

    fn machines(&self) -> Result<&Arc<dyn Machines>, String> {
        let machines = self.case.machines.as_ref();
        machines.ok_or_else(|| "it needs a machine, and the case has none".into())
    }

    async fn carry_out(
        &mut self,
        verb: Verb,
        prior: Option<&Value>,
        wanted: Option<&Value>,
    ) -> Verdict {
        self.works += 1;
        let job = self.job(verb, prior, wanted);
        let id = match self.case.resource.work(&job).map_err(said)? {
            Work::Steps(steps) => {
                self.run(steps).await?;
                None
            }
            Work::Calls => {
                let cx = Calls {
                    mark: &self.mark,
                    provider: self.case.provider.as_ref(),
                    id: Mutex::default(),
                };
                self.case.resource.call(&cx, &job).await.map_err(said)?;
                cx.id.into_inner().unwrap_or_else(PoisonError::into_inner)
            }
        };
        self.id = id.or(self.id.take());
        Ok(())
    }

    /// Runs steps in one batch: all have to be for one machine.
    async fn run(&self, steps: Vec<Step>) -> Verdict {
        let Some(on) = steps.first().map(|step| step.on.clone()) else {
            return Ok(());
        };
        let key = format!("conformance-{}-{}", std::process::id(), self.works);
        let batch = Batch {
            id: key.clone(),
            items: vec![BatchItem {
                key,
                label: self.address.to_string(),
                steps,
                read: Vec::new(),
                after: Vec::new(),
            }],
        };
        let (reports, mut incoming) = mpsc::channel(64);
        let follow = async {
            let (mut end, mut said) = (None, String::new());
            while let Some(report) = incoming.recv().await {
                match report {
                    Report::StepEnded { output, .. } => said = output.stderr,
                    Report::ItemEnded { end: ended, .. } => end = Some(ended),
                    Report::StepStarted { .. } => {}
                }
            }
            (end, said)
        };
        let machines = self.machines()?;
        let (ran, (end, said)) = futures::join!(machines.run(&on, &batch, reports), follow);
        ran.map_err(|unreachable| unreachable.to_string())?;
        let _ = machines.forget(&on, &[batch.id]).await;
        match end {
            Some(ItemEnd::Done) => Ok(()),
            end => Err(format!("the steps ended as {end:?}: {said}")),
        }
    }
}

/// What a call may do while it is tried.
struct Calls<'a> {
    mark: &'a Mark,
    provider: &'a dyn Configured,
    id: Mutex<Option<String>>,
}

#[async_trait]
impl Cx for Calls<'_> {
    fn mark(&self) -> &Mark {
        self.mark
    }

    fn provider(&self) -> &dyn Configured {
        self.provider
    }

    async fn begin(&self, _title: &str) -> Result<(), Diagnostic> {
        Ok(())
    }

    async fn record_id(&self, id: &str) -> Result<(), Diagnostic> {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
        Ok(())
    }

    fn waiting(&self, _what: &str, _deadline: Duration) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn said(diagnostic: Diagnostic) -> String {
    diagnostic.to_string()
}

/// The same value with null where something is unknown.
fn without_unknowns(value: &Value) -> Value {
    match value.kind() {
        Kind::Unknown(_) => Value::null(),
        _ => value.map_children(without_unknowns),
    }
}

/// The same value, all of it secret.
fn all_secret(config: &Value) -> Value {
    let secret = |value: &Value| match value.is_null() {
        true => value.clone(),
        false => value.clone().marked(&Marks::sensitive()),
    };
    config.map_children(secret)
}

fn same_where_known(planned: &Value, found: &Value) -> Verdict {
    let is_known = |name: &String| planned.get(name).is_wholly_known();
    let wrong: Vec<_> = differing(planned, found)
        .into_iter()
        .filter(is_known)
        .collect();
    match wrong.as_slice() {
        [] => Ok(()),
        names => Err(format!("`{}` is not as wanted", names.join("`, `"))),
    }
}

/// The attributes in which two values differ.
fn differing(one: &Value, two: &Value) -> Vec<String> {
    let members = one.as_members().into_iter().flatten();
    let differs = members.filter(|(name, value)| **value != two.get(name));
    differs.map(|(name, _)| name.to_string()).collect()
}

const MAX_ROUNDS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(60);
