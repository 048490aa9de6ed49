//! What most types have in common: an object of a collection, with an id that the server chooses, made by one POST that
//! carries its mark. A type says by a [`Kind`] where its collection is and which attribute is which member of the JSON, and by
//! [`Model`] what is its own.

mod calls;
mod keyed;
#[cfg(test)]
mod parts;
mod paths;
mod read;
mod remove;
mod task;
#[cfg(test)]
mod tests;
mod work;

use std::time::Duration;

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Attribute, Candidate, Change, Cx, Diagnostic, Effect, FailureDomain, Fetch, HoldsData,
    Job, Known, ListedBy, MarkWay, Reading, Resource, Schema, Type, Value, Work, configured,
};
use serde_json::{Map, Value as Json};

pub(crate) use keyed::{ByKey, Keyed, Seen};
pub(crate) use task::{Task, wait_for};

use crate::cloud::{Cloud, Question};
use crate::data_sources::Listed;
use crate::marked;
use crate::session::{Refusal, Service, Verb};
use crate::values::{items, text};

/// How long a create may take to be seen. Neutron on a busy machine of two cores took twelve seconds from a POST to its answer, and
/// five to the row that a listing shows, also where who had asked was killed meanwhile.
pub(crate) const COMES_WITHIN: Duration = Duration::from_secs(20);

/// Where objects of a type are, and what is what in their JSON.
#[derive(Debug)]
pub(crate) struct Kind {
    /// What one is called: `network`.
    pub noun: &'static str,
    /// Its service.
    pub service: Service,
    /// The path of the collection: `/networks`, or `/zones/{zone_id}/recordsets`, with the attribute in braces that says what its
    /// objects are part of.
    pub collection: &'static str,
    /// The path of the listing that shows all of an object.
    pub listing: &'static str,
    /// The member of an answer that has one object.
    pub one: &'static str,
    /// The member of an answer that has the listed ones.
    pub many: &'static str,
    /// The data source of all that is there; none where no listing shows it.
    pub listed_by: Option<ListedBy>,
    /// Where the mark stands.
    pub mark: Place,
    /// Whether an object can be changed by a PUT at all.
    pub changes: bool,
    /// Whether metadata are changed by a call of their own.
    pub metadata_apart: bool,
    /// Whether objects have tags, set by a call of their own.
    pub has_tags: bool,
    /// The attributes that are members of the JSON.
    pub fields: &'static [Field],
}

/// Where a mark stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Behind the text of the description.
    Description,
    /// Among the metadata.
    Metadata,
    /// Behind the name, where there is no other text.
    Name,
    /// As one more tag.
    Tags,
}

/// One attribute as a member of the JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// The attribute.
    pub attribute: &'static str,
    /// The member.
    pub member: &'static str,
    /// When it is sent.
    pub sent: Sent,
    /// What is sent where it is set no more.
    pub unset: Unset,
}

/// The data source of a type's objects: its name, its attribute with all of them, and what each is called by.
pub(crate) const fn by(
    data_source: &'static str,
    items: &'static str,
    name: &'static str,
) -> ListedBy {
    ListedBy {
        data_source,
        only: &[],
        items,
        id: "id",
        name,
    }
}

/// When a member is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Never: only the server sets it.
    Never,
    /// When the object is made.
    AtCreate,
    /// When it is made, and when it changes.
    Always,
}

/// What stands for "nothing" in an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unset {
    /// JSON's null.
    Null,
    /// The empty text.
    Text,
    /// The empty list.
    List,
    /// No names at all.
    Map,
}

/// A member that is set at create and changed later.
pub(crate) const fn changing(attribute: &'static str) -> Field {
    Field {
        attribute,
        member: attribute,
        sent: Sent::Always,
        unset: Unset::Null,
    }
}

/// A member that is set at create alone.
pub(crate) const fn fixed(attribute: &'static str) -> Field {
    Field {
        sent: Sent::AtCreate,
        ..changing(attribute)
    }
}

/// A member that the server sets.
pub(crate) const fn told(attribute: &'static str) -> Field {
    Field {
        sent: Sent::Never,
        ..changing(attribute)
    }
}

