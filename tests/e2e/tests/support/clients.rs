//! Clients that are not ours, which drive what dmp serves.

use std::process::Command;

/// The Python that has these modules, so that `import MODULES` works; if there is none, that is said.
#[expect(clippy::print_stderr, reason = "a test that was left out says so")]
pub(crate) fn python_with(modules: &str) -> Option<Command> {
    let python = std::env::var("DMP_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let has_them = Command::new(&python)
        .args(["-c", &format!("import {modules}")])
        .output()
        .is_ok_and(|ran| ran.status.success());
    if !has_them {
        eprintln!("SKIPPED: `{python}` has no {modules} (DMP_TEST_PYTHON names one that has)");
        return None;
    }
    Some(Command::new(python))
}

/// What a program says that has to succeed.
pub(crate) fn said(command: &mut Command) -> String {
    let ran = command.output().expect("it starts");
    assert!(
        ran.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
    String::from_utf8_lossy(&ran.stdout).into_owned()
}
