//! The contract of a resource type, clause by clause, without the engine. Every provider's tests run all of it over each
//! of its resource types; each clause begins with a world of its own, made by the caller.
//!
//! A clause that does not apply to a type says so: [`Report::not_applicable`] is compared with the table [`TRIALS`], from
//! which `docs/extending/clauses.md` is made. What the engine promises beside the types stands in [`BY_THE_ENGINE`].

mod calls;
mod cancel;
mod clouds;
mod cut;
mod elsewhere;
mod leave;
mod life;
mod machines;
mod marks;
mod outside;
mod recorded;
mod subject;
mod trials;
mod values;

use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::machine::Machines;
use crate::resource::{Configured, Resource};
use crate::value::Value;

pub use elsewhere::{BY_THE_ENGINE, Elsewhere};
pub use trials::{TRIALS, Trial};

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
    /// Whether a stranger can remove the object; a setting always has some value.
    pub can_be_deleted: bool,
    /// Whether a stranger can alter the object without removing it.
    pub can_be_altered: bool,
    /// Counts the objects that dmp has made, without the provider. Needed where there is no natural key, and where two
    /// could come into being.
    pub census: Option<Census>,
    /// Whether the object still counts where it has effects beside itself; for types that leave.
    pub counts_elsewhere: Option<Elsewise>,
    /// Values as older versions of the schema recorded them, one for each at least.
    pub recorded: Vec<Recorded>,
}

/// Changes the world behind dmp's back.
pub type Outside = Box<dyn Fn(Stranger) + Send + Sync>;

/// Counts objects behind dmp's back.
pub type Census = Box<dyn Fn() -> usize + Send + Sync>;

/// Looks behind dmp's back whether something still counts.
pub type Elsewise = Box<dyn Fn() -> bool + Send + Sync>;

/// What a stranger does to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// Removes it.
    Deletes,
    /// Changes an attribute that the configuration sets.
    Alters,
}

/// A value as an older version of the schema recorded it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The schema's version.
    pub version: u32,
    /// The attributes of then.
    pub attributes: Value,
}

impl Case {
    /// A case without machines, without a change in place, that a stranger can alter.
    pub fn new(
        resource: Arc<dyn Resource>,
        provider: Arc<dyn Configured>,
        config: Value,
        outside: impl Fn(Stranger) + Send + Sync + 'static,
    ) -> Self {
        Self {
            resource,
            provider,
            machines: None,
            config,
            changed: None,
            outside: Box::new(outside),
            can_be_deleted: true,
            can_be_altered: true,
            census: None,
            counts_elsewhere: None,
            recorded: Vec::new(),
        }
    }

    /// The case with machines.
    #[must_use]
    pub fn on(mut self, machines: Arc<dyn Machines>) -> Self {
        self.machines = Some(machines);
        self
    }

    /// The case with a configuration that changes the object in place.
    #[must_use]
    pub fn changing(mut self, config: Value) -> Self {
        self.changed = Some(config);
        self
    }

    /// The case of an object that is there or not, and nothing between.
    #[must_use]
    pub fn never_altered(mut self) -> Self {
        self.can_be_altered = false;
        self
    }

    /// The case of an object that is always there.
    #[must_use]
    pub fn never_deleted(mut self) -> Self {
        self.can_be_deleted = false;
        self
    }

    /// The case with a way to count what dmp has made.
    #[must_use]
    pub fn counted(mut self, census: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        self.census = Some(Box::new(census));
        self
    }

    /// The case with a way to see whether the object counts elsewhere.
    #[must_use]
    pub fn counting_elsewhere(mut self, look: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.counts_elsewhere = Some(Box::new(look));
        self
    }

    /// The case with a value of an older version of the schema.
    #[must_use]
    pub fn recorded_as(mut self, version: u32, attributes: Value) -> Self {
        self.recorded.push(Recorded {
            version,
            attributes,
        });
        self
    }
}

/// Makes the world of a case anew.
pub type Make<'a> = &'a dyn Fn() -> Case;

/// What a clause came to: it holds or does not apply; if it is broken, how.
pub type Verdict = Result<Held, String>;

/// A clause that is not broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It was tried and holds.
    Holds,
    /// It was not tried: why it says nothing about this type.
    NotApplicable(&'static str),
}

/// A clause of the contract.
pub struct Clause {
    /// Its name.
    pub name: &'static str,
    /// What it promises, in a sentence.
    pub promise: &'static str,
    try_it: for<'a> fn(Make<'a>) -> LocalBoxFuture<'a, Verdict>,
}

impl Clause {
    /// Tries this clause alone.
    ///
    /// # Errors
    /// How it is broken.
    pub async fn try_on(&self, make: impl Fn() -> Case) -> Verdict {
        (self.try_it)(&make).await
    }
}

impl fmt::Debug for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clause").field(&self.name).finish()
    }
}

macro_rules! clauses {
    ($($theme:ident::$name:ident: $promise:literal),* $(,)?) => {
        &[$(Clause {
            name: stringify!($name),
            promise: $promise,
            try_it: |make| $theme::$name(make).boxed_local(),
        }),*]
    };
}

