//! [`Ssh`]: the public face.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dmp_sdk::machine::{Counts, Stream};
use dmp_sdk::{Batch, Exchange, Machine, Machines, Report, Script, Unreachable};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::connect::Connection;
use crate::exchange;
use crate::follow::Journal;
use crate::forget;
use crate::options::Options;
use crate::pool::Pool;
use crate::session::Session;

/// Machines over SSH. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Ssh {
    shared: Arc<Shared>,
    /// Whether a read waits for a machine that boots.
    is_patient: bool,
}

#[derive(Debug)]
struct Shared {
    pool: Pool,
    exchanges: AtomicU64,
}

impl Ssh {
    /// No connection is made yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            shared: Arc::new(Shared {
                pool: Pool::new(options),
                exchanges: AtomicU64::new(0),
            }),
            is_patient: false,
        }
    }

    /// The same machines, for reading while they may still boot: a read waits as long as a write does.
    #[must_use]
    pub fn patient(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            is_patient: true,
        }
    }

    /// How long a read waits for a machine that does not answer.
    fn read_wait(&self, on: &Machine) -> Duration {
        match self.is_patient {
            true => self.shared.pool.options.boot_wait(on),
            false => Duration::ZERO,
        }
    }

    /// A connection, waited for as long as a read waits.
    pub(crate) async fn connection(&self, on: &Machine) -> Result<Arc<Connection>, Unreachable> {
        self.count();
        self.shared.pool.connection(on, self.read_wait(on)).await
    }

    fn session<'a>(
        &'a self,
        on: &'a Machine,
        reports: mpsc::Sender<Report>,
        count: &'a (dyn Fn() + Sync),
    ) -> Session<'a> {
        Session {
            pool: &self.shared.pool,
            on,
            reports,
            journal: Journal::default(),
            count,
            told_of_boot: false,
        }
    }

    fn count(&self) {
        self.shared.exchanges.fetch_add(1, Ordering::Relaxed);
    }

    async fn read_once(
        &self,
        connection: &Arc<Connection>,
        on: &Machine,
        scripts: &[Script],
        deadline: Duration,
    ) -> Result<Exchange, Unreachable> {
        self.count();
        let read = timeout(deadline, exchange::read(connection, on, scripts)).await;
        let result = read.unwrap_or_else(|_| {
            Err(Unreachable::NoCommands {
                machine: on.key(),
                why: format!("no answer within {} s", deadline.as_secs()),
            })
        });
        if let Err(Unreachable::Lost { .. }) = &result {
            self.shared.pool.discard(connection);
        }
        Ok(Exchange {
            outputs: result?,
            host_key: connection.host_key.clone(),
        })
    }
}

#[async_trait]
impl Machines for Ssh {
    async fn read(
        &self,
        on: &Machine,
        scripts: &[Script],
        deadline: Duration,
    ) -> Result<Exchange, Unreachable> {
        let pool = &self.shared.pool;
        let connection = pool.connection(on, self.read_wait(on)).await?;
        match self.read_once(&connection, on, scripts, deadline).await {
            // Reading changes nothing, so once more is safe; a connection may have died unnoticed.
            Err(Unreachable::Lost { .. }) => {
                let connection = pool.connection(on, self.read_wait(on)).await?;
                self.read_once(&connection, on, scripts, deadline).await
            }
            result => result,
        }
    }

    async fn run(
        &self,
        on: &Machine,
        batch: &Batch,
        reports: mpsc::Sender<Report>,
    ) -> Result<(), Unreachable> {
        let count = || self.count();
        self.session(on, reports, &count).run(batch).await
    }

    async fn settle(
        &self,
        on: &Machine,
        batch: &str,
        reports: mpsc::Sender<Report>,
    ) -> Result<bool, Unreachable> {
        let count = || self.count();
        self.session(on, reports, &count).settle(batch).await
    }

    async fn forget(&self, on: &Machine, batches: &[String]) -> Result<(), Unreachable> {
        if batches.is_empty() {
            return Ok(());
        }
        let connection = self.shared.pool.connection(on, self.read_wait(on)).await?;
        if forget::by_a_word(&connection, batches).await {
            return Ok(());
        }
        self.count();
        forget::by_an_exchange(&connection, on, batches).await
    }

    async fn open_stream(
        &self,
        on: &Machine,
        host: &str,
        port: u16,
    ) -> Result<Box<dyn Stream>, Unreachable> {
        let pool = &self.shared.pool;
        let connection = pool.connection(on, self.read_wait(on)).await?;
        let stream = connection
            .stream_to(host, port, pool.options.connect_timeout)
            .await?;
        Ok(Box::new(stream))
    }

    async fn close(&self) {
        self.shared.pool.close().await;
    }

    fn counts(&self) -> Counts {
        Counts {
            logins: self.shared.pool.logins.load(Ordering::Relaxed),
            exchanges: self.shared.exchanges.load(Ordering::Relaxed),
        }
    }
}
