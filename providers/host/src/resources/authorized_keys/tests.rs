//! Plans and readings of `host_authorized_keys`.

use dmp_sdk::Purpose;

use super::*;
use crate::on_host::tests::{a_machine, found, parse, plan, value};

const ONE: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA one";
const TWO: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB two";

fn set(lines: &[&str]) -> Value {
    Value::set(lines.iter().map(|line| Value::from(*line)).collect())
}

fn config(user: &str, keys: &[&str]) -> Value {
    let given = [
        ("host", a_machine().to_value()),
        ("user", user.into()),
        ("keys", set(keys)),
    ];
    value(HostAuthorizedKeys::new().schema(), &given)
}

fn read(config: &Value, lines: &[&str]) -> Reading {
    let stdout = format!(
        "file yes\n/home/x/.ssh/authorized_keys\n{}\n",
        lines.join("\n")
    );
    let keys = HostAuthorizedKeys::new();
    parse(&keys, config, Purpose::Refresh, stdout.as_bytes()).expect("parses")
}

#[test]
fn keys_of_others_are_nothing_unless_the_whole_file_is_ours() {
    let keys = HostAuthorizedKeys::new();
    let additive = config("alice", &[ONE]);
    let there = found(read(&additive, &[TWO, ONE]));
    let planned = plan(&keys, &additive, Some(&there), None).expect("plans");
    assert_eq!(planned.value, there);
    assert!(matches!(read(&additive, &[TWO]), Reading::Absent));
    let exclusive = additive.with("exclusive", true.into());
    let there = found(read(&exclusive, &[TWO, ONE]));
    assert_eq!(there.get("keys"), set(&[ONE, TWO]));
    let planned = plan(&keys, &exclusive, Some(&there), None).expect("plans");
    assert_ne!(planned.value, there);
}

#[test]
fn another_option_of_the_same_key_is_drift() {
    let config = config("alice", &[ONE]);
    let restricted = format!("restrict {ONE}");
    let there = found(read(&config, &[&restricted]));
    assert_eq!(there.get("keys"), set(&[&restricted]));
}

#[test]
fn what_is_no_key_or_twice_the_same_is_refused() {
    let error = |keys: &[&str]| {
        let planned = plan(&HostAuthorizedKeys::new(), &config("a", keys), None, None);
        planned.err().expect("is wrong").to_string()
    };
    assert!(error(&[]).contains("no key at all"));
    assert!(error(&["ssh-ed25519 nonsense"]).contains("no line as of"));
    assert!(error(&[ONE, &format!("restrict {ONE}")]).contains("twice"));
    assert!(error(&[&format!("{ONE}\n{TWO}")]).contains("more than one line"));
}

#[test]
fn who_takes_away_keys_of_the_user_by_which_dmp_logs_in_is_told() {
    let keys = HostAuthorizedKeys::new();
    let notes = |config: &Value, prior: &Value| {
        plan(&keys, config, Some(prior), None).expect("plans").notes
    };
    let less = config("root", &[ONE]);
    let prior = config("root", &[ONE, TWO]).with("safe", true.into());
    let told = notes(&less, &prior);
    assert!(
        told[0].contains("dmp logs in as root") && told[0].contains("1 keys"),
        "{told:?}"
    );
    let other = notes(&config("alice", &[ONE]), &config("alice", &[ONE, TWO]));
    assert!(other.is_empty(), "{other:?}");

    // Where the key itself is known, only its own end is told of.
    let seed = ssh_key::private::Ed25519Keypair::from_seed(&[7; 32]);
    let pair = ssh_key::private::KeypairData::from(seed);
    let private = ssh_key::PrivateKey::new(pair, "").expect("a key");
    let own = private.public_key().to_openssh().expect("a line");
    let mut on = a_machine();
    let text = private.to_openssh(ssh_key::LineEnding::LF).expect("a key");
    on.private_key = Some(text.to_string());
    let with = |lines: &[&str]| {
        config("root", lines)
            .with("host", on.to_value())
            .with("safe", true.into())
    };
    let told = notes(&with(&[ONE]), &with(&[ONE, &own]));
    assert!(
        told[0].contains("takes away the key by which dmp logs in"),
        "{told:?}"
    );
    let told = notes(&with(&[&own]), &with(&[ONE, &own]));
    assert!(told.is_empty(), "{told:?}");
}