impl Field {
    /// The same, under another name in the JSON.
    pub(crate) const fn named(self, member: &'static str) -> Self {
        Self { member, ..self }
    }

    /// The same, with the empty text where it is set no more.
    pub(crate) const fn or_empty(self) -> Self {
        Self {
            unset: Unset::Text,
            ..self
        }
    }

    /// The same, with no names at all where it is set no more.
    pub(crate) const fn or_no_names(self) -> Self {
        Self {
            unset: Unset::Map,
            ..self
        }
    }

    /// The same, with the empty list where it is set no more.
    pub(crate) const fn or_none(self) -> Self {
        Self {
            unset: Unset::List,
            ..self
        }
    }
}

/// How far an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is as it will stay.
    Ready,
    /// Something is under way: what.
    UnderWay(String),
    /// It has failed: why.
    Failed(String),
}

/// What a type has of its own.
#[async_trait]
pub(crate) trait Model: Send + Sync + 'static {
    /// Where its objects are.
    fn kind(&self) -> &'static Kind;

    /// Its schema, without what all have.
    fn schema(&self) -> Schema;

    /// Where an object is made that is made by an action of something else: the path, and the name that the body stands under.
    fn making(&self, wanted: &Value) -> Option<(String, &'static str)> {
        let _ = wanted;
        None
    }

    /// The action of something else that removes an object with this id of its own: the path and the body.
    fn removing(&self, prior: &Value, id: &str) -> Option<(String, Json)> {
        let _ = (prior, id);
        None
    }

    /// More members of the creating call.
    fn fill(&self, wanted: &Value, body: &mut Map<String, Json>) {
        let _ = (wanted, body);
    }

    /// More of what was read, or what has to be read in another way.
    fn refine(&self, known: &Value, found: &Json, value: Value) -> Value {
        let _ = (known, found);
        value
    }

    /// How far an object is.
    fn state(&self, found: &Json) -> State {
        let _ = found;
        State::Ready
    }

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

    /// The worth of the data in one object.
    fn holds_data(&self, value: &Value) -> Option<HoldsData> {
        let _ = value;
        None
    }

    /// What the object is lost with.
    fn failure_domains(&self, value: &Value) -> Vec<FailureDomain> {
        let _ = value;
        Vec::new()
    }

    /// What the creating call can't take, and changes that are calls of their own. It is done after the object is made and
    /// after each update, and does nothing where all is as wanted.
    async fn settle(
        &self,
        task: &Task<'_>,
        id: &str,
        found: &Json,
        wanted: &Value,
    ) -> Result<(), Diagnostic> {
        let _ = (task, id, found, wanted);
        Ok(())
    }

    /// Whether nothing at all is wished where an attribute is null that the server would fill.
    fn takes_away(&self, wanted: &Value, attribute: &str) -> bool {
        let _ = (wanted, attribute);
        false
    }

    /// What a creating call has been refused for, in words of its own.
    fn explain(&self, refused: &Refusal) -> Option<String> {
        let _ = refused;
        None
    }

    /// How many bytes fit into the text that carries the mark.
    fn longest_text(&self) -> usize {
        marked::LONGEST_DESCRIPTION
    }

    /// The verb of a change.
    fn changes_by(&self) -> Verb {
        Verb::Put
    }

    /// What has to be waited for where a call is refused because something else is just changing, and the call is then sent again:
    /// its path, and the member of the answer that has it.
    fn busy(&self, refused: &Refusal) -> Option<(String, &'static str)> {
        let _ = refused;
        None
    }

    /// Whether it is going already, so that a delete is not sent again.
    fn is_going(&self, found: &Json) -> bool {
        let _ = found;
        false
    }

    /// Whether a delete is refused while something is under way, which is waited for then.
    fn goes_when_settled(&self) -> bool {
        false
    }

    /// Whether an object that was to go has failed to.
    fn is_stuck(&self, found: &Json) -> bool {
        text(found, "status").is_some_and(|status| status.eq_ignore_ascii_case("error_deleting"))
    }

    /// Why an object has failed, where it does not say so itself.
    async fn fault(&self, task: &Task<'_>, id: &str) -> Option<String> {
        let _ = (task, id);
        None
    }

    /// What still needs the object, where its delete is refused for that.
    async fn blockers(&self, task: &Task<'_>, id: &str) -> Vec<String> {
        let _ = (task, id);
        Vec::new()
    }
}

