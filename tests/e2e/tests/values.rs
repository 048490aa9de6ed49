//! The provider `core`, end to end: what is chosen once stays, a keeper chooses anew, secrets are sealed.

mod support;

use dmp_testkit::Canary;
use support::Sandbox;

/// What an output is now, as JSON.
fn output(sandbox: &Sandbox, name: &str) -> serde_json::Value {
    let ran = sandbox.run(&["output", "--json"]).expect_success();
    let all: serde_json::Value = serde_json::from_str(&ran.out).expect("is JSON");
    let output = &all[name];
    output.get("value").unwrap_or(output).clone()
}

fn nothing_to_do(sandbox: &Sandbox) {
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
}

/// Nothing of a secret is in what dmp has written or prints.
fn is_sealed(sandbox: &Sandbox, secret: &str) {
    let canary = Canary::new(secret);
    let found: Vec<_> = canary.found_below(sandbox.path()).into_iter().collect();
    assert!(found.is_empty(), "it is in {found:?}");
    for arguments in [
        ["plan"].as_slice(),
        &["plan", "--json"],
        &["show"],
        &["show", "--json"],
        &["output"],
        &["state", "export"],
    ] {
        let ran = sandbox.run(arguments).expect_success();
        for text in [&ran.out, &ran.err] {
            let found = canary.found_in(text.as_bytes());
            assert!(found.is_empty(), "{arguments:?} prints it: {found:?}");
        }
    }
}

fn raw(sandbox: &Sandbox, name: &str) -> String {
    sandbox.run(&["output", "--raw", name]).expect_success().out
}

const RANDOM: &str = r#"
variable "release" { default = "1" }
locals { keepers = { release = var.release } }
resource "core_random_id" "one" {
  byte_length = 8
  prefix      = "web-"
  keepers     = local.keepers
}
resource "core_random_uuid" "one" { keepers = local.keepers }
resource "core_random_integer" "one" {
  min     = 10000
  max     = 9000000000000
  keepers = local.keepers
}
resource "core_random_string" "one" {
  length    = 32
  upper     = false
  min_lower = 20
  keepers   = local.keepers
}
resource "core_random_password" "one" {
  length  = 24
  keepers = local.keepers
}
resource "core_random_pet" "one" {
  length    = 12
  separator = "."
  prefix    = "dmp"
  keepers   = local.keepers
}
resource "core_random_shuffle" "one" {
  input   = [for number in range(40) : "n${number}"]
  keepers = local.keepers
}
output "seen" {
  value = {
    id      = core_random_id.one.b64_url
    uuid    = core_random_uuid.one.result
    integer = core_random_integer.one.result
    string  = core_random_string.one.result
    pet     = core_random_pet.one.id
    shuffle = core_random_shuffle.one.result
  }
}
output "password" {
  value     = core_random_password.one.result
  sensitive = true
}
output "hash" {
  value     = core_random_password.one.bcrypt_hash
  sensitive = true
}
"#;

#[test]
fn what_is_random_is_chosen_once_and_anew_with_its_keepers() {
    let sandbox = Sandbox::stack(RANDOM);
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Plan: 7 to create, 0 to change, 0 to replace, 0 to delete.");
    let sandbox = sandbox.applied();
    nothing_to_do(&sandbox);
    let first = output(&sandbox, "seen");
    let text = |name: &str| first[name].as_str().expect("a text").to_owned();
    assert_eq!(text("id").len(), "web-".len() + 11, "{first}");
    assert_eq!((text("uuid").len(), &text("uuid")[14..15]), (36, "4"));
    let integer = first["integer"].as_i64().expect("a number");
    assert!((10_000..=9_000_000_000_000).contains(&integer), "{first}");
    assert_eq!(text("string").len(), 32);
    let small = |letter: &char| letter.is_ascii_lowercase();
    assert!(text("string").chars().filter(small).count() >= 20);
    assert_eq!(text("pet").split('.').count(), 13, "{first}");
    assert_eq!(first["shuffle"].as_array().map(Vec::len), Some(40));
    let (password, hash) = (raw(&sandbox, "password"), raw(&sandbox, "hash"));
    assert_eq!(password.chars().count(), 24);
    assert!(hash.starts_with("$2a$10$"), "{hash}");
    is_sealed(&sandbox, &password);
    is_sealed(&sandbox, &hash);

    // A second apply chooses nothing; a keeper does.
    let sandbox = sandbox.applied();
    assert_eq!(output(&sandbox, "seen"), first);
    sandbox
        .run(&["plan", "--var", "release=2"])
        .expect_success()
        .shows("Plan: 0 to create, 0 to change, 7 to replace, 0 to delete.");
    sandbox
        .run(&["apply", "--yes", "--var", "release=2"])
        .expect_success();
    let second = output(&sandbox, "seen");
    for (name, value) in second.as_object().expect("an object") {
        assert_ne!(*value, first[name], "{name}");
    }
    assert_ne!(raw(&sandbox, "password"), password);
    sandbox
        .run(&["destroy", "--yes", "--var", "release=2"])
        .expect_success();
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Plan: 7 to create");
}

