//! Files, and names of files. What is read comes through the scope; nothing here touches the disk.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmp_sdk::{Span, Type, Value};
use sha2::{Digest, Sha256, Sha512};

use super::{Failure, Fault, Function, Gives, text, text_of};
use crate::evaluate::Evaluation;
use crate::scope::FileError;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::inside("abspath", &[text("path")], Gives::Text, abspath),
    Function::new("basename", &[text("path")], Gives::Text, |a| {
        Ok(basename(text_of(a, 0)).into())
    }),
    Function::new("dirname", &[text("path")], Gives::Text, |a| {
        Ok(dirname(text_of(a, 0)).into())
    }),
    Function::inside("file", &[text("path")], Gives::Text, file),
    Function::inside("filebase64", &[text("path")], Gives::Text, |e, a, _| {
        of_bytes(e, a, |bytes| STANDARD.encode(bytes))
    }),
    Function::inside(
        "filebase64sha256",
        &[text("path")],
        Gives::Text,
        |e, a, _| of_bytes(e, a, |bytes| STANDARD.encode(Sha256::digest(bytes))),
    ),
    Function::inside(
        "filebase64sha512",
        &[text("path")],
        Gives::Text,
        |e, a, _| of_bytes(e, a, |bytes| STANDARD.encode(Sha512::digest(bytes))),
    ),
    Function::inside("fileexists", &[text("path")], Gives::Bool, fileexists),
    Function::inside("filemd5", &[text("path")], Gives::Text, |e, a, _| {
        of_bytes(e, a, |bytes| hex::encode(md5::compute(bytes).0))
    }),
    Function::inside(
        "fileset",
        &[text("path"), text("pattern")],
        Gives::Any,
        fileset,
    ),
    Function::inside("filesha1", &[text("path")], Gives::Text, |e, a, _| {
        of_bytes(e, a, |bytes| {
            hex::encode(<sha1::Sha1 as sha1::Digest>::digest(bytes))
        })
    }),
    Function::inside("filesha256", &[text("path")], Gives::Text, |e, a, _| {
        of_bytes(e, a, |bytes| hex::encode(Sha256::digest(bytes)))
    }),
    Function::inside("filesha512", &[text("path")], Gives::Text, |e, a, _| {
        of_bytes(e, a, |bytes| hex::encode(Sha512::digest(bytes)))
    }),
    Function::inside("pathexpand", &[text("path")], Gives::Text, pathexpand),
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
    match path.rsplit_once('/') {
        Some(("", _)) => "/".into(),
        Some((folder, _)) => clean(folder),
        None => ".".into(),
    }
}

/// The shortest path that means the same: without `.`, and without `..` after a folder.
pub(super) fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            ("" | ".", _) => {}
            ("..", None) if is_absolute => {}
            ("..", Some(last)) if *last != ".." => {
                parts.pop();
            }
            (part, _) => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (is_absolute, joined.as_str()) {
        (true, _) => format!("/{joined}"),
        (false, "") => ".".into(),
        (false, _) => joined,
    }
}

fn of_files(found: Result<String, FileError>, path: &str) -> Result<Value, Failure> {
    match found {
        Ok(path) => Ok(path.into()),
        Err(error) => Err(Fault::of(0, format!("`{path}`: {error}")).into()),
    }
}

fn abspath(evaluation: &mut Evaluation, arguments: &[Value], _: &Span) -> Result<Value, Failure> {
    let path = text_of(arguments, 0);
    let found = match path.starts_with('/') {
        true => Ok(clean(path)),
        false => {
            let folder = evaluation.scope.files().current_folder();
            folder.map(|folder| clean(&format!("{folder}/{path}")))
        }
    };
    of_files(found, path)
}

/// `~` at the beginning is the home of who runs dmp.
fn pathexpand(
    evaluation: &mut Evaluation,
    arguments: &[Value],
    _: &Span,
) -> Result<Value, Failure> {
    let path = text_of(arguments, 0);
    let found = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let home = evaluation.scope.files().home();
            home.map(|home| clean(&format!("{home}/{rest}")))
        }
        Some(_) => Err(FileError::Refused(
            "the homes of others are not known".into(),
        )),
        None => Ok(path.to_owned()),
    };
    of_files(found, path)
}

/// The files below a folder whose names fit a pattern.
fn fileset(evaluation: &mut Evaluation, arguments: &[Value], _: &Span) -> Result<Value, Failure> {
    let (folder, pattern) = (text_of(arguments, 0), text_of(arguments, 1));
    let pattern = clean(pattern);
    let wrong = || Fault::of(1, format!("`{pattern}` is not a pattern of file names"));
    if pattern.starts_with("..") {
        return Err(wrong().into());
    }
    let wanted = super::glob::compiled(pattern.trim_start_matches('/')).ok_or_else(wrong)?;
    match evaluation.scope.files().below(folder) {
        Ok(names) => {
            let fitting = names.into_iter().filter(|name| wanted.is_match(name));
            Ok(Value::set(fitting.map(Value::from).collect()))
        }
        Err(FileError::NotFound | FileError::NotAFile) => Ok(Value::set(Vec::new())),
        Err(FileError::Later) => Ok(crate::evaluate::unknown_not_null(Type::set(Type::String))),
        Err(error) => Err(Fault::of(0, format!("`{folder}` can't be read: {error}")).into()),
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

pub(super) fn read_text(evaluation: &Evaluation, path: &str) -> Result<Option<String>, Fault> {
    let Some(bytes) = read(evaluation, path)? else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| {
        Fault::of(0, format!("`{path}` is not UTF-8 text"))
            .help("read other files with `filebase64(…)`")
    })?;
    Ok(Some(text))
}

pub(super) fn later() -> Value {
    crate::evaluate::unknown_not_null(Type::String)
}

fn file(evaluation: &mut Evaluation, arguments: &[Value], _span: &Span) -> Result<Value, Failure> {
    let text = read_text(evaluation, text_of(arguments, 0))?;
    Ok(text.map_or_else(later, Value::from))
}

fn of_bytes(
    evaluation: &mut Evaluation,
    arguments: &[Value],
    make: fn(&[u8]) -> String,
) -> Result<Value, Failure> {
    let bytes = read(evaluation, text_of(arguments, 0))?;
    Ok(bytes.map_or_else(later, |bytes| make(&bytes).into()))
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
