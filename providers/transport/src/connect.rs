//! One SSH connection: reaching the port (or a channel through a bastion), the handshake, the login.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dmp_sdk::{Machine, Unreachable};
use russh::client::{self, Handle, Msg};
use russh::{AlgorithmKind, ChannelStream, Disconnect, Preferred};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::auth::{Identity, LoginError};
use crate::forget::Held;
use crate::host_keys::{Client, FirstContacts, Policy, Seen};
use crate::options::Options;
use crate::ssh_config::Login;
use crate::sudo;

/// An authenticated connection, shared by all who use an equal machine.
pub(crate) struct Connection {
    handle: Handle<Client>,
    /// The connection's key, for messages.
    pub(crate) machine: String,
    /// The host key that was shown, as `ssh-ed25519 AAAA…`.
    pub(crate) host_key: String,
    /// OpenSSH allows ten sessions on a connection; two are left for others.
    pub(crate) channels: Arc<Semaphore>,
    served: AtomicBool,
    /// A batch that is over, whose program waits for the word that it may be forgotten.
    held: Mutex<Option<Held>>,
    /// Whose turn it is to ask sudo, and whether its password is wrong.
    pub(crate) sudo: Arc<tokio::sync::Mutex<sudo::Known>>,
    /// What carries this connection; held so that it stays open.
    through: Option<Arc<Connection>>,
}

impl Connection {
    /// Makes one attempt.
    pub(crate) async fn open(
        machine: &Machine,
        login: &Login,
        through: Option<Arc<Self>>,
        options: &Options,
        contacts: &FirstContacts,
    ) -> Result<Arc<Self>, Unreachable> {
        let identity = Identity::of(machine, login, options).await?;
        let policy = Policy::of(machine, login, options, contacts).await?;
        let within = login.connect_timeout.unwrap_or(options.connect_timeout);
        let attempt = Attempt {
            machine,
            login,
            options,
            within,
        };
        let (mut handle, seen) = match &through {
            None => attempt.handshake(attempt.tcp().await?, policy).await?,
            Some(bastion) => {
                let stream = bastion
                    .stream_to(&machine.address, machine.port, within)
                    .await?;
                attempt.handshake(stream, policy).await?
            }
        };
        let logged_in = identity.log_in(&mut handle, &machine.user);
        match timeout(within, logged_in).await {
            Ok(Ok(())) => {}
            Ok(Err(LoginError::Denied(why))) => {
                return Err(Unreachable::Denied {
                    machine: machine.key(),
                    why,
                });
            }
            Ok(Err(LoginError::Broken(why))) => {
                return Err(attempt.failed(format!("the login broke off: {why}")));
            }
            Err(_) => return Err(attempt.failed("the login takes too long".into())),
        }
        Ok(Arc::new(Self {
            handle,
            machine: machine.key(),
            host_key: seen.key,
            channels: Arc::new(Semaphore::new(CHANNELS)),
            served: AtomicBool::new(false),
            held: Mutex::default(),
            sudo: Arc::default(),
            through,
        }))
    }

    /// Whether it can't be used any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.handle.is_closed() || self.through.as_ref().is_some_and(|below| below.is_closed())
    }

    /// Whether a session was opened on it before.
    pub(crate) fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// Notes that a session was opened on it.
    pub(crate) fn serves(&self) {
        self.served.store(true, Ordering::Relaxed);
    }

    /// Keeps the program of a batch that is over, and gives back the one that was kept before.
    pub(crate) fn hold(&self, held: Option<Held>) -> Option<Held> {
        let mut place = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut place, held)
    }

    /// Opens a session channel.
    pub(crate) async fn session(&self) -> Result<russh::Channel<Msg>, russh::Error> {
        self.handle.channel_open_session().await
    }

    /// Opens a stream from the machine to an address that it can reach.
    pub(crate) async fn stream_to(
        &self,
        host: &str,
        port: u16,
        within: Duration,
    ) -> Result<ChannelStream<Msg>, Unreachable> {
        let failed = |why: String| Unreachable::NoConnection {
            machine: format!("{host}:{port} through {}", self.machine),
            why,
        };
        let open = self
            .handle
            .channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0);
        match timeout(within, open).await {
            Ok(Ok(channel)) => Ok(channel.into_stream()),
            Ok(Err(russh::Error::ChannelOpenFailure(why))) => Err(failed(format!(
                "{} refuses: {}",
                self.machine,
                why.description()
            ))),
            Ok(Err(error)) => Err(Unreachable::Lost {
                machine: self.machine.clone(),
                why: error.to_string(),
            }),
            Err(_) => Err(failed(format!("no answer within {} s", within.as_secs()))),
        }
    }

    /// Says goodbye.
    pub(crate) async fn close(&self) {
        // A connection that is already dead needs no goodbye.
        let _ = self
            .handle
            .disconnect(Disconnect::ByApplication, "", "en")
            .await;
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Connection").field(&self.machine).finish()
    }
}

