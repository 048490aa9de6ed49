//! `dmp facts`: what a machine, or another recorded instance, says of itself now. Nothing is recorded, nothing changes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use dmp_plan::Finding;
use dmp_refresh::Refresh;
use dmp_sdk::codec::to_display_json;
use dmp_sdk::{Address, Diagnostic, Presence, Schema, Value};
use dmp_state::Snapshot;

use super::{fail, open_both, print};
use crate::arguments::Facts;
use crate::{Context, Exit, run as runs};

pub(crate) async fn run(context: &Context, directory: &Path, arguments: &Facts) -> Exit {
    let (stack, store) = match open_both(context, directory, &arguments.variables) {
        Ok(both) => both,
        Err(exit) => return exit,
    };
    let fail = |diagnostic: Diagnostic| fail(context, &stack.sources, &[diagnostic]);
    let snapshot = store.snapshot();
    let address = match recorded(snapshot, &arguments.address) {
        Ok(address) => address,
        Err(diagnostic) => return fail(diagnostic),
    };
    let services = runs::looking(context, &stack, 1);
    let mut others: BTreeSet<Address> = snapshot.instances.keys().cloned().collect();
    others.remove(&address);
    let world = stack.world();
    let refresh = Refresh::new(&world, snapshot, &others, &services.configure);
    let findings = refresh.read(&services.reader).await;
    services.machines.close().await;
    let found = match findings.get(&address) {
        Some(Finding::Found(object) | Finding::HalfMade(object, _)) => &object.attributes,
        Some(Finding::Failed(diagnostic)) => return fail(diagnostic.clone()),
        other => return fail(not_read(&address, other)),
    };
    let Some(schema) = world.schema_of(&address) else {
        return fail(Diagnostic::bug(format!("no schema of `{address}`")));
    };
    let facts = facts(schema, found);
    if arguments.json {
        print(&format!("{}\n", to_display_json(&facts)));
        return Exit::Success;
    }
    for (name, value) in facts.as_members().into_iter().flatten() {
        print(&format!(
            "{name} = {}\n",
            dmp_report::render_value(value, 0)
        ));
    }
    Exit::Success
}

fn recorded(snapshot: &Snapshot, written: &str) -> Result<Address, Diagnostic> {
    let address: Option<Address> = written.parse().ok();
    let known = address.filter(|address| snapshot.instances.contains_key(address));
    known.ok_or_else(|| {
        let hosts = snapshot.instances.keys();
        let hosts = hosts.filter(|address| address.resource_type.as_ref() == "host");
        let names: Vec<String> = hosts.map(ToString::to_string).collect();
        Diagnostic::error("unknown-address", "unknown address")
            .detail(format!("the state has no `{written}`"))
            .help(format!("machines of this stack: {}", names.join(", ")))
    })
}

/// What nobody has set: what the object says of itself.
fn facts(schema: &Schema, found: &Value) -> Value {
    let computed = schema.attributes.iter().filter(|(name, attribute)| {
        matches!(attribute.presence, Presence::Computed) && name.as_ref() != "connection"
    });
    let facts = computed.map(|(name, _)| (Arc::clone(name), found.get(name)));
    Value::object(facts.collect())
}

fn not_read(address: &Address, finding: Option<&Finding>) -> Diagnostic {
    let cause = match finding {
        Some(Finding::Unreachable(why) | Finding::NotConfigured(why)) => why.clone(),
        Some(Finding::Absent) => "it is not there any more".into(),
        _ => "nothing was found".into(),
    };
    Diagnostic::remote("unreachable", "cannot read an object")
        .address(address)
        .cause(cause)
        .help("the recorded facts: `dmp show`")
}
