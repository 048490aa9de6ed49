//! Which instances a block has: one, `count` of them, or one for each member.

use std::collections::BTreeMap;
use std::sync::Arc;

use dmp_lang::config::Repetition;
use dmp_sdk::{Diagnostic, Key, Kind, Marks, Members, Type, Value};

use super::{Place, World};

/// The instances of a block or of a module call.
#[derive(Clone, Debug)]
pub struct Expansion {
    /// Which.
    pub instances: Instances,
    /// The marks of the value that decided it.
    marks: Marks,
}

/// Which instances there are.
#[derive(Clone, Debug)]
pub enum Instances {
    /// One, without a key.
    Single,
    /// None, of a block that would be one.
    Disabled,
    /// That many, by position.
    Count(u64),
    /// One for each, by name.
    Each(BTreeMap<Arc<str>, Value>),
    /// Decided later.
    Unknown,
}

impl Expansion {
    /// One instance without a key.
    #[must_use]
    pub fn single() -> Self {
        Self {
            instances: Instances::Single,
            marks: Marks::none(),
        }
    }

    /// Decided later, by what these are the marks of.
    #[must_use]
    pub fn unknown(marks: Marks) -> Self {
        Self {
            instances: Instances::Unknown,
            marks,
        }
    }

    /// Whether it is decided later.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.instances, Instances::Unknown)
    }

    /// Whether `enabled` says that there is none.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        matches!(self.instances, Instances::Disabled)
    }

    /// The marks of the value that decided it.
    #[must_use]
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Whether the value of a member was not known when the repetition was evaluated.
    #[must_use]
    pub fn waits_for(&self, key: Option<&Key>) -> bool {
        match (&self.instances, key) {
            (Instances::Each(members), Some(Key::Name(name))) => members
                .get(name)
                .is_some_and(|value| !value.is_wholly_known()),
            _ => false,
        }
    }

    /// The keys of all instances; none while it is decided later.
    #[must_use]
    pub fn keys(&self) -> Vec<Option<Key>> {
        match &self.instances {
            Instances::Single => vec![None],
            Instances::Disabled => Vec::new(),
            Instances::Count(count) => (0..*count).map(|index| Some(Key::Index(index))).collect(),
            Instances::Each(members) => members
                .keys()
                .map(|name| Some(Key::Name(Arc::clone(name))))
                .collect(),
            Instances::Unknown => Vec::new(),
        }
    }

    /// The value that all instances together are.
    pub(super) fn collect(&self, mut value: impl FnMut(Option<Key>) -> Value) -> Value {
        match &self.instances {
            Instances::Single => value(None),
            Instances::Disabled => Value::null(),
            Instances::Count(count) => Value::tuple(
                (0..*count)
                    .map(|index| value(Some(Key::Index(index))))
                    .collect(),
            ),
            Instances::Each(members) => {
                let member =
                    |name: &Arc<str>| (Arc::clone(name), value(Some(Key::Name(Arc::clone(name)))));
                Value::object(members.keys().map(member).collect::<Members>())
            }
            Instances::Unknown => Value::unknown(Type::Any).marked(&self.marks),
        }
    }
}

impl World {
    /// Evaluates `count` or `for_each`.
    ///
    /// # Errors
    /// When the value is of no use for either.
    pub fn expand(
        &self,
        repetition: Option<&Repetition>,
        place: &Place,
    ) -> Result<Expansion, Vec<Diagnostic>> {
        let Some(repetition) = repetition else {
            return Ok(Expansion::single());
        };
        let value = self.evaluate(repetition.expr(), place)?;
        let fail = |detail: &str, help: &str| {
            let diagnostic = Diagnostic::error("bad-repetition", "unusable repetition")
                .detail(detail)
                .help(help);
            vec![diagnostic.at(repetition.expr().span.clone())]
        };
        let marks = value.marks().clone();
        if marks.is_sensitive() || marks.is_ephemeral() {
            let help = "use a value that may be shown: the keys become part of addresses";
            return Err(fail(
                "a sensitive or ephemeral value can't decide which instances there are",
                help,
            ));
        }
        let instances = match repetition {
            _ if !value.is_known() => Instances::Unknown,
            Repetition::Count(_) => {
                let count = value
                    .as_number()
                    .and_then(dmp_sdk::Number::to_i64)
                    .or_else(|| value.as_str()?.parse().ok());
                let count = count.and_then(|count| u64::try_from(count).ok());
                let help = "give a whole number from 0 up";
                Instances::Count(
                    count.ok_or_else(|| fail("`count` is not a whole number from 0 up", help))?,
                )
            }
            Repetition::Enabled(_) => {
                let is_enabled =
                    dmp_sdk::convert(&value, &Type::Bool, dmp_sdk::Strictness::Lenient);
                match is_enabled.ok().and_then(|value| value.as_bool()) {
                    Some(true) => Instances::Single,
                    Some(false) => Instances::Disabled,
                    None => {
                        let help = "give `true` or `false`";
                        return Err(fail("`enabled` is neither `true` nor `false`", help));
                    }
                }
            }
            Repetition::ForEach(_) => match value.kind() {
                Kind::Map(members) | Kind::Object(members) => Instances::Each(
                    members
                        .iter()
                        .map(|(name, value)| (Arc::clone(name), value.clone()))
                        .collect(),
                ),
                Kind::Set(items) if items.iter().all(Value::is_known) => {
                    let member =
                        |item: &Value| item.as_str().map(|name| (Arc::from(name), item.clone()));
                    let members: Option<BTreeMap<_, _>> = items.iter().map(member).collect();
                    Instances::Each(
                        members.ok_or_else(|| {
                            fail("`for_each` takes a set of strings", "use `toset`")
                        })?,
                    )
                }
                Kind::Set(_) => Instances::Unknown,
                Kind::Null => {
                    return Err(fail(
                        "`for_each` is null",
                        "give an empty map for no instances",
                    ));
                }
                _ => {
                    return Err(fail(
                        "`for_each` takes a map, an object or a set of strings",
                        "use `toset([…])`",
                    ));
                }
            },
        };
        Ok(Expansion { instances, marks })
    }
}
