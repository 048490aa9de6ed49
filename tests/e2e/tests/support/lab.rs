//! A lab in a process of its own: the APIs that providers meet on the wire.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dmp_sdk::Value;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// A running lab. It ends with its value.
pub struct Lab {
    folder: TempDir,
    process: Child,
    /// Where its nodes listen.
    pub endpoints: Vec<String>,
    /// A token with all rights.
    pub token: String,
    key: String,
    password: String,
}

impl Lab {
    /// A new lab whose tasks hardly take time.
    pub fn start() -> Self {
        Self::of_site(&json!({}))
    }

    /// The same, of a site of its own.
    pub fn of_site(site: &Json) -> Self {
        Self::at_speed(site, 2000)
    }

    /// A lab whose tasks run so many times faster than life.
    pub fn at_speed(site: &Json, speed: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let told = folder.path().join("site.json");
        std::fs::write(&told, site.to_string()).expect("writable");
        let mut process = Command::new(env!("CARGO_BIN_EXE_dmp-e2e"))
            .args(["lab", "serve", "--speed", &speed.to_string(), "--dir"])
            .arg(folder.path().join("lab"))
            .arg("--site")
            .arg(&told)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a lab");
        let written = folder.path().join("lab/lab.json");
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let text = std::fs::read_to_string(&written).unwrap_or_default();
            if let Ok(json) = serde_json::from_str::<Json>(&text) {
                let text = |name: &str| json[name].as_str().expect("a text").to_owned();
                let endpoints = json["endpoints"].as_array().expect("a list");
                let endpoints = endpoints.iter().filter_map(Json::as_str);
                let lab = Self {
                    endpoints: endpoints.map(ToOwned::to_owned).collect(),
                    token: text("token"),
                    key: text("key"),
                    password: text("password"),
                    folder,
                    process,
                };
                lab.own("GET", "/lab/status", &Json::Null);
                return lab;
            }
            assert!(
                process.try_wait().expect("it runs").is_none(),
                "the lab has ended"
            );
            assert!(Instant::now() < until, "the lab does not begin");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What clients of its OpenStack read.
    pub fn clouds(&self) -> PathBuf {
        self.folder.path().join("lab/clouds.yaml")
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("lab/ca.pem")
    }

    /// Asks something of the lab; each call has a thread of its own, since tests ask in the middle of other things.
    fn ask(
        &self,
        headers: &[(&'static str, String)],
        method: &str,
        url: String,
        body: Option<(&'static str, String)>,
    ) -> (u16, Json) {
        let headers = headers.to_vec();
        let pem = std::fs::read(self.ca()).expect("its authority");
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let asked = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let authority = reqwest::Certificate::from_pem(&pem).expect("a certificate");
                let client = reqwest::Client::builder()
                    .http1_only()
                    .tls_certs_only([authority]);
                let mut request = client.build().expect("a client").request(method, url);
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                if let Some((kind, body)) = body {
                    request = request.header("Content-Type", kind).body(body);
                }
                let answer = request.send().await.expect("the lab answers");
                let status = answer.status().as_u16();
                let bytes = answer.bytes().await.expect("a body");
                (status, serde_json::from_slice(&bytes).unwrap_or(Json::Null))
            })
        });
        asked.join().expect("it was asked")
    }

    /// One of the lab's own calls.
    pub fn own(&self, method: &str, path: &str, body: &Json) -> Json {
        let url = format!("{}{path}", self.endpoints[0]);
        let body = (!body.is_null()).then(|| ("application/json", body.to_string()));
        let (status, json) = self.ask(
            &[("Authorization", format!("Bearer {}", self.key))],
            method,
            url,
            body,
        );
        assert_eq!(status, 200, "{method} {path}: {json}");
        json
    }

    /// A call of the API, as another client makes it. What fails in passing is asked again.
    pub fn api(&self, method: &str, path: &str, form: &str) -> Json {
        for _ in 0..50 {
            let url = format!("{}/api2/json{path}", self.endpoints[0]);
            let body = matches!(method, "POST" | "PUT")
                .then(|| ("application/x-www-form-urlencoded", form.to_owned()));
            let token = ("Authorization", format!("PVEAPIToken={}", self.token));
            let (status, mut json) = self.ask(&[token], method, url, body);
            let is_passing = matches!(status, 429 | 503)
                || ["got timeout", "got lock request timeout"]
                    .iter()
                    .any(|text| json.to_string().contains(text));
            if !is_passing {
                assert_eq!(status, 200, "{method} {path}: {json}");
                return json["data"].take();
            }
        }
        panic!("{method} {path} fails again and again");
    }

