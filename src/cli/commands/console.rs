//! `dmp console`: expressions with the values of the state, or without a stack. Nothing outside is looked at.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use dmp_lang::{DiskFiles, Expr, Files, Reference, Scope, Sources, unknown_reference};
use dmp_plan::planner::Configure;
use dmp_plan::selection::{Part, Selection};
use dmp_plan::world::Place;
use dmp_plan::{Finding, Planner, PlannerInput, Registry};
use dmp_sdk::codec::to_display_json;
use dmp_sdk::{Diagnostic, ModulePath, OnMachines, ProviderFunction, Value};
use serde_json::json;
use time::OffsetDateTime;

use super::{fail, fail_broken, print, print_raw};
use crate::arguments::Console;
use crate::stack::{Broken, Stack, open_state};
use crate::{Context, Exit};

pub(crate) async fn run(context: &Context, directory: &Path, arguments: &Console) -> Exit {
    let (evaluate, sources) = match Stack::open(context, directory, Some(&arguments.variables)) {
        Ok(stack) => match values(&stack, directory) {
            Ok(evaluate) => (evaluate, stack.sources),
            Err(diagnostic) => return fail(context, &stack.sources, &[diagnostic]),
        },
        Err(broken) if is_nothing(&broken) => {
            (without_stack(directory, &context.registry), Sources::new())
        }
        Err(broken) => return fail_broken(context, &broken),
    };
    let lines: Box<dyn Iterator<Item = String>> = match &arguments.eval {
        Some(text) => Box::new(std::iter::once(text.clone())),
        None => Box::new(std::io::stdin().lock().lines().map_while(Result::ok)),
    };
    let mut exit = Exit::Success;
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let outcome = dmp_lang::parse_expression(&line, NAME).and_then(|expr| evaluate(&expr));
        let sources = || {
            let mut sources = sources.clone();
            sources.add(NAME, line.as_str());
            sources
        };
        match outcome {
            Ok(value) if arguments.json => {
                let shown = json!({
                    "type": value.type_of().to_string(), "value": to_display_json(&value),
                });
                print_raw(&format!("{shown}\n"));
            }
            Ok(value) => print(&format!("{}\n", dmp_report::render_value(&value, 0))),
            Err(diagnostics) if arguments.json => {
                let sources = sources();
                let list: Vec<_> = diagnostics
                    .iter()
                    .map(|diagnostic| dmp_report::diagnostic_json(diagnostic, &sources))
                    .collect();
                print_raw(&format!("{}\n", json!({ "diagnostics": list })));
                exit = exit.max(Exit::of(&diagnostics));
            }
            Err(diagnostics) => exit = exit.max(fail(context, &sources(), &diagnostics)),
        }
    }
    exit
}

type Evaluate = Box<dyn Fn(&Expr) -> Result<Value, Vec<Diagnostic>>>;

/// What evaluates with the values of a stack.
fn values(stack: &Stack, directory: &Path) -> Result<Evaluate, Diagnostic> {
    let store = open_state(directory)?;
    // A plan in which nothing is read: recorded values stand for what is there.
    let configure: Configure = Arc::new(|_, _| Ok(Arc::new(OnMachines)));
    let input = PlannerInput {
        world: stack.world(),
        snapshot: Arc::new(store.snapshot().clone()),
        findings: dmp_plan::Findings::default(),
        configure,
        is_destroy: false,
        part: Part::of(&stack.world(), Selection::default(), false),
        lost: std::collections::BTreeSet::new(),
        tolerates_lost: true,
        moves: Vec::new(),
    };
    let mut planner = Planner::new(input);
    loop {
        let wanted = planner.advance();
        if wanted.is_empty() {
            break;
        }
        for request in wanted {
            planner.answer(
                &request.address,
                Finding::NotConfigured("nothing is read here".into()),
            );
        }
    }
    let (_, world, _) = planner.finish();
    let place = Place::in_module(&ModulePath::root());
    Ok(Box::new(move |expr| {
        let mut wrong =
            dmp_lang::check_expression(&world.configuration, world.registry.as_ref(), expr);
        wrong.retain(Diagnostic::is_error);
        match wrong.is_empty() {
            true => world.evaluate(expr, &place),
            false => Err(wrong),
        }
    }))
}

/// Whether the only thing wrong with a folder is that there is no stack in it.
fn is_nothing(broken: &Broken) -> bool {
    broken
        .diagnostics
        .iter()
        .all(|diagnostic| diagnostic.code == "no-files")
}

/// What evaluates where there is no stack: with the folder's files, and nothing to refer to.
fn without_stack(directory: &Path, registry: &Arc<Registry>) -> Evaluate {
    let scope = Nothing {
        files: DiskFiles::relative_to(directory),
        registry: Arc::clone(registry),
        began: OffsetDateTime::now_utc(),
    };
    Box::new(move |expr| dmp_lang::evaluate(expr, &scope))
}

/// A scope in which there is nothing to refer to.
struct Nothing {
    files: DiskFiles,
    registry: Arc<Registry>,
    began: OffsetDateTime,
}

impl Scope for Nothing {
    fn lookup(&self, reference: &Reference) -> Result<Value, Vec<Diagnostic>> {
        Err(vec![unknown_reference(reference)])
    }

    fn files(&self) -> &dyn Files {
        &self.files
    }

    fn provider_function(&self, provider: &str, name: &str) -> Option<ProviderFunction> {
        self.registry.function(provider, name)
    }

    fn planned_at(&self) -> Option<OffsetDateTime> {
        Some(self.began)
    }
}

/// The name of what was typed, in messages.
const NAME: &str = "<console>";
