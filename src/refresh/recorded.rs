//! The refresh: everything that the state records is read, through present provider configurations where they follow
//! from variables alone, else through the recorded ones. What the plan will ask of the same machines right afterwards is
//! foreseen, and asked in the same exchange.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dmp_lang::config::Timed;
use dmp_plan::ending::{all_lost, lives_on};
use dmp_plan::planner::Configure;
use dmp_plan::world::ProviderAt;
use dmp_plan::{Finding, Findings, Planner, PlannerInput, ReadKind, ReadRequest, World};
use dmp_sdk::{Address, Configured, Diagnostic, Mark, Object, Purpose, Resource};
use dmp_state::{Instance, Snapshot, Status};

use crate::reader::{Reader, asks_a_machine, machine_asked};

/// What the state records, and how it is read.
pub struct Refresh<'a> {
    snapshot: &'a Snapshot,
    /// What can't be read, and why.
    findings: Findings,
    requests: Vec<ReadRequest>,
}

impl<'a> Refresh<'a> {
    /// Everything that the state records but for what is passed over: known to be lost, or no part of a plan. `world`
    /// knows variables only.
    #[must_use]
    pub fn new(
        world: &World,
        snapshot: &'a Snapshot,
        passed_over: &BTreeSet<Address>,
        configure: &Configure,
    ) -> Self {
        let mut providers: BTreeMap<String, Result<Arc<dyn Configured>, String>> = BTreeMap::new();
        let mut refresh = Self {
            snapshot,
            findings: Findings::default(),
            requests: Vec::new(),
        };
        for (address, instance) in &snapshot.instances {
            if passed_over.contains(address) {
                continue;
            }
            let provider = providers
                .entry(instance.provider.clone())
                .or_insert_with(|| {
                    provider_of_record(world, snapshot, &instance.provider, configure)
                });
            let finding = match provider {
                Ok(provider) => match request(world, snapshot, address, instance, provider) {
                    Ok(request) => {
                        refresh.requests.push(request);
                        continue;
                    }
                    Err(diagnostic) => Finding::Failed(diagnostic),
                },
                Err(why) => Finding::NotConfigured(why.clone()),
            };
            refresh.findings.insert(address.clone(), finding);
        }
        refresh
    }

    /// What a plan will want to have read first if all is found as it is recorded: what stands where something new is to
    /// be made. `input` makes what the plan is made from, given these findings. Nothing where no machine is asked
    /// anyway: then there is no exchange to be saved.
    pub fn foresee(&self, input: impl FnOnce(Findings) -> PlannerInput) -> Vec<ReadRequest> {
        if !self.requests.iter().any(asks_a_machine) {
            return Vec::new();
        }
        let mut findings = self.findings.clone();
        findings.extend(self.requests.iter().filter_map(as_recorded));
        let mut wanted = Planner::new(input(findings)).advance();
        wanted.retain(|request| {
            let ReadKind::Object { purpose, .. } = request.kind else {
                return false;
            };
            matches!(purpose, Purpose::BeforeCreate | Purpose::Import)
        });
        wanted
    }

    /// Reads. What is on a machine that an API tells of waits for what that tells: on one that is switched off or gone
    /// nothing is asked, nor on one behind it.
    pub async fn read(self, reader: &Reader) -> Findings {
        let Self {
            snapshot,
            mut findings,
            requests,
        } = self;
        let told = told_by_an_api(snapshot, &requests);
        let hosted_by = |request: &ReadRequest, is_such: &dyn Fn(&Address) -> bool| {
            let recorded = |address: &Address| snapshot.instances.get(address).map(AsRef::as_ref);
            lives_on(recorded, &request.address, is_such)
        };
        let (later, first): (Vec<_>, Vec<_>) = requests.into_iter().partition(|request| {
            !told.is_empty()
                && !told.contains_key(&request.address)
                && hosted_by(request, &|host| told.contains_key(host)).is_some()
        });
        findings.extend(reader.read(first).await);
        let is_gone = |host: &&Address| {
            let record = snapshot.instances.get(*host);
            matches!(findings.get(*host), Some(Finding::Absent))
                && record.is_some_and(|record| record.ends_hosted)
        };
        let gone: BTreeSet<Address> = told.keys().filter(is_gone).cloned().collect();
        let lost = match gone.is_empty() {
            true => gone,
            false => all_lost(snapshot, &gone),
        };
        let mut on = Vec::new();
        let mut silent = Findings::default();
        let mut ways = BTreeMap::new();
        for request in later {
            let is_off = |host: &Address| match (findings.get(host), told.get(host)) {
                (Some(Finding::Found(object)), Some(resource)) => {
                    resource.is_off(&object.attributes)
                }
                _ => false,
            };
            let is_lost = lost.contains(&request.address) && asks_a_machine(&request);
            let why = match hosted_by(&request, &is_off) {
                Some(host) => Some(format!("`{host}` is switched off")),
                None => is_lost.then(|| "what it lives on is gone".to_owned()),
            };
            match why {
                Some(why) => {
                    if let Some(machine) = machine_asked(&request) {
                        ways.insert((machine.address, machine.port), request.address.clone());
                    }
                    silent.insert(request.address, Finding::Unreachable(why));
                }
                None => on.push(request),
            }
        }
        on.retain(|request| {
            let Some(host) = led_by(request, &ways) else {
                return true;
            };
            let why = format!("the way to it leads through `{host}`, which does not run");
            silent.insert(request.address.clone(), Finding::Unreachable(why));
            false
        });
        findings.extend(silent);
        findings.extend(reader.read(on).await);
        findings
    }
}

