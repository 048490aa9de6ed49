//! Targets that take a text: whole stacks, expressions, layouts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use dmp_graph::ConfigGraph;
use dmp_lang::{
    Bindings, Sources, check, evaluate as value_of, format_file, function_names, load_stack,
    parse_expression,
};
use dmp_plan::planner::{Configure, PlannerInput};
use dmp_plan::selection::{Part, Selection};
use dmp_plan::{Finding, Planner, Registry, Surroundings, World};
use dmp_sdk::{Address, Diagnostic, Marks, OnMachines, Type, Value};
use dmp_state::Snapshot;
use tempfile::TempDir;

use crate::corpus::contents;

/// A file of a stack, from its text to the plan that a person reads. Whatever is wrong with it must be said, and it must be
/// possible to show what is said.
pub(crate) fn parse(bytes: &[u8]) {
    thread_local! {
        static FOLDER: TempDir = TempDir::new().expect("a folder");
    }
    FOLDER.with(|folder| {
        fs::write(folder.path().join("main.hcl"), bytes).expect("a file");
        stack(folder.path());
    });
}

fn stack(folder: &Path) {
    static REGISTRY: OnceLock<Arc<Registry>> = OnceLock::new();
    let registry = REGISTRY.get_or_init(|| {
        let core = dmp_provider_core::CoreProvider::new();
        Arc::new(Registry::new(vec![Arc::new(core)]))
    });
    let (configuration, sources, mut diagnostics) = load_stack(folder);
    if !diagnostics.iter().any(Diagnostic::is_error) {
        diagnostics.extend(check(&configuration, registry.as_ref()));
    }
    let graph = ConfigGraph::build(&configuration, &|mode, name| {
        registry.provider_of(mode, name)
    });
    let graph = match graph {
        Ok(graph) => Some(graph),
        Err(cycles) => {
            diagnostics.extend(cycles);
            None
        }
    };
    show(&diagnostics, &sources);
    let (Some(graph), false) = (graph, diagnostics.iter().any(Diagnostic::is_error)) else {
        return;
    };
    let surroundings = Surroundings {
        directory: folder.to_owned(),
        cwd: folder.to_owned(),
        name: "stack".into(),
        planned_at: None,
    };
    // A variable is whatever its default says, or not known.
    let inputs = configuration.root().variables.values().map(|variable| {
        let unknown = || Value::unknown(variable.ty.clone());
        (
            variable.name.text.clone(),
            variable.default.clone().unwrap_or_else(unknown),
        )
    });
    let inputs: BTreeMap<_, _> = inputs.collect();
    let world = World::new(
        Arc::new(configuration),
        Arc::new(graph),
        Arc::clone(registry),
        surroundings,
        inputs,
    );
    let configure: Configure = Arc::new(|_, _| Ok(Arc::new(OnMachines)));
    let mut planner = Planner::new(PlannerInput {
        part: Part::of(&world, Selection::default(), false),
        world,
        snapshot: Arc::new(Snapshot::default()),
        findings: dmp_plan::Findings::default(),
        configure,
        is_destroy: false,
        lost: BTreeSet::new(),
        tolerates_lost: true,
        moves: Vec::new(),
    });
    loop {
        let wanted = planner.advance();
        if wanted.is_empty() {
            break;
        }
        let addresses: Vec<Address> = wanted.into_iter().map(|request| request.address).collect();
        for address in addresses {
            planner.answer(
                &address,
                Finding::NotConfigured("nothing is read here".into()),
            );
        }
    }
    let (plan, _, _) = planner.finish();
    show(&plan.diagnostics, &sources);
    let _ = dmp_report::render_plan(&plan, dmp_report::Style::Plain);
}

fn show(diagnostics: &[Diagnostic], sources: &Sources) {
    for diagnostic in diagnostics {
        let _ = dmp_report::diagnostic_json(diagnostic, sources);
        let _ = dmp_report::render_diagnostic(diagnostic, sources, dmp_report::Style::Plain);
    }
}

/// An expression, with known, unknown and sensitive values to refer to.
pub(crate) fn evaluate(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut sources = Sources::new();
    sources.add("text", text);
    let scope = Bindings::new()
        .with_variable("s", "text".into())
        .with_variable("n", Value::from(3))
        .with_variable("l", Value::list(vec!["a".into(), "b".into()]))
        .with_variable(
            "o",
            Value::object_of([("k", Value::tuple(vec![Value::null(), true.into()]))]),
        )
        .with_variable("u", Value::unknown(Type::Any))
        .with_variable("us", Value::unknown(Type::String))
        .with_variable("ul", Value::unknown(Type::list(Type::Number)))
        .with_variable("p", Value::from("hunter2").marked(&Marks::sensitive()));
    let outcome = parse_expression(text, "text").and_then(|expr| value_of(&expr, &scope));
    match outcome {
        Ok(value) => {
            let _ = dmp_report::render_value(&value, 0);
            let _ = dmp_sdk::codec::to_display_json(&value);
        }
        Err(diagnostics) => show(&diagnostics, &sources),
    }
}

/// The layout of a file: a second run changes nothing.
pub(crate) fn format(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(once) = format_file(text, "text") else {
        return;
    };
    let again = format_file(&once, "text");
    let again =
        again.unwrap_or_else(|wrong| panic!("laid out, it can't be parsed: {wrong:?}\n{once}"));
    assert!(
        once == again,
        "a second run changes it:\n{once}\n---\n{again}"
    );
}

/// Stacks and files that the project has for other ends.
pub(crate) fn files() -> Vec<Vec<u8>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a folder");
    let top = tests.parent().expect("a folder");
    let mut found = Vec::new();
    for folder in [
        "testkit/format/given",
        "testkit/format/dmp",
        "testkit/format/opentofu",
    ] {
        found.extend(contents(&tests.join(folder)));
    }
    let examples = fs::read_dir(top.join("examples"))
        .into_iter()
        .flatten()
        .flatten();
    for example in examples {
        let paths = fs::read_dir(example.path()).into_iter().flatten().flatten();
        let is_hcl = |path: &Path| path.extension().is_some_and(|extension| extension == "hcl");
        let paths = paths.map(|entry| entry.path()).filter(|path| is_hcl(path));
        found.extend(paths.filter_map(|path| fs::read(path).ok()));
    }
    found
}

/// The expressions that are held against OpenTofu, and the names of all functions.
pub(crate) fn expressions() -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/language/expressions.txt");
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.map(|line| line.replace('↵', "\n").into_bytes());
    let calls = function_names()
        .into_iter()
        .map(|name| format!("{name}(var.u, var.ul)").into_bytes());
    lines.chain(calls).collect()
}
