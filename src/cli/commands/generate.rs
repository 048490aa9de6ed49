//! `dmp plan --generate-config-out`: `resource` blocks for what `import` blocks name and nothing describes.
//!
//! The objects are read by their ids, and only read. What is secret of them never gets into the file: a variable stands
//! for it.

use std::io::Write;
use std::path::Path;

use dmp_lang::config::ProviderKey;
use dmp_plan::instance::conform;
use dmp_plan::planner::import_request;
use dmp_plan::world::ProviderAt;
use dmp_plan::{Finding, ReadRequest};
use dmp_refresh::provider_of_record;
use dmp_sdk::address::Quoted;
use dmp_sdk::{
    Address, Attribute, Diagnostic, Kind, MarkWay, Members, Mode, ModulePath, Presence, Schema,
    Value,
};
use dmp_state::Snapshot;

use super::say;
use crate::stack::Stack;
use dmp_apply::Services;

/// Writes the blocks. Nothing is written if nothing is missing.
///
/// # Errors
/// When one can't be made, and nothing is written.
pub(super) async fn generate(
    stack: &Stack,
    snapshot: &Snapshot,
    services: &Services,
    out: &Path,
) -> Result<(), Vec<Diagnostic>> {
    let path = stack.directory.join(out);
    let world = stack.world();
    let mut requests = Vec::new();
    let mut wrong = Vec::new();
    let (adoptions, unknown) = dmp_plan::imports::expand(&world);
    wrong.extend(unknown);
    for adoption in &adoptions {
        let (address, import) = (&adoption.to, &adoption.import);
        if world.block_of(address).is_some() || snapshot.instances.contains_key(address) {
            continue;
        }
        let refused = |why: String| cannot(address, &why).at(import.span.clone());
        if !address.module.is_root() || address.key.is_some() {
            wrong.push(refused(
                "only a block in the stack itself, without `count` and `for_each`, can be generated"
                    .into(),
            ));
            continue;
        }
        let id = match world.evaluate(&import.id, &adoption.place) {
            Ok(id) if !id.deep_marks().is_sensitive() => id,
            Ok(_) => {
                wrong.push(refused("its id is secret".into()));
                continue;
            }
            Err(diagnostics) => {
                wrong.extend(diagnostics);
                continue;
            }
        };
        let Some(id) = id.as_str() else {
            wrong.push(refused("its id is no text that is known".into()));
            continue;
        };
        match request(stack, snapshot, services, address, id) {
            Ok(request) => requests.push(request),
            Err(why) => wrong.push(refused(why)),
        }
    }
    if requests.is_empty() && wrong.is_empty() {
        return Ok(());
    }
    let mut text = String::new();
    let mut secrets = String::new();
    let mut written = Vec::new();
    for (address, made) in blocks(stack, services, requests, &mut secrets).await {
        match made {
            Ok(block) => {
                text.push_str(&block);
                written.push(address.to_string());
            }
            Err(diagnostic) => wrong.push(*diagnostic),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    write(&path, &format!("{text}{secrets}")).map_err(|diagnostic| vec![diagnostic])?;
    say(&format!(
        "Written to `{}`: {}.\n",
        path.display(),
        written.join(", ")
    ));
    Ok(())
}

/// A block for each object that is asked for, or why there is none. What is secret of them becomes a variable in
/// `secrets`.
pub(super) async fn blocks(
    stack: &Stack,
    services: &Services,
    requests: Vec<ReadRequest>,
    secrets: &mut String,
) -> Vec<(Address, Result<String, Box<Diagnostic>>)> {
    let world = stack.world();
    let mut made = Vec::new();
    for (address, finding) in services.reader.read(requests).await {
        let block = match finding {
            Finding::Found(object) | Finding::HalfMade(object, _) => world
                .schema_of(&address)
                .ok_or_else(|| "its type is not known".to_owned())
                .and_then(|schema| {
                    let value = conform(schema, &object.attributes);
                    block(&address, schema, &value, secrets)
                }),
            Finding::Absent => Err("there is nothing with this id".into()),
            Finding::Unreachable(why) | Finding::NotConfigured(why) => Err(why),
            Finding::Failed(diagnostic) => {
                let failed = Err(Box::new(diagnostic.address(&address)));
                made.push((address, failed));
                continue;
            }
            Finding::Data(_) | Finding::Candidates(_) => Err("it can't be read by an id".into()),
        };
        let block = block.map_err(|why| Box::new(cannot(&address, &why)));
        made.push((address, block));
    }
    made
}

/// Writes what was generated into a new file.
///
/// # Errors
/// When it is no HCL, or the file is there already or can't be written.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Diagnostic> {
    let text = dmp_lang::format_file(text, &path.display().to_string()).map_err(|found| {
        let mut found = found.into_iter();
        let why = found.next().map_or_else(String::new, |one| one.to_string());
        Diagnostic::bug(format!("what was generated is no HCL: {why}"))
    })?;
    let failed = |error: std::io::Error| {
        Diagnostic::error("generated-file", "cannot write what was generated")
            .cause(format!("`{}`: {error}", path.display()))
    };
    // What somebody has written there is not written over.
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

fn cannot(address: &Address, why: &str) -> Diagnostic {
    Diagnostic::error("not-generated", "cannot generate a block")
        .address(address)
        .detail(why)
        .help("write the `resource` block by hand")
}

/// Asks for an object by its id, and by nothing that a configuration would say.
pub(super) fn request(
    stack: &Stack,
    snapshot: &Snapshot,
    services: &Services,
    address: &Address,
    id: &str,
) -> Result<ReadRequest, String> {
    let world = stack.world();
    let name = &address.resource_type;
    let resource = world.registry.resource(name);
    let resource = resource.ok_or_else(|| format!("no provider here offers `{name}`"))?;
    let schema = resource.schema();
    let mut config = Value::object(Members::new());
    if let MarkWay::NaturalKey(keys) = schema.mark {
        let hosted = |key: &&&str| {
            let attribute = schema.attributes.get(**key);
            attribute.is_some_and(|attribute| attribute.hosting.is_some())
        };
        if let Some(key) = keys.iter().find(hosted) {
            return Err(format!("`{key}` says where it is, and the id does not"));
        }
        if let Some(key) = keys.first() {
            config = config.with(key, id.into());
        }
    }
    let provider = default_provider(stack, name);
    let configured = provider_of_record(&world, snapshot, &provider, &services.configure)?;
    import_request(resource, address, &config, id, &configured, &provider)
        .map_err(|diagnostic| diagnostic.to_string())
}

/// The provider configuration that a resource type has where a block names none.
pub(super) fn default_provider(stack: &Stack, resource_type: &str) -> String {
    let world = stack.world();
    let provider = world.registry.provider_of(Mode::Managed, resource_type);
    let key = ProviderKey {
        name: provider.unwrap_or_default(),
        alias: None,
    };
    let at = ProviderAt {
        module: ModulePath::root(),
        key,
        instance: None,
    };
    at.to_string()
}

/// A block with what is set of an object: without defaults, and without what only the server fills.
fn block(
    address: &Address,
    schema: &Schema,
    value: &Value,
    secrets: &mut String,
) -> Result<String, String> {
    let mut text = format!(
        "\n# Generated from the object that is imported: read it before you keep it.\nresource \"{}\" \"{}\" {{\n",
        address.resource_type, address.name
    );
    for (name, attribute) in &schema.attributes {
        let found = value.get(name);
        let is_required = attribute.presence == Presence::Required;
        if !attribute.is_settable() || (!is_required && is_default(attribute, &found)) {
            continue;
        }
        if attribute.sensitive || found.deep_marks().is_sensitive() {
            let variable = format!("{}_{name}", address.name);
            text.push_str(&format!(
                "  # A secret: it is asked for as an input variable.\n  {name} = var.{variable}\n"
            ));
            secrets.push_str(&format!(
                "\nvariable \"{variable}\" {{\n  type = {}\n  sensitive = true\n}}\n",
                attribute.ty
            ));
            continue;
        }
        if found.is_null() || !found.is_wholly_known() {
            return Err(format!("nothing tells its `{name}`, which must be set"));
        }
        text.push_str(&format!("  {name} = {}\n", literal(&found)));
    }
    text.push_str("}\n");
    Ok(text)
}

fn is_default(attribute: &Attribute, found: &Value) -> bool {
    match &attribute.presence {
        _ if found.is_null() || !found.is_wholly_known() => true,
        Presence::Optional(Some(default)) => default == found,
        _ => false,
    }
}

/// A wholly known value as an expression.
fn literal(value: &Value) -> String {
    match value.kind() {
        Kind::Null | Kind::Unknown(_) => "null".into(),
        Kind::Bool(value) => value.to_string(),
        Kind::Number(number) => number.to_string(),
        Kind::String(text) => quoted(text),
        Kind::List(items) | Kind::Set(items) | Kind::Tuple(items) => {
            let items: Vec<String> = items.iter().map(literal).collect();
            format!("[{}]", items.join(", "))
        }
        Kind::Map(members) | Kind::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, member)| format!("{} = {}\n", quoted(name), literal(member)))
                .collect();
            format!("{{\n{}}}", members.concat())
        }
    }
}

/// A text in quotes, in which nothing is evaluated.
pub(super) fn quoted(text: &str) -> String {
    without_templates(&Quoted(text).to_string())
}

/// The same text, in which nothing is evaluated.
pub(super) fn without_templates(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}
