//! The ground that everything else stands on: values and types, schemas, diagnostics, and the contract between
//! the engine and its providers. No I/O.

pub mod address;
pub mod change;
pub mod claim;
pub mod codec;
pub mod counterpart;
pub mod diagnostic;
pub mod function;
pub mod machine;
pub mod marks;
pub mod number;
pub mod resource;
pub mod schema;
pub mod script;
pub mod sharing;
pub mod sorted_map;
#[cfg(feature = "testing")]
pub mod testing;
pub mod types;
pub mod value;

pub use address::{Address, Key, Mode, ModulePath};
pub use change::{Action, Change, DryRun, Effect, Intended, Reason};
pub use claim::Claim;
pub use counterpart::Counterpart;
pub use diagnostic::{AttributePath, Diagnostic, Fault, PathStep, Severity, Span};
pub use function::{FunctionFault, FunctionParameter, ProviderFunction};
pub use machine::{
    Batch, BatchItem, Exchange, ItemEnd, Machine, Machines, Report, Step, TIME_IS_OVER, Unreachable,
};
pub use marks::Marks;
pub use number::{Digits, Number, NumberError};
pub use resource::{
    Answer, Answers, Candidate, Configured, Cx, DataReading, DataSource, FailureDomain, Fetch,
    FetchFailure, Job, Known, Mark, Object, OnMachines, Provider, Purpose, Query, Reading,
    Resource, Verb, Work, configured, side_by_side,
};
pub use schema::{Attribute, HoldsData, Layer, ListedBy, MarkWay, Presence, Quantifier, Schema};
pub use script::{Each, Output, Script};
pub use sorted_map::SortedMap;
pub use types::{Strictness, Type, convert};
pub use value::{Bounds, Kind, Members, Unknown, Value};
