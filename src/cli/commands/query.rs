//! `dmp query`: what is there of a resource type, dmp's own and others', and on wish `import` and `resource` blocks for what
//! the state does not have. It only reads, and records nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dmp_lang::{Schemas, is_name, parse_expression};
use dmp_plan::instance::conform;
use dmp_plan::world::{Place, World};
use dmp_plan::{Finding, ReadKind, ReadRequest};
use dmp_refresh::provider_of_record;
use dmp_sdk::codec::to_display_json;
use dmp_sdk::{Address, Diagnostic, ListedBy, Mode, ModulePath, Value};
use dmp_state::Snapshot;
use serde_json::json;

use super::generate::{self, quoted};
use super::{fail, open_both, print, print_raw, say};
use crate::arguments::Query;
use crate::stack::Stack;
use crate::{Context, Exit, run as runs};
use dmp_apply::Services;

/// An object that is there.
struct Found {
    id: String,
    name: String,
    value: Value,
    /// Where the state has it.
    recorded: Option<Address>,
}

pub(crate) async fn run(context: &Context, directory: &Path, arguments: &Query) -> Exit {
    let (stack, store) = match open_both(context, directory, &arguments.variables) {
        Ok(both) => both,
        Err(exit) => return exit,
    };
    let services = runs::looking(context, &stack, 10);
    let exit = match look(&stack, store.snapshot(), &services, arguments).await {
        Ok(()) => Exit::Success,
        Err(diagnostics) => {
            let mut sources = stack.sources.clone();
            if let Some(condition) = &arguments.r#where {
                sources.add(CONDITION, condition.as_str());
            }
            fail(context, &sources, &diagnostics)
        }
    };
    services.machines.close().await;
    exit
}

async fn look(
    stack: &Stack,
    snapshot: &Snapshot,
    services: &Services,
    arguments: &Query,
) -> Result<(), Vec<Diagnostic>> {
    let world = stack.world();
    let name = &arguments.resource_type;
    let listing = listing(&world, name).map_err(one)?;
    let items = read(stack, snapshot, services, name, listing)
        .await
        .map_err(one)?;
    let mut found = Vec::new();
    let condition = match &arguments.r#where {
        Some(text) => Some(parse_expression(text, CONDITION)?),
        None => None,
    };
    for value in items {
        let Some(id) = text(&value.get(listing.id)) else {
            continue;
        };
        if let Some(condition) = &condition {
            let place = Place::in_module(&ModulePath::root()).of_each(&id, value.clone());
            let holds = world.evaluate(condition, &place)?;
            match holds.as_bool() {
                Some(true) => {}
                Some(false) => continue,
                None => return Err(vec![no_condition(&id)]),
            }
        }
        let is_it = |address: &&Address| {
            address.resource_type.as_ref() == name
                && snapshot.instances[*address].object_id.as_deref() == Some(&id)
        };
        found.push(Found {
            name: text(&value.get(listing.name)).unwrap_or_default(),
            recorded: snapshot.instances.keys().find(is_it).cloned(),
            id,
            value,
        });
    }
    match &arguments.out {
        Some(out) => {
            let path = stack.directory.join(out);
            write(stack, snapshot, services, name, &found, &path).await?;
        }
        None if arguments.json => print_raw(&format!("{}\n", as_json(&found))),
        None => print(&as_table(&found)),
    }
    if arguments.out.is_none() && !arguments.json && found.iter().any(|it| it.recorded.is_none()) {
        say("\nWrite blocks for those that the state does not have: `--out FILE`.\n");
    }
    Ok(())
}

fn one(diagnostic: Diagnostic) -> Vec<Diagnostic> {
    vec![diagnostic]
}

fn no_condition(id: &str) -> Diagnostic {
    Diagnostic::error("wrong-condition", "`--where` is no condition")
        .detail(format!("for `{id}` it is neither true nor false"))
        .help("write one that is, such as `contains(each.value.tags, \"web\")`: `each.key` is the id, `each.value` the object as `--json` shows it")
}

/// What lists the objects of a type.
fn listing(world: &World, name: &str) -> Result<ListedBy, Diagnostic> {
    let types = world.registry.resource_types(Mode::Managed);
    let listing = |name: &str| {
        let schema = world.registry.schema(Mode::Managed, name)?;
        schema.listed_by
    };
    let Some(found) = listing(name) else {
        let is_known = world.registry.resource(name).is_some();
        let what = if is_known {
            format!("objects of type `{name}` can't be listed")
        } else {
            format!("no provider here offers `{name}`")
        };
        let can: Vec<String> = types
            .into_iter()
            .filter(|name| listing(name).is_some())
            .map(|name| format!("`{name}`"))
            .collect();
        return Err(Diagnostic::error("no-listing", "nothing to look through")
            .detail(what)
            .help(format!("can be listed: {}", can.join(", "))));
    };
    Ok(found)
}

