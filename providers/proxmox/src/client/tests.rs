//! The client against a server that behaves as badly as the real one may.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use dmp_sdk::{Configured, Cx, Diagnostic, Mark, OnMachines};

use super::server::{Reply, Server, data};
use super::*;

fn settings(servers: &[&Server]) -> Settings {
    Settings {
        endpoints: servers.iter().map(|server| server.url.clone()).collect(),
        credentials: Credentials::token("dmp@pve!ci=secret-uuid".into()),
        trust: Trust::Pinned(servers.iter().map(|server| server.fingerprint).collect()),
        request: Duration::from_secs(5),
        copies: 1,
    }
}

fn client(servers: &[&Server]) -> Client {
    Client::new(settings(servers)).expect("a client")
}

fn says(status: u16, reason: &'static str) -> Reply {
    Reply::Says(status, reason, String::new())
}

/// An endpoint where nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a port");
    format!(
        "https://127.0.0.1:{}",
        listener.local_addr().expect("an address").port()
    )
}

#[tokio::test]
async fn the_reason_phrase_is_read_where_the_body_says_nothing() {
    let server = Server::answering(vec![Reply::Says(
        500,
        "VM 101 already exists on node 'pve2'",
        "{\"data\":null}".into(),
    )])
    .await;
    let error = client(&[&server])
        .write(Method::Post, "/nodes/a/qemu", &[])
        .await;
    let error = error.expect_err("it is refused");
    assert!(error.is_taken(), "{error}");
    assert_eq!(
        error.to_string(),
        "VM 101 already exists on node 'pve2' (POST /nodes/a/qemu 500)"
    );
}

#[tokio::test]
async fn parameters_travel_as_the_server_takes_them() {
    let server = Server::answering(vec![data("null")]).await;
    let client = client(&[&server]);
    let form = parameters([("tags", "a;b"), ("net0", "virtio,bridge=vmbr0")]);
    client
        .write(Method::Put, "/x", &form)
        .await
        .expect("it is taken");
    client
        .write(Method::Delete, "/y", &parameters([("purge", "1")]))
        .await
        .expect("it is taken");
    client
        .get_with("/z?a=1", &parameters([("b", "c d")]))
        .await
        .expect("it is told");
    let heard = server.heard();
    assert_eq!(heard[0].line, "PUT /api2/json/x HTTP/1.1");
    assert_eq!(heard[0].text(), "tags=a%3Bb&net0=virtio%2Cbridge%3Dvmbr0");
    assert_eq!(
        heard[0].header("Authorization"),
        Some("PVEAPIToken=dmp@pve!ci=secret-uuid")
    );
    assert_eq!(heard[1].line, "DELETE /api2/json/y?purge=1 HTTP/1.1");
    assert_eq!(heard[2].line, "GET /api2/json/z?a=1&b=c%20d HTTP/1.1");
}

#[tokio::test]
async fn a_read_is_asked_again_and_a_write_is_not() {
    let server = Server::answering(vec![
        says(596, "Connection timed out"),
        Reply::Breaks,
        data("1"),
    ])
    .await;
    assert_eq!(client(&[&server]).get("/x").await, Ok(1.into()));
    assert_eq!(server.heard().len(), 3);

    for reply in [
        says(596, "Connection timed out"),
        says(599, "Too many redirections"),
        Reply::Breaks,
    ] {
        let server = Server::answering(vec![reply]).await;
        let error = client(&[&server]).write(Method::Post, "/x", &[]).await;
        let error = error.expect_err("nobody knows");
        assert!(error.is_unknown(), "{error}");
        assert!(
            error
                .to_string()
                .starts_with("whether POST /x was carried out is not known")
        );
        assert_eq!(server.heard().len(), 1, "it is sent once");
    }
}

#[tokio::test]
async fn another_node_is_asked_where_one_is_down_but_not_where_the_target_is() {
    let server = Server::answering(vec![data("\"up\"")]).await;
    let mut settings = settings(&[&server]);
    settings.endpoints.insert(0, nobody().await);
    let client = Client::new(settings).expect("a client");
    assert_eq!(client.get("/x").await, Ok("up".into()));
    // A write that can't have arrived anywhere goes on to the next.
    assert_eq!(client.write(Method::Post, "/x", &[]).await, Ok("up".into()));

    let one = Server::answering(vec![says(595, "No route to host")]).await;
    let two = Server::answering(vec![data("1")]).await;
    let client = self::client(&[&one, &two]);
    let error = client
        .get("/nodes/pve2/x")
        .await
        .expect_err("the node is down");
    assert!(matches!(error, ApiError::NodeDown { .. }), "{error}");
    assert!(two.heard().is_empty(), "another way in does not help");
}

