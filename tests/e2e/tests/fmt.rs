//! `dmp fmt`: which files it takes, what it prints, how it ends. What it makes of a text is compared with OpenTofu, too.

mod support;

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

use dmp_testkit::layout;
use support::{Ran, Sandbox};

const UNTIDY: &str = "locals {\na=1 # one\nlonger = \"${ 2 }\"\n}\n";
const TIDY: &str = "locals {\n  a      = 1 # one\n  longer = 2\n}\n";

fn read(sandbox: &Sandbox, name: &str) -> String {
    std::fs::read_to_string(sandbox.stack_folder().join(name)).expect("readable")
}

/// Runs dmp with a text on standard input.
fn fed(sandbox: &Sandbox, arguments: &[&str], text: &str) -> Ran {
    let mut child = sandbox
        .command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(text.as_bytes()).expect("taken");
    drop(input);
    Ran::from(child.wait_with_output().expect("ends"))
}

#[test]
fn files_are_written_and_those_that_changed_are_named() {
    let sandbox = Sandbox::stack(UNTIDY);
    sandbox.write("tidy.hcl", TIDY);
    sandbox.write("values.auto.hcl", "a   =   1\n");
    sandbox.write(".hidden.hcl", UNTIDY);
    sandbox.write("notes.txt", UNTIDY);

    let ran = sandbox.run(&["fmt"]).expect_success();

    assert_eq!(ran.out, "main.hcl\nvalues.auto.hcl\n");
    assert_eq!(read(&sandbox, "main.hcl"), TIDY);
    assert_eq!(read(&sandbox, "values.auto.hcl"), "a = 1\n");
    assert_eq!(read(&sandbox, ".hidden.hcl"), UNTIDY);
    assert_eq!(read(&sandbox, "notes.txt"), UNTIDY);
    assert_eq!(sandbox.run(&["fmt"]).expect_success().out, "");
}

#[test]
fn a_check_writes_nothing_and_ends_with_3() {
    let sandbox = Sandbox::stack(UNTIDY);

    let ran = sandbox.run(&["fmt", "-check"]).expect_code(3);
    assert_eq!(ran.out, "main.hcl\n");
    let ran = sandbox
        .run(&["fmt", "--check", "-list=false"])
        .expect_code(3);
    assert_eq!(ran.out, "");
    assert_eq!(read(&sandbox, "main.hcl"), UNTIDY);

    sandbox.write("main.hcl", TIDY);
    assert_eq!(sandbox.run(&["fmt", "--check"]).expect_success().out, "");
}

#[test]
fn a_difference_is_shown_by_lines() {
    let sandbox = Sandbox::stack(UNTIDY);
    let ran = sandbox.run(&["fmt", "--diff", "--check"]).expect_code(3);
    let wanted = "main.hcl\n--- old/main.hcl\n+++ new/main.hcl\n@@ -1,4 +1,4 @@\n locals {\n-a=1 # one\n\
                  -longer = \"${ 2 }\"\n+  a      = 1 # one\n+  longer = 2\n }\n";
    assert_eq!(ran.out, wanted);
}

#[test]
fn folders_below_are_gone_into_when_asked() {
    let sandbox = Sandbox::stack(TIDY);
    for folder in ["modules/a", ".git"] {
        std::fs::create_dir_all(sandbox.stack_folder().join(folder)).expect("made");
    }
    sandbox.write("modules/a/main.hcl", UNTIDY);
    sandbox.write(".git/main.hcl", UNTIDY);

    assert_eq!(sandbox.run(&["fmt"]).expect_success().out, "");
    let ran = sandbox.run(&["fmt", "--check", "modules/a"]).expect_code(3);
    assert_eq!(ran.out, "modules/a/main.hcl\n");
    let ran = sandbox.run(&["fmt", "-recursive"]).expect_success();
    assert_eq!(ran.out, "modules/a/main.hcl\n");
    assert_eq!(read(&sandbox, "modules/a/main.hcl"), TIDY);
    assert_eq!(read(&sandbox, ".git/main.hcl"), UNTIDY);
}