/// All clauses of the contract.
pub const CLAUSES: &[Clause] = clauses![
    life::nothing_or_the_earlier_is_found_before_a_create:
        "Before it is created there is no object or, at a natural key, what stood there before.",
    life::what_was_created_is_found_as_it_was_wanted:
        "After a create the object is found, whole, with every attribute known and as it was wanted.",
    life::a_second_plan_changes_nothing:
        "A plan over what was just created has nothing to do.",
    life::an_update_reaches_the_object:
        "An update makes of the object what was wanted, in place: its id stays.",
    life::deleting_twice_succeeds:
        "A delete of what is already gone is a success.",
    life::nothing_or_the_earlier_is_found_after_a_delete:
        "After a delete there is no object, or what stood there before it.",
    marks::exactly_one_candidate_is_found_after_a_create:
        "The mark alone leads from a create that was cut off to the one object that it left.",
    marks::anothers_object_is_no_candidate:
        "An object is found by the lineage and the instance of its mark together, and by no part of them.",
    marks::the_id_is_recorded_before_the_first_wait:
        "Whoever waits for an object to come about has recorded its id before.",
    marks::what_is_suspect_is_found_whole_or_half_made:
        "What is recorded as suspect is found when it is there, whole or half-made, and absent when it is gone.",
    cut::a_create_cut_off_anywhere_is_finished:
        "A create may be killed at every moment: at most one object is found, none only if none was made, and it is \
         finished as it was wanted.",
    cut::an_update_cut_off_anywhere_is_finished:
        "An update may be killed at every moment: the next one makes of the same object what was wanted.",
    cut::a_delete_cut_off_anywhere_is_finished:
        "A delete may be killed at every moment: the next one ends as if it had been the first.",
    cancel::nothing_is_written_after_a_wish_to_stop:
        "Where `begin` refuses because the person wants to stop, nothing is written.",
    cancel::a_wait_ends_soon_after_a_wish_to_stop:
        "A wait lets itself be ended within two seconds, and what was made by then is found.",
    leave::leaving_twice_succeeds_and_it_counts_no_more:
        "A leave of what has left is a success, and afterwards the object does not count where it had effects.",
    outside::what_a_stranger_deleted_is_absent:
        "What is gone is absent with authority, and deleting it succeeds.",
    outside::what_a_stranger_altered_is_seen_and_mended:
        "What a stranger altered is read as it is, and the next update mends it.",
    values::unknown_inputs_are_planned:
        "Any argument that is given may be unknown while it is planned: there is a plan, and never a panic.",
    values::an_unknown_key_is_not_asked_for:
        "Where a part of the natural key is unknown nothing is asked; elsewhere an unknown argument is no error.",
    values::secrets_keep_their_marks:
        "What was written as a secret is one when it is read back.",
    values::secrets_are_never_shown:
        "No debug text of a change, a job, a work, a step's title or a read object shows a secret.",
    recorded::what_older_versions_recorded_is_upgraded:
        "A value of every older version of the schema becomes one of the present version, the same each time; there is \
         no way from a newer one.",
];

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

/// What the clauses came to for one resource type.
#[derive(Debug)]
pub struct Report {
    resource_type: String,
    verdicts: Vec<(&'static str, Verdict)>,
}

impl Report {
    /// The clauses that do not hold.
    #[must_use]
    pub fn broken(&self) -> Vec<Broken> {
        let broken = |(clause, verdict): &(&'static str, Verdict)| {
            let how = verdict.as_ref().err()?.clone();
            Some(Broken { clause, how })
        };
        self.verdicts.iter().filter_map(broken).collect()
    }

    /// The clauses that say nothing about this type, and why.
    #[must_use]
    pub fn not_applicable(&self) -> Vec<(&'static str, &'static str)> {
        let passed_over = |(clause, verdict): &(&'static str, Verdict)| match verdict {
            Ok(Held::NotApplicable(why)) => Some((*clause, *why)),
            _ => None,
        };
        self.verdicts.iter().filter_map(passed_over).collect()
    }

    /// Compares with what [`TRIALS`] says of the test of this name.
    ///
    /// # Errors
    /// All clauses that do not hold, and each that did not apply although the table has it, or the other way round.
    pub fn judge(&self, test: &str) -> Result<(), String> {
        let trial = TRIALS.iter().find(|trial| trial.test == test);
        let Some(trial) = trial.filter(|trial| trial.resource_type == self.resource_type) else {
            return Err(format!(
                "`TRIALS` has no test `{test}` of `{}`",
                self.resource_type
            ));
        };
        let mut lines: Vec<String> = self.broken().iter().map(ToString::to_string).collect();
        let passed_over = self.not_applicable();
        for (clause, why) in &passed_over {
            if !trial.not_applicable.contains(clause) {
                lines.push(format!(
                    "{clause} was not tried ({why}), and `TRIALS` does not say so"
                ));
            }
        }
        for clause in trial.not_applicable {
            let is_passed_over = passed_over.iter().any(|(name, _)| name == clause);
            if !is_passed_over && !lines.iter().any(|line| line.starts_with(clause)) {
                lines.push(format!(
                    "{clause} was tried, and `TRIALS` says that it is not"
                ));
            }
        }
        if lines.is_empty() {
            Ok(())
        } else {
            Err(lines.join("\n"))
        }
    }
}

/// A line for each clause: `holds`, `not applicable` and why, or `BROKEN` and how.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (clause, verdict) in &self.verdicts {
            let words = match verdict {
                Ok(Held::Holds) => "holds".to_owned(),
                Ok(Held::NotApplicable(why)) => format!("not applicable: {why}"),
                Err(how) => format!("BROKEN: {how}"),
            };
            writeln!(f, "{} {clause}: {words}", self.resource_type)?;
        }
        Ok(())
    }
}

/// Tries every clause, each on cases of its own.
pub async fn check(make: impl Fn() -> Case) -> Report {
    let resource_type = make().resource.schema().name.to_string();
    let mut verdicts = Vec::new();
    for clause in CLAUSES {
        verdicts.push((clause.name, (clause.try_it)(&make).await));
    }
    Report {
        resource_type,
        verdicts,
    }
}
