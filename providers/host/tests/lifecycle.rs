//! The contract, against a real sshd without root's rights: read after create, second plan empty, drift, update,
//! delete twice, and what stood there before is put back.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dmp_provider_host::HostProvider;
use dmp_sdk::{
    Address, Answer, Answers, Attribute, Batch, BatchItem, Change, Diagnostic, Fetch, ItemEnd, Job,
    Known, Machine, Machines, Mark, Presence, Provider, Purpose, Reading, Report, Resource, Value,
    Verb, Work,
};
use dmp_testkit::Sshd;
use dmp_transport::Ssh;
use dmp_transport::ssh_config::SshConfig;

/// Does with one object what the engine does.
struct Object {
    ssh: Ssh,
    resource: Arc<dyn Resource>,
    address: Address,
    mark: Mark,
    chosen: Value,
    batches: std::cell::Cell<u32>,
}

/// What a plan made of a configuration.
struct Planned {
    value: Value,
    replaces: bool,
    notes: Vec<String>,
}

impl Object {
    fn new(ssh: &Ssh, resource_type: &str, name: &str) -> Self {
        let resources = HostProvider::new().resources();
        let resource = resources
            .into_iter()
            .find(|resource| resource.schema().name.as_ref() == resource_type)
            .expect("is offered");
        Self {
            ssh: ssh.clone(),
            resource,
            address: Address::managed(resource_type, name),
            mark: Mark {
                lineage: "lineage".into(),
                instance: format!("{resource_type}-{name}"),
            },
            chosen: Value::null(),
            batches: std::cell::Cell::new(0),
        }
    }

    fn config(&self, given: &[(&str, Value)]) -> Value {
        let member = |(name, attribute): (&Arc<str>, &Attribute)| {
            let set = given.iter().find(|(given, _)| *given == name.as_ref());
            let default = match &attribute.presence {
                Presence::Optional(Some(default)) => default.clone(),
                _ => Value::null(),
            };
            let value = set.map_or(default, |(_, value)| value.clone());
            (Arc::clone(name), value)
        };
        Value::object(
            self.resource
                .schema()
                .attributes
                .iter()
                .map(member)
                .collect(),
        )
    }

    fn known<'a>(&'a self, purpose: Purpose, attributes: &'a Value) -> Known<'a> {
        Known {
            address: &self.address,
            purpose,
            id: None,
            attributes,
            chosen: &self.chosen,
            mark: Some(&self.mark),
        }
    }

    async fn read(
        &self,
        purpose: Purpose,
        attributes: &Value,
    ) -> Result<Option<Value>, Diagnostic> {
        let known = self.known(purpose, attributes);
        let mut answers = Vec::new();
        let mut fetches = self.resource.fetches(&known)?;
        loop {
            for fetch in fetches {
                answers.push(self.answer(fetch).await);
            }
            assert!(!answers.is_empty(), "nothing was asked");
            match self.resource.parse(&known, Answers(&answers))? {
                Reading::Found(object) => return Ok(Some(object.attributes)),
                Reading::Absent => return Ok(None),
                Reading::More(more) => fetches = more,
                other @ Reading::HalfMade(..) => panic!("{other:?}"),
            }
        }
    }

    async fn answer(&self, fetch: Fetch) -> Answer {
        match fetch {
            Fetch::Script { on, script } => {
                let exchange = self.ssh.read(&on, &[script], Duration::from_secs(30)).await;
                let exchange = exchange.expect("is reached");
                Answer::Script {
                    output: exchange.outputs[0].clone(),
                    host_key: exchange.host_key.into(),
                }
            }
            Fetch::Api(query) => {
                let sealed = HostProvider::new().with_ssh_config(SshConfig::none());
                let machines = Arc::new(self.ssh.clone());
                let configured = sealed.configure(&Value::null(), machines);
                let answers = configured.expect("no configuration").fetch(&[query]).await;
                let answer = answers.into_iter().next().expect("one answer");
                Answer::Api(Arc::new(answer.expect("is understood")))
            }
        }
    }

