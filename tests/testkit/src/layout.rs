//! Files in any layout, what OpenTofu's formatter makes of them, and what `dmp fmt` does.
//!
//! `format/given` holds the files, `format/opentofu` what the live suite `language` has recorded of OpenTofu, and
//! `format/dmp` what dmp makes of those whose name is a difference on purpose; `docs/reference/differences.md` names them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::language::{fed, page};

/// A file of the corpus.
#[derive(Debug, Clone)]
pub struct Given {
    /// Its name, without the ending.
    pub name: String,
    /// Its text.
    pub text: String,
    /// What OpenTofu makes of it, as recorded; `None` if nothing is.
    pub opentofu: Option<String>,
    /// What dmp makes of it, if that differs on purpose.
    pub dmp: Option<String>,
}

/// All files of the corpus, sorted by name.
///
/// # Panics
/// If they can't be read.
#[must_use]
pub fn corpus() -> Vec<Given> {
    let files = fs::read_dir(folder("given")).expect("the folder is there");
    let mut names: Vec<String> = files
        .map(|file| file.expect("it can be read").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    let given = |name: String| Given {
        text: fs::read_to_string(folder("given").join(&name)).expect("it is text"),
        opentofu: fs::read_to_string(folder("opentofu").join(&name)).ok(),
        dmp: fs::read_to_string(folder("dmp").join(&name)).ok(),
        name: name.trim_end_matches(".hcl").to_owned(),
    };
    names.into_iter().map(given).collect()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("format")
        .join(name)
}

/// Records anew what OpenTofu makes of a file.
///
/// # Panics
/// If it can't be written.
pub fn record(given: &Given, answer: &str) {
    let path = folder("opentofu").join(format!("{}.hcl", given.name));
    fs::write(path, answer).expect("it can be written");
}

/// What OpenTofu makes of texts, by the oracle's program; `None` of what it refuses.
///
/// # Panics
/// If it does not answer for each of them.
#[must_use]
pub fn ask_oracle(program: &Path, texts: &[String]) -> Vec<Option<String>> {
    let mut command = Command::new(program);
    command.arg("--format");
    let lines: String = texts
        .iter()
        .map(|text| format!("{}\n", json!(text)))
        .collect();
    let answer = |line: &str| match serde_json::from_str(line) {
        Ok(Value::String(text)) => Some(text),
        Ok(Value::Null) => None,
        other => panic!("{other:?}: {line}"),
    };
    let answers: Vec<_> = fed(command, &lines).lines().map(answer).collect();
    assert_eq!(answers.len(), texts.len(), "one answer for each");
    answers
}

/// What dmp makes of texts in one run; one that it refuses stays as it is.
///
/// # Panics
/// If they can't be written or read.
#[must_use]
pub fn ask_dmp(program: &Path, texts: &[String]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |index: usize| folder.path().join(format!("{index}.hcl"));
    for (index, text) in texts.iter().enumerate() {
        fs::write(path(index), text).expect("it can be written");
    }
    let output = Command::new(program)
        .args(["fmt", "--list=false"])
        .current_dir(folder.path())
        .env_clear()
        .output()
        .expect("it starts");
    assert!(output.stdout.is_empty(), "it lists nothing");
    let read = |index| fs::read_to_string(path(index)).expect("it is text");
    (0..texts.len()).map(read).collect()
}

/// What is wrong with what dmp makes of the corpus: differences that are not on purpose, and what should differ and does not.
#[must_use]
pub fn faults(corpus: &[Given], dmp: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    for (given, made) in corpus.iter().zip(dmp) {
        let Some(opentofu) = &given.opentofu else {
            faults.push(format!("{}: nothing is recorded", given.name));
            continue;
        };
        if given.dmp.as_ref() == Some(opentofu) {
            faults.push(format!("{}: it does not differ", given.name));
        }
        let wanted = given.dmp.as_ref().unwrap_or(opentofu);
        if made != wanted {
            faults.push(format!(
                "{}:\n{wanted}\nbut dmp makes of it\n{made}",
                given.name
            ));
        }
    }
    faults
}

/// The names of the files that differ on purpose.
#[must_use]
pub fn differences(corpus: &[Given]) -> BTreeSet<String> {
    let differing = corpus.iter().filter(|given| given.dmp.is_some());
    differing.map(|given| given.name.clone()).collect()
}

/// The names of the differences that the reference explains.
///
/// # Panics
/// If the page can't be read.
#[must_use]
pub fn explained() -> BTreeSet<String> {
    page().1
}
