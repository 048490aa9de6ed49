//! One object under trial, and what a state would hold of it. Does with it what the engine does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::Case;
use super::calls::{Calls, Stop};
use crate::address::Address;
use crate::change::Change;
use crate::diagnostic::Diagnostic;
use crate::machine::{Batch, BatchItem, ItemEnd, Machines, Report, Step};
use crate::marks::Marks;
use crate::resource::{
    Answer, Answers, Candidate, Fetch, Job, Known, Mark, Object, Purpose, Reading, Verb, Work,
};
use crate::schema::{Attribute, MarkWay, Presence};
use crate::types::{Strictness, convert};
use crate::value::{Kind, Value};

/// What a read found.
pub(super) enum Found {
    Whole(Object),
    HalfMade(Object, String),
    Absent,
}

/// A planned value.
pub(super) struct Planned {
    pub(super) value: Value,
    pub(super) replaces: bool,
}

/// How a work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It went to its end, and the engine has heard of it.
    Whole,
    /// It was cut off.
    CutOff(Left),
    /// The person wanted to stop: after how long it has ended.
    Stopped(Duration),
}

/// What the journal of a machine knows of a work that was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing was begun.
    Nothing,
    /// All of it is done.
    Done,
    /// Something of it may be there.
    Something,
}

/// One object under trial.
pub(super) struct Subject<'a> {
    case: &'a Case,
    address: Address,
    pub(super) mark: Mark,
    pub(super) id: Option<String>,
    chosen: Value,
    earlier: Option<Value>,
    /// What stood there before anything was begun, whatever was taken for it later.
    before_all: Option<Value>,
    pub(super) has_waited: bool,
    pub(super) has_waited_without_id: bool,
}

impl<'a> Subject<'a> {
    pub(super) fn new(case: &'a Case) -> Self {
        // What an instance keeps on a machine must not be taken for another's.
        static INSTANCES: AtomicU64 = AtomicU64::new(0);
        let number = INSTANCES.fetch_add(1, Ordering::Relaxed);
        Self {
            case,
            address: Address::managed(&case.resource.schema().name, "tried"),
            mark: Mark {
                lineage: "conformance".into(),
                instance: format!("tried-{}-{number}", std::process::id()),
            },
            id: None,
            chosen: Value::null(),
            earlier: None,
            before_all: None,
            has_waited: false,
            has_waited_without_id: false,
        }
    }

    /// Forgets the object: what is made next is another instance.
    pub(super) fn begin_anew(&mut self) {
        self.mark.instance.push_str("-anew");
        self.id = None;
    }

    pub(super) fn known<'k>(&'k self, purpose: Purpose, attributes: &'k Value) -> Known<'k> {
        Known {
            address: &self.address,
            purpose,
            id: self.id.as_deref(),
            attributes,
            chosen: &self.chosen,
            mark: Some(&self.mark),
        }
    }