    fn plan(&self, config: &Value, prior: Option<&Value>, earlier: Option<&Value>) -> Planned {
        let schema = self.resource.schema();
        let mut planned = config.clone();
        for (name, attribute) in &schema.attributes {
            if attribute.is_computed() && config.get(name).is_null() {
                let unknown = || Value::unknown(attribute.ty.clone());
                planned = planned.with(name, prior.map_or_else(unknown, |prior| prior.get(name)));
            }
        }
        let mut change = Change {
            address: &self.address,
            schema,
            prior,
            earlier,
            config,
            planned,
            replacements: Vec::new(),
            effects: Vec::new(),
            notes: Vec::new(),
            dry_run: dmp_sdk::DryRun::NotAsked,
        };
        self.resource.plan(&mut change).expect("can succeed");
        Planned {
            value: change.planned,
            replaces: !change.replacements.is_empty(),
            notes: change.notes,
        }
    }

    /// Carries work out in a batch; the standard error of the failed step if one fails.
    async fn work(
        &self,
        verb: Verb,
        prior: Option<&Value>,
        planned: Option<&Value>,
        earlier: Option<&Value>,
    ) -> Result<Vec<String>, String> {
        let wanted = planned.map(|planned| {
            planned.map_children(|child| {
                if child.is_known() {
                    child.clone()
                } else {
                    Value::null()
                }
            })
        });
        let job = Job {
            verb,
            address: &self.address,
            mark: &self.mark,
            id: None,
            prior,
            wanted: wanted.as_ref(),
            chosen: &self.chosen,
            earlier,
            is_dead: false,
            has_successor: false,
        };
        let Work::Steps(steps) = self.resource.work(&job).expect("has steps") else {
            panic!()
        };
        let titles: Vec<String> = steps.iter().map(|step| step.title.clone()).collect();
        let Some(on) = steps.first().map(|step| step.on.clone()) else {
            return Ok(titles);
        };
        self.batches.set(self.batches.get() + 1);
        let item = BatchItem {
            key: self.mark.instance.clone(),
            label: self.address.to_string(),
            steps,
            within: None,
            read: Vec::new(),
            after: Vec::new(),
        };
        let batch = Batch {
            id: format!("{}-{}", self.mark.instance, self.batches.get()),
            items: vec![item],
        };
        let (sender, mut receiver) = tokio::sync::mpsc::channel(64);
        self.ssh.run(&on, &batch, sender).await.expect("runs");
        let mut words = String::new();
        while let Some(report) = receiver.recv().await {
            match report {
                Report::StepEnded { output, .. } => words = output.stderr,
                Report::ItemEnded {
                    end: ItemEnd::Done, ..
                } => return Ok(titles),
                Report::ItemEnded { .. } => return Err(words),
                Report::StepStarted { .. } => {}
            }
        }
        panic!("no end")
    }

    /// Creates the object and gives what was read back, which must be what was planned, and plan to no change again.
    async fn create(&self, config: &Value) -> (Value, Value) {
        let earlier = self
            .read(Purpose::BeforeCreate, config)
            .await
            .expect("is read");
        let planned = self.plan(config, None, earlier.as_ref());
        let earlier = earlier.unwrap_or_else(Value::null);
        self.work(Verb::Create, None, Some(&planned.value), Some(&earlier))
            .await
            .expect("is created");
        (self.read_back(config, &planned.value).await, earlier)
    }

    async fn update(&self, config: &Value, prior: &Value) -> (Value, Vec<String>) {
        let planned = self.plan(config, Some(prior), None);
        assert!(!planned.replaces);
        let titles = self
            .work(Verb::Update, Some(prior), Some(&planned.value), None)
            .await
            .expect("is updated");
        (self.read_back(config, &planned.value).await, titles)
    }

    async fn read_back(&self, config: &Value, planned: &Value) -> Value {
        let wanted = planned.map_children(|child| {
            if child.is_known() {
                child.clone()
            } else {
                Value::null()
            }
        });
        let found = self
            .read(Purpose::AfterWrite, &wanted)
            .await
            .expect("is read")
            .expect("is there");
        for (name, value) in planned.as_members().into_iter().flatten() {
            assert!(
                !value.is_wholly_known() || *value == found.get(name),
                "`{name}` did not last: {value:?}"
            );
        }
        let refreshed = self
            .read(Purpose::Refresh, &found)
            .await
            .expect("is read")
            .expect("is there");
        assert_eq!(
            self.plan(config, Some(&refreshed), None).value,
            found,
            "the second plan is empty"
        );
        found
    }