#[tokio::test]
async fn nobody_who_can_be_reached_is_said_of_each() {
    let server = Server::answering(vec![data("1")]).await;
    let mut settings = settings(&[&server]);
    settings.endpoints = vec![nobody().await, nobody().await];
    settings.request = Duration::from_millis(200);
    let error = Client::new(settings.clone())
        .expect("a client")
        .get("/x")
        .await;
    let words = error.expect_err("nobody is there").to_string();
    assert!(
        settings
            .endpoints
            .iter()
            .all(|endpoint| words.contains(endpoint.as_str())),
        "{words}"
    );
}

#[tokio::test]
async fn a_lock_that_was_not_to_be_had_is_tried_again() {
    let text = "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout";
    let server = Server::answering(vec![says(500, text), data("null")]).await;
    let written = client(&[&server]).write(Method::Put, "/x", &[]).await;
    assert_eq!(written, Ok(Json::Null));
    assert_eq!(server.heard().len(), 2);
}

#[tokio::test]
async fn a_password_is_turned_into_a_ticket_that_is_renewed_when_it_is_refused() {
    let given = Mutex::new(0);
    let server = Server::by(move |heard| {
        if heard.line.contains("/access/ticket") {
            let mut given = given.lock().expect("no panic");
            *given += 1;
            assert_eq!(heard.text(), "username=root%40pam&password=hunter%2F2");
            return data(&format!(
                "{{\"ticket\":\"PVE:{given}\",\"CSRFPreventionToken\":\"csrf-{given}\"}}"
            ));
        }
        let cookie = heard.header("Cookie").unwrap_or_default();
        match cookie {
            "PVEAuthCookie=PVE%3A2" => data("\"in\""),
            _ => says(401, "permission denied - invalid PVE ticket"),
        }
    })
    .await;
    let mut settings = settings(&[&server]);
    settings.credentials = Credentials::password("root@pam".into(), "hunter/2".into());
    let client = Client::new(settings).expect("a client");
    assert_eq!(client.get("/x").await, Ok("in".into()));
    assert_eq!(client.write(Method::Post, "/x", &[]).await, Ok("in".into()));
    let heard = server.heard();
    assert_eq!(
        heard
            .iter()
            .filter(|heard| heard.line.contains("/access/ticket"))
            .count(),
        2
    );
    let read = heard
        .iter()
        .find(|heard| heard.line.starts_with("GET"))
        .expect("a read");
    assert_eq!(read.header("CSRFPreventionToken"), None);
    let write = heard.last().expect("a write");
    assert_eq!(write.header("CSRFPreventionToken"), Some("csrf-2"));
}

#[tokio::test]
async fn a_second_factor_and_a_wrong_password_are_said_in_words() {
    let mut error = Vec::new();
    for reply in [
        data("{\"NeedTFA\":1,\"ticket\":\"PVE:!tfa!\",\"CSRFPreventionToken\":\"x\"}"),
        says(401, "authentication failure"),
    ] {
        let server = Server::answering(vec![reply]).await;
        let mut settings = settings(&[&server]);
        settings.credentials = Credentials::password("root@pam".into(), "hunter2".into());
        let client = Client::new(settings).expect("a client");
        error.push(
            client
                .get("/x")
                .await
                .expect_err("nobody gets in")
                .to_string(),
        );
    }
    assert!(error[0].contains("API token"), "{}", error[0]);
    assert!(error[1].contains("authentication failure"), "{}", error[1]);
    assert!(error.iter().all(|error| !error.contains("hunter2")));
}

#[tokio::test]
async fn only_the_certificate_that_was_named_is_talked_to() {
    let server = Server::answering(vec![data("1")]).await;
    let with = |trust: Trust| {
        let mut settings = settings(&[&server]);
        settings.trust = trust;
        settings.request = Duration::from_millis(300);
        Client::new(settings)
    };
    let ask = async |trust: Trust| with(trust).expect("a client").get("/x").await;
    assert_eq!(
        ask(Trust::Authorities(server.pem.clone())).await,
        Ok(1.into())
    );
    assert_eq!(ask(Trust::Nobody).await, Ok(1.into()));
    let asked = server.heard().len();
    let error = ask(Trust::Pinned(vec![[7; 32]]))
        .await
        .expect_err("another");
    assert!(
        error.to_string().contains("is not among `fingerprints`"),
        "{error}"
    );
    let other = Server::answering(vec![data("1")]).await;
    assert!(ask(Trust::Authorities(other.pem.clone())).await.is_err());
    assert!(ask(Trust::System).await.is_err());
    assert_eq!(server.heard().len(), asked, "no token was shown");
    assert!(with(Trust::Authorities("no PEM".into())).is_err());
}

