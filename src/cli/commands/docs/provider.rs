//! A page for a provider: its configuration, its resource types, its data sources.

use std::fmt::Write;
use std::sync::Arc;

use dmp_sdk::{Attribute, HoldsData, Machine, MarkWay, Presence, Provider, Schema, Type};

use super::cell;

/// Renders the page.
pub(super) fn page(provider: &dyn Provider) -> String {
    let schema = provider.schema();
    let mut text = format!("# Provider `{}`\n\n{}\n", provider.name(), schema.doc);
    if !schema.attributes.is_empty() {
        text.push_str("\n## Configuration\n");
        arguments(&mut text, schema);
    }
    for resource in provider.resources() {
        let schema = resource.schema();
        let _ = write!(text, "\n## `{}`\n\n{}\n\n", schema.name, schema.doc);
        facts(&mut text, schema);
        arguments(&mut text, schema);
        attributes(&mut text, schema);
    }
    for source in provider.data_sources() {
        let schema = source.schema();
        let _ = write!(
            text,
            "\n## `{}` (data source)\n\n{}\n",
            schema.name, schema.doc
        );
        arguments(&mut text, schema);
        attributes(&mut text, schema);
    }
    text
}

/// What a person has to know of a type beside its attributes.
fn facts(text: &mut String, schema: &Schema) {
    let _ = writeln!(text, "- Layer: {}.", schema.layer);
    let _ = writeln!(
        text,
        "- Found again after an interruption by {}.",
        mark(&schema.mark)
    );
    if !schema.on_delete.is_empty() {
        let _ = writeln!(text, "- Delete: {}", schema.on_delete);
    }
    if !schema.counterparts.is_empty() {
        let names: Vec<String> = schema
            .counterparts
            .iter()
            .map(|counterpart| format!("`{}`", counterpart.name))
            .collect();
        let _ = writeln!(
            text,
            "- `dmp state import` takes it for {}.",
            names.join(", ")
        );
    }
    if schema.listed_by.is_some() {
        let _ = writeln!(
            text,
            "- `dmp query {}` lists what is there, and writes blocks to take it over.",
            schema.name
        );
    }
    if schema.ends_hosted {
        text.push_str("- What lives on it ends with it.\n");
    }
    match schema.holds_data {
        HoldsData::None => {}
        HoldsData::Derived => text.push_str("- It holds data that can be made again.\n"),
        HoldsData::Primary => {
            text.push_str("- It holds data that nobody can make again without a copy.\n");
        }
    }
}

fn mark(mark: &MarkWay) -> String {
    match mark {
        MarkWay::Field(field) => format!("a mark in its `{field}`"),
        MarkWay::ChosenName(name) => format!("a `{name}` that dmp chooses"),
        MarkWay::Record => "nothing: it is in the state alone".into(),
        MarkWay::NaturalKey([]) => "what it is".into(),
        MarkWay::NaturalKey(keys) => format!("`{}`", keys.join("`, `")),
        MarkWay::IdBefore { id, second } => {
            format!("`{id}`, chosen before it is made, where `{second}` agrees")
        }
    }
}

fn arguments(text: &mut String, schema: &Schema) {
    let settable = |(_, attribute): &(&Arc<str>, &Attribute)| attribute.is_settable();
    let all: Vec<_> = schema.attributes.iter().filter(settable).collect();
    let (required, optional): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|(_, attribute)| attribute.presence == Presence::Required);
    if required.is_empty() && optional.is_empty() {
        return;
    }
    text.push_str("\n| argument | type | default | what it is |\n| --- | --- | --- | --- |\n");
    for (name, attribute) in required.into_iter().chain(optional) {
        let default = match &attribute.presence {
            Presence::Required => "**required**".into(),
            Presence::OptionalComputed => "filled in".into(),
            Presence::Optional(Some(value)) => {
                format!("`{}`", cell(&dmp_report::render_value(value, 0)))
            }
            Presence::Optional(None) | Presence::Computed => String::new(),
        };
        let _ = writeln!(
            text,
            "| `{name}` | {} | {default} | {} |",
            type_name(&attribute.ty),
            described(attribute)
        );
    }
}

fn attributes(text: &mut String, schema: &Schema) {
    let computed = |(_, attribute): &(&Arc<str>, &Attribute)| !attribute.is_settable();
    let computed: Vec<_> = schema.attributes.iter().filter(computed).collect();
    if computed.is_empty() {
        return;
    }
    text.push_str("\n| attribute | type | what it is |\n| --- | --- | --- |\n");
    for (name, attribute) in computed {
        let _ = writeln!(
            text,
            "| `{name}` | {} | {} |",
            type_name(&attribute.ty),
            described(attribute)
        );
    }
}

/// A type as one word where it has one.
fn type_name(ty: &Type) -> String {
    if *ty == Machine::value_type() {
        return "connection".into();
    }
    format!("`{}`", cell(&ty.to_string()))
}

fn described(attribute: &Attribute) -> String {
    let mut text = cell(attribute.doc);
    if attribute.block {
        text.push_str(" May be written as blocks.");
    }
    if attribute.sensitive {
        text.push_str(" *Sensitive.*");
    }
    if attribute.ephemeral {
        text.push_str(" *In no state and no plan file.*");
    }
    if attribute.replaces {
        text.push_str(" *A change replaces the object.*");
    }
    if let Some(quantifier) = attribute.hosting {
        let _ = write!(
            text,
            " *The object lives on {quantifier} of what this comes from.*"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use dmp_sdk::{Layer, Quantifier};

    use super::*;

    #[test]
    fn required_arguments_come_first_and_computed_ones_apart() {
        let schema = Schema::new("a_b", "A thing.")
            .layer(Layer::Machine)
            .attribute(
                "alpha",
                Attribute::default(Type::Number, "A number | more.", 22),
            )
            .attribute(
                "host",
                Attribute::required(Machine::value_type(), "The machine.")
                    .hosting(Quantifier::All)
                    .replaces(),
            )
            .attribute(
                "key",
                Attribute::computed(Type::String, "A key.").sensitive(),
            );
        let mut text = String::new();
        arguments(&mut text, &schema);
        attributes(&mut text, &schema);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        assert_eq!(
            lines,
            [
                "| `host` | connection | **required** | The machine. *A change replaces the object.* *The object lives on all of what this comes from.* |",
                "| `alpha` | `number` | `22` | A number \\| more. |",
                "| `key` | `string` | A key. *Sensitive.* |",
            ]
        );
    }
}
