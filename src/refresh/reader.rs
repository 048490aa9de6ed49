//! Merges the fetches of many objects, asks, and hands the answers out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dmp_plan::redact::Secrets;
use dmp_plan::{Finding, ReadKind, ReadRequest};
use dmp_sdk::{
    Address, Answer, Answers, Configured, DataReading, Diagnostic, Fetch, FetchFailure, Known,
    Machine, Machines, Purpose, Query, Reading, Script,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};

/// Reads objects and data sources.
#[derive(Clone)]
pub struct Reader {
    machines: Arc<dyn Machines>,
    /// How long one exchange with a machine may take.
    pub deadline: Duration,
    tell: Option<Tell>,
    ahead: Arc<Mutex<Ahead>>,
}

/// What is asked of machines along with the rest, by their keys, because it will be wanted next.
#[derive(Default)]
struct Ahead {
    wishes: HashMap<String, Vec<Script>>,
    answers: HashMap<String, HashMap<Script, Answer>>,
}

impl Ahead {
    fn answer(&self, machine: &str, script: &Script) -> Option<&Answer> {
        self.answers.get(machine)?.get(script)
    }
}

/// Is told of whom nothing has been heard for a while, and in words for how long.
pub type Tell = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// An object that is being read.
struct Pending {
    request: ReadRequest,
    fetches: Vec<Fetch>,
    answers: Vec<Answer>,
}

/// Why a fetch has no answer.
#[derive(Clone)]
enum NoAnswer {
    Unreachable(String),
    Refused(String),
}

impl Reader {
    /// A reader over these machines.
    #[must_use]
    pub fn new(machines: Arc<dyn Machines>) -> Self {
        Self {
            machines,
            deadline: Duration::from_secs(120),
            tell: None,
            ahead: Arc::default(),
        }
    }

    /// A reader that asks a machine, in its first exchange with it, for this as well, and answers from that when it is
    /// asked. For one plan: what was asked early is as old as the rest that the plan rests on.
    #[must_use]
    pub fn foreseeing(&self, foreseen: &[ReadRequest]) -> Self {
        let mut wishes: HashMap<String, Vec<Script>> = HashMap::new();
        for request in foreseen {
            // A mistake in it shows when it is asked for.
            for fetch in first_fetches(request).unwrap_or_default() {
                if let Fetch::Script { on, script } = fetch {
                    wishes.entry(on.key()).or_default().push(script);
                }
            }
        }
        let ahead = Ahead {
            wishes,
            answers: HashMap::new(),
        };
        Self {
            ahead: Arc::new(Mutex::new(ahead)),
            ..self.clone()
        }
    }

    /// The same reader; it tells when an API takes long to answer.
    #[must_use]
    pub fn telling(mut self, tell: Tell) -> Self {
        self.tell = Some(tell);
        self
    }

    /// Reads all that is asked for, in as few exchanges as possible. What has a time of its own is read side by side
    /// with the rest, and can't be reached when that is over.
    pub async fn read(&self, requests: Vec<ReadRequest>) -> Vec<(Address, Finding)> {
        let mut apart: BTreeMap<Option<Duration>, Vec<ReadRequest>> = BTreeMap::new();
        for request in requests {
            apart.entry(request.within).or_default().push(request);
        }
        let read = apart.into_iter().map(|(within, requests)| async move {
            let Some(within) = within else {
                return self.read_together(requests).await;
            };
            let addresses: Vec<Address> = requests.iter().map(|one| one.address.clone()).collect();
            let patient = Self {
                deadline: within,
                ..self.clone()
            };
            match tokio::time::timeout(within, patient.read_together(requests)).await {
                Ok(findings) => findings,
                Err(_) => {
                    let why = format!(
                        "not read within {} s, the time that `timeouts` gives",
                        within.as_secs_f64()
                    );
                    let late = |address| (address, Finding::Unreachable(why.clone()));
                    addresses.into_iter().map(late).collect()
                }
            }
        });
        futures::future::join_all(read).await.concat()
    }

