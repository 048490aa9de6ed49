//! The function table, and the one place where calls are checked: arity, conversion, null, unknown, marks.
//!
//! One file per family. A function says how it looks at its arguments: *deep* ones see plain, wholly known values and
//! their result carries every mark; *shallow* ones move elements about without reading them, so elements keep their
//! own marks and may be unknown; *own* ones see everything and answer for it.

mod charset;
mod collection;
mod control;
mod conversion;
mod csv;
mod encoding;
mod file;
mod format;
mod glob;
mod hash;
mod network;
mod number;
mod pattern;
mod provider;
mod re2;
mod reference;
mod rendering;
mod secrecy;
mod sets;
mod template;
mod text;
mod time;

pub(crate) use time::duration;
mod yaml;

use std::collections::HashMap;
use std::sync::OnceLock;

use dmp_sdk::{Diagnostic, Kind, Marks, ProviderFunction, Span, Strictness, Type, Value, convert};

use crate::Diagnostics;
use crate::ast::{Call, Expr};
use crate::evaluate::{
    Evaluation, MOST_ELEMENTS, Outcome, composed_value, null_value, too_large, unknown_not_null,
};

/// The names of all functions, sorted.
#[must_use]
pub fn function_names() -> Vec<&'static str> {
    let mut names: Vec<_> = table().keys().copied().collect();
    names.sort_unstable();
    names
}

/// A function as the reference shows it.
#[derive(Clone, Debug)]
pub struct FunctionPage {
    /// Its name and its parameters.
    pub signature: String,
    /// What it is for, in one sentence.
    pub says: &'static str,
    /// An example.
    pub example: &'static str,
    /// The value of the example, as JSON.
    pub gives: &'static str,
}

/// All functions in families, for the reference.
#[must_use]
pub fn function_pages() -> Vec<(&'static str, Vec<FunctionPage>)> {
    let page = |entry: &reference::Entry| {
        let function = find(entry.name)?;
        Some(FunctionPage {
            signature: function.signature(),
            says: entry.says,
            example: entry.example,
            gives: entry.gives,
        })
    };
    reference::FAMILIES
        .iter()
        .map(|(family, entries)| (*family, entries.iter().filter_map(page).collect()))
        .collect()
}

/// A function of the language.
pub(crate) struct Function {
    name: &'static str,
    parameters: &'static [Parameter],
    /// How many of the parameters may be left out at the end.
    optional: usize,
    variadic: Option<Parameter>,
    looks: Looks,
    gives: Gives,
    run: Run,
}

/// A parameter.
#[derive(Clone, Copy)]
struct Parameter {
    name: &'static str,
    takes: Takes,
    null: bool,
}

/// What an argument is converted to.
#[derive(Clone, Copy)]
enum Takes {
    Any,
    /// A list, a set or a tuple.
    Many,
    /// A map or an object.
    Named,
    Text,
    Number,
    Texts,
    Numbers,
    Bools,
}

/// How a function looks at its arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looks {
    Deep,
    Shallow,
    /// As deep, but what is unknown inside is its own matter.
    Partly,
    Own,
}

/// The type of a result that is not known yet.
#[derive(Clone, Copy)]
enum Gives {
    Any,
    Text,
    Number,
    Bool,
    Texts,
    Numbers,
    /// Of a type that follows from those of the arguments.
    Like(fn(&[Value]) -> Type),
    /// What follows from what is known of the arguments.
    Refined(fn(&[Value]) -> Value),
}

#[derive(Clone, Copy)]
enum Run {
    /// Over values alone.
    Plain(fn(&[Value]) -> Result<Value, Fault>),
    /// With the evaluation around it: for files and templates.
    Inside(fn(&mut Evaluation, &[Value], &Span) -> Result<Value, Failure>),
    /// Over expressions that it evaluates itself.
    Lazy(fn(&mut Evaluation, &Call, &Span) -> Outcome),
}

/// What is wrong with a call, and with which argument.
struct Fault {
    argument: Option<usize>,
    text: String,
    help: Option<String>,
}

/// A fault of the call, or errors of something evaluated inside it.
enum Failure {
    Fault(Fault),
    Inside(Diagnostics),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Inside(diagnostics)
    }
}

