//! A person's own command on a machine: run once, whatever becomes of the connection, and heard while it runs. Called by
//! `dmp ssh` for many machines; nothing that the engine does goes this way.

use dmp_sdk::{Machine, Unreachable};
use tokio::sync::mpsc;

use crate::channel::{Running, Said};
use crate::quote;
use crate::ssh::Ssh;

/// A piece of what a command says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Of its standard output.
    Out(Vec<u8>),
    /// Of its standard error.
    Err(Vec<u8>),
}

impl Ssh {
    /// Runs a command of a shell, and gives the status that it ended with. It is never begun a second time: where the
    /// connection is lost nobody knows how it ended, and that is the error. It ends with the connection and when this is
    /// dropped.
    ///
    /// # Errors
    /// When it could not be begun, or its end was not seen.
    pub async fn run_once(
        &self,
        on: &Machine,
        command: &str,
        pieces: mpsc::Sender<Piece>,
    ) -> Result<u32, Unreachable> {
        let connection = self.connection(on).await?;
        let printed = quote::printed(command.as_bytes()).replace('\n', "; ");
        let line = format!("dmp_command=$({printed}); {WATCHED}");
        let running = Running::start_line(&connection, on, line).await?;
        let mut running = running.killed_on_drop();
        let mut status = None;
        while let Some(said) = running.next().await {
            let piece = match said {
                Said::Out(bytes) => Piece::Out(bytes),
                Said::Err(bytes) => Piece::Err(bytes),
                Said::Status(ended) => {
                    status = Some(ended);
                    continue;
                }
            };
            // Nobody listens any more.
            pieces
                .send(piece)
                .await
                .map_err(|_| Unreachable::Cancelled)?;
        }
        running.has_said_all();
        status.ok_or_else(|| Unreachable::Lost {
            machine: on.key(),
            why: "the command's end was not seen; it may have run to it".into(),
        })
    }
}

/// Runs the command beside something that reads standard input, which nobody writes to: when it ends, so does the
/// session's whole group. Servers refuse signals for root, and send none when a connection breaks.
const WATCHED: &str = "exec 3<&0; { cat <&3; kill -TERM 0; } >/dev/null 2>&1 & dmp_watch=$!; \
    ( eval \"$dmp_command\" ) </dev/null 3<&-; dmp_status=$?; kill \"$dmp_watch\" 2>/dev/null; exit \"$dmp_status\"";
