//! What the language has and this dmp does not carry out yet. It is refused: to pass over it without a word would do
//! something else than what is written (a `moved` that is not heard deletes and creates).

use dmp_lang::Configuration;
use dmp_lang::ast::Body;
use dmp_lang::config::Module;
use dmp_sdk::{Diagnostic, Span};

/// Everything in a configuration that would be passed over.
pub(crate) fn check(configuration: &Configuration) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for module in &configuration.modules {
        blocks(module, &mut found);
    }
    let nested = configuration
        .modules
        .iter()
        .filter(|module| !std::ptr::eq(*module, configuration.root()));
    for module in nested {
        for removed in &module.removed {
            found.push(
                refused("a `removed` block in a module", &removed.span)
                    .help("write it in the stack itself"),
            );
        }
        for import in &module.imports {
            found.push(
                refused("an `import` block in a module", &import.span)
                    .help("write it in the stack itself, `to = module.….type.name`"),
            );
        }
    }
    found
}

fn blocks(module: &Module, found: &mut Vec<Diagnostic>) {
    for environment in module.environments.values() {
        found.push(
            Diagnostic::warning(
                "environment-held",
                "an environment is held, not carried out",
            )
            .detail("what is written here changes nothing yet, and nothing is applied with it")
            .at(environment.span.clone())
            .help("give its values by `--var-file`, and take the block out to apply"),
        );
    }
    if let Some(stack) = &module.stack {
        in_body(&stack.body, "of the `stack` block", found);
    }
}

/// What must not be in a configuration that is applied: a person who writes it relies on it.
pub(crate) fn before_changes(configuration: &Configuration) -> Option<Diagnostic> {
    let mut environments = configuration.root().environments.values();
    let environment = environments.next()?;
    Some(
        Diagnostic::error("environment-held", "environments are not carried out yet")
            .detail("what this block asks for would not be heeded")
            .at(environment.span.clone())
            .help("take it out, and give its values by `--var-file`"),
    )
}

fn in_body(body: &Body, place: &str, found: &mut Vec<Diagnostic>) {
    for block in &body.blocks {
        // The state is in the stack's folder: who says so is right.
        let is_empty = block.body.attributes.is_empty() && block.body.blocks.is_empty();
        let is_local = matches!(block.labels.as_slice(), [label] if &*label.text == "local");
        if &*block.kind.text == "backend" && is_local && is_empty {
            continue;
        }
        found.push(refused(
            &format!("`{}` {place}", block.kind.text),
            &block.span,
        ));
    }
    for (name, attribute) in &body.attributes {
        found.push(refused(&format!("`{name}` {place}"), &attribute.name_span));
    }
}

fn refused(what: &str, span: &Span) -> Diagnostic {
    Diagnostic::error("unsupported", "not carried out yet")
        .detail(format!("this dmp knows {what}, but does nothing with it"))
        .at(span.clone())
}
