//! The page about this provider quotes it as it is.

use std::path::Path;

#[test]
fn each_quotation_on_the_page_is_in_the_code() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(here.join(name)).expect(name);
    let page = read("../../docs/extending/first-resource-type.md");
    let files = [
        "Cargo.toml",
        "src/lib.rs",
        "src/entry.rs",
        "src/main.rs",
        "tests/contract.rs",
        "tests/engine.rs",
    ];
    let code: Vec<String> = files.into_iter().map(read).collect();
    // Outside and inside of fences take turns.
    let quotations: Vec<&str> = page.split("```").skip(1).step_by(2).collect();
    assert!(quotations.len() > 8, "{} quotations", quotations.len());
    for quotation in quotations {
        let (_, text) = quotation.split_once('\n').expect("a language");
        let is_there = code.iter().any(|file| file.contains(text));
        assert!(is_there, "the page quotes what is not there:\n{text}");
    }
}
