//! Expressions of the language, what OpenTofu makes of them, and what another program does.
//!
//! `language/expressions.txt` holds the expressions, `language/answers.jsonl` what the live suite `language` has recorded of
//! OpenTofu, and `language/files` what functions read. `docs/reference/differences.md` names what differs on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// An expression that both are asked for.
#[derive(Debug, Clone)]
pub struct Expression {
    /// Its text.
    pub text: String,
    /// The difference on purpose that it shows, by the name in the reference.
    pub difference: Option<String>,
}

/// What a program makes of an expression; `None` if it refuses it.
pub type Answer = Option<Value>;

/// The folder of the expressions.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("language")
}

/// All expressions.
///
/// # Panics
/// If they can't be read.
#[must_use]
pub fn expressions() -> Vec<Expression> {
    let text = read(&folder().join("expressions.txt"));
    let mut found = Vec::new();
    let mut difference = None;
    for line in text.lines() {
        if let Some(section) = line.strip_prefix("## ") {
            difference = section.strip_prefix("differs: ").map(str::to_owned);
        } else if !line.starts_with("# ") && !line.trim().is_empty() {
            found.push(Expression {
                text: line.replace('↵', "\n"),
                difference: difference.clone(),
            });
        }
    }
    found
}

/// The recorded answers of OpenTofu.
///
/// # Panics
/// If they can't be read.
#[must_use]
pub fn recorded() -> Vec<Answer> {
    read(&folder().join("answers.jsonl"))
        .lines()
        .map(answer)
        .collect()
}

/// Records answers anew.
///
/// # Panics
/// If they can't be written.
pub fn record(answers: &[Answer]) {
    let lines = answers.iter().map(|answer| match answer {
        Some(answer) => format!("{answer}\n"),
        None => "{}\n".to_owned(),
    });
    let path = folder().join("answers.jsonl");
    fs::write(path, lines.collect::<String>()).expect("it can be written");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The answer in a line: an object with `type` and `value`, or something else for a refusal.
fn answer(line: &str) -> Answer {
    let parsed: Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let (ty, value) = (parsed.get("type")?, parsed.get("value")?);
    Some(json!({ "type": ty, "value": value }))
}

/// What OpenTofu answers, by the oracle's program.
///
/// # Panics
/// If it does not answer each of them.
#[must_use]
pub fn ask_oracle(program: &Path, expressions: &[Expression]) -> Vec<Answer> {
    let mut command = Command::new(program);
    command.arg(folder().join("files"));
    let lines = expressions
        .iter()
        .map(|expression| format!("{}\n", json!(expression.text)));
    let out = fed(command, &lines.collect::<String>());
    let answers: Vec<Answer> = out.lines().map(answer).collect();
    assert_eq!(answers.len(), expressions.len(), "one answer for each");
    answers
}

/// What dmp answers: those of one line in one process, each of the others in its own.
///
/// # Panics
/// If it does not answer each of them.
#[must_use]
pub fn ask_dmp(program: &Path, expressions: &[Expression]) -> Vec<Answer> {
    let console = |words: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(["console", "--json"])
            .args(words)
            .current_dir(folder().join("files"))
            .env_clear()
            .env("HOME", "/home/somebody");
        command
    };
    let is_line = |expression: &&Expression| !expression.text.contains('\n');
    let lines: Vec<&Expression> = expressions.iter().filter(is_line).collect();
    let text: String = lines
        .iter()
        .map(|expression| format!("{}\n", expression.text))
        .collect();
    let out = fed(console(&[]), &text);
    assert_eq!(out.lines().count(), lines.len(), "one answer for each line");
    let mut answers = out.lines().map(answer);
    let one = |expression: &Expression| match is_line(&expression) {
        true => answers.next().flatten(),
        false => answer(fed(console(&["--eval", &expression.text]), "").trim_end()),
    };
    expressions.iter().map(one).collect()
}

/// Standard output of a program that is given a text.
pub(crate) fn fed(mut command: Command, text: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("it is piped");
    let text = text.to_owned();
    let writer = std::thread::spawn(move || {
        let _ = input.write_all(text.as_bytes());
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("it is written");
    String::from_utf8(output.stdout).expect("it is text")
}

/// What is wrong with dmp's answers: differences that are not on purpose, and what should differ and does not.
#[must_use]
pub fn faults(expressions: &[Expression], tofu: &[Answer], dmp: &[Answer]) -> Vec<String> {
    let shown = |answer: &Answer| match answer {
        Some(answer) => answer.to_string(),
        None => "an error".to_owned(),
    };
    let mut faults = Vec::new();
    for ((expression, tofu), dmp) in expressions.iter().zip(tofu).zip(dmp) {
        match (&expression.difference, tofu == dmp) {
            (None, false) => faults.push(format!(
                "{}\n    OpenTofu  {}\n    dmp       {}",
                expression.text,
                shown(tofu),
                shown(dmp)
            )),
            (Some(name), true) => faults.push(format!(
                "{}\n    does not differ, as `{name}` says",
                expression.text
            )),
            _ => {}
        }
    }
    faults
}

/// How many expressions show each difference on purpose.
#[must_use]
pub fn differences(expressions: &[Expression]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in expressions
        .iter()
        .filter_map(|expression| expression.difference.clone())
    {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// The names of the differences that the reference explains.
///
/// # Panics
/// If the page can't be read.
#[must_use]
pub fn explained() -> BTreeSet<String> {
    page().0
}

/// The names of the differences that the reference explains: of expressions, and of the layout of files.
pub(crate) fn page() -> (BTreeSet<String>, BTreeSet<String>) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/differences.md");
    let page = read(&page);
    let (expressions, layout) = page.split_once("\n## Layout\n").expect("it has the part");
    let names = |part: &str| {
        let rows = part.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()))
            .collect()
    };
    (names(expressions), names(layout))
}