#[test]
fn random_values_that_were_used_before_are_imported() {
    let sandbox = Sandbox::stack(
        r#"
import {
  to = core_random_id.one
  id = "my-prefix-,p-9hUg"
}
resource "core_random_id" "one" {
  byte_length = 4
  prefix      = "my-prefix-"
}
import {
  to = core_random_uuid.one
  id = "AABBCCDD-EEFF-0011-2233-445566778899"
}
resource "core_random_uuid" "one" {}
import {
  to = core_random_integer.one
  id = "15390,1,50000"
}
resource "core_random_integer" "one" {
  min = 1
  max = 50000
}
import {
  to = core_random_string.one
  id = "test"
}
resource "core_random_string" "one" { length = 4 }
output "seen" {
  value = [core_random_id.one.hex, core_random_uuid.one.id, core_random_integer.one.result, core_random_string.one.result]
}
"#,
    );
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("0 to create, 0 to change, 0 to replace, 0 to delete, 4 to import");
    let sandbox = sandbox.applied();
    nothing_to_do(&sandbox);
    let expected = serde_json::json!([
        "my-prefix-a7ef6152",
        "aabbccdd-eeff-0011-2233-445566778899",
        15390,
        "test"
    ]);
    assert_eq!(output(&sandbox, "seen"), expected);

    let sandbox = Sandbox::stack(
        r#"
import {
  to = core_random_pet.one
  id = "calm-otter"
}
resource "core_random_pet" "one" {}
"#,
    );
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("it can't be imported");
}

#[test]
fn what_can_never_be_chosen_is_refused_while_planning() {
    for (block, why) in [
        (
            "\"core_random_integer\" \"one\" {\n min = 2\n max = 1\n}",
            "an empty range",
        ),
        (
            "\"core_random_id\" \"one\" {\n byte_length = 0\n}",
            "from 1 to 1024",
        ),
        (
            "\"core_random_string\" \"one\" {\n length = 3\n min_lower = 2\n min_upper = 2\n}",
            "too short",
        ),
        (
            "\"core_random_password\" \"one\" {\n length = 3\n lower = false\n min_lower = 2\n}",
            "left out",
        ),
        (
            "\"core_random_pet\" \"one\" {\n length = 1.5\n}",
            "a whole number",
        ),
    ] {
        Sandbox::stack(&format!("resource {block}\n"))
            .run(&["plan"])
            .expect_code(1)
            .says(why);
    }
}

const KEYS: &str = r#"
variable "rotated" { default = "2026-01" }
variable "early" { default = 1 }
resource "core_secret" "token" { keepers = { rotated = var.rotated } }
resource "core_ssh_key" "deploy" {
  comment = "deploy@example"
  keepers = { rotated = var.rotated }
}
resource "core_private_key" "each" {
  for_each    = { rsa = "RSA", ecdsa = "ECDSA", ed25519 = "ED25519" }
  algorithm   = each.value
  ecdsa_curve = "P384"
}
resource "core_private_key" "ca" { algorithm = "ECDSA" }
resource "core_self_signed_cert" "ca" {
  private_key_pem       = core_private_key.ca.private_key_pem
  validity_period_hours = 48
  early_renewal_hours   = var.early
  is_ca_certificate     = true
  max_path_length       = 0
  allowed_uses          = ["cert_signing", "crl_signing"]
  subject {
    common_name  = "An authority"
    organization = "Example"
    country      = "DE"
  }
}
resource "core_cert_request" "each" {
  for_each        = core_private_key.each
  private_key_pem = each.value.private_key_pem
  subject { common_name = "box ${each.key}" }
  dns_names       = ["box.example", "*.box.example"]
  ip_addresses    = ["192.0.2.1", "2001:db8::1"]
  uris            = ["spiffe://example/box"]
}
resource "core_signed_cert" "each" {
  for_each              = core_cert_request.each
  cert_request_pem      = each.value.cert_request_pem
  ca_cert_pem           = core_self_signed_cert.ca.cert_pem
  ca_private_key_pem    = core_private_key.ca.private_key_pem
  validity_period_hours = 24
  allowed_uses          = ["digital_signature", "server_auth"]
}
output "seen" {
  value = {
    public      = core_ssh_key.deploy.public_key
    fingerprint = core_ssh_key.deploy.fingerprint
    ca          = core_self_signed_cert.ca.cert_pem
    certs       = { for name, cert in core_signed_cert.each : name => cert.cert_pem }
    keys        = { for name, key in core_private_key.each : name => key.public_key_pem }
  }
}
output "token" {
  value     = core_secret.token.hex
  sensitive = true
}
output "ssh" {
  value     = core_ssh_key.deploy.private_key
  sensitive = true
}
output "rsa" {
  value     = core_private_key.each["rsa"].private_key_pem
  sensitive = true
}
"#;

