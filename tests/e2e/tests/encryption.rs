//! Who can open the state: recipients, a passphrase, another key, and a state that is sealed as a whole.

mod support;

use std::time::Duration;

use support::{Ran, Sandbox};

const STACK: &str = r#"
ENCRYPTION
variable "token" {
  default   = "hunter2-token"
  sensitive = true
}
resource "core_value" "secret" { value = { token = var.token, name = "quite-plain-name" } }
resource "core_private_key" "ca" { algorithm = "ED25519" }
output "token" {
  value     = core_value.secret.value.token
  sensitive = true
}
output "name" { value = nonsensitive(core_value.secret.value.name) }
"#;

fn described(sandbox: &Sandbox, encryption: &str) {
    let block = match encryption {
        "" => String::new(),
        inner => format!("stack {{\n  encryption {{\n{inner}\n  }}\n}}"),
    };
    sandbox.write("main.hcl", &STACK.replace("ENCRYPTION", &block));
}

fn stack(encryption: &str) -> Sandbox {
    let sandbox = Sandbox::stack("");
    described(&sandbox, encryption);
    sandbox
}

/// Makes an identity, and gives its recipient.
fn identity(sandbox: &Sandbox, name: &str) -> String {
    let file = file(sandbox, name);
    let ran = sandbox
        .run(&["state", "identity", "--new", &file])
        .expect_success();
    assert!(ran.out.starts_with("age1"), "{}", ran.out);
    ran.out.trim().to_owned()
}

fn file(sandbox: &Sandbox, name: &str) -> String {
    sandbox.path().join(name).display().to_string()
}

fn with(sandbox: &Sandbox, identity: &str, arguments: &[&str]) -> Ran {
    sandbox.run_with(arguments, &[("DMP_IDENTITY", &file(sandbox, identity))])
}

/// All that lies in the stack's `.dmp`.
fn on_disk(sandbox: &Sandbox) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(sandbox.stack_folder().join(".dmp")).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            all.extend(std::fs::read(path).expect("readable"));
        }
    }
    all
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[test]
fn a_second_identity_opens_the_state_once_the_stack_names_it() {
    let sandbox = stack("").applied();
    sandbox
        .run(&["plan"])
        .expect_success()
        .says("one identity alone opens this state")
        .says("core_private_key.ca");
    let offline = identity(&sandbox, "offline.txt");
    with(&sandbox, "offline.txt", &["state", "list"])
        .expect_code(1)
        .says("opens none of this state's keys");

    described(&sandbox, &format!("offline_recipients = [\"{offline}\"]"));
    sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .shows("Nothing to do")
        .says("the state's key is wrapped anew")
        .says(&format!("offline {offline} can open it now"))
        .hides("one identity alone");
    with(&sandbox, "offline.txt", &["output", "--raw", "token"])
        .expect_success()
        .shows("hunter2-token");
    sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .hides("wrapped anew");
    // Who opens it with the offline identity is not made a recipient of every day by that.
    with(&sandbox, "offline.txt", &["apply", "--yes"])
        .expect_success()
        .hides("wrapped anew");
    sandbox.run(&["state", "verify"]).expect_success();
}

#[test]
fn nobody_shuts_himself_out() {
    let sandbox = stack("").applied();
    let other = identity(&sandbox, "other.txt");
    described(&sandbox, &format!("recipients = [\"{other}\"]"));
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(1)
        .says("is not among the recipients, and could not open the state any more");
    sandbox
        .run(&["state", "rekey"])
        .expect_code(1)
        .says("is not among the recipients");
    sandbox.run(&["state", "list"]).expect_success();
    let fresh = stack(&format!("recipients = [\"{other}\"]"));
    fresh.run(&["apply", "--yes"]).expect_code(1);
    assert!(!fresh.path().join(".config").exists());
}

