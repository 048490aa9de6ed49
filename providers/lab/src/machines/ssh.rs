//! The server that lets people into a machine: by the keys in the machine's own files, with the machine's own host keys.
//!
//! It is the lab's, not OpenSSH's: it reads `/etc/ssh/ssh_host_*_key`, `/etc/passwd` and each user's `authorized_keys`, anew
//! for each connection, and nothing of `sshd_config`. All of them are read from within the machine, so that no link in it
//! leads to a file of the host.

use std::collections::HashMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::{PrivateKey, PublicKey, decode_secret_key};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey, run_stream,
};
use russh::{
    Channel, ChannelId, ChannelMsg, ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf,
    MethodKind, MethodSet, Pty,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::process::Child;

use super::namespace::User;
use super::{Machine, is_same_network, root};
use crate::Trouble;
use crate::lab::Shared;

/// How long a machine may take for what is read from it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where servers for file transfer are on a host.
const SFTP: [&str; 2] = [
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
];

/// Returns a host key, private and public, by file name.
pub(super) fn new_host_key() -> Result<[(String, String); 2], Trouble> {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).map_err(|_| Trouble::NoRandom)?;
    let unusable = |error: russh::keys::ssh_key::Error| {
        Trouble::Refused(format!("no host key can be made: {error}"))
    };
    let key = PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed)), "")
        .map_err(unusable)?;
    let private = key
        .to_openssh(LineEnding::LF)
        .map_err(unusable)?
        .to_string();
    let public = key.public_key().to_openssh().map_err(unusable)?;
    let name = "ssh_host_ed25519_key";
    Ok([
        (name.to_owned(), private),
        (format!("{name}.pub"), format!("{public}\n")),
    ])
}

/// Gives a machine other host keys than it has.
pub(super) async fn change_host_key(machine: &Machine) -> Result<(), Trouble> {
    let script = "rm -f /etc/ssh/ssh_host_*; exec ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key";
    match read(machine, script, "").await {
        Some(_) => Ok(()),
        None => Err(Trouble::Refused(format!(
            "`{}` keeps its host key",
            machine.name
        ))),
    }
}

/// Lets people in at one address of a machine, until the machine ends.
pub(super) async fn serve(shared: Arc<Shared>, vmid: u32, socket: TcpListener) {
    loop {
        let Ok((stream, peer)) = socket.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Some(machine) = shared.machines.get(vmid) else {
            continue;
        };
        if !is_let_in(&shared, &machine, &stream, peer) {
            continue;
        }
        let shared = shared.clone();
        tokio::spawn(async move {
            if let Ok(Some(config)) = tokio::time::timeout(PATIENCE, config(&machine)).await {
                let visitor = Visitor {
                    shared,
                    machine,
                    peer,
                    user: User::default(),
                    channels: HashMap::new(),
                };
                if let Ok(session) = run_stream(Arc::new(config), stream, visitor).await {
                    // How a visitor leaves is no trouble of the machine.
                    let _ = session.await;
                }
            }
        });
    }
}

/// Whether a machine takes a connection: a private one does from its own network alone.
fn is_let_in(shared: &Shared, machine: &Machine, stream: &TcpStream, peer: SocketAddr) -> bool {
    let (Ok(SocketAddr::V4(local)), IpAddr::V4(peer)) = (stream.local_addr(), peer.ip()) else {
        return false;
    };
    let addresses = machine.addresses();
    let own = addresses.iter().find(|(address, _)| address == local.ip());
    let Some((own, bits)) = own else { return false };
    let (is_private, is_cut) = shared.with(|world| {
        (
            world.is_private(*own),
            world.cluster.faults.cut.contains(&machine.vmid),
        )
    });
    !is_cut
        && (!is_private || is_same_network(*own, peer, *bits) && shared.machines.at(peer).is_some())
}

async fn config(machine: &Machine) -> Option<Config> {
    let script = "for key in /etc/ssh/ssh_host_*_key; do cat \"$key\" && echo; done";
    let text = read(machine, script, "").await?;
    let end = "-----END OPENSSH PRIVATE KEY-----";
    let keys = text
        .split_inclusive(end)
        .filter_map(|part| decode_secret_key(part.trim(), None).ok());
    let keys: Vec<_> = keys.collect();
    let methods = MethodSet::from(&[MethodKind::PublicKey][..]);
    (!keys.is_empty()).then(|| Config {
        keys,
        methods,
        auth_rejection_time: Duration::from_millis(100),
        auth_rejection_time_initial: Some(Duration::ZERO),
        inactivity_timeout: None,
        keepalive_interval: Some(Duration::from_secs(60)),
        nodelay: true,
        ..Config::default()
    })
}

