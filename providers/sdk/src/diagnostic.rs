//! An error or a warning as data: what, where, why, in what state things are now, what to do.
//!
//! Words are chosen where the failure happens; only `report` prints. Providers name an attribute path, the
//! engine turns it into a place in a source file.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::Serialize;

use crate::address::Address;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The run goes on.
    Warning,
    /// What was asked for can't be done.
    Error,
}

/// Whose move it is; each kind has an exit code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The description, the command or the environment has to change.
    User,
    /// Something outside failed or refused.
    Remote,
    /// dmp itself is wrong.
    Bug,
}

/// A range of bytes in a source file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The file, as it was named to dmp.
    pub file: Arc<str>,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A step of a path into a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum PathStep {
    /// A member of an object or a map.
    Name(Arc<str>),
    /// An element of a list or tuple.
    Index(usize),
}

/// A path into a resource's value, such as `disk[0].size`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AttributePath(pub Vec<PathStep>);

impl AttributePath {
    /// The path of an attribute of the resource itself.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(vec![PathStep::Name(name.into())])
    }

    /// One step further in, by name.
    #[must_use]
    pub fn member(&self, name: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(PathStep::Name(name.into()));
        Self(steps)
    }

    /// One step further in, by position.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(PathStep::Index(index));
        Self(steps)
    }

    /// The attribute that the path begins with.
    #[must_use]
    pub fn attribute(&self) -> Option<&str> {
        match self.0.first()? {
            PathStep::Name(name) => Some(name),
            PathStep::Index(_) => None,
        }
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                PathStep::Name(name)
                    if name
                        .chars()
                        .all(|c| c.is_alphanumeric() || c == '_' || c == '-') =>
                {
                    write!(f, "{}{name}", if position > 0 { "." } else { "" })?;
                }
                PathStep::Name(name) => write!(f, "[{name:?}]")?,
                PathStep::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A note at a second place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is to be said there.
    pub text: String,
}

/// An error or a warning. One pointer wide, so that results stay small; its parts are in [`Details`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostic(Box<Details>);

impl Deref for Diagnostic {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl DerefMut for Diagnostic {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

/// The parts of a diagnostic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Details {
    /// How bad it is.
    pub severity: Severity,
    /// Whose move it is.
    pub fault: Fault,
    /// A stable name for machines, such as `unknown-attribute`.
    pub code: &'static str,
    /// A fixed lower-case phrase without names.
    pub summary: String,
    /// What is wrong at the place, with names and values in backticks.
    pub detail: String,
    /// The place in the source, if there is one.
    pub span: Option<Span>,
    /// Further places.
    pub labels: Vec<Label>,
    /// The attribute, as a provider names it.
    pub path: Option<AttributePath>,
    /// The instance, if it is about one.
    pub address: Option<Address>,
    /// Why, in the words of the failing side.
    pub cause: Option<String>,
    /// What was recorded, after an apply.
    pub state: Option<String>,
    /// What to do.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error that the user can mend.
    #[must_use]
    pub fn error(code: &'static str, summary: impl Into<String>) -> Self {
        Self(Box::new(Details {
            severity: Severity::Error,
            fault: Fault::User,
            code,
            summary: summary.into(),
            detail: String::new(),
            span: None,
            labels: Vec::new(),
            path: None,
            address: None,
            cause: None,
            state: None,
            help: Vec::new(),
        }))
    }

    /// A warning.
    #[must_use]
    pub fn warning(code: &'static str, summary: impl Into<String>) -> Self {
        let mut warning = Self::error(code, summary);
        warning.severity = Severity::Warning;
        warning
    }

    /// A failure of something outside.
    #[must_use]
    pub fn remote(code: &'static str, summary: impl Into<String>) -> Self {
        let mut failure = Self::error(code, summary);
        failure.fault = Fault::Remote;
        failure
    }

    /// A contradiction inside dmp.
    #[must_use]
    pub fn bug(detail: impl Into<String>) -> Self {
        let help = "this is a bug in dmp; please report it with the output of `dmp version` and this message";
        let mut bug = Self::error("bug", "internal contradiction");
        bug.fault = Fault::Bug;
        bug.detail(detail).help(help)
    }

    /// Sets what is wrong at the place.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Sets the place in the source.
    #[must_use]
    pub fn at(mut self, span: impl Into<Option<Span>>) -> Self {
        self.span = span.into();
        self
    }

    /// Adds a note at a second place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Sets the attribute.
    #[must_use]
    pub fn path(mut self, path: AttributePath) -> Self {
        self.path = Some(path);
        self
    }

    /// Sets the instance.
    #[must_use]
    pub fn address(mut self, address: &Address) -> Self {
        self.address = Some(address.clone());
        self
    }

    /// Sets the cause in the words of the failing side.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Sets what was recorded.
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }

    /// Adds a line of help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds "did you mean" for a misspelt name, where a candidate is near enough.
    #[must_use]
    pub fn did_you_mean<'a>(
        self,
        given: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        match nearest(given, candidates) {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// Whether it stops what was asked for.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// The candidate that a misspelt name probably stands for.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (given.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(given, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit || is_swapped(given, candidate))
        .min()
        .map(|(_, candidate)| candidate)
}

/// The same characters in another order, such as `siez` for `size`.
fn is_swapped(one: &str, two: &str) -> bool {
    let sorted = |text: &str| {
        let mut chars: Vec<char> = text.chars().collect();
        chars.sort_unstable();
        chars
    };
    one.len() > 2 && one.len() == two.len() && sorted(one) == sorted(two)
}

fn edit_distance(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in two.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[two.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        let names = ["cores", "memory", "size"];
        assert_eq!(nearest("core", names), Some("cores"));
        assert_eq!(nearest("siez", names), Some("size"));
        assert_eq!(nearest("bridge", names), None);
    }

    #[test]
    fn a_path_reads_as_it_is_written() {
        let path = AttributePath::of("disk")
            .index(0)
            .member("size")
            .member("a b");
        assert_eq!(path.to_string(), "disk[0].size[\"a b\"]");
    }
}
