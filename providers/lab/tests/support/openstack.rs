//! A client of a lab's OpenStack that has logged in.

use std::time::{Duration, Instant};

use dmp_lab::Written;
use serde_json::{Value, json};

use super::{Answer, Client};

/// A project of a lab.
pub(crate) struct Cloud {
    client: Client,
    pub(crate) project: String,
}

impl Cloud {
    /// Logs in by the application credential of `lab.json`.
    pub(crate) fn of(written: &Written) -> Cloud {
        let openstack = written.openstack.as_ref().expect("an OpenStack");
        let identity = json!({ "methods": ["application_credential"], "application_credential": {
            "id": openstack.application_credential_id, "secret": openstack.application_credential_secret } });
        Cloud::by(written, &json!({ "auth": { "identity": identity } }))
    }

    /// Logs in as the administrator, by the password in `clouds.yaml`.
    pub(crate) fn admin(written: &Written) -> Cloud {
        Cloud::by(written, &password(written, "lab-admin"))
    }

    /// Logs in by what is sent.
    pub(crate) fn by(written: &Written, auth: &Value) -> Cloud {
        let answer = log_in(written, auth);
        assert_eq!(answer.status, 201, "{answer:?}");
        let token = header(&answer, "x-subject-token").expect("a token");
        let headers = [
            format!("X-Auth-Token: {token}"),
            "OpenStack-API-Version: compute 2.90".to_owned(),
            "Accept: application/json".to_owned(),
        ];
        let url = &written.openstack.as_ref().expect("an OpenStack").auth_url;
        Cloud {
            client: Client::of(written, "").elsewhere(url, headers.into()),
            project: answer.value()["token"]["project"]["id"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        }
    }

    /// The same, with another version of Cinder's API in its header.
    pub(crate) fn of_volumes(&self) -> Cloud {
        let mut client = self.client.clone();
        client.headers[1] = "OpenStack-API-Version: volume 3.60".to_owned();
        Cloud {
            client,
            project: self.project.clone(),
        }
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        match body {
            Value::Null => self.client.call(method, path, "", b""),
            body => self.client.json(method, path, body),
        }
    }

    /// The same, where the connection may end instead.
    pub(crate) fn try_call(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> std::io::Result<Answer> {
        self.client.try_call(
            method,
            path,
            "application/json",
            body.to_string().as_bytes(),
        )
    }

    /// Sends bytes.
    pub(crate) fn send(&self, path: &str, bytes: &[u8]) -> Answer {
        self.client
            .call("PUT", path, "application/octet-stream", bytes)
    }

    /// Reads, which has to succeed.
    pub(crate) fn get(&self, path: &str) -> Value {
        self.done("GET", path, &Value::Null)
    }

    /// Calls, which has to succeed.
    pub(crate) fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.call(method, path, body);
        assert!(
            (200..300).contains(&answer.status),
            "{method} {path}: {answer:?}"
        );
        answer.value()
    }

    /// Makes an object of a collection, and returns its id.
    pub(crate) fn make(&self, path: &str, one: &str, body: &Value) -> String {
        let made = self.done("POST", path, &json!({ one: body }));
        made[one]["id"].as_str().expect("an id").to_owned()
    }

    /// Calls, which has to be refused; returns the status and what is said.
    pub(crate) fn refused(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let answer = self.call(method, path, body);
        assert!(answer.status >= 400, "{method} {path}: {answer:?}");
        let value = answer.value();
        let inner = value
            .as_object()
            .and_then(|members| members.values().next());
        let message = inner.and_then(|inner| inner["message"].as_str());
        (answer.status, message.unwrap_or(&answer.body).to_owned())
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let value = self.call("GET", path, &Value::Null).value();
            if is_so(&value) {
                return value;
            }
            assert!(Instant::now() < deadline, "{path}: {value:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a server is in a state.
    pub(crate) fn server(&self, id: &str, status: &str) -> Value {
        let path = format!("/compute/v2.1/servers/{id}");
        let whole = self.until(&path, |answer| {
            answer["server"]["status"] == status
                && answer["server"]["OS-EXT-STS:task_state"].is_null()
        });
        whole["server"].clone()
    }

    /// Waits until an object is gone.
    pub(crate) fn gone(&self, path: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.call("GET", path, &Value::Null).status != 404 {
            assert!(Instant::now() < deadline, "{path} is still there");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes a network with a subnet, and returns the ids of both.
    pub(crate) fn network(&self, name: &str, cidr: &str) -> (String, String) {
        let network = self.make(
            "/network/v2.0/networks",
            "network",
            &json!({ "name": name }),
        );
        let subnet = json!({ "network_id": network, "cidr": cidr, "ip_version": 4 });
        let subnet = self.make("/network/v2.0/subnets", "subnet", &subnet);
        (network, subnet)
    }

    /// Makes a server of the smallest flavor.
    pub(crate) fn small(&self, name: &str, more: &Value) -> String {
        let images = self.get("/image/v2/images?name=debian-13");
        let image = images["images"][0]["id"].clone();
        let mut body = json!({ "server": { "name": name, "flavorRef": "1", "imageRef": image, "networks": "none" } });
        for (name, value) in more["server"].as_object().into_iter().flatten() {
            body["server"][name] = value.clone();
        }
        if let Some(hints) = more.get("os:scheduler_hints") {
            body["os:scheduler_hints"] = hints.clone();
        }
        let made = self.done("POST", "/compute/v2.1/servers", &body);
        made["server"]["id"].as_str().expect("an id").to_owned()
    }
}

/// What a cloud of `clouds.yaml` logs in by.
pub(crate) fn password(written: &Written, cloud: &str) -> Value {
    let openstack = written.openstack.as_ref().expect("an OpenStack");
    let text = std::fs::read_to_string(&openstack.clouds_file).expect("clouds.yaml");
    let clouds: Value = serde_yaml_ng::from_str(&text).expect("YAML");
    let auth = &clouds["clouds"][cloud]["auth"];
    let domain = json!({ "name": "Default" });
    json!({ "auth": {
        "identity": { "methods": ["password"], "password": { "user": {
            "name": auth["username"], "password": auth["password"], "domain": domain } } },
        "scope": { "project": { "name": auth["project_name"], "domain": domain } },
    } })
}

/// Asks for a token.
pub(crate) fn log_in(written: &Written, auth: &Value) -> Answer {
    let url = &written.openstack.as_ref().expect("an OpenStack").auth_url;
    let client = Client::of(written, "").elsewhere(url, Vec::new());
    client.json("POST", "/identity/v3/auth/tokens", auth)
}

/// Returns a header of an answer.
pub(crate) fn header(answer: &Answer, name: &str) -> Option<String> {
    let mut lines = answer.head.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim().to_owned())
}
