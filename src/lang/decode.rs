//! A block's body against a schema: names, presence and types, and the value that the planner starts from.
//!
//! Nothing here fills in defaults: what the configuration did not set is null, and not among the set paths.

use std::collections::{BTreeMap, BTreeSet};

use dmp_sdk::{AttributePath, Diagnostic, Schema, Span, Value};

use crate::ast::Body;
use crate::scope::Scope;

/// What a body says in the terms of a schema.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// An object with every attribute of the schema: null where unset, marked where the schema says so.
    pub value: Value,
    /// What the configuration set, down to the members of nested blocks and of constructors written out.
    pub set_paths: BTreeSet<AttributePath>,
    /// Where each set path was written.
    pub spans: BTreeMap<AttributePath, Span>,
    /// What was wrong. With an error among them the value may be used only to go on checking.
    pub diagnostics: Vec<Diagnostic>,
}

/// Evaluates a body and holds it against a schema.
#[must_use]
pub fn decode(body: &Body, schema: &Schema, scope: &dyn Scope) -> Decoded {
    let _ = (body, schema, scope);
    unreachable!()
}

/// Holds a body against a schema without evaluating it: names, presence, the types of what is literal.
#[must_use]
pub fn check_body(body: &Body, schema: &Schema) -> Vec<Diagnostic> {
    let _ = (body, schema);
    unreachable!()
}
