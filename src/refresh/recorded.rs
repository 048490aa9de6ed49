//! The refresh: everything that the state records is read, through present provider configurations where they follow
//! from variables alone, else through the recorded ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dmp_lang::config::Timed;
use dmp_plan::planner::Configure;
use dmp_plan::world::ProviderAt;
use dmp_plan::{Finding, Findings, ReadKind, ReadRequest, World};
use dmp_sdk::{Address, Configured, Diagnostic, Mark, Purpose};
use dmp_state::{Instance, Snapshot, Status};

use crate::reader::Reader;

/// What was found of everything that is recorded.
#[derive(Default)]
pub struct Recorded {
    /// For each instance.
    pub findings: Findings,
}

/// Reads what the state records, but for what is passed over: known to be lost, or no part of a plan. `world`
/// knows variables only.
pub async fn refresh(
    world: &World,
    snapshot: &Snapshot,
    passed_over: &BTreeSet<Address>,
    configure: &Configure,
    reader: &Reader,
) -> Recorded {
    let mut providers: BTreeMap<String, Result<Arc<dyn Configured>, String>> = BTreeMap::new();
    let mut requests = Vec::new();
    let mut recorded = Recorded::default();
    for (address, instance) in &snapshot.instances {
        if passed_over.contains(address) {
            continue;
        }
        let provider = providers
            .entry(instance.provider.clone())
            .or_insert_with(|| provider_of_record(world, snapshot, &instance.provider, configure));
        let finding = match provider {
            Ok(provider) => match request(world, snapshot, address, instance, provider) {
                Ok(request) => {
                    requests.push(request);
                    continue;
                }
                Err(diagnostic) => Finding::Failed(diagnostic),
            },
            Err(why) => Finding::NotConfigured(why.clone()),
        };
        recorded.findings.insert(address.clone(), finding);
    }
    recorded.findings.extend(reader.read(requests).await);
    recorded
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
