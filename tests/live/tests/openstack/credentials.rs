//! Application credentials at a real Keystone: made by dmp, logged in by, and taken back.

use dmp_live::Cloud;
use dmp_sdk::Value;
use serde_json::json;

use crate::contract::{Tried, keeps_the_contract};
use crate::program::{Other, Stack, left, there};
use crate::world::{Collection, World, clear};

const CREDENTIALS: Collection = Collection {
    service: "user",
    path: "/application_credentials",
    listing: "/application_credentials",
    many: "application_credentials",
};

async fn openstack_application_credential_keeps_the_contract(world: World) {
    CREDENTIALS.clear(&world.cloud);
    let rule = Value::object_of([
        ("service", "compute".into()),
        ("method", "GET".into()),
        ("path", "/v2.1/servers".into()),
    ]);
    let config = Value::object_of([
        ("name", "tried".into()),
        ("description", "for a program".into()),
        ("secret", "chosen-by-nobody".into()),
        ("roles", Value::set(vec!["member".into()])),
        ("expires_at", "2099-01-31T00:00:00Z".into()),
        ("access_rule", Value::list(vec![rule])),
    ]);
    let tried = Tried::of(
        "openstack_application_credential_keeps_the_contract",
        config,
    )
    .within(CREDENTIALS, |_, _, _| {})
    .never_altered();
    keeps_the_contract(world.clone(), tried).await;
    CREDENTIALS.clear(&world.cloud);
}

trials! {
    openstack_application_credential_keeps_the_contract
}

const SECRET: &str = "live-secret-of-a-program";

const MAKER: &str = r#"
resource "openstack_application_credential" "program" {
  name   = "program"
  secret = "live-secret-of-a-program"
  roles  = ["member"]
}

output "id" {
  value = openstack_application_credential.program.id
}
"#;

const MADE_BY_IT: &str = r#"
resource "openstack_network" "inside" {
  name = "inside"
}
"#;

const ANOTHER: &str = r#"
resource "openstack_application_credential" "another" {
  name   = "another"
  secret = "not-to-be-had"
}
"#;

/// The cloud of this suite, for whoever logs in by the credential.
fn by_it(id: Option<&str>) -> Other {
    Other::of("member", |cloud| {
        let url = cloud["auth"]["auth_url"].clone();
        cloud["auth_type"] = json!("v3applicationcredential");
        cloud["auth"] = match id {
            Some(id) => json!({ "application_credential_id": id }),
            None => {
                json!({ "application_credential_name": "program", "username": "member", "user_domain_name": "Default" })
            }
        };
        cloud["auth"]["auth_url"] = url;
        cloud["auth"]["application_credential_secret"] = json!(SECRET);
    })
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_program_logs_in_by_the_credential_that_a_stack_has_made_for_it() {
    let cloud: Cloud = there().cloud;
    clear(&cloud);
    CREDENTIALS.clear(&cloud);
    let maker = Stack::of(MAKER);
    maker.ends(&["apply", "--yes"], 0);
    maker.ends(&["plan", "--detailed-exitcode"], 0);
    let id = maker.run(&["output", "--raw", "id"]).stdout;
    let id = String::from_utf8(id).expect("text");

    for other in [by_it(Some(id.trim())), by_it(None)] {
        let program = Stack::on(other.cloud(), MADE_BY_IT);
        program.ends(&["apply", "--yes"], 0);
        program.ends(&["plan", "--detailed-exitcode"], 0);
        assert_eq!(left(&cloud).len(), 1);
        program.ends(&["destroy", "--yes"], 0);
        assert_eq!(left(&cloud), Vec::<String>::new());
    }

    // It may not make others of its kind, and is told why.
    let other = by_it(Some(id.trim()));
    let said = Stack::on(other.cloud(), ANOTHER).run(&["apply", "--yes"]);
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success(), "{text}");
    assert!(text.contains("`unrestricted`"), "{text}");

    // Taken back, it lets nobody in.
    maker.ends(&["destroy", "--yes"], 0);
    let data = "data \"openstack_network\" \"external\" {\n  external = true\n}\n";
    let said = Stack::on(other.cloud(), data).ends(&["plan"], 3);
    assert!(said.contains("refuses the login"), "{said}");
    assert!(!said.contains(SECRET), "{said}");
    assert!(CREDENTIALS.marked(&cloud).is_empty());
}
