//! `dmp output`: the stack's outputs.

use std::path::Path;

use dmp_lang::Sources;
use dmp_sdk::codec::{to_display_json, to_json};
use dmp_sdk::{Diagnostic, Marks};
use serde_json::{Value as Json, json};

use super::{fail, print, print_raw};
use crate::arguments::Output;
use crate::stack::open_state;
use crate::{Context, Exit};

pub(crate) fn run(context: &Context, directory: &Path, arguments: &Output) -> Exit {
    let store = match open_state(directory) {
        Ok(store) => store,
        Err(diagnostic) => return fail(context, &Sources::new(), &[diagnostic]),
    };
    let outputs = &store.snapshot().outputs;
    let Some(name) = &arguments.name else {
        if arguments.json {
            let entry = |(name, output): (&String, &dmp_state::Output)| {
                let is_sensitive = output.value.deep_marks().is_sensitive();
                (
                    name.clone(),
                    json!({ "sensitive": is_sensitive, "value": to_display_json(&output.value) }),
                )
            };
            print_raw(&format!(
                "{}\n",
                Json::Object(outputs.iter().map(entry).collect())
            ));
        } else {
            for (name, output) in outputs {
                print(&format!(
                    "{name} = {}\n",
                    dmp_report::render_value(&output.value, 0)
                ));
            }
        }
        return Exit::Success;
    };
    let Some(output) = outputs.get(name) else {
        let diagnostic = Diagnostic::error("unknown-output", "unknown output")
            .detail(format!("no output `{name}` is recorded"))
            .did_you_mean(name, outputs.keys().map(String::as_str));
        return fail(context, &Sources::new(), &[diagnostic]);
    };
    // Who asks for one by name wants to see it.
    let value = output.value.map_marks(&Marks::without_sensitive);
    if arguments.json {
        print_raw(&format!("{}\n", to_json(&value).unwrap_or_default()));
    } else if arguments.raw {
        match (value.as_str(), to_json(&value)) {
            (Some(text), _) => print_raw(text),
            (None, Some(json)) => print_raw(&json.to_string()),
            (None, None) => {}
        }
    } else {
        print(&format!("{}\n", dmp_report::render_value(&value, 0)));
    }
    Exit::Success
}