    async fn delete(&self, prior: &Value, earlier: &Value) {
        for _ in 0..2 {
            self.work(Verb::Delete, Some(prior), None, Some(earlier))
                .await
                .expect("is deleted");
        }
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path)
        .expect("is there")
        .permissions()
        .mode()
        & 0o7777
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("is there")
}

#[tokio::test]
async fn a_host_is_known_after_one_reading_and_writes_nothing() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let host = Object::new(&ssh, "host", "node");
    let machine = sshd.machine();
    let config = host.config(&[
        ("address", "127.0.0.1".into()),
        ("port", i64::from(sshd.port).into()),
        ("user", dmp_testkit::user().into()),
        ("key_file", machine.key_file.clone().into()),
        ("sudo", false.into()),
    ]);
    let earlier = host
        .read(Purpose::BeforeCreate, &config)
        .await
        .expect("is read")
        .expect("is there");
    let planned = host.plan(&config, None, Some(&earlier));
    assert!(planned.value.is_wholly_known());
    assert!(planned.notes[0].contains("SHA256:"));
    let connection = Machine::from_value(&planned.value.get("connection")).expect("a connection");
    assert_eq!(connection, machine);
    assert!(
        planned
            .value
            .get("cores")
            .as_i64()
            .is_some_and(|cores| cores > 0)
    );
    host.create(&config).await;
    assert_eq!(ssh.counts().logins, 1);
}

#[tokio::test]
async fn a_file_lives_and_leaves_nothing_behind() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let path = sshd.path("it's a \"file\" $(x)");
    let file = Object::new(&ssh, "host_file", "new");
    let base = [
        ("host", sshd.machine().to_value()),
        ("path", path.display().to_string().into()),
        ("content", "one\ntwo".into()),
        ("mode", "600".into()),
    ];
    let config = file.config(&base);
    let (found, earlier) = file.create(&config).await;
    assert_eq!((text(&path).as_str(), mode(&path)), ("one\ntwo", 0o600));
    assert_eq!(
        (earlier, found.get("owner")),
        (Value::null(), dmp_testkit::user().into())
    );

    // Drift in content and mode shows, and is mended.
    std::fs::write(&path, "drifted\n").expect("writable");
    let drifted = file
        .read(Purpose::Refresh, &found)
        .await
        .expect("is read")
        .expect("is there");
    assert_eq!(drifted.get("content"), "drifted\n".into());
    file.update(&config, &drifted).await;
    let other = config.with("mode", "0640".into());
    let (found, titles) = file.update(&other, &found).await;
    assert_eq!((titles.len(), mode(&path)), (1, 0o640));
    assert!(titles[0].starts_with("set mode"));

    file.delete(&found, &Value::null()).await;
    assert!(!path.exists());
    assert_eq!(
        file.read(Purpose::Refresh, &found).await.expect("is read"),
        None
    );
    let kept = sshd.path("state/kept");
    assert_eq!(std::fs::read_dir(kept).expect("is there").count(), 0);
}

#[tokio::test]
async fn what_stood_at_a_path_before_is_put_back_byte_by_byte() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let path = sshd.path("before");
    let binary: Vec<u8> = (0..=255).cycle().take(400_000).collect();
    std::fs::write(&path, &binary).expect("writable");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o604)).expect("ours");
    let file = Object::new(&ssh, "host_file", "old");
    let config = file.config(&[
        ("host", sshd.machine().to_value()),
        ("path", path.display().to_string().into()),
        ("template", "port {{ port }}\n".into()),
        ("vars", Value::object_of([("port", 80.into())])),
    ]);
    let (found, earlier) = file.create(&config).await;
    assert_eq!(text(&path), "port 80\n");
    assert!(earlier.get("content").is_null() && !earlier.get("sha256").is_null());
    file.work(Verb::Delete, Some(&found), None, Some(&earlier))
        .await
        .expect("is put back");
    assert!(std::fs::read(&path).expect("is there") == binary);
    assert_eq!(mode(&path), 0o604);
}

