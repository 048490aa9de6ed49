//! `dmp console`: expressions with the values of the state. Nothing outside is looked at.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use dmp_plan::planner::Configure;
use dmp_plan::selection::{Part, Selection};
use dmp_plan::world::Place;
use dmp_plan::{Finding, Planner, PlannerInput};
use dmp_sdk::{Diagnostic, ModulePath, OnMachines};

use super::{fail, fail_broken, print};
use crate::arguments::Console;
use crate::stack::{Stack, open_state};
use crate::{Context, Exit};

pub(crate) async fn run(context: &Context, directory: &Path, arguments: &Console) -> Exit {
    let stack = match Stack::open(context, directory, Some(&arguments.variables)) {
        Ok(stack) => stack,
        Err(broken) => return fail_broken(context, &broken),
    };
    let store = match open_state(directory) {
        Ok(store) => store,
        Err(diagnostic) => return fail(context, &stack.sources, &[diagnostic]),
    };
    // A plan in which nothing is read: recorded values stand for what is there.
    let configure: Configure = Arc::new(|_, _| Ok(Arc::new(OnMachines)));
    let input = PlannerInput {
        world: stack.world(),
        snapshot: Arc::new(store.snapshot().clone()),
        findings: std::collections::BTreeMap::new(),
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
    let evaluate = |text: &str| -> Result<String, Vec<Diagnostic>> {
        let expr = dmp_lang::parse_expression(text, "<console>")?;
        let value = world.evaluate(&expr, &Place::in_module(&ModulePath::root()))?;
        Ok(dmp_report::render_value(&value, 0))
    };
    let mut exit = Exit::Success;
    let lines: Box<dyn Iterator<Item = String>> = match &arguments.eval {
        Some(text) => Box::new(std::iter::once(text.clone())),
        None => Box::new(std::io::stdin().lock().lines().map_while(Result::ok)),
    };
    for line in lines.filter(|line| !line.trim().is_empty()) {
        match evaluate(&line) {
            Ok(text) => print(&format!("{text}\n")),
            Err(diagnostics) => {
                let mut sources = stack.sources.clone();
                sources.add("<console>", line.as_str());
                exit = exit.max(fail(context, &sources, &diagnostics));
            }
        }
    }
    exit
}