    /// A call of the API as its superuser.
    pub fn as_root(&self, method: &str, path: &str, form: &str) -> Json {
        let login = format!("username=root%40pam&password={}", self.password);
        let url = |path: &str| format!("{}/api2/json{path}", self.endpoints[0]);
        let kind = "application/x-www-form-urlencoded";
        let (_, ticket) = self.ask(&[], "POST", url("/access/ticket"), Some((kind, login)));
        let ticket = &ticket["data"];
        let text = |name: &str| ticket[name].as_str().expect("a text").to_owned();
        let cookie = text("ticket")
            .replace(':', "%3A")
            .replace('/', "%2F")
            .replace('+', "%2B")
            .replace('=', "%3D");
        let headers = [
            ("Cookie", format!("PVEAuthCookie={cookie}")),
            ("CSRFPreventionToken", text("CSRFPreventionToken")),
        ];
        let (status, mut json) =
            self.ask(&headers, method, url(path), Some((kind, form.to_owned())));
        assert_eq!(status, 200, "{method} {path}: {json}");
        json["data"].take()
    }

    /// The same, of something that is a task, to its end.
    pub fn task(&self, method: &str, path: &str, form: &str) {
        let answer = self.api(method, path, form);
        let Some(upid) = answer.as_str() else {
            return;
        };
        let node = upid.split(':').nth(1).expect("a node");
        let segment = upid
            .replace(':', "%3A")
            .replace('/', "%2F")
            .replace('!', "%21");
        let path = format!("/nodes/{node}/tasks/{segment}/status");
        let until = Instant::now() + Duration::from_secs(30);
        while self.api("GET", &path, "")["status"] != "stopped" {
            assert!(Instant::now() < until, "the task does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Throws away all that was made.
    pub fn reset(&self) {
        self.own("POST", "/lab/reset", &Json::Null);
        self.own("DELETE", "/lab/faults", &Json::Null);
    }

    /// Lets calls meet something.
    pub fn fault(&self, fault: &Json) {
        self.own("POST", "/lab/faults", &json!({ "call": fault }));
    }

    /// The guests that were there from the beginning not among them.
    pub fn guests(&self) -> Vec<Json> {
        let all = self.api("GET", "/cluster/resources?type=vm", "");
        let all = all.as_array().cloned().unwrap_or_default();
        all.into_iter()
            .filter(|guest| guest["template"] != 1)
            .collect()
    }

    /// The provider's configuration.
    pub fn configuration(&self) -> Value {
        let endpoints = self
            .endpoints
            .iter()
            .map(|url| url.as_str().into())
            .collect();
        Value::object_of([
            ("endpoints", Value::list(endpoints)),
            ("api_token", self.token.as_str().into()),
            (
                "ca",
                std::fs::read_to_string(self.ca())
                    .expect("its authority")
                    .into(),
            ),
            (
                "vm_ids",
                Value::object_of([("from", 1000.into()), ("to", 1999.into())]),
            ),
        ])
    }

    /// The provider's block.
    pub fn block(&self) -> String {
        let endpoints = serde_json::to_string(&self.endpoints).expect("texts");
        format!(
            "provider \"proxmox\" {{\n  endpoints = {endpoints}\n  api_token = {:?}\n  ca = file({:?})\n  vm_ids = {{ from = 1000, to = 1999 }}\n}}\n",
            self.token,
            self.ca().display().to_string()
        )
    }

    /// Whether its machines can be reached by SSH here; if not, that is said.
    #[expect(clippy::print_stderr, reason = "a test that was passed over says so")]
    pub fn has_machines(&self) -> bool {
        let status = self.own("GET", "/lab/status", &Json::Null);
        let Some(reason) = status["no_machines"].as_str() else {
            return true;
        };
        // Nothing that could be installed would help where the kernel refuses.
        eprintln!("SKIPPED: {reason}");
        false
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