    pub(super) fn job<'k>(
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
            prior,
            wanted: wanted.filter(|_| !matches!(verb, Verb::Delete | Verb::Leave)),
            chosen: &self.chosen,
            earlier: self.earlier.as_ref(),
            is_dead: false,
            has_successor: false,
        }
    }

    /// What stood at the natural key before dmp, if anything did.
    pub(super) fn what_was_before(&self) -> Option<&Value> {
        self.before_all
            .as_ref()
            .filter(|earlier| !earlier.is_null())
    }

    /// Looks at what stands at the natural key, and remembers it as the state would.
    pub(super) async fn look_before(&mut self) -> Result<(), String> {
        if !self.case.resource.schema().has_natural_key() {
            return Ok(());
        }
        self.earlier = Some(self.look().await?);
        if self.before_all.is_none() {
            self.before_all = self.earlier.clone();
        }
        Ok(())
    }

    /// What stands at the natural key; null if nothing does.
    pub(super) async fn look(&self) -> Result<Value, String> {
        let attributes = self.value_of(&self.case.config, Some(&Value::null()));
        match self.read(Purpose::BeforeCreate, &attributes).await? {
            Found::Absent => Ok(Value::null()),
            Found::Whole(object) => Ok(self.conform(&object.attributes)),
            Found::HalfMade(_, why) => Err(format!("half-made before it was made: {why}")),
        }
    }

    pub(super) async fn create(&mut self) -> Result<(Value, Value), String> {
        let config = self.case.config.clone();
        self.create_from(&config).await
    }

    /// Creates it; what was planned and what was found.
    pub(super) async fn create_from(&mut self, config: &Value) -> Result<(Value, Value), String> {
        let planned = self.prepare(config).await?;
        let wanted = without_unknowns(&planned);
        self.carry_out(Verb::Create, None, Some(&wanted), Stop::Never)
            .await?;
        let found = self.found(Purpose::AfterWrite, &wanted).await?;
        Ok((planned, found))
    }

    /// Looks, plans and chooses, as it is done before a create; the planned value.
    pub(super) async fn prepare(&mut self, config: &Value) -> Result<Value, String> {
        self.look_before().await?;
        let planned = self.plan(config, None)?.value;
        let wanted = without_unknowns(&planned);
        self.chosen = self
            .case
            .resource
            .choose(&self.mark, &wanted)
            .map_err(said)?;
        let chosen = self.case.resource.schema().chosen_id(&self.chosen);
        self.id = chosen.or_else(|| self.id.take());
        Ok(planned)
    }

    pub(super) async fn update(&mut self, prior: &Value, planned: &Value) -> Result<(), String> {
        let wanted = without_unknowns(planned);
        let ended = self.carry_out(Verb::Update, Some(prior), Some(&wanted), Stop::Never);
        ended.await.map(drop)
    }

    pub(super) async fn delete(&mut self, prior: &Value) -> Result<(), String> {
        let ended = self.carry_out(Verb::Delete, Some(prior), None, Stop::Never);
        ended.await.map(drop)
    }

    pub(super) async fn leave(&mut self, prior: &Value) -> Result<(), String> {
        let ended = self.carry_out(Verb::Leave, Some(prior), None, Stop::Never);
        ended.await.map(drop)
    }

    /// Fails if a plan over what was found has anything to do.
    pub(super) fn is_settled(&self, config: &Value, found: &Value) -> Result<(), String> {
        let again = self.plan(config, Some(found))?;
        if again.replaces {
            return Err("the second plan replaces the object".into());
        }
        match differing(&again.value, found).as_slice() {
            [] => Ok(()),
            names => Err(format!("the second plan changes `{}`", names.join("`, `"))),
        }
    }

    /// Fails if there is not, once more, what there was before dmp. `last` is what it last was.
    pub(super) async fn is_as_before(&self, last: &Value) -> Result<(), String> {
        if self.case.resource.schema().mark == MarkWay::Record {
            return Ok(());
        }
        let read = self.read(Purpose::Refresh, last).await?;
        match (read, self.what_was_before()) {
            (Found::Absent, None) => {}
            (Found::Whole(object), Some(earlier)) => {
                match differing(&self.conform(&object.attributes), earlier).as_slice() {
                    [] => {}
                    names => return Err(format!("`{}` is not as before", names.join("`, `"))),
                }
            }
            // What is dmp's alone is gone, and with it all that a refresh can see.
            (Found::Absent, Some(earlier)) => {
                if self.look().await? != *earlier {
                    return Err("what stood there before is not back".into());
                }
            }
            (Found::Whole(_), None) => return Err("it is still there".into()),
            (Found::HalfMade(_, why), _) => return Err(format!("it is half-made: {why}")),
        }
        let expected = usize::from(self.what_was_before().is_some());
        self.count_is(expected)
    }

    /// Fails if the case counts other objects than these.
    pub(super) fn count_is(&self, expected: usize) -> Result<(), String> {
        if self.case.resource.schema().mark == MarkWay::Record {
            return Ok(());
        }
        match &self.case.census {
            Some(census) if census() != expected => {
                Err(format!("{} objects instead of {expected}", census()))
            }
            None if !self.case.resource.schema().has_natural_key() => {
                Err("the case does not say how to count its objects".into())
            }
            _ => Ok(()),
        }
    }

    /// How many objects the case counts.
    pub(super) fn count(&self) -> Option<usize> {
        self.case.census.as_ref().map(|census| census())
    }

    pub(super) fn plan(&self, config: &Value, prior: Option<&Value>) -> Result<Planned, String> {
        self.plan_after(config, prior, false)
    }

    /// Plans after what is there, which may be half-made.
    pub(super) fn plan_after(
        &self,
        config: &Value,
        prior: Option<&Value>,
        is_half_made: bool,
    ) -> Result<Planned, String> {
        let schema = self.case.resource.schema();
        let config = self.conform(config);
        let mut change = Change {
            address: &self.address,
            schema,
            prior,
            is_half_made,
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
    pub(super) fn conform(&self, value: &Value) -> Value {
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

    pub(super) fn with_unknown(&self, config: &Value, names: &[String]) -> Value {
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
    pub(super) async fn found(
        &mut self,
        purpose: Purpose,
        attributes: &Value,
    ) -> Result<Value, String> {
        let attributes = without_unknowns(attributes);
        match self.read(purpose, &attributes).await? {
            Found::Whole(object) => Ok(self.take(object, &attributes)),
            Found::HalfMade(_, why) => Err(format!("it is half-made: {why}")),
            Found::Absent => Err("it is not found".into()),
        }
    }

    /// Takes an object over as the state would: its id, and its attributes with the secrecy of what was known of it.
    pub(super) fn take(&mut self, object: Object, known: &Value) -> Value {
        self.id = object.id.or(self.id.take());
        self.conform(&object.attributes).with_secrecy_of(known)
    }

    pub(super) async fn read(&self, purpose: Purpose, attributes: &Value) -> Result<Found, String> {
        let known = self.known(purpose, attributes);
        let mut fetches = self.case.resource.fetches(&known).map_err(said)?;
        let mut answers = Vec::new();
        for _ in 0..MAX_ROUNDS {
            answers.extend(self.ask(fetches).await?);
            let reading = self.case.resource.parse(&known, Answers(&answers));
            fetches = match reading.map_err(said)? {
                Reading::Found(object) => return Ok(Found::Whole(object)),
                Reading::HalfMade(object, why) => return Ok(Found::HalfMade(object, why)),
                Reading::Absent => return Ok(Found::Absent),
                Reading::More(fetches) => fetches,
            };
        }
        Err("it asks for more without end".into())
    }

    /// The objects that a create may have left.
    pub(super) async fn candidates(&self, attributes: &Value) -> Result<Vec<Candidate>, String> {
        let known = self.known(Purpose::Settle, attributes);
        let mut fetches = self.case.resource.fetches(&known).map_err(said)?;
        let mut answers = Vec::new();
        for _ in 0..MAX_ROUNDS {
            answers.extend(self.ask(fetches).await?);
            let reading = self.case.resource.parse(&known, Answers(&answers));
            let Reading::More(more) = reading.map_err(said)? else {
                let found = self.case.resource.find(&known, Answers(&answers));
                return found.map_err(said);
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

    /// Whether this work is done by calls, and not by steps.
    pub(super) fn is_by_calls(
        &self,
        verb: Verb,
        prior: Option<&Value>,
        wanted: Option<&Value>,
    ) -> Result<bool, String> {
        let work = self.case.resource.work(&self.job(verb, prior, wanted));
        Ok(matches!(work.map_err(said)?, Work::Calls))
    }

    /// Does a work, to its end or until it is stopped.
    pub(super) async fn carry_out(
        &mut self,
        verb: Verb,
        prior: Option<&Value>,
        wanted: Option<&Value>,
        stop: Stop,
    ) -> Result<Ended, String> {
        let job = self.job(verb, prior, wanted);
        match self.case.resource.work(&job).map_err(said)? {
            Work::Steps(steps) => self.run_until(steps, stop).await,
            Work::Calls => self.call_until(verb, prior, wanted, stop).await,
        }
    }

    async fn run_until(&self, mut steps: Vec<Step>, stop: Stop) -> Result<Ended, String> {
        let all = steps.len();
        let Stop::At(moment) = stop else {
            self.run(steps).await?;
            return Ok(Ended::Whole);
        };
        if moment > all || all == 0 {
            self.run(steps).await?;
            return Ok(Ended::Whole);
        }
        steps.truncate(moment);
        self.run(steps).await?;
        Ok(Ended::CutOff(match moment {
            0 => Left::Nothing,
            _ if moment == all => Left::Done,
            _ => Left::Something,
        }))
    }

    async fn call_until(
        &mut self,
        verb: Verb,
        prior: Option<&Value>,
        wanted: Option<&Value>,
        stop: Stop,
    ) -> Result<Ended, String> {
        let provider = self.case.provider.as_ref();
        let cx = Calls::new(&self.mark, provider, self.id.clone(), stop);
        let job = self.job(verb, prior, wanted);
        let ended = tokio::select! {
            biased;
            () = cx.is_cut() => None,
            called = self.case.resource.call(&cx, &job) => Some(called),
        };
        let (id, since_asked) = (cx.id(), cx.since_asked());
        let ended = match (ended, since_asked) {
            (_, Some(since)) => Ok(Ended::Stopped(since)),
            (None, None) => Ok(Ended::CutOff(Left::Something)),
            (Some(Ok(())), None) if cx.passes_its_end() => Ok(Ended::CutOff(Left::Something)),
            (Some(Ok(())), None) => Ok(Ended::Whole),
            (Some(Err(why)), None) => Err(said(why)),
        };
        let (has_waited, without_id) = (cx.has_waited(), cx.has_waited_without_id());
        self.has_waited |= has_waited;
        self.has_waited_without_id |= without_id && verb == Verb::Create;
        self.id = id;
        ended
    }

    /// Runs steps in one batch: all have to be for one machine.
    async fn run(&self, steps: Vec<Step>) -> Result<(), String> {
        static BATCHES: AtomicU64 = AtomicU64::new(0);
        let Some(on) = steps.first().map(|step| step.on.clone()) else {
            return Ok(());
        };
        let number = BATCHES.fetch_add(1, Ordering::Relaxed);
        let key = format!("conformance-{}-{number}", std::process::id());
        let batch = Batch {
            id: key.clone(),
            items: vec![BatchItem {
                key,
                label: self.address.to_string(),
                steps,
                within: None,
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

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn said(diagnostic: Diagnostic) -> String {
    diagnostic.to_string()
}

/// The same value with null where something is unknown.
pub(super) fn without_unknowns(value: &Value) -> Value {
    match value.kind() {
        Kind::Unknown(_) => Value::null(),
        _ => value.map_children(without_unknowns),
    }
}

/// The same value, all of it secret.
pub(super) fn all_secret(config: &Value) -> Value {
    let secret = |value: &Value| match value.is_null() {
        true => value.clone(),
        false => value.clone().marked(&Marks::sensitive()),
    };
    config.map_children(secret)
}

pub(super) fn same_where_known(planned: &Value, found: &Value) -> Result<(), String> {
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
pub(super) fn differing(one: &Value, two: &Value) -> Vec<String> {
    let members = one.as_members().into_iter().flatten();
    let differs = members.filter(|(name, value)| **value != two.get(name));
    differs.map(|(name, _)| name.to_string()).collect()
}

const MAX_ROUNDS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(60);
