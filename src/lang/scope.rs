//! What an evaluation may ask for: the values of references, and files. The engine implements both.

use std::collections::BTreeMap;
use std::sync::Arc;

use dmp_sdk::{Diagnostic, ProviderFunction, Value};
use time::OffsetDateTime;

use crate::Diagnostics;
use crate::reference::{Reference, Target};

/// Where an evaluation stands.
pub trait Scope {
    /// The value of what is referred to: the *target* of the reference, not what its path takes out of it.
    ///
    /// A block with `count` is a tuple of its instances, one with `for_each` an object of them, each instance
    /// marked with its origin. The path only says what will be taken out next, so a scope may leave the rest
    /// out. What is not known yet is an unknown value; what can't be referred to here is an error.
    ///
    /// # Errors
    /// When there is no such target here, or its value could not be made.
    fn lookup(&self, reference: &Reference) -> Result<Value, Diagnostics>;

    /// The files that functions may read.
    fn files(&self) -> &dyn Files {
        &NoFiles
    }

    /// A function that a provider brings along.
    fn provider_function(&self, _provider: &str, _name: &str) -> Option<ProviderFunction> {
        None
    }

    /// The moment of the plan, the same for all of it; `None` where it is not known.
    fn planned_at(&self) -> Option<OffsetDateTime> {
        None
    }

    /// What functions without a fixed result take it from; `None` as long as nothing is applied.
    fn chance(&self) -> Option<Chance> {
        None
    }
}

/// What is only decided while something is applied.
#[derive(Clone)]
pub struct Chance {
    /// When applying began.
    pub began: OffsetDateTime,
    /// Bytes that nobody can foresee.
    pub seed: [u8; 32],
    /// Where the expression stands: the module, and the member of a repetition.
    pub place: String,
}

/// The files that functions such as `file` read. Relative paths are the implementer's to resolve.
pub trait Files {
    /// The bytes of a file.
    ///
    /// # Errors
    /// When it can't be read.
    fn read(&self, path: &str) -> Result<Arc<[u8]>, FileError>;

    /// Whether there is a regular file.
    ///
    /// # Errors
    /// When that can't be found out.
    fn exists(&self, path: &str) -> Result<bool, FileError>;

    /// The names of all regular files below a folder, counted from there.
    ///
    /// # Errors
    /// When they can't be listed.
    fn below(&self, _folder: &str) -> Result<Vec<String>, FileError> {
        Err(unlisted())
    }

    /// The absolute path of the folder that relative paths begin at for `abspath`.
    ///
    /// # Errors
    /// When it is not known.
    fn current_folder(&self) -> Result<String, FileError> {
        Err(unlisted())
    }

    /// The home folder of who runs dmp.
    ///
    /// # Errors
    /// When it is not known.
    fn home(&self) -> Result<String, FileError> {
        Err(unlisted())
    }
}

fn unlisted() -> FileError {
    FileError::Refused("folders can't be read here".into())
}

/// Why a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is no such file.
    #[error("there is no such file")]
    NotFound,
    /// It is a folder or something else that is not a regular file.
    #[error("it is not a regular file")]
    NotAFile,
    /// It is larger than a value may be.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
    /// What is in it is known later; a function that reads it has an unknown result.
    #[error("what is in it is not known yet")]
    Later,
    /// The operating system refused.
    #[error("{0}")]
    Refused(String),
}

/// No files at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _path: &str) -> Result<Arc<[u8]>, FileError> {
        Err(FileError::Refused("files can't be read here".into()))
    }

    fn exists(&self, _path: &str) -> Result<bool, FileError> {
        Err(FileError::Refused("files can't be read here".into()))
    }
}

/// A scope of given values; what is not given can't be referred to.
#[derive(Default)]
pub struct Bindings {
    values: BTreeMap<Target, Value>,
    files: Option<Box<dyn Files>>,
}

impl Bindings {
    /// A scope in which nothing can be referred to.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value.
    #[must_use]
    pub fn with(mut self, target: Target, value: Value) -> Self {
        self.values.insert(target, value);
        self
    }

    /// Adds an input variable's value.
    #[must_use]
    pub fn with_variable(self, name: &str, value: Value) -> Self {
        self.with(Target::Variable(name.into()), value)
    }

    /// Sets the files.
    #[must_use]
    pub fn with_files(mut self, files: Box<dyn Files>) -> Self {
        self.files = Some(files);
        self
    }
}

impl Scope for Bindings {
    fn lookup(&self, reference: &Reference) -> Result<Value, Diagnostics> {
        let found = self.values.get(&reference.target).cloned();
        found.ok_or_else(|| vec![unknown_reference(reference)])
    }

    fn files(&self) -> &dyn Files {
        self.files.as_deref().unwrap_or(&NoFiles)
    }
}

/// The error for a target that does not exist where it is referred to.
#[must_use]
pub fn unknown_reference(reference: &Reference) -> Diagnostic {
    Diagnostic::error("unknown-reference", "unknown reference")
        .detail(format!("`{}` can't be referred to here", reference.target))
        .at(reference.span.clone())
}
