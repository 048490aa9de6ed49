//! What all types share whose objects are nothing but their record: their values are chosen once, kept in the state,
//! and never asked for outside.

use std::marker::PhantomData;

use dmp_sdk::{
    Answers, Attribute, AttributePath, Change, Diagnostic, Fetch, Job, Known, Mark, MarkWay, Marks,
    Object, Purpose, Reading, Resource, Schema, Type, Value, Work,
};

/// What one type adds.
pub(crate) trait Chosen: Send + Sync + 'static {
    /// Arguments that can be read from the results: where one is secret, the results are.
    const SHOWN: &'static [&'static str] = &[];

    /// Name, arguments and results; layer and mark are set for all alike.
    fn schema() -> Schema;

    /// Whether a secret could be read from the results.
    fn shows_a_secret(wanted: &Value) -> bool {
        let is_secret = |name: &&str| wanted.get(name).deep_marks().is_sensitive();
        Self::SHOWN.iter().any(is_secret)
    }

    /// Refuses what can never be chosen; arguments may be unknown.
    fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let _ = change;
        Ok(())
    }

    /// Chooses all results. Secrets need no mark: the schema says which they are.
    fn choose(mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic>;

    /// Arguments and results that the id of an `import` block stands for. By default there is no such id.
    fn read(id: &str) -> Result<Value, Diagnostic> {
        let _ = id;
        Err(
            Diagnostic::error("no-import", "it can't be imported").detail(format!(
                "a `{}` is made by dmp, and no id stands for all of it",
                Self::schema().name
            )),
        )
    }

    /// What follows from the recorded attributes and the answers to [`Chosen::fetches`].
    fn derive(attributes: Value, answers: Answers<'_>) -> Result<Value, Diagnostic> {
        let _ = answers;
        Ok(attributes)
    }

    /// What has to be asked beside the record: the time.
    fn fetches() -> Result<Vec<Fetch>, Diagnostic> {
        Ok(Vec::new())
    }
}

/// A resource type of such objects.
#[derive(Debug)]
pub(crate) struct Record<C> {
    schema: Schema,
    chosen: PhantomData<C>,
}

impl<C: Chosen> Record<C> {
    pub(crate) fn new() -> Self {
        Self {
            schema: C::schema().mark(MarkWay::Record),
            chosen: PhantomData,
        }
    }

    /// The attributes that only dmp sets.
    fn results(&self) -> impl Iterator<Item = &str> {
        let attributes = self.schema.attributes.iter();
        let results = attributes.filter(|(_, attribute)| !attribute.is_settable());
        results.map(|(name, _)| name.as_ref())
    }
}

impl<C: Chosen> Resource for Record<C> {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, _known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        C::fetches()
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let results = match (known.purpose, known.id) {
            (Purpose::Import, Some(id)) => C::read(id)?,
            // An object that was imported has no choice, and its results are among its attributes.
            _ => known.chosen.clone(),
        };
        let members = results.as_members().into_iter().flatten();
        let attributes = members.fold(known.attributes.clone(), |attributes, (name, value)| {
            attributes.with(name, value.clone().marked(results.marks()))
        });
        Ok(Reading::Found(Object {
            attributes: C::derive(attributes, answers)?,
            id: None,
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        C::check(change)?;
        if C::shows_a_secret(&change.planned) {
            for name in self.results() {
                let value = change.planned.get(name).marked(&Marks::sensitive());
                change.set(name, value);
            }
        }
        Ok(())
    }

    fn choose(&self, mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let chosen = C::choose(mark, wanted)?;
        let is_secret = |name: &&str| {
            let attribute = self.schema.attributes.get(*name);
            let is_declared = attribute.is_some_and(|attribute| attribute.sensitive);
            is_declared || C::shows_a_secret(wanted)
        };
        Ok(self
            .results()
            .filter(is_secret)
            .fold(chosen, |chosen, name| {
                let value = chosen.get(name);
                match value.is_null() {
                    true => chosen,
                    false => chosen.with(name, value.marked(&Marks::sensitive())),
                }
            }))
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Steps(Vec::new()))
    }
}

/// The argument that stands for what the object was chosen for.
pub(crate) fn keepers() -> Attribute {
    Attribute::optional(
        Type::map(Type::String),
        "Any values: when one changes, all is chosen anew.",
    )
    .replaces()
}

/// An argument is wrong.
pub(crate) fn wrong(
    attribute: &str,
    summary: &'static str,
    detail: impl Into<String>,
) -> Diagnostic {
    Diagnostic::error("invalid-argument", summary)
        .path(AttributePath::of(attribute))
        .detail(detail)
}

/// A planned whole number, if it is given and known.
pub(crate) fn whole(
    change: &Change<'_>,
    name: &str,
    least: i64,
    most: i64,
) -> Result<Option<i64>, Diagnostic> {
    let value = change.planned.get(name);
    if value.as_number().is_none() {
        return Ok(None);
    }
    match value.as_i64() {
        Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
        _ => Err(wrong(
            name,
            "not a possible number",
            format!("`{name}` is a whole number from {least} to {most}"),
        )),
    }
}

/// A whole number that was checked while planning.
pub(crate) fn number(wanted: &Value, name: &str) -> i64 {
    wanted.get(name).as_i64().unwrap_or_default()
}

/// A text; empty where there is none.
pub(crate) fn text(value: &Value, name: &str) -> String {
    value.get(name).as_str().unwrap_or_default().to_owned()
}

/// An id of an `import` block that says nothing.
pub(crate) fn no_such_id(form: &str) -> Diagnostic {
    Diagnostic::error("import-id", "the id of the `import` block has another form")
        .help(format!("write it as {form}"))
}
