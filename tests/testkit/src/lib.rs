//! What several test suites need: a real `sshd` on loopback for the current user, with keys and batch directories of its
//! own, and short ways to use it. Without root's rights and without a network; nothing of it outlives its value.

mod canary;
pub mod language;
pub mod layout;
mod terminal;

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dmp_sdk::{Machine, Output, Report, Script};
use dmp_transport::{Options, Ssh};
use tempfile::TempDir;

pub use canary::Canary;
pub use terminal::{Ended, Terminal};

/// A running server. Ends with the value, together with everything that hangs on it.
pub struct Sshd {
    child: Child,
    dir: TempDir,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Sshd {
    /// A server for each shell that may be the far side's `sh`.
    pub fn with_each_shell() -> Vec<Self> {
        let shells = ["/bin/dash", "/bin/bash", "/bin/busybox"];
        let installed = shells.into_iter().filter(|path| Path::new(path).exists());
        installed
            .filter_map(|shell| {
                let mut sshd = Self::start()?;
                let bin = sshd.path("bin");
                std::fs::create_dir(&bin).expect("writable");
                std::os::unix::fs::symlink(shell, bin.join("sh")).expect("writable");
                let file = sshd.path("config");
                let config = std::fs::read_to_string(&file).expect("is there");
                let path = format!("SetEnv PATH={}:/usr/bin:/bin ", bin.display());
                std::fs::write(&file, config.replace("SetEnv ", &path)).expect("writable");
                sshd.stop();
                sshd.start_again();
                Some(sshd)
            })
            .collect()
    }

    /// Starts a server, or says loudly that there is none and gives `None`.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    pub fn start() -> Option<Self> {
        let program = ["/usr/sbin/sshd", "/usr/bin/sshd", "/sbin/sshd"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let Some(program) = program else {
            eprintln!("SKIPPED: sshd is not installed");
            assert!(std::env::var_os("CI").is_none(), "CI needs sshd");
            return None;
        };
        // sshd of root wants its directory for privilege separation.
        let _ = std::fs::create_dir("/run/sshd");
        let dir = TempDir::new().expect("a temporary directory");
        keygen(&dir.path().join("host_key"), "");
        keygen(&dir.path().join("user_key"), "");
        let port = free_port();
        std::fs::write(dir.path().join("config"), config(dir.path(), port)).expect("writable");
        std::fs::copy(
            dir.path().join("user_key.pub"),
            dir.path().join("authorized"),
        )
        .expect("is there");
        let mut sshd = Self {
            child: spawn(program, dir.path()),
            dir,
            port,
        };
        sshd.wait();
        Some(sshd)
    }

    /// Starts a server and notes the arguments of every process that it and its sessions start, in [`Self::arguments`].
    /// `None` where there is no `strace` either.
    pub fn start_traced() -> Option<Self> {
        let mut sshd = Self::start()?;
        sshd.trace()?;
        Some(sshd)
    }

    /// Starts it again under `strace`, as [`Self::start_traced`] does.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    pub fn trace(&mut self) -> Option<()> {
        let has_strace = Command::new("strace").arg("-V").output().is_ok();
        if !has_strace {
            eprintln!("SKIPPED: strace is not installed");
            assert!(std::env::var_os("CI").is_none(), "CI needs strace");
            return None;
        }
        self.stop();
        let trace = self.path("trace");
        // The tracer is a grandchild: the server keeps its process id.
        self.child = Command::new("strace")
            .args([
                "-D",
                "-f",
                "-e",
                "trace=execve",
                "-s",
                "1000000",
                "-xx",
                "-o",
            ])
            .arg(&trace)
            .args(["/usr/sbin/sshd", "-D", "-f"])
            .arg(self.path("config"))
            .arg("-E")
            .arg(self.path("log"))
            .stdin(Stdio::null())
            .spawn()
            .expect("strace starts");
        self.wait();
        Some(())
    }

    /// The arguments of all processes since [`Self::start_traced`], as bytes.
    ///
    /// # Panics
    /// If the server is not traced.
    pub fn arguments(&self) -> Vec<u8> {
        let text = std::fs::read_to_string(self.path("trace")).expect("it is traced");
        traced_arguments(&text)
    }

