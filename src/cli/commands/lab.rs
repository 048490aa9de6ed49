//! `dmp lab`: an embedded cloud, served by this process or by another one that is asked.

use std::path::{Path, PathBuf};

use dmp_lab::Trouble;
use dmp_lab::command::{LabArguments, run as run_lab};
use dmp_lang::Sources;
use dmp_sdk::Diagnostic;

use super::{fail, print, say};
use crate::{Context, Exit};

pub(crate) async fn run(context: &Context, directory: &Path, arguments: &LabArguments) -> Exit {
    match run_lab(arguments, &folder_of(directory), &say).await {
        Ok(text) => {
            print(&text);
            Exit::Success
        }
        Err(trouble) => fail_by(context, &trouble),
    }
}

/// Tells why a lab can't do something.
pub(super) fn fail_by(context: &Context, trouble: &Trouble) -> Exit {
    let mut diagnostic =
        Diagnostic::error("lab", "the lab can't do this").detail(trouble.to_string());
    if matches!(trouble, Trouble::NotRunning(_)) {
        diagnostic = diagnostic.help("serve one: `dmp lab serve`; `--dir` names its folder");
    }
    fail(context, &Sources::new(), &[diagnostic])
}

/// Serves the lab of a stack in a process of its own that outlives this one, if nobody serves it.
pub(super) async fn serve_in_background(stack: &Path) -> Result<(), Trouble> {
    let lab = folder_of(stack);
    if dmp_lab::command::is_served(&lab).await {
        return Ok(());
    }
    let begun = dmp_lab::command::begin_in_background(&lab).await?;
    say(&format!(
        "a lab is served for this stack, by process {}: `dmp lab status` shows it, `dmp lab stop` ends it\n",
        begun.pid
    ));
    Ok(())
}

/// Returns where the lab of a stack is.
pub(crate) fn folder_of(stack: &Path) -> PathBuf {
    stack.join(".dmp").join("lab")
}
