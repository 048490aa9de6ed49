//! A stand-in for HAProxy: whole connections are handed on, in turn, to servers that answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{ServiceError, listen};

/// What is balanced.
#[derive(Debug, Default)]
pub(super) struct Config {
    fronts: Vec<Front>,
}

/// Where connections come in, and who may take them.
#[derive(Debug)]
struct Front {
    bind: Vec<String>,
    back: Arc<Back>,
}

#[derive(Debug, Default)]
struct Back {
    /// The path that a server has to answer well; without it a connection is enough.
    check_path: Option<String>,
    servers: Vec<Server>,
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Server {
    address: String,
    is_checked: bool,
    is_up: AtomicBool,
}

/// A section as it is read.
#[derive(Debug, Default)]
struct Section {
    line: usize,
    bind: Vec<String>,
    default_backend: Option<String>,
    check_path: Option<String>,
    servers: Vec<Server>,
}

/// What is taken and has no meaning here: how the real program logs, runs and waits.
const PASSED_OVER: [&str; 17] = [
    "log",
    "maxconn",
    "timeout",
    "chroot",
    "stats",
    "user",
    "group",
    "daemon",
    "errorfile",
    "balance",
    "ca-base",
    "crt-base",
    "ssl-default-bind-ciphers",
    "ssl-default-bind-ciphersuites",
    "ssl-default-bind-options",
    "retries",
    "master-worker",
];

const OPTIONS: [&str; 5] = [
    "httplog",
    "tcplog",
    "dontlognull",
    "forwardfor",
    "redispatch",
];

impl Config {
    pub(super) fn read(path: &Path) -> Result<Self, ServiceError> {
        let text = std::fs::read_to_string(path).map_err(|error| ServiceError::Read {
            path: path.display().to_string(),
            error,
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    fn parse(path: &str, text: &str) -> Result<Self, ServiceError> {
        let wrong = |line: usize, why: String| ServiceError::Line {
            path: path.to_owned(),
            line,
            why,
        };
        let mut sections: BTreeMap<(&str, String), Section> = BTreeMap::new();
        let mut current: Option<(&str, String)> = None;
        for (position, line) in text.lines().enumerate() {
            let number = position + 1;
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some(keyword) = words.first() else {
                continue;
            };
            let word = |at: usize| words.get(at).copied().unwrap_or_default();
            if ["global", "defaults", "frontend", "backend", "listen"].contains(keyword) {
                let name = word(1).to_owned();
                if name.is_empty() && !["global", "defaults"].contains(keyword) {
                    return Err(wrong(number, format!("`{keyword}` has no name")));
                }
                let section = Section {
                    line: number,
                    ..Section::default()
                };
                let key = (*keyword, name);
                if sections.insert(key.clone(), section).is_some() {
                    return Err(wrong(number, format!("a second `{line}`")));
                }
                current = Some(key);
                continue;
            }
            let Some(section) = current.as_ref().and_then(|key| sections.get_mut(key)) else {
                return Err(wrong(number, format!("`{keyword}` stands in no section")));
            };
            match (*keyword, word(1)) {
                ("bind", address) => section.bind.push(bind(address).ok_or_else(|| {
                    wrong(number, format!("`{address}` is not an address with a port"))
                })?),
                ("default_backend", name) => section.default_backend = Some(name.to_owned()),
                ("mode", "http" | "tcp") => {}
                ("option", "httpchk") => {
                    let path = words.get(2..).unwrap_or_default();
                    let path = path.iter().find(|word| word.starts_with('/'));
                    section.check_path = Some((*path.unwrap_or(&"/")).to_owned());
                }
                ("option", name) if OPTIONS.contains(&name) => {}
                ("server", _) => {
                    let server = server(&words).map_err(|why| wrong(number, why))?;
                    section.servers.push(server);
                }
                (passed, _) if PASSED_OVER.contains(&passed) => {}
                (keyword, next) => {
                    let why = format!("this stand-in of haproxy does not know `{keyword} {next}`");
                    return Err(wrong(number, why));
                }
            }
        }
        Self::of_sections(sections, &wrong)
    }

    fn of_sections(
        sections: BTreeMap<(&str, String), Section>,
        wrong: &impl Fn(usize, String) -> ServiceError,
    ) -> Result<Self, ServiceError> {
        let mut backs: BTreeMap<String, Arc<Back>> = BTreeMap::new();
        let mut open: Vec<(usize, Vec<String>, String)> = Vec::new();
        for ((kind, name), section) in sections {
            match kind {
                "frontend" => {
                    let back = section.default_backend.ok_or_else(|| {
                        wrong(
                            section.line,
                            format!("frontend `{name}` has no `default_backend`"),
                        )
                    })?;
                    open.push((section.line, section.bind, back));
                }
                "backend" | "listen" => {
                    let back = Back {
                        check_path: section.check_path,
                        servers: section.servers,
                        turn: AtomicUsize::new(0),
                    };
                    if kind == "listen" {
                        open.push((section.line, section.bind, name.clone()));
                    }
                    backs.insert(name, Arc::new(back));
                }
                _ => {}
            }
        }
        let front = |(line, bind, name): (usize, Vec<String>, String)| {
            let back = backs.get(&name).cloned();
            let back = back.ok_or_else(|| wrong(line, format!("there is no backend `{name}`")))?;
            Ok(Front { bind, back })
        };
        let fronts = open.into_iter().map(front).collect::<Result<_, _>>()?;
        Ok(Self { fronts })
    }
}

/// `*:80`, `:80`, `192.0.2.1:80`, `[::]:80` as an address to listen at.
fn bind(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    match host {
        "" | "*" => Some(format!("0.0.0.0:{port}")),
        host => format!("{host}:{port}")
            .parse::<std::net::SocketAddr>()
            .ok()
            .map(|address| address.to_string()),
    }
}

/// `server NAME ADDRESS:PORT [check] [inter …] [rise …] [fall …]`.
fn server(words: &[&str]) -> Result<Server, String> {
    let address = words.get(2).copied().unwrap_or_default();
    let has_port = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !has_port {
        return Err(format!("`{address}` is not an address with a port"));
    }
    let mut is_checked = false;
    let mut rest = words.iter().skip(3);
    while let Some(word) = rest.next() {
        match *word {
            "check" => is_checked = true,
            "inter" | "rise" | "fall" | "weight" | "maxconn" if rest.next().is_some() => {}
            other => return Err(format!("this stand-in of haproxy does not know `{other}`")),
        }
    }
    Ok(Server {
        address: address.to_owned(),
        is_checked,
        is_up: AtomicBool::new(true),
    })
}

/// Listens, looks after the servers, and hands connections on.
pub(super) async fn start(
    config: Arc<Config>,
    tasks: &mut JoinSet<()>,
) -> Result<(), ServiceError> {
    for front in &config.fronts {
        for address in &front.bind {
            let back = Arc::clone(&front.back);
            listen(address, tasks, move |connection| {
                hand_on(connection, Arc::clone(&back))
            })
            .await?;
        }
        for position in 0..front.back.servers.len() {
            if front.back.servers[position].is_checked {
                tasks.spawn(look_after(Arc::clone(&front.back), position));
            }
        }
    }
    Ok(())
}

/// Each server that is up is tried once, from the one whose turn it is.
async fn hand_on(mut connection: TcpStream, back: Arc<Back>) {
    let all = back.servers.len();
    let from = back.turn.fetch_add(1, Ordering::Relaxed);
    let in_turn = (0..all).map(|step| &back.servers[(from + step) % all]);
    for server in in_turn.filter(|server| server.is_up.load(Ordering::Relaxed)) {
        let Ok(Ok(mut there)) = timeout(PATIENCE, TcpStream::connect(&server.address)).await else {
            continue;
        };
        // An end is an end, whoever made it.
        drop(copy_bidirectional(&mut connection, &mut there).await);
        return;
    }
    let answer = b"HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nno server is up\n";
    drop(connection.write_all(answer).await);
}

async fn look_after(back: Arc<Back>, position: usize) {
    let server = &back.servers[position];
    let mut failures = 0;
    loop {
        match timeout(PATIENCE, is_well(server, back.check_path.as_deref())).await {
            Ok(true) => {
                failures = 0;
                server.is_up.store(true, Ordering::Relaxed);
            }
            _ => failures += 1,
        }
        if failures >= 2 {
            server.is_up.store(false, Ordering::Relaxed);
        }
        sleep(BETWEEN_CHECKS).await;
    }
}

async fn is_well(server: &Server, path: Option<&str>) -> bool {
    let Ok(mut connection) = TcpStream::connect(&server.address).await else {
        return false;
    };
    let Some(path) = path else { return true };
    let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", server.address);
    let mut answer = [0_u8; 12];
    let asked = connection.write_all(request.as_bytes()).await;
    asked.is_ok()
        && connection.read_exact(&mut answer).await.is_ok()
        && matches!(answer[9], b'2' | b'3')
}

const PATIENCE: Duration = Duration::from_secs(2);
const BETWEEN_CHECKS: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that says its name to each connection.
    async fn says(name: &'static str) -> (u16, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let task = tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                drop(connection.write_all(name.as_bytes()).await);
            }
        });
        (port, task)
    }