#[test]
fn standard_input_becomes_standard_output() {
    let sandbox = Sandbox::stack(UNTIDY);
    let ran = fed(&sandbox, &["fmt", "-"], UNTIDY).expect_success();
    assert_eq!(ran.out, TIDY);
    assert_eq!(
        fed(&sandbox, &["fmt", "-"], TIDY).expect_success().out,
        TIDY
    );
    let ran = fed(&sandbox, &["fmt", "--check", "-"], UNTIDY).expect_code(3);
    assert_eq!(ran.out, "");
    fed(&sandbox, &["fmt", "--check", "-"], TIDY).expect_success();
    fed(&sandbox, &["fmt", "-"], "a = [\n")
        .expect_code(2)
        .says("<stdin>:1");
    assert_eq!(read(&sandbox, "main.hcl"), UNTIDY);
}

#[test]
fn a_file_can_be_printed_instead_of_written() {
    let sandbox = Sandbox::stack(UNTIDY);
    let ran = sandbox.run(&["fmt", "-write=false", "-list=false", "main.hcl"]);
    assert_eq!(ran.expect_success().out, TIDY);
    assert_eq!(read(&sandbox, "main.hcl"), UNTIDY);
}

#[test]
fn what_cannot_be_parsed_stays_and_the_others_are_formatted() {
    let sandbox = Sandbox::stack("a  = [\n");
    sandbox.write("other.hcl", UNTIDY);
    let ran = sandbox.run(&["fmt"]).expect_code(2).says("main.hcl:");
    assert_eq!(ran.out, "other.hcl\n");
    assert_eq!(read(&sandbox, "main.hcl"), "a  = [\n");
    assert_eq!(read(&sandbox, "other.hcl"), TIDY);
}

#[test]
fn what_is_no_configuration_is_refused() {
    let sandbox = Sandbox::stack(TIDY);
    sandbox.write("notes.txt", UNTIDY);
    let named = sandbox.run(&["fmt", "notes.txt"]).expect_code(2);
    named.says("file is not named `*.hcl`");
    let missing = sandbox.run(&["fmt", "missing.hcl"]).expect_code(2);
    missing.says("cannot read file").says("`missing.hcl`");
    std::fs::write(sandbox.stack_folder().join("bytes.hcl"), b"a = \"\xff\"\n").expect("writes");
    sandbox
        .run(&["fmt"])
        .expect_code(2)
        .says("is not UTF-8 text");
    assert_eq!(read(&sandbox, "notes.txt"), UNTIDY);
}

#[test]
fn links_and_permissions_stay() {
    let sandbox = Sandbox::stack(TIDY);
    sandbox.write("real.txt", UNTIDY);
    let real = sandbox.stack_folder().join("real.txt");
    std::fs::set_permissions(&real, PermissionsExt::from_mode(0o640)).expect("set");
    let link = sandbox.stack_folder().join("link.hcl");
    symlink("real.txt", &link).expect("linked");

    assert_eq!(sandbox.run(&["fmt"]).expect_success().out, "link.hcl\n");

    assert!(link.is_symlink());
    assert_eq!(read(&sandbox, "real.txt"), TIDY);
    let mode = real.metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn the_modules_and_examples_are_formatted() {
    let sandbox = Sandbox::stack(TIDY);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for folder in ["modules", "examples"] {
        let folder = root.join(folder);
        let folder = folder.to_str().expect("text");
        let ran = sandbox.run(&["fmt", "--check", "--recursive", folder]);
        assert_eq!(ran.expect_success().out, "");
    }
}

#[test]
fn files_become_what_opentofu_makes_of_them() {
    let corpus = layout::corpus();
    let texts: Vec<String> = corpus.iter().map(|given| given.text.clone()).collect();
    let program = Path::new(env!("CARGO_BIN_EXE_dmp-e2e"));

    let made = layout::ask_dmp(program, &texts);

    let faults = layout::faults(&corpus, &made);
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    assert_eq!(
        layout::ask_dmp(program, &made),
        made,
        "a second run changes nothing"
    );
}

#[test]
fn what_differs_on_purpose_is_explained_and_tried() {
    assert_eq!(layout::differences(&layout::corpus()), layout::explained());
}