    async fn read_together(&self, requests: Vec<ReadRequest>) -> Vec<(Address, Finding)> {
        let mut findings = Vec::new();
        let mut pending = Vec::new();
        for request in requests {
            match first_fetches(&request) {
                Ok(fetches) => pending.push(Pending {
                    request,
                    fetches,
                    answers: Vec::new(),
                }),
                Err(diagnostic) => findings.push((request.address, Finding::Failed(diagnostic))),
            }
        }
        // A type that asks for more without end is a bug; no honest one needs this many rounds.
        for _ in 0..MAX_ROUNDS {
            if pending.is_empty() {
                return findings;
            }
            pending = self.round(pending, &mut findings).await;
        }
        for left in pending {
            let bug = Diagnostic::bug(format!(
                "`{}` asks for more without end",
                left.request.address
            ));
            findings.push((left.request.address, Finding::Failed(bug)));
        }
        findings
    }

    async fn round(
        &self,
        pending: Vec<Pending>,
        findings: &mut Vec<(Address, Finding)>,
    ) -> Vec<Pending> {
        let scripts = self.run_scripts(&pending).await;
        let queries = self.run_queries(&pending).await;
        let mut again = Vec::new();
        for mut object in pending {
            let mut failure = None;
            for fetch in &object.fetches {
                let answer = match fetch {
                    Fetch::Script { on, script } => self.answer(&scripts, &on.key(), script),
                    Fetch::Api(query) => queries[&object.request.provider_address][query].clone(),
                };
                match answer {
                    Ok(answer) => object.answers.push(answer),
                    Err(why) => failure = failure.or(Some(why)),
                }
            }
            let finding = match failure {
                Some(NoAnswer::Unreachable(why)) => Finding::Unreachable(why),
                Some(NoAnswer::Refused(why)) => Finding::Failed(
                    Diagnostic::remote("cannot-read", "cannot read an object").cause(why),
                ),
                None => match parse(&object) {
                    Ok(Parsed::Finding(finding)) => finding,
                    Ok(Parsed::More(fetches)) => {
                        object.fetches = fetches;
                        again.push(object);
                        continue;
                    }
                    Err(diagnostic) => Finding::Failed(diagnostic),
                },
            };
            let finding = match &finding {
                Finding::Unreachable(_) | Finding::Failed(_) | Finding::HalfMade(..) => {
                    secrets_of(&object.request).hide_in_finding(finding)
                }
                _ => finding,
            };
            findings.push((object.request.address, finding));
        }
        again
    }

    /// One exchange per machine, machines side by side.
    async fn run_scripts(&self, pending: &[Pending]) -> HashMap<String, MachineAnswers> {
        let mut wanted = self.wanted(pending);
        let early = self.ask_along(&mut wanted);
        let one = |(key, (machine, scripts, positions)): (String, Wanted)| {
            self.exchange(key, machine, scripts, positions).boxed()
        };
        let exchanges: Vec<BoxFuture<'_, _>> = wanted.into_iter().map(one).collect();
        let answers: HashMap<String, MachineAnswers> = stream::iter(exchanges)
            .buffer_unordered(MACHINES_AT_ONCE)
            .collect()
            .await;
        let mut ahead = lock(&self.ahead);
        for (key, scripts) in early {
            let Some(given) = answers.get(&key) else {
                continue;
            };
            let answered = scripts.into_iter().filter_map(|script| {
                let answer = given.answer(&script).ok()?;
                Some((script, answer))
            });
            ahead.answers.entry(key).or_default().extend(answered);
        }
        drop(ahead);
        answers
    }

    /// The scripts for each machine, each once, but for what is answered already.
    fn wanted(&self, pending: &[Pending]) -> BTreeMap<String, Wanted> {
        let ahead = lock(&self.ahead);
        let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
        for fetch in pending.iter().flat_map(|object| &object.fetches) {
            let Fetch::Script { on, script } = fetch else {
                continue;
            };
            let key = on.key();
            if ahead.answer(&key, script).is_some() {
                continue;
            }
            let (machine, scripts, positions) = wanted
                .entry(key)
                .or_insert_with(|| (on.clone(), Vec::new(), HashMap::new()));
            // Of equal connections the one with pins is used.
            if machine.host_keys.is_empty() && !on.host_keys.is_empty() {
                *machine = on.clone();
            }
            put(scripts, positions, script);
        }
        wanted
    }

