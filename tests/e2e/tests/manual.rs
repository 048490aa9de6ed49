//! Help texts and pages of the manual.

mod support;

use std::process::{Command, Stdio};

use support::Sandbox;

#[test]
fn a_page_of_the_manual_is_there_for_every_command_and_can_be_set() {
    let sandbox = Sandbox::stack("");
    let folder = sandbox.path().join("man1");
    let out = folder.display().to_string();
    sandbox
        .run(&["man", "--out", &out])
        .expect_success()
        .says("pages written");
    let names: Vec<_> = std::fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    for wanted in ["dmp.1", "dmp-apply.1", "dmp-state-mv.1"] {
        assert!(
            names.iter().any(|name| name == wanted),
            "no {wanted} in {names:?}"
        );
    }
    let page = std::fs::read_to_string(folder.join("dmp-state-mv.1")).expect("a page");
    let printed = sandbox.run(&["man", "state", "mv"]).expect_success();
    assert_eq!(printed.out, page);
    assert!(page.contains(".TH DMP-STATE-MV 1"), "{page}");
    assert!(page.contains(".SH EXAMPLES"), "{page}");
    sandbox
        .run(&["man", "aply"])
        .expect_code(1)
        .says("did you mean `apply`");
    set(&folder, &names);
}

#[allow(clippy::print_stderr, reason = "a test that was left out says so")]
/// Where there is a program that sets pages, it has nothing to complain of.
fn set(folder: &std::path::Path, names: &[String]) {
    let pages = names.iter().map(|name| folder.join(name));
    let ran = Command::new("groff")
        .args(["-man", "-Tutf8", "-ww", "-z"])
        .args(pages)
        .stderr(Stdio::piped())
        .output();
    let Ok(ran) = ran else {
        assert!(std::env::var_os("CI").is_none(), "CI needs groff");
        eprintln!("SKIPPED: groff is not there");
        return;
    };
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.is_empty(), "{said}");
}

#[test]
fn a_help_text_ends_with_examples() {
    let sandbox = Sandbox::stack("");
    sandbox
        .run(&["plan", "--help"])
        .expect_success()
        .shows("Examples:")
        .shows("dmp plan --refresh-only --detailed-exitcode");
}
