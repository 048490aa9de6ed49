//! Checks, when everything is applied or a plan is made: their data is read from outside, and their conditions must hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use dmp_events::{BusyWith, Event};
use dmp_lang::config::Check;
use dmp_lang::config::Timed;
use dmp_plan::world::{Expansion, Place, instance_address};
use dmp_plan::{Finding, ProviderState, ReadKind, ReadRequest, World};
use dmp_sdk::{Configured, Diagnostic, ModulePath};

use crate::run::Services;

/// Which checks are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// Every one.
    All,
    /// Those without a data source of their own: what they ask may be about to change, or must not be asked.
    WithoutData,
}

/// Looks at checks. A check that does not hold is a warning: what is applied is applied.
pub async fn check(
    services: &Services,
    world: &mut World,
    providers: &BTreeMap<String, ProviderState>,
    which: Checks,
) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for (module, check) in all_checks(world) {
        if which == Checks::WithoutData && check.data.is_some() {
            continue;
        }
        let mut problems = Vec::new();
        if let Some(data) = &check.data {
            problems.extend(
                read(services, world, providers, &module, &check, data)
                    .await
                    .err(),
            );
        }
        if problems.is_empty() {
            let place = Place::in_module(&module);
            problems =
                world.failed_conditions(&check.asserts, &place, "check", "a check does not hold");
        }
        let name = check.name.text.to_string();
        let message = problems.first().map(ToString::to_string);
        services.events.emit(Event::Checked {
            name,
            holds: problems.is_empty(),
            message,
        });
        warnings.extend(problems.into_iter().map(|mut problem| {
            problem.severity = dmp_sdk::Severity::Warning;
            problem
        }));
    }
    warnings
}

fn all_checks(world: &World) -> Vec<(ModulePath, Check)> {
    let nodes = world.graph.nodes.iter().filter_map(|node| match node {
        dmp_graph::Node::Check(path, name) => Some((path.clone(), Arc::clone(name))),
        _ => None,
    });
    nodes
        .flat_map(|(path, name)| {
            let instances = world.module_instances(&path).into_iter();
            instances
                .map(move |module| (module, Arc::clone(&name)))
                .collect::<Vec<_>>()
        })
        .filter_map(|(module, name)| {
            let check = world.module(&module)?.checks.get(&name)?.clone();
            Some((module, check))
        })
        .collect()
}

/// Reads the data source that belongs to a check.
async fn read(
    services: &Services,
    world: &mut World,
    providers: &BTreeMap<String, ProviderState>,
    module: &ModulePath,
    check: &Check,
    data: &dmp_lang::config::ResourceBlock,
) -> Result<(), Diagnostic> {
    let address = instance_address(module, &data.key, None);
    world.set_expansion((module.clone(), data.key.clone()), Expansion::single());
    let missing = || {
        Diagnostic::bug(format!(
            "`{address}` of check `{}` can't be read",
            check.name.text
        ))
    };
    let decoded = world.decode(&address).ok_or_else(missing)?;
    if let Some(wrong) = decoded.diagnostics.into_iter().find(Diagnostic::is_error) {
        return Err(wrong);
    }
    let source = world
        .registry
        .data_source(&address.resource_type)
        .cloned()
        .ok_or_else(missing)?;
    let (provider, provider_address) = provider_of_data(
        services,
        world,
        providers,
        module,
        data,
        &Place::in_module(module),
    )?;
    let config = dmp_plan::instance::conform(source.schema(), &decoded.value);
    let schema = source.schema().clone();
    let request = ReadRequest {
        address: address.clone(),
        kind: ReadKind::Data { source, config },
        provider,
        provider_address,
        within: world.timeout(&address, Timed::Read).ok().flatten(),
    };
    let from = services.elapsed();
    let findings = services.reader.read(vec![request]).await;
    services.busy(Some(schema.layer), BusyWith::Wait, from);
    match findings.into_iter().next().map(|(_, finding)| finding) {
        Some(Finding::Data(value)) => {
            world.set_instance(&address, &dmp_plan::instance::conform(&schema, &value));
            Ok(())
        }
        Some(Finding::Failed(diagnostic)) => Err(diagnostic.address(&address)),
        Some(Finding::Unreachable(why)) => Err(Diagnostic::remote(
            "unreachable",
            "cannot read what a check looks at",
        )
        .address(&address)
        .cause(why)),
        _ => Err(missing()),
    }
}

/// The provider through which a data source is read that only one block sees.
pub(crate) fn provider_of_data(
    services: &Services,
    world: &World,
    providers: &BTreeMap<String, ProviderState>,
    module: &ModulePath,
    data: &dmp_lang::config::ResourceBlock,
    place: &Place,
) -> Result<(Arc<dyn Configured>, String), Diagnostic> {
    let missing = || {
        Diagnostic::bug(format!(
            "no provider of `data.{}.{}`",
            data.key.resource_type, data.key.name
        ))
    };
    let at = world.provider_at(module, data, place);
    let at = at.map_err(|failed| failed.into_iter().next().unwrap_or_else(missing))?;
    let at = at.ok_or_else(missing)?;
    let provider_address = at.to_string();
    let known = providers
        .get(&provider_address)
        .and_then(|state| state.configured.clone());
    let provider = match known {
        Some(provider) => provider,
        None => {
            let decoded = world.decode_provider(&at).ok_or_else(missing)?;
            let schema = world
                .registry
                .provider(&at.key.name)
                .ok_or_else(missing)?
                .schema()
                .clone();
            (services.configure)(
                &at.key.name,
                &dmp_plan::instance::conform(&schema, &decoded.value),
            )?
        }
    };
    Ok((provider, provider_address))
}
