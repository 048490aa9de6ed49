//! Whatever the fuzzer has kept, and what it begins with, goes through each target.

use std::fs;

use dmp_fuzz::{TARGETS, Target, folder, pack, unpack};

fn all_are_borne(name: &str) {
    let target = Target::named(name).expect("a target");
    let text = fs::read_to_string(folder().join(format!("{name}.jsonl")));
    let mut inputs = unpack(&text.unwrap_or_else(|error| panic!("{name}: {error}")));
    inputs.extend((target.seeds)());
    assert!(inputs.len() > 20, "{name}: {} inputs", inputs.len());
    println!("{name}: {} inputs", inputs.len());
    for input in &inputs {
        (target.run)(input);
    }
}

#[test]
fn stacks_are_borne() {
    all_are_borne("parse");
}

#[test]
fn expressions_are_borne() {
    all_are_borne("evaluate");
}

#[test]
fn layouts_are_borne() {
    all_are_borne("format");
}

#[test]
fn states_are_borne() {
    all_are_borne("state");
}

#[test]
fn foreign_states_are_borne() {
    all_are_borne("import");
}

#[test]
fn no_target_is_left_out() {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, ["parse", "evaluate", "format", "state", "import"]);
}

#[test]
fn a_corpus_is_kept_as_it_is() {
    let corpus = [b"text\n\"${1}".to_vec(), vec![0xff, 0, b'\n'], Vec::new()].into();
    assert_eq!(unpack(&pack(&corpus)), corpus);
}
