//! What the engine decides about one instance, and what a resource type may add to it.

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::diagnostic::AttributePath;
use crate::schema::Schema;
use crate::types::Type;
use crate::value::Value;

/// What happens to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing.
    NoOp,
    /// A data source is read.
    Read,
    /// An object that is there already becomes dmp's, as it is.
    Import,
    /// The object is made.
    Create,
    /// The object is changed in place.
    Update,
    /// The object is deleted and made anew.
    DeleteThenCreate,
    /// A new object is made before the old one is deleted.
    CreateThenDelete,
    /// The object is deleted.
    Delete,
    /// The instance leaves the state, the object stays.
    Forget,
    /// The instance leaves the state with what hosted it; no call is made.
    LostWithHost,
    /// Decided later, when what it waits for is known.
    Defer,
}

impl Action {
    /// The mark in front of an address: `+`, `~`, `-/+` …
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::NoOp => " ",
            Self::Read => "<=",
            Self::Import => "=",
            Self::Create => "+",
            Self::Update => "~",
            Self::DeleteThenCreate => "-/+",
            Self::CreateThenDelete => "+/-",
            Self::Delete => "-",
            Self::Forget | Self::LostWithHost => "x",
            Self::Defer => "?",
        }
    }

    /// Whether the object that exists now is removed.
    #[must_use]
    pub fn deletes(self) -> bool {
        matches!(
            self,
            Self::Delete | Self::DeleteThenCreate | Self::CreateThenDelete
        )
    }

    /// Whether both ends of a replacement take place.
    #[must_use]
    pub fn replaces(self) -> bool {
        matches!(self, Self::DeleteThenCreate | Self::CreateThenDelete)
    }
}

/// Why an action was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reason {
    /// The configuration has it, the state has not.
    New,
    /// The object is gone.
    Gone,
    /// These attributes differ from the configuration.
    Differs {
        /// Paths of attributes.
        attributes: Vec<String>,
    },
    /// An attribute can't change in place.
    CannotChangeInPlace {
        /// Its path.
        attribute: String,
        /// Why not, if there is more to say than its schema does.
        why: Option<String>,
    },
    /// The block is gone from the configuration.
    NotInConfiguration,
    /// The key is gone from `count` or `for_each`.
    KeyGone,
    /// `enabled` has become false.
    Disabled,
    /// `destroy` was asked for.
    Destroy,
    /// A step failed or was cut off before; the object is finished.
    Suspect {
        /// What happened.
        why: String,
    },
    /// What it lives on ends.
    HostEnds {
        /// The host's address.
        host: String,
    },
    /// Something it waits for is known after apply.
    WaitsFor {
        /// The address.
        what: String,
    },
    /// Named by `replace_triggered_by`.
    Triggered {
        /// By which reference.
        by: String,
    },
    /// The person said that it is lost.
    Lost,
    /// It can't be read, and the person said that it be forgotten then.
    Unreachable,
    /// It was replaced before, and its end was not reached.
    Deposed,
    /// Named by an `import` block.
    Import {
        /// The object's id.
        id: String,
    },
    /// The person asked for it.
    Asked,
}

/// What an action does to those who use the object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Effect {
    /// A machine restarts.
    Reboot {
        /// Which.
        what: String,
    },
    /// A service restarts.
    Restart {
        /// Which.
        what: String,
    },
    /// Workload is moved away first.
    Drain {
        /// From where.
        what: String,
    },
    /// Something does not answer for a while.
    Downtime {
        /// What.
        what: String,
    },
    /// Data is gone afterwards.
    DataLoss {
        /// Which.
        what: String,
    },
}

impl std::fmt::Display for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reboot { what } => write!(f, "reboots {what}"),
            Self::Restart { what } => write!(f, "restarts {what}"),
            Self::Drain { what } => write!(f, "drains {what}"),
            Self::Downtime { what } => write!(f, "interrupts {what} for a while"),
            Self::DataLoss { what } => write!(f, "LOSES DATA: {what}"),
        }
    }
}

