//! The corpus of a target: one file, an input a line, so that it can be read and compared.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Inputs without repetition, in an order that does not depend on how they were found.
pub type Corpus = BTreeSet<Vec<u8>>;

/// The folder of all corpora.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The inputs in a file's text: text as a JSON string, all else in base64 as `{"base64": …}`.
///
/// # Panics
/// If it is not written like that.
#[must_use]
pub fn unpack(text: &str) -> Corpus {
    let input = |line: &str| match serde_json::from_str(line).expect("a line of JSON") {
        Value::String(text) => text.into_bytes(),
        other => {
            let coded = other["base64"].as_str().expect("text or base64");
            STANDARD.decode(coded).expect("base64")
        }
    };
    text.lines().map(input).collect()
}

/// The file's text of some inputs.
#[must_use]
pub fn pack(corpus: &Corpus) -> String {
    let line = |input: &Vec<u8>| match std::str::from_utf8(input) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": STANDARD.encode(input) }),
    };
    corpus
        .iter()
        .map(|input| format!("{}\n", line(input)))
        .collect()
}

/// All regular files of a folder.
pub(crate) fn contents(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
        .iter()
        .filter_map(|path| fs::read(path).ok())
        .collect()
}