#[tokio::test]
async fn a_file_that_can_not_be_written_says_why_and_the_old_one_stays() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let path = sshd.path("checked");
    let file = Object::new(&ssh, "host_file", "checked");
    let base = |path: &Path, content: &str| {
        file.config(&[
            ("host", sshd.machine().to_value()),
            ("path", path.display().to_string().into()),
            ("sensitive_content", content.into()),
            ("validate", "grep -q good \"$file\"".into()),
        ])
    };
    let (found, _) = file.create(&base(&path, "good")).await;
    let planned = file.plan(&base(&path, "bad"), Some(&found), None);
    let why = file
        .work(Verb::Update, Some(&found), Some(&planned.value), None)
        .await
        .expect_err("not valid");
    assert!(
        why.contains("is not valid; the old one stays") && !why.contains("bad"),
        "{why}"
    );
    assert_eq!(text(&path), "good");
    let left = std::fs::read_dir(path.parent().expect("has one"))
        .expect("is there")
        .flatten();
    assert!(
        left.map(|entry| entry.file_name())
            .all(|name| !name.to_string_lossy().starts_with(".dmp"))
    );

    let nowhere = sshd.path("nowhere/file");
    let planned = file.plan(&base(&nowhere, "good"), None, None);
    let why = file
        .work(
            Verb::Create,
            None,
            Some(&planned.value),
            Some(&Value::null()),
        )
        .await
        .expect_err("no parent");
    assert!(
        why.contains("does not exist: add a host_directory"),
        "{why}"
    );
    let link = sshd.path("link");
    std::os::unix::fs::symlink(&path, &link).expect("writable");
    let planned = file.plan(&base(&link, "good"), None, None);
    let why = file
        .work(
            Verb::Create,
            None,
            Some(&planned.value),
            Some(&Value::null()),
        )
        .await
        .expect_err("a link");
    assert!(why.contains("is a symbolic link"), "{why}");
}

#[tokio::test]
async fn a_directory_goes_with_the_parents_that_it_brought_and_never_with_content() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let (top, path) = (sshd.path("a"), sshd.path("a/b/c"));
    let directory = Object::new(&ssh, "host_directory", "deep");
    let config = directory.config(&[
        ("host", sshd.machine().to_value()),
        ("path", path.display().to_string().into()),
        ("mode", "2750".into()),
    ]);
    let (found, earlier) = directory.create(&config).await;
    assert_eq!(mode(&path), 0o2750);
    directory.delete(&found, &earlier).await;
    assert!(!top.exists());

    let (found, earlier) = directory.create(&config).await;
    std::fs::write(path.join("data"), "irreplaceable").expect("writable");
    directory.delete(&found, &earlier).await;
    assert_eq!(text(&path.join("data")), "irreplaceable");

    // One that was there before keeps its place, and gets its mode back.
    let (found, earlier) = directory.create(&config.with("mode", "0700".into())).await;
    assert_eq!((mode(&path), earlier.get("mode")), (0o700, "2750".into()));
    std::fs::remove_file(path.join("data")).expect("writable");
    directory.delete(&found, &earlier).await;
    assert_eq!(mode(&path), 0o2750);
}

#[tokio::test]
async fn a_command_runs_where_its_check_fails_and_is_undone() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let path = sshd.path("made");
    let command = Object::new(&ssh, "host_command", "make");
    let environment = Value::map(
        [
            ("FILE".into(), path.display().to_string().into()),
            ("WORDS".into(), "it's $HOME `x`".into()),
        ]
        .into(),
    );
    let config = command.config(&[
        ("host", sshd.machine().to_value()),
        ("create", "printf '%s\\n' \"$WORDS\" >>\"$FILE\"".into()),
        ("check", "test -e \"$FILE\"".into()),
        ("destroy", "rm -f \"$FILE\"".into()),
        ("environment", environment),
    ]);
    let (found, earlier) = command.create(&config).await;
    assert_eq!(text(&path), "it's $HOME `x`\n");
    assert!(earlier.is_null());
    // Done already: nothing is run.
    command.create(&config).await;
    assert_eq!(text(&path).lines().count(), 1);
    std::fs::remove_file(&path).expect("writable");
    assert_eq!(
        command
            .read(Purpose::Refresh, &found)
            .await
            .expect("is read"),
        None
    );
    command.create(&config).await;
    command.delete(&found, &earlier).await;
    assert!(!path.exists());
}