/// A change of a plan, as [`Configured::preflight`](crate::Configured::preflight) sees it.
#[derive(Clone, Copy, Debug)]
pub struct Intended<'a> {
    /// The instance.
    pub address: &'a Address,
    /// What is to happen.
    pub action: Action,
    /// The recorded and refreshed value; `None` before a create.
    pub prior: Option<&'a Value>,
    /// What it will be, as far as it is known; `None` for a delete.
    pub planned: Option<&'a Value>,
}

/// Whether the other side was asked what a change would come to, without making it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum DryRun<'a> {
    /// Nobody wanted to know.
    #[default]
    NotAsked,
    /// `plan` wants to know. The engine reads with [`Purpose::DryRun`](crate::Purpose::DryRun) and plans again, unless
    /// it can't be asked now.
    Wanted,
    /// This is what was read: what stands in it is between the type's `parse` and its `plan`.
    Told(&'a Value),
}

/// A change as a resource type's `plan` sees it. The engine has filled `planned` from configuration, defaults and
/// prior state, and has compared; `plan` refines: it may keep what only looks different, mark what becomes unknown,
/// fill in what it knows, demand a replacement, and name effects.
#[derive(Debug)]
pub struct Change<'a> {
    /// The instance.
    pub address: &'a Address,
    /// Its schema.
    pub schema: &'a Schema,
    /// The recorded and refreshed value; `None` before a create.
    pub prior: Option<&'a Value>,
    /// Whether it is there and not whole: what comes only with its end is still null in `prior`, and known after apply.
    pub is_half_made: bool,
    /// What stands there although dmp did not make it (objects with a natural key).
    pub earlier: Option<&'a Value>,
    /// What the configuration says, null where it says nothing.
    pub config: &'a Value,
    /// What the object will be.
    pub planned: Value,
    /// Demands for a replacement: path and why.
    pub replacements: Vec<(AttributePath, Option<String>)>,
    /// What it does to others.
    pub effects: Vec<Effect>,
    /// Sentences for the plan.
    pub notes: Vec<String>,
    /// What a dry run told, or whether one is wanted.
    pub dry_run: DryRun<'a>,
}

impl<'a> Change<'a> {
    /// What a dry run told. Where none was made this asks for one, if it is a create or an update.
    pub fn dry_run(&mut self) -> Option<&'a Value> {
        match self.dry_run {
            DryRun::Told(value) => Some(value),
            DryRun::NotAsked | DryRun::Wanted => {
                self.dry_run = DryRun::Wanted;
                None
            }
        }
    }

    /// Whether an attribute differs between prior state and plan; before a create everything does.
    #[must_use]
    pub fn changes(&self, attribute: &str) -> bool {
        self.prior
            .is_none_or(|prior| prior.get(attribute) != self.planned.get(attribute))
    }

    /// Whether anything differs.
    #[must_use]
    pub fn changes_anything(&self) -> bool {
        self.prior.is_none_or(|prior| *prior != self.planned)
    }

    /// Sets what an attribute will be.
    pub fn set(&mut self, attribute: &str, value: Value) {
        self.planned = self.planned.with(attribute, value);
    }

    /// Keeps what is there, because the difference is only one of writing.
    pub fn keep(&mut self, attribute: &str) {
        if let Some(prior) = self.prior {
            self.planned = self.planned.with(attribute, prior.get(attribute));
        }
    }

    /// Says that an attribute is known only after apply.
    pub fn unknown(&mut self, attribute: &str) {
        let declared = self.schema.attributes.get(attribute);
        let ty = declared.map_or(Type::Any, |attribute| attribute.ty.clone());
        let mut value = Value::unknown(ty);
        if declared.is_some_and(|attribute| attribute.sensitive) {
            value = value.marked(&crate::marks::Marks::sensitive());
        }
        self.planned = self.planned.with(attribute, value);
    }

    /// Demands a replacement because of an attribute.
    pub fn replace(&mut self, attribute: &str, why: impl Into<String>) {
        self.replacements
            .push((AttributePath::of(attribute), Some(why.into())));
    }

    /// Names an effect.
    pub fn effect(&mut self, effect: Effect) {
        if !self.effects.contains(&effect) {
            self.effects.push(effect);
        }
    }

    /// Adds a sentence for the plan.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}
