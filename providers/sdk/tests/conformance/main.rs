//! The types for tests keep the contract, and each clause notices a type that does not.

mod flawed;
mod member;
mod shell;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dmp_sdk::testing::conformance::{
    BY_THE_ENGINE, CLAUSES, Case, Clause, Held, Report, Stranger, TRIALS, check,
};
use dmp_sdk::testing::{Cloud, Entry, State, TestProvider};
use dmp_sdk::{Configured, OnMachines, Provider, Resource, Value};

use flawed::{Flaw, Flawed};
use member::Member;
use shell::Shell;

fn resource(name: &str) -> Arc<dyn Resource> {
    let resources = TestProvider::default().resources();
    let found = resources
        .into_iter()
        .find(|resource| resource.schema().name.as_ref() == name);
    found.expect("is offered")
}

fn configured(cloud: &Path) -> Arc<dyn Configured> {
    let config = Value::object_of([("cloud", cloud.display().to_string().into())]);
    let provider = TestProvider::default().configure(&config, Arc::new(Shell));
    provider.expect("is usable")
}

/// A case in a fresh cloud.
fn case(
    folder: &Path,
    name: &str,
    config: Value,
    change: impl Fn(&mut State, Stranger) + Send + Sync + 'static,
    count: impl Fn(&State) -> usize + Send + Sync + 'static,
) -> Case {
    let path = folder.join("cloud.json");
    let earlier = std::fs::read(folder.join("earlier.json")).unwrap_or_default();
    std::fs::write(&path, earlier).expect("writable");
    let (cloud, counted) = (Cloud::at(&path), Cloud::at(&path));
    let outside = move |stranger| {
        cloud
            .change(|state| change(state, stranger))
            .expect("writes");
    };
    Case::new(resource(name), configured(&path), config, outside)
        .counted(move || count(&counted.look().expect("readable")))
}

fn thing(folder: &Path) -> Case {
    let config = Value::object_of([
        ("name", "a".into()),
        ("size", 1.into()),
        ("secret", "hunter2".into()),
    ]);
    let changed = config.with("size", 2.into());
    let change = |state: &mut State, stranger| match stranger {
        Stranger::Deletes => state.things.clear(),
        Stranger::Alters => state.things.values_mut().for_each(|thing| thing.size = 7),
    };
    case(folder, "test_thing", config, change, |state| {
        state.things.len()
    })
    .changing(changed)
}

fn entry(folder: &Path) -> Case {
    let config = Value::object_of([("key", "k".into()), ("text", "mine".into())]);
    let changed = config.with("text", "mine too".into());
    let change = |state: &mut State, stranger| match stranger {
        Stranger::Deletes => state.entries.clear(),
        Stranger::Alters => {
            let text = "theirs".into();
            state.entries.insert("k".into(), Entry { text });
        }
    };
    case(folder, "test_entry", config, change, |state| {
        state.entries.len()
    })
    .changing(changed)
}

fn bucket(folder: &Path) -> Case {
    let config = Value::object_of([("label", "data".into()), ("size", 1.into())]);
    let changed = config.with("size", 2.into());
    let change = |state: &mut State, stranger| match stranger {
        Stranger::Deletes => state.buckets.clear(),
        Stranger::Alters => state.buckets.values_mut().for_each(|it| it.size = 7),
    };
    case(folder, "test_bucket", config, change, |state| {
        state.buckets.len()
    })
    .changing(changed)
}

fn slot(folder: &Path) -> Case {
    let config = Value::object_of([("text", "mine".into())]);
    let changed = config.with("text", "mine too".into());
    let change = |state: &mut State, stranger| match stranger {
        Stranger::Deletes => state.slots.clear(),
        Stranger::Alters => state
            .slots
            .values_mut()
            .for_each(|slot| slot.text = "theirs".into()),
    };
    case(folder, "test_slot", config, change, |state| {
        state.slots.len()
    })
    .changing(changed)
}