/// A resource type of such objects.
pub(crate) struct Objects<M> {
    schema: Schema,
    model: M,
}

impl<M: Model> Objects<M> {
    /// The type.
    pub(crate) fn of(model: M) -> Self {
        let kind = model.kind();
        let words = |doc| Attribute::optional(Type::String, doc);
        let mut schema = model.schema();
        if let Some(listed_by) = kind.listed_by {
            schema = schema.listed_by(listed_by);
        }
        schema = match kind.mark {
            Place::Description => schema.mark(MarkWay::Field("description")),
            Place::Metadata => schema.mark(MarkWay::Field("metadata")),
            Place::Name => schema.mark(MarkWay::Field("name")),
            Place::Tags => schema.mark(MarkWay::Field("tags")),
        };
        let mut own = |name: &str, attribute: Attribute| {
            schema.attributes.entry(name.into()).or_insert(attribute);
        };
        own("id", Attribute::computed(Type::String, "Its id."));
        own(
            "project_id",
            Attribute::computed(Type::String, "The project that it is in."),
        );
        match kind.mark {
            Place::Description => own(
                "description",
                words("A text about it. dmp's mark stands behind it."),
            ),
            Place::Metadata => own(
                "metadata",
                Attribute::optional(
                    Type::map(Type::String),
                    "Names and texts about it. dmp's mark is one more, `dmp_mark`.",
                ),
            ),
            Place::Tags => own(
                "tags",
                Attribute::optional(Type::set(Type::String), "Its tags. dmp's mark is one more."),
            ),
            Place::Name => {}
        }
        if kind.has_tags {
            own(
                "tags",
                Attribute::optional(Type::set(Type::String), "Its tags."),
            );
        }
        Self { schema, model }
    }

    /// A question for one object, by its recorded id.
    fn one(&self, id: &str) -> Result<Fetch, Diagnostic> {
        let kind = self.model.kind();
        let Some(path) = kind.path_of(id) else {
            let within = kind.within().unwrap_or_default();
            return Err(Diagnostic::error("unusable-id", "unusable id")
                .detail(format!(
                    "`{id}` does not say what the {} is part of",
                    kind.noun
                ))
                .help(format!(
                    "write it as `{}/ID`, with its `{within}` before its own id",
                    within.to_ascii_uppercase()
                )));
        };
        Question::One {
            service: kind.service,
            path,
        }
        .fetch()
    }

    /// The listing that what is part of `parent` is found in.
    fn listing(&self, parent: Option<&str>) -> Option<Question> {
        let kind = self.model.kind();
        let path = kind.listing_of(parent)?;
        Some(Question::list(kind.service, &path, kind.many))
    }
}

impl<M: Model> Listed for Objects<M> {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn listings(&self) -> Vec<Question> {
        self.listing(None).into_iter().collect()
    }

    fn objects(&self, nothing: &Value, answers: &[&Json]) -> Vec<Value> {
        let listed = answers.iter().flat_map(|answer| items(answer));
        listed
            .map(|object| self.attributes(nothing, object))
            .collect()
    }
}

#[async_trait]
impl<M: Model> Resource for Objects<M> {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn comes_within(&self) -> Duration {
        COMES_WITHIN
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        self.wanted_answers(known)
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        self.reading(known, answers)
    }

    fn find(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Vec<Candidate>, Diagnostic> {
        self.candidates(known, answers)
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        self.check_description(change)?;
        self.model.plan(change)
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        self.model.plan_delete(prior)
    }

    fn holds_data(&self, value: &Value) -> HoldsData {
        let own = self.model.holds_data(value);
        own.unwrap_or(self.schema.holds_data)
    }

    fn failure_domains(&self, value: &Value) -> Vec<FailureDomain> {
        self.model.failure_domains(value)
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let cloud: &Cloud = configured(cx.provider())?;
        self.carry_out(&Task { cx, job, cloud }).await
    }
}