    async fn ask(port: u16) -> String {
        let connection = TcpStream::connect(("127.0.0.1", port)).await;
        let mut text = String::new();
        let mut connection = connection.expect("answers");
        drop(connection.read_to_string(&mut text).await);
        text
    }

    #[tokio::test]
    async fn connections_go_in_turn_to_those_that_answer() {
        let ((a, stop), (b, _b)) = (says("a").await, says("b").await);
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let text = format!(
            "global\n  daemon\ndefaults\n  mode http\n  timeout connect 5s\nfrontend web\n  bind 127.0.0.1:{port}\n  \
             default_backend servers\nbackend servers\n  balance roundrobin\n  server a 127.0.0.1:{a} check\n  \
             server b 127.0.0.1:{b} check inter 1s\n"
        );
        let config = Config::parse("haproxy.cfg", &text).expect("is understood");
        let mut tasks = JoinSet::new();
        start(Arc::new(config), &mut tasks).await.expect("listens");
        let mut answers = vec![ask(port).await, ask(port).await];
        answers.sort();
        assert_eq!(answers, ["a", "b"]);
        stop.abort();
        drop(stop.await);
        for _ in 0..4 {
            assert_eq!(ask(port).await, "b");
        }
    }

    #[test]
    fn what_the_stand_in_does_not_know_is_refused_with_its_line() {
        let said = |text: &str| {
            let refused = Config::parse("haproxy.cfg", text).expect_err("is wrong");
            refused.to_string()
        };
        assert_eq!(
            said("frontend x\n  acl a path /b\n"),
            "haproxy.cfg:2: this stand-in of haproxy does not know `acl a`"
        );
        assert_eq!(
            said("frontend x\n  bind *:80\n  default_backend y\n"),
            "haproxy.cfg:1: there is no backend `y`"
        );
        assert_eq!(
            said("backend x\n  server a 10.0.0.1\n"),
            "haproxy.cfg:2: `10.0.0.1` is not an address with a port"
        );
        assert_eq!(
            said("bind *:80\n"),
            "haproxy.cfg:1: `bind` stands in no section"
        );
        assert_eq!(
            said("listen x\n bind *\n"),
            "haproxy.cfg:2: `*` is not an address with a port"
        );
    }
}
