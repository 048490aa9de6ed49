//! `dmp state import`: `import` blocks for what a state of Terraform or OpenTofu has.
//!
//! The file is only read, and nothing is asked outside. Values of it are never shown but the ids, and no id is made of a
//! secret.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use dmp_lang::check::Schemas;
use dmp_lang::is_name;
use dmp_plan::Registry;
use dmp_sdk::{Address, Counterpart, Diagnostic, Key, Mode, ModulePath};
use serde_json::Value as Json;

use super::generate::{quoted, without_templates};
use super::{print, say};

/// Reads the file, and prints or writes the blocks.
pub(super) fn run(
    registry: &Registry,
    directory: &Path,
    file: &Path,
    out: Option<&Path>,
) -> Result<(), Diagnostic> {
    let path = directory.join(file);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| cannot(&format!("`{}`: {error}", path.display())))?;
    let (blocks, account) = import_blocks(&text, registry)?;
    match out {
        None => print(&blocks),
        Some(out) => {
            let path = directory.join(out);
            let failed = |error: std::io::Error| {
                Diagnostic::error("import-file", "cannot write the `import` blocks")
                    .cause(format!("`{}`: {error}", path.display()))
            };
            // What somebody has written there is not written over.
            let mut file = std::fs::File::create_new(&path).map_err(failed)?;
            file.write_all(blocks.as_bytes()).map_err(failed)?;
        }
    }
    say(&account);
    Ok(())
}

/// The `import` blocks for what a state of Terraform or OpenTofu has, as HCL, and what is to be said of the rest.
///
/// # Errors
/// When the text is no such state.
pub fn import_blocks(text: &str, registry: &Registry) -> Result<(String, String), Diagnostic> {
    let found = Found::of(&parse(text)?, &Counterparts::of(registry))?;
    Ok((found.blocks(), found.account()))
}

fn cannot(why: &str) -> Diagnostic {
    Diagnostic::error(
        "foreign-state",
        "cannot read the state of Terraform or OpenTofu",
    )
    .cause(why)
}

/// Messages of the parser quote nothing of the text but its place.
fn parse(text: &str) -> Result<Json, Diagnostic> {
    let json: Json = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        cannot(&format!("it is no JSON (line {line}, column {column})"))
    })?;
    if json.get("encrypted_data").is_some() {
        return Err(
            cannot("it is encrypted").help("print it with `tofu state pull`, and read that")
        );
    }
    match json["version"].as_u64() {
        Some(4) => Ok(json),
        Some(version) => Err(cannot(&format!(
            "it has version {version}, only version 4 is known"
        ))
        .help("let a newer Terraform or OpenTofu write it")),
        None => Err(cannot("it has no `version`: this is no state")),
    }
}

