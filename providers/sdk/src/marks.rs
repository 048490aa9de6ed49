//! What travels with a value through every operation: *sensitive*, *ephemeral* and *origin*.

use std::sync::Arc;

use crate::address::Address;

/// The marks of one value. Cheap to clone; the marks of a result are the union of its operands'.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Marks {
    sensitive: bool,
    ephemeral: bool,
    origins: Option<Arc<[Arc<Address>]>>,
}

impl Marks {
    /// No marks.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Only *sensitive*.
    #[must_use]
    pub fn sensitive() -> Self {
        Self {
            sensitive: true,
            ..Self::default()
        }
    }

    /// Only *ephemeral*.
    #[must_use]
    pub fn ephemeral() -> Self {
        Self {
            ephemeral: true,
            ..Self::default()
        }
    }

    /// Only the *origin*: the instance whose attribute the value was.
    #[must_use]
    pub fn origin(address: Arc<Address>) -> Self {
        Self {
            origins: Some(Arc::from([address])),
            ..Self::default()
        }
    }

    /// Whether there is no mark at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.sensitive && !self.ephemeral && self.origins.is_none()
    }

    /// Never shown, encrypted at rest.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.sensitive
    }

    /// In no state and in no plan file.
    #[must_use]
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral
    }

    /// The instances whose attributes went into the value, sorted.
    #[must_use]
    pub fn origins(&self) -> &[Arc<Address>] {
        self.origins.as_deref().unwrap_or_default()
    }

    /// Both together.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let origins = match (&self.origins, &other.origins) {
            (Some(one), Some(two)) if Arc::ptr_eq(one, two) => Some(Arc::clone(one)),
            (Some(one), Some(two)) => {
                let mut all: Vec<_> = one.iter().chain(two.iter()).cloned().collect();
                all.sort();
                all.dedup();
                Some(all.into())
            }
            (one, two) => one.as_ref().or(two.as_ref()).cloned(),
        };
        Self {
            sensitive: self.sensitive || other.sensitive,
            ephemeral: self.ephemeral || other.ephemeral,
            origins,
        }
    }

    /// The same without *sensitive*, for the function `nonsensitive`.
    #[must_use]
    pub fn without_sensitive(&self) -> Self {
        Self {
            sensitive: false,
            ..self.clone()
        }
    }

    /// The same without origins, for values that leave the graph.
    #[must_use]
    pub fn without_origins(&self) -> Self {
        Self {
            origins: None,
            ..self.clone()
        }
    }
}