    fn wait(&mut self) {
        let until = Instant::now() + Duration::from_secs(20);
        // Where nobody listens, a client may get that very port as its own, and meet itself.
        let is_served = |stream: TcpStream| {
            let (here, there) = (stream.local_addr().ok(), stream.peer_addr().ok());
            here.is_some() && here != there
        };
        while !TcpStream::connect(("127.0.0.1", self.port)).is_ok_and(is_served) {
            assert!(
                Instant::now() < until,
                "sshd does not start: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the server; sessions go on.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port.
    pub fn start_again(&mut self) {
        self.child = spawn("/usr/sbin/sshd", self.dir.path());
        self.wait();
    }

    /// Starts it again with more in its configuration. Of what is said twice the first counts.
    pub fn configure(&mut self, lines: &str) {
        let file = self.path("config");
        let config = std::fs::read_to_string(&file).expect("is there");
        std::fs::write(&file, format!("{lines}\n{config}")).expect("writable");
        self.stop();
        self.start_again();
    }

    /// What the server has told of itself.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// A path in the server's own folder, which is the home of all sessions too.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The machine, by key file, pinned.
    pub fn machine(&self) -> Machine {
        Machine {
            address: "127.0.0.1".into(),
            port: self.port,
            user: user(),
            key_file: Some(self.path("user_key").display().to_string()),
            private_key: None,
            host_keys: vec![self.host_key()],
            sudo: false,
            ..Machine::default()
        }
    }

    /// The server's public key, as `host` pins it.
    pub fn host_key(&self) -> String {
        let text = std::fs::read_to_string(self.path("host_key.pub")).expect("is there");
        text.split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Kills the server's processes of all connections, as a network that breaks would.
    pub fn cut_connections(&self) {
        for pid in descendants(self.child.id()) {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.starts_with("sshd") {
                kill(pid, "KILL");
            }
        }
    }

    /// The program id of a batch's runner, from its claim.
    pub fn runner(&self, batch: &str) -> Option<u32> {
        let claim =
            std::fs::read_to_string(self.path("run").join(format!("{batch}@claim"))).ok()?;
        claim.split(' ').next()?.parse().ok()
    }
}

/// The arguments in a trace of `strace -xx -e trace=execve`, as bytes.
pub fn traced_arguments(trace: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = trace;
    // Strings come as \x68\x69 each.
    while let Some(at) = rest.find(['\\', '\n']) {
        if rest[at..].starts_with('\n') {
            bytes.push(b'\n');
            rest = &rest[at + 1..];
            continue;
        }
        let digits = rest.get(at + 2..at + 4).unwrap_or_default();
        match u8::from_str_radix(digits, 16) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.push(b' '),
        }
        rest = rest.get(at + 4..).unwrap_or_default();
        if rest.starts_with('"') {
            bytes.push(b' ');
        }
    }
    bytes
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let tracer = status.ok().and_then(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("TracerPid:"));
            line.and_then(|pid| pid.trim().parse::<u32>().ok())
        });
        self.cut_connections();
        self.stop();
        // A tracer would wait for whatever is left on the machine.
        if let Some(tracer) = tracer.filter(|tracer| *tracer != 0) {
            kill(tracer, "KILL");
        }
    }
}

fn spawn(program: &str, dir: &Path) -> Child {
    Command::new(program)
        .args(["-D", "-f"])
        .arg(dir.join("config"))
        .arg("-E")
        .arg(dir.join("log"))
        .stdin(Stdio::null())
        .spawn()
        .expect("sshd starts")
}

fn config(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host_key\nAuthorizedKeysFile {dir}/authorized\n\
         StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nAllowTcpForwarding yes\nMaxStartups 100\n\
         SetEnv HOME={dir} DMP_RUN_DIR={dir}/run DMP_STATE_DIR={dir}/state\n"
    )
}

/// Makes an ed25519 key.
pub fn keygen(path: &Path, passphrase: &str) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-C", "test", "-N", passphrase, "-f"])
        .arg(path)
        .status()
        .expect("ssh-keygen runs");
    assert!(status.success());
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("is bound").port()
}

/// The name of the current user.
pub fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Sends a signal to a process.
pub fn kill(pid: u32, signal: &str) {
    let _ = Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// Whether a process runs.
pub fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

fn descendants(of: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("is there").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        parents.push((pid, parent.unwrap_or(0)));
    }
    let mut found = vec![of];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found.split_off(1)
}

/// Connections that give up soon.
pub fn options() -> Options {
    Options {
        connect_timeout: Duration::from_secs(10),
        boot_wait: Duration::from_secs(15),
        ..Options::new()
    }
}

/// Transport with those options.
pub fn ssh() -> Ssh {
    Ssh::new(options())
}

/// A script of a text.
pub fn script(text: &'static str) -> Script {
    Script::new(text)
}

/// The outputs of a read.
pub async fn read(ssh: &Ssh, on: &Machine, scripts: &[Script]) -> Vec<Output> {
    use dmp_sdk::Machines;
    ssh.read(on, scripts, Duration::from_secs(30))
        .await
        .expect("is read")
        .outputs
}

/// What a finished batch reported, in short: `k S0`, `k E0=0`, `k Done`.
pub fn short(reports: &[Report]) -> Vec<String> {
    reports
        .iter()
        .map(|report| match report {
            Report::StepStarted { item, step } => format!("{item} S{step}"),
            Report::StepEnded {
                item,
                step,
                output,
                skipped,
                ..
            } => format!(
                "{item} E{step}={}{}",
                output.status,
                if *skipped { " skipped" } else { "" }
            ),
            Report::ItemEnded { item, end, .. } => format!("{item} {end:?}"),
        })
        .collect()
}

/// Waits until something holds.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what}: not within 20 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