impl Fault {
    fn new(text: impl Into<String>) -> Self {
        Self {
            argument: None,
            text: text.into(),
            help: None,
        }
    }

    fn of(argument: usize, text: impl Into<String>) -> Self {
        Self {
            argument: Some(argument),
            ..Self::new(text)
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Function {
    const fn new(
        name: &'static str,
        parameters: &'static [Parameter],
        gives: Gives,
        run: fn(&[Value]) -> Result<Value, Fault>,
    ) -> Self {
        Self {
            name,
            parameters,
            optional: 0,
            variadic: None,
            looks: Looks::Deep,
            gives,
            run: Run::Plain(run),
        }
    }

    const fn lazy(name: &'static str, run: fn(&mut Evaluation, &Call, &Span) -> Outcome) -> Self {
        Self {
            name,
            parameters: &[],
            optional: 0,
            variadic: Some(any("expression")),
            looks: Looks::Own,
            gives: Gives::Any,
            run: Run::Lazy(run),
        }
    }

    const fn inside(
        name: &'static str,
        parameters: &'static [Parameter],
        gives: Gives,
        run: fn(&mut Evaluation, &[Value], &Span) -> Result<Value, Failure>,
    ) -> Self {
        Self {
            name,
            parameters,
            optional: 0,
            variadic: None,
            looks: Looks::Deep,
            gives,
            run: Run::Inside(run),
        }
    }

    const fn variadic(mut self, parameter: Parameter) -> Self {
        self.variadic = Some(parameter);
        self
    }

    const fn optional(mut self, count: usize) -> Self {
        self.optional = count;
        self
    }

    const fn shallow(mut self) -> Self {
        self.looks = Looks::Shallow;
        self
    }

    const fn partly(mut self) -> Self {
        self.looks = Looks::Partly;
        self
    }

    const fn own(mut self) -> Self {
        self.looks = Looks::Own;
        self
    }

    fn parameter(&self, index: usize) -> Option<&Parameter> {
        self.parameters.get(index).or(self.variadic.as_ref())
    }

    /// What is wrong with a number of arguments.
    fn arity_fault(&self, given: usize) -> Option<String> {
        let most = self.parameters.len();
        let least = most - self.optional;
        let too_many = given > most && self.variadic.is_none();
        if given >= least && !too_many {
            return None;
        }
        let wanted = match (least, self.variadic.is_some() || least < most) {
            (0, false) => "no argument".to_owned(),
            (1, false) => "one argument".to_owned(),
            (count, false) => format!("{count} arguments"),
            (count, true) if self.variadic.is_none() => format!("{count} to {most} arguments"),
            (1, true) => "at least one argument".to_owned(),
            (count, true) => format!("at least {count} arguments"),
        };
        Some(format!(
            "`{}` takes {wanted}, not {given}",
            self.signature()
        ))
    }

    fn signature(&self) -> String {
        let least = self.parameters.len() - self.optional;
        let mut names: Vec<String> = Vec::new();
        for (at, parameter) in self.parameters.iter().enumerate() {
            names.push(match at >= least {
                true => format!("[{}]", parameter.name),
                false => parameter.name.to_owned(),
            });
        }
        names.extend(
            self.variadic
                .map(|parameter| format!("{}…", parameter.name)),
        );
        format!("{}({})", self.name, names.join(", "))
    }
}

/// What is wrong with a call before anything is evaluated: its name, or the number of its arguments.
pub(crate) fn check_call(
    call: &Call,
    of_provider: impl Fn(&str, &str) -> Option<ProviderFunction>,
) -> Option<Diagnostic> {
    if let Some(name) = provider::name(call) {
        return provider::check(call, of_provider(name.0, name.1).as_ref());
    }
    let Some(function) = find(&call.name.text) else {
        return Some(unknown_function(call));
    };
    if call.expand_last {
        return None;
    }
    let fault = function.arity_fault(call.arguments.len())?;
    Some(wrong_call(&fault, &call.name.span))
}

/// Calls a function.
pub(crate) fn call(evaluation: &mut Evaluation, call: &Call, span: &Span) -> Outcome {
    if let Some((provider, name)) = provider::name(call) {
        let found = evaluation.scope.provider_function(provider, name);
        return provider::call(evaluation, call, found.as_ref(), span);
    }
    let Some(function) = find(&call.name.text) else {
        return Err(vec![unknown_function(call)]);
    };
    if let Run::Lazy(run) = function.run {
        if let Some(fault) = function.arity_fault(call.arguments.len()) {
            return Err(vec![wrong_call(&fault, &call.name.span)]);
        }
        return run(evaluation, call, span);
    }
    let mut arguments = evaluation.values(&call.arguments)?;
    let mut marks = Marks::none();
    if call.expand_last
        && let (Some(last), Some(expr)) = (arguments.pop(), call.arguments.last())
    {
        marks = last.marks().clone();
        match expanded(&last, expr)? {
            Some(items) => arguments.extend(items),
            None => {
                let all = arguments
                    .iter()
                    .fold(marks, |all, argument| all.union(&argument.deep_marks()));
                return Ok(function.unknown_of_spread().marked(&all));
            }
        }
    }
    if let Some(fault) = function.arity_fault(arguments.len()) {
        return Err(vec![wrong_call(&fault, &call.name.span)]);
    }
    let place = |index: usize| match call.arguments.get(index).or(call.arguments.last()) {
        Some(expr) => &expr.span,
        None => span,
    };
    let mut failed = Diagnostics::new();
    for (index, argument) in arguments.iter_mut().enumerate() {
        let Some(parameter) = function.parameter(index) else {
            continue;
        };
        match accept(function, parameter, argument, place(index)) {
            Ok(accepted) => *argument = accepted,
            Err(diagnostic) => failed.push(*diagnostic),
        }
    }
    if !failed.is_empty() {
        return Err(failed);
    }
    run(evaluation, function, &arguments, &marks, span).map_err(|failure| match failure {
        Failure::Inside(diagnostics) => diagnostics,
        Failure::Fault(fault) => {
            let at = fault.argument.map_or(span, place);
            let failed = Diagnostic::error("function-failed", "function has no result");
            // Its words may quote an argument.
            let is_secret = |value: &Value| {
                value.deep_marks().is_sensitive() || value.deep_marks().is_ephemeral()
            };
            if arguments.iter().any(is_secret) || marks.is_sensitive() {
                let detail = format!("`{}`: a sensitive argument is not usable", function.name);
                return vec![failed.detail(detail).at(at.clone())];
            }
            let failed = failed
                .detail(format!("`{}`: {}", function.name, fault.text))
                .at(at.clone());
            vec![match fault.help {
                Some(help) => failed.help(help),
                None => failed,
            }]
        }
    })
}

fn run(
    evaluation: &mut Evaluation,
    function: &Function,
    arguments: &[Value],
    marks: &Marks,
    span: &Span,
) -> Result<Value, Failure> {
    let deep = |start: &Marks| {
        arguments.iter().fold(start.clone(), |all, argument| {
            all.union(&argument.deep_marks())
        })
    };
    let invoke = |evaluation: &mut Evaluation, arguments: &[Value]| match function.run {
        Run::Plain(run) => run(arguments).map_err(Failure::Fault),
        Run::Inside(run) => run(evaluation, arguments, span),
        Run::Lazy(_) => Ok(Value::null()),
    };
    match function.looks {
        Looks::Own => Ok(invoke(evaluation, arguments)?.marked(marks)),
        Looks::Deep => {
            let marks = deep(marks);
            if !arguments.iter().all(Value::is_wholly_known) {
                return Ok(function.unknown_result(arguments).marked(&marks));
            }
            let result = match marks.is_empty() {
                true => invoke(evaluation, arguments)?,
                false => {
                    let plain: Vec<Value> = arguments.iter().map(Value::deep_unmarked).collect();
                    invoke(evaluation, &plain)?
                }
            };
            Ok(composed_value(result).marked(&marks))
        }
        Looks::Partly => {
            let marks = deep(marks);
            if !arguments.iter().all(Value::is_known) {
                return Ok(function.unknown_result(arguments).marked(&marks));
            }
            let plain: Vec<Value> = arguments.iter().map(Value::deep_unmarked).collect();
            Ok(invoke(evaluation, &plain)?.marked(&marks))
        }
        Looks::Shallow => {
            if !arguments.iter().all(Value::is_known) {
                return Ok(function.unknown_result(arguments).marked(&deep(marks)));
            }
            let marks = arguments
                .iter()
                .fold(marks.clone(), |all, argument| all.union(argument.marks()));
            let result = invoke(evaluation, arguments)?;
            if result
                .as_items()
                .is_some_and(|items| items.len() > MOST_ELEMENTS)
            {
                return Err(Failure::Inside(vec![too_large(
                    "the collection has more than a million elements",
                    span,
                )]));
            }
            Ok(result.marked(&marks))
        }
    }
}

fn accept(
    function: &Function,
    parameter: &Parameter,
    argument: &Value,
    span: &Span,
) -> Result<Value, Box<Diagnostic>> {
    let ty = parameter.takes.ty();
    if argument.is_null() && !parameter.null && function.looks != Looks::Own {
        let failed = null_value(&ty, span);
        let detail = format!(
            "`{}` of `{}` may not be null",
            parameter.name, function.name
        );
        return Err(Box::new(failed.detail(detail)));
    }
    if let Some(wanted) = parameter.takes.refuses(&argument.type_of()) {
        let given = dmp_sdk::types::with_article(&argument.type_of());
        let detail = format!(
            "`{}` of `{}`: {wanted} is required, not {given}",
            parameter.name, function.name
        );
        let failed = Diagnostic::error("wrong-type", "value has the wrong type").detail(detail);
        return Err(Box::new(failed.at(span.clone())));
    }
    convert(argument, &ty, Strictness::Lenient).map_err(|error| {
        let failed = Diagnostic::error("wrong-type", "value has the wrong type").detail(format!(
            "`{}` of `{}`: {error}",
            parameter.name, function.name
        ));
        Box::new(failed.at(span.clone()))
    })
}

/// The elements of the last argument; `None` if they are not known.
fn expanded(value: &Value, expr: &Expr) -> Result<Option<Vec<Value>>, Diagnostics> {
    match value.kind() {
        Kind::List(items) | Kind::Tuple(items) | Kind::Set(items) => Ok(Some(items.to_vec())),
        Kind::Unknown(_) => Ok(None),
        Kind::Null => Err(vec![null_value(&Type::list(Type::Any), &expr.span)]),
        _ => Err(vec![
            Diagnostic::error("wrong-type", "value has the wrong type")
                .detail("only a list, set or tuple can be spread with `...`")
                .at(expr.span.clone()),
        ]),
    }
}

impl Function {
    /// The result where not even the number of the arguments is known.
    fn unknown_of_spread(&self) -> Value {
        match self.gives {
            Gives::Like(_) | Gives::Refined(_) => Value::unknown(Type::Any),
            _ => self.unknown_result(&[]),
        }
    }

    fn unknown_result(&self, arguments: &[Value]) -> Value {
        match self.gives {
            Gives::Numbers => unknown_not_null(Type::list(Type::Number)),
            Gives::Like(of) => unknown_not_null(of(arguments)),
            Gives::Refined(of) => of(arguments),
            Gives::Any => Value::unknown(Type::Any),
            Gives::Text => unknown_not_null(Type::String),
            Gives::Number => unknown_not_null(Type::Number),
            Gives::Bool => unknown_not_null(Type::Bool),
            Gives::Texts => unknown_not_null(Type::list(Type::String)),
        }
    }
}

impl Takes {
    /// What is taken, where a type is none of it.
    fn refuses(self, ty: &Type) -> Option<&'static str> {
        match (self, ty) {
            (_, Type::Any) => None,
            (Self::Many, Type::List(_) | Type::Set(_) | Type::Tuple(_)) => None,
            (Self::Many, _) => Some("a list, set or tuple"),
            (Self::Named, Type::Map(_) | Type::Object(_)) => None,
            (Self::Named, _) => Some("a map or an object"),
            _ => None,
        }
    }

    fn ty(self) -> Type {
        match self {
            Self::Any | Self::Many | Self::Named => Type::Any,
            Self::Text => Type::String,
            Self::Number => Type::Number,
            Self::Texts => Type::list(Type::String),
            Self::Numbers => Type::list(Type::Number),
            Self::Bools => Type::list(Type::Bool),
        }
    }
}

const fn parameter(name: &'static str, takes: Takes) -> Parameter {
    Parameter {
        name,
        takes,
        null: false,
    }
}

const fn any(name: &'static str) -> Parameter {
    parameter(name, Takes::Any)
}

const fn many(name: &'static str) -> Parameter {
    parameter(name, Takes::Many)
}

const fn named(name: &'static str) -> Parameter {
    parameter(name, Takes::Named)
}

const fn nullable(name: &'static str) -> Parameter {
    Parameter {
        name,
        takes: Takes::Any,
        null: true,
    }
}

const fn text(name: &'static str) -> Parameter {
    parameter(name, Takes::Text)
}

const fn number(name: &'static str) -> Parameter {
    parameter(name, Takes::Number)
}

const fn texts(name: &'static str) -> Parameter {
    parameter(name, Takes::Texts)
}

/// The text of an argument that the call has already converted.
fn text_of(arguments: &[Value], index: usize) -> &str {
    arguments
        .get(index)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The elements of an argument that must be a list, set or tuple.
fn items_of(arguments: &[Value], index: usize) -> Result<&[Value], Fault> {
    match arguments.get(index).and_then(Value::as_items) {
        Some(items) => Ok(items),
        None => Err(Fault::of(index, "a list, set or tuple is required")),
    }
}

/// The members of an argument that must be a map or an object.
fn members_of(arguments: &[Value], index: usize) -> Result<&dmp_sdk::Members, Fault> {
    match arguments.get(index).and_then(Value::as_members) {
        Some(members) => Ok(members),
        None => Err(Fault::of(index, "a map or an object is required")),
    }
}

/// A whole number of an argument that must be one.
fn whole_of(arguments: &[Value], index: usize) -> Result<i64, Fault> {
    match arguments.get(index).and_then(Value::as_i64) {
        Some(number) => Ok(number),
        None => Err(Fault::of(index, "a whole number is required")),
    }
}

/// A list of what is made one by one, up to as many as a collection may have.
fn listed(items: impl Iterator<Item = Value>) -> Result<Value, Fault> {
    let found: Vec<Value> = items.take(MOST_ELEMENTS + 1).collect();
    match found.len() > MOST_ELEMENTS {
        true => Err(Fault::new(
            "the list would have more than a million elements",
        )),
        false => Ok(Value::list(found)),
    }
}

/// Refuses what would be longer than a text may be.
fn bounded(length: usize) -> Result<(), Fault> {
    match length > crate::evaluate::LONGEST_TEXT {
        true => Err(longer()),
        false => Ok(()),
    }
}

fn longer() -> Fault {
    Fault::new("the text would be longer than 16 MiB")
}

fn find(name: &str) -> Option<&'static Function> {
    table()
        .get(name.strip_prefix("core::").unwrap_or(name))
        .copied()
}

fn table() -> &'static HashMap<&'static str, &'static Function> {
    static TABLE: OnceLock<HashMap<&'static str, &'static Function>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let families = [
            charset::FUNCTIONS,
            collection::FUNCTIONS,
            control::FUNCTIONS,
            conversion::FUNCTIONS,
            csv::FUNCTIONS,
            encoding::FUNCTIONS,
            file::FUNCTIONS,
            format::FUNCTIONS,
            hash::FUNCTIONS,
            network::FUNCTIONS,
            number::FUNCTIONS,
            pattern::FUNCTIONS,
            secrecy::FUNCTIONS,
            sets::FUNCTIONS,
            template::FUNCTIONS,
            text::FUNCTIONS,
            time::FUNCTIONS,
            yaml::FUNCTIONS,
        ];
        families
            .into_iter()
            .flatten()
            .map(|function| (function.name, function))
            .collect()
    })
}

fn unknown_function(call: &Call) -> Diagnostic {
    Diagnostic::error("unknown-function", "unknown function")
        .detail(format!("there is no function `{}`", call.name.text))
        .at(call.name.span.clone())
        .did_you_mean(&call.name.text, function_names())
}

fn wrong_call(fault: &str, span: &Span) -> Diagnostic {
    Diagnostic::error("wrong-arguments", "wrong number of arguments")
        .detail(fault)
        .at(span.clone())
}

#[cfg(test)]
mod tests;
