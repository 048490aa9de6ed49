//! The language against OpenTofu itself: `cargo xtask live language`.
//!
//! `DMP_LIVE_RECORD=1` records what OpenTofu answers, for the end-to-end test that needs no OpenTofu.

#![expect(
    clippy::print_stdout,
    reason = "the figures are for the person who runs it"
)]

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use dmp_testkit::{language, layout};

fn program(name: &str) -> PathBuf {
    env::var_os(name)
        .expect("started by `cargo xtask live language`")
        .into()
}

#[test]
#[ignore = "needs OpenTofu: cargo xtask live language"]
fn every_difference_from_opentofu_is_on_purpose() {
    let expressions = language::expressions();
    let start = Instant::now();
    let tofu = language::ask_oracle(&program("DMP_LIVE_ORACLE"), &expressions);
    let dmp = language::ask_dmp(&program("DMP_LIVE_BINARY"), &expressions);
    let refused = tofu.iter().filter(|answer| answer.is_none()).count();
    println!(
        "{} expressions, {refused} of them errors in OpenTofu, in {:.1} s",
        expressions.len(),
        start.elapsed().as_secs_f64()
    );
    for (name, count) in language::differences(&expressions) {
        println!("differs on purpose: {name}, shown by {count}");
    }
    if env::var_os("DMP_LIVE_RECORD").is_some() {
        language::record(&tofu);
    }
    let faults = language::faults(&expressions, &tofu, &dmp);
    assert!(
        faults.is_empty(),
        "{} of {} differ:\n{}",
        faults.len(),
        expressions.len(),
        faults.join("\n")
    );
    assert!(
        language::recorded() == tofu,
        "the recorded answers are not OpenTofu's: DMP_LIVE_RECORD=1 records them anew"
    );
}

#[test]
#[ignore = "needs OpenTofu: cargo xtask live language"]
fn every_function_of_opentofu_is_in_the_reference() {
    // OpenTofu has these two only to refuse them.
    const REFUSED: [&str; 2] = ["list", "map"];
    let listed = Command::new(program("DMP_LIVE_ORACLE"))
        .arg("--functions")
        .output()
        .expect("it starts");
    let listed = String::from_utf8(listed.stdout).expect("it is text");
    let page = Command::new(program("DMP_LIVE_BINARY"))
        .args(["docs", "functions"])
        .output()
        .expect("it starts");
    let page = String::from_utf8(page.stdout).expect("it is text");
    let names: Vec<&str> = listed
        .lines()
        .filter(|name| !REFUSED.contains(name))
        .collect();
    println!("{} functions", names.len());
    let missing: Vec<&&str> = names
        .iter()
        .filter(|name| !page.contains(&format!("| `{name}(")))
        .collect();
    assert!(names.len() > 110 && missing.is_empty(), "{missing:?}");
}

#[test]
#[ignore = "needs OpenTofu: cargo xtask live language"]
fn files_have_the_layout_that_opentofu_gives_them() {
    let mut corpus = layout::corpus();
    let texts: Vec<String> = corpus.iter().map(|given| given.text.clone()).collect();
    let tofu = layout::ask_oracle(&program("DMP_LIVE_ORACLE"), &texts);
    let dmp = layout::ask_dmp(&program("DMP_LIVE_BINARY"), &texts);
    for (given, tofu) in corpus.iter_mut().zip(tofu) {
        let tofu = tofu.unwrap_or_else(|| panic!("OpenTofu refuses {}", given.name));
        if env::var_os("DMP_LIVE_RECORD").is_some() {
            layout::record(given, &tofu);
            given.opentofu = Some(tofu.clone());
        }
        assert!(
            given.opentofu.as_ref() == Some(&tofu),
            "what is recorded of {} is not OpenTofu's: DMP_LIVE_RECORD=1 records it anew",
            given.name
        );
    }
    println!(
        "{} files, {} of them differ on purpose",
        corpus.len(),
        layout::differences(&corpus).len()
    );
    let faults = layout::faults(&corpus, &dmp);
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// Each expression as an argument, without the white space that means nothing, and with more of it.
#[test]
#[ignore = "needs OpenTofu: cargo xtask live language"]
fn expressions_have_the_layout_that_opentofu_gives_them() {
    let expressions = language::expressions();
    // What stands in a heredoc stays as it is, on purpose, and a text in a text is unwrapped at once.
    let is_comparable = |text: &&str| !text.contains("<<") && !text.starts_with("\"${\"");
    let texts: Vec<String> = expressions
        .iter()
        .map(|expression| expression.text.trim())
        .filter(is_comparable)
        .map(|text| match text.contains('\n') {
            true => format!("locals {{\nname=({text})\nlonger_name   =1\n}}\n"),
            false => {
                format!("locals {{\nname={text}# comment\nlonger_name   =  {text}  # another\n}}\n")
            }
        })
        .collect();
    let tofu = layout::ask_oracle(&program("DMP_LIVE_ORACLE"), &texts);
    let dmp = layout::ask_dmp(&program("DMP_LIVE_BINARY"), &texts);
    let mut compared = 0;
    let mut faults = Vec::new();
    for ((text, tofu), dmp) in texts.iter().zip(tofu).zip(dmp) {
        // What one of them can't parse is compared above.
        let Some(tofu) = tofu.filter(|_| dmp != *text) else {
            continue;
        };
        compared += 1;
        if tofu != dmp {
            faults.push(format!("{text}OpenTofu:\n{tofu}dmp:\n{dmp}"));
        }
    }
    println!("{compared} expressions in one layout");
    assert!(compared > 2500, "only {compared} could be compared");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
#[ignore = "needs OpenTofu: cargo xtask live language"]
fn functions_of_a_provider_need_no_configuration() {
    let manifests = "{ apiVersion: v1, kind: Namespace }\\n---\\n{ apiVersion: v1, kind: Pod }";
    let expression =
        format!("provider::kubernetes::manifest_decode_multi(\"{manifests}\")[*].kind");
    let expressions = [
        expression.as_str(),
        "provider::kubernetes::manifest_decode(\"a: 1\")",
        "provider::kubernetes::manifest_decode(null)",
        "provider::kubernetes::manifest_decode()",
        "provider::kubernetes::nope(\"a\")",
        "provider::nope::nope(\"a\")",
        "provider::kubernetes::manifest_decode(timestamp())",
        "issensitive(provider::kubernetes::manifest_encode(sensitive({apiVersion = \"v1\", kind = \"Pod\"})))",
    ];
    let expressions = expressions.map(|text| language::Expression {
        text: text.to_owned(),
        difference: None,
    });
    let answers = language::ask_dmp(&program("DMP_LIVE_BINARY"), &expressions);
    let values: Vec<String> = answers
        .iter()
        .map(|answer| {
            answer
                .as_ref()
                .map_or("error".into(), |answer| answer["value"].to_string())
        })
        .collect();
    let wanted = [
        "[\"Namespace\",\"Pod\"]",
        "error",
        "error",
        "error",
        "error",
        "error",
        "\"(known after apply)\"",
        "true",
    ];
    assert_eq!(values, wanted);
}
