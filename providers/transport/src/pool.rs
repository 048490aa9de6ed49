//! One connection per machine, made once however many ask for it, made again when it is dead; bastions are machines
//! like any other. A machine that still boots is waited for here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dmp_sdk::{Machine, Unreachable};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use crate::connect::Connection;
use crate::host_keys::{FirstContacts, another_pin, fits_pins};
use crate::options::Options;
use crate::retry::Pace;

/// All connections of a run.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) options: Options,
    cells: Mutex<HashMap<String, Arc<OnceCell<Arc<Connection>>>>>,
    contacts: FirstContacts,
    pub(crate) logins: AtomicU64,
    /// Whether it was told that a part of the SSH configuration is passed over.
    told_of_match: AtomicBool,
}

impl Pool {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            cells: Mutex::default(),
            contacts: FirstContacts::default(),
            logins: AtomicU64::new(0),
            told_of_match: AtomicBool::new(false),
        }
    }

    /// The connection to a machine. One that can't be had yet is tried for until `wait` is over, at least once.
    pub(crate) async fn connection(
        &self,
        machine: &Machine,
        wait: Duration,
    ) -> Result<Arc<Connection>, Unreachable> {
        let cell = self.cell(&machine.key());
        let connection = cell.get_or_try_init(|| self.connect(machine, wait)).await?;
        if !fits_pins(machine, &connection.host_key) {
            return Err(another_pin(machine, &connection.host_key, &self.options));
        }
        Ok(Arc::clone(connection))
    }

    /// Takes a connection out of the pool, so that the next who asks makes a new one.
    pub(crate) fn discard(&self, connection: &Arc<Connection>) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.retain(|_, cell| !cell.get().is_some_and(|held| Arc::ptr_eq(held, connection)));
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        let cells: Vec<_> = {
            let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
            cells.drain().map(|(_, cell)| cell).collect()
        };
        for connection in cells.iter().filter_map(|cell| cell.get()) {
            connection.close().await;
        }
    }

    fn cell(&self, key: &str) -> Arc<OnceCell<Arc<Connection>>> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = cells.entry(key.to_owned()).or_default();
        if cell.get().is_some_and(|held| held.is_closed()) {
            *cell = Arc::default();
        }
        Arc::clone(cell)
    }

    async fn connect(
        &self,
        machine: &Machine,
        wait: Duration,
    ) -> Result<Arc<Connection>, Unreachable> {
        let began = Instant::now();
        let mut first_denied = None;
        let mut told = String::new();
        let mut pace = Pace::new(Duration::from_millis(250), Duration::from_secs(5));
        loop {
            let error = match self.attempt(machine).await {
                Ok(connection) => {
                    self.logins.fetch_add(1, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(error) => error,
            };
            let why = match &error {
                Unreachable::NoConnection { why, .. } | Unreachable::Lost { why, .. } => why,
                // While a machine boots its user and keys may still be on their way.
                Unreachable::Denied { why, .. } => {
                    let denied: Instant = *first_denied.get_or_insert_with(Instant::now);
                    if denied.elapsed() > DENIED_WAIT {
                        return Err(error);
                    }
                    why
                }
                _ => return Err(error),
            };
            let pause = pace.pause();
            if began.elapsed() + pause >= wait {
                return Err(error);
            }
            if told != *why {
                self.options.tell(machine, &format!("waits for SSH: {why}"));
                told.clone_from(why);
            }
            sleep(pause).await;
        }
    }

    async fn attempt(&self, machine: &Machine) -> Result<Arc<Connection>, Unreachable> {
        let through = match last_hop(machine) {
            // The loop above is what waits; a bastion is tried once in each of its rounds.
            Some(hop) => Some(Box::pin(self.connection(&hop, Duration::ZERO)).await?),
            None => None,
        };
        let login = self.options.login(machine)?;
        if let Some(place) = login.passed_over.first()
            && !self.told_of_match.swap(true, Ordering::Relaxed)
        {
            let line = format!(
                "the block at {place} of the SSH configuration is passed over: dmp runs no command for `Match exec`"
            );
            self.options.tell(machine, &line);
        }
        Connection::open(machine, &login, through, &self.options, &self.contacts).await
    }
}

/// The bastion next to the machine, itself reached through those before it.
fn last_hop(machine: &Machine) -> Option<Machine> {
    let (last, before) = machine.bastions.split_last()?;
    let mut hop = last.clone();
    hop.sudo = false;
    if hop.bastions.is_empty() {
        hop.bastions = before.to_vec();
    }
    Some(hop)
}

/// How long a server that denies the login is still taken for one that boots.
const DENIED_WAIT: Duration = Duration::from_secs(60);
