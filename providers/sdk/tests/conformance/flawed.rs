//! Resource types that break one clause each: what they do is done by a sound type, but for one flaw.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dmp_sdk::{
    Answers, Candidate, Change, Configured, Cx, Diagnostic, Fetch, Job, Known, Mark, Object,
    Purpose, Query, Reading, Resource, Schema, Value, Verb, Work,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    HalfMadeBeforeItIsMade,
    ReadsAnotherValue,
    NeverSettles,
    UpdatesNothing,
    FailsWhereItIsGone,
    DeletesNothing,
    FindsItTwice,
    FindsByTheInstanceAlone,
    RecordsItsIdTooLate,
    KnowsNoSuspects,
    MakesAnotherInsteadOfFinishing,
    UpdatesOnce,
    DeletesOnce,
    WritesAllTheSame,
    SleepsInAWait,
    NeverLeaves,
    SeesTheDead,
    SeesWhatItKnows,
    WantsEverythingKnown,
    AsksForAnUnknownKey,
    DropsAnArgument,
    TellsItsSecret,
    UpgradesNothing,
}

pub(crate) struct Flawed {
    pub(crate) inner: Arc<dyn Resource>,
    pub(crate) flaw: Flaw,
    has_begun: AtomicBool,
}

impl Flawed {
    pub(crate) fn new(inner: Arc<dyn Resource>, flaw: Flaw) -> Self {
        Self {
            inner,
            flaw,
            has_begun: AtomicBool::new(false),
        }
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }
}

fn refused() -> Diagnostic {
    Diagnostic::remote("refused", "refused")
}

#[async_trait::async_trait]
impl Resource for Flawed {
    fn schema(&self) -> &Schema {
        self.inner.schema()
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        if self.is(Flaw::AsksForAnUnknownKey) {
            return Ok(vec![Fetch::Api(Query("entries".into()))]);
        }
        self.inner.fetches(known)
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let as_known = || {
            let attributes = known.attributes.clone();
            let id = known.id.map(ToOwned::to_owned);
            Reading::Found(Object { attributes, id })
        };
        let reading = self.inner.parse(known, answers)?;
        Ok(match (self.flaw, known.purpose, reading) {
            (Flaw::HalfMadeBeforeItIsMade, Purpose::BeforeCreate, _) => {
                Reading::HalfMade(Object::default(), "it waits to be made".into())
            }
            (Flaw::ReadsAnotherValue, Purpose::AfterWrite, Reading::Found(mut object)) => {
                object.attributes = object.attributes.with("text", "another".into());
                Reading::Found(object)
            }
            (Flaw::KnowsNoSuspects, Purpose::Suspect, _) => Reading::Absent,
            (Flaw::SeesTheDead, Purpose::Refresh, Reading::Absent)
            | (Flaw::SeesWhatItKnows, Purpose::Refresh, Reading::Found(_)) => as_known(),
            (_, _, reading) => reading,
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        self.inner.plan(change)?;
        match self.flaw {
            Flaw::NeverSettles => change.unknown("id"),
            Flaw::DropsAnArgument => change.set("size", Value::null()),
            Flaw::WantsEverythingKnown if !change.config.is_wholly_known() => {
                return Err(refused());
            }
            _ => {}
        }
        Ok(())
    }

    fn choose(&self, mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        self.inner.choose(mark, wanted)
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        let work = self.inner.work(job)?;
        Ok(match (self.flaw, job.verb, work) {
            (Flaw::NeverLeaves, Verb::Leave, Work::Steps(_)) => Work::Steps(Vec::new()),
            (Flaw::TellsItsSecret, Verb::Create, Work::Steps(mut steps)) => {
                let wanted = job.wanted()?;
                let token = wanted.get("token");
                steps[0].title = format!("write {}", token.as_str().unwrap_or_default());
                Work::Steps(steps)
            }
            (_, _, work) => work,
        })
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        match (self.flaw, job.verb) {
            (Flaw::UpdatesNothing, Verb::Update) | (Flaw::DeletesNothing, Verb::Delete) => Ok(()),
            (Flaw::FailsWhereItIsGone, Verb::Delete)
                if self.has_begun.swap(true, Ordering::SeqCst) =>
            {
                Err(refused())
            }
            (Flaw::UpdatesOnce, Verb::Update) | (Flaw::DeletesOnce, Verb::Delete) => {
                cx.begin("say that it is under way").await?;
                if self.has_begun.swap(true, Ordering::SeqCst) {
                    return Err(refused());
                }
                self.inner.call(cx, job).await
            }
            (Flaw::MakesAnotherInsteadOfFinishing, Verb::Create) => {
                let another = Job {
                    id: None,
                    ..job.clone()
                };
                self.inner.call(cx, &another).await
            }
            _ => {
                let through = Through {
                    cx,
                    flaw: self.flaw,
                    late: Mutex::default(),
                };
                let called = self.inner.call(&through, job).await;
                let late = through.late.into_inner().expect("nobody has panicked");
                if let Some(id) = late {
                    cx.record_id(&id).await?;
                }
                called
            }
        }
    }

    fn leaves(&self) -> bool {
        self.inner.leaves()
    }

    fn find(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Vec<Candidate>, Diagnostic> {
        let mut known = known.clone();
        let ours = known.mark.map(|mark| Mark {
            lineage: "conformance".into(),
            instance: mark.instance.clone(),
        });
        if self.is(Flaw::FindsByTheInstanceAlone) {
            known.mark = ours.as_ref();
        }
        let mut found = self.inner.find(&known, answers)?;
        if self.is(Flaw::FindsItTwice) {
            found.extend(found.clone());
        }
        Ok(found)
    }

    fn upgrade(&self, from: u32, attributes: Value) -> Result<Value, Diagnostic> {
        if self.is(Flaw::UpgradesNothing) && from < self.schema().version {
            return Ok(attributes);
        }
        self.inner.upgrade(from, attributes)
    }
}

/// A call's rights, taken by somebody who does not keep to them.
struct Through<'a> {
    cx: &'a dyn Cx,
    flaw: Flaw,
    late: Mutex<Option<String>>,
}

#[async_trait::async_trait]
impl Cx for Through<'_> {
    fn mark(&self) -> &Mark {
        self.cx.mark()
    }

    fn provider(&self) -> &dyn Configured {
        self.cx.provider()
    }

    async fn begin(&self, title: &str) -> Result<(), Diagnostic> {
        match self.flaw {
            Flaw::WritesAllTheSame => Ok(()),
            _ => self.cx.begin(title).await,
        }
    }

    async fn record_id(&self, id: &str) -> Result<(), Diagnostic> {
        match self.flaw {
            Flaw::RecordsItsIdTooLate => {
                *self.late.lock().expect("nobody has panicked") = Some(id.to_owned());
                Ok(())
            }
            _ => self.cx.record_id(id).await,
        }
    }

    fn waiting(&self, what: &str, deadline: Duration) {
        self.cx.waiting(what, deadline);
        if self.flaw == Flaw::SleepsInAWait {
            std::thread::sleep(Duration::from_millis(2500));
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cx.is_cancelled()
    }
}