/// Asks the data source for everything.
async fn read(
    stack: &Stack,
    snapshot: &Snapshot,
    services: &Services,
    name: &str,
    listing: ListedBy,
) -> Result<Vec<Value>, Diagnostic> {
    let world = stack.world();
    let source = world.registry.data_source(listing.data_source).cloned();
    let source = source
        .ok_or_else(|| Diagnostic::bug(format!("no data source `{}`", listing.data_source)))?;
    let nothing = Value::object_of([]);
    let config = listing.only.iter().fold(nothing, |config, &(name, text)| {
        config.with(name, Value::from(text))
    });
    let provider = generate::default_provider(stack, name);
    let cannot = |why: String| {
        Diagnostic::remote(
            "cannot-list",
            format!("cannot list what is there of `{name}`"),
        )
        .cause(why)
    };
    let configured =
        provider_of_record(&world, snapshot, &provider, &services.configure).map_err(|why| {
            cannot(why).help("a `provider` block whose values are known says whom to ask")
        })?;
    let address = Address::managed(name, "listing");
    let request = ReadRequest {
        address,
        kind: ReadKind::Data {
            config: conform(source.schema(), &config),
            source,
        },
        provider: configured,
        provider_address: provider,
        within: None,
    };
    match services.reader.read(vec![request]).await.pop() {
        Some((_, Finding::Data(value))) => {
            let items = value.get(listing.items);
            Ok(items.as_items().map(<[Value]>::to_vec).unwrap_or_default())
        }
        Some((_, Finding::Unreachable(why) | Finding::NotConfigured(why))) => Err(cannot(why)),
        Some((_, Finding::Failed(diagnostic))) => Err(diagnostic),
        _ => Err(Diagnostic::bug("a listing gave no value")),
    }
}

/// A text or a number as a text.
fn text(value: &Value) -> Option<String> {
    let number = || value.as_number().map(ToString::to_string);
    value.as_str().map(ToOwned::to_owned).or_else(number)
}

fn as_json(found: &[Found]) -> serde_json::Value {
    let object = |it: &Found| {
        json!({
            "id": it.id,
            "name": it.name,
            "address": it.recorded.as_ref().map(ToString::to_string),
            "object": to_display_json(&it.value),
        })
    };
    found.iter().map(object).collect()
}

fn as_table(found: &[Found]) -> String {
    if found.is_empty() {
        return "Nothing was found.\n".into();
    }
    let rows = found.iter().map(|it| {
        let address = it.recorded.as_ref().map(ToString::to_string);
        let state = address.unwrap_or_else(|| "not in the state".into());
        [it.id.clone(), it.name.clone(), state]
    });
    let titles = ["id", "name", "here"].map(str::to_owned);
    let rows: Vec<[String; 3]> = std::iter::once(titles).chain(rows).collect();
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let (ids, names) = (width(0), width(1));
    let line = |row: &[String; 3]| format!("{:ids$}  {:names$}  {}\n", row[0], row[1], row[2]);
    rows.iter().map(line).collect()
}

/// Writes `import` and `resource` blocks for what the state does not have.
async fn write(
    stack: &Stack,
    snapshot: &Snapshot,
    services: &Services,
    resource_type: &str,
    found: &[Found],
    path: &Path,
) -> Result<(), Vec<Diagnostic>> {
    let world = stack.world();
    let mut ids = BTreeMap::new();
    let mut requests = Vec::new();
    let mut left = Vec::new();
    let mut names = BTreeSet::new();
    for it in found.iter().filter(|it| it.recorded.is_none()) {
        let name = free_name(it, |name| {
            let address = Address::managed(resource_type, name);
            world.block_of(&address).is_none() && !names.contains(name)
        });
        let address = Address::managed(resource_type, &name);
        names.insert(name);
        match generate::request(stack, snapshot, services, &address, &it.id) {
            Ok(request) => {
                requests.push(request);
                ids.insert(address, it.id.clone());
            }
            Err(why) => left.push(format!("`{}` ({}): {why}", it.id, it.name)),
        }
    }
    let (mut text, mut secrets) = (String::new(), String::new());
    let mut written = 0;
    for (address, made) in generate::blocks(stack, services, requests, &mut secrets).await {
        let id = &ids[&address];
        match made {
            Ok(block) => {
                let id = quoted(id);
                text.push_str(&format!(
                    "\nimport {{\n  to = {address}\n  id = {id}\n}}\n{block}"
                ));
                written += 1;
            }
            Err(why) => {
                let why = match &why.cause {
                    Some(cause) => cause,
                    None if why.detail.is_empty() => &why.summary,
                    None => &why.detail,
                };
                left.push(format!("`{id}`: {why}"));
            }
        }
    }
    if written > 0 {
        generate::write(path, &format!("{text}{secrets}")).map_err(one)?;
        say(&format!(
            "Written to `{}`: blocks for {written} of {} objects. Read them, look at `dmp plan`, then apply; after that the `import` blocks can go.\n",
            path.display(),
            found.len()
        ));
    } else {
        say(
            "Nothing is written: the state has everything that was found, or no block can be made for it.\n",
        );
    }
    for line in left {
        say(&format!("  left out {line}\n"));
    }
    Ok(())
}

/// A name for a block that nobody has: the object's as far as it can be one, else with its id.
fn free_name(it: &Found, is_free: impl Fn(&str) -> bool) -> String {
    let as_name = |text: &str| {
        let safe = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        };
        let text: String = text.chars().map(safe).collect();
        match is_name(&text) {
            true => text,
            false => format!("_{text}"),
        }
    };
    let plain = as_name(&it.name);
    if !it.name.is_empty() && is_free(&plain) {
        return plain;
    }
    let with_id = as_name(&format!("{}_{}", it.name, it.id));
    let numbered = (2..).map(|number| format!("{with_id}_{number}"));
    let mut names = std::iter::once(with_id.clone()).chain(numbered);
    names.find(|name| is_free(name)).unwrap_or(with_id)
}

/// The name of what `--where` says, in messages.
const CONDITION: &str = "<where>";
