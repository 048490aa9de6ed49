//! A full disk, a folder that can't be written, and a state file that was cut or changed: it is said, nothing is harmed,
//! and the next apply goes on.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use support::{Ran, Sandbox};

const STACK: &str = r#"
provider "test" { cloud = "CLOUD" }
variable "text" { default = "hello" }
resource "test_thing" "vm" {
  count = 3
  name  = "vm-${count.index}"
}
resource "test_bucket" "data" {
  label = "data"
}
resource "test_entry" "motd" {
  key  = "motd"
  text = var.text
  on   = test_thing.vm[0].id
}
"#;

/// Runs dmp where no file can become larger than a number of half kibibytes: a write that would fails, as on a full disk.
fn confined(sandbox: &Sandbox, halves: u64, arguments: &[&str]) -> Ran {
    let mut command = Command::new("sh");
    let dmp = sandbox.command(arguments);
    command
        .arg("-c")
        .arg(format!("trap '' XFSZ; ulimit -f {halves}; exec \"$@\""))
        .arg("sh")
        .arg(dmp.get_program())
        .args(dmp.get_args())
        .current_dir(sandbox.stack_folder())
        .env_clear()
        .stdin(std::process::Stdio::null());
    for (name, value) in dmp.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    Ran::from(command.output().expect("starts"))
}

fn is_clean(sandbox: &Sandbox, text: &str) {
    sandbox
        .run(&["state", "verify"])
        .expect_success()
        .shows("5 instances, 0 open intents");
    sandbox
        .run(&["plan", "--var", &format!("text={text}")])
        .expect_success()
        .shows("Nothing to do");
    let state = sandbox.look();
    assert_eq!(state.things.len(), 3, "{state:?}");
    assert_eq!(state.buckets.len(), 1, "{state:?}");
}

#[test]
fn a_disk_that_fills_up_at_any_commit_is_told_of_and_the_next_apply_goes_on() {
    let (mut failed, mut began) = (0, 0);
    let mut halves = 0;
    loop {
        let sandbox = Sandbox::stack(STACK);
        let ran = confined(&sandbox, halves, &["apply", "--yes"]);
        if ran.code == Some(0) {
            is_clean(&sandbox, "hello");
            break;
        }
        assert_eq!(ran.code, Some(1), "{}\n{}", ran.out, ran.err);
        let ran = ran.says("error: cannot ").hides("panicked");
        assert!(ran.err.contains("the state"), "{halves}: {}", ran.err);
        failed += 1;
        began += usize::from(!sandbox.look().things.is_empty());
        sandbox.run(&["apply", "--yes"]).expect_success();
        is_clean(&sandbox, "hello");
        // A page of the write-ahead log at a time.
        halves += 8;
    }
    assert!(
        failed > 10 && began > 3,
        "{failed} failed, {began} of them in the middle"
    );
}

#[test]
fn a_disk_that_fills_up_in_an_update_leaves_what_was_recorded() {
    let change = ["apply", "--yes", "--var", "text=other"];
    let mut failed = 0;
    for halves in (0..).step_by(8) {
        let sandbox = Sandbox::stack(STACK).applied();
        let ran = confined(&sandbox, halves, &change);
        if ran.code == Some(0) {
            break;
        }
        failed += 1;
        sandbox
            .run(&["state", "list"])
            .expect_success()
            .shows("test_entry.motd")
            .shows("test_thing.vm[2]");
        sandbox.run(&change).expect_success();
        is_clean(&sandbox, "other");
    }
    assert!(failed > 5, "{failed}");
}

/// dmp by somebody whom the modes of files bind, also if that is root.
fn bound_by_modes(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let dmp = sandbox.command(arguments);
    let is_root = Command::new("id").arg("-u").output().expect("starts");
    let mut command = match is_root.stdout.as_slice() {
        b"0\n" => {
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set", "-dac_override,-dac_read_search"]);
            command.arg(dmp.get_program());
            command
        }
        _ => Command::new(dmp.get_program()),
    };
    command
        .args(dmp.get_args())
        .current_dir(sandbox.stack_folder())
        .env_clear()
        .stdin(std::process::Stdio::null());
    for (name, value) in dmp.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    Ran::from(command.output().expect("starts"))
}

fn mode(sandbox: &Sandbox, folder: u32, files: u32) {
    let path = sandbox.stack_folder().join(".dmp");
    let set = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("is ours");
    };
    set(&path, 0o700);
    for entry in std::fs::read_dir(&path).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            set(&path, files);
        }
    }
    set(&path, folder);
}

