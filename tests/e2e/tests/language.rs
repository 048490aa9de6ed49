//! The language against what OpenTofu makes of the same expressions, as the live suite `language` has recorded it.

use std::path::Path;

use dmp_testkit::language;

#[test]
fn expressions_mean_what_they_mean_in_opentofu() {
    let expressions = language::expressions();
    let recorded = language::recorded();
    assert_eq!(
        expressions.len(),
        recorded.len(),
        "`DMP_LIVE_RECORD=1 cargo xtask live language` records answers to new expressions"
    );
    let dmp = language::ask_dmp(Path::new(env!("CARGO_BIN_EXE_dmp-e2e")), &expressions);
    let faults = language::faults(&expressions, &recorded, &dmp);
    assert!(
        faults.is_empty(),
        "{} of {}:\n{}",
        faults.len(),
        expressions.len(),
        faults.join("\n")
    );
}

#[test]
fn what_differs_on_purpose_is_explained_and_tried() {
    let tried: Vec<String> = language::differences(&language::expressions())
        .into_keys()
        .collect();
    let explained: Vec<String> = language::explained().into_iter().collect();
    assert_eq!(tried, explained);
}
