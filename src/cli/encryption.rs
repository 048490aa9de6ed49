//! The `encryption` block: who can open the state, and what of it is sealed. The runs, the plan and `state rekey` ask here.

use dmp_lang::Configuration;
use dmp_lang::config::EncryptionBlock;
use dmp_plan::{Plan, World};
use dmp_sdk::{Action, Address, Diagnostic, HoldsData, Mode, Schema};
use dmp_state::recipients::check_recipient;
use dmp_state::{Access, Snapshot, Store, Wanted};

use crate::stack::Stack;

fn block(configuration: &Configuration) -> Option<&EncryptionBlock> {
    configuration.root().stack.as_ref()?.encryption.as_ref()
}

/// What the block asks for; `None` without one, and then everything stays as it is recorded.
pub(crate) fn wanted(configuration: &Configuration) -> Option<Wanted> {
    let block = block(configuration)?;
    let texts = |names: &[dmp_lang::ast::Name]| {
        let texts = names.iter().map(|name| name.text.to_string());
        texts.collect::<Vec<_>>()
    };
    Some(Wanted {
        recipients: block.recipients.as_deref().map(texts),
        offline_recipients: texts(&block.offline_recipients),
        passphrase: block.passphrase,
        enforced: block.enforced,
    })
}

/// What is no recipient.
pub(crate) fn check(configuration: &Configuration) -> Vec<Diagnostic> {
    let Some(block) = block(configuration) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let recipients = block.recipients.iter().flatten();
    for name in recipients.chain(&block.offline_recipients) {
        if let Err(why) = check_recipient(&name.text) {
            found.push(
                Diagnostic::error("not-a-recipient", "not a recipient")
                    .detail(why)
                    .at(name.span.clone())
                    .help("see the recipient of an identity with `dmp state identity`"),
            );
        }
    }
    found
}

/// Where encryption is enforced, a state with anything plain in it is not used.
pub(crate) fn check_sealing(stack: &Stack, store: &Store) -> Option<Diagnostic> {
    let block = block(&stack.configuration).filter(|block| block.enforced)?;
    store.access().filter(|access| !access.is_whole)?;
    Some(
        Diagnostic::error("plain-state", "the state is not sealed as a whole")
            .detail("it was made without `enforced`: only its secrets are sealed")
            .at(block.span.clone())
            .help("seal everything in it with `dmp state rekey`"),
    )
}

/// Tells that others can open the state than before.
pub(crate) fn changed(before: &Access, after: &Access) -> Diagnostic {
    let mut changes = Vec::new();
    for (what, before, after) in [
        ("", &before.recipients, &after.recipients),
        (
            "offline ",
            &before.offline_recipients,
            &after.offline_recipients,
        ),
    ] {
        let added = after.iter().filter(|one| !before.contains(one));
        changes.extend(added.map(|one| format!("{what}{one} can open it now")));
        let removed = before.iter().filter(|one| !after.contains(one));
        changes.extend(removed.map(|one| format!("{what}{one} can't any more")));
    }
    match (before.passphrase, after.passphrase) {
        (false, true) => changes.push("a passphrase opens it now".into()),
        (true, false) => changes.push("no passphrase opens it any more".into()),
        _ => {}
    }
    let told = Diagnostic::warning("recipients-changed", "the state's key is wrapped anew")
        .detail(changes.join("; "));
    let is_gone =
        |one: &String| !after.recipients.contains(one) && !after.offline_recipients.contains(one);
    let mut all = before.recipients.iter().chain(&before.offline_recipients);
    if all.any(is_gone) || before.passphrase && !after.passphrase {
        return told.help(
            "the key itself is the same, and older copies still open: `dmp state rekey` makes another key",
        );
    }
    told
}

/// Warns where what nobody can make again hangs on one identity.
pub(crate) fn warn_of_one(
    stack: &Stack,
    store: &Store,
    plan: &Plan,
    world: &World,
) -> Option<Diagnostic> {
    let has_second = match (store.access(), wanted(&stack.configuration)) {
        (Some(access), Some(wanted)) => access.changed_to(&wanted).has_second(),
        (Some(access), None) => access.has_second(),
        (None, wanted) => Access::default()
            .changed_to(&wanted.unwrap_or_default())
            .has_second(),
    };
    if has_second || plan.is_destroy {
        return None;
    }
    let held = irreplaceable(store.snapshot(), plan, world);
    let first = held.first()?;
    let others = match held.len() {
        1 => String::new(),
        2 => " and another one".into(),
        count => format!(" and {} others", count - 1),
    };
    Some(
        Diagnostic::warning("one-recipient", "one identity alone opens this state")
            .detail(format!(
                "if it is lost, so is what is recorded of {first}{others}"
            ))
            .help("name a second one: `stack { encryption { offline_recipients = [\"age1…\"] } }`"),
    )
}

/// Whether objects of a type hold secrets that were made: a private key, a kubeconfig.
pub(crate) fn makes_secrets(schema: &Schema) -> bool {
    let mut attributes = schema.attributes.values();
    attributes.any(|attribute| attribute.sensitive && attribute.is_computed())
}

/// Instances with primary data, or with secrets that were made and are recorded: a private key, a kubeconfig.
fn irreplaceable(snapshot: &Snapshot, plan: &Plan, world: &World) -> Vec<String> {
    let counts = |address: &Address| {
        let schema = world.schema_of(address);
        let schema = schema.filter(|_| address.mode == Mode::Managed);
        schema
            .is_some_and(|schema| schema.holds_data == HoldsData::Primary || makes_secrets(schema))
    };
    let is_kept = |action| matches!(action, Action::Create | Action::Import);
    let planned = plan.instances.values();
    let planned = planned
        .filter(|planned| is_kept(planned.action))
        .map(|planned| &planned.address);
    let mut held: Vec<_> = snapshot.instances.keys().chain(planned).collect();
    held.retain(|address| counts(address));
    held.sort();
    held.dedup();
    held.into_iter().map(ToString::to_string).collect()
}