/// Runs a tool over files, and expects it to go well; what it printed.
fn tool(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let ran = std::process::Command::new(arguments[0])
        .args(&arguments[1..])
        .current_dir(sandbox.path())
        .output()
        .expect("the tool is installed");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// Writes a file that only its owner may read.
fn place(sandbox: &Sandbox, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = sandbox.path().join(name);
    std::fs::write(&path, text).expect("writable");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
}

/// The part of a key that no other text has.
fn middle(pem: &str) -> &str {
    pem.lines().nth(2).expect("has lines")
}

/// Whether the programs that judge keys are there; where they are not, that is said loudly.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn have_judges() -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |tool: &&&str| std::env::split_paths(&folders).any(|at| at.join(tool).exists());
    let tools = ["openssl", "ssh-keygen"];
    let have = tools.iter().filter(is_there).count() == tools.len();
    if !have {
        eprintln!("SKIPPED: openssl or ssh-keygen is not installed");
        assert!(std::env::var_os("CI").is_none(), "CI needs both");
    }
    have
}

#[test]
fn keys_and_certificates_are_made_once_and_others_can_use_them() {
    if !have_judges() {
        return;
    }
    let sandbox = Sandbox::stack(KEYS).applied();
    nothing_to_do(&sandbox);
    let seen = output(&sandbox, "seen");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let token = raw(&sandbox, "token");
    assert_eq!(token.len(), 64);
    let (ssh, rsa) = (raw(&sandbox, "ssh"), raw(&sandbox, "rsa"));
    for secret in [token.as_str(), middle(&ssh), middle(&rsa)] {
        is_sealed(&sandbox, secret);
    }

    // OpenSSH reads the pair.
    place(&sandbox, "ssh", &ssh);
    let public = tool(&sandbox, &["ssh-keygen", "-y", "-f", "ssh"]);
    assert_eq!(public.trim(), text(&seen["public"]));
    assert!(public.trim().ends_with(" deploy@example"), "{public}");
    let listed = tool(&sandbox, &["ssh-keygen", "-l", "-f", "ssh"]);
    assert!(listed.contains(&text(&seen["fingerprint"])), "{listed}");

    // OpenSSL trusts what the authority has signed, for what it was signed for.
    place(&sandbox, "ca.pem", &text(&seen["ca"]));
    for kind in ["rsa", "ecdsa", "ed25519"] {
        place(&sandbox, "cert.pem", &text(&seen["certs"][kind]));
        for name in ["box.example", "web.box.example"] {
            let verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver"];
            let of = ["-verify_hostname", name, "-CAfile", "ca.pem", "cert.pem"];
            tool(&sandbox, &[verify, of].concat());
        }
        let shown = tool(
            &sandbox,
            &["openssl", "x509", "-in", "cert.pem", "-noout", "-text"],
        );
        for part in [
            "Issuer: C = DE, O = Example, CN = An authority",
            &format!("Subject: CN = box {kind}"),
            "TLS Web Server Authentication",
            "IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1",
            "URI:spiffe://example/box",
            "CA:FALSE",
        ] {
            // Versions of OpenSSL differ in the blanks.
            let plain = |text: &str| text.replace(" = ", "=");
            assert!(plain(&shown).contains(&plain(part)), "{part}: {shown}");
        }
        let get = ["openssl", "x509", "-in", "cert.pem", "-noout", "-pubkey"];
        assert_eq!(tool(&sandbox, &get), text(&seen["keys"][kind]));
    }
    place(&sandbox, "rsa.pem", &rsa);
    let bits = tool(
        &sandbox,
        &["openssl", "pkey", "-in", "rsa.pem", "-noout", "-text"],
    );
    assert!(bits.contains("2048 bit"), "{bits}");

    // The time of renewal is changed in place, and the certificates stay.
    sandbox
        .run(&["apply", "--yes", "--var", "early=2"])
        .expect_success()
        .shows("0 to create, 1 to change, 0 to replace");
    assert_eq!(output(&sandbox, "seen"), seen);
    // A rotation makes a new secret and a new key, and nothing else.
    sandbox
        .run(&["apply", "--yes", "--var", "rotated=2026-02"])
        .expect_success()
        .shows("0 to create, 1 to change, 2 to replace");
    assert_ne!(raw(&sandbox, "token"), token);
    assert_ne!(raw(&sandbox, "ssh"), ssh);
    assert_eq!(raw(&sandbox, "rsa"), rsa);
    sandbox.run(&["destroy", "--yes"]).expect_success();
    for secret in [token.as_str(), middle(&rsa)] {
        let canary = Canary::new(secret);
        let found = canary.found_below(&sandbox.stack_folder());
        assert_eq!(found.len(), 0, "it is left");
    }
}