/// Which resource types here import which there.
struct Counterparts<'a>(BTreeMap<&'static str, (&'a str, Counterpart)>);

impl<'a> Counterparts<'a> {
    fn of(registry: &'a Registry) -> Self {
        let mut all = BTreeMap::new();
        for name in registry.resource_types(Mode::Managed) {
            let schema = registry.schema(Mode::Managed, name);
            for counterpart in schema.iter().flat_map(|schema| &schema.counterparts) {
                all.insert(counterpart.name, (name, *counterpart));
            }
        }
        Self(all)
    }
}

/// What the file has.
#[derive(Default)]
struct Found {
    imports: Vec<(Address, String)>,
    /// Addresses there, with the reason why there is no block for them.
    left: Vec<(String, String)>,
    data: usize,
}

impl Found {
    fn of(state: &Json, counterparts: &Counterparts<'_>) -> Result<Self, Diagnostic> {
        let mut found = Self::default();
        let resources = state["resources"]
            .as_array()
            .ok_or_else(|| cannot("it has no list of `resources`"))?;
        let mut names = Names::default();
        for resource in resources {
            let text = |name: &str| resource[name].as_str().unwrap_or_default();
            if text("mode") == "data" {
                found.data += 1;
                continue;
            }
            let there = match text("module") {
                "" => format!("{}.{}", text("type"), text("name")),
                module => format!("{module}.{}.{}", text("type"), text("name")),
            };
            let instances = resource["instances"].as_array();
            for instance in instances.into_iter().flatten() {
                let index = &instance["index_key"];
                let Some(key) = key(index) else {
                    let why = "its key is neither a number from 0 on nor a text";
                    found.left.push((format!("{there}[{index}]"), why.into()));
                    continue;
                };
                let at = key
                    .iter()
                    .fold(there.clone(), |at, key| format!("{at}{key}"));
                match found.take(resource, instance, key, counterparts, &mut names) {
                    Ok(import) => found.imports.push(import),
                    Err(why) => found.left.push((at, why)),
                }
            }
        }
        Ok(found)
    }

    fn take(
        &self,
        resource: &Json,
        instance: &Json,
        key: Option<Key>,
        counterparts: &Counterparts<'_>,
        names: &mut Names,
    ) -> Result<(Address, String), String> {
        let there = resource["type"].as_str().unwrap_or_default();
        if instance.get("deposed").is_some_and(Json::is_string) {
            return Err("it was replaced there and is not deleted yet".into());
        }
        let Some((name, counterpart)) = counterparts.0.get(there) else {
            return Err(match SECRETS.contains(&there) {
                true => "its value is a secret, and the id of an `import` block is not: give the value by a variable \
                         that is `sensitive`"
                    .into(),
                false => format!("dmp has no counterpart of `{there}` that can be imported"),
            });
        };
        let module = resource["module"].as_str().unwrap_or_default();
        let module = module_path(module).ok_or("its module's address can't be understood")?;
        let secrets: Vec<&str> = instance["sensitive_attributes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|path| path[0]["value"].as_str())
            .collect();
        let id = counterpart
            .id(&instance["attributes"], &secrets)
            .ok_or("what its id is made of is not recorded, is a secret, or is a relative path")?;
        let block = resource["name"].as_str().unwrap_or_default();
        if !is_name(block) {
            return Err("its name can't be that of a block".into());
        }
        let address = Address {
            name: names.of(&module, name, block, there),
            module,
            key,
            ..Address::managed(name, block)
        };
        let taken = self.imports.iter().any(|(other, _)| *other == address);
        match taken {
            true => Err(format!("`{address}` stands for another one already")),
            false => Ok((address, id)),
        }
    }

    fn blocks(&self) -> String {
        let mut text = String::new();
        for (address, id) in &self.imports {
            let address = without_templates(&address.to_string());
            let id = quoted(id);
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&format!("import {{\n  to = {address}\n  id = {id}\n}}\n"));
        }
        text
    }

    fn account(&self) -> String {
        let objects = match self.imports.len() {
            1 => "1 object".to_owned(),
            count => format!("{count} objects"),
        };
        let mut text = format!(
            "`import` blocks for {objects}. Describe each with a `resource` block, look at `dmp plan`, then apply.\n"
        );
        for (address, why) in &self.left {
            text.push_str(&format!("  {address}: {why}\n"));
        }
        match self.data {
            0 => {}
            1 => text.push_str("  1 data source is read anew and needs no `import`.\n"),
            count => text.push_str(&format!(
                "  {count} data sources are read anew and need no `import`.\n"
            )),
        }
        text
    }
}

/// Types there whose objects are nothing but a secret.
const SECRETS: [&str; 2] = ["random_password", "tls_private_key"];

/// Which block a name stands for: several types there can be one here, and then their names may clash.
#[derive(Default)]
struct Names(BTreeMap<(ModulePath, String), BTreeSet<(String, String)>>);

impl Names {
    fn of(&mut self, module: &ModulePath, name: &str, block: &str, there: &str) -> Arc<str> {
        // Instances of one block stand in several instances of a module.
        let plain = ModulePath(
            module
                .0
                .iter()
                .map(|(step, _)| (step.clone(), None))
                .collect(),
        );
        let taken = self
            .0
            .entry((plain, format!("{name}.{block}")))
            .or_default();
        let is_other = taken.iter().any(|(_, other)| other != there);
        taken.insert((block.to_owned(), there.to_owned()));
        match is_other {
            false => block.into(),
            true => {
                let kind = there.split_once('_').map_or(there, |(_, kind)| kind);
                format!("{block}_{kind}").into()
            }
        }
    }
}

/// The key of an instance, without one where its block has no `count` and no `for_each`. `None` if there can be no such key.
fn key(index: &Json) -> Option<Option<Key>> {
    match index {
        Json::Null => Some(None),
        Json::Number(number) => Some(Some(Key::Index(number.as_u64()?))),
        Json::String(name) => Some(Some(Key::Name(name.as_str().into()))),
        _ => None,
    }
}

/// The path of a module as it is written there.
fn module_path(text: &str) -> Option<ModulePath> {
    if text.is_empty() {
        return Some(ModulePath::root());
    }
    let address: Address = format!("{text}.a.b").parse().ok()?;
    let module = address.module;
    module
        .0
        .iter()
        .all(|(name, _)| is_name(name))
        .then_some(module)
}
