//! `dmp graph`: the configuration's blocks and what they need, for a program that draws graphs, a page, or a script.

use std::fmt::Write;
use std::path::Path;

use dmp_graph::ConfigGraph;
use serde_json::json;

use super::{fail_broken, print};
use crate::arguments::{Graph, GraphFormat};
use crate::stack::Stack;
use crate::{Context, Exit};

pub(crate) fn run(context: &Context, directory: &Path, arguments: &Graph) -> Exit {
    let stack = match Stack::open(context, directory, None) {
        Ok(stack) => stack,
        Err(broken) => return fail_broken(context, &broken),
    };
    print(&match arguments.format {
        GraphFormat::Dot => dot(&stack.graph),
        GraphFormat::Mermaid => mermaid(&stack.graph),
        GraphFormat::Json => json(&stack.graph),
    });
    Exit::Success
}

/// Each block, and each of its needs.
fn edges(graph: &ConfigGraph) -> impl Iterator<Item = (usize, String, &[usize])> {
    let nodes = graph.nodes.iter().zip(&graph.needs).enumerate();
    nodes.map(|(position, (node, needs))| (position, node.to_string(), needs.as_slice()))
}

fn dot(graph: &ConfigGraph) -> String {
    let mut text = String::from("digraph dmp {\n  rankdir = \"RL\";\n  node [shape = rect];\n");
    for (_, name, needs) in edges(graph) {
        let _ = writeln!(text, "  {name:?};");
        for needed in needs {
            let needed = graph.nodes[*needed].to_string();
            let _ = writeln!(text, "  {name:?} -> {needed:?};");
        }
    }
    text.push_str("}\n");
    text
}

/// Its names have signs that mean something in Mermaid: nodes go by number and bear their name as a text.
fn mermaid(graph: &ConfigGraph) -> String {
    let mut text = String::from("flowchart RL\n");
    for (position, name, needs) in edges(graph) {
        let name = name.replace('"', "#quot;");
        let _ = writeln!(text, "  n{position}[\"{name}\"]");
        for needed in needs {
            let _ = writeln!(text, "  n{position} --> n{needed}");
        }
    }
    text
}

fn json(graph: &ConfigGraph) -> String {
    let blocks: Vec<_> = edges(graph)
        .map(|(_, name, needs)| {
            let needs = needs.iter().map(|needed| graph.nodes[*needed].to_string());
            json!({ "block": name, "needs": needs.collect::<Vec<_>>() })
        })
        .collect();
    format!("{}\n", json!({ "blocks": blocks }))
}
