//! `dmp graph`: the configuration's blocks and what they need, in the DOT language.

use std::fmt::Write;
use std::path::Path;

use super::{fail_broken, print};
use crate::stack::Stack;
use crate::{Context, Exit};

pub(crate) fn run(context: &Context, directory: &Path) -> Exit {
    let stack = match Stack::open(context, directory, None) {
        Ok(stack) => stack,
        Err(broken) => return fail_broken(context, &broken),
    };
    let mut text = String::from("digraph dmp {\n  rankdir = \"RL\";\n  node [shape = rect];\n");
    let graph = &stack.graph;
    for (node, needs) in graph.nodes.iter().zip(&graph.needs) {
        let name = node.to_string();
        let _ = writeln!(text, "  {name:?};");
        for needed in needs {
            let _ = writeln!(
                text,
                "  {name:?} -> {:?};",
                graph.nodes[*needed].to_string()
            );
        }
    }
    text.push_str("}\n");
    print(&text);
    Exit::Success
}