#[test]
fn what_nobody_would_trust_is_not_signed() {
    let stack = |ca_key: &str, is_ca: bool| {
        format!(
            r#"
resource "core_private_key" "one" {{ algorithm = "ED25519" }}
resource "core_private_key" "two" {{ algorithm = "ED25519" }}
resource "core_self_signed_cert" "ca" {{
  private_key_pem       = core_private_key.one.private_key_pem
  validity_period_hours = 2
  is_ca_certificate     = {is_ca}
  allowed_uses          = ["cert_signing"]
  subject {{ common_name = "ca" }}
}}
resource "core_cert_request" "box" {{
  private_key_pem = core_private_key.two.private_key_pem
  subject {{ common_name = "box" }}
}}
resource "core_signed_cert" "box" {{
  cert_request_pem      = core_cert_request.box.cert_request_pem
  ca_cert_pem           = core_self_signed_cert.ca.cert_pem
  ca_private_key_pem    = core_private_key.{ca_key}.private_key_pem
  validity_period_hours = 1
  allowed_uses          = ["server_auth"]
}}
"#
        )
    };
    for (ca_key, is_ca, why) in [
        ("two", true, "the key of another certificate"),
        ("one", false, "not an authority"),
    ] {
        let sandbox = Sandbox::stack(&stack(ca_key, is_ca));
        let ran = sandbox.run(&["apply", "--yes"]);
        assert_ne!(ran.code, Some(0));
        ran.says(why);
    }
    Sandbox::stack(&stack("one", true).replace("\"server_auth\"", "\"server-auth\""))
        .run(&["plan"])
        .expect_code(1)
        .says("not a use")
        .says("server_auth");
}

const TIMES: &str = r#"
variable "days" { default = 1 }
variable "trigger" { default = "1" }
resource "core_time_static" "now" { triggers = { on = var.trigger } }
resource "core_time_static" "given" { rfc3339 = "2026-02-12T07:36:13+01:00" }
resource "core_time_offset" "later" {
  base_rfc3339 = "2026-02-12T06:36:13Z"
  offset_days  = var.days
}
resource "core_time_rotating" "young" { rotation_years = 1 }
resource "core_sleep" "between" {
  create_duration = "300ms"
  triggers        = { on = core_time_offset.later.id }
}
output "seen" {
  value = {
    now   = core_time_static.now.rfc3339
    given = core_time_static.given.id
    hour  = core_time_static.given.hour
    later = core_time_offset.later.rfc3339
    young = core_time_rotating.young.is_due
  }
}
"#;

#[test]
fn times_stay_until_they_are_to_be_taken_anew() {
    let sandbox = Sandbox::stack(TIMES);
    let began = std::time::Instant::now();
    let sandbox = sandbox.applied();
    assert!(began.elapsed() >= std::time::Duration::from_millis(300));
    nothing_to_do(&sandbox);
    let first = output(&sandbox, "seen");
    assert_eq!(first["given"], "2026-02-12T06:36:13Z");
    assert_eq!(first["hour"], 6);
    assert_eq!(first["later"], "2026-02-13T06:36:13Z");
    assert_eq!(first["young"], false);
    sandbox
        .run(&["apply", "--yes", "--var", "days=20"])
        .expect_success()
        .shows("Plan: 0 to create, 1 to change, 0 to replace, 0 to delete.");
    let second = output(&sandbox, "seen");
    assert_eq!(second["later"], "2026-03-04T06:36:13Z");
    assert_eq!(second["now"], first["now"]);
    sandbox
        .run(&["plan", "--var", "trigger=2", "--var", "days=20"])
        .expect_success()
        .shows("Plan: 0 to create, 0 to change, 1 to replace, 0 to delete.");
    sandbox.run(&["destroy", "--yes"]).expect_success();
}