/// Of what hosts others, that of which an API tells.
fn told_by_an_api(
    snapshot: &Snapshot,
    requests: &[ReadRequest],
) -> foldhash::HashMap<Address, Arc<dyn Resource>> {
    let instances = snapshot.instances.values();
    let hosts: foldhash::HashSet<&Address> =
        instances.flat_map(|instance| instance.hosts()).collect();
    let of_host = |request: &&ReadRequest| hosts.contains(&request.address);
    let told = |request: &ReadRequest| match &request.kind {
        ReadKind::Object { resource, .. } if !asks_a_machine(request) => {
            Some((request.address.clone(), Arc::clone(resource)))
        }
        _ => None,
    };
    requests.iter().filter(of_host).filter_map(told).collect()
}

/// What answers at one of the places that a request goes through; nothing if there are none.
fn led_by<'a>(
    request: &ReadRequest,
    ways: &'a BTreeMap<(String, u16), Address>,
) -> Option<&'a Address> {
    if ways.is_empty() {
        return None;
    }
    let bastions = machine_asked(request)?.bastions;
    let mut places = bastions.into_iter().map(|one| (one.address, one.port));
    places.find_map(|place| ways.get(&place))
}

/// What would be found if nothing had changed.
fn as_recorded(request: &ReadRequest) -> Option<(Address, Finding)> {
    let ReadKind::Object {
        attributes,
        object_id,
        ..
    } = &request.kind
    else {
        return None;
    };
    let object = Object {
        attributes: attributes.clone(),
        id: object_id.clone(),
    };
    Some((request.address.clone(), Finding::Found(object)))
}

/// The request that reads a recorded instance.
fn request(
    world: &World,
    snapshot: &Snapshot,
    address: &Address,
    instance: &Instance,
    provider: &Arc<dyn Configured>,
) -> Result<ReadRequest, Diagnostic> {
    let Some(resource) = world.registry.resource(&address.resource_type) else {
        let detail = format!(
            "the state has `{address}`, but no provider here offers `{}`",
            address.resource_type
        );
        return Err(Diagnostic::error("unknown-type", "unknown resource type").detail(detail));
    };
    let schema = resource.schema();
    if instance.schema_version > schema.version {
        let detail = format!(
            "`{address}` was recorded with version {} of its schema, this dmp knows version {}",
            instance.schema_version, schema.version
        );
        return Err(Diagnostic::error("newer-schema", "newer state")
            .detail(detail)
            .help("use a newer dmp"));
    }
    let mut attributes = instance.attributes.clone();
    for version in instance.schema_version..schema.version {
        attributes = resource.upgrade(version, attributes)?;
    }
    Ok(ReadRequest {
        address: address.clone(),
        kind: ReadKind::Object {
            resource: Arc::clone(resource),
            purpose: match instance.status {
                Status::Suspect { .. } => Purpose::Suspect,
                Status::Whole | Status::Lost => Purpose::Refresh,
            },
            attributes: dmp_plan::instance::conform(schema, &attributes),
            object_id: instance.object_id.clone(),
            chosen: instance.chosen.clone(),
            mark: Some(Mark {
                lineage: snapshot.lineage.clone(),
                instance: instance.id.clone(),
            }),
        },
        provider: Arc::clone(provider),
        provider_address: instance.provider.clone(),
        within: world.timeout(address, Timed::Read).ok().flatten(),
    })
}

/// A provider for what is recorded: by its present configuration if that needs nothing but variables, else as recorded.
///
/// # Errors
/// Why there is none, in words.
pub fn provider_of_record(
    world: &World,
    snapshot: &Snapshot,
    address: &str,
    configure: &Configure,
) -> Result<Arc<dyn Configured>, String> {
    let name = snapshot
        .providers
        .get(address)
        .map(|record| record.provider.clone());
    let name = name.unwrap_or_else(|| address.split('.').next().unwrap_or(address).to_owned());
    // A block that is gone would be taken for an empty one: then what is recorded counts.
    let is_declared = |at: &ProviderAt| {
        world.declares_provider(at)
            || (at.module.is_root() && !snapshot.providers.contains_key(address))
    };
    let present = ProviderAt::parse(address)
        .filter(is_declared)
        .and_then(|at| world.decode_provider(&at));
    if let Some(decoded) = present
        && let Some(provider) = world.registry.provider(&name)
    {
        let config = dmp_plan::instance::conform(provider.schema(), &decoded.value);
        if config.is_wholly_known() && !decoded.diagnostics.iter().any(Diagnostic::is_error) {
            return configure(&name, &config).map_err(|diagnostic| diagnostic.to_string());
        }
    }
    let Some(record) = snapshot.providers.get(address) else {
        return Err(format!(
            "the provider configuration `{address}` waits for something and was never recorded"
        ));
    };
    let Some(provider) = world.registry.provider(&record.provider) else {
        return Err(format!("no provider `{}` is known here", record.provider));
    };
    let config = dmp_plan::instance::conform(provider.schema(), &record.config);
    if !config.is_wholly_known() {
        return Err(format!(
            "the recorded configuration of `{address}` has values that are in no state"
        ));
    }
    configure(&record.provider, &config).map_err(|diagnostic| diagnostic.to_string())
}