#[test]
fn what_is_no_recipient_is_refused_and_a_secret_among_it_not_shown() {
    let sandbox = stack(r#"recipients = ["age1nonsense", "ssh-ed25519 AAAAC3Nz"]"#);
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("`age1nonsense` is not the recipient of an age identity")
        .says("an SSH key opens no state")
        .says("main.hcl:4");
    described(&sandbox, r#"passphrase = "hunter2 hunter2""#);
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("the passphrase itself is never written into a file")
        .says("DMP_PASSPHRASE");
    described(&sandbox, r#"recipient = ["x"]"#);
    sandbox
        .run(&["validate"])
        .expect_code(1)
        .says("did you mean `recipients`");
    described(&sandbox, "recipients = [var.token]");
    sandbox
        .run(&["validate"])
        .expect_code(1)
        .says("only what is written literally can stand here")
        .hides("hunter2");
}

#[test]
fn a_passphrase_opens_the_state_where_there_is_no_identity() {
    let sandbox = stack("passphrase = true");
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(1)
        .says("there is none in `DMP_PASSPHRASE`");
    let passphrase = "correct horse battery";
    let given = [("DMP_PASSPHRASE", passphrase)];
    sandbox
        .run_with(&["apply", "--yes"], &given)
        .expect_success()
        .hides("one identity alone")
        .hides(passphrase);
    assert!(!holds(&on_disk(&sandbox), passphrase));
    // The identity opens it without.
    sandbox.run(&["plan"]).expect_success();
    std::fs::remove_file(sandbox.path().join(".config/dmp/identity.txt")).expect("is there");
    sandbox
        .run(&["state", "list"])
        .expect_code(1)
        .says("the passphrase in `DMP_PASSPHRASE` would open it too");
    sandbox
        .run_with(&["state", "list"], &[("DMP_PASSPHRASE", "wrong")])
        .expect_code(1)
        .says("neither the identity nor the passphrase");
    sandbox
        .run_with(&["output", "--raw", "token"], &given)
        .expect_success()
        .shows("hunter2-token");
    sandbox
        .run_with(&["apply", "--yes", "--var", "token=other"], &given)
        .expect_success();
}

#[test]
fn after_another_key_who_was_removed_opens_nothing_and_the_old_log_is_gone() {
    let sandbox = stack("");
    let (one, two) = (identity(&sandbox, "one.txt"), identity(&sandbox, "two.txt"));
    described(&sandbox, &format!("recipients = [\"{one}\", \"{two}\"]"));
    with(&sandbox, "one.txt", &["apply", "--yes"]).expect_success();
    with(&sandbox, "two.txt", &["apply", "--yes"]).expect_success();
    let key = |sandbox: &Sandbox| {
        let export = with(sandbox, "one.txt", &["state", "export"]).expect_success();
        let json: serde_json::Value = serde_json::from_str(&export.out).expect("JSON");
        json["meta"]["wrapped_key"]
            .as_str()
            .expect("text")
            .to_owned()
    };
    let old = key(&sandbox);

    described(&sandbox, &format!("recipients = [\"{one}\"]"));
    with(&sandbox, "one.txt", &["apply", "--yes"])
        .expect_success()
        .says(&format!("{two} can't any more"))
        .says("`dmp state rekey` makes another key");
    assert!(holds(&on_disk(&sandbox), &old), "the log keeps it");
    with(&sandbox, "one.txt", &["state", "rekey"])
        .expect_success()
        .shows("everything in it is sealed anew")
        .shows(&one)
        .says("Copies from before still open")
        .hides(&two);
    assert!(!holds(&on_disk(&sandbox), &old), "the old key is wiped");
    with(&sandbox, "two.txt", &["state", "list"])
        .expect_code(1)
        .says("opens none of this state's keys");
    with(&sandbox, "one.txt", &["state", "verify"])
        .expect_success()
        .shows("1 commit, 2 instances");
    with(&sandbox, "one.txt", &["state", "history"])
        .expect_success()
        .shows("state rekey: done")
        .hides("apply");
    with(&sandbox, "one.txt", &["apply", "--yes"])
        .expect_success()
        .shows("Nothing to do");
    with(&sandbox, "one.txt", &["state", "verify"]).expect_success();
    with(&sandbox, "one.txt", &["output", "--raw", "token"])
        .expect_success()
        .shows("hunter2-token");
}

#[test]
fn a_rekey_that_is_killed_leaves_the_old_or_the_new() {
    let sandbox = stack("").applied();
    let mut done = 0;
    for delay in 0..24 {
        let mut child = sandbox
            .command(&["state", "rekey"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("starts");
        std::thread::sleep(Duration::from_millis(delay * 3));
        let _ = child.kill();
        done += usize::from(child.wait().expect("ends").success());
        sandbox
            .run(&["state", "verify"])
            .expect_success()
            .shows("2 instances, 0 open intents");
        sandbox
            .run(&["output", "--raw", "token"])
            .expect_success()
            .shows("hunter2-token");
    }
    assert!(done < 24, "nothing was cut off");
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
}

#[test]
fn where_encryption_is_enforced_no_attribute_is_plain() {
    let sandbox = stack("").applied();
    sandbox.write(
        "plain.hcl",
        r#"resource "core_value" "plain" { value = ["nothing secret here"] }"#,
    );
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert!(holds(&on_disk(&sandbox), "nothing secret here"));
    described(&sandbox, "enforced = true");
    for command in [
        vec!["plan"],
        vec!["apply", "--yes"],
        vec!["refresh"],
        vec!["destroy", "--yes"],
    ] {
        sandbox
            .run(&command)
            .expect_code(1)
            .says("the state is not sealed as a whole")
            .says("dmp state rekey");
    }
    sandbox.run(&["state", "rekey"]).expect_success();
    let plan = file(&sandbox, "kept.plan");
    sandbox
        .run(&["plan", "--out", &plan])
        .expect_success()
        .shows("Nothing to do");
    sandbox.write(
        "more.hcl",
        r#"resource "core_value" "more" { value = "nor is this one" }"#,
    );
    sandbox.run(&["plan", "--out", &plan]).expect_success();
    sandbox.run(&["apply", &plan]).expect_success();
    sandbox
        .run(&["state", "show", "core_value.plain"])
        .expect_success()
        .shows("nothing secret here");
    let mut all = on_disk(&sandbox);
    all.extend(std::fs::read(&plan).expect("readable"));
    for text in ["nothing secret here", "nor is this one", "quite-plain-name"] {
        assert!(!holds(&all, text), "`{text}` lies in the files");
    }
    assert!(holds(&all, "core_value.more"), "addresses are plain");
    // What is a secret stays one, and no other becomes one.
    sandbox
        .run(&["show"])
        .expect_success()
        .shows("nor is this one")
        .hides("hunter2-token");
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
    sandbox.run(&["state", "verify"]).expect_success();

    let fresh = stack("enforced = true").applied();
    assert!(!holds(&on_disk(&fresh), "quite-plain-name"));
    // The way back is a rekey, too.
    described(&fresh, "enforced = false");
    fresh.run(&["apply", "--yes"]).expect_success();
    assert!(!holds(&on_disk(&fresh), "quite-plain-name"));
    fresh.run(&["state", "rekey"]).expect_success();
    assert!(holds(&on_disk(&fresh), "quite-plain-name"));
    assert!(!holds(&on_disk(&fresh), "hunter2-token"));
    fresh.run(&["state", "verify"]).expect_success();
}
