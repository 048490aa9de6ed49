//! The page of the state's form: its example is what dmp writes.

mod support;

use serde_json::Value as Json;
use support::Sandbox;

const PAGE: &str = include_str!("../../../docs/reference/state-format.md");

/// The text of the one block in a language.
fn block(language: &str) -> &'static str {
    let (_, rest) = PAGE
        .split_once(&format!("```{language}\n"))
        .expect("a block");
    rest.split_once("```").expect("its end").0
}

/// Whether two are alike, but where the page has `…`.
fn differs(page: &Json, real: &Json, at: &str) -> Option<String> {
    match (page, real) {
        (Json::String(text), real) if text == "…" => {
            (real.is_null() || *real == "").then(|| format!("{at} is empty"))
        }
        (Json::Object(page), Json::Object(real)) => {
            let (told, there): (Vec<_>, Vec<_>) = (page.keys().collect(), real.keys().collect());
            let same =
                |one: &[&String], other: &[&String]| one.iter().all(|key| other.contains(key));
            if !same(&told, &there) || !same(&there, &told) {
                return Some(format!("{at}: {told:?} and {there:?}"));
            }
            page.iter()
                .find_map(|(key, page)| differs(page, &real[key], &format!("{at}.{key}")))
        }
        (page, real) => (page != real).then(|| format!("{at}: {page} and {real}")),
    }
}

#[test]
fn the_example_of_the_page_is_what_dmp_exports() {
    let sandbox = Sandbox::stack(block("hcl")).applied();
    let export = sandbox.run(&["state", "export"]).expect_success().out;
    let real: Json = serde_json::from_str(&export).expect("JSON");
    let page: Json = serde_json::from_str(block("json")).expect("JSON");
    assert_eq!(differs(&page, &real, ""), None, "{real:#}");
}

/// How many records the log has; each is a row of the page, with all its members.
fn told(sandbox: &Sandbox) -> usize {
    let outside = dmp_state::Outside {
        identity_file: sandbox.path().join(".config/dmp/identity.txt"),
        passphrase: None,
        seen_folder: sandbox.path().join(".local/state/dmp/seen"),
    };
    let local = dmp_state::Local::open(&sandbox.stack_folder().join(".dmp/state.sqlite"));
    let store = dmp_state::Store::open(Box::new(local.expect("opens")), outside).expect("opens");
    let mut seen = 0;
    for commit in store.log(dmp_state::Serial(0), 1000).expect("a log") {
        let records: Vec<Json> = serde_json::from_str(&commit.records).expect("JSON");
        for record in records {
            let name = record["record"].as_str().expect("its name");
            let is_of = |line: &&str| {
                let cell = line.split('|').nth(1).unwrap_or_default();
                cell.contains(&format!("`{name}`"))
            };
            let row = PAGE.lines().find(is_of);
            let row = row.unwrap_or_else(|| panic!("the page has no `{name}`"));
            for member in record.as_object().expect("an object").keys() {
                let is_told = member == "record" || row.contains(&format!("`{member}`"));
                assert!(is_told, "the page tells nothing of `{member}` of `{name}`");
            }
            seen += 1;
        }
    }
    seen
}

#[test]
fn the_page_tells_of_all_records() {
    let sandbox = Sandbox::stack(block("hcl")).applied();
    sandbox
        .run(&["state", "mv", "core_value.settings", "core_value.other"])
        .expect_success();
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert!(told(&sandbox) > 10, "{}", told(&sandbox));
    sandbox.run(&["state", "rekey"]).expect_success();
    assert!(told(&sandbox) > 3, "{}", told(&sandbox));
}