    /// Adds what was foreseen of these machines, and returns it.
    fn ask_along(&self, wanted: &mut BTreeMap<String, Wanted>) -> Vec<(String, Vec<Script>)> {
        let mut ahead = lock(&self.ahead);
        let mut early = Vec::new();
        for (key, (_, scripts, positions)) in wanted {
            let Some(wishes) = ahead.wishes.remove(key) else {
                continue;
            };
            for script in &wishes {
                put(scripts, positions, script);
            }
            early.push((key.clone(), wishes));
        }
        early
    }

    fn answer(
        &self,
        asked: &HashMap<String, MachineAnswers>,
        machine: &str,
        script: &Script,
    ) -> Result<Answer, NoAnswer> {
        if let Some(answer) = lock(&self.ahead).answer(machine, script) {
            return Ok(answer.clone());
        }
        let none = || NoAnswer::Unreachable("the machine was not asked".into());
        asked.get(machine).ok_or_else(none)?.answer(script)
    }

    async fn exchange(
        &self,
        key: String,
        machine: Machine,
        scripts: Vec<Script>,
        positions: HashMap<Script, usize>,
    ) -> (String, MachineAnswers) {
        let result = self.machines.read(&machine, &scripts, self.deadline).await;
        let result = result.map_err(|unreachable| NoAnswer::Unreachable(unreachable.to_string()));
        let answers = result.map(|exchange| {
            let host_key: Arc<str> = exchange.host_key.into();
            let answer = |output| Answer::Script {
                output,
                host_key: Arc::clone(&host_key),
            };
            exchange.outputs.into_iter().map(answer).collect()
        });
        (key, MachineAnswers { positions, answers })
    }

    /// Each query of a provider configuration once.
    async fn run_queries(&self, pending: &[Pending]) -> HashMap<String, QueryAnswers> {
        let mut wanted: BTreeMap<String, (Arc<dyn Configured>, Vec<Query>)> = BTreeMap::new();
        let mut seen: HashSet<(&str, &Query)> = HashSet::new();
        for object in pending {
            let address = &object.request.provider_address;
            for fetch in &object.fetches {
                let Fetch::Api(query) = fetch else { continue };
                if seen.insert((address, query)) {
                    let provider = || (Arc::clone(&object.request.provider), Vec::new());
                    let (_, queries) = wanted.entry(address.clone()).or_insert_with(provider);
                    queries.push(query.clone());
                }
            }
        }
        let one = |(address, (provider, queries))| self.ask(address, provider, queries).boxed();
        let asked: Vec<BoxFuture<'_, _>> = wanted.into_iter().map(one).collect();
        stream::iter(asked)
            .buffer_unordered(MACHINES_AT_ONCE)
            .collect()
            .await
    }

    async fn ask(
        &self,
        address: String,
        provider: Arc<dyn Configured>,
        queries: Vec<Query>,
    ) -> (String, QueryAnswers) {
        let answers = self.patiently(&address, provider.fetch(&queries)).await;
        let answers = answers.into_iter().map(|answer| match answer {
            Ok(json) => Ok(Answer::Api(Arc::new(json))),
            Err(FetchFailure::Unreachable(why)) => Err(NoAnswer::Unreachable(why)),
            Err(FetchFailure::Refused(why) | FetchFailure::NotUnderstood(why)) => {
                Err(NoAnswer::Refused(why))
            }
        });
        (address, queries.iter().cloned().zip(answers).collect())
    }

    /// Waits for an answer, and tells while there is none.
    pub(crate) async fn patiently<T>(
        &self,
        address: &str,
        mut answer: impl Future<Output = T> + Unpin + Send,
    ) -> T {
        let mut waited = Duration::ZERO;
        loop {
            if let Ok(answer) = tokio::time::timeout(SLOW, &mut answer).await {
                return answer;
            }
            waited += SLOW;
            if let Some(tell) = &self.tell {
                tell(address, &format!("no answer for {} s", waited.as_secs()));
            }
        }
    }
}

/// A machine, the scripts for it in order, and the position of each.
type Wanted = (Machine, Vec<Script>, HashMap<Script, usize>);

