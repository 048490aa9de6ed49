//! `dmp lab`: an embedded cloud, served by this process or by another one that is asked.

use std::path::Path;

use dmp_lab::Trouble;
use dmp_lab::command::{LabArguments, run as run_lab};
use dmp_lang::Sources;
use dmp_sdk::Diagnostic;

use super::{fail, print, say};
use crate::{Context, Exit};

pub(crate) async fn run(context: &Context, directory: &Path, arguments: &LabArguments) -> Exit {
    match run_lab(arguments, directory, &say).await {
        Ok(text) => {
            print(&text);
            Exit::Success
        }
        Err(trouble) => {
            let help = match &trouble {
                Trouble::NotRunning(_) => {
                    Some("serve one: `dmp lab serve`; `--dir` names its folder")
                }
                _ => None,
            };
            let diagnostic =
                Diagnostic::error("lab", "the lab can't do this").detail(trouble.to_string());
            let diagnostic = match help {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            };
            fail(context, &Sources::new(), &[diagnostic])
        }
    }
}