fn member(folder: &Path) -> Case {
    let path = folder.join("member");
    let register = folder.join("member.register");
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_file(&register);
    let config = Value::object_of([
        ("host", shell::machine().to_value()),
        ("path", path.display().to_string().into()),
        ("text", "mine".into()),
        ("token", "hunter2".into()),
    ]);
    let changed = config.with("text", "mine too".into());
    let of_version_1 = Value::object_of([
        ("host", shell::machine().to_value()),
        ("path", path.display().to_string().into()),
        ("content", "mine".into()),
        ("token", "hunter2".into()),
    ]);
    let (there, file) = (path.clone(), path);
    let outside = move |stranger| match stranger {
        Stranger::Deletes => std::fs::remove_file(&file).expect("is there"),
        Stranger::Alters => std::fs::write(&file, "theirs\nhunter2\n").expect("writable"),
    };
    Case::new(
        Arc::new(Member::new()),
        Arc::new(OnMachines),
        config,
        outside,
    )
    .on(Arc::new(Shell))
    .changing(changed)
    .counted(move || usize::from(there.exists()))
    .counting_elsewhere(move || register.exists())
    .recorded_as(1, of_version_1)
}

fn expect(report: &Report, test: &str) {
    report.judge(test).unwrap_or_else(|why| panic!("{why}"));
}

#[tokio::test]
async fn test_thing_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = check(|| thing(folder.path())).await;
    expect(&report, "test_thing_keeps_the_contract");
}

#[tokio::test]
async fn test_entry_keeps_the_contract_at_an_empty_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = check(|| entry(folder.path())).await;
    expect(&report, "test_entry_keeps_the_contract_at_an_empty_key");
}

#[tokio::test]
async fn test_entry_keeps_the_contract_where_something_stood_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = |state: &mut State| {
        let text = "before".into();
        state.entries.insert("k".into(), Entry { text });
    };
    Cloud::at(&folder.path().join("earlier.json"))
        .change(before)
        .expect("writes");
    let report = check(|| entry(folder.path())).await;
    expect(
        &report,
        "test_entry_keeps_the_contract_where_something_stood_before",
    );
}

#[tokio::test]
async fn test_bucket_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = check(|| bucket(folder.path())).await;
    expect(&report, "test_bucket_keeps_the_contract");
}

#[tokio::test]
async fn test_slot_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = check(|| slot(folder.path())).await;
    expect(&report, "test_slot_keeps_the_contract");
}

#[tokio::test]
async fn a_type_of_steps_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = check(|| member(folder.path())).await;
    expect(&report, "a_type_of_steps_keeps_the_contract");
}

/// Makes a case in a folder.
type MakeIn = fn(&Path) -> Case;

/// For each clause a flaw that breaks it, the type that has the flaw, and what is said of it.
const FLAWS: &[(&str, Flaw, MakeIn, &str)] = &[
    (
        "nothing_or_the_earlier_is_found_before_a_create",
        Flaw::HalfMadeBeforeItIsMade,
        entry,
        "half-made before it was made",
    ),
    (
        "what_was_created_is_found_as_it_was_wanted",
        Flaw::ReadsAnotherValue,
        entry,
        "`text` is not as wanted",
    ),
    (
        "a_second_plan_changes_nothing",
        Flaw::NeverSettles,
        thing,
        "the second plan changes `id`",
    ),
    (
        "an_update_reaches_the_object",
        Flaw::UpdatesNothing,
        thing,
        "`size` is not as wanted",
    ),
    (
        "deleting_twice_succeeds",
        Flaw::FailsWhereItIsGone,
        thing,
        "the second time: refused",
    ),
    (
        "nothing_or_the_earlier_is_found_after_a_delete",
        Flaw::DeletesNothing,
        thing,
        "it is still there",
    ),
    (
        "exactly_one_candidate_is_found_after_a_create",
        Flaw::FindsItTwice,
        thing,
        "2 candidates instead of one",
    ),
    (
        "anothers_object_is_no_candidate",
        Flaw::FindsByTheInstanceAlone,
        thing,
        "by the mark of another state's lineage",
    ),
    (
        "the_id_is_recorded_before_the_first_wait",
        Flaw::RecordsItsIdTooLate,
        thing,
        "it waits and has recorded no id",
    ),
    (
        "what_is_suspect_is_found_whole_or_half_made",
        Flaw::KnowsNoSuspects,
        bucket,
        "what is there and suspect is not found",
    ),
    (
        "a_create_cut_off_anywhere_is_finished",
        Flaw::MakesAnotherInsteadOfFinishing,
        thing,
        "cut off at moment 1: `id` is not as wanted",
    ),
    (
        "an_update_cut_off_anywhere_is_finished",
        Flaw::UpdatesOnce,
        thing,
        "cut off at moment 1: refused",
    ),
    (
        "a_delete_cut_off_anywhere_is_finished",
        Flaw::DeletesOnce,
        thing,
        "cut off at moment 1: refused",
    ),
    (
        "nothing_is_written_after_a_wish_to_stop",
        Flaw::WritesAllTheSame,
        thing,
        "a create has written although it was refused",
    ),
    (
        "a_wait_ends_soon_after_a_wish_to_stop",
        Flaw::SleepsInAWait,
        thing,
        "a create goes on waiting",
    ),
    (
        "leaving_twice_succeeds_and_it_counts_no_more",
        Flaw::NeverLeaves,
        member,
        "it still counts after it has left",
    ),
    (
        "what_a_stranger_deleted_is_absent",
        Flaw::SeesTheDead,
        thing,
        "it is still found",
    ),
    (
        "what_a_stranger_altered_is_seen_and_mended",
        Flaw::SeesWhatItKnows,
        thing,
        "what a stranger altered is not seen",
    ),
    (
        "unknown_inputs_are_planned",
        Flaw::WantsEverythingKnown,
        thing,
        "`name` unknown: refused",
    ),
    (
        "an_unknown_key_is_not_asked_for",
        Flaw::AsksForAnUnknownKey,
        entry,
        "although `key` is unknown",
    ),
    (
        "secrets_keep_their_marks",
        Flaw::DropsAnArgument,
        thing,
        "`size` is no secret any more",
    ),
    (
        "secrets_are_never_shown",
        Flaw::TellsItsSecret,
        member,
        "a secret is in `Steps(",
    ),
    (
        "what_older_versions_recorded_is_upgraded",
        Flaw::UpgradesNothing,
        member,
        "from version 1 `content` is left",
    ),
];

