//! What is made on the machine that dmp runs on: files, directories and commands.

pub(crate) mod command;
mod directory;
mod file;
pub(crate) mod process;
pub(crate) mod read;

use dmp_sdk::{AttributePath, Change, Diagnostic};

pub(crate) use command::LocalCommand;
pub(crate) use directory::LocalDirectory;
pub(crate) use file::LocalFile;

use crate::record::wrong;

/// A path is absolute: dmp may be started anywhere.
fn plan_path(change: &Change<'_>) -> Result<(), Diagnostic> {
    let path = change.planned.get("path");
    match path.as_str() {
        Some(path) if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') => {
            Err(wrong(
                "path",
                "not an absolute path",
                format!("`{path}` does not begin with `/`, or ends with it"),
            )
            .help("write `\"${abspath(path.module)}/name\"` for a place in the stack's folder"))
        }
        _ => Ok(()),
    }
}

/// A mode is an octal number; it is planned as it is read back.
fn plan_mode(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    let mode = change.planned.get("mode");
    let Some(written) = mode.as_str() else {
        return Ok(());
    };
    let normal = u32::from_str_radix(written, 8).ok();
    let normal = normal.filter(|mode| *mode <= 0o7777).ok_or_else(|| {
        wrong(
            "mode",
            "not a mode",
            format!("`{written}` is not an octal number up to 7777"),
        )
        .help("write `mode = \"0644\"`")
    })?;
    change.set("mode", format!("{normal:04o}").into());
    Ok(())
}

/// A mode that was checked while planning.
fn mode(written: &str) -> u32 {
    u32::from_str_radix(written, 8).unwrap_or(0o600)
}

/// Something at a path could not be made, changed or removed.
fn failed(path: &str, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error("local", "cannot change it on this machine")
        .path(AttributePath::of("path"))
        .detail(format!("`{path}`"))
        .cause(error.to_string())
}

/// Another thing than expected stands at a path.
fn not_a(what: &str, path: &str, is: &str) -> Diagnostic {
    Diagnostic::error("local", format!("not a {what}"))
        .path(AttributePath::of("path"))
        .detail(format!("`{path}` is {is}"))
}
