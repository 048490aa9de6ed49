//! `docs/extending/clauses.md`: the clauses of the contract, from the tables beside the suite. Called by `docs`.

use std::collections::BTreeSet;
use std::fmt::Write;

use dmp_sdk::testing::conformance::{BY_THE_ENGINE, CLAUSES, TRIALS};

/// The page, in the documentation's folder.
pub(crate) const PAGE: &str = "extending/clauses.md";

/// Returns the page. `index` is the reference's index, of which all resource types are taken.
pub(crate) fn page(index: &str) -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str(
        "\n| clause | what it promises | tried with | in the tests |\n| --- | --- | --- | --- |\n",
    );
    for clause in CLAUSES {
        let trials = TRIALS
            .iter()
            .filter(|trial| !trial.not_applicable.contains(&clause.name));
        let types: BTreeSet<&str> = trials.clone().map(|trial| trial.resource_type).collect();
        let numbers: Vec<String> = TRIALS
            .iter()
            .enumerate()
            .filter(|(_, trial)| !trial.not_applicable.contains(&clause.name))
            .map(|(number, _)| (number + 1).to_string())
            .collect();
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            clause.name,
            clause.promise,
            code(types),
            numbers.join(", ")
        );
    }
    page.push_str("\n## The tests\n\n| | resource type | test | clauses that do not apply |\n| --- | --- | --- | --- |\n");
    for (number, trial) in TRIALS.iter().enumerate() {
        let _ = writeln!(
            page,
            "| {} | `{}` | `{}` in `{}` | {} |",
            number + 1,
            trial.resource_type,
            trial.test,
            trial.file,
            code(trial.not_applicable.iter().copied())
        );
    }
    let tried: BTreeSet<&str> = TRIALS.iter().map(|trial| trial.resource_type).collect();
    let missing = resource_types(index)
        .into_iter()
        .filter(|name| !tried.contains(name));
    let _ = writeln!(page, "\nNot tried by the suite: {}. {WHY}\n", code(missing));
    page.push_str(ELSEWHERE);
    for promise in BY_THE_ENGINE {
        let _ = writeln!(
            page,
            "| {} | {} | `{}` in `{}` |",
            promise.about, promise.promise, promise.test, promise.file
        );
    }
    page
}

fn code<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// The second column of the index: `` [`host`](host.md#host), … ``.
fn resource_types(index: &str) -> Vec<&str> {
    let rows = index.lines().filter(|line| line.starts_with("| ["));
    let cells = rows.filter_map(|line| line.split('|').nth(2));
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect()
}

const WHY: &str = "It runs a work as one batch on one machine, and theirs goes over several; `tests/live/tests/cluster` tries \
them with the whole program, killed and cut off at named points. A delete of `host_filesystem` leaves everything, which it would \
take for one that fails; `providers/host/tests/lifecycle` tries that type.";

const INTRODUCTION: &str = "<!-- made from the tables beside the suite: cargo xtask docs -->
# The clauses of the contract

`dmp_sdk::testing::conformance` tries each of these over a resource type, without the engine, and each has a type in
`providers/sdk/tests/conformance` that breaks it and is noticed. A clause that does not apply to a type is told as such, and the
tests compare that with these tables. `member` is a type of those tests; `test_thing` and `test_entry` are the provider for tests.
";

const ELSEWHERE: &str = "## What the engine promises

No suite over a single type can show these; tests of the whole program do.

| about | what it promises | test |
| --- | --- | --- |
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_the_index_that_no_test_tries_are_named() {
        let index = "| provider | resource types |\n| [a](a.md) | [`host_file`](x), [`a_new_one`](y) | [`a_source`](z) |\n";
        assert_eq!(resource_types(index), ["host_file", "a_new_one"]);
        let page = page(index);
        assert!(
            page.contains("Not tried by the suite: `a_new_one`."),
            "{page}"
        );
        assert!(page.contains("| `deleting_twice_succeeds` |"), "{page}");
    }
}