/// Runs a small script in a machine as its superuser, with one argument, and returns what it says.
async fn read(machine: &Machine, script: &str, argument: &str) -> Option<String> {
    let user = User {
        home: "/".into(),
        ..User::default()
    };
    let settings = [("PATH".to_owned(), root::PATH.to_owned())];
    let mut command = machine.namespace.command(
        &user,
        false,
        &settings,
        &["/bin/sh", "-c", script, "sh", argument],
    );
    let output = command.stdin(Stdio::null()).output().await.ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A connection.
struct Visitor {
    shared: Arc<Shared>,
    machine: Arc<Machine>,
    peer: SocketAddr,
    user: User,
    channels: HashMap<ChannelId, Waiting>,
}

/// A channel before it has a command.
struct Waiting {
    channel: Channel<Msg>,
    settings: Vec<(String, String)>,
    terminal: Option<(String, Winsize)>,
}

fn size(columns: u32, rows: u32) -> Winsize {
    let short = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    Winsize {
        ws_row: short(rows),
        ws_col: short(columns),
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

impl Visitor {
    /// Returns the user of a name if a key is among those in its file.
    async fn known(&self, name: &str, key: &PublicKey) -> Option<User> {
        let is_plain = name
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || "-_.".contains(it));
        if name.is_empty() || !is_plain {
            return None;
        }
        let script = "line=$(grep \"^$1:\" /etc/passwd) || exit 1; echo \"$line\"; \
                      cat \"$(echo \"$line\" | cut -d : -f 6)/.ssh/authorized_keys\"";
        let text = tokio::time::timeout(PATIENCE, read(&self.machine, script, name))
            .await
            .ok()??;
        let (line, keys) = text.split_once('\n')?;
        // A line with options before its key is none that this server understands, so it lets nobody in.
        let is_known = keys
            .lines()
            .filter_map(|line| PublicKey::from_openssh(line.trim()).ok())
            .any(|own| own.key_data() == key.key_data());
        let fields: Vec<_> = line.split(':').collect();
        let user = User {
            name: name.to_owned(),
            uid: fields.get(2)?.parse().ok()?,
            gid: fields.get(3)?.parse().ok()?,
            home: (*fields.get(5)?).to_owned(),
            shell: fields.get(6).map_or("/bin/sh", |shell| shell).to_owned(),
        };
        is_known.then_some(user)
    }

    /// Starts a command, or a shell, on a channel.
    fn start(
        &mut self,
        id: ChannelId,
        words: &[String],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(waiting) = self.channels.remove(&id) else {
            return session.channel_failure(id);
        };
        let mut settings = vec![
            ("PATH".to_owned(), root::PATH.to_owned()),
            ("HOME".to_owned(), self.user.home.clone()),
            ("USER".to_owned(), self.user.name.clone()),
            ("LOGNAME".to_owned(), self.user.name.clone()),
            ("SHELL".to_owned(), self.user.shell.clone()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            (
                "SSH_CONNECTION".to_owned(),
                format!("{} {} {} 22", self.peer.ip(), self.peer.port(), self.own()),
            ),
        ];
        settings.extend(waiting.settings);
        if let Some((terminal, _)) = &waiting.terminal {
            settings.push(("TERM".to_owned(), terminal.clone()));
        }
        let mut command = self.machine.namespace.command(
            &self.user,
            waiting.terminal.is_some(),
            &settings,
            words,
        );
        let master = match &waiting.terminal {
            None => None,
            Some((_, size)) => {
                let Ok(pair) = openpty(size, None) else {
                    return session.channel_failure(id);
                };
                for end in [&pair.master, &pair.slave] {
                    // Neither is for other commands that start at the same time.
                    let _ = rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC);
                }
                let (Ok(one), Ok(two)) = (pair.slave.try_clone(), pair.slave.try_clone()) else {
                    return session.channel_failure(id);
                };
                command.stdin(one).stdout(two).stderr(pair.slave);
                Some(File::from(pair.master))
            }
        };
        let Ok(child) = command.spawn() else {
            return session.channel_failure(id);
        };
        // What holds the other end of the terminal goes with the command.
        drop(command);
        session.channel_success(id)?;
        let (from, to) = waiting.channel.split();
        tokio::spawn(async move {
            let code = match master {
                Some(master) => with_terminal(child, master, from, &to).await,
                None => with_pipes(child, from, &to).await,
            };
            // A visitor who is gone hears nothing of this.
            let _ = to.exit_status(code).await;
            let _ = to.eof().await;
            let _ = to.close().await;
        });
        Ok(())
    }

    fn own(&self) -> Ipv4Addr {
        let addresses = self.machine.addresses();
        let own = addresses.first();
        own.map_or(Ipv4Addr::LOCALHOST, |(address, _)| *address)
    }

    /// Connects to another machine from this one: one of a private network is reached from that network alone.
    async fn reach(&self, host: &str, port: u16) -> Option<TcpStream> {
        let address = match host.parse::<Ipv4Addr>() {
            Ok(address) if address == Ipv4Addr::LOCALHOST => self.own(),
            Ok(address) => address,
            Err(_) if host == "localhost" => self.own(),
            Err(_) => self.shared.machines.named(host)?.addresses().first()?.0,
        };
        let other = self.shared.machines.at(address)?;
        let (is_cut, is_private) = self.shared.with(|world| {
            let cut = &world.cluster.faults.cut;
            let is_cut = cut.contains(&self.machine.vmid) || cut.contains(&other.vmid);
            (is_cut, world.is_private(address))
        });
        if is_cut {
            return None;
        }
        let addresses = self.machine.addresses();
        let near = addresses
            .iter()
            .find(|(own, bits)| is_same_network(*own, address, *bits));
        let source = match near {
            Some((own, _)) => *own,
            None if !is_private => self.own(),
            None => return None,
        };
        let socket = TcpSocket::new_v4().ok()?;
        socket.bind(SocketAddr::from((source, 0))).ok()?;
        tokio::time::timeout(PATIENCE, socket.connect(SocketAddr::from((address, port))))
            .await
            .ok()?
            .ok()
    }
}

/// Hands a command what comes on a channel, and the channel what the command says; returns how it ended.
async fn with_pipes(
    mut child: Child,
    mut from: ChannelReadHalf,
    to: &ChannelWriteHalf<Msg>,
) -> u32 {
    let (mut input, out, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feeding = tokio::spawn(async move {
        while let Some(message) = from.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    if let Some(open) = &mut input
                        && open.write_all(&data).await.is_err()
                    {
                        input = None;
                    }
                }
                ChannelMsg::Eof | ChannelMsg::Close => input = None,
                _ => {}
            }
        }
    });
    let (mut writer, mut error_writer) = (to.make_writer(), to.make_writer_ext(Some(1)));
    let said = async {
        if let Some(mut out) = out {
            let _ = tokio::io::copy(&mut out, &mut writer).await;
        }
    };
    let complained = async {
        if let Some(mut errors) = errors {
            let _ = tokio::io::copy(&mut errors, &mut error_writer).await;
        }
    };
    tokio::join!(said, complained);
    let status = child.wait().await.ok().and_then(|status| status.code());
    feeding.abort();
    status
        .and_then(|code| u32::try_from(code).ok())
        .unwrap_or(255)
}

