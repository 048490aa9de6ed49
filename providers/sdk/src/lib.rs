//! The ground that everything else stands on: values and types, schemas, diagnostics, and the contract between
//! the engine and its providers. No I/O.

pub mod address;
pub mod diagnostic;
pub mod marks;
pub mod number;
pub mod schema;
pub mod types;
pub mod value;

pub use address::{Address, Key, Mode, ModulePath};
pub use diagnostic::{AttributePath, Diagnostic, Fault, PathStep, Severity, Span};
pub use marks::Marks;
pub use number::Number;
pub use schema::{Attribute, HoldsData, Layer, MarkWay, Presence, Quantifier, Schema};
pub use types::{Strictness, Type, convert};
pub use value::{Kind, Members, Unknown, Value};
