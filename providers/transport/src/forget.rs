//! Removing what is left of batches, once what they did is recorded.
//!
//! The program that has followed a batch to its end waits there for one more word, so that the word costs no exchange of
//! its own. It is the last word on the connection: whoever opens another channel lets go of that program first.

use std::sync::Arc;
use std::time::Duration;

use dmp_sdk::{Machine, Unreachable};
use tokio::time::timeout;

use crate::batch::Program;
use crate::channel::{Running, Said, no_commands};
use crate::connect::Connection;
use crate::follow::{Decoder, Frame};
use crate::quote;

/// The program of a batch that is over.
pub(crate) struct Held {
    running: Running,
    decoder: Decoder,
}

impl Held {
    /// Takes over a program that has sent the batch's end.
    pub(crate) fn new(running: Running, decoder: Decoder) -> Self {
        Self {
            running: running.kept_by_its_connection(),
            decoder,
        }
    }

    /// Tells it to remove what is left of batches. Whether it has done so.
    async fn forget(mut self, batches: &[String]) -> bool {
        let names: Vec<_> = batches.iter().map(|id| quote::file_name(id)).collect();
        let word = format!("forget {}\n", names.join(" "));
        if self.running.input().feed(word.into_bytes()).await.is_err() {
            return false;
        }
        let (_, _, is_done) = self.running.hear(&mut self.decoder).await;
        is_done
    }
}

impl Running {
    /// Listens until the word that it is done, or its end: what it said as errors, its status, and whether it is done.
    async fn hear(&mut self, decoder: &mut Decoder) -> (Vec<u8>, Option<u32>, bool) {
        let (mut errors, mut status) = (Vec::new(), None);
        while let Some(said) = self.next().await {
            match said {
                Said::Out(bytes) => decoder.add(&bytes),
                Said::Err(bytes) => errors.extend(bytes),
                Said::Status(ended) => status = Some(ended),
            }
            while let Ok(Some(frame)) = decoder.next() {
                if frame == Frame::Word("done".into()) {
                    self.has_said_all();
                    return (errors, status, true);
                }
            }
        }
        (errors, status, false)
    }
}

/// Removes what is left of batches by the program that waits for that. Whether there was one, and it did.
pub(crate) async fn by_a_word(connection: &Connection, batches: &[String]) -> bool {
    let Some(held) = connection.hold(None) else {
        return false;
    };
    timeout(PATIENCE, held.forget(batches))
        .await
        .unwrap_or(false)
}

/// Removes what is left of batches in an exchange of its own.
pub(crate) async fn by_an_exchange(
    connection: &Arc<Connection>,
    on: &Machine,
    batches: &[String],
) -> Result<(), Unreachable> {
    let program = Program::forget(batches);
    let mut decoder = Decoder::new(&program.mark);
    let mut running = Running::start(connection, on, program.text).await?;
    let (errors, status, is_done) = timeout(PATIENCE, running.hear(&mut decoder))
        .await
        .map_err(|_| Unreachable::NoCommands {
            machine: on.key(),
            why: format!("no answer within {} s", PATIENCE.as_secs()),
        })?;
    match is_done {
        true => Ok(()),
        false => Err(no_commands(on, status, &errors)),
    }
}

/// How long removing files may take.
const PATIENCE: Duration = Duration::from_secs(60);