#[tokio::test]
async fn an_upload_has_its_length_and_its_file_last() {
    let server = Server::answering(vec![data("\"UPID:x\"")]).await;
    let client = client(&[&server]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("image");
    std::fs::write(&path, vec![7; 300_000]).expect("writes");
    for source in [
        UploadSource::Bytes(vec![7; 300_000]),
        UploadSource::File(path.clone()),
    ] {
        let upload = Upload {
            content: "iso",
            name: "seed.iso".into(),
            sha256: Some("ab".into()),
            source,
        };
        client
            .upload("pve1", "local", &upload)
            .await
            .expect("it is taken");
    }
    for heard in server.heard() {
        assert_eq!(
            heard.line,
            "POST /api2/json/nodes/pve1/storage/local/upload HTTP/1.1"
        );
        let text = heard.text();
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what}"));
        assert!(place("name=\"content\"") < place("name=\"checksum\""));
        assert!(place("name=\"checksum-algorithm\"") < place("filename=\"seed.iso\""));
        assert!(text.trim_end().ends_with("--"));
        assert_eq!(text.matches('\u{7}').count(), 300_000);
    }
}

#[derive(Default)]
struct Screen(Mutex<Vec<String>>);

#[async_trait]
impl Cx for Screen {
    fn mark(&self) -> &Mark {
        unreachable!("it is not asked")
    }
    fn provider(&self) -> &dyn Configured {
        &OnMachines
    }
    async fn begin(&self, _title: &str) -> Result<(), Diagnostic> {
        Ok(())
    }
    async fn record_id(&self, _id: &str) -> Result<(), Diagnostic> {
        Ok(())
    }
    fn waiting(&self, what: &str, _deadline: Duration) {
        self.0.lock().expect("no panic").push(what.to_owned());
    }
    fn is_cancelled(&self) -> bool {
        false
    }
}

const UPID: &str = "UPID:pve2:00000C4C:00064908:6AFFC4A7:qmstart:700:dmp@pve!ci:";

async fn follow(exit: &'static str, log: &'static str) -> Result<Vec<String>, ApiError> {
    let server = Server::by(move |heard| {
        assert!(
            heard.line.contains("/nodes/pve2/tasks/UPID%3Apve2%3A"),
            "{}",
            heard.line
        );
        match heard.line.contains("/log") {
            true => data(log),
            false => data(&format!(
                "{{\"status\":\"stopped\",\"exitstatus\":\"{exit}\"}}"
            )),
        }
    })
    .await;
    let screen = Screen::default();
    let watch = Watch {
        cx: &screen,
        what: "the start",
        within: Duration::from_secs(5),
    };
    let upid = Upid::parse(UPID).expect("a UPID");
    let ended = client(&[&server]).follow(&upid, watch).await;
    assert_eq!(
        screen
            .0
            .lock()
            .expect("no panic")
            .first()
            .map(String::as_str),
        Some("the start")
    );
    ended
}

#[tokio::test]
async fn a_task_is_followed_on_its_own_node_and_fails_with_the_end_of_its_log() {
    assert_eq!(follow("OK", "[]").await, Ok(Vec::new()));
    let log = "[{\"n\":1,\"t\":\"starting\"},{\"n\":2,\"t\":\"bridge 'vmbr7' does not exist\"}]";
    let error = follow("start failed: QEMU exited with code 1", log).await;
    let words = error.expect_err("it has failed").to_string();
    assert!(
        words.contains("the task `qmstart` failed: start failed"),
        "{words}"
    );
    assert!(words.contains("bridge 'vmbr7' does not exist"), "{words}");
    let log = "[{\"n\":1,\"t\":\"WARN: old machine\"},{\"n\":2,\"t\":\"done\"}]";
    let warned = follow("WARNINGS: 1", log).await;
    assert_eq!(warned, Ok(vec!["WARN: old machine".to_owned()]));
}
