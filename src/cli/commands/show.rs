//! `dmp show`: the state, or a saved plan.

use std::path::Path;

use dmp_lang::Sources;
use dmp_sdk::Layer;
use dmp_sdk::codec::to_display_json;
use serde_json::json;

use super::{fail, print};
use crate::arguments::Show;
use crate::stack::open_state;
use crate::{Context, Exit, plan_file};

pub(crate) fn run(context: &Context, directory: &Path, arguments: &Show) -> Exit {
    let store = match open_state(directory) {
        Ok(store) => store,
        Err(diagnostic) => return fail(context, &Sources::new(), &[diagnostic]),
    };
    if let Some(path) = &arguments.plan {
        return match plan_file::read(path, None, &store) {
            Ok(saved) if arguments.json => {
                print(&format!("{}\n", saved.json));
                Exit::Success
            }
            Ok(saved) => {
                print(&saved.shown);
                Exit::Success
            }
            Err(diagnostic) => fail(context, &Sources::new(), &[diagnostic]),
        };
    }
    let snapshot = store.snapshot();
    if arguments.json {
        let instance = |instance: &std::sync::Arc<dmp_state::Instance>| {
            json!({
                "address": instance.address, "layer": instance.layer, "status": instance.status,
                "values": to_display_json(&instance.attributes),
            })
        };
        let instances: Vec<_> = snapshot.instances.values().map(instance).collect();
        let outputs: serde_json::Map<_, _> = snapshot
            .outputs
            .iter()
            .map(|(name, output)| (name.clone(), to_display_json(&output.value)))
            .collect();
        print(&format!(
            "{}\n",
            json!({ "serial": snapshot.serial, "resources": instances, "outputs": outputs })
        ));
        return Exit::Success;
    }
    for layer in Layer::ALL {
        let here: Vec<_> = snapshot
            .instances
            .values()
            .filter(|instance| instance.layer == layer)
            .collect();
        if here.is_empty() {
            continue;
        }
        print(&format!("{}\n", context.style.bold(layer.as_str())));
        for instance in here {
            print(&super::state::render(instance, context.style));
        }
        print("\n");
    }
    for (name, output) in &snapshot.outputs {
        print(&format!(
            "{name} = {}\n",
            dmp_report::render_value(&output.value, 0)
        ));
    }
    Exit::Success
}
