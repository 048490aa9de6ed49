//! The language: from the text of a stack to a typed configuration, and from expressions to values.
//!
//! | part | what it does |
//! | --- | --- |
//! | `load` | reads the folders of a stack; the only part that touches the disk |
//! | `parse` | text to the tree of `ast`, with recovery: one bad block costs one error |
//! | `config` | blocks to typed variables, resources, module calls |
//! | `reference` | what an expression refers to |
//! | `evaluate` | expressions to values: unknowns, marks, conversions |
//! | `functions` | the function table |
//! | `format` | the canonical layout of a file |
//! | `decode` | a block's body against a schema, to the value that the planner starts from |
//! | `check` | everything that is wrong in a configuration before anything is evaluated |
//!
//! ```
//! use dmp_lang::{Bindings, evaluate, parse_expression, references};
//!
//! let expr = parse_expression("[for n in var.nodes : upper(n)]", "console")?;
//! assert_eq!(references(&expr)[0].target.to_string(), "var.nodes");
//! let scope = Bindings::new().with_variable("nodes", dmp_sdk::Value::list(vec!["a".into()]));
//! assert_eq!(evaluate(&expr, &scope)?, dmp_sdk::Value::tuple(vec!["A".into()]));
//! # Ok::<(), dmp_lang::Diagnostics>(())
//! ```
//!
//! Everything but `load` is pure. A caller gives an evaluation its [`Scope`]; files come through [`Files`].

pub mod ast;
pub mod check;
pub mod config;
pub mod decode;
mod evaluate;
mod format;
mod functions;
pub mod load;
pub mod package;
mod parse;
pub mod reference;
mod scope;
mod sources;
mod timeouts;
mod values;

use dmp_sdk::Diagnostic;

pub use ast::{Body, Expr};
pub use check::{Schemas, check, check_expression};
pub use config::{Configuration, Module, ModuleId};
pub use decode::{Decoded, check_body, decode};
pub use evaluate::{evaluate, evaluate_template};
pub use format::format_file;
pub use functions::{FunctionPage, function_names, function_pages};
pub use load::{DiskFiles, load_stack};
pub use parse::{is_name, parse_expression, parse_template, parse_type};
pub use reference::{Reference, Target, body_references, references};
pub use scope::{Bindings, Chance, FileError, Files, NoFiles, Scope, unknown_reference};
pub use sources::{Position, Sources};
pub use timeouts::timeout;
pub use values::{parse_value, parse_values_file};

/// Everything that was wrong, in the order found.
pub type Diagnostics = Vec<Diagnostic>;