#[test]
fn a_folder_that_cannot_be_written_is_read_and_not_applied_in() {
    let sandbox = Sandbox::stack(STACK).applied();
    mode(&sandbox, 0o500, 0o400);
    bound_by_modes(&sandbox, &["state", "verify"])
        .expect_success()
        .shows("5 instances");
    bound_by_modes(&sandbox, &["plan"])
        .expect_success()
        .shows("Nothing to do");
    let calls = sandbox.look().calls.len();
    bound_by_modes(&sandbox, &["apply", "--yes", "--var", "text=other"])
        .expect_code(1)
        .says("cannot open the state")
        .says(".dmp");
    assert_eq!(sandbox.look().calls.len(), calls);
    // What is in the write-ahead log alone must not be overlooked.
    mode(&sandbox, 0o700, 0o600);
    let cut = sandbox.run_with(
        &["apply", "--yes", "--var", "text=other"],
        &[("DMP_FAIL_AT", "call.before:1")],
    );
    assert_eq!(cut.code, None, "{}", cut.err);
    mode(&sandbox, 0o500, 0o400);
    bound_by_modes(&sandbox, &["state", "verify"])
        .expect_success()
        .shows("1 open intent");
    mode(&sandbox, 0o700, 0o600);
    std::fs::remove_file(sandbox.stack_folder().join(".dmp/state.sqlite-shm")).expect("is there");
    mode(&sandbox, 0o500, 0o400);
    bound_by_modes(&sandbox, &["state", "verify"])
        .expect_code(1)
        .says("cannot open the state")
        .says("write-ahead log");
    mode(&sandbox, 0o700, 0o600);
    sandbox
        .run(&["apply", "--yes", "--var", "text=other"])
        .expect_success();
}

/// Runs dmp over a damaged file, and expects that it says so, or that nothing of the content is touched.
fn told_or_untouched(sandbox: &Sandbox, whole: &str, what: &str) -> bool {
    let verified = sandbox.run(&["state", "verify"]);
    let plan = sandbox.run(&["plan"]);
    for ran in [&verified, &plan] {
        let is_ended = matches!(ran.code, Some(0 | 1));
        let is_calm = !ran.err.contains("panicked") && !ran.err.contains("bug in dmp");
        assert!(is_ended && is_calm, "{what}: {:?}\n{}", ran.code, ran.err);
    }
    if verified.code == Some(0) {
        let export = sandbox.run(&["state", "export"]).expect_success();
        assert_eq!(export.out, whole, "{what}: passed for sound");
        return false;
    }
    assert!(
        verified.err.contains("the state"),
        "{what}: {}",
        verified.err
    );
    true
}

fn sound() -> (Sandbox, Vec<u8>, String) {
    let sandbox = Sandbox::stack(STACK).applied();
    let bytes = std::fs::read(sandbox.stack_folder().join(".dmp/state.sqlite")).expect("is there");
    let export = sandbox.run(&["state", "export"]).expect_success().out;
    (sandbox, bytes, export)
}

fn put(sandbox: &Sandbox, bytes: &[u8]) {
    let folder = sandbox.stack_folder().join(".dmp");
    for name in ["state.sqlite-wal", "state.sqlite-shm"] {
        let _ = std::fs::remove_file(folder.join(name));
    }
    std::fs::write(folder.join("state.sqlite"), bytes).expect("writable");
}

#[test]
fn a_flipped_byte_anywhere_is_found() {
    let (sandbox, bytes, export) = sound();
    let mut told = 0;
    // A prime step meets all parts of the pages.
    let offsets: Vec<usize> = (0..bytes.len()).step_by((bytes.len() / 150) | 1).collect();
    for offset in &offsets {
        let mut damaged = bytes.clone();
        damaged[*offset] ^= 0x10;
        put(&sandbox, &damaged);
        let what = format!("byte {offset}");
        told += usize::from(told_or_untouched(&sandbox, &export, &what));
    }
    assert!(told * 4 > offsets.len(), "{told} of {}", offsets.len());
    put(&sandbox, &bytes);
    is_clean(&sandbox, "hello");
}

#[test]
fn a_file_cut_anywhere_is_found() {
    let (sandbox, bytes, export) = sound();
    for cut in (0..bytes.len()).step_by((bytes.len() / 60) | 1) {
        put(&sandbox, &bytes[..cut]);
        let what = format!("cut to {cut} of {}", bytes.len());
        assert!(
            told_or_untouched(&sandbox, &export, &what),
            "{what}: not noticed"
        );
    }
    put(&sandbox, &bytes);
    is_clean(&sandbox, "hello");
}
