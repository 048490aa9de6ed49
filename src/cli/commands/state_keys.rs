//! `dmp state rekey` and `dmp state identity`: the state's key, and what opens it here.

use std::path::Path;

use dmp_sdk::Diagnostic;
use dmp_state::recipients::{new_identity, recipient_of};
use dmp_state::{Record, Wanted, Wiped, mint_id};

use super::{fail, fail_broken, print, say};
use crate::stack::{Stack, VERSION, check_age, now, open_state_for_writing, outside};
use crate::{Context, Exit, encryption};

/// Gives the state another key.
pub(super) fn rekey(context: &Context, directory: &Path) -> Exit {
    let stack = match Stack::open(context, directory, None) {
        Ok(stack) => stack,
        Err(broken) => return fail_broken(context, &broken),
    };
    match carry_out(&stack) {
        Ok(left) => fail(context, &stack.sources, left.as_slice()),
        Err(diagnostic) => fail(context, &stack.sources, &[diagnostic]),
    }
}

fn carry_out(stack: &Stack) -> Result<Option<Diagnostic>, Diagnostic> {
    let (mut store, _lock) = open_state_for_writing(&stack.directory, "state rekey")?;
    if let Some(older) = check_age(&store) {
        return Err(older);
    }
    let Some(before) = store.access() else {
        return Err(Diagnostic::error("no-state", "there is no state yet")
            .help("the first run makes its key"));
    };
    let run = mint_id();
    let notes = vec![
        Record::RunBegan {
            command: "state rekey".into(),
            version: VERSION.into(),
        },
        Record::RunEnded {
            outcome: "done".into(),
        },
    ];
    // Without a block, all stays as it is but the key.
    let wanted = encryption::wanted(&stack.configuration).unwrap_or(Wanted {
        recipients: None,
        offline_recipients: before.offline_recipients,
        passphrase: before.passphrase,
        enforced: before.is_whole,
    });
    let wiped = store.rekey(&wanted, notes, &run, &now());
    let wiped = wiped.map_err(|error| {
        Diagnostic::error("state", "cannot give the state another key")
            .cause(error.to_string())
            .state("it is as it was before")
    })?;
    let access = store.access().unwrap_or_default();
    print(&format!(
        "The state has a new key, and everything in it is sealed anew. Its log begins with commit {}.\n",
        store.snapshot().serial
    ));
    let offline = access.offline_recipients.iter();
    let offline = offline.map(|one| format!("{one} (offline)"));
    for one in access.recipients.iter().cloned().chain(offline) {
        print(&format!("  {one}\n"));
    }
    if access.passphrase {
        print("  the passphrase\n");
    }
    say(
        "Copies from before still open with the old key: change the secrets that were in them, if somebody may have one.\n",
    );
    Ok(match wiped {
        Wiped::Done => None,
        Wiped::Not(why) => Some(
            Diagnostic::warning(
                "not-wiped",
                "what was sealed before may still lie in the file",
            )
            .cause(why)
            .help("run `dmp state rekey` once more when no other dmp looks at this state"),
        ),
    })
}

/// Prints a recipient, of this machine's identity or of a new one.
pub(super) fn identity(directory: &Path, new: Option<&Path>) -> Result<(), Diagnostic> {
    let recipient = match new {
        Some(file) => new_identity(&directory.join(file)),
        None => recipient_of(&outside().identity_file),
    };
    let recipient = recipient.map_err(|error| {
        Diagnostic::error("identity", "cannot use the identity").cause(error.to_string())
    })?;
    print(&format!("{recipient}\n"));
    Ok(())
}