fn put(scripts: &mut Vec<Script>, positions: &mut HashMap<Script, usize>, script: &Script) {
    if !positions.contains_key(script) {
        positions.insert(script.clone(), scripts.len());
        scripts.push(script.clone());
    }
}

/// The answers of one machine.
struct MachineAnswers {
    positions: HashMap<Script, usize>,
    answers: Result<Vec<Answer>, NoAnswer>,
}

impl MachineAnswers {
    fn answer(&self, script: &Script) -> Result<Answer, NoAnswer> {
        let answers = self.answers.as_ref().map_err(Clone::clone)?;
        let found = self
            .positions
            .get(script)
            .and_then(|position| answers.get(*position));
        found
            .cloned()
            .ok_or_else(|| NoAnswer::Unreachable("the machine's answer is incomplete".into()))
    }
}

type QueryAnswers = HashMap<Query, Result<Answer, NoAnswer>>;

enum Parsed {
    Finding(Finding),
    More(Vec<Fetch>),
}

fn lock(ahead: &Mutex<Ahead>) -> MutexGuard<'_, Ahead> {
    ahead.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether it takes an exchange with a machine to read this.
pub(crate) fn asks_a_machine(request: &ReadRequest) -> bool {
    machine_asked(request).is_some()
}

/// The machine that a request asks first, if it asks one.
pub(crate) fn machine_asked(request: &ReadRequest) -> Option<Machine> {
    let fetches = first_fetches(request).into_iter().flatten();
    let mut machines = fetches.filter_map(|fetch| match fetch {
        Fetch::Script { on, .. } => Some(on),
        _ => None,
    });
    machines.next()
}

fn first_fetches(request: &ReadRequest) -> Result<Vec<Fetch>, Diagnostic> {
    match &request.kind {
        ReadKind::Object { resource, .. } => resource.fetches(&known(request)),
        ReadKind::Data { source, config } => source.fetches(config),
    }
}

fn known(request: &ReadRequest) -> Known<'_> {
    match &request.kind {
        ReadKind::Object {
            purpose,
            attributes,
            object_id,
            chosen,
            mark,
            ..
        } => Known {
            address: &request.address,
            purpose: *purpose,
            id: object_id.as_deref(),
            attributes,
            chosen,
            mark: mark.as_ref(),
        },
        ReadKind::Data { config, .. } => Known {
            address: &request.address,
            purpose: Purpose::Refresh,
            id: None,
            attributes: config,
            chosen: config,
            mark: None,
        },
    }
}

fn parse(object: &Pending) -> Result<Parsed, Diagnostic> {
    let answers = Answers(&object.answers);
    match &object.request.kind {
        ReadKind::Object {
            resource,
            purpose: Purpose::Settle,
            ..
        } => {
            // `find` makes candidates of the last answers; a type that needs more says so through `parse`.
            if let Reading::More(fetches) = resource.parse(&known(&object.request), answers)? {
                return Ok(Parsed::More(fetches));
            }
            Ok(Parsed::Finding(Finding::Candidates(
                resource.find(&known(&object.request), answers)?,
            )))
        }
        ReadKind::Object { resource, .. } => {
            Ok(match resource.parse(&known(&object.request), answers)? {
                Reading::Found(found) => Parsed::Finding(Finding::Found(found)),
                Reading::HalfMade(found, why) => Parsed::Finding(Finding::HalfMade(found, why)),
                Reading::Absent => Parsed::Finding(Finding::Absent),
                Reading::More(fetches) => Parsed::More(fetches),
            })
        }
        ReadKind::Data { source, config } => Ok(match source.parse(config, answers)? {
            DataReading::Value(value) => Parsed::Finding(Finding::Data(value)),
            DataReading::More(fetches) => Parsed::More(fetches),
        }),
    }
}

const MAX_ROUNDS: usize = 16;
const MACHINES_AT_ONCE: usize = 64;
const SLOW: Duration = Duration::from_secs(3);

/// The secrets of what is known of an object that is read.
fn secrets_of(request: &ReadRequest) -> Secrets {
    match &request.kind {
        ReadKind::Object {
            attributes, chosen, ..
        } => Secrets::of([attributes, chosen]),
        ReadKind::Data { config, .. } => Secrets::of([config]),
    }
}
