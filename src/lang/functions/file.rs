//! Files, and names of files. What is read comes through the scope; nothing here touches the disk.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmp_sdk::{Kind, Span, Value};

use super::{Failure, Fault, Function, Gives, any, hash, text, text_of};
use crate::evaluate::Evaluation;
use crate::parse::parse_template;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("basename", &[text("path")], Gives::Text, |a| {
        Ok(basename(text_of(a, 0)).into())
    }),
    Function::new("dirname", &[text("path")], Gives::Text, |a| {
        Ok(dirname(text_of(a, 0)).into())
    }),
    Function::inside("file", &[text("path")], Gives::Text, |e, a, _| {
        Ok(read_text(e, text_of(a, 0))?.into())
    }),
    Function::inside("filebase64", &[text("path")], Gives::Text, |e, a, _| {
        Ok(STANDARD.encode(read(e, text_of(a, 0))?).into())
    }),
    Function::inside("fileexists", &[text("path")], Gives::Bool, fileexists),
    Function::inside("filesha256", &[text("path")], Gives::Text, |e, a, _| {
        Ok(hash::sha256_of(&read(e, text_of(a, 0))?).into())
    }),
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

fn read(evaluation: &Evaluation, path: &str) -> Result<Arc<[u8]>, Fault> {
    evaluation
        .scope
        .files()
        .read(path)
        .map_err(|error| Fault::of(0, format!("`{path}` can't be read: {error}")))
}

fn read_text(evaluation: &Evaluation, path: &str) -> Result<String, Fault> {
    let bytes = read(evaluation, path)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| {
        Fault::of(0, format!("`{path}` is not UTF-8 text"))
            .help("read other files with `filebase64(…)`")
    })
}

fn fileexists(
    evaluation: &mut Evaluation,
    arguments: &[Value],
    _span: &Span,
) -> Result<Value, Failure> {
    let path = text_of(arguments, 0);
    match evaluation.scope.files().exists(path) {
        Ok(found) => Ok(found.into()),
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
    let text = read_text(evaluation, path)?;
    let template = parse_template(&text, path)?;
    let rendered = evaluation.template_file(&template, variables, span)?;
    Ok(rendered.marked(&marks))
}
