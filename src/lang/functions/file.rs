//! Files, and names of files. What is read comes through the scope; nothing here touches the disk.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmp_sdk::{Kind, Span, Type, Value};

use super::{Failure, Fault, Function, Gives, any, hash, text, text_of};
use crate::evaluate::Evaluation;
use crate::parse::parse_template;
use crate::scope::FileError;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("basename", &[text("path")], Gives::Text, |a| {
        Ok(basename(text_of(a, 0)).into())
    }),
    Function::new("dirname", &[text("path")], Gives::Text, |a| {
        Ok(dirname(text_of(a, 0)).into())
    }),
    Function::inside("file", &[text("path")], Gives::Text, file),
    Function::inside("filebase64", &[text("path")], Gives::Text, filebase64),
    Function::inside("fileexists", &[text("path")], Gives::Bool, fileexists),
    Function::inside("filesha256", &[text("path")], Gives::Text, filesha256),
    Function::inside(
        "templatefile",
        &[text("path"), any("variables")],
        Gives::Text,
        templatefile,
    )
    .own(),
];

fn basename(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    match (path, trimmed) {
        ("", _) => ".".into(),
        (_, "") => "/".into(),
        (_, trimmed) => trimmed.rsplit('/').next().unwrap_or(trimmed).to_owned(),
    }
}

fn dirname(path: &str) -> String {
    let Some((folder, _)) = path.rsplit_once('/') else {
        return ".".into();
    };
    match folder.trim_end_matches('/') {
        "" if path.starts_with('/') => "/".into(),
        "" => ".".into(),
        folder => folder.strip_prefix("./").unwrap_or(folder).to_owned(),
    }
}

/// The bytes of a file; `None` if they are known later.
fn read(evaluation: &Evaluation, path: &str) -> Result<Option<Arc<[u8]>>, Fault> {
    match evaluation.scope.files().read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(FileError::Later) => Ok(None),
        Err(error) => Err(Fault::of(0, format!("`{path}` can't be read: {error}"))),
    }
}

fn read_text(evaluation: &Evaluation, path: &str) -> Result<Option<String>, Fault> {
    let Some(bytes) = read(evaluation, path)? else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| {
        Fault::of(0, format!("`{path}` is not UTF-8 text"))
            .help("read other files with `filebase64(…)`")
    })?;
    Ok(Some(text))
}

fn later() -> Value {
    crate::evaluate::unknown_not_null(Type::String)
}

fn file(evaluation: &mut Evaluation, arguments: &[Value], _span: &Span) -> Result<Value, Failure> {
    let text = read_text(evaluation, text_of(arguments, 0))?;
    Ok(text.map_or_else(later, Value::from))
}

fn filebase64(
    evaluation: &mut Evaluation,
    arguments: &[Value],
    _span: &Span,
) -> Result<Value, Failure> {
    let bytes = read(evaluation, text_of(arguments, 0))?;
    Ok(bytes.map_or_else(later, |bytes| STANDARD.encode(bytes).into()))
}

fn filesha256(
    evaluation: &mut Evaluation,
    arguments: &[Value],
    _span: &Span,
) -> Result<Value, Failure> {
    let bytes = read(evaluation, text_of(arguments, 0))?;
    Ok(bytes.map_or_else(later, |bytes| hash::sha256_of(&bytes).into()))
}

fn fileexists(
    evaluation: &mut Evaluation,
    arguments: &[Value],
    _span: &Span,
) -> Result<Value, Failure> {
    let path = text_of(arguments, 0);
    match evaluation.scope.files().exists(path) {
        Ok(found) => Ok(found.into()),
        Err(FileError::Later) => Ok(crate::evaluate::unknown_not_null(Type::Bool)),
        Err(error) => Err(Fault::of(0, format!("`{path}` can't be looked for: {error}")).into()),
    }
}

/// The variables keep their marks and unknowns inside the template.
fn templatefile(
    evaluation: &mut Evaluation,
    arguments: &[Value],
    span: &Span,
) -> Result<Value, Failure> {
    let (path, variables) = (&arguments[0], &arguments[1]);
    if evaluation.in_template_file {
        return Err(Fault::new("a template file can't render another").into());
    }
    let marks = path.deep_marks().union(variables.marks());
    if !path.is_known() || !variables.is_known() {
        let marks = marks.union(&variables.deep_marks());
        return Ok(crate::evaluate::unknown_not_null(dmp_sdk::Type::String).marked(&marks));
    }
    let Some(path) = path.as_str() else {
        return Err(Fault::of(0, "the path is null").into());
    };
    if !matches!(variables.kind(), Kind::Map(_) | Kind::Object(_)) {
        return Err(Fault::of(1, "an object of the template's variables is required").into());
    }
    let Some(text) = read_text(evaluation, path)? else {
        return Ok(later().marked(&marks.union(&variables.deep_marks())));
    };
    let template = parse_template(&text, path)?;
    let rendered = evaluation.template_file(&template, variables, span)?;
    Ok(rendered.marked(&marks))
}
