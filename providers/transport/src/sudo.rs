//! A password for sudo: sent on standard input when sudo asks for it, and only then; never in an argument, never twice.
//! Called by `channel` before a program is sent, so reads and batches both go through it.
//!
//! sudo is given a prompt that nobody else knows, and the shell behind it says a word that nobody else knows. Whichever
//! comes first tells whether the password is wanted: where sudo wants none it would be the first line of the program.

use std::sync::Arc;
use std::time::Duration;

use dmp_sdk::{Machine, Unreachable};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use crate::channel::no_commands;
use crate::connect::Connection;
use crate::exchange::boundary;

/// What is known of the password on one connection.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// sudo has refused it.
    is_wrong: bool,
}

/// Waits until no other command asks sudo on this connection: a wrong password is to be tried once, not by each.
pub(crate) async fn turn(
    connection: &Connection,
    machine: &Machine,
) -> Result<Option<OwnedMutexGuard<Known>>, Unreachable> {
    if machine.becomes().is_none() || machine.sudo_password.is_none() {
        return Ok(None);
    }
    let known = Arc::clone(&connection.sudo).lock_owned().await;
    if known.is_wrong {
        return Err(wrong(machine));
    }
    Ok(Some(known))
}

/// Whether sudo asks, and for what it is to be taken.
pub(crate) struct Question {
    mark: String,
}

impl Question {
    /// `None` where there is no password to give.
    pub(crate) fn of(machine: &Machine) -> Option<Self> {
        let asks = machine.becomes().is_some() && machine.sudo_password.is_some();
        asks.then(|| Self { mark: boundary() })
    }

    /// What sudo writes when it wants the password.
    pub(crate) fn prompt(&self) -> String {
        format!("{}?", self.mark)
    }

    /// What the shell writes when it runs.
    pub(crate) fn ready(&self) -> String {
        format!("{}!", self.mark)
    }

    /// Answers until the shell runs.
    pub(crate) async fn answer(
        &self,
        machine: &Machine,
        output: &mut ChannelReadHalf,
        input: &ChannelWriteHalf<Msg>,
        known: &mut Known,
    ) -> Result<(), Unreachable> {
        let answered = self.until_ready(machine, output, input, known);
        timeout(PATIENCE, answered).await.unwrap_or_else(|_| {
            Err(Unreachable::NoCommands {
                machine: machine.key(),
                why: format!("sudo says nothing for {} s", PATIENCE.as_secs()),
            })
        })
    }

    async fn until_ready(
        &self,
        machine: &Machine,
        output: &mut ChannelReadHalf,
        input: &ChannelWriteHalf<Msg>,
        known: &mut Known,
    ) -> Result<(), Unreachable> {
        let lost = |why: String| Unreachable::Lost {
            machine: machine.key(),
            why,
        };
        let (prompt, ready) = (self.prompt(), format!("{}\n", self.ready()));
        let mut said = Vec::new();
        let mut asked = 0;
        let mut status = None;
        loop {
            match output.wait().await {
                Some(ChannelMsg::ExtendedData { data, .. }) => said.extend_from_slice(&data),
                Some(ChannelMsg::ExitStatus { exit_status }) => status = Some(exit_status),
                Some(ChannelMsg::Close) | None if contains(&said, b"incorrect password") => {
                    known.is_wrong = true;
                    return Err(wrong(machine));
                }
                Some(ChannelMsg::Close) | None => {
                    let said = String::from_utf8_lossy(&said).replace(&prompt, "");
                    return Err(no_commands(machine, status, said.as_bytes()));
                }
                Some(_) => {}
            }
            if contains(&said, ready.as_bytes()) {
                return Ok(());
            }
            let prompts = count(&said, prompt.as_bytes());
            if prompts > asked {
                asked = prompts;
                if asked > 1 {
                    known.is_wrong = true;
                    // Nothing more is typed: sudo counts one attempt.
                    let _ = input.eof().await;
                    return Err(wrong(machine));
                }
                let password = machine.sudo_password.as_deref().unwrap_or_default();
                let line = format!("{password}\n").into_bytes();
                input
                    .data_bytes(line)
                    .await
                    .map_err(|error| lost(error.to_string()))?;
            }
        }
    }
}

fn wrong(machine: &Machine) -> Unreachable {
    Unreachable::NoCommands {
        machine: machine.key(),
        why: format!(
            "sudo does not accept `sudo_password` as the password of `{}`; it was tried once, and is not tried again in this run",
            machine.user
        ),
    }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    count(bytes, word) > 0
}

fn count(bytes: &[u8], word: &[u8]) -> usize {
    bytes
        .windows(word.len())
        .filter(|window| *window == word)
        .count()
}

/// How long sudo may take to ask, or to let the shell run: it waits a moment after a wrong password.
const PATIENCE: Duration = Duration::from_secs(60);