struct Attempt<'a> {
    machine: &'a Machine,
    login: &'a Login,
    options: &'a Options,
    /// How long each part may take.
    within: Duration,
}

impl Attempt<'_> {
    fn failed(&self, why: String) -> Unreachable {
        Unreachable::NoConnection {
            machine: self.machine.key(),
            why,
        }
    }

    async fn tcp(&self) -> Result<TcpStream, Unreachable> {
        let Machine { address, port, .. } = self.machine;
        let limit = self.within;
        let resolve = async {
            let found: std::io::Result<Vec<_>> = tokio::net::lookup_host((address.as_str(), *port))
                .await
                .map(Iterator::collect);
            found
        };
        let silent = || {
            let seconds = limit.as_secs();
            self.failed(format!("port {port} does not answer within {seconds} s"))
        };
        let addresses = timeout(limit, resolve)
            .await
            .map_err(|_| self.failed(format!("the name `{address}` takes too long to resolve")))?
            .map_err(|error| self.failed(format!("the name `{address}` is unknown: {error}")))?;
        let stream = timeout(limit, TcpStream::connect(addresses.as_slice()))
            .await
            .map_err(|_| silent())?
            .map_err(|error| {
                self.failed(match error.kind() {
                    std::io::ErrorKind::ConnectionRefused => {
                        format!("port {port} refuses the connection")
                    }
                    std::io::ErrorKind::TimedOut => format!("port {port} does not answer"),
                    _ => format!("port {port}: {error}"),
                })
            })?;
        // Only costs time where it fails.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    async fn handshake<S>(
        &self,
        stream: S,
        policy: Policy,
    ) -> Result<(Handle<Client>, Seen), Unreachable>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut preferred = Preferred::default();
        let pinned = policy.algorithms();
        if let Some(algorithms) = &pinned {
            preferred.key = algorithms.clone();
        }
        preferred.host_key_certificates = policy.certificates();
        let interval = self.login.alive_interval.unwrap_or(KEEPALIVE);
        let most = self.login.alive_count_max.unwrap_or(3);
        let config = client::Config {
            nodelay: true,
            keepalive_interval: Some(interval).filter(|interval| !interval.is_zero()),
            keepalive_max: most.try_into().unwrap_or(usize::MAX),
            window_size: 8 * 1024 * 1024,
            preferred,
            ..client::Config::default()
        };
        let (client, seen) = Client::new(policy.clone());
        let connect = client::connect_stream(Arc::new(config), stream, client);
        let result = timeout(self.within, connect).await;
        let seen = seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .unwrap_or_default();
        let port = self.machine.port;
        match result {
            Ok(Ok(handle)) => Ok((handle, seen)),
            Ok(Err(russh::Error::UnknownKey)) => {
                Err(policy.refused(self.machine, &seen, self.options))
            }
            Ok(Err(russh::Error::NoCommonAlgo {
                kind: AlgorithmKind::Key,
                theirs,
                ..
            })) if pinned.is_some() => {
                let seen = Seen {
                    fingerprint: format!("a key of another kind ({})", theirs.join(", ")),
                    ..Seen::default()
                };
                Err(policy.refused(self.machine, &seen, self.options))
            }
            Ok(Err(russh::Error::Disconnect | russh::Error::HUP | russh::Error::IO(_))) => {
                Err(self.failed(format!(
                    "port {port} is open, but the SSH server closes the connection"
                )))
            }
            Ok(Err(error)) => Err(self.failed(format!("the SSH handshake failed: {error}"))),
            Err(_) => Err(self.failed(format!(
                "port {port} is open, but no SSH server answers within {} s",
                self.within.as_secs()
            ))),
        }
    }
}

/// Session channels at once on one connection.
const CHANNELS: usize = 8;

/// After this much silence the server is asked whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(15);