/// The same over a terminal, whose size the visitor may change.
async fn with_terminal(
    mut child: Child,
    master: File,
    mut from: ChannelReadHalf,
    to: &ChannelWriteHalf<Msg>,
) -> u32 {
    let Ok(reading) = master.try_clone() else {
        return 255;
    };
    let Ok(sizing) = master.try_clone() else {
        return 255;
    };
    let (mut reading, mut writing) = (
        tokio::fs::File::from_std(reading),
        tokio::fs::File::from_std(master),
    );
    let feeding = tokio::spawn(async move {
        while let Some(message) = from.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    let _ = writing.write_all(&data).await;
                    let _ = writing.flush().await;
                }
                ChannelMsg::WindowChange {
                    col_width,
                    row_height,
                    ..
                } => {
                    let size = size(col_width, row_height);
                    let size = rustix::termios::Winsize {
                        ws_row: size.ws_row,
                        ws_col: size.ws_col,
                        ws_xpixel: 0,
                        ws_ypixel: 0,
                    };
                    // A terminal that is gone needs no size.
                    let _ = rustix::termios::tcsetwinsize(&sizing, size);
                }
                _ => {}
            }
        }
    });
    let mut part = vec![0; 8192];
    // The terminal's end reads as an error.
    while let Ok(read) = reading.read(&mut part).await {
        let sent = to
            .data_bytes(part.get(..read).unwrap_or_default().to_vec())
            .await;
        if read == 0 || sent.is_err() {
            break;
        }
    }
    let status = child.wait().await.ok().and_then(|status| status.code());
    feeding.abort();
    status
        .and_then(|code| u32::try_from(code).ok())
        .unwrap_or(255)
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(match self.known(user, key.public_key).await {
            Some(user) => {
                self.user = user;
                Auth::Accept
            }
            None => Auth::reject(),
        })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let id = channel.id();
        self.channels.insert(
            id,
            Waiting {
                channel,
                settings: Vec::new(),
                terminal: None,
            },
        );
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let port = u16::try_from(port).unwrap_or(0);
        let Some(mut stream) = self.reach(host, port).await else {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        };
        reply.accept().await;
        tokio::spawn(async move {
            let mut channel = channel.into_stream();
            // Either end may go first.
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut channel).await;
        });
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.remove(&channel);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        terminal: &str,
        columns: u32,
        rows: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.channels.get_mut(&channel) {
            Some(waiting) => {
                waiting.terminal = Some((terminal.to_owned(), size(columns, rows)));
                session.channel_success(channel)
            }
            None => session.channel_failure(channel),
        }
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let is_taken = name == "LANG" || name.starts_with("LC_");
        match self.channels.get_mut(&channel).filter(|_| is_taken) {
            Some(waiting) => {
                waiting.settings.push((name.to_owned(), value.to_owned()));
                session.channel_success(channel)
            }
            None => session.channel_failure(channel),
        }
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let words = [self.user.shell.clone(), "-l".to_owned()];
        self.start(channel, &words, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let line = String::from_utf8_lossy(data).into_owned();
        let words = [self.user.shell.clone(), "-c".to_owned(), line];
        self.start(channel, &words, session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let server = SFTP
            .into_iter()
            .find(|path| std::path::Path::new(path).exists())
            .filter(|_| name == "sftp");
        match server {
            Some(server) => self.start(channel, &[server.to_owned()], session),
            None => session.channel_failure(channel),
        }
    }
}