fn clause(name: &str) -> &'static Clause {
    let found = CLAUSES.iter().find(|clause| clause.name == name);
    found.expect("there is such a clause")
}

#[tokio::test]
async fn each_clause_notices_a_type_that_breaks_it() {
    for (name, flaw, make, words) in FLAWS {
        let folder = tempfile::tempdir().expect("a folder");
        let sound = clause(name).try_on(|| make(folder.path())).await;
        assert_eq!(sound, Ok(Held::Holds), "{name} without a flaw");
        let flawed = || {
            let mut case = make(folder.path());
            case.resource = Arc::new(Flawed::new(case.resource, *flaw));
            case
        };
        let verdict = clause(name).try_on(flawed).await;
        let why = verdict.expect_err(name);
        assert!(why.contains(words), "{name} says of {flaw:?}: {why}");
    }
}

#[test]
fn there_is_a_flaw_for_each_clause() {
    let tried: Vec<&str> = FLAWS.iter().map(|(name, ..)| *name).collect();
    let missing: Vec<_> = CLAUSES
        .iter()
        .filter(|clause| !tried.contains(&clause.name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn a_report_tells_what_is_broken_and_what_was_not_tried() {
    let folder = tempfile::tempdir().expect("a folder");
    let flawed = || {
        let mut case = thing(folder.path());
        case.resource = Arc::new(Flawed::new(case.resource, Flaw::UpdatesNothing));
        case
    };
    let report = check(flawed).await;
    let words = report.to_string();
    assert!(
        words.contains("test_thing an_update_reaches_the_object: BROKEN: `size` is not as wanted"),
        "{words}"
    );
    assert!(
        words.contains("leaving_twice_succeeds_and_it_counts_no_more: not applicable: it has no"),
        "{words}"
    );
    let why = report.judge("test_thing_keeps_the_contract").err();
    assert!(why.is_some_and(|why| why.contains("an_update_reaches_the_object")));
    assert!(report.judge("a_test_that_is_not_there").is_err());
}

#[tokio::test]
async fn what_does_not_apply_is_compared_with_the_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let without_change = || {
        let mut case = thing(folder.path());
        case.changed = None;
        case
    };
    let why = check(without_change)
        .await
        .judge("test_thing_keeps_the_contract");
    let why = why.expect_err("two clauses were passed over");
    assert!(
        why.contains("an_update_reaches_the_object was not tried"),
        "{why}"
    );
}

/// Each test that a table names is in the file that it names.
#[test]
fn every_test_that_is_named_is_there() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let trials = TRIALS.iter().map(|trial| (trial.file, trial.test));
    let elsewhere = BY_THE_ENGINE
        .iter()
        .map(|promise| (promise.file, promise.test));
    for (file, test) in trials.chain(elsewhere) {
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        let is_there = text.contains(&format!("fn {test}("));
        assert!(is_there, "there is no test `{test}` in {file}");
    }
    for trial in TRIALS {
        for name in trial.not_applicable {
            clause(name);
        }
    }
}
