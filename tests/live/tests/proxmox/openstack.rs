//! The OpenStack of a lab that is served in the live lab's network: its API by curl, and stacks on it.

use std::path::Path;
use std::time::{Duration, Instant};

use dmp_live::{Dmp, Lab};
use serde_json::{Value, json};

use super::served::Served;

/// The host's address on the network that leads out.
const OUTSIDE: &str = "10.90.0.1";

/// How long a server may take, on a host with other work.
const PATIENCE: Duration = Duration::from_secs(150);

/// A lab whose images are the live lab's own image of a machine.
pub(super) fn begin(images: &[&str]) -> Served {
    let lab = Lab::of_this_suite();
    let root = |image: &&str| format!("{image}={}", lab.value("image"));
    let roots: Vec<String> = images.iter().map(root).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let site = folder.path().join("site.json");
    let told = json!({ "openstack": { "images": images } });
    std::fs::write(&site, told.to_string()).expect("it can be written");
    let (site, network) = (site.display().to_string(), format!("public={OUTSIDE}/24"));
    let mut more = vec![("--site", site.as_str()), ("--network", network.as_str())];
    more.extend(roots.iter().map(|root| ("--root", root.as_str())));
    let mut served = Served::with(&more);
    // What a lab begins as it is told of once.
    served.forget("--site");
    served
}

/// What leads a stack to the lab's cloud, for the variables that the quickstart has as well.
pub(super) fn login(served: &Served) -> String {
    let written = served.written();
    let cloud = &written["openstack"];
    let ca = written["ca_file"].as_str().expect("a file");
    format!(
        "openstack_auth_url = {}\nopenstack_region = {}\nopenstack_application_credential_id = {}\n\
         openstack_application_credential_secret = {}\nopenstack_ca = <<-EOC\n{}EOC\n",
        cloud["auth_url"],
        cloud["region"],
        cloud["application_credential_id"],
        cloud["application_credential_secret"],
        std::fs::read_to_string(ca).expect("it can be read"),
    )
}

/// A stack of one file for the lab's cloud.
pub(super) fn stack(served: &Served, text: &str) -> Dmp {
    let dmp = Dmp::new(&served.lab);
    let variables: String = [
        "openstack_auth_url",
        "openstack_region",
        "openstack_application_credential_id",
        "openstack_ca",
    ]
    .map(|name| format!("variable \"{name}\" {{ type = string }}\n"))
    .concat();
    dmp.write("variables.hcl", format!("{variables}{SECRET}"));
    dmp.write("login.auto.hcl", login(served));
    dmp.write("main.hcl", text);
    dmp
}

const SECRET: &str = r#"
variable "openstack_application_credential_secret" {
  type      = string
  sensitive = true
}

provider "openstack" {
  auth_url                      = var.openstack_auth_url
  application_credential_id     = var.openstack_application_credential_id
  application_credential_secret = var.openstack_application_credential_secret
  region                        = var.openstack_region
  ca                            = var.openstack_ca
}
"#;

impl Served {
    /// Calls a service of the cloud, and returns what comes, with its status.
    pub(super) fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let written = self.written();
        let cloud = &written["openstack"];
        let identity = cloud["auth_url"].as_str().expect("an address");
        let login = json!({ "auth": { "identity": { "methods": ["application_credential"], "application_credential": {
            "id": cloud["application_credential_id"], "secret": cloud["application_credential_secret"] } } } });
        let answer = self.curl("POST", &format!("{identity}/auth/tokens"), &[], &login);
        let header = |line: &&str| line.to_ascii_lowercase().starts_with("x-subject-token:");
        let token = answer
            .lines()
            .find(header)
            .and_then(|line| line.split_once(':'));
        let token = format!("X-Auth-Token: {}", token.expect("a token").1.trim());
        let base = identity.trim_end_matches("/identity/v3");
        let headers = [token.as_str(), "OpenStack-API-Version: compute 2.90"];
        let answer = self.curl(method, &format!("{base}{path}"), &headers, body);
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let value = serde_json::from_str(body).unwrap_or(Value::Null);
        (status.expect("a status"), value)
    }

    fn curl(&self, method: &str, url: &str, headers: &[&str], body: &Value) -> String {
        let ca = self.written()["ca_file"]
            .as_str()
            .expect("a file")
            .to_owned();
        let mut curl = self.lab.enter("curl");
        curl.args([
            "-s",
            "-i",
            "--max-time",
            "60",
            "--cacert",
            &ca,
            "-X",
            method,
        ]);
        for header in headers {
            curl.args(["-H", header]);
        }
        if !body.is_null() {
            curl.args([
                "-H",
                "Content-Type: application/json",
                "-d",
                &body.to_string(),
            ]);
        }
        let output = curl.arg(url).output().expect("curl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Returns a server by its name; null where there is none.
    pub(super) fn server(&self, name: &str) -> Value {
        let (status, listed) = self.ask("GET", "/compute/v2.1/servers/detail", &Value::Null);
        assert_eq!(status, 200, "{listed}");
        let servers = listed["servers"].as_array().expect("servers");
        let found = servers.iter().find(|server| server["name"] == name);
        found.cloned().unwrap_or_default()
    }

    /// Has something done with a server.
    pub(super) fn act(&self, name: &str, action: &Value) {
        let id = self.server(name)["id"]
            .as_str()
            .expect("it is there")
            .to_owned();
        let path = format!("/compute/v2.1/servers/{id}/action");
        let (status, said) = self.ask("POST", &path, action);
        assert!((200..300).contains(&status), "{action}: {status} {said}");
    }

    /// Waits until a server is in a state, and nothing is under way with it.
    pub(super) fn server_is(&self, name: &str, status: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let server = self.server(name);
            if server["status"] == status && server["OS-EXT-STS:task_state"].is_null() {
                return;
            }
            assert!(
                Instant::now() < until,
                "`{name}` is not {status}: {server:#}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Deletes a server as somebody does with the cloud's own interface.
    pub(super) fn delete_server(&self, name: &str) {
        let id = self.server(name)["id"]
            .as_str()
            .expect("it is there")
            .to_owned();
        let (status, said) = self.ask(
            "DELETE",
            &format!("/compute/v2.1/servers/{id}"),
            &Value::Null,
        );
        assert_eq!(status, 204, "{said}");
        let until = Instant::now() + PATIENCE;
        while !self.server(name).is_null() {
            assert!(Instant::now() < until, "`{name}` is still there");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A copy of an example in the repository, with its modules where they are.
pub(super) fn example(served: &Served, name: &str) -> Dmp {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().expect("the repository");
    let dmp = Dmp::with_stack(&served.lab, &root.join("examples").join(name));
    let main = std::fs::read_to_string(dmp.folder().join("main.hcl")).expect("it can be read");
    let modules = root.join("modules").display().to_string();
    dmp.write("main.hcl", main.replace("../../modules", &modules));
    dmp
}