#[test]
fn a_time_whose_rotation_is_due_is_taken_anew_and_what_it_keeps_with_it() {
    let stack = |rotation: &str| {
        format!(
            r#"
resource "core_time_rotating" "old" {{
  {rotation}
}}
resource "core_secret" "token" {{ keepers = {{ since = core_time_rotating.old.rfc3339 }} }}
output "token" {{
  value     = core_secret.token.hex
  sensitive = true
}}
"#
        )
    };
    let sandbox = Sandbox::stack(&stack("rotation_minutes = 5")).applied();
    nothing_to_do(&sandbox);
    let token = raw(&sandbox, "token");
    // The clock can't be set here; what is due can be.
    sandbox.write(
        "main.hcl",
        &stack("rotation_rfc3339 = \"2026-01-01T00:00:00Z\""),
    );
    sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .shows("Plan: 0 to create, 1 to change, 0 to replace, 0 to delete.");
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("2 to replace")
        .shows("it was to be taken anew from 2026-01-01T00:00:00Z on");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_ne!(raw(&sandbox, "token"), token);
    sandbox.write("main.hcl", &stack("rotation_minutes = 5"));
    sandbox.run(&["apply", "--yes"]).expect_success();
    nothing_to_do(&sandbox);

    Sandbox::stack("resource \"core_time_rotating\" \"none\" {}\n")
        .run(&["plan"])
        .expect_code(1)
        .says("no rotation, or two");
}

#[test]
fn a_time_that_was_used_before_is_imported() {
    let sandbox = Sandbox::stack(
        r#"
import {
  to = core_time_static.then
  id = "2026-02-12T06:36:13Z"
}
resource "core_time_static" "then" {}
output "seen" { value = core_time_static.then.unix }
"#,
    )
    .applied();
    nothing_to_do(&sandbox);
    assert_eq!(output(&sandbox, "seen"), 1_770_878_173);
}

#[test]
fn a_while_that_was_cut_off_is_waited_for_again() {
    use std::time::{Duration, Instant};
    let sandbox = Sandbox::stack(
        "resource \"core_sleep\" \"one\" {\n  create_duration  = \"1500ms\"\n  destroy_duration = \"10ms\"\n}\n",
    );
    let mut killed = sandbox
        .command(&["apply", "--yes", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    let out = killed.stdout.take().expect("is piped");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(out));
    let is_waiting = lines
        .map_while(Result::ok)
        .any(|line| line.contains("1500ms pass"));
    assert!(is_waiting, "it never waited");
    killed.kill().expect("runs");
    killed.wait().expect("ends");
    let began = Instant::now();
    let sandbox = sandbox.applied();
    assert!(began.elapsed() >= Duration::from_millis(1500), "not again");
    nothing_to_do(&sandbox);
    sandbox.run(&["destroy", "--yes"]).expect_success();
}

#[test]
fn what_is_made_with_a_secret_is_one() {
    let sandbox = Sandbox::stack(
        r#"
variable "secret" {
  type      = string
  sensitive = true
}
resource "core_random_id" "one" {
  byte_length = 4
  prefix      = var.secret
}
resource "core_random_pet" "one" { prefix = var.secret }
resource "core_random_shuffle" "one" { input = [var.secret] }
resource "core_ssh_key" "one" { comment = var.secret }
output "all" {
  value     = [core_random_id.one.hex, core_random_pet.one.id, core_random_shuffle.one.result, core_ssh_key.one.public_key]
  sensitive = true
}
"#,
    );
    let secret = "s3cret-prefix-5d1";
    let run = |arguments: &[&str]| {
        let ran = sandbox.run_with(arguments, &[("DMP_VAR_secret", secret)]);
        ran.hides(secret).expect_success()
    };
    run(&["apply", "--yes"]);
    run(&["plan", "--detailed-exitcode"]).shows("Nothing to do");
    run(&["show", "--json"]);
    run(&["state", "export"]);
    let found = Canary::new(secret).found_below(sandbox.path());
    assert_eq!(found.len(), 0, "it is in a file");
}
