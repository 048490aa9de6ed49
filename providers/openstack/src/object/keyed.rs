//! What has no id of its own worth recording: it is found by a natural key, such as a key pair by its name, or that a volume is
//! attached to a server. What stood there before dmp is left there in the end.

use std::sync::Arc;

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Change, Cx, Diagnostic, Effect, Fetch, Job, Known, Object, Purpose, Reading, Resource,
    Schema, Value, Verb, Work, configured,
};
use serde_json::Value as Json;

use super::{State, Task};
use crate::cloud::{Cloud, Question, believe};

/// What was found at a natural key.
pub(crate) struct Seen {
    /// All attributes.
    pub attributes: Value,
    /// What it is called by in an `import` block and in messages.
    pub id: String,
    /// How far it is.
    pub state: State,
}

/// What a type of this kind has of its own.
#[async_trait]
pub(crate) trait Keyed: Send + Sync + 'static {
    /// Its schema, with its natural key.
    fn schema(&self) -> Schema;

    /// What has to be asked, for a key that is wholly known. `alone`: only this object is looked at, so listings of all are
    /// not worth it.
    fn questions(&self, value: &Value, alone: bool) -> Vec<Question>;

    /// What the answers say; `None`: with authority nothing.
    fn read(&self, known: &Value, answers: &[&Json]) -> Result<Option<Seen>, Diagnostic>;

    /// Refines a change.
    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let _ = change;
        Ok(())
    }

    /// What a delete does to others.
    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        let _ = prior;
        (Vec::new(), Vec::new())
    }

    /// Brings about what is wanted, whatever of it is there already.
    async fn bring(&self, task: &Task<'_>, wanted: &Value) -> Result<(), Diagnostic>;

    /// Takes it away. Already gone is success.
    async fn remove(&self, task: &Task<'_>, prior: &Value) -> Result<(), Diagnostic>;

    /// Leaves what stood there before, or puts it back where it has become something else.
    async fn put_back(
        &self,
        task: &Task<'_>,
        prior: &Value,
        earlier: &Value,
    ) -> Result<(), Diagnostic> {
        let _ = (task, prior, earlier);
        Ok(())
    }
}

/// A resource type of this kind.
pub(crate) struct ByKey<K> {
    schema: Schema,
    model: K,
}

impl<K: Keyed> ByKey<K> {
    /// The type.
    pub(crate) fn of(model: K) -> Arc<dyn Resource> {
        Arc::new(Self {
            schema: model.schema(),
            model,
        })
    }

    fn key_is_known(&self, value: &Value) -> bool {
        let dmp_sdk::MarkWay::NaturalKey(keys) = self.schema.mark else {
            return false;
        };
        keys.iter().all(|key| value.get(key).is_wholly_known())
            && keys.iter().any(|key| !value.get(key).is_null())
    }
}

#[async_trait]
impl<K: Keyed> Resource for ByKey<K> {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn comes_within(&self) -> std::time::Duration {
        crate::object::COMES_WITHIN
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        if known.purpose == Purpose::DryRun || !self.key_is_known(known.attributes) {
            return Ok(Vec::new());
        }
        let alone = matches!(
            known.purpose,
            Purpose::AfterWrite | Purpose::Suspect | Purpose::Settle
        );
        let questions = self.model.questions(known.attributes, alone);
        questions.iter().map(Question::fetch).collect()
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        if answers.is_empty() {
            return Ok(Reading::Absent);
        }
        let found: Result<Vec<&Json>, Diagnostic> =
            (0..answers.len()).map(|at| answers.json(at)).collect();
        let found = found?;
        let Some(seen) = self.model.read(known.attributes, &found)? else {
            for answer in found {
                believe(answer, known.attributes)?;
            }
            return Ok(Reading::Absent);
        };
        let object = Object {
            attributes: seen.attributes,
            id: Some(seen.id),
        };
        Ok(match seen.state {
            State::Ready => Reading::Found(object),
            _ if matches!(known.purpose, Purpose::Import | Purpose::BeforeCreate) => {
                Reading::Found(object)
            }
            State::UnderWay(why) | State::Failed(why) => Reading::HalfMade(object, why),
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        self.model.plan(change)
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        self.model.plan_delete(prior)
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let cloud: &Cloud = configured(cx.provider())?;
        let task = Task { cx, job, cloud };
        match job.verb {
            Verb::Create | Verb::Update => self.model.bring(&task, job.wanted()?).await,
            Verb::Delete | Verb::Leave => {
                let prior = job.prior()?;
                match job.earlier.filter(|earlier| !earlier.is_null()) {
                    Some(earlier) => self.model.put_back(&task, prior, earlier).await,
                    None => self.model.remove(&task, prior).await,
                }
            }
        }
    }
}
