//! One object of the provider, with which is done what the engine does.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dmp_provider_host::HostProvider;
use dmp_sdk::{
    Address, Answer, Answers, Attribute, Batch, BatchItem, Change, Diagnostic, Fetch, ItemEnd, Job,
    Known, Machines, Mark, Presence, Provider, Purpose, Reading, Report, Resource, Value, Verb,
    Work,
};
use dmp_transport::Ssh;
use dmp_transport::ssh_config::SshConfig;

/// Does with one object what the engine does.
pub(crate) struct Object {
    ssh: Ssh,
    resource: Arc<dyn Resource>,
    address: Address,
    mark: Mark,
    chosen: Value,
    batches: std::cell::Cell<u32>,
}

/// What a plan made of a configuration.
pub(crate) struct Planned {
    pub(crate) value: Value,
    pub(crate) replaces: bool,
    pub(crate) notes: Vec<String>,
}

impl Object {
    pub(crate) fn new(ssh: &Ssh, resource_type: &str, name: &str) -> Self {
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

    pub(crate) fn config(&self, given: &[(&str, Value)]) -> Value {
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

    pub(crate) fn known<'a>(&'a self, purpose: Purpose, attributes: &'a Value) -> Known<'a> {
        Known {
            address: &self.address,
            purpose,
            id: None,
            attributes,
            chosen: &self.chosen,
            mark: Some(&self.mark),
        }
    }

    pub(crate) async fn read(
        &self,
        purpose: Purpose,
        attributes: &Value,
    ) -> Result<Option<Value>, Diagnostic> {
        let known = self.known(purpose, attributes);
        let mut answers = Vec::new();
        let mut fetches = self.resource.fetches(&known)?;
        loop {
            assert!(!fetches.is_empty(), "nothing was asked");
            for fetch in fetches {
                answers.push(self.answer(fetch).await);
            }
            match self.resource.parse(&known, Answers(&answers))? {
                Reading::Found(object) => return Ok(Some(object.attributes)),
                Reading::Absent => return Ok(None),
                Reading::More(more) => fetches = more,
                other => panic!("{other:?}"),
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

    pub(crate) fn plan(
        &self,
        config: &Value,
        prior: Option<&Value>,
        earlier: Option<&Value>,
    ) -> Planned {
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
            is_half_made: false,
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
    pub(crate) async fn work(
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
    pub(crate) async fn create(&self, config: &Value) -> (Value, Value) {
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

    pub(crate) async fn update(&self, config: &Value, prior: &Value) -> (Value, Vec<String>) {
        let planned = self.plan(config, Some(prior), None);
        assert!(!planned.replaces);
        let titles = self
            .work(Verb::Update, Some(prior), Some(&planned.value), None)
            .await
            .expect("is updated");
        (self.read_back(config, &planned.value).await, titles)
    }

    pub(crate) async fn read_back(&self, config: &Value, planned: &Value) -> Value {
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

    pub(crate) async fn delete(&self, prior: &Value, earlier: &Value) {
        for _ in 0..2 {
            self.work(Verb::Delete, Some(prior), None, Some(earlier))
                .await
                .expect("is deleted");
        }
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    std::fs::metadata(path)
        .expect("is there")
        .permissions()
        .mode()
        & 0o7777
}

pub(crate) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("is there")
}
